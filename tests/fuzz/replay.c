/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs inputs through a fuzzer without libFuzzer: its seeds and the regressions of the repository, in any build. TAP, a case a
 * file.
 *
 *	fuzz_NAME_replay [--seeds] [FILE|DIR...]
 *	fuzz_NAME_replay --mutate N
 *	fuzz_NAME_replay --write DIR
 *
 * Of FILEs, those that end in .hex are text: hex digits, blanks, lines that begin with '#'. --mutate runs N inputs that the
 * fuzzer's own mutator makes of the seeds, always the same ones, or others with TAP_SEED=NUMBER; one that aborts or hangs is
 * printed as the text of a .hex file. --write stores the seeds, a file each, for libFuzzer to begin with.
 */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/util.h"
#include "lib/tap.h"
#include "target.h"

#define INPUT_MAX 65536u
#define CASES_MAX 1024u
#define INPUT_ALARM_S 60

struct replay {
	uint8_t bytes[INPUT_MAX];
	size_t len;
	char *files[CASES_MAX];
	size_t n_files;
};

static int usage(void)
{
	fprintf(stderr, "usage: replay [--seeds] [--mutate N] [--write DIR] [FILE|DIR...]\n");
	return 2;
}

static size_t hex_decode(const char *text, uint8_t *out, size_t cap)
{
	size_t n = 0;
	int high = -1;

	for (; *text && n < cap; text++) {
		if (*text == '#')
			while (text[1] && text[1] != '\n')
				text++;
		else if (isxdigit((unsigned char)*text)) {
			int v = isdigit((unsigned char)*text) ? *text - '0' : (*text | 32) - 'a' + 10;

			if (high < 0) {
				high = v;
			} else {
				out[n++] = (uint8_t)(high << 4 | v);
				high = -1;
			}
		}
	}
	return n;
}

static int file_load(struct replay *rp, const char *path)
{
	static char text[4 * INPUT_MAX];
	size_t path_len = strlen(path), n;
	FILE *f = fopen(path, "rb");

	if (!f)
		return -errno;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	if (path_len > 4 && !strcmp(path + path_len - 4, ".hex")) {
		rp->len = hex_decode(text, rp->bytes, sizeof(rp->bytes));
	} else {
		rp->len = n < sizeof(rp->bytes) ? n : sizeof(rp->bytes);
		memcpy(rp->bytes, text, rp->len);
	}
	return 0;
}

/* In a process of its own: a finding ends it. The input is copied to its exact size, so that a sanitizer sees a read behind it.
 */
static int input_run(const struct replay *rp)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		uint8_t *exact = malloc(rp->len ? rp->len : 1);

		alarm(INPUT_ALARM_S);
		memcpy(exact, rp->bytes, rp->len);
		LLVMFuzzerTestOneInput(exact, rp->len);
		free(exact);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static void files_add(struct replay *rp, const char *path)
{
	struct dirent **list;
	struct stat st;
	int n;

	if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
		if (rp->n_files < CASES_MAX)
			rp->files[rp->n_files++] = strdup(path);
		return;
	}
	n = scandir(path, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.' && rp->n_files < CASES_MAX &&
		    asprintf(&rp->files[rp->n_files], "%s/%s", path, list[i]->d_name) >= 0)
			rp->n_files++;
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static int files_run(struct replay *rp)
{
	int failed = 0;

	for (size_t i = 0; i < rp->n_files; i++) {
		int err = file_load(rp, rp->files[i]), status = err ? -1 : input_run(rp);
		const char *name = strrchr(rp->files[i], '/');

		if (status)
			printf("# %s: %s %d\n", rp->files[i], err ? "cannot be read, errno" : "wait status", err ? -err : status);
		printf("%sok %zu - regression %s\n", status ? "not " : "", i + 1, name ? name + 1 : rp->files[i]);
		failed |= status;
	}
	return failed ? 1 : 0;
}

/* All of them in one process, for speed; the number is said before each batch would matter. */
static void seeds_run(void)
{
	static uint8_t bytes[INPUT_MAX];
	uint32_t n = 0;
	size_t len;

	while ((len = target_seed(n, bytes, sizeof(bytes)))) {
		uint8_t *exact = malloc(len);

		memcpy(exact, bytes, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
		n++;
	}
	printf("# %u seeds\n", n);
}

static uint32_t mutate_n;
static const uint8_t *current;
static size_t current_len;

/* A mutation that fails is lost otherwise: the seed finds it again only with the same seeds, mutator and build. */
static void current_print(int sig)
{
	static const char digits[] = "0123456789abcdef";
	char line[80] = "#   ";

	for (size_t i = 0; i < current_len; i += 32) {
		size_t n = 4;

		for (size_t j = i; j < current_len && j < i + 32; j++) {
			line[n++] = digits[current[j] >> 4];
			line[n++] = digits[current[j] & 15];
		}
		line[n++] = '\n';
		if (write(1, line, n) < 0)
			break;
	}
	signal(sig, SIG_DFL);
	raise(sig);
}

static void mutations_run(void)
{
	static uint8_t bytes[INPUT_MAX];
	/* The same ones each time unless asked for others: make fuzz is where new ones are looked for. */
	uint64_t rng = getenv("TAP_SEED") ? tap_seed() : 1;
	uint32_t n_seeds = 0;

	while (target_seed(n_seeds, bytes, sizeof(bytes)))
		n_seeds++;
	signal(SIGABRT, current_print);
	signal(SIGSEGV, current_print);
	signal(SIGALRM, current_print);
	for (uint32_t i = 0; i < mutate_n; i++) {
		size_t len = target_seed((uint32_t)(tap_rand(&rng) % n_seeds), bytes, sizeof(bytes));
		uint8_t *exact;

		for (uint64_t rounds = tap_rand(&rng) % 4 + 1; rounds; rounds--)
			len = LLVMFuzzerCustomMutator(bytes, len, 4096, (unsigned int)tap_rand(&rng));
		exact = malloc(len);
		memcpy(exact, bytes, len);
		current = exact;
		current_len = len;
		alarm(INPUT_ALARM_S);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
	}
	printf("# %u inputs\n", mutate_n);
}

static int seeds_write(const char *dir)
{
	static uint8_t bytes[INPUT_MAX];
	char path[4096];
	size_t len;
	FILE *f;

	for (uint32_t n = 0; (len = target_seed(n, bytes, sizeof(bytes))); n++) {
		snprintf(path, sizeof(path), "%s/seed-%04u", dir, n);
		f = fopen(path, "wb");
		if (!f || fwrite(bytes, 1, len, f) != len || fclose(f)) {
			fprintf(stderr, "%s: %s\n", path, strerror(errno));
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct tap_case seeds = TAP_CASE(seeds_run), mutations = TAP_CASE(mutations_run);
	static struct replay rp;

	if (argc == 3 && !strcmp(argv[1], "--write"))
		return seeds_write(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "--seeds"))
		return tap_main(1, argv, &seeds, 1);
	if (argc == 3 && !strcmp(argv[1], "--mutate")) {
		mutate_n = (uint32_t)strtoul(argv[2], NULL, 0);
		return tap_main(1, argv, &mutations, 1);
	}
	if (argc < 2 || argv[1][0] == '-')
		return usage();
	for (int i = 1; i < argc; i++)
		files_add(&rp, argv[i]);
	printf("1..%zu\n", rp.n_files);
	return files_run(&rp);
}
