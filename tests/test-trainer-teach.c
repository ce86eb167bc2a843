/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "lib-event.h"
#include "test-common.h"
#include "antispam-settings.h"
#include "antispam-teacher.h"
#include "trainer-teach.h"

/* What is the matter with a lesson. */
enum fault {
	NO_FAULT = 0,
	/* The filter fails on it, and on all that it gets together with it. */
	POISON,
	/* It alone has this outcome. */
	KNOWN,
	DECLINED,
	BROKEN,
	/* It can't be opened: now, or ever. */
	CLOSED,
	CORRUPT,
};

#define MAX_LESSONS 1200

/* The filter. */
static struct {
	/* Takes so many at once, 0 = each by itself. */
	unsigned int many;
	/* From this call on it is dead. */
	unsigned int dead_from;
	unsigned int calls, biggest;
} filter;

static struct test_lesson {
	struct trainer_lesson lesson;
	unsigned int idx;
	enum fault fault;
	/* How often the filter has had it, and the callback. */
	unsigned int taught, called;
} lessons[MAX_LESSONS];
static struct trainer_lesson *list[MAX_LESSONS];
/* The next one for the callback; calls of it. */
static unsigned int next_called, callbacks;

static struct test_lesson *lesson_of(struct antispam_job *job)
{
	struct trainer_lesson *lesson =
		container_of(job, struct trainer_lesson, job);

	return container_of(lesson, struct test_lesson, lesson);
}

static int lesson_open(struct trainer_lesson *lesson, const char **error_r)
{
	struct test_lesson *tl =
		container_of(lesson, struct test_lesson, lesson);

	test_assert_idx(lesson->job.message == NULL, tl->idx);
	*error_r = t_strdup("the disk is on fire");
	if (tl->fault == CLOSED)
		return 0;
	if (tl->fault == CORRUPT)
		return -1;
	lesson->job.message = i_stream_create_from_data("x", 1);
	return 1;
}

static unsigned int filter_takes_many(void *context ATTR_UNUSED)
{
	return filter.many;
}

static enum antispam_result filter_result(enum fault fault)
{
	switch (fault) {
	case POISON:
		return ANTISPAM_LATER;
	case KNOWN:
		return ANTISPAM_KNOWN;
	case DECLINED:
		return ANTISPAM_DECLINED;
	case BROKEN:
		return ANTISPAM_BROKEN;
	case NO_FAULT:
		return ANTISPAM_LEARNED;
	case CLOSED:
	case CORRUPT:
		break;
	}
	i_unreached();
}

static void filter_learn(void *context, const struct antispam_batch *batch,
			 void **undo ATTR_UNUSED)
{
	const bool dead = filter.calls++ >= filter.dead_from;
	struct antispam_outcome *outcome;
	struct test_lesson *tl;
	bool poisoned = dead;
	unsigned int i;

	test_assert(context == &filter && !batch->stop_on_failure);
	filter.biggest = I_MAX(filter.biggest, batch->count);
	for (i = 0; i < batch->count; i++) {
		tl = lesson_of(batch->jobs[i]);
		tl->taught++;
		test_assert_idx(batch->jobs[i]->message != NULL, tl->idx);
		if (filter.many > 0 && tl->fault == POISON)
			poisoned = TRUE;
	}
	for (i = 0; i < batch->count; i++) {
		tl = lesson_of(batch->jobs[i]);
		outcome = &batch->outcomes[i];
		i_zero(outcome);
		outcome->result = poisoned ? ANTISPAM_LATER :
					     filter_result(tl->fault);
		outcome->duration_msecs = 7;
		if (outcome->result != ANTISPAM_LEARNED)
			outcome->why = t_strdup_printf("why %u", filter.calls);
	}
}

static struct antispam_backend backend = {
	.name = "test",
	.max_batch = 32,
	.takes_many = filter_takes_many,
	.learn = filter_learn,
};

static void callback(struct trainer_lesson *const *done, unsigned int count,
		     void *context)
{
	struct test_lesson *tl;
	unsigned int i;

	test_assert(context == &lessons && count > 0);
	callbacks++;
	for (i = 0; i < count; i++) {
		tl = container_of(done[i], struct test_lesson, lesson);
		test_assert_idx(tl->idx == next_called, tl->idx);
		test_assert_idx(tl->lesson.job.message == NULL, tl->idx);
		tl->called++;
		next_called++;
	}
}

