/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories: the trie of buckets against a reference in memory, iteration while it changes, damage. */
#include "dir_rig.h"
#include "pmfs2/siphash.h"

static void rig_new(struct rig *r, uint64_t size)
{
	struct pmem *pm;

	CHECK_EQ(pmem_open_anon(size, &pm), 0);
	rig_format(r, pm, 64);
}

/* --- hashes and words -------------------------------------------------------------------------------------------------------- */

static void siphash13_gives_reference_values(void)
{
	static const uint64_t zero_key[2] = { 0, 0 };
	static const uint64_t key[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
	char xs[255];

	memset(xs, 'x', sizeof(xs));
	CHECK(siphash13(zero_key, "a", 1) == 0x407448d2b89b1813ull);
	CHECK(siphash13(zero_key, "abcdefg", 7) == 0x6db12aae9070f506ull);
	CHECK(siphash13(zero_key, "abcdefgh", 8) == 0x3f7b849c0b8e35eaull);
	CHECK(siphash13(zero_key, "hello, world.txt", 16) == 0x1cc45fa505e5f0d4ull);
	CHECK(siphash13(zero_key, xs, 255) == 0x4bd34c40ef7d284bull);
	CHECK(siphash13(key, "", 0) == 0xabac0158050fc4dcull);
}

static void map_entry_any_flipped_bit_is_detected(void)
{
	uint64_t seed = tap_seed();
	struct entry out;

	for (int round = 0; round < 2000; round++) {
		const struct entry_pos pos = { .owner = tap_rand(&seed) & ((1ull << PMFS2_INO_BITS) - 1), .level = round % 6,
					       .index = tap_rand(&seed) >> 16 };
		const struct entry e = { .block = tap_rand(&seed) & PMFS2_ENTRY_BLOCK_MASK, .kind = 1 + round % 6 };
		uint64_t word = entry_pack(&pos, &e);

		CHECK(entry_unpack(&pos, word, &out));
		CHECK_EQ(out.block, e.block);
		for (int bit = 0; bit < 64; bit++)
			CHECK(!entry_unpack(&pos, word ^ 1ull << bit, &out));
	}
}

static void bucket_dyn_out_of_bounds_is_refused(void)
{
	static const struct bucket_dyn bad[] = {
		{ .slots = 169, .tail = 4096 },
		{ .slots = 1, .tail = 4096, .live = 2 },
		{ .slots = 2, .tail = 64, .live = 1 },
		{ .slots = 1, .tail = 64 },
		{ .slots = 1, .tail = 4092 },
		{ .slots = 1, .tail = 4104 },
		{ .slots = 1, .tail = 65528 },
		{ .slots = 1, .tail = 4000, .dead = 104 },
		{ .slots = 1, .tail = 4000, .dead = 4 },
		{ .slots = 2, .tail = 4000, .live = 2, .dead = 24 }, /* dead bytes, but no dead slot */
		{ .slots = 2, .tail = 4000, .live = 1, .dead = 16 },
		{ .slots = 2, .tail = 3000, .live = 1, .dead = 288 },
		{ .slots = 66, .tail = 4000, .live = 2 }, /* one wrong bit in the number of slots */
	};
	const struct bucket_dyn good = { .slots = 168, .tail = 736, .live = 28, .dead = 3360 };
	struct bucket_dyn out;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(bucket_dyn_unpack(bucket_dyn_pack(&bad[i]), &out) != NULL);
	CHECK(bucket_dyn_unpack(bucket_dyn_pack(&good), &out) == NULL);
	CHECK(!memcmp(&good, &out, sizeof(out)));
}

/* --- against a reference ----------------------------------------------------------------------------------------------------- */

#define NAMES 200000u

/* Name number i: of many lengths, 255 included. */
static void make_name(char buf[256], uint32_t i)
{
	uint32_t len = i % 97 == 0 ? 255 : 6 + i * 7 % 23;

	memset(buf, 'a' + i % 26, len);
	buf[snprintf(buf, 8, "%05x", i)] = '_';
	buf[len] = '\0';
}

struct gather {
	uint8_t *seen; /* by inode number */
	uint64_t n, last_cookie, batch;
	int ordered;
};

static int gather_emit(void *ctx, struct zus_name name, uint64_t ino, uint32_t type, uint64_t next_cookie)
{
	struct gather *g = ctx;
	char want[256];

	if (!g->batch)
		return 0;
	g->batch--;
	CHECK(next_cookie > g->last_cookie);
	g->last_cookie = next_cookie;
	make_name(want, (uint32_t)ino - 1);
	CHECK_EQ(name.len, strlen(want));
	CHECK(!memcmp(name.str, want, name.len));
	CHECK_EQ(type, DT_REG);
	CHECK(!g->seen[ino]);
	g->seen[ino] = 1;
	g->n++;
	return 1;
}

static void check_against(struct rig *r, const uint8_t *present, uint64_t count)
{
	struct gather g = { .seen = calloc(1, NAMES + 2), .batch = UINT64_MAX };

	rig_check(r);
	CHECK_EQ(dir_iterate(&r->fs, r->dir, 0, gather_emit, &g), 0);
	CHECK_EQ(g.n, count);
	CHECK(!memcmp(g.seen + 1, present, NAMES));
	free(g.seen);
}

static void check_lookup(struct rig *r, const uint8_t *present, uint32_t i)
{
	uint64_t ino = 0;
	char name[256];
	int err;

	make_name(name, i);
	err = rig_find(r, name, &ino);
	CHECK_EQ(err, present[i] ? 0 : -ENOENT);
	if (!err)
		CHECK_EQ(ino, i + 1);
}

/* grow: how many of 8 steps insert. */
static void random_steps(struct rig *r, uint8_t *present, uint64_t *count, uint32_t steps, uint32_t grow, uint64_t *seed)
{
	char name[256];

	while (steps--) {
		uint32_t i = tap_rand(seed) % NAMES;

		make_name(name, i);
		check_lookup(r, present, i);
		if (tap_rand(seed) % 8 < grow && !present[i]) {
			CHECK_EQ(rig_insert(r, name, i + 1), 0);
			present[i] = 1;
			++*count;
		} else if (present[i] && tap_rand(seed) % 8 >= grow) {
			CHECK_EQ(rig_remove(r, name), 0);
			present[i] = 0;
			--*count;
		}
	}
}

static void dir_random_changes_match_the_reference(void)
{
	static const struct {
		uint32_t steps, grow;
	} phases[] = { { 100, 7 },    { 1000, 7 },   { 2000, 1 },   { 50000, 8 },
		       { 100000, 4 }, { 300000, 8 }, { 200000, 1 }, { 50000, 6 } };
	uint8_t *present = calloc(1, NAMES);
	uint64_t seed = tap_seed(), count = 0;
	struct rig r;
	char name[256];

	rig_new(&r, 128 * MIB);
	for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
		random_steps(&r, present, &count, phases[p].steps, phases[p].grow, &seed);
		check_against(&r, present, count);
	}
	for (uint32_t i = 0; i < NAMES; i++) {
		if (!present[i])
			continue;
		make_name(name, i);
		CHECK_EQ(rig_remove(&r, name), 0);
	}
	CHECK_EQ(le64_get(r.dir->media->root), 0);
	CHECK_EQ(le64_get(r.dir->media->blocks), 0);
	CHECK_EQ(alloc_free_blocks(&r.fs), r.free_blocks);
	free(present);
	rig_free(&r);
}

