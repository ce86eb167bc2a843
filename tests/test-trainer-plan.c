/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "test-common.h"
#include "trainer-plan.h"
#include "test-trainer-plan.h"

struct plan_row {
	const char *queue;
	int64_t now;
	const char *steps;
	int64_t next;
};

static void
check_row(const struct plan_row *row, const struct trainer_plan_limits *limits,
	  struct trainer_plan *plan, unsigned int i)
{
	const char *const *texts;

	for (texts = t_strsplit_spaces(row->queue, " "); *texts != NULL; texts++)
		queue_add(*texts);
	trainer_plan(&queue, row->now, limits, plan);
	test_assert_strcmp_idx(steps_text(plan), row->steps, i);
	test_assert_idx(plan->next == row->next, i);
	queue_clear();
}

static void check_rows(const char *name, const struct plan_row *rows,
		       unsigned int count)
{
	struct trainer_plan plan;
	unsigned int i;

	test_begin(name);
	i_array_init(&queue, 8);
	i_array_init(&plan.steps, 8);
	for (i = 0; i < count; i++)
		T_BEGIN {
			check_row(&rows[i], &unlimited, &plan, i);
		} T_END;
	array_free(&plan.steps);
	array_free(&queue);
	test_end();
}

static void test_window(void)
{
	static const struct plan_row rows[] = {
		{ "", 0, "", NEVER },
		/* one */
		{ "0:aos", 0, "", 10 },
		{ "0:aos", 9, "", 10 },
		{ "0:aos", 10, "T0", NEVER },
		{ "0:aos", 1000, "T0", NEVER },
		{ "5:aso", 14, "", 15 },
		/* before this boot */
		{ "-5:aos", 4, "", 5 },
		{ "-5:aos", 5, "T0", NEVER },
		{ "-1000:aos -995:aso", 0, "C0 C1", NEVER },
		{ "-1000:aos -989:aso", 0, "T0", NEVER },
		/* there and back */
		{ "0:aos 5:aso", 9, "", 10 },
		{ "0:aos 5:aso", 10, "C0 C1", NEVER },
		{ "0:aos 10:aso", 10, "C0 C1", NEVER },
		{ "0:aso 5:aos", 10, "C0 C1", NEVER },
		{ "0:aos 0:aso", 10, "C0 C1", NEVER },
		{ "0:aos,aso", 10, "C0 C0.1", NEVER },
		/* and there again */
		{ "0:aos 3:aso 6:aos", 10, "C0 C1 T2", NEVER },
		{ "0:aso 3:aos 6:aso", 10, "C0 C1 T2", NEVER },
		{ "0:aos 3:aso 6:aos 9:aso", 10, "C0 C1 C2 C3", NEVER },
		/* what the first folder and the last one mean */
		{ "0:aus 5:aso", 10, "C0 T1", NEVER },
		{ "0:auo 5:aos", 10, "C0 T1", NEVER },
		{ "0:aus 5:aso 6:aos", 10, "C0 C1 T2", NEVER },
		{ "0:aus 5:aso 6:aos 7:aso", 10, "C0 C1 C2 T3", NEVER },
		{ "0:a+s", 10, "T0", NEVER },
		{ "0:a+s 5:aso", 10, "C0 C1", NEVER },
		{ "0:a+s 5:aso 6:aos", 10, "C0 C1 T2", NEVER },
		/* copied twice, or moved back while nobody saw it */
		{ "0:aos 5:aos", 10, "C0 T1", NEVER },
		{ "0:aso 5:aso", 10, "C0 T1", NEVER },
		{ "0:aos,aos,aos", 10, "C0 C0.1 T0.2", NEVER },
		/* the window begins with the first one, and does not move */
		{ "0:aos 11:aso", 10, "T0", NEVER },
		{ "0:aos 11:aso", 30, "T0", NEVER },
		{ "0:aos 9:aso 11:aos", 10, "C0 C1", NEVER },
		{ "0:aos 9:aso 18:aos", 30, "C0 C1", NEVER },
		{ "0:aos* 11:aso", 20, "", 21 },
		{ "0:aos* 11:aso", 21, "T1", NEVER },
		{ "0:aos* 9:aso* 11:aos", 21, "T2", NEVER },
		/* once one has to wait, all that follow do */
		{ "0:aos 11:aso 12:aos", 30, "T0", NEVER },
		{ "0:aos 11:aso@5 3:aso", 30, "T0", NEVER },
		/* other messages' have nothing to do with it */
		{ "0:aos 2:bos 4:aso", 10, "C0 C2", 12 },
		{ "0:aos 2:bos 4:aso 5:bso", 12, "C0 C1 C2 C3", NEVER },
		{ "0:aos,bos,cos 5:bso", 10, "T0 C0.1 T0.2 C1", NEVER },
		{ "0:aos 5:bso", 10, "T0", 15 },
		/* the other one is gone or settled */
		{ "0:aos 5!:aso", 10, "T0", NEVER },
		{ "0!:aos 5:aso", 10, "", 15 },
		{ "0!:aos 5:aso", 15, "T1", NEVER },
		{ "0:aos 5:aso*", 10, "T0", NEVER },
		{ "0:aos* 5:aso", 15, "T1", NEVER },
		{ "0!:aos,bos 5!:aso", 15, "", NEVER },
		{ "0:aos*,bos*", 15, "", NEVER },
	};

	check_rows("plan: the window in which a move is taken back", rows,
		   N_ELEMENTS(rows));
}

