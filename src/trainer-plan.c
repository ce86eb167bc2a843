/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "sha2.h"
#include "antispam-transition.h"
#include "trainer-plan.h"

/* The first and the longest wait after a try that failed. Of a lifetime they
   are no more than these parts, so that a short one has several tries. */
#define BACKOFF_FIRST_MSECS (60 * 1000)
#define BACKOFF_MAX_MSECS (60 * 60 * 1000)
#define BACKOFF_FIRST_PART 100
#define BACKOFF_MAX_PART 10

/* The lessons of one message that count as one, or, once they are planned, that
   the message has a lesson which others must wait for. */
struct plan_group {
	const unsigned char *key;
	/* Where the message was before the first of them. */
	struct antispam_transition change;
	/* Until when a lesson belongs to it. */
	int64_t end;
	/* They are due. */
	bool due;
	/* The steps of its lessons so far: the last one, UINT_MAX = none. */
	unsigned int last_step;
};

struct planner {
	const struct trainer_plan_limits *limits;
	int64_t now;
	struct trainer_plan *plan;
	pool_t pool;
	HASH_TABLE(const unsigned char *, struct plan_group *) groups;
	/* Transactions that have steps. */
	unsigned int txs;
	/* Nothing made later belongs to a group that has steps. */
	int64_t last_end;
	/* What the steps for messages without a key teach them as, if there
	   are any. */
	bool keyless, keyless_spam;
	/* No more of those: one of the other kind must come after them. */
	bool keyless_full;
};

void trainer_plan_key(const char *guid,
		      unsigned char key_r[TRAINER_KEY_SIZE])
{
	unsigned char digest[SHA256_RESULTLEN];

	if (guid == NULL) {
		memset(key_r, 0, TRAINER_KEY_SIZE);
		return;
	}
	sha256_get_digest(guid, strlen(guid), digest);
	memcpy(key_r, digest, TRAINER_KEY_SIZE);
}

unsigned int trainer_plan_backoff_msecs(unsigned int attempts,
					unsigned int lifetime_msecs)
{
	unsigned int first = I_MIN(BACKOFF_FIRST_MSECS,
				   lifetime_msecs / BACKOFF_FIRST_PART);
	unsigned int max = I_MIN(BACKOFF_MAX_MSECS,
				 lifetime_msecs / BACKOFF_MAX_PART);
	unsigned int msecs = I_MAX(first, 1);

	for (; attempts > 1 && msecs < max; attempts--)
		msecs *= 2;
	return I_MIN(msecs, I_MAX(max, 1));
}

static unsigned int key_hash(const unsigned char *key)
{
	unsigned int hash;

	/* it is a digest already */
	memcpy(&hash, key, sizeof(hash));
	return hash;
}

static int key_cmp(const unsigned char *a, const unsigned char *b)
{
	return memcmp(a, b, TRAINER_KEY_SIZE);
}

static bool key_is_none(const unsigned char *key)
{
	static const unsigned char none[TRAINER_KEY_SIZE];

	return memcmp(key, none, TRAINER_KEY_SIZE) == 0;
}

/* When a lesson that nothing else holds up may be taught. */
static int64_t job_due(const struct planner *planner,
		       const struct trainer_tx *tx,
		       const struct trainer_job *job)
{
	if (job->next_try != 0)
		return job->next_try;
	return tx->born + planner->limits->delay_usecs;
}

static bool is_due(struct planner *planner, int64_t due)
{
	if (due <= planner->now)
		return TRUE;
	planner->plan->next = I_MIN(planner->plan->next, due);
	return FALSE;
}

static unsigned int planner_step(struct planner *planner, struct trainer_tx *tx,
				 unsigned int job, enum trainer_action action)
{
	struct trainer_step *step =
		array_append_space(&planner->plan->steps);

	step->tx = tx;
	step->job = job;
	step->action = action;
	return array_count(&planner->plan->steps) - 1;
}

/* There are steps enough: the rest follows at once, in the next plan. */
static bool planner_is_full(struct planner *planner)
{
	if (array_count(&planner->plan->steps) < planner->limits->max_steps &&
	    planner->txs < planner->limits->max_txs)
		return FALSE;
	planner->plan->next = I_MIN(planner->plan->next, planner->now);
	return TRUE;
}