static void lessons_init(unsigned int count)
{
	unsigned int i;

	i_zero(&filter);
	filter.dead_from = UINT_MAX;
	memset(lessons, 0, sizeof(lessons));
	for (i = 0; i < count; i++) {
		lessons[i].idx = i;
		lessons[i].lesson.open = lesson_open;
		/* what is not filled in shows */
		memset(&lessons[i].lesson.outcome, 0x55,
		       sizeof(lessons[i].lesson.outcome));
		list[i] = &lessons[i].lesson;
	}
}

/* Teach the first count lessons, and check that each was called back, in
   order. */
static void teach(pool_t pool, unsigned int max_parallel, unsigned int count)
{
	const struct antispam_settings set = { .max_parallel = max_parallel };
	struct antispam_teacher teacher = {
		.set = &set,
		.backend = &backend,
		.backend_context = &filter,
	};
	unsigned int i;

	next_called = callbacks = 0;
	trainer_teach(&teacher, pool, list, count, callback, lessons);
	test_assert(next_called == count);
	for (i = 0; i < count; i++)
		test_assert_idx(lessons[i].called == 1, i);
}

static unsigned int
count_results(enum antispam_result result, bool skipped, unsigned int count)
{
	unsigned int i, found = 0;

	for (i = 0; i < count; i++) {
		if (lessons[i].lesson.outcome.result == result &&
		    lessons[i].lesson.outcome.skipped == skipped)
			found++;
	}
	return found;
}

static void test_all_learned(void)
{
	static const struct {
		unsigned int many, parallel, count, calls, biggest;
	} rows[] = {
		{ 0, 4, 0, 0, 0 },
		{ 0, 4, 1, 1, 1 },
		{ 0, 4, 100, 7, 16 },
		{ 0, 1, 9, 3, 4 },
		{ 0, 0, 9, 3, 4 },
		/* max_batch */
		{ 0, 50, 100, 4, 32 },
		{ 500, 4, 0, 0, 0 },
		{ 500, 4, 500, 1, 500 },
		{ 500, 4, 501, 2, 500 },
		{ 500, 4, 1200, 3, 500 },
		{ 1, 4, 3, 3, 1 },
	};
	unsigned int i;
	pool_t pool = pool_alloconly_create("test", 1024);

	test_begin("teach: slices");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		lessons_init(rows[i].count);
		filter.many = rows[i].many;
		teach(pool, rows[i].parallel, rows[i].count);
		test_assert_idx(filter.calls == rows[i].calls, i);
		test_assert_idx(callbacks == rows[i].calls, i);
		test_assert_idx(filter.biggest == rows[i].biggest, i);
		test_assert_idx(count_results(ANTISPAM_LEARNED, FALSE,
					      rows[i].count) == rows[i].count,
				i);
	}
	pool_unref(&pool);
	test_end();
}

static void test_outcomes(void)
{
	static const enum fault faults[] = {
		KNOWN, NO_FAULT, DECLINED, BROKEN, CORRUPT, NO_FAULT, CLOSED
	};
	static const struct {
		enum antispam_result result;
		const char *why;
	} wanted[] = {
		{ ANTISPAM_KNOWN, "why 1" },
		{ ANTISPAM_LEARNED, NULL },
		{ ANTISPAM_DECLINED, "why 1" },
		{ ANTISPAM_BROKEN, "why 1" },
		{ ANTISPAM_BROKEN, "the disk is on fire" },
		{ ANTISPAM_LEARNED, NULL },
		{ ANTISPAM_LATER, "the disk is on fire" },
	};
	pool_t pool = pool_alloconly_create("test", 1024);
	unsigned int i, many;

	test_begin("teach: each has its own outcome");
	for (many = 0; many <= 500; many += 500) {
		lessons_init(N_ELEMENTS(faults));
		filter.many = many;
		for (i = 0; i < N_ELEMENTS(faults); i++)
			lessons[i].fault = faults[i];
		teach(pool, 4, N_ELEMENTS(faults));
		test_assert(filter.calls == 1 && filter.biggest == 5);
		for (i = 0; i < N_ELEMENTS(faults); i++) {
			const struct antispam_outcome *outcome =
				&lessons[i].lesson.outcome;

			test_assert_idx(outcome->result == wanted[i].result, i);
			test_assert_strcmp_idx(outcome->why, wanted[i].why, i);
			test_assert_idx(!outcome->skipped, i);
			test_assert_idx(outcome->duration_msecs ==
						(lessons[i].taught > 0 ? 7 : 0),
					i);
		}
	}
	pool_unref(&pool);
	test_end();
}

