/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "doveadm-stats.h"
#include "test-common.h"

#define WAITING ANTISPAM_WALK_WAITING
#define FAILED ANTISPAM_WALK_FAILED

static void test_stats(void)
{
	static const struct {
		uid_t uid;
		const char *username;
		enum antispam_walk_state state;
		int64_t age_secs, wait_secs;
		unsigned int attempts;
		const char *why;
		time_t why_time;
	} jobs[] = {
		{ 1, "a", WAITING, 5, 0, 0, NULL, 0 },
		{ 1, "a", WAITING, 90, 0, 2, "old", 10 },
		{ 1, "a", FAILED, 999, 0, 1, "new", 20 },
		{ 1, "a", FAILED, 0, 0, 1, "older", 15 },
		/* says that it is a's, and is not */
		{ 2, "a", WAITING, 0, 0, 0, NULL, 0 },
		/* nobody's */
		{ 1, "", FAILED, 0, 0, 0, "junk", 0 },
		/* waits for its turn */
		{ 3, "c", WAITING, 7, 1, 0, NULL, 0 },
	};
	static const struct {
		uid_t uid;
		const char *username;
		unsigned int waiting, failed, retried;
		int64_t oldest_secs, oldest_new_secs;
		const char *why;
		time_t why_time;
	} tests[] = {
		{ 1, "a", 2, 2, 1, 90, 5, "new", 20 },
		{ 2, "a", 1, 0, 0, 0, 0, NULL, 0 },
		{ 3, "c", 1, 0, 0, 7, 0, NULL, 0 },
		{ 1, "", 0, 0, 0, 0, 0, NULL, 0 },
		{ 1, "b", 0, 0, 0, 0, 0, NULL, 0 },
	};
	struct antispam_stats *stats = antispam_stats_init();
	const struct antispam_user_stats *got;
	struct antispam_walk_job job;
	unsigned int i;

	test_begin("antispam_stats");
	for (i = 0; i < N_ELEMENTS(jobs); i++) {
		i_zero(&job);
		job.uid = jobs[i].uid;
		job.username = jobs[i].username;
		job.state = jobs[i].state;
		job.age_secs = jobs[i].age_secs;
		job.wait_secs = jobs[i].wait_secs;
		job.attempts = jobs[i].attempts;
		job.why = jobs[i].why;
		job.why_time = jobs[i].why_time;
		antispam_stats_add(&job, stats);
	}
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		got = antispam_stats_get(stats, tests[i].uid,
					 tests[i].username);
		test_assert_idx(got->waiting == tests[i].waiting, i);
		test_assert_idx(got->failed == tests[i].failed, i);
		test_assert_idx(got->retried == tests[i].retried, i);
		test_assert_idx(got->oldest_secs == tests[i].oldest_secs, i);
		test_assert_idx(got->oldest_new_secs == tests[i].oldest_new_secs,
				i);
		test_assert_idx(null_strcmp(got->why, tests[i].why) == 0, i);
		test_assert_idx(got->why_time == tests[i].why_time, i);
	}
	antispam_stats_deinit(&stats);
	test_assert(stats == NULL);
	antispam_stats_deinit(&stats);
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_stats,
		NULL
	};

	return test_run(test_functions);
}
