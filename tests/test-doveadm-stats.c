/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "doveadm-stats.h"
#include "test-common.h"

#define WAITING ANTISPAM_WALK_WAITING
#define FAILED ANTISPAM_WALK_FAILED

static void test_stats(void)
{
	static const struct antispam_walk_job jobs[] = {
		{ .uid = 1, .username = "a", .state = WAITING, .age_secs = 5 },
		{ .uid = 1, .username = "a", .state = WAITING, .age_secs = 90, .attempts = 2, .why = "old", .why_time = 10 },
		{ .uid = 1, .username = "a", .state = FAILED, .age_secs = 999, .why = "new", .why_time = 20 },
		{ .uid = 1, .username = "a", .state = FAILED, .why = "older", .why_time = 15 },
		/* says that it is a's, and is not */
		{ .uid = 2, .username = "a", .state = WAITING },
		/* nobody's */
		{ .uid = 1, .username = "", .state = FAILED, .why = "junk" },
		/* waits for its turn */
		{ .uid = 3, .username = "c", .state = WAITING, .age_secs = 7, .wait_secs = 1 },
	};
	static const struct {
		uid_t uid;
		const char *username;
		struct antispam_user_stats stats;
	} tests[] = {
		{ 1, "a", { .waiting = 2, .failed = 2, .retried = 1, .oldest_secs = 90, .oldest_new_secs = 5, .why = "new", .why_time = 20 } },
		{ 2, "a", { .waiting = 1 } },
		{ 3, "c", { .waiting = 1, .oldest_secs = 7 } },
		{ 1, "", { .waiting = 0 } },
		{ 1, "b", { .waiting = 0 } },
	};
	struct antispam_stats *stats = antispam_stats_init();
	const struct antispam_user_stats *got, *want;
	unsigned int i;

	test_begin("antispam_stats");
	for (i = 0; i < N_ELEMENTS(jobs); i++)
		antispam_stats_add(&jobs[i], stats);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		got = antispam_stats_get(stats, tests[i].uid,
					 tests[i].username);
		want = &tests[i].stats;
		test_assert_idx(got->waiting == want->waiting, i);
		test_assert_idx(got->failed == want->failed, i);
		test_assert_idx(got->retried == want->retried, i);
		test_assert_idx(got->oldest_secs == want->oldest_secs, i);
		test_assert_idx(got->oldest_new_secs == want->oldest_new_secs,
				i);
		test_assert_idx(null_strcmp(got->why, want->why) == 0, i);
		test_assert_idx(got->why_time == want->why_time, i);
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