/* One in count: the others are learned, and with few calls. */
static void
check_poison(unsigned int count, unsigned int poison, unsigned int max_calls)
{
	pool_t pool = pool_alloconly_create("test", 1024);
	const unsigned int row = count * 1000 + poison;

	lessons_init(count);
	filter.many = 500;
	lessons[poison].fault = POISON;
	teach(pool, 4, count);
	test_assert_idx(filter.calls <= max_calls, row);
	test_assert_idx(lessons[poison].lesson.outcome.result == ANTISPAM_LATER,
			row);
	test_assert_idx(!lessons[poison].lesson.outcome.skipped, row);
	test_assert_idx(count_results(ANTISPAM_LEARNED, FALSE, count) ==
				count - 1,
			row);
	pool_unref(&pool);
}

static void test_poison(void)
{
	unsigned int i;

	test_begin("teach: one that the filter fails on is found");
	for (i = 0; i < 50; i++)
		check_poison(50, i, 1 + 2 * 6);
	for (i = 0; i < 500; i += 7)
		check_poison(500, i, 1 + 2 * 9);
	check_poison(500, 499, 1 + 2 * 9);
	check_poison(1, 0, 1);
	check_poison(2, 1, 3);
	check_poison(1200, 700, 3 + 2 * 9);
	test_end();
}

static void test_poisons(void)
{
	pool_t pool = pool_alloconly_create("test", 1024);
	unsigned int i;

	test_begin("teach: some that the filter fails on are found");
	/* far apart */
	lessons_init(500);
	filter.many = 500;
	for (i = 0; i < 500; i += 100)
		lessons[i].fault = POISON;
	teach(pool, 4, 500);
	test_assert(count_results(ANTISPAM_LATER, FALSE, 500) == 5);
	test_assert(count_results(ANTISPAM_LEARNED, FALSE, 500) == 495);
	test_assert(filter.calls <= 5 * 2 * 9);
	/* two neighbours */
	lessons_init(500);
	filter.many = 500;
	lessons[0].fault = lessons[1].fault = POISON;
	teach(pool, 4, 500);
	test_assert(count_results(ANTISPAM_LATER, FALSE, 500) == 2);
	test_assert(count_results(ANTISPAM_LEARNED, FALSE, 500) == 498);
	/* beside some that can't be opened */
	lessons_init(50);
	filter.many = 500;
	for (i = 0; i < 50; i += 3)
		lessons[i].fault = i % 2 == 0 ? CLOSED : CORRUPT;
	lessons[25].fault = POISON;
	teach(pool, 4, 50);
	test_assert(lessons[25].lesson.outcome.result == ANTISPAM_LATER);
	test_assert(count_results(ANTISPAM_BROKEN, FALSE, 50) == 8);
	test_assert(count_results(ANTISPAM_LATER, FALSE, 50) == 9 + 1);
	test_assert(count_results(ANTISPAM_LEARNED, FALSE, 50) == 50 - 18);
	/* each by itself */
	lessons_init(100);
	for (i = 0; i < 100; i += 10)
		lessons[i].fault = POISON;
	teach(pool, 4, 100);
	test_assert(filter.calls == 7);
	test_assert(count_results(ANTISPAM_LATER, FALSE, 100) == 10);
	test_assert(count_results(ANTISPAM_LEARNED, FALSE, 100) == 90);
	pool_unref(&pool);
	test_end();
}

/* From its call dead_from on the filter is dead. */
static const struct {
	unsigned int many, count, dead_from, max_calls, learned;
} dead_rows[] = {
	{ 0, 1200, 0, 1, 0 },
	{ 0, 1, 0, 1, 0 },
	{ 0, 1200, 10, 11, 160 },
	{ 500, 1200, 0, 13, 0 },
	{ 500, 2, 0, 3, 0 },
	/* it dies while it works */
	{ 500, 1200, 1, 1 + 13, 500 },
	{ 500, 1200, 2, 2 + 12, 1000 },
};