/* What is there all the time is seen once, in batches with changes between them. */
static void dir_iterate_while_changing_sees_the_rest_once(void)
{
	uint8_t *present = calloc(1, NAMES), *kept = calloc(1, NAMES);
	uint64_t seed = tap_seed(), count = 0, before;
	struct gather g = { .seen = calloc(1, NAMES + 2) };
	struct rig r;
	char name[256];

	rig_new(&r, 64 * MIB);
	random_steps(&r, present, &count, 30000, 8, &seed);
	memcpy(kept, present, NAMES);
	do {
		before = g.n;
		g.batch = 1 + tap_rand(&seed) % 300;
		CHECK_EQ(dir_iterate(&r.fs, r.dir, g.last_cookie, gather_emit, &g), 0);
		for (int k = 0; k < 400; k++) {
			uint32_t i = tap_rand(&seed) % NAMES;

			make_name(name, i);
			if (present[i] && i % 2) {
				CHECK_EQ(rig_remove(&r, name), 0);
				present[i] = kept[i] = 0;
			} else if (!present[i]) {
				CHECK_EQ(rig_insert(&r, name, i + 1), 0);
				present[i] = 1;
			}
		}
	} while (g.n > before);
	for (uint32_t i = 0; i < NAMES; i++)
		CHECK(!kept[i] || g.seen[i + 1]);
	rig_check(&r);
	free(g.seen);
	free(kept);
	free(present);
	rig_free(&r);
}

