/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages: what was put comes back; hostile bytes are refused and never read out of bounds (run under ASan too). */
#include "zusd/control_msg.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/tap.h"

#define HEAD_BYTES 16u
#define FUZZ_ROUNDS 200000

static struct control_msg *msg_new(void)
{
	struct control_msg *msg = calloc(1, sizeof(*msg));

	CHECK(msg);
	return msg;
}

static struct control_msg *msg_sample(void)
{
	struct control_msg *msg = msg_new();

	control_msg_begin(msg, CONTROL_OPEN);
	control_msg_put_str(msg, CONTROL_TAG_FSTYPE, "pmfs2");
	control_msg_put_str(msg, CONTROL_TAG_OPTIONS, "");
	control_msg_put_u64(msg, CONTROL_TAG_FLAGS, 0x1122334455667788ull);
	control_msg_put_str(msg, CONTROL_TAG_DIR, "/mnt/x");
	CHECK_EQ(control_msg_finish(msg), 0);
	return msg;
}

static void control_msg_parse_when_valid_gives_fields(void)
{
	struct control_msg *msg = msg_sample();

	CHECK_EQ(control_msg_parse(msg), 0);
	CHECK_EQ(msg->type, CONTROL_OPEN);
	CHECK(!strcmp(control_msg_str(msg, CONTROL_TAG_FSTYPE), "pmfs2"));
	CHECK(!strcmp(control_msg_str(msg, CONTROL_TAG_OPTIONS), ""));
	CHECK(control_msg_u64(msg, CONTROL_TAG_FLAGS, 0) == 0x1122334455667788ull);
	CHECK_EQ(control_msg_u64(msg, CONTROL_TAG_CACHE, 7), 7);
	CHECK(!control_msg_str(msg, CONTROL_TAG_NOTICE));
	CHECK(control_msg_has(msg, CONTROL_TAG_DIR));
	free(msg);
}

static void control_msg_put_when_full_fails_to_finish(void)
{
	struct control_msg *msg = msg_new();
	char *big = malloc(CONTROL_STR_MAX + 10);

	memset(big, 'a', CONTROL_STR_MAX + 9);
	big[CONTROL_STR_MAX + 9] = '\0';
	control_msg_begin(msg, CONTROL_OK);
	control_msg_put_str(msg, CONTROL_TAG_TEXT, big);
	CHECK_EQ(control_msg_finish(msg), -EMSGSIZE);
	big[CONTROL_STR_MAX - 1] = '\0';
	control_msg_begin(msg, CONTROL_OK);
	control_msg_put_str(msg, CONTROL_TAG_TEXT, big);
	CHECK_EQ(control_msg_finish(msg), 0);
	control_msg_put_str(msg, CONTROL_TAG_NOTICE, big);
	CHECK_EQ(control_msg_finish(msg), -EMSGSIZE);
	control_msg_begin(msg, CONTROL_OK);
	for (unsigned int i = 0; i <= CONTROL_FIELDS_MAX; i++)
		control_msg_put_u64(msg, CONTROL_TAG_ID, i);
	CHECK_EQ(control_msg_finish(msg), -EMSGSIZE);
	free(big);
	free(msg);
}

static void poke16(struct control_msg *msg, uint32_t off, uint16_t value)
{
	memcpy(msg->buf + off, &value, sizeof(value));
}

static void control_msg_parse_when_malformed_refuses(void)
{
	struct control_msg *msg = msg_sample();
	struct control_msg *bad = msg_new();

	/* every truncation */
	for (uint32_t len = 0; len < msg->len; len++) {
		*bad = *msg;
		bad->len = len;
		CHECK_EQ(control_msg_parse(bad), -EBADMSG);
		CHECK_EQ(bad->n_fields, 0);
	}
	*bad = *msg;
	bad->buf[0] ^= 1;
	CHECK_EQ(control_msg_parse(bad), -EBADMSG);
	*bad = *msg;
	poke16(bad, 4, CONTROL_VERSION + 1);
	CHECK_EQ(control_msg_parse(bad), -EPROTONOSUPPORT);
	*bad = *msg;
	bad->buf[12] = 1;
	CHECK_EQ(control_msg_parse(bad), -EBADMSG);
	/* length of the first field: too long, too short, none */
	for (unsigned int len = 0; len < 0x10000; len += len < 64 ? 1 : 61) {
		*bad = *msg;
		poke16(bad, HEAD_BYTES + 2, (uint16_t)len);
		CHECK_EQ(control_msg_parse(bad), len == 6 ? 0 : -EBADMSG);
	}
	/* a NUL inside, no NUL at the end, a string tag that is said to be a number */
	*bad = *msg;
	bad->buf[HEAD_BYTES + 4 + 2] = '\0';
	CHECK_EQ(control_msg_parse(bad), -EBADMSG);
	*bad = *msg;
	bad->buf[HEAD_BYTES + 4 + 5] = 'x';
	CHECK_EQ(control_msg_parse(bad), -EBADMSG);
	*bad = *msg;
	poke16(bad, HEAD_BYTES, CONTROL_TAG_ID);
	CHECK_EQ(control_msg_parse(bad), -EBADMSG);
	/* the same tag twice */
	*bad = *msg;
	poke16(bad, HEAD_BYTES, CONTROL_TAG_DIR);
	CHECK_EQ(control_msg_parse(bad), -EBADMSG);
	free(bad);
	free(msg);
}

