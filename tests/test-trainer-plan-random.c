/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Plans of random queues are what a slow planner makes of them, and parts of a
   plan make the whole. */

#include "lib.h"
#include "test-common.h"
#include "trainer-plan.h"
#include "test-trainer-plan.h"

/* The slow one, which knows no limits. */

enum naive_action {
	NAIVE_NOTHING = 0,
	NAIVE_TEACH,
	NAIVE_CANCEL,
};

struct naive_job {
	struct trainer_tx *tx;
	unsigned int idx;
	enum naive_action action;
	bool seen;
};

static ARRAY(struct naive_job) naive;
static int64_t naive_next;

static struct trainer_job *naive_get(const struct naive_job *nj)
{
	return &nj->tx->jobs[nj->idx];
}

static bool naive_due(const struct naive_job *nj, int64_t now)
{
	const struct trainer_job *job = naive_get(nj);
	const int64_t due =
		job->next_try != 0 ? job->next_try : nj->tx->born + DELAY;

	if (due > now)
		naive_next = I_MIN(naive_next, due);
	return due <= now;
}

/* All lessons of the message that this is the first one of. */
static void naive_message(struct naive_job *first, struct naive_job *end,
			  int64_t now)
{
	const struct trainer_job *job = naive_get(first);
	const bool due = naive_due(first, now);
	struct antispam_transition net = job->change;
	struct naive_job *nj, *last = first;
	enum antispam_verdict verdict;
	bool joined = job->next_try == 0;
	const char *reason;

	if (due)
		first->action = NAIVE_TEACH;
	for (nj = first + 1; nj < end; nj++) {
		if (memcmp(naive_get(nj)->key, job->key, sizeof(job->key)) != 0)
			continue;
		nj->seen = TRUE;
		joined = joined && naive_get(nj)->next_try == 0 &&
			nj->tx->born <= first->tx->born + DELAY;
		if (!joined || !due)
			continue;
		last->action = NAIVE_CANCEL;
		last = nj;
		net.to = naive_get(nj)->change.to;
		verdict = antispam_transition_judge(&net, ANTISPAM_APPEND_YES,
						    &reason);
		nj->action = verdict == ANTISPAM_VERDICT_NONE ? NAIVE_CANCEL :
								NAIVE_TEACH;
	}
}

static void
naive_keyless(struct naive_job *first, struct naive_job *end, int64_t now)
{
	static const unsigned char none[TRAINER_KEY_SIZE];
	const struct naive_job *taught = NULL;
	struct naive_job *nj;
	bool closed = FALSE;

	for (nj = first; nj < end; nj++) {
		if (memcmp(naive_get(nj)->key, none, sizeof(none)) != 0)
			continue;
		nj->seen = TRUE;
		if (!naive_due(nj, now))
			continue;
		closed = closed ||
			(taught != NULL &&
			 naive_get(taught)->spam != naive_get(nj)->spam);
		if (closed) {
			naive_next = I_MIN(naive_next, now);
			continue;
		}
		taught = nj;
		nj->action = NAIVE_TEACH;
	}
}

static void naive_plan(int64_t now)
{
	struct naive_job *nj, *end;
	struct trainer_tx *tx;
	unsigned int i;

	array_clear(&naive);
	naive_next = NEVER;
	array_foreach_elem(&queue, tx) {
		for (i = 0; i < tx->count; i++) {
			if (tx->gone || tx->jobs[i].settled)
				continue;
			nj = array_append_space(&naive);
			nj->tx = tx;
			nj->idx = i;
		}
	}
	if (array_count(&naive) == 0)
		return;
	nj = array_front_modifiable(&naive);
	end = nj + array_count(&naive);
	naive_keyless(nj, end, now);
	for (; nj < end; nj++) {
		if (!nj->seen)
			naive_message(nj, end, now);
	}
}

static enum naive_action naive_action(const struct trainer_step *step)
{
	return step->action == TRAINER_TEACH ? NAIVE_TEACH : NAIVE_CANCEL;
}

/* Some messages, each with some lessons, in an order that users can make. */
static void random_queue(void)
{
	static const char *const keys = "abcdefghijklmnop-";
	char place[20];
	unsigned int i, j, letters, txs = i_rand_limit(20);
	int64_t born = -(int64_t)i_rand_limit(40);
	struct trainer_tx *tx;
	char text[4] = "";

	memset(place, 'o', sizeof(place));
	letters = 1 + i_rand_limit(strlen(keys));
	for (i = 0; i < txs; i++) {
		born += i_rand_limit(4) * i_rand_limit(4);
		tx = tx_create(born, 1 + i_rand_limit(4));
		tx->gone = i_rand_limit(10) == 0;
		for (j = 0; j < tx->count; j++) {
			unsigned int k = strlen(keys) - 1 -
				i_rand_limit(letters);

			text[0] = keys[k];
			text[1] = "oosu+"[i_rand_limit(5)];
			if (place[k] == 's')
				text[1] = 's';
			text[2] = text[1] == 's' ? 'o' : 's';
			if (text[1] == 'u' && i_rand_limit(2) == 0)
				text[2] = 'o';
			place[k] = text[2];
			job_init(&tx->jobs[j], text);
			tx->jobs[j].settled = i_rand_limit(8) == 0;
			if (i_rand_limit(6) == 0)
				tx->jobs[j].next_try = 1 + i_rand_limit(60);
		}
	}
}

