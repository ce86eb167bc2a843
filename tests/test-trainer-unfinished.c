/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "test-common.h"
#include "trainer-unfinished.h"

static void test_unfinished(void)
{
	struct trainer_unfinished *unfinished = trainer_unfinished_init();
	unsigned int i;

	test_begin("trainer unfinished");
	test_assert(trainer_unfinished_is_empty(unfinished));
	test_assert(trainer_unfinished_see(unfinished, "a", 5) == 0);
	test_assert(trainer_unfinished_see(unfinished, "b", 6) == 0);
	test_assert(!trainer_unfinished_is_empty(unfinished));
	trainer_unfinished_seen_all(unfinished);
	test_assert(trainer_unfinished_see(unfinished, "a", 105) == 100);
	test_assert(trainer_unfinished_see(unfinished, "a", 106) == 101);
	trainer_unfinished_seen_all(unfinished);
	/* it was away */
	test_assert(trainer_unfinished_see(unfinished, "b", 106) == 0);
	trainer_unfinished_seen_all(unfinished);
	trainer_unfinished_seen_all(unfinished);
	test_assert(trainer_unfinished_is_empty(unfinished));
	for (i = 0; i < 10000; i++) {
		T_BEGIN {
			(void)trainer_unfinished_see(unfinished, dec2str(i), i);
		} T_END;
	}
	test_assert(trainer_unfinished_see(unfinished, "9", 10009) == 10000);
	trainer_unfinished_deinit(&unfinished);
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_unfinished,
		NULL,
	};

	return test_run(test_functions);
}
