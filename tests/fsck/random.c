/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many defects at once: the golden image with up to 64 random ones in its metadata (bits, words, pieces and whole blocks of other
 * structures). A repair of everything leaves nothing, a check behind it finds nothing, and a mount reads everything.
 *
 *	random [N]	N images (default 300); TAP_SEED replays
 */
#include <string.h>
#include <time.h>

#include "golden.h"

#define META_BLOCKS 125u /* from block 1 on: journal, bitmaps, and what the engine puts first */
#define SAVED_BLOCKS 2300u /* all that a repair may change of the image, but the last block */

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

static uint8_t *random_block(const struct golden *g, uint64_t *seed)
{
	return golden_block(g, 1 + next_random(seed) % META_BLOCKS);
}

static void damage_once(const struct golden *g, uint64_t *seed)
{
	uint8_t *block = random_block(g, seed), *other = random_block(g, seed);
	uint32_t off = (uint32_t)(next_random(seed) % PMFS2_BLOCK_WORDS) * 8;
	uint64_t word = next_random(seed) << 33 ^ next_random(seed);

	switch (next_random(seed) % 6) {
	case 0:
		block[off] ^= (uint8_t)(1u << word % 8);
		break;
	case 1:
		memcpy(block + off, &word, sizeof(word));
		break;
	case 2:
		memset(block + off, 0, 8);
		break;
	case 3:
		memcpy(block + off, other + word % PMFS2_BLOCK_WORDS * 8, 8);
		break;
	case 4:
		memmove(block + off / 256 * 256, other + word % 16 * 256, 256);
		break;
	default:
		if (word % 4 == 0)
			memmove(block, other, PMFS2_BLOCK_SIZE);
		break;
	}
}

static int run(struct pmem *pm, enum fsck_mode mode, struct fsck_result *res)
{
	const struct fsck_options opt = { .mode = mode, .force = 1, .threads = 1 };

	return fsck_run(pm, &opt, res);
}

/* NULL, or what is wrong. */
static const char *repair_once(struct pmem *pm, FILE *nowhere)
{
	struct fsck_result res;

	if (run(pm, FSCK_YES, &res))
		return "the repair fails";
	if (res.n_left)
		return "the repair leaves something";
	if (run(pm, FSCK_CHECK, &res) || res.n_found || res.records || res.intents)
		return "a check behind the repair finds something";
	return golden_walk(pm, nowhere) ? "a mount behind the repair fails, or meets damage" : NULL;
}

int main(int argc, char **argv)
{
	const char *text = getenv("TAP_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL), last = (GOLDEN_BYTES >> PMFS2_BLOCK_SHIFT) - 1;
	int n = argc > 1 ? atoi(argv[1]) : 300, failed = 0;
	uint8_t *saved = malloc(GOLDEN_BYTES);
	FILE *nowhere = fopen("/dev/null", "we");
	struct golden g;
	struct pmem *pm;

	if (!saved || !nowhere || pmem_open_anon(GOLDEN_BYTES, &pm))
		return 1;
	golden_make(pm, GOLDEN_MANY, &g);
	memcpy(saved, pm->base, GOLDEN_BYTES);
	for (int i = 0; i < n; i++) {
		uint64_t state = seed + (uint64_t)i;
		const char *bad;

		memcpy(pm->base, saved, SAVED_BLOCKS << PMFS2_BLOCK_SHIFT);
		memcpy(pm->base + (last << PMFS2_BLOCK_SHIFT), saved + (last << PMFS2_BLOCK_SHIFT), PMFS2_BLOCK_SIZE);
		for (uint64_t k = next_random(&state) % (1u << next_random(&state) % 7) + 1; k; k--)
			damage_once(&g, &state);
		bad = repair_once(pm, nowhere);
		if (bad)
			printf("# TAP_SEED=%llu random 1: %s\n", (unsigned long long)(seed + (uint64_t)i), bad);
		failed += bad != NULL;
	}
	printf("1..1\n%sok 1 - random_damage_of_%d_images_is_repaired # seed %llu\n", failed ? "not " : "", n,
	       (unsigned long long)seed);
	fclose(nowhere);
	free(saved);
	pmem_close(pm);
	return failed != 0;
}
