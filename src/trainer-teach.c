/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "istream.h"
#include "antispam-settings.h"
#include "antispam-teacher.h"
#include "trainer-teach.h"

/* Of a filter that takes one message at a time, so many are handed over
   together, times those that are under way side by side. If none of them comes
   to anything, the filter is dead. */
#define TEACH_ROUNDS 4
/* A filter that takes many at a time is dead if it took none of so many that
   were handed over alone, one after the other. */
#define TEACH_DEAD_SINGLES 3

/* What ending a program takes beyond its time, at most. */
#define TEACH_END_MSECS (6 * 1000)

#define TEACH_SKIPPED \
	"not tried, since the lessons before it came to nothing"

struct teach {
	const struct antispam_teacher *teacher;
	pool_t pool;
	trainer_teach_callback_t *callback;
	void *context;
	/* Lessons handed over alone that came to nothing, since any came to
	   something. */
	unsigned int failed_singles;
	bool dead;
};

/* What became of lessons that were handed over together. */
enum teach_end {
	/* The filter was not asked: none of them could be opened. */
	TEACH_UNASKED,
	/* All came to nothing, for a reason that is not their own. */
	TEACH_NOTHING,
	TEACH_SOMETHING,
};

static void lesson_fail(struct trainer_lesson *lesson,
			enum antispam_result result, const char *why)
{
	i_zero(&lesson->outcome);
	lesson->outcome.result = result;
	lesson->outcome.why = why;
}

/* Open those that can be. Returns their number; they and their jobs are in
   lessons_r and jobs_r. */
static unsigned int
teach_open(const struct teach *teach, struct trainer_lesson *const *lessons,
	   unsigned int count, struct trainer_lesson **lessons_r,
	   struct antispam_job **jobs_r)
{
	unsigned int i, opened = 0;
	const char *error;
	int ret;

	for (i = 0; i < count; i++) {
		ret = lessons[i]->open(lessons[i], &error);
		if (ret <= 0) {
			lesson_fail(lessons[i],
				    ret < 0 ? ANTISPAM_BROKEN : ANTISPAM_LATER,
				    p_strdup(teach->pool, error));
			continue;
		}
		lessons_r[opened] = lessons[i];
		jobs_r[opened++] = &lessons[i]->job;
	}
	return opened;
}

/* Hand over lessons, and set their outcomes. */
static enum teach_end
teach_hand_over(const struct teach *teach,
		struct trainer_lesson *const *lessons, unsigned int count)
{
	const struct antispam_teacher *teacher = teach->teacher;
	struct antispam_outcome *outcomes =
		t_new(struct antispam_outcome, count);
	struct trainer_lesson **opened = t_new(struct trainer_lesson *, count);
	struct antispam_job **jobs = t_new(struct antispam_job *, count);
	struct antispam_batch batch = {
		.identity = &teacher->identity,
		.event = teacher->event,
		.fsync_mode = FSYNC_MODE_NEVER,
		.jobs = jobs,
		.outcomes = outcomes,
	};
	unsigned int i, later = 0;
	void *undo = NULL;

	batch.count = teach_open(teach, lessons, count, opened, jobs);
	if (batch.count == 0)
		return TEACH_UNASKED;
	teacher->backend->learn(teacher->backend_context, &batch, &undo);
	i_assert(undo == NULL);
	for (i = 0; i < batch.count; i++) {
		opened[i]->outcome = outcomes[i];
		opened[i]->outcome.why = p_strdup(teach->pool, outcomes[i].why);
		i_stream_unref(&jobs[i]->message);
		if (outcomes[i].result == ANTISPAM_LATER)
			later++;
	}
	return later == batch.count ? TEACH_NOTHING : TEACH_SOMETHING;
}

static void
teach_done(struct teach *teach, struct trainer_lesson *const *lessons,
	   unsigned int count)
{
	T_BEGIN {
		teach->callback(lessons, count, teach->context);
	} T_END;
}

static void
teach_skip(struct teach *teach, struct trainer_lesson *const *lessons,
	   unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		lesson_fail(lessons[i], ANTISPAM_LATER, TEACH_SKIPPED);
		lessons[i]->outcome.skipped = TRUE;
	}
	teach_done(teach, lessons, count);
}

/* The filter takes all of these at once: if it fails on them, let it have each
   half, until the lesson that it fails on stands alone. */
static void
teach_together(struct teach *teach, struct trainer_lesson *const *lessons,
	       unsigned int count)
{
	const unsigned int half = count / 2;
	enum teach_end end;

	if (teach->dead) {
		teach_skip(teach, lessons, count);
		return;
	}
	T_BEGIN {
		end = teach_hand_over(teach, lessons, count);
	} T_END;
	if (end == TEACH_NOTHING && count > 1) {
		teach_together(teach, lessons, half);
		teach_together(teach, lessons + half, count - half);
		return;
	}
	if (end == TEACH_SOMETHING)
		teach->failed_singles = 0;
	else if (end == TEACH_NOTHING)
		teach->dead = ++teach->failed_singles >= TEACH_DEAD_SINGLES;
	teach_done(teach, lessons, count);
}

/* The filter takes one at a time, or several side by side. */
static void
teach_singly(struct teach *teach, struct trainer_lesson *const *lessons,
	     unsigned int count)
{
	if (teach->dead) {
		teach_skip(teach, lessons, count);
		return;
	}
	T_BEGIN {
		teach->dead = teach_hand_over(teach, lessons, count) ==
			TEACH_NOTHING;
	} T_END;
	teach_done(teach, lessons, count);
}

/* Lessons that are under way at the same time. */
static unsigned int teach_parallel(const struct antispam_teacher *teacher)
{
	const unsigned int parallel = I_MAX(teacher->set->max_parallel, 1);
	const unsigned int most = teacher->backend->max_parallel;

	return most == 0 ? parallel : I_MIN(parallel, most);
}

void trainer_teach(const struct antispam_teacher *teacher, pool_t pool,
		   struct trainer_lesson *const *lessons, unsigned int count,
		   trainer_teach_callback_t *callback, void *context)
{
	struct teach teach = {
		.teacher = teacher,
		.pool = pool,
		.callback = callback,
		.context = context,
	};
	unsigned int size, next;
	bool together;

	size = antispam_teacher_batch(teacher, &together);
	if (!together)
		size = I_MIN(size, teach_parallel(teacher) * TEACH_ROUNDS);
	for (; count > 0; count -= next, lessons += next) {
		next = I_MIN(count, size);
		if (together)
			teach_together(&teach, lessons, next);
		else
			teach_singly(&teach, lessons, next);
	}
}

/* So many runs come before one of many messages has been halved down to one. */
static unsigned int halvings(unsigned int count)
{
	unsigned int n = 2;

	for (; count > 1; count = (count + 1) / 2)
		n++;
	return n;
}

unsigned int trainer_teach_silence_msecs(const struct antispam_teacher *teacher)
{
	bool together;
	const unsigned int size = antispam_teacher_batch(teacher, &together);
	const uint64_t runs = together ? halvings(size) : TEACH_ROUNDS + 1;

	return I_MIN(runs * ((uint64_t)teacher->set->timeout_msecs + TEACH_END_MSECS),
		     UINT_MAX / 2);
}