static void dir_iterate_from_any_cookie_begins_behind_it(void)
{
	uint8_t *present = calloc(1, NAMES);
	uint64_t seed = tap_seed(), count = 0;
	struct rig r;
	char name[256];

	rig_new(&r, 16 * MIB);
	random_steps(&r, present, &count, 3000, 8, &seed);
	for (int round = 0; round < 60; round++) {
		struct gather g = { .seen = calloc(1, NAMES + 2), .batch = UINT64_MAX };
		uint64_t cookie = round < 3 ? (1ull << 63) - 1 - (uint64_t)round : tap_rand(&seed) >> (1 + round % 8);

		g.last_cookie = cookie;
		CHECK_EQ(dir_iterate(&r.fs, r.dir, cookie, gather_emit, &g), 0);
		for (uint32_t i = 0; i < NAMES; i++) {
			make_name(name, i);
			if (present[i])
				CHECK_EQ(g.seen[i + 1], dir_hash(&r.fs, name_of(name)) > cookie);
		}
		free(g.seen);
	}
	free(present);
	rig_free(&r);
}

/* --- single cases ------------------------------------------------------------------------------------------------------------ */

static void dir_rename_of_the_only_entry_works_in_both_orders(void)
{
	struct rig r;
	uint64_t ino;

	rig_new(&r, 8 * MIB);
	CHECK_EQ(rig_insert(&r, "a", 7), 0);
	for (int round = 0; round < 400; round++) {
		rig_rename(&r, round & 1 ? "b" : "a", round & 1 ? "a" : "b", round >> 1 & 1);
		CHECK_EQ(rig_find(&r, round & 1 ? "a" : "b", &ino), 0);
		CHECK_EQ(ino, 7);
		CHECK_EQ(rig_find(&r, round & 1 ? "b" : "a", &ino), -ENOENT);
		rig_check(&r);
	}
	rig_free(&r);
}

static void dir_rename_in_a_large_directory_works_in_both_orders(void)
{
	uint64_t seed = tap_seed(), ino;
	char from[256], to[256];
	struct rig r;

	rig_new(&r, 32 * MIB);
	for (uint32_t i = 0; i < 3000; i++) {
		make_name(from, i);
		CHECK_EQ(rig_insert(&r, from, i + 1), 0);
	}
	/* Down to few entries in many buckets, where buckets and nodes come and go. */
	for (uint32_t i = 0; i < 2980; i++) {
		make_name(from, i);
		CHECK_EQ(rig_remove(&r, from), 0);
	}
	make_name(from, 2999);
	for (uint32_t round = 0; round < 3000; round++) {
		make_name(to, (uint32_t)(10000 + tap_rand(&seed) % 100000));
		if (!rig_find(&r, to, &ino))
			continue;
		rig_rename(&r, from, to, round & 1);
		CHECK_EQ(rig_find(&r, to, &ino), 0);
		CHECK_EQ(ino, 3000);
		rig_check(&r);
		strcpy(from, to);
	}
	rig_free(&r);
}