static void test_dead(void)
{
	pool_t pool = pool_alloconly_create("test", 1024);
	unsigned int i, j, tried;

	test_begin("teach: a dead filter is left alone");
	for (i = 0; i < N_ELEMENTS(dead_rows); i++) {
		const unsigned int count = dead_rows[i].count;

		lessons_init(count);
		filter.many = dead_rows[i].many;
		filter.dead_from = dead_rows[i].dead_from;
		teach(pool, 4, count);
		test_assert_idx(filter.calls <= dead_rows[i].max_calls, i);
		test_assert_idx(count_results(ANTISPAM_LEARNED, FALSE, count) ==
					dead_rows[i].learned,
				i);
		tried = count_results(ANTISPAM_LATER, FALSE, count);
		test_assert_idx(tried > 0 && tried <= 16, i);
		for (j = 0; j < count; j++) {
			const struct antispam_outcome *outcome =
				&lessons[j].lesson.outcome;

			test_assert_idx(!outcome->skipped ||
						(outcome->result ==
							 ANTISPAM_LATER &&
						 outcome->why != NULL),
					j);
		}
	}
	pool_unref(&pool);
	test_end();
}

/* Of a dead filter those say nothing that it never gets. */
static void test_dead_and_closed(void)
{
	pool_t pool = pool_alloconly_create("test", 1024);
	unsigned int i, many;

	test_begin("teach: a dead filter, and lessons that can't be opened");
	for (many = 0; many <= 500; many += 500) {
		lessons_init(1000);
		filter.many = many;
		filter.dead_from = 0;
		for (i = 0; i < 1000; i += 2)
			lessons[i].fault = i % 4 == 0 ? CLOSED : CORRUPT;
		teach(pool, 4, 1000);
		test_assert_idx(filter.calls <= 20, many);
	}
	/* none can be opened: the filter is not asked, and not dead */
	lessons_init(40);
	for (i = 0; i < 20; i++)
		lessons[i].fault = CLOSED;
	teach(pool, 4, 40);
	test_assert(filter.calls == 2);
	test_assert(count_results(ANTISPAM_LATER, FALSE, 40) == 20);
	test_assert(count_results(ANTISPAM_LEARNED, FALSE, 40) == 20);
	pool_unref(&pool);
	test_end();
}

/* Those that the filter takes one after the other are handed over few at a
   time, or it could be told long after silence_msecs what came of them. */
static void test_one_by_one(void)
{
	pool_t pool = pool_alloconly_create("test", 1024);
	unsigned int most;

	test_begin("teach: a filter that has its own limit of what is parallel");
	for (most = 1; most <= 8; most *= 2) {
		backend.max_parallel = most;
		lessons_init(100);
		teach(pool, 4, 100);
		test_assert_idx(filter.biggest == 4 * I_MIN(most, 4), most);
	}
	backend.max_parallel = 0;
	lessons_init(100);
	teach(pool, 4, 100);
	test_assert(filter.biggest == 16);
	pool_unref(&pool);
	test_end();
}

static void test_silence(void)
{
	static const struct {
		unsigned int many, timeout_msecs, silence_msecs;
	} rows[] = {
		{ 0, 1000, 5 * 7000 },
		{ 1, 1000, 2 * 7000 },
		{ 500, 1000, 11 * 7000 },
		{ 0, UINT_MAX, UINT_MAX / 2 },
	};
	unsigned int i;

	test_begin("teach: how long it may say nothing");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		const struct antispam_settings set = {
			.max_parallel = 4,
			.timeout_msecs = rows[i].timeout_msecs,
		};
		const struct antispam_teacher teacher = {
			.set = &set,
			.backend = &backend,
			.backend_context = &filter,
		};

		filter.many = rows[i].many;
		test_assert_idx(trainer_teach_silence_msecs(&teacher) ==
					rows[i].silence_msecs,
				i);
	}
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_all_learned,
		test_outcomes,
		test_poison,
		test_poisons,
		test_dead,
		test_dead_and_closed,
		test_one_by_one,
		test_silence,
		NULL
	};

	return test_run(tests);
}
