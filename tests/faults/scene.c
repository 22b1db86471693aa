/* SPDX-License-Identifier: BSD-3-Clause */
/* The image of scene.h and its life. */
#include "faults/scene.h"

#include "base/util.h"

#define ROOT ZUS_NODE_ROOT
#define KIB 1024ull
#define MIB (1024 * KIB)
#define HUGE_BYTES (2 * MIB)
#define N_MANY 1300

static uint8_t *pattern(size_t len, uint8_t first)
{
	uint8_t *buf = malloc(len);

	CHECK(buf);
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(first + i + (i >> 12));
	return buf;
}

static void put(struct rig *rig, uint64_t node, uint64_t off, size_t len)
{
	uint8_t *buf = pattern(len, (uint8_t)(node + off));

	CHECK_EQ(rig_write(rig, node, off, buf, len), len);
	free(buf);
}

static void xattr_put(struct rig *rig, uint64_t node, const char *name, uint32_t len)
{
	uint8_t *buf = pattern(len, 'x');
	struct zus_setxattr set = { .name = rig_name(name), .value = { buf, len } };

	CHECK_EQ(rig->fs->ops->setxattr(rig->fs, node, &set), 0);
	free(buf);
}

uint32_t scene_acl(uint8_t buf[SCENE_ACL_MAX], uint32_t n_users)
{
	struct entry {
		uint16_t tag, perm;
		uint32_t id;
	} e[SCENE_ACL_USERS + 4] = { { 0x01, 7, ~0u } };
	uint32_t version = 2, n = 1;

	for (uint32_t i = 0; i < n_users; i++)
		e[n++] = (struct entry){ 0x02, 6, 1000 + i };
	e[n++] = (struct entry){ 0x04, 5, ~0u };
	e[n++] = (struct entry){ 0x10, 7, ~0u };
	e[n++] = (struct entry){ 0x20, 4, ~0u };
	memcpy(buf, &version, 4);
	memcpy(buf + 4, e, n * sizeof(e[0]));
	return 4 + n * (uint32_t)sizeof(e[0]);
}

static void acl_put(struct rig *rig, uint64_t node)
{
	uint8_t buf[SCENE_ACL_MAX];
	struct zus_setxattr set = { .name = rig_name("system.posix_acl_access"), .set_mode = 1, .mode = 0774 };

	set.value = (struct zus_blob){ buf, scene_acl(buf, 1) };
	CHECK_EQ(rig->fs->ops->setxattr(rig->fs, node, &set), 0);
}

static void files_build(struct rig *rig, struct image *img)
{
	uint64_t other = rig_mknod(rig, ROOT, "many2", S_IFREG | 0600);

	img->node[NODE_FILE] = rig_mknod(rig, ROOT, "file", S_IFREG | 0644);
	put(rig, img->node[NODE_FILE], 0, 3 * 4096 + 100);
	img->node[NODE_BIG] = rig_mknod(rig, ROOT, "big", S_IFREG | 0644);
	put(rig, img->node[NODE_BIG], 0, HUGE_BYTES);
	put(rig, img->node[NODE_BIG], HUGE_BYTES, HUGE_BYTES);
	put(rig, img->node[NODE_BIG], 2 * HUGE_BYTES, 20 * 4096);
	img->node[NODE_MANY] = rig_mknod(rig, ROOT, "many", S_IFREG | 0644);
	for (uint64_t i = 0; i < N_MANY; i++) {
		put(rig, img->node[NODE_MANY], i * 4096, 4096);
		put(rig, other, i * 4096, 4096);
	}
	img->node[NODE_SPARSE] = rig_mknod(rig, ROOT, "sparse", S_IFREG | 0644);
	put(rig, img->node[NODE_SPARSE], 0, 4096);
	put(rig, img->node[NODE_SPARSE], 600 * 4096, 4096);
	put(rig, img->node[NODE_SPARSE], 300000ull * 4096, 5000);
	img->node[NODE_HARD] = rig_mknod(rig, ROOT, "hard1", S_IFREG | 0644);
	put(rig, img->node[NODE_HARD], 0, 10);
}

