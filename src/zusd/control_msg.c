/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Encoding, checking and carrying of control messages.
 *
 * Invariants after control_msg_parse() gave 0:
 *  1. Every field lies whole inside buf[0..len), and no tag is there twice.
 *  2. The value of a string field ends in a NUL, its only one; that of a number field has 8 bytes.
 */
#include "zusd/control_msg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t len; /* of the whole message */
	uint32_t zero;
};
_Static_assert(sizeof(struct wire_header) == 16, "header has no padding");

struct wire_field {
	uint16_t tag;
	uint16_t len;
};
_Static_assert(sizeof(struct wire_field) == 4, "field has no padding");

void control_msg_begin(struct control_msg *msg, enum control_type type)
{
	msg->type = (uint16_t)type;
	msg->overflow = 0;
	msg->n_fields = 0;
	msg->len = sizeof(struct wire_header);
}

static void msg_put(struct control_msg *msg, enum control_tag tag, const void *value, size_t len)
{
	struct wire_field field = { .tag = (uint16_t)tag, .len = (uint16_t)len };

	if (len > CONTROL_STR_MAX || len > CONTROL_MSG_MAX - msg->len || CONTROL_MSG_MAX - msg->len - len < sizeof(field) ||
	    msg->n_fields == CONTROL_FIELDS_MAX) {
		msg->overflow = 1;
		return;
	}
	memcpy(msg->buf + msg->len, &field, sizeof(field));
	memcpy(msg->buf + msg->len + sizeof(field), value, len);
	msg->len += (uint32_t)(sizeof(field) + len);
	msg->n_fields++;
}

void control_msg_put_str(struct control_msg *msg, enum control_tag tag, const char *str)
{
	if (str)
		msg_put(msg, tag, str, strlen(str) + 1);
}

void control_msg_put_u64(struct control_msg *msg, enum control_tag tag, uint64_t value)
{
	msg_put(msg, tag, &value, sizeof(value));
}

int control_msg_finish(struct control_msg *msg)
{
	struct wire_header head = { .magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .type = msg->type, .len = msg->len };

	if (msg->overflow)
		return -EMSGSIZE;
	memcpy(msg->buf, &head, sizeof(head));
	return 0;
}

static const struct control_field *field_find(const struct control_msg *msg, uint32_t tag)
{
	for (uint32_t i = 0; i < msg->n_fields; i++)
		if (msg->fields[i].tag == tag)
			return &msg->fields[i];
	return NULL;
}

/* Is the value of the shape its tag promises? */
static int field_value_valid(const uint8_t *value, const struct wire_field *field)
{
	if (field->tag & CONTROL_TAG_NUMBER)
		return field->len == sizeof(uint64_t);
	return field->len > 0 && memchr(value, '\0', field->len) == value + field->len - 1;
}

static int header_parse(struct control_msg *msg)
{
	struct wire_header head;

	if (msg->len < sizeof(head) || msg->len > CONTROL_MSG_MAX)
		return -EBADMSG;
	memcpy(&head, msg->buf, sizeof(head));
	if (head.magic != CONTROL_MAGIC)
		return -EBADMSG;
	if (head.version != CONTROL_VERSION)
		return -EPROTONOSUPPORT;
	if (head.len != msg->len || head.zero)
		return -EBADMSG;
	msg->type = head.type;
	return 0;
}

int control_msg_parse(struct control_msg *msg)
{
	uint32_t off = sizeof(struct wire_header);
	int err;

	msg->n_fields = 0;
	err = header_parse(msg);
	if (err)
		return err;
	while (off < msg->len) {
		struct wire_field field;

		if (msg->len - off < sizeof(field))
			goto bad;
		memcpy(&field, msg->buf + off, sizeof(field));
		off += (uint32_t)sizeof(field);
		if (field.len > msg->len - off || msg->n_fields == CONTROL_FIELDS_MAX || field_find(msg, field.tag) ||
		    !field_value_valid(msg->buf + off, &field))
			goto bad;
		msg->fields[msg->n_fields++] = (struct control_field){ .tag = field.tag, .len = field.len, .off = off };
		off += field.len;
	}
	return 0;
bad:
	msg->n_fields = 0;
	return -EBADMSG;
}

const char *control_msg_str(const struct control_msg *msg, enum control_tag tag)
{
	const struct control_field *field = field_find(msg, tag);

	return field && !(tag & CONTROL_TAG_NUMBER) ? (const char *)msg->buf + field->off : NULL;
}

const char *control_msg_str_or_empty(const struct control_msg *msg, enum control_tag tag)
{
	const char *str = control_msg_str(msg, tag);

	return str ? str : "";
}

uint64_t control_msg_u64(const struct control_msg *msg, enum control_tag tag, uint64_t if_missing)
{
	const struct control_field *field = field_find(msg, tag);
	uint64_t value;

	if (!field || !(tag & CONTROL_TAG_NUMBER))
		return if_missing;
	memcpy(&value, msg->buf + field->off, sizeof(value));
	return value;
}

int control_msg_has(const struct control_msg *msg, enum control_tag tag)
{
	return field_find(msg, tag) != NULL;
}

int control_msg_send(int sock, struct control_msg *msg, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = msg->buf, .iov_len = msg->len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;
	int err;

	err = control_msg_finish(msg);
	if (err)
		return err;
	if (fd >= 0) {
		hdr.msg_control = control.room;
		hdr.msg_controllen = sizeof(control.room);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return (size_t)n == msg->len ? 0 : -EIO;
}

/* Takes the descriptors out of a received packet: the first into *out_fd, the others are closed. Returns how many there were. */
static size_t msghdr_take_fds(struct msghdr *hdr, int *out_fd)
{
	size_t n_fds = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t off = 0; CMSG_LEN(off + sizeof(int)) <= c->cmsg_len; off += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + off, sizeof(fd));
			if (n_fds++)
				close(fd);
			else
				*out_fd = fd;
		}
	}
	return n_fds;
}

int control_msg_recv(int sock, struct control_msg *msg, int *out_fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = msg->buf, .iov_len = sizeof(msg->buf) };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)
	};
	size_t n_fds;
	int fd = -1, err;
	ssize_t n;

	msg->n_fields = 0;
	do
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	n_fds = msghdr_take_fds(&hdr, &fd);
	if (n == 0 && !n_fds)
		return -ECONNRESET;
	msg->len = (uint32_t)n;
	err = n_fds > 1 || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? -EBADMSG : control_msg_parse(msg);
	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	*out_fd = fd;
	return 0;
}
