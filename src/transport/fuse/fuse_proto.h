/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's FUSE protocol: <linux/fuse.h> of any version from 7.38 on, and what came later, up to 7.45, under names of our own
 * (FUSEX_*), so that both a new and an old header will do.
 */
#ifndef FUSE_PROTO_H
#define FUSE_PROTO_H

#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

/* The newest version that this speaks, and the oldest that it serves (kernel 5.4). */
#define FUSEX_MAJOR 7u
#define FUSEX_MINOR 45u
#define FUSEX_MINOR_OLDEST 31u

/* INIT flags, all 64 bits (flags2 holds the upper half). */
#define FUSEX_CREATE_SUPP_GROUP (1ull << 34)
#define FUSEX_DIRECT_IO_ALLOW_MMAP (1ull << 36) /* 7.39 */
#define FUSEX_ALLOW_IDMAP (1ull << 40) /* 7.41; not used: most requests then carry no uid, which listxattr needs */
#define FUSEX_OVER_IO_URING (1ull << 41) /* 7.42 */

/* Operations. */
#define FUSEX_STATX 52u /* 7.39 */
#define FUSEX_COPY_FILE_RANGE_64 53u /* 7.45 */

#define FUSEX_FOPEN_PARALLEL_DIRECT_WRITES (1u << 6)

/* INIT's answer as of 7.43. */
struct fusex_init_out {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead; /* bytes */
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write; /* bytes */
	uint32_t time_gran; /* ns */
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint16_t request_timeout;
	uint16_t unused[11];
};
_Static_assert(sizeof(struct fusex_init_out) == 64, "fusex_init_out");

/* STATX (7.39). */
struct fusex_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

struct fusex_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct fusex_sx_time atime;
	struct fusex_sx_time btime;
	struct fusex_sx_time ctime;
	struct fusex_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t spare2[14];
};
_Static_assert(sizeof(struct fusex_statx) == 256, "fusex_statx");

struct fusex_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};
_Static_assert(sizeof(struct fusex_statx_in) == 24, "fusex_statx_in");

struct fusex_statx_out {
	uint64_t attr_valid; /* s */
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct fusex_statx stat;
};
_Static_assert(sizeof(struct fusex_statx_out) == 288, "fusex_statx_out");

/* COPY_FILE_RANGE_64 (7.45). */
struct fusex_copy_file_range_out {
	uint64_t bytes_copied;
};

/* SETXATTR with FUSE_SETXATTR_EXT (7.33). */
#define FUSEX_SETXATTR_ACL_KILL_SGID (1u << 0)

/* --- io_uring (7.42) --------------------------------------------------------------------------------------------------- */

#define FUSEX_URING_CMD_REGISTER 1u
#define FUSEX_URING_CMD_COMMIT_AND_FETCH 2u

/* In sqe->cmd. */
struct fusex_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;
	uint8_t padding[6];
};
_Static_assert(sizeof(struct fusex_uring_cmd_req) == 24, "fusex_uring_cmd_req");

#define FUSEX_URING_AREA_LEN 128u

/* The first of the two areas of a ring entry. The other one holds names and data. */
struct fusex_uring_header {
	uint8_t in_out[FUSEX_URING_AREA_LEN]; /* struct fuse_in_header, then struct fuse_out_header */
	uint8_t op_in[FUSEX_URING_AREA_LEN]; /* the request's fixed part */
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_len; /* bytes in the payload area, both ways */
	uint32_t padding;
	uint64_t reserved;
};
_Static_assert(sizeof(struct fusex_uring_header) == 288, "fusex_uring_header");
_Static_assert(offsetof(struct fusex_uring_header, commit_id) == 264, "fusex_uring_header.commit_id");

#endif
