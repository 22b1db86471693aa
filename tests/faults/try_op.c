/* SPDX-License-Identifier: BSD-3-Clause */
/* See try_op.h. */
#include "faults/try_op.h"

#include "base/log.h"
#include "faults/fault.h"

struct expected {
	struct tree before, after;
	int result;
};

struct attempt {
	const struct trial *t;
	const struct expected *want;
	uint64_t at; /* the call that fails, from 1 */
	struct scene sc;
	int result;
	int failed; /* calls */
	struct tree found;
	char why[WHY_LEN];
};

static int prepare(const struct trial *t, struct scene *sc)
{
	scene_open(sc, t->img);
	return t->op->prepare && t->op->prepare(sc) < 0;
}

/* The operation without failures: what it returns and what it makes of the tree. */
static int expected_learn(const struct trial *t, struct expected *want, char why[WHY_LEN])
{
	struct scene sc;
	int err = prepare(t, &sc);

	if (!err)
		err = tree_take(&sc.rig, &want->before, why);
	if (err)
		return err;
	want->result = t->op->run(&sc);
	err = tree_take(&sc.rig, &want->after, why);
	scene_release(&sc);
	scene_close(&sc);
	snprintf(why, WHY_LEN, "without a failure: %s", want->result < 0 ? strerror(-want->result) : "the tree cannot be read");
	return want->result < 0 || err;
}

/* The result is one of those that may be, and the tree is the one that belongs to it. */
static int outcome_differs(struct attempt *a)
{
	const struct scene_op *op = a->t->op;
	int refused = a->result == a->t->error, partial = op->flags & OP_PARTIAL && (refused || a->result < a->want->result);

	if (!refused && a->result != a->want->result && !(partial && a->result >= 0)) {
		snprintf(a->why, WHY_LEN, "returned %d (%s)", a->result, a->result < 0 ? strerror(-a->result) : "bytes");
		return 1;
	}
	if (tree_take(&a->sc.rig, &a->found, a->why))
		return 1;
	return tree_differs(refused ? &a->want->before : &a->want->after, &a->found, partial ? op->part : NULL, a->why);
}

static int crash_is_due(const struct trial *t)
{
	static unsigned int n;

	if (getenv("FAULTS_LONG"))
		return 1;
	return t->crash_every && ++n % t->crash_every == 0;
}

/* What is held is given back; then all must add up, now, after a crash, and after an unmount. */
static int rest_differs(struct attempt *a)
{
	struct zus_attr attr;
	int bad;

	scene_release(&a->sc);
	/* What could not be freed for want of memory is freed by the next call that can. */
	if (!rig_lookup(&a->sc.rig, ZUS_NODE_ROOT, "dir", &attr))
		a->sc.rig.fs->ops->getattr(a->sc.rig.fs, attr.node, &attr);
	tree_free(&a->found);
	bad = tree_take(&a->sc.rig, &a->found, a->why);
	if (!bad)
		bad = space_differs(&a->sc.rig, &a->found, a->why);
	if (!bad && crash_is_due(a->t))
		bad = crash_differs(&a->sc.rig, &a->found, a->why);
	return bad;
}

static int attempt_run(struct attempt *a)
{
	int64_t live = fault_live();
	int bad = prepare(a->t, &a->sc);

	if (bad)
		return bad;
	fault_arm(a->t->kinds, a->at, a->t->forever);
	a->result = a->t->op->run(&a->sc);
	a->failed = (int)fault_disarm();
	if (a->failed)
		bad = outcome_differs(a) || rest_differs(a);
	scene_release(&a->sc);
	scene_close(&a->sc);
	tree_free(&a->found);
	if (!bad && fault_live() != live) {
		snprintf(a->why, WHY_LEN, "%lld blocks of memory were not freed", (long long)(fault_live() - live));
		bad = 1;
	}
	return bad;
}

int trial_run(const struct trial *t, struct trial_result *out)
{
	struct expected want = { 0 };
	struct attempt a = { .t = t, .want = &want };
	int bad = expected_learn(t, &want, a.why);

	memset(out, 0, sizeof(*out));
	while (!bad) {
		a.at++;
		bad = attempt_run(&a);
		if (!a.failed)
			break;
		out->n_trials++;
		out->n_refused += a.result == t->error;
		out->n_done += a.result != t->error;
	}
	if (bad)
		printf("# %s, call %llu%s fails, returned %d: %s\n", t->op->name, (unsigned long long)a.at,
		       t->forever ? " and all that follow" : "", a.result, a.why);
	tree_free(&want.before);
	tree_free(&want.after);
	return bad != 0;
}

void trials_run(struct trial t)
{
	struct trial_result res, sum = { 0 };
	struct image img;
	int bad = 0;

	log_set_level(-1);
	image_build(&img, TRIALS_IMAGE_BYTES);
	t.img = &img;
	for (uint32_t i = 0; i < scene_n_ops; i++) {
		t.op = &scene_ops[i];
		bad |= trial_run(&t, &res);
		sum.n_trials += res.n_trials;
		sum.n_refused += res.n_refused;
		sum.n_done += res.n_done;
	}
	printf("# %u operations, %u failed calls: %u refused, %u done without\n", scene_n_ops, sum.n_trials, sum.n_refused,
	       sum.n_done);
	fault_sites_print();
	image_free(&img);
	CHECK(sum.n_trials > 0);
	CHECK(!bad);
}
