/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of mkfs.pmfs2: everything is checked here, before anything is opened. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/util.h"
#include "pmfs2/media/super.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

#define RING_BLOCKS_MAX 65536u
#define ID_MAX 4294967294ull /* 2^32 - 1 means "none" to the kernel */

enum {
	OPT_SIZE = 256,
	OPT_RINGS,
	OPT_RING_SIZE,
	OPT_ROOT_OWNER,
};

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: mkfs.pmfs2 [options] DEVICE|FILE\n"
		"Makes a pmfs2 file system on a pmem device or in a file.\n\n"
		"      --size SIZE           size of a file, which is created (sparse) or grown: bytes, or as 64M, 1G, 2T\n"
		"  -L, --label TEXT          label, up to 63 bytes\n"
		"  -U, --uuid UUID           UUID, or 'random' (default)\n"
		"  -f, --force               overwrite what is there; with --size, also shrink the file\n"
		"  -n, --dry-run             say what would be done, change nothing\n"
		"  -q, --quiet               print errors and warnings only\n"
		"      --rings N             journal rings, 1 to 64 (default by size: 4, 8 or 16)\n"
		"      --ring-size SIZE      bytes of each ring, 32K to 256M (default by size: 32K, 64K or 256K)\n"
		"      --root-owner UID:GID  owner of the root directory (default 0:0)\n"
		"  -h, --help                this text\n"
		"  -V, --version             version\n");
}

static int parse_size(const char *text, uint64_t *out)
{
	const uint64_t min = (uint64_t)PMFS2_BLOCKS_MIN << PMFS2_BLOCK_SHIFT, max = PMFS2_BLOCKS_MAX << PMFS2_BLOCK_SHIFT;

	if (text_parse_size(text, out)) {
		say_error("--size '%s': give a number of bytes, or one with K, M, G or T behind it, as 512M", text);
		return EXIT_USAGE;
	}
	if (*out < min || *out > max) {
		say_error("--size %s: a pmfs2 has at least 4M and at most 4096T", text);
		return EXIT_USAGE;
	}
	*out = round_down_to(*out, PMFS2_BLOCK_SIZE);
	return -1;
}

static int parse_rings(const char *text, uint32_t *out)
{
	uint64_t n;

	if (text_parse_u64(text, PMFS2_RINGS_MAX, &n) || !n) {
		say_error("--rings '%s': give a number from 1 to %u", text, PMFS2_RINGS_MAX);
		return EXIT_USAGE;
	}
	*out = (uint32_t)n;
	return -1;
}

static int parse_ring_size(const char *text, uint32_t *out)
{
	uint64_t bytes;

	if (text_parse_size(text, &bytes) || bytes % PMFS2_BLOCK_SIZE || bytes < PMFS2_RING_BLOCKS_MIN * PMFS2_BLOCK_SIZE ||
	    bytes > (uint64_t)RING_BLOCKS_MAX * PMFS2_BLOCK_SIZE) {
		say_error("--ring-size '%s': give a multiple of 4K from 32K to 256M", text);
		return EXIT_USAGE;
	}
	*out = (uint32_t)(bytes >> PMFS2_BLOCK_SHIFT);
	return -1;
}

static int parse_owner(const char *text, struct mkfs_params *params)
{
	const char *colon = strchr(text, ':');
	char uid[32];
	uint64_t u, g;

	if (colon && (size_t)(colon - text) < sizeof(uid)) {
		snprintf(uid, sizeof(uid), "%.*s", (int)(colon - text), text);
		if (!text_parse_u64(uid, ID_MAX, &u) && !text_parse_u64(colon + 1, ID_MAX, &g)) {
			params->root_uid = (uint32_t)u;
			params->root_gid = (uint32_t)g;
			return -1;
		}
	}
	say_error("--root-owner '%s': give two numbers, as 1000:1000 ('id -u' and 'id -g' show yours)", text);
	return EXIT_USAGE;
}

static int parse_uuid(const char *text, struct mkfs_params *params)
{
	if (!strcmp(text, "random")) {
		memset(params->uuid, 0, sizeof(params->uuid));
		return -1;
	}
	if (uuid_parse(text, params->uuid) || uuid_is_null(params->uuid)) {
		say_error("--uuid '%s': give a UUID that is not all zero, as 'uuidgen' prints one, or 'random'", text);
		return EXIT_USAGE;
	}
	return -1;
}

static int parse_label(const char *text, struct mkfs_params *params)
{
	const char *bad = text_label_check(text);

	if (bad) {
		say_error("--label: %s", bad);
		return EXIT_USAGE;
	}
	params->label = text;
	return -1;
}

static int option_take(int opt, const char *arg, struct options *out)
{
	switch (opt) {
	case OPT_SIZE:
		return parse_size(arg, &out->size);
	case OPT_RINGS:
		return parse_rings(arg, &out->params.n_rings);
	case OPT_RING_SIZE:
		return parse_ring_size(arg, &out->params.ring_blocks);
	case OPT_ROOT_OWNER:
		return parse_owner(arg, &out->params);
	case 'L':
		return parse_label(arg, &out->params);
	case 'U':
		return parse_uuid(arg, &out->params);
	case 'f':
		out->force = 1;
		return -1;
	case 'n':
		out->dry_run = 1;
		return -1;
	case 'q':
		out->quiet = 1;
		return -1;
	case 'h':
		usage(stdout);
		return EXIT_OK;
	case 'V':
		printf("mkfs.pmfs2 %s\n", PMFS2_VERSION);
		return EXIT_OK;
	default:
		fprintf(stderr, "Try 'mkfs.pmfs2 --help'.\n");
		return EXIT_USAGE;
	}
}

int options_parse(int argc, char **argv, struct options *out)
{
	static const struct option longs[] = {
		{ "size", required_argument, NULL, OPT_SIZE },
		{ "label", required_argument, NULL, 'L' },
		{ "uuid", required_argument, NULL, 'U' },
		{ "force", no_argument, NULL, 'f' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "rings", required_argument, NULL, OPT_RINGS },
		{ "ring-size", required_argument, NULL, OPT_RING_SIZE },
		{ "root-owner", required_argument, NULL, OPT_ROOT_OWNER },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int opt, rc;

	memset(out, 0, sizeof(*out));
	while ((opt = getopt_long(argc, argv, "L:U:fqnhV", longs, NULL)) != -1) {
		rc = option_take(opt, optarg, out);
		if (rc >= 0)
			return rc;
	}
	if (optind + 1 != argc) {
		say_error(optind == argc ? "no device or file given" : "give one device or file only");
		fprintf(stderr, "Try 'mkfs.pmfs2 --help'.\n");
		return EXIT_USAGE;
	}
	out->path = argv[optind];
	return -1;
}