/* Whatever parses can be asked for everything without reading outside. */
static void control_msg_parse_when_random_stays_inside(void)
{
	struct control_msg *msg = msg_sample(), *bad = msg_new();
	uint64_t rng = tap_seed();
	uint32_t n_good = 0;

	for (int i = 0; i < FUZZ_ROUNDS; i++) {
		uint32_t n_pokes = 1 + (uint32_t)(tap_rand(&rng) % 3);

		memcpy(bad->buf, msg->buf, msg->len);
		bad->len = msg->len;
		while (n_pokes--)
			bad->buf[tap_rand(&rng) % msg->len] = (uint8_t)tap_rand(&rng);
		if (control_msg_parse(bad))
			continue;
		n_good++;
		for (uint32_t f = 0; f < bad->n_fields; f++)
			CHECK(bad->fields[f].off + bad->fields[f].len <= bad->len);
		for (uint32_t tag = 0; tag < 16; tag++)
			CHECK(strlen(control_msg_str_or_empty(bad, (enum control_tag)tag)) < bad->len);
	}
	printf("# %u of %d mutants were valid messages\n", n_good, FUZZ_ROUNDS);
	free(bad);
	free(msg);
}

static void control_msg_recv_when_descriptor_comes_gives_it(void)
{
	struct control_msg *msg = msg_sample();
	int sock[2], fd = -1, null_fd = open("/dev/null", O_RDONLY);
	struct stat a, b;

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	CHECK_EQ(control_msg_send(sock[0], msg, null_fd), 0);
	CHECK_EQ(control_msg_recv(sock[1], msg, &fd), 0);
	CHECK(fd >= 0 && fd != null_fd);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(!fstat(fd, &a) && !fstat(null_fd, &b) && a.st_rdev == b.st_rdev);
	close(sock[0]);
	CHECK_EQ(control_msg_recv(sock[1], msg, &fd), -ECONNRESET);
	free(msg);
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Raw packets of a hostile peer: too many descriptors, too many bytes, none at all. Nothing leaks. */
static void control_msg_recv_when_hostile_refuses_and_closes(void)
{
	struct control_msg *msg = msg_sample();
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = msg->buf, .iov_len = msg->len };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)
	};
	int sock[2], fd = -1, fds[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };
	char *huge = calloc(1, CONTROL_MSG_MAX + 4096);
	unsigned int before;

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	before = count_fds();
	for (size_t n = 2; n <= 8; n++) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
		hdr.msg_controllen = CMSG_SPACE(n * sizeof(int));
		iov.iov_len = msg->len;
		CHECK(sendmsg(sock[0], &hdr, 0) > 0);
		struct control_msg *in = msg_new();
		CHECK_EQ(control_msg_recv(sock[1], in, &fd), -EBADMSG);
		free(in);
		CHECK_EQ(fd, -1);
		CHECK_EQ(count_fds(), before);
	}
	CHECK(send(sock[0], huge, CONTROL_MSG_MAX + 4096, 0) > 0);
	CHECK_EQ(control_msg_recv(sock[1], msg, &fd), -EBADMSG);
	free(huge);
	free(msg);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(control_msg_parse_when_valid_gives_fields),
		TAP_CASE(control_msg_put_when_full_fails_to_finish),
		TAP_CASE(control_msg_parse_when_malformed_refuses),
		TAP_CASE(control_msg_parse_when_random_stays_inside),
		TAP_CASE(control_msg_recv_when_descriptor_comes_gives_it),
		TAP_CASE(control_msg_recv_when_hostile_refuses_and_closes),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
