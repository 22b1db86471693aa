/* SPDX-License-Identifier: BSD-3-Clause */
/* SEEK_DATA and SEEK_HOLE: unwritten blocks count as holes, the end of file is a hole. */
#include "pmfs2/file_part.h"

/* First block in [first, end) that is data (want_data) or hole; end if there is none. */
static int state_find(struct fs *fs, const struct map *map, uint64_t *first, uint64_t end, int want_data)
{
	struct map_extent ext;

	while (*first < end) {
		int err = map_find(fs, map, *first, end - *first, &ext);

		if (err)
			return err;
		if ((ext.state == MAP_WRITTEN) == want_data)
			return 0;
		*first = ext.first + ext.n;
	}
	return 0;
}

int file_seek(struct fs *fs, struct inode *ip, uint64_t off, int whence, uint64_t *out_off)
{
	uint64_t size, at = off >> PMFS2_BLOCK_SHIFT, end;
	struct map map;
	int err;

	/* The tree of a directory, or a target in a block, is no file's: its words would look damaged. */
	if ((whence != ZUS_SEEK_DATA && whence != ZUS_SEEK_HOLE) || !inode_is_reg(ip))
		return -EINVAL;
	err = file_lock(fs, ip, 0);
	if (err)
		return err;
	size = le64_load(&ip->media->size);
	err = -ENXIO;
	if (off >= size)
		goto unlock;
	map = map_of(ip);
	end = u64_min((size + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT, MAP_BLOCKS_MAX);
	err = state_find(fs, &map, &at, end, whence == ZUS_SEEK_DATA);
	if (err)
		goto unlock;
	if (at >= end && whence == ZUS_SEEK_DATA)
		err = -ENXIO;
	else
		*out_off = u64_min(u64_max(off, at << PMFS2_BLOCK_SHIFT), size);
unlock:
	rwlock_unlock(&ip->lock);
	return err;
}