static void dir_replace_changes_inode_and_type(void)
{
	struct inode_edit edit;
	struct dir_entry e;
	struct rig r;
	struct tx tx;
	char name[256];

	rig_new(&r, 8 * MIB);
	for (uint32_t len = 1; len < 256; len++) {
		memset(name, 'n', len);
		name[len] = '\0';
		CHECK_EQ(rig_insert(&r, name, len), 0);
		CHECK_EQ(dir_lookup(&r.fs, r.dir, name_of(name), &e), 0);
		tx_begin(&tx, &r.fs);
		inode_edit_begin(&edit, r.dir);
		dir_replace(&tx, &edit, &e, name_of(name), len + 1000, DT_DIR);
		CHECK_EQ(tx_commit(&tx), 0);
		CHECK_EQ(dir_lookup(&r.fs, r.dir, name_of(name), &e), 0);
		CHECK_EQ(e.ino, len + 1000);
		CHECK_EQ(e.type, DT_DIR);
	}
	rig_check(&r);
	rig_free(&r);
}

/* A long name whose hash begins with bits zero bits. */
static void find_prefix(struct rig *r, char name[256], uint32_t bits, uint32_t *counter)
{
	memset(name, 'p', 200);
	name[200] = '\0';
	do {
		name[snprintf(name, 16, "%010u", ++*counter)] = 'p';
	} while (dir_hash(&r->fs, name_of(name)) >> (63 - bits));
}

/* Entries that differ late need nodes between; removing them takes the nodes away again. */
static void dir_split_far_below_makes_a_chain_of_nodes(void)
{
	char names[40][256], other[256] = "other";
	uint32_t counter = 0;
	uint64_t ino;
	struct rig r;

	rig_new(&r, 8 * MIB);
	while (!(dir_hash(&r.fs, name_of(other)) >> 62))
		other[snprintf(other, 16, "o%u", ++counter)] = '\0';
	for (int i = 0; i < 40; i++) {
		find_prefix(&r, names[i], 13, &counter);
		CHECK_EQ(rig_insert(&r, names[i], (uint64_t)i + 1), 0);
		rig_check(&r);
	}
	CHECK(le64_get(r.dir->media->blocks) >= 4);
	CHECK_EQ(rig_insert(&r, other, 99), 0);
	rig_check(&r);
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(rig_find(&r, names[i], &ino), 0);
		CHECK_EQ(ino, i + 1);
	}
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(rig_remove(&r, names[i]), 0);
		rig_check(&r);
	}
	CHECK_EQ(le64_get(r.dir->media->blocks), 2);
	CHECK_EQ(rig_find(&r, other, &ino), 0);
	CHECK_EQ(rig_remove(&r, other), 0);
	CHECK_EQ(le64_get(r.dir->media->root), 0);
	rig_free(&r);
}

static void dir_churn_in_one_bucket_compacts_instead_of_splitting(void)
{
	uint64_t seed = tap_seed();
	char name[256];
	struct rig r;

	rig_new(&r, 8 * MIB);
	for (uint32_t i = 0; i < 20; i++) {
		make_name(name, i * 97 + 1);
		CHECK_EQ(rig_insert(&r, name, i + 1), 0);
	}
	for (uint32_t round = 0; round < 5000; round++) {
		make_name(name, (uint32_t)(tap_rand(&seed) % 20 * 97 + 1));
		CHECK_EQ(rig_remove(&r, name), 0);
		CHECK_EQ(rig_insert(&r, name, round + 1), 0);
	}
	rig_check(&r);
	CHECK_EQ(le64_get(r.dir->media->blocks), 1);
	rig_free(&r);
}

static void dir_on_a_full_device_says_enospc_and_still_removes(void)
{
	uint8_t *present = calloc(1, NAMES);
	struct rig r;
	uint32_t i;
	char name[256];
	int err = 0;

	rig_new(&r, 8 * MIB);
	for (i = 0; i < NAMES && !err; i++) {
		make_name(name, i);
		err = rig_insert(&r, name, i + 1);
		present[i] = !err;
	}
	CHECK_EQ(err, -ENOSPC);
	check_against(&r, present, i - 1);
	for (i = 0; present[i]; i++) {
		make_name(name, i);
		CHECK_EQ(rig_remove(&r, name), 0);
	}
	CHECK_EQ(alloc_free_blocks(&r.fs), r.free_blocks);
	rig_free(&r);
}

