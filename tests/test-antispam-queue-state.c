/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "test-common.h"
#include "antispam-queue-state.h"

#define WAITING ANTISPAM_QUEUE_WAITING
#define DONE ANTISPAM_QUEUE_DONE
#define FAILED ANTISPAM_QUEUE_FAILED

#define MAX_STATES 8

static bool state_equals(const struct antispam_queue_state *a,
			 const struct antispam_queue_state *b)
{
	return a->status == b->status && a->attempts == b->attempts &&
		a->next_try == b->next_try &&
		null_strcmp(a->why, b->why) == 0;
}

/* Parse all lines. Returns FALSE if one of them is none. */
static bool parse(const char *text, struct antispam_queue_state *states,
		  unsigned int count)
{
	const char *const *lines = t_strsplit(text, "\n");
	bool valid = TRUE;

	/* what follows the last line feed is nothing */
	for (; lines[0] != NULL && lines[1] != NULL; lines++) {
		if (antispam_queue_state_parse(*lines, pool_datastack_create(),
					       states, count) < 0)
			valid = FALSE;
	}
	return valid;
}

static void test_round_trip(void)
{
	static const struct {
		struct antispam_queue_state states[MAX_STATES];
		/* NULL = not compared. */
		const char *text;
	} rows[] = {
		{ { { WAITING, 0, 0, NULL } }, "" },
		{ { { DONE, 0, 0, NULL } }, "0\t0\tdone\t0\t0\t\n" },
		{ { { DONE, 0, 0, NULL },
		    { DONE, 0, 0, NULL },
		    { DONE, 0, 0, NULL } },
		  "0\t2\tdone\t0\t0\t\n" },
		{ { { WAITING, 0, 0, NULL },
		    { WAITING, 3, 1700000000, "too busy" },
		    { WAITING, 3, 1700000000, "too busy" },
		    { FAILED, 1, 0, "broken" },
		    { DONE, 0, 0, "too short" },
		    { WAITING, 0, 0, NULL },
		    { WAITING, 0, 5, NULL } },
		  "1\t2\twaiting\t3\t1700000000\ttoo busy\n"
		  "3\t3\tfailed\t1\t0\tbroken\n"
		  "4\t4\tdone\t0\t0\ttoo short\n"
		  "6\t6\twaiting\t0\t5\t\n" },
		{ { { FAILED, 1000000, INT64_MAX / 1000000 / 4,
		      "a\tb\nc\rd\001e\\ \x7f\xff" },
		    { FAILED, 0, 0, NULL },
		    { FAILED, 0, 0, "1" },
		    { FAILED, 0, 0, "2" } },
		  NULL },
	};
	struct antispam_queue_state states[MAX_STATES];
	string_t *str = t_str_new(512);
	unsigned int i, j;

	test_begin("queue state: what is written is read");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		str_truncate(str, 0);
		antispam_queue_state_write(str, rows[i].states, MAX_STATES);
		if (rows[i].text != NULL)
			test_assert_strcmp_idx(str_c(str), rows[i].text, i);
		i_zero(&states);
		test_assert_idx(parse(str_c(str), states, MAX_STATES), i);
		for (j = 0; j < MAX_STATES; j++) {
			test_assert_idx(state_equals(&states[j],
						     &rows[i].states[j]),
					i * 100 + j);
		}
	}
	test_end();
}

static void test_count(void)
{
	const struct antispam_queue_state states[] = {
		{ DONE, 0, 0, NULL }, { DONE, 0, 0, NULL }, { DONE, 0, 0, NULL }
	};
	string_t *str = t_str_new(64);

	test_begin("queue state: so many, and no more");
	antispam_queue_state_write(str, states, 2);
	test_assert_strcmp(str_c(str), "0\t1\tdone\t0\t0\t\n");
	str_truncate(str, 0);
	antispam_queue_state_write(str, states, 0);
	test_assert_strcmp(str_c(str), "");
	str_append(str, "before\n");
	antispam_queue_state_write(str, states, 1);
	test_assert_strcmp(str_c(str), "before\n0\t0\tdone\t0\t0\t\n");
	test_end();
}

static void test_malformed(void)
{
	static const char *const lines[] = {
		"",
		"\t",
		"0",
		"0\t0\tdone\t0\t0",
		"0\t0\tdone\t0\t0\t\t",
		"\t0\tdone\t0\t0\t",
		"0\t\tdone\t0\t0\t",
		"x\t0\tdone\t0\t0\t",
		"-1\t0\tdone\t0\t0\t",
		"0\t-1\tdone\t0\t0\t",
		"1\t0\tdone\t0\t0\t",
		"0\t3\tdone\t0\t0\t",
		"3\t3\tdone\t0\t0\t",
		"0\t4294967295\tdone\t0\t0\t",
		"4294967295\t4294967295\tdone\t0\t0\t",
		"0\t4294967296\tdone\t0\t0\t",
		"0\t0\tDone\t0\t0\t",
		"0\t0\t\t0\t0\t",
		"0\t0\tdo\t0\t0\t",
		"0\t0\tdone\t\t0\t",
		"0\t0\tdone\t-1\t0\t",
		"0\t0\tdone\t1000001\t0\t",
		"0\t0\tdone\t4294967296\t0\t",
		"0\t0\tdone\t0\t\t",
		"0\t0\tdone\t0\t-1\t",
		"0\t0\tdone\t0\t1.5\t",
		"0\t0\tdone\t0\t9223372036854775807\t",
		"0\t0\tdone\t0\t99999999999999999999\t",
	};
	const struct antispam_queue_state before = { WAITING, 7, 8, "why" };
	struct antispam_queue_state states[3];
	unsigned int i, j;

	test_begin("queue state: lines that are none change nothing");
	for (i = 0; i < N_ELEMENTS(lines); i++) {
		for (j = 0; j < N_ELEMENTS(states); j++)
			states[j] = before;
		test_assert_idx(antispam_queue_state_parse(
					lines[i], pool_datastack_create(),
					states, N_ELEMENTS(states)) < 0,
				i);
		for (j = 0; j < N_ELEMENTS(states); j++)
			test_assert_idx(state_equals(&states[j], &before), i);
	}
	/* no job at all */
	test_assert(antispam_queue_state_parse("0\t0\tdone\t0\t0\t",
					       pool_datastack_create(), states,
					       0) < 0);
	test_end();
}

static void test_again(void)
{
	struct antispam_queue_state states[4];

	test_begin("queue state: a later line replaces an earlier one");
	i_zero(&states);
	test_assert(parse("0\t3\twaiting\t2\t50\tlater\n1\t2\tdone\t0\t0\t\n",
			  states, 4));
	test_assert(states[0].attempts == 2 && states[3].attempts == 2);
	test_assert(states[1].status == DONE && states[1].why == NULL);
	test_assert(states[2].status == DONE && states[2].attempts == 0);
	test_assert_strcmp(states[3].why, "later");
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_round_trip,
		test_count,
		test_malformed,
		test_again,
		NULL
	};

	return test_run(tests);
}