static void test_tried(void)
{
	static const struct plan_row rows[] = {
		/* not before its time */
		{ "0:aos@50", 49, "", 50 },
		{ "0:aos@50", 50, "T0", NEVER },
		{ "0:aos@5", 5, "T0", NEVER },
		/* it counts by itself, and what was made later waits */
		{ "0:aos@50 5:aso", 20, "", 50 },
		{ "0:aos@50 5:aso", 50, "T0", NEVER },
		{ "0:aos@50 5:aso 6:aos", 50, "T0", NEVER },
		{ "0:aos* 5:aso 6:aos", 50, "C1 C2", NEVER },
		/* the later one was tried */
		{ "0:aos 5:aso@7", 9, "", 10 },
		{ "0:aos 5:aso@7", 10, "T0", NEVER },
		{ "0:aos@50 5:aso@7", 10, "", 50 },
		{ "0:aos@7 5:aso@50", 10, "T0", NEVER },
		/* a message whose lesson waits holds up no other one */
		{ "0:aos@50,bos 5:aso,cos", 15, "T0.1 T1.1", 50 },
		{ "0:aos@50 1:bos@40 2:cos@60", 20, "", 40 },
	};

	check_rows("plan: lessons that were tried", rows, N_ELEMENTS(rows));
}

static void test_keyless(void)
{
	static const struct plan_row rows[] = {
		{ "0:-os", 9, "", 10 },
		{ "0:-os", 10, "T0", NEVER },
		{ "0:-os 3:-os 5:-os", 15, "T0 T1 T2", NEVER },
		/* they may be of one message: in order, and nothing is taken
		   back */
		{ "0:-os 3:-so 5:-os", 15, "T0", 15 },
		{ "0:-os,-so,-os", 15, "T0", 15 },
		{ "0:-so,-so,-os,-so", 15, "T0 T0.1", 15 },
		{ "0:-os* 3:-so 5:-os", 15, "T1", 15 },
		{ "0:-os 3:-so", 10, "T0", 13 },
		/* others go on */
		{ "0:-os 3:-so,aos 5:-os,bso", 15, "T0 T1.1 T2.1", 15 },
		{ "0:aos 3:-so 5:aso", 15, "C0 T1 C2", NEVER },
		/* one that was tried */
		{ "0:-os@50 3:-os", 15, "T1", 50 },
		{ "0:-os@50 3:-os", 50, "T0 T1", NEVER },
	};

	check_rows("plan: messages without a GUID", rows, N_ELEMENTS(rows));
}