static void dir_insert_and_remove_take_one_fence(void)
{
	char names[3][8] = { "one", "two", "three" };
	struct pmem *pm;
	struct rig r;

	CHECK_EQ(pmem_sim_new(16 * MIB, 0, &pm), 0);
	rig_format(&r, pm, 64);
	for (int i = 0; i < 3; i++) {
		pmem_sim_reset_counts(pm);
		CHECK_EQ(rig_insert(&r, names[i], 5), 0);
		CHECK_EQ(pmem_sim_counts(pm).fences, 1);
	}
	for (int i = 0; i < 3; i++) {
		pmem_sim_reset_counts(pm);
		CHECK_EQ(rig_remove(&r, names[i]), 0);
		CHECK_EQ(pmem_sim_counts(pm).fences, 1);
	}
	CHECK_EQ(rig_insert(&r, names[0], 5), 0);
	pmem_sim_reset_counts(pm);
	rig_rename(&r, names[0], names[1], 1);
	CHECK_EQ(pmem_sim_counts(pm).fences, 1);
	rig_free(&r);
}

/* --- damage ------------------------------------------------------------------------------------------------------------------ */

#define SMALL 110u

struct plain {
	uint64_t n, sum;
};

static int plain_emit(void *ctx, struct zus_name name, uint64_t ino, uint32_t type, uint64_t next_cookie)
{
	struct plain *p = ctx;

	p->n++;
	p->sum += ino * ino + name.len;
	return 1;
}

/* Every function on a directory with a flipped bit: right, or -EUCLEAN, or (a lookup only) not found. */
static void poke_all(struct rig *r, const struct plain *want, int sound)
{
	struct inode_edit edit;
	struct plain got = { 0 };
	struct dir_entry e;
	struct tx tx;
	char name[256];
	int err;

	err = dir_iterate(&r->fs, r->dir, 0, plain_emit, &got);
	CHECK(err == -EUCLEAN || (!err && got.n == want->n && got.sum == want->sum));
	CHECK(!sound || !err);
	for (uint32_t i = 0; i < SMALL; i += 7) {
		make_name(name, i);
		err = dir_lookup(&r->fs, r->dir, name_of(name), &e);
		CHECK(err ? err == -EUCLEAN || err == -ENOENT : e.ino == i + 1);
		if (!err) {
			tx_begin(&tx, &r->fs);
			inode_edit_begin(&edit, r->dir);
			err = dir_remove(&tx, &edit, &e);
			CHECK(!err || err == -EUCLEAN);
			tx_drop(&tx);
		}
	}
	for (uint32_t i = 1000; i < 1003; i++) {
		make_name(name, i);
		tx_begin(&tx, &r->fs);
		inode_edit_begin(&edit, r->dir);
		err = dir_insert(&tx, &edit, name_of(name), i, DT_REG);
		CHECK(!err || err == -EUCLEAN || err == -ENOSPC);
		tx_drop(&tx);
	}
	atomic_store(&r->fs.damaged, 0);
}

static void small_dir(struct rig *r, struct plain *want)
{
	char name[256];

	rig_new(r, 8 * MIB);
	memset(want, 0, sizeof(*want));
	for (uint32_t i = 0; i < SMALL; i++) {
		make_name(name, i);
		CHECK_EQ(rig_insert(r, name, i + 1), 0);
	}
	for (uint32_t i = 3; i < SMALL; i += 9) { /* dead entries, too */
		make_name(name, i);
		CHECK_EQ(rig_remove(r, name), 0);
	}
	CHECK_EQ(dir_iterate(&r->fs, r->dir, 0, plain_emit, want), 0);
	poke_all(r, want, 1);
}