static bool plan_equals_naive(const struct trainer_plan *plan)
{
	const struct naive_job *nj;
	const struct trainer_step *steps;
	unsigned int i = 0, count;

	steps = array_get(&plan->steps, &count);
	array_foreach(&naive, nj) {
		if (nj->action == NAIVE_NOTHING)
			continue;
		if (i == count || steps[i].tx != nj->tx ||
		    steps[i].job != nj->idx ||
		    naive_action(&steps[i]) != nj->action)
			return FALSE;
		i++;
	}
	return i == count;
}

static void test_against_naive(void)
{
	struct trainer_plan plan;
	unsigned int i;

	test_begin("plan: as a slow one plans");
	i_array_init(&queue, 8);
	i_array_init(&plan.steps, 8);
	i_array_init(&naive, 64);
	for (i = 0; i < 3000; i++)
		T_BEGIN {
			int64_t now = i_rand_limit(100);

			random_queue();
			naive_plan(now);
			trainer_plan(&queue, now, &unlimited, &plan);
			test_assert_idx(plan_equals_naive(&plan), i);
			test_assert_idx(plan.next == naive_next, i);
			queue_clear();
		} T_END;
	array_free(&naive);
	array_free(&plan.steps);
	array_free(&queue);
	test_end();
}

/* Do the steps of a plan. Returns FALSE if one of them is not for a job that
   waits, or was planned otherwise without limits. */
static bool
settle_steps(const struct trainer_plan *plan, const char *all_steps)
{
	const char *const *steps = t_strsplit(steps_text(plan), " ");
	const char *const *all = t_strsplit(all_steps, " ");
	const struct trainer_step *step;

	for (; *steps != NULL; steps++) {
		if (!str_array_find(all, *steps))
			return FALSE;
	}
	array_foreach(&plan->steps, step) {
		if (step->tx->gone || step->tx->jobs[step->job].settled)
			return FALSE;
		step->tx->jobs[step->job].settled = TRUE;
	}
	return TRUE;
}

static unsigned int planned_txs(const struct trainer_plan *plan)
{
	const struct trainer_step *step;
	const struct trainer_tx *last = NULL;
	unsigned int count = 0;

	array_foreach(&plan->steps, step) {
		if (step->tx != last)
			count++;
		last = step->tx;
	}
	return count;
}

/* How a plan that is cut goes on until nothing is due: each part is what the
   whole would be. */
static bool check_limited(int64_t now, const struct trainer_plan_limits *limits,
			  struct trainer_plan *plan, struct trainer_plan *all)
{
	const char *all_text;
	unsigned int rounds;

	for (rounds = 0; rounds < 200; rounds++) {
		trainer_plan(&queue, now, &unlimited, all);
		trainer_plan(&queue, now, limits, plan);
		all_text = steps_text(all);
		if (array_count(&all->steps) == 0)
			return array_count(&plan->steps) == 0 &&
				plan->next == all->next && plan->next > now;
		if (array_count(&plan->steps) == 0 ||
		    !settle_steps(plan, all_text))
			return FALSE;
		/* something was left, so there is no time to lose */
		if (array_count(&plan->steps) < array_count(&all->steps) &&
		    plan->next > now)
			return FALSE;
	}
	return FALSE;
}

static void test_limited(void)
{
	struct trainer_plan_limits limits = unlimited;
	struct trainer_plan plan, all;
	unsigned int i;

	test_begin("plan: parts of it make the whole");
	i_array_init(&queue, 8);
	i_array_init(&plan.steps, 8);
	i_array_init(&all.steps, 8);
	for (i = 0; i < 2000; i++)
		T_BEGIN {
			limits.max_steps = 1 + i_rand_limit(8);
			limits.max_txs = 1 + i_rand_limit(4);
			random_queue();
			test_assert_idx(check_limited(i_rand_limit(100), &limits, &plan,
						      &all),
					i);
			queue_clear();
		} T_END;
	array_free(&all.steps);
	array_free(&plan.steps);
	array_free(&queue);
	test_end();
}

/* A thousand messages: no more than the limits say, where nothing is taken
   back. */
static void test_many(void)
{
	const struct trainer_plan_limits limits = {
		.delay_usecs = DELAY,
		.max_steps = 50,
		.max_txs = 7,
	};
	struct trainer_plan plan;
	unsigned int i, j, planned = 0, rounds = 0;
	struct trainer_tx *tx;

	test_begin("plan: very many");
	i_array_init(&queue, 8);
	i_array_init(&plan.steps, 8);
	for (i = 0; i < 100; i++) {
		tx = tx_create(i, 10);
		for (j = 0; j < tx->count; j++) {
			job_init(&tx->jobs[j], "aos");
			trainer_plan_key(t_strdup_printf("%u.%u", i, j),
					 tx->jobs[j].key);
		}
	}
	do {
		trainer_plan(&queue, 1000, &limits, &plan);
		test_assert_idx(array_count(&plan.steps) == 50, rounds);
		test_assert_idx(planned_txs(&plan) == 5, rounds);
		planned += array_count(&plan.steps);
		test_assert(settle_steps(&plan, steps_text(&plan)));
	} while (++rounds < 100 && plan.next <= 1000);
	test_assert(planned == 1000 && rounds == 20);
	queue_clear();
	array_free(&plan.steps);
	array_free(&queue);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_against_naive,
		test_limited,
		test_many,
		NULL
	};

	return test_run(tests);
}
