/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of the control socket, between zusd and mount.pmfs2, umount.pmfs2, zusctl.
 *
 * One message is one packet of a SOCK_SEQPACKET socket: a header of 16 bytes, then fields, each a tag, a length and bytes.
 * Numbers are in host order (both ends run on one machine). A field is a string (ends in its only NUL) or a number (8 bytes);
 * which one is part of its tag. A message may carry one file descriptor.
 *
 * A conversation: the client sends HELLO, the server answers OK with its version; then requests, each answered by OK or ERROR,
 * LIST by any number of ITEMs before OK. A server that is about to end closes the connection without answering HELLO: try again.
 */
#ifndef ZUSD_CONTROL_MSG_H
#define ZUSD_CONTROL_MSG_H

#include <stddef.h>
#include <stdint.h>

#define CONTROL_MAGIC 0x7a757363u
#define CONTROL_VERSION 1u
#define CONTROL_MSG_MAX 65536u /* bytes, with the header */
#define CONTROL_FIELDS_MAX 32u
#define CONTROL_STR_MAX 60000u /* bytes, with the NUL */

enum control_type {
	/* requests */
	CONTROL_HELLO = 1,
	CONTROL_OPEN = 2, /* FSTYPE DEVICE SOURCE DIR OPTIONS FLAGS CACHE CHANNEL MAX_WRITE -> ID NOTICE UUID */
	CONTROL_START = 3, /* ID, descriptor of /dev/fuse -> CHANNEL_NAME */
	CONTROL_REMOUNT = 4, /* DEVNO FLAGS */
	CONTROL_LIST = 5, /* -> ITEMs */
	CONTROL_STATS = 6, /* NAME (directory, device or id), DEVNO (of a directory, optional) -> TEXT */
	CONTROL_LOG_LEVEL = 7, /* LEVEL (left out: only ask) -> LEVEL */
	CONTROL_WAIT_CLOSED = 8, /* DEVNO: answered when the connection has ended and its image is closed -> OK or EBUSY */
	CONTROL_STOP = 9,
	/* answers */
	CONTROL_OK = 64,
	CONTROL_ERROR = 65, /* ERRNO MESSAGE */
	CONTROL_ITEM = 66, /* ID FSTYPE SOURCE DIR CHANNEL_NAME CACHE FLAGS DEVNO STATE UUID TEXT */
};

/* Values of CONTROL_TAG_CACHE and CONTROL_TAG_CHANNEL. */
enum control_cache {
	CONTROL_CACHE_AUTO,
	CONTROL_CACHE_NONE,
};
enum control_channel {
	CONTROL_CHANNEL_AUTO,
	CONTROL_CHANNEL_URING,
	CONTROL_CHANNEL_DEV,
};

/* Bits of CONTROL_TAG_FLAGS, the values of ZUS_MOUNT_*. */
#define CONTROL_MOUNT_RDONLY 1u
#define CONTROL_MOUNT_NOATIME 2u
#define CONTROL_MOUNT_STRICTATIME 4u
#define CONTROL_MOUNT_NODIRATIME 8u

#define CONTROL_TAG_NUMBER 0x100u
enum control_tag {
	CONTROL_TAG_MESSAGE = 1,
	CONTROL_TAG_VERSION = 2,
	CONTROL_TAG_FSTYPE = 3,
	CONTROL_TAG_DEVICE = 4,
	CONTROL_TAG_DIR = 5,
	CONTROL_TAG_OPTIONS = 6,
	CONTROL_TAG_NOTICE = 7,
	CONTROL_TAG_UUID = 8,
	CONTROL_TAG_CHANNEL_NAME = 9,
	CONTROL_TAG_NAME = 10,
	CONTROL_TAG_TEXT = 11,
	CONTROL_TAG_STATE = 12,
	CONTROL_TAG_SOURCE = 13,
	CONTROL_TAG_ERRNO = CONTROL_TAG_NUMBER + 1,
	CONTROL_TAG_ID = CONTROL_TAG_NUMBER + 2,
	CONTROL_TAG_FLAGS = CONTROL_TAG_NUMBER + 3, /* CONTROL_MOUNT_* */
	CONTROL_TAG_CACHE = CONTROL_TAG_NUMBER + 4, /* enum control_cache */
	CONTROL_TAG_CHANNEL = CONTROL_TAG_NUMBER + 5, /* enum control_channel */
	CONTROL_TAG_MAX_WRITE = CONTROL_TAG_NUMBER + 6, /* bytes */
	CONTROL_TAG_LEVEL = CONTROL_TAG_NUMBER + 7,
	CONTROL_TAG_PID = CONTROL_TAG_NUMBER + 8,
	CONTROL_TAG_DEVNO = CONTROL_TAG_NUMBER + 9, /* st_dev of the mounted file system */
};

struct control_field {
	uint16_t tag;
	uint16_t len; /* bytes */
	uint32_t off; /* of the value in buf */
};

struct control_msg {
	uint16_t type;
	uint16_t overflow; /* a put did not fit: encoding fails */
	uint32_t len; /* bytes of buf in use */
	uint32_t n_fields; /* after parse */
	struct control_field fields[CONTROL_FIELDS_MAX];
	uint8_t buf[CONTROL_MSG_MAX];
};

/* Writing: begin, any number of puts, then finish, which gives -EMSGSIZE if something did not fit. str NULL: put nothing. */
void control_msg_begin(struct control_msg *msg, enum control_type type);
void control_msg_put_str(struct control_msg *msg, enum control_tag tag, const char *str);
void control_msg_put_u64(struct control_msg *msg, enum control_tag tag, uint64_t value);
int control_msg_finish(struct control_msg *msg);

/*
 * Reading: checks buf[0..len) whole, before any field can be asked for. -EBADMSG: not a message of ours; -EPROTONOSUPPORT: of
 * another version.
 */
int control_msg_parse(struct control_msg *msg);
/* Valid as long as msg; NULL: not there. */
const char *control_msg_str(const struct control_msg *msg, enum control_tag tag);
/* As above, "" when not there. */
const char *control_msg_str_or_empty(const struct control_msg *msg, enum control_tag tag);
uint64_t control_msg_u64(const struct control_msg *msg, enum control_tag tag, uint64_t if_missing);
int control_msg_has(const struct control_msg *msg, enum control_tag tag);

/* One packet. fd -1: none. 0 or -errno; never raises SIGPIPE. */
int control_msg_send(int sock, struct control_msg *msg, int fd);
/*
 * One packet, parsed. *out_fd: the descriptor that came with it (close-on-exec, the caller's), or -1. -ECONNRESET: the peer has
 * closed; -EAGAIN: the socket's receive timeout is over. A packet with more than one descriptor is refused and they are closed.
 */
int control_msg_recv(int sock, struct control_msg *msg, int *out_fd);

#endif