static void block_flip_all(struct rig *r, uint64_t block, const struct plain *want)
{
	uint8_t *bytes = r->fs.pm->base + block * PMFS2_BLOCK_SIZE;

	for (uint32_t bit = 0; bit < PMFS2_BLOCK_SIZE * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		poke_all(r, want, 0);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	poke_all(r, want, 1);
}

static void dir_every_flipped_bit_is_found_or_harmless(void)
{
	struct plain want;
	struct entry e;
	struct rig r;
	uint64_t last = 0;

	small_dir(&r, &want);
	CHECK(le64_get(r.dir->media->blocks) >= 3);
	e.block = le64_get(r.dir->media->root) & PMFS2_ENTRY_BLOCK_MASK;
	block_flip_all(&r, e.block, &want);
	const le64 *node = fs_block(&r.fs, e.block);
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++) {
		uint64_t block = le64_get(node[i]) & PMFS2_ENTRY_BLOCK_MASK;

		if (block && block != last)
			block_flip_all(&r, block, &want);
		last = block;
	}
	rig_free(&r);
}

/* Gives all entries of the bucket one hash, as only an image that was made so has. Returns how many there are. */
static uint32_t hashes_make_equal(struct pmfs2_bucket *b)
{
	uint64_t hash = le64_get(b->prefix) + 0x12345678, owner = le64_get(b->owner);
	struct bucket_dyn dyn;

	CHECK(!bucket_dyn_unpack(le64_get(b->dyn), &dyn));
	for (uint32_t slot = 0; slot < dyn.slots; slot++) {
		le64 *word = (le64 *)(uintptr_t)bucket_slot_word(b, slot);
		uint32_t off = bucket_slot_off(bucket_slot_of(le64_get(*word), slot));
		struct pmfs2_dirent *de = (struct pmfs2_dirent *)((uint8_t *)b + off);
		uint64_t ino_type = le64_get(de->ino_type);

		de->hash = le64_of(hash);
		de->crc = le32_of(dirent_crc(owner, ino_type, hash, (struct zus_name){ de->name, ino_type >> 48 & 0xff }));
		*word = le64_of(bucket_slot_set(le64_get(*word), slot, bucket_slot_value(off, hash)));
	}
	b->sum = le64_of(bucket_slots_sum(b, dyn.slots));
	return dyn.slots;
}

struct answer {
	uint64_t room, n, cookie;
};

static int answer_emit(void *ctx, struct zus_name name, uint64_t ino, uint32_t type, uint64_t next_cookie)
{
	struct answer *a = ctx;

	if (!a->room)
		return 0;
	a->room--;
	a->n++;
	a->cookie = next_cookie;
	return 1;
}

static void dir_of_equal_hashes_is_listed_to_an_end(void)
{
	char name[256];
	struct rig r;

	rig_new(&r, 8 * MIB);
	for (uint32_t i = 0; i < 50; i++) {
		make_name(name, i);
		CHECK_EQ(rig_insert(&r, name, i + 1), 0);
	}
	uint64_t block = le64_get(r.dir->media->root) & PMFS2_ENTRY_BLOCK_MASK;
	CHECK_EQ(hashes_make_equal((struct pmfs2_bucket *)(r.fs.pm->base + block * PMFS2_BLOCK_SIZE)), 50);
	for (uint64_t room = 1; room <= 51; room += 10) {
		struct answer a = { .n = 1 };
		uint64_t sum = 0, answers = 0;

		while (a.n && answers++ < 1000) {
			a = (struct answer){ .room = room, .cookie = a.cookie };
			CHECK_EQ(dir_iterate(&r.fs, r.dir, a.cookie, answer_emit, &a), 0);
			sum += a.n;
		}
		CHECK(answers < 1000);
		CHECK(room <= 50 || sum == 50);
	}
	rig_free(&r);
}

