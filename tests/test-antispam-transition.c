/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "test-common.h"
#include "antispam-transition.h"

#define OTHER ANTISPAM_CLASS_OTHER
#define SPAM ANTISPAM_CLASS_SPAM
#define TRASH ANTISPAM_CLASS_TRASH
#define UNSURE ANTISPAM_CLASS_UNSURE

static const struct {
	enum antispam_class from, to;
	enum antispam_verdict verdict;
} moves[] = {
	{ SPAM, SPAM, ANTISPAM_VERDICT_NONE },
	{ SPAM, TRASH, ANTISPAM_VERDICT_NONE },
	{ SPAM, UNSURE, ANTISPAM_VERDICT_DENY },
	{ SPAM, OTHER, ANTISPAM_VERDICT_HAM },
	{ TRASH, SPAM, ANTISPAM_VERDICT_NONE },
	{ TRASH, TRASH, ANTISPAM_VERDICT_NONE },
	{ TRASH, UNSURE, ANTISPAM_VERDICT_DENY },
	{ TRASH, OTHER, ANTISPAM_VERDICT_NONE },
	{ UNSURE, SPAM, ANTISPAM_VERDICT_SPAM },
	{ UNSURE, TRASH, ANTISPAM_VERDICT_NONE },
	{ UNSURE, UNSURE, ANTISPAM_VERDICT_DENY },
	{ UNSURE, OTHER, ANTISPAM_VERDICT_HAM },
	{ OTHER, SPAM, ANTISPAM_VERDICT_SPAM },
	{ OTHER, TRASH, ANTISPAM_VERDICT_NONE },
	{ OTHER, UNSURE, ANTISPAM_VERDICT_DENY },
	{ OTHER, OTHER, ANTISPAM_VERDICT_NONE },
};

static const struct {
	enum antispam_class to;
	enum antispam_append allow;
	enum antispam_verdict verdict;
} appends[] = {
	{ SPAM, ANTISPAM_APPEND_NO, ANTISPAM_VERDICT_DENY },
	{ SPAM, ANTISPAM_APPEND_YES, ANTISPAM_VERDICT_SPAM },
	{ SPAM, ANTISPAM_APPEND_QUIET, ANTISPAM_VERDICT_NONE },
	{ TRASH, ANTISPAM_APPEND_NO, ANTISPAM_VERDICT_NONE },
	{ TRASH, ANTISPAM_APPEND_YES, ANTISPAM_VERDICT_NONE },
	{ TRASH, ANTISPAM_APPEND_QUIET, ANTISPAM_VERDICT_NONE },
	{ UNSURE, ANTISPAM_APPEND_NO, ANTISPAM_VERDICT_DENY },
	{ UNSURE, ANTISPAM_APPEND_YES, ANTISPAM_VERDICT_DENY },
	{ UNSURE, ANTISPAM_APPEND_QUIET, ANTISPAM_VERDICT_DENY },
	{ OTHER, ANTISPAM_APPEND_NO, ANTISPAM_VERDICT_NONE },
	{ OTHER, ANTISPAM_APPEND_YES, ANTISPAM_VERDICT_NONE },
	{ OTHER, ANTISPAM_APPEND_QUIET, ANTISPAM_VERDICT_NONE },
};

static const char *const unset = "unset";

static void check(const struct antispam_transition *tr,
		  enum antispam_append allow, enum antispam_verdict expected,
		  unsigned int idx)
{
	const char *reason = unset;
	enum antispam_verdict verdict =
		antispam_transition_judge(tr, allow, &reason);

	test_assert_idx(verdict == expected, idx);
	if (expected != ANTISPAM_VERDICT_DENY) {
		test_assert_idx(reason == unset, idx);
		return;
	}
	if (tr->to == UNSURE) {
		test_assert_idx(strstr(reason, "only the spam filter") != NULL,
				idx);
	} else {
		test_assert_idx(strstr(reason, "move or copy them") != NULL,
				idx);
	}
	/* a text in brackets would be taken for an IMAP response code */
	test_assert_idx(reason[0] != '[', idx);
	test_assert_idx(strstr(reason, "antispam") == NULL, idx);
}

static void test_antispam_transition_move(void)
{
	enum antispam_append allow;
	unsigned int i;

	test_begin("antispam transition: copy and move");
	test_assert(N_ELEMENTS(moves) ==
		    ANTISPAM_CLASS_COUNT * ANTISPAM_CLASS_COUNT);
	for (i = 0; i < N_ELEMENTS(moves); i++) {
		const struct antispam_transition tr = {
			.from = moves[i].from,
			.to = moves[i].to,
		};

		for (allow = ANTISPAM_APPEND_NO; allow <= ANTISPAM_APPEND_QUIET;
		     allow++)
			check(&tr, allow, moves[i].verdict, i);
	}
	test_end();
}

static void test_antispam_transition_append(void)
{
	unsigned int i;

	test_begin("antispam transition: append");
	for (i = 0; i < N_ELEMENTS(appends); i++) {
		const struct antispam_transition tr = {
			.to = appends[i].to,
			.append = TRUE,
		};

		check(&tr, appends[i].allow, appends[i].verdict, i);
	}
	test_end();
}

static void test_antispam_class_name(void)
{
	test_begin("antispam class name");
	test_assert_strcmp(antispam_class_name(OTHER), "other");
	test_assert_strcmp(antispam_class_name(SPAM), "spam");
	test_assert_strcmp(antispam_class_name(TRASH), "trash");
	test_assert_strcmp(antispam_class_name(UNSURE), "unsure");
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_antispam_transition_move,
		test_antispam_transition_append,
		test_antispam_class_name,
		NULL
	};

	return test_run(tests);
}