static void others_build(struct rig *rig, struct image *img)
{
	char target[4000];
	struct zus_new new = { .mode = S_IFLNK | 0777, .symlink = { target, 4000 } };
	struct zus_attr attr;

	memset(target, 't', sizeof(target));
	CHECK_EQ(rig->fs->ops->link(rig->fs, img->node[NODE_HARD], ROOT, rig_name("hard2"), &attr), 0);
	rig->fs->ops->forget(rig->fs, attr.node, 1);
	img->node[NODE_LINK] = rig_mknod(rig, ROOT, "link", S_IFLNK | 0777);
	CHECK_EQ(rig->fs->ops->create(rig->fs, ROOT, rig_name("long"), &new, &attr), 0);
	rig->fs->ops->forget(rig->fs, attr.node, 1);
	img->node[NODE_LONG] = attr.node;
	img->node[NODE_XSMALL] = rig_mknod(rig, ROOT, "xsmall", S_IFREG | 0644);
	xattr_put(rig, img->node[NODE_XSMALL], "user.a", 10);
	img->node[NODE_XBIG] = rig_mknod(rig, ROOT, "xbig", S_IFREG | 0644);
	xattr_put(rig, img->node[NODE_XBIG], "user.big", 6000);
	xattr_put(rig, img->node[NODE_XBIG], "user.mid", 3000);
	acl_put(rig, img->node[NODE_XBIG]);
	img->node[NODE_DIR] = rig_mknod(rig, ROOT, "dir", S_IFDIR | 0755);
	img->node[NODE_SUB] = rig_mknod(rig, img->node[NODE_DIR], "sub", S_IFDIR | 0755);
	rig_mknod(rig, img->node[NODE_DIR], "file", S_IFREG | 0644);
	rig_mknod(rig, ROOT, "empty", S_IFDIR | 0755);
}

/* Long names until one more makes a second bucket; then without that one. */
static void full_build(struct rig *rig, struct image *img)
{
	uint64_t dir = rig_mknod(rig, ROOT, "full", S_IFDIR | 0755);
	struct zus_attr attr;
	char name[256];

	img->node[NODE_FULL] = dir;
	for (int i = 0;; i++) {
		void *before = malloc(img->size);

		CHECK(before);
		memcpy(before, rig->pm->base, img->size);
		memset(name, 'n', 240);
		snprintf(name + 240, sizeof(name) - 240, "%d", i);
		rig_mknod(rig, dir, name, S_IFREG | 0644);
		CHECK_EQ(rig->fs->ops->getattr(rig->fs, dir, &attr), 0);
		if (attr.blocks > 8) {
			fs_abandon(fs_of(rig->fs));
			rig->pm = rig_copy(before, img->size);
			CHECK_EQ(pmfs2_mount_pmem(rig->pm, NULL, 0, &rig->fs), 0);
			free(before);
			return;
		}
		free(before);
	}
}

/* Every inode of the chunks that are there is used. */
static void inodes_fill(struct rig *rig)
{
	uint64_t dir = rig_mknod(rig, ROOT, "inodes", S_IFDIR | 0755);
	struct zus_statfs st;
	char name[16];

	for (int i = 0;; i++) {
		CHECK_EQ(rig->fs->ops->statfs(rig->fs, &st), 0);
		if (!((st.files - st.ffree) % (PMFS2_CHUNK_INODES - 1)))
			return;
		snprintf(name, sizeof(name), "i%d", i);
		rig_mknod(rig, dir, name, S_IFREG | 0644);
	}
}

/* What the process keeps for the devices that are open at once is there before memory is counted. */
static void devices_warm(void)
{
	struct pmem *pm[4];

	for (size_t i = 0; i < ARRAY_SIZE(pm); i++)
		CHECK_EQ(pmem_open_anon(MIB, &pm[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pm); i++)
		pmem_close(pm[i]);
}

void image_build(struct image *img, uint64_t size)
{
	struct rig rig;

	devices_warm();
	rig = rig_new(size, 0);
	img->size = rig.pm->size;
	files_build(&rig, img);
	others_build(&rig, img);
	full_build(&rig, img);
	inodes_fill(&rig);
	journal_checkpoint(fs_of(rig.fs));
	img->bytes = malloc(img->size);
	CHECK(img->bytes);
	memcpy(img->bytes, rig.pm->base, img->size);
	rig.fs->ops->unmount(rig.fs);
}

void image_free(struct image *img)
{
	free(img->bytes);
}

void scene_open(struct scene *sc, const struct image *img)
{
	memset(sc, 0, sizeof(*sc));
	sc->node = img->node;
	sc->rig.pm = rig_copy(img->bytes, img->size);
	CHECK_EQ(pmfs2_mount_pmem(sc->rig.pm, NULL, 0, &sc->rig.fs), 0);
}

void scene_release(struct scene *sc)
{
	while (sc->n_held)
		sc->rig.fs->ops->forget(sc->rig.fs, sc->held[--sc->n_held], 1);
}

void scene_close(struct scene *sc)
{
	sc->rig.fs->ops->unmount(sc->rig.fs);
}