static void dir_garbage_words_never_crash(void)
{
	uint64_t seed = tap_seed();
	struct plain want;
	struct rig r;

	small_dir(&r, &want);
	uint64_t root = le64_get(r.dir->media->root) & PMFS2_ENTRY_BLOCK_MASK;
	uint64_t bucket = le64_get(((const le64 *)fs_block(&r.fs, root))[0]) & PMFS2_ENTRY_BLOCK_MASK;
	CHECK(bucket != 0);
	le64 *words = (le64 *)(r.fs.pm->base + bucket * PMFS2_BLOCK_SIZE);
	for (int round = 0; round < 200000; round++) {
		/* the dyn word, a slot word, or anything */
		uint32_t at = round % 3 == 0 ? 6 : (uint32_t)(round % 3 == 1 ? 8 + tap_rand(&seed) % 20 : tap_rand(&seed) % 512);
		le64 saved = words[at];
		struct plain got = { 0 };
		struct dir_entry e;
		char name[256];
		int err;

		words[at] = le64_of(tap_rand(&seed) & tap_rand(&seed) & 0x0fff0fff0fff0fffull);
		make_name(name, (uint32_t)round % SMALL);
		err = dir_lookup(&r.fs, r.dir, name_of(name), &e);
		CHECK(!err || err == -ENOENT || err == -EUCLEAN);
		err = dir_iterate(&r.fs, r.dir, 0, plain_emit, &got);
		CHECK(err == -EUCLEAN || (!err && got.n == want.n && got.sum == want.sum));
		words[at] = saved;
	}
	rig_free(&r);
}

/* Trees with right checks that no honest writer makes. */
static void dir_hostile_trees_end_quickly(void)
{
	struct plain got = { 0 };
	struct dir_entry e;
	struct rig r;
	struct run run;
	uint64_t word;

	rig_new(&r, 8 * MIB);
	CHECK_EQ(alloc_run(&r.fs, 0, 1, 0, &run), 0);
	word = dir_pointer(r.dir->ino, PMFS2_ENTRY_NODE, run.block);
	((struct pmfs2_inode *)(uintptr_t)r.dir->media)->root = le64_of(word);
	le64 *node = (le64 *)(r.fs.pm->base + run.block * PMFS2_BLOCK_SIZE);
	memset(node, 0, PMFS2_BLOCK_SIZE);
	CHECK_EQ(dir_iterate(&r.fs, r.dir, 0, plain_emit, &got), -EUCLEAN); /* a node without entries */
	for (uint32_t i = 0; i < PMFS2_BLOCK_WORDS; i++)
		node[i] = le64_of(word);
	CHECK_EQ(dir_iterate(&r.fs, r.dir, 0, plain_emit, &got), -EUCLEAN); /* a node that holds itself */
	CHECK_EQ(dir_iterate(&r.fs, r.dir, (1ull << 62) + 12345, plain_emit, &got), -EUCLEAN);
	CHECK_EQ(dir_lookup(&r.fs, r.dir, name_of("x"), &e), -EUCLEAN);
	CHECK_EQ(dir_prepare(&r.fs, r.dir, name_of("x")), -EUCLEAN);
	word = dir_pointer(r.dir->ino, PMFS2_ENTRY_BUCKET, r.fs.n_blocks + 5);
	((struct pmfs2_inode *)(uintptr_t)r.dir->media)->root = le64_of(word);
	CHECK_EQ(dir_lookup(&r.fs, r.dir, name_of("x"), &e), -EUCLEAN);
	CHECK_EQ(got.n, 0);
	rig_free(&r);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(siphash13_gives_reference_values),
		TAP_CASE(map_entry_any_flipped_bit_is_detected),
		TAP_CASE(bucket_dyn_out_of_bounds_is_refused),
		TAP_CASE(dir_random_changes_match_the_reference),
		TAP_CASE(dir_iterate_while_changing_sees_the_rest_once),
		TAP_CASE(dir_iterate_from_any_cookie_begins_behind_it),
		TAP_CASE(dir_rename_of_the_only_entry_works_in_both_orders),
		TAP_CASE(dir_rename_in_a_large_directory_works_in_both_orders),
		TAP_CASE(dir_replace_changes_inode_and_type),
		TAP_CASE(dir_split_far_below_makes_a_chain_of_nodes),
		TAP_CASE(dir_churn_in_one_bucket_compacts_instead_of_splitting),
		TAP_CASE(dir_on_a_full_device_says_enospc_and_still_removes),
		TAP_CASE(dir_insert_and_remove_take_one_fence),
		TAP_CASE(dir_every_flipped_bit_is_found_or_harmless),
		TAP_CASE(dir_of_equal_hashes_is_listed_to_an_end),
		TAP_CASE(dir_garbage_words_never_crash),
		TAP_CASE(dir_hostile_trees_end_quickly),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