/* The first lesson of a message. */
static void plan_first(struct planner *planner, struct trainer_tx *tx,
		       unsigned int idx)
{
	const struct trainer_job *job = &tx->jobs[idx];
	struct plan_group *group = p_new(planner->pool, struct plan_group, 1);

	group->key = job->key;
	group->change = job->change;
	group->due = is_due(planner, job_due(planner, tx, job)) &&
		!planner_is_full(planner);
	group->last_step = UINT_MAX;
	/* after a try the filter may know it: it counts by itself */
	group->end = job->next_try != 0 ?
		INT64_MIN :
		tx->born + planner->limits->delay_usecs;
	if (group->due) {
		group->last_step = planner_step(planner, tx, idx,
						TRAINER_TEACH);
		planner->last_end = I_MAX(planner->last_end, group->end);
	}
	hash_table_insert(planner->groups, group->key, group);
}

/* One more lesson of a message that has a group. */
static void plan_next(struct planner *planner, struct plan_group *group,
		      struct trainer_tx *tx, unsigned int idx)
{
	const struct trainer_job *job = &tx->jobs[idx];
	enum antispam_verdict net;
	struct trainer_step *last;
	const char *reason;

	if (tx->born > group->end || job->next_try != 0) {
		/* it waits for the others, and whatever comes waits for it */
		group->end = INT64_MIN;
		return;
	}
	group->change.to = job->change.to;
	if (!group->due)
		return;
	last = array_idx_modifiable(&planner->plan->steps, group->last_step);
	last->action = TRAINER_CANCEL;
	net = antispam_transition_judge(&group->change, ANTISPAM_APPEND_YES,
					&reason);
	group->last_step = planner_step(
		planner, tx, idx,
		net == ANTISPAM_VERDICT_SPAM || net == ANTISPAM_VERDICT_HAM ?
			TRAINER_TEACH :
			TRAINER_CANCEL);
}

/* It may be about the same message as any other of its kind: spam and ham are
   not mixed, so that they keep their order. */
static void plan_keyless(struct planner *planner, struct trainer_tx *tx,
			 unsigned int idx)
{
	const struct trainer_job *job = &tx->jobs[idx];

	if (!is_due(planner, job_due(planner, tx, job)) ||
	    planner_is_full(planner))
		return;
	if (planner->keyless && planner->keyless_spam != job->spam)
		planner->keyless_full = TRUE;
	if (planner->keyless_full) {
		planner->plan->next = planner->now;
		return;
	}
	planner->keyless = TRUE;
	planner->keyless_spam = job->spam;
	(void)planner_step(planner, tx, idx, TRAINER_TEACH);
}

static void plan_job(struct planner *planner, struct trainer_tx *tx,
		     unsigned int idx)
{
	const struct trainer_job *job = &tx->jobs[idx];
	const unsigned char *key = job->key;
	struct plan_group *group;

	if (job->settled)
		return;
	if (!key_is_none(key)) {
		group = hash_table_lookup(planner->groups, key);
		if (group != NULL)
			plan_next(planner, group, tx, idx);
		else
			plan_first(planner, tx, idx);
		return;
	}
	plan_keyless(planner, tx, idx);
}

void trainer_plan(const ARRAY_TYPE(trainer_tx) *txs, int64_t now,
		  const struct trainer_plan_limits *limits,
		  struct trainer_plan *plan_r)
{
	struct planner planner = {
		.limits = limits,
		.now = now,
		.plan = plan_r,
		.last_end = INT64_MIN,
	};
	struct trainer_tx *tx;
	unsigned int i, steps;

	planner.pool = pool_alloconly_create("trainer plan", 16 * 1024);
	hash_table_create(&planner.groups, planner.pool, 0, key_hash, key_cmp);
	array_clear(&plan_r->steps);
	plan_r->next = INT64_MAX;
	array_foreach_elem(txs, tx) {
		if (tx->gone)
			continue;
		if (tx->born > planner.last_end && planner_is_full(&planner))
			break;
		steps = array_count(&plan_r->steps);
		for (i = 0; i < tx->count; i++)
			plan_job(&planner, tx, i);
		if (array_count(&plan_r->steps) > steps)
			planner.txs++;
	}
	hash_table_destroy(&planner.groups);
	pool_unref(&planner.pool);
}