static void test_limits(void)
{
	static const struct {
		struct plan_row row;
		unsigned int max_steps, max_txs;
	} rows[] = {
		/* steps */
		{ { "0:aos,bos,cos", 10, "T0 T0.1", 10 }, 2, MANY },
		{ { "0:aos,bos", 10, "T0 T0.1", NEVER }, 2, MANY },
		{ { "0:aos,bos 5:cos", 10, "T0 T0.1", 15 }, 2, MANY },
		{ { "0:aos,bos 11:cos", 30, "T0 T0.1", 30 }, 2, MANY },
		{ { "0:-os,-os,-os", 10, "T0 T0.1", 10 }, 2, MANY },
		{ { "0:-os,-so", 10, "T0", 10 }, 1, MANY },
		/* lessons that are one are not torn apart */
		{ { "0:aos 5:aso 6:bos", 20, "C0 C1", 20 }, 1, MANY },
		{ { "0:aos 4:bos 5:aso", 20, "C0 C2", 20 }, 1, MANY },
		{ { "0:aos,bos 5:aso,bso", 20, "C0 C1", 20 }, 1, MANY },
		{ { "0:aos,bos 5:bso,aso 6:aos", 20, "C0 C1.1 T2", 20 }, 1, MANY },
		/* transactions */
		{ { "0:aos,bos 1:cos", 20, "T0 T0.1", 20 }, MANY, 1 },
		{ { "0:aos,bos 1:cos 2:dos", 20, "T0 T0.1 T1", 20 }, MANY, 2 },
		{ { "0:aos,bos 1:cos", 20, "T0 T0.1 T1", NEVER }, MANY, 2 },
		{ { "0:aos 1:bos 2:aso", 20, "C0 C2", 20 }, MANY, 1 },
		{ { "0:aos* 1:bos 2:cos", 20, "T1", 20 }, MANY, 1 },
		{ { "0:-os 1:-os", 20, "T0", 20 }, MANY, 1 },
		/* what is not due yet is not what makes it full */
		{ { "0:aos@50 1:bos 2:cos", 20, "T1", 20 }, 1, MANY },
	};
	struct trainer_plan_limits limits = unlimited;
	struct trainer_plan plan;
	unsigned int i;

	test_begin("plan: limits");
	i_array_init(&queue, 8);
	i_array_init(&plan.steps, 8);
	for (i = 0; i < N_ELEMENTS(rows); i++)
		T_BEGIN {
			limits.max_steps = rows[i].max_steps;
			limits.max_txs = rows[i].max_txs;
			check_row(&rows[i].row, &limits, &plan, i);
		} T_END;
	array_free(&plan.steps);
	array_free(&queue);
	test_end();
}

static void test_backoff(void)
{
	static const struct {
		unsigned int attempts, lifetime_msecs, wait_msecs;
	} rows[] = {
		/* 5 days */
		{ 1, 432000000, 60000 },
		{ 2, 432000000, 120000 },
		{ 3, 432000000, 240000 },
		{ 6, 432000000, 1920000 },
		{ 7, 432000000, 3600000 },
		{ 8, 432000000, 3600000 },
		{ 1000000, 432000000, 3600000 },
		{ UINT_MAX, 432000000, 3600000 },
		{ UINT_MAX, UINT_MAX, 3600000 },
		/* a short life has several tries */
		{ 1, 20000, 200 },
		{ 2, 20000, 400 },
		{ 4, 20000, 1600 },
		{ 5, 20000, 2000 },
		{ 6, 20000, 2000 },
		{ 1, 6000000, 60000 },
		{ 5, 6000000, 600000 },
		{ 1, 3000000, 30000 },
		/* never at once: that would be a loop */
		{ 1, 0, 1 },
		{ 9, 0, 1 },
		{ 1, 99, 1 },
		{ 9, 99, 9 },
		{ 0, 432000000, 60000 },
	};
	unsigned int i, wait;

	test_begin("plan: how long to wait");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		wait = trainer_plan_backoff_msecs(rows[i].attempts,
						  rows[i].lifetime_msecs);
		test_assert_idx(wait == rows[i].wait_msecs, i);
	}
	test_end();
}

static void test_key(void)
{
	static const unsigned char none[TRAINER_KEY_SIZE];
	/* sha256sum */
	static const unsigned char abc[TRAINER_KEY_SIZE] = {
		0xba,
		0x78,
		0x16,
		0xbf,
		0x8f,
		0x01,
		0xcf,
		0xea,
		0x41,
		0x41,
		0x40,
		0xde,
		0x5d,
		0xae,
		0x22,
		0x23,
	};
	unsigned char key[TRAINER_KEY_SIZE];

	test_begin("plan: keys");
	memset(key, 1, sizeof(key));
	trainer_plan_key(NULL, key);
	test_assert(memcmp(key, none, sizeof(key)) == 0);
	trainer_plan_key("abc", key);
	test_assert(memcmp(key, abc, sizeof(key)) == 0);
	trainer_plan_key("", key);
	test_assert(memcmp(key, none, sizeof(key)) != 0);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_window,
		test_tried,
		test_keyless,
		test_limits,
		test_backoff,
		test_key,
		NULL
	};

	return test_run(tests);
}
