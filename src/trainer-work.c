/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What a child does, as the user. A transaction is locked while it is worked
   on, and what became of its jobs is written into it before anybody is told; so
   a job is taught again only if this process dies between the filter's answer
   and that. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "lib-event.h"
#include "str-sanitize.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-queue.h"
#include "antispam-queue-entry.h"
#include "antispam-signature.h"
#include "antispam-teacher.h"
#include "trainer-child.h"
#include "trainer-plan.h"
#include "trainer-report.h"
#include "trainer-teach.h"
#include "trainer-work.h"

#include <fcntl.h>
#include <unistd.h>

/* No transaction has more files than this that a child removes at once: a link
   a job, and a few. */
#define WORK_REMOVE_MAX (ANTISPAM_QUEUE_JOBS_MAX + 10)
/* Of what has a transaction's name, in the log, in bytes. */
#define WORK_ERROR_MAX 400

struct work_tx {
	struct antispam_queue_entry entry;
	struct antispam_queue_head head;
	/* Of all its jobs. */
	struct antispam_queue_state *states;
	/* Something of them is not written yet. */
	bool changed:1;
	/* All are settled, and what follows from that is done. */
	bool finished:1;
};

struct work_lesson {
	struct trainer_lesson lesson;
	struct work *work;
	struct work_tx *tx;
	/* Of its transaction, and of the plan. */
	unsigned int idx, step;
	enum trainer_action action;
	struct antispam_queue_job job;
};

struct work {
	const struct trainer_child_task *task;
	const struct antispam_teacher *teacher;
	struct antispam_signature_rule *signature_rule;
	struct antispam_queue_head now;
	pool_t pool;
	trainer_work_callback_t *callback;
	void *context;

	ARRAY(struct work_tx *) txs;
	/* Those that are to be taught, by class ([TRUE] = spam). */
	ARRAY(struct trainer_lesson *) lessons[2];
};

static struct work_lesson *work_lesson(struct trainer_lesson *lesson)
{
	return container_of(lesson, struct work_lesson, lesson);
}

static void
work_report(struct work *work, unsigned int step, enum trainer_result result,
	    const struct antispam_queue_job *job,
	    const struct antispam_queue_state *state, unsigned int wait_msecs,
	    unsigned int duration_msecs, const char *why)
{
	const struct trainer_report report = {
		.step = step,
		.result = result,
		.attempts = state == NULL ? 0 : state->attempts,
		.wait_msecs = wait_msecs,
		.duration_msecs = duration_msecs,
		.folder = job == NULL ? "" : job->folder,
		.origin = job == NULL ? "" : job->origin,
		.why = why,
	};

	work->callback(&report, work->context);
}

/* Settled transactions */

static bool
tx_is_settled(const struct work_tx *tx, bool *failed_r)
{
	unsigned int i;

	*failed_r = FALSE;
	for (i = 0; i < tx->entry.end.count; i++) {
		switch (tx->states[i].status) {
		case ANTISPAM_QUEUE_WAITING:
			return FALSE;
		case ANTISPAM_QUEUE_DONE:
			break;
		case ANTISPAM_QUEUE_FAILED:
			*failed_r = TRUE;
			break;
		}
	}
	return TRUE;
}

/* Write into the queue what has become of the transaction. */
static void tx_save(struct work *work, struct work_tx *tx)
{
	const int queue_fd = work->task->queue_fd;
	const char *error;
	bool failed, settled = tx_is_settled(tx, &failed);

	tx->changed = FALSE;
	tx->finished = settled;
	if (settled && !failed &&
	    antispam_queue_entry_remove(queue_fd, tx->entry.name,
					WORK_REMOVE_MAX))
		return;
	if (antispam_queue_entry_write_state(&tx->entry, tx->states,
					     &error) < 0) {
		e_error(work->teacher->event,
			"what was learned will be learned again, if this "
			"service is restarted: %s",
			str_sanitize(error, WORK_ERROR_MAX));
	}
	/* what has failed is kept, and so is what can't be removed: it would
	   be found again and again */
	if (settled &&
	    antispam_queue_entry_rename(queue_fd, tx->entry.name,
					ANTISPAM_QUEUE_PREFIX_FAILED) == NULL) {
		e_error(work->teacher->event, "rename(%s/%s) failed: %m",
			work->task->queue_dir,
			str_sanitize(tx->entry.name, WORK_ERROR_MAX));
	}
}

/* Outcomes */

/* The lesson came to nothing. Returns what that means, and how long to wait. */
static enum trainer_result
lesson_later(struct work_lesson *wl, unsigned int *wait_msecs_r)
{
	struct work *work = wl->work;
	struct antispam_queue_state *state = &wl->tx->states[wl->idx];
	const unsigned int lifetime = work->task->lifetime_msecs;
	const bool skipped = wl->lesson.outcome.skipped;
	const int64_t age_usecs =
		antispam_queue_head_age(&wl->tx->head, &work->now);
	const bool expired = age_usecs >= (int64_t)lifetime * 1000;

	/* once its time is over, its turn counts even if the filter is dead
	   before it comes */
	if (!skipped || expired)
		state->attempts++;
	state->why = wl->lesson.outcome.why;
	if (expired && state->attempts >= TRAINER_GIVE_UP_ATTEMPTS) {
		state->status = ANTISPAM_QUEUE_FAILED;
		return TRAINER_FAILED;
	}
	*wait_msecs_r = trainer_plan_backoff_msecs(
		skipped ? 1 : state->attempts, lifetime);
	state->next_try = work->now.wall_usecs / 1000000 +
		*wait_msecs_r / 1000;
	return skipped ? TRAINER_UNTRIED : TRAINER_LATER;
}

static void
lesson_settle(struct work_lesson *wl, enum antispam_queue_status status,
	      const char *why)
{
	struct antispam_queue_state *state = &wl->tx->states[wl->idx];

	state->status = status;
	state->why = why;
}

static enum trainer_result
lesson_outcome(struct work_lesson *wl, unsigned int *wait_msecs_r)
{
	const struct antispam_outcome *outcome = &wl->lesson.outcome;

	wl->tx->changed = TRUE;
	*wait_msecs_r = 0;
	if (wl->action == TRAINER_CANCEL) {
		lesson_settle(wl, ANTISPAM_QUEUE_DONE, NULL);
		return TRAINER_CANCELLED;
	}
	switch (outcome->result) {
	case ANTISPAM_LEARNED:
		lesson_settle(wl, ANTISPAM_QUEUE_DONE, NULL);
		return TRAINER_LEARNED;
	case ANTISPAM_KNOWN:
		lesson_settle(wl, ANTISPAM_QUEUE_DONE, NULL);
		return TRAINER_KNOWN;
	case ANTISPAM_DECLINED:
		lesson_settle(wl, ANTISPAM_QUEUE_DONE, outcome->why);
		return TRAINER_DECLINED;
	case ANTISPAM_LATER:
		return lesson_later(wl, wait_msecs_r);
	case ANTISPAM_BROKEN:
		wl->tx->states[wl->idx].attempts++;
		lesson_settle(wl, ANTISPAM_QUEUE_FAILED, outcome->why);
		return TRAINER_FAILED;
	}
	i_unreached();
}

struct lesson_result {
	enum trainer_result result;
	unsigned int wait_msecs;
};

/* The outcomes of these are known: save them, then tell. */
static void work_outcomes(struct trainer_lesson *const *lessons,
			  unsigned int count, void *context)
{
	struct work *work = context;
	struct work_lesson *wl;
	struct lesson_result *results =
		t_new(struct lesson_result, count);
	unsigned int i;

	for (i = 0; i < count; i++) {
		results[i].result = lesson_outcome(work_lesson(lessons[i]),
						   &results[i].wait_msecs);
	}
	for (i = 0; i < count; i++) {
		wl = work_lesson(lessons[i]);
		if (wl->tx->changed)
			tx_save(work, wl->tx);
	}
	for (i = 0; i < count; i++) {
		wl = work_lesson(lessons[i]);
		work_report(work, wl->step, results[i].result, &wl->job,
			    &wl->tx->states[wl->idx], results[i].wait_msecs,
			    lessons[i]->outcome.duration_msecs,
			    lessons[i]->outcome.why);
	}
}

/* Lessons */

static int
lesson_open(struct trainer_lesson *lesson, const char **error_r)
{
	struct work_lesson *wl = work_lesson(lesson);
	struct antispam_job *job = &lesson->job;
	const char *path;
	int ret;

	if (!wl->job.has_message)
		return 1;
	ret = antispam_queue_entry_message(&wl->tx->entry, &wl->job,
					   &job->message, &path, error_r);
	if (ret > 0 && path != NULL) {
		job->path = p_strconcat(wl->work->pool,
					wl->work->task->queue_dir, "/", path,
					NULL);
	}
	return ret;
}

/* May the filter of today be given this? Returns FALSE with the outcome set. */
static bool lesson_fits(struct work_lesson *wl, enum antispam_result *result_r,
			const char **why_r)
{
	const struct work *work = wl->work;
	const struct antispam_teacher *teacher = work->teacher;
	const enum antispam_need needs = teacher->backend->needs;
	const char *values[] = { wl->job.signature, NULL };
	const uoff_t max_size = teacher->set->max_size;
	const char *signature;

	*result_r = ANTISPAM_BROKEN;
	if ((needs & ANTISPAM_NEED_MESSAGE) != 0 && !wl->job.has_message) {
		*why_r = "it was queued without its message, for another "
			 "antispam_backend";
		return FALSE;
	}
	if ((needs & ANTISPAM_NEED_SIGNATURE) != 0 &&
	    wl->job.signature == NULL) {
		*why_r = "it was queued without a signature, for another "
			 "antispam_backend";
		return FALSE;
	}
	if ((needs & ANTISPAM_NEED_SIGNATURE) != 0) {
		if (antispam_signature_choose(work->signature_rule, values,
					      &signature, why_r) !=
		    ANTISPAM_SIGNATURE_FOUND)
			return FALSE;
		wl->lesson.job.signature = p_strdup(work->pool, signature);
	}
	*result_r = ANTISPAM_DECLINED;
	if (wl->job.has_message && max_size > 0 && wl->job.size > max_size) {
		*why_r = "it is bigger than antispam_max_size";
		return FALSE;
	}
	return TRUE;
}

/* Does the lesson need no filter? Then its outcome is set. */
static bool lesson_is_decided(struct work_lesson *wl, int training,
			      const char *error)
{
	struct antispam_outcome *outcome = &wl->lesson.outcome;

	if (wl->action == TRAINER_CANCEL)
		return TRUE;
	outcome->result = ANTISPAM_LATER;
	outcome->why = error;
	if (training < 0)
		return TRUE;
	outcome->result = ANTISPAM_DECLINED;
	outcome->why = "antispam_backend is none";
	if (training == 0)
		return TRUE;
	if (lesson_fits(wl, &outcome->result, &outcome->why))
		return FALSE;
	outcome->why = p_strdup(wl->work->pool, outcome->why);
	return TRUE;
}

/* Do what can be done without the filter, and keep the other lessons for
   it. */
static void work_sort(struct work *work, struct work_lesson *const *wls,
		      unsigned int count, int training, const char *error)
{
	struct trainer_lesson **decided =
		t_new(struct trainer_lesson *, count);
	struct trainer_lesson *lesson;
	const struct antispam_queue_state *state;
	unsigned int i, decided_count = 0;
	bool failed;

	for (i = 0; i < count; i++) {
		state = &wls[i]->tx->states[wls[i]->idx];
		lesson = &wls[i]->lesson;
		if (state->status != ANTISPAM_QUEUE_WAITING) {
			work_report(work, wls[i]->step, TRAINER_GONE,
				    &wls[i]->job, state, 0, 0, NULL);
		} else if (lesson_is_decided(wls[i], training, error)) {
			decided[decided_count++] = lesson;
		} else {
			array_push_back(&work->lessons[wls[i]->job.spam],
					&lesson);
		}
	}
	if (decided_count > 0)
		work_outcomes(decided, decided_count, work);
	/* who settled the last one died before this */
	if (!wls[0]->tx->finished && tx_is_settled(wls[0]->tx, &failed))
		tx_save(work, wls[0]->tx);
}

/* Transactions */

/* The steps of one transaction, while its lines are read. */
struct tx_reader {
	struct work *work;
	struct work_tx *tx;
	/* Of the plan. */
	unsigned int first, count, next;
	struct work_lesson **lessons;
};

static void
tx_read_job(unsigned int idx, const struct antispam_queue_job *job,
	    void *context)
{
	struct tx_reader *reader = context;
	struct work *work = reader->work;
	const struct trainer_step *step =
		&work->task->steps[reader->first + reader->next];
	struct work_lesson *wl;

	if (reader->next == reader->count || step->job != idx)
		return;
	wl = p_new(work->pool, struct work_lesson, 1);
	wl->lesson.open = lesson_open;
	wl->work = work;
	wl->tx = reader->tx;
	wl->idx = idx;
	wl->step = reader->first + reader->next;
	wl->action = step->action;
	wl->job = *job;
	wl->job.file = p_strdup(work->pool, job->file);
	wl->job.guid = NULL;
	wl->job.signature = p_strdup(work->pool, job->signature);
	wl->job.folder = p_strdup(work->pool, job->folder);
	wl->job.origin = p_strdup(work->pool, job->origin);
	wl->lesson.job.spam = wl->job.spam;
	wl->lesson.job.change = wl->job.change;
	wl->lesson.job.folder = wl->job.folder;
	wl->lesson.job.origin = wl->job.origin;
	wl->lesson.job.size = wl->job.size;
	reader->lessons[reader->next++] = wl;
}

static int tx_read(struct tx_reader *reader, const char **error_r)
{
	struct work *work = reader->work;
	struct work_tx *tx = reader->tx;

	if (antispam_queue_entry_read(&tx->entry, &tx->head, tx_read_job,
				      reader, error_r) < 0)
		return -1;
	if (strcmp(tx->head.username, work->task->username) != 0) {
		*error_r = "it is another user's now";
		return -1;
	}
	if (reader->next != reader->count) {
		*error_r = "it has other jobs than it had";
		return -1;
	}
	tx->head.username = NULL;
	tx->head.boot_id = p_strdup(work->pool, tx->head.boot_id);
	tx->states = p_new(work->pool, struct antispam_queue_state,
			   tx->entry.end.count);
	antispam_queue_entry_read_state(&tx->entry, work->pool, tx->states);
	return 0;
}

/* Open, lock and read it. */
static enum trainer_result
tx_open(struct tx_reader *reader, const char *name, const char **error_r)
{
	struct antispam_queue_entry *entry = &reader->tx->entry;

	switch (antispam_queue_entry_open(reader->work->task->queue_fd, name,
					  entry, error_r)) {
	case ANTISPAM_QUEUE_FOUND:
		break;
	case ANTISPAM_QUEUE_GONE:
		return TRAINER_GONE;
	case ANTISPAM_QUEUE_UNREADABLE:
		return TRAINER_LATER;
	case ANTISPAM_QUEUE_UNFINISHED:
	case ANTISPAM_QUEUE_INVALID:
		return TRAINER_FOREIGN;
	}
	if (!antispam_queue_entry_lock(entry)) {
		*error_r = NULL;
		return TRAINER_BUSY;
	}
	/* what is taught must be noted, or it would be taught for ever */
	if (faccessat(entry->dir_fd, ".", W_OK, 0) < 0) {
		*error_r = t_strdup_printf("%s can't be written: %m", name);
		return TRAINER_LATER;
	}
	if (tx_read(reader, error_r) < 0)
		return TRAINER_FOREIGN;
	return TRAINER_LEARNED;
}

/* Take up the steps [first, first + count), which are of one transaction. */
static void work_take_tx(struct work *work, unsigned int first,
			 unsigned int count, int training, const char *error)
{
	struct work_tx *tx = p_new(work->pool, struct work_tx, 1);
	struct tx_reader reader = {
		.work = work,
		.tx = tx,
		.first = first,
		.count = count,
		.lessons = t_new(struct work_lesson *, count),
	};
	enum trainer_result result;
	const char *open_error;
	unsigned int i, wait_msecs = 0;

	result = tx_open(&reader, work->task->steps[first].tx->name,
			 &open_error);
	if (result != TRAINER_LEARNED) {
		antispam_queue_entry_close(&tx->entry);
		if (result == TRAINER_LATER) {
			wait_msecs = trainer_plan_backoff_msecs(
				1, work->task->lifetime_msecs);
		}
		for (i = 0; i < count; i++) {
			work_report(work, first + i, result, NULL, NULL,
				    wait_msecs, 0, open_error);
		}
		return;
	}
	array_push_back(&work->txs, &tx);
	work_sort(work, reader.lessons, count, training, error);
}

static void work_take_all(struct work *work, int training, const char *error)
{
	const struct trainer_step *steps = work->task->steps;
	const unsigned int count = work->task->steps_count;
	unsigned int first, next;

	for (first = 0; first < count; first = next) {
		next = first + 1;
		while (next < count && steps[next].tx == steps[first].tx)
			next++;
		T_BEGIN {
			work_take_tx(work, first, next - first, training,
				     error);
		} T_END;
	}
}

static void work_teach(struct work *work, bool spam)
{
	struct trainer_lesson *const *lessons;
	unsigned int count;

	lessons = array_get(&work->lessons[spam], &count);
	if (count > 0) {
		trainer_teach(work->teacher, work->pool, lessons, count,
			      work_outcomes, work);
	}
}

/* Returns training. */
static int
work_init_signature(struct work *work, int training, const char **error)
{
	const struct antispam_teacher *teacher = work->teacher;

	if (training <= 0 ||
	    (teacher->backend->needs & ANTISPAM_NEED_SIGNATURE) == 0)
		return training;
	if (antispam_signature_rule_init(work->pool, teacher->set,
					 teacher->backend,
					 &work->signature_rule, error) < 0)
		return -1;
	return training;
}

void trainer_work(const struct trainer_child_task *task,
		  const struct antispam_teacher *teacher, int training,
		  const char *error, trainer_work_callback_t *callback,
		  void *context)
{
	struct work work = {
		.task = task,
		.teacher = teacher,
		.callback = callback,
		.context = context,
	};
	struct work_tx *tx;

	work.pool = pool_alloconly_create("antispam work", 64 * 1024);
	p_array_init(&work.txs, work.pool, 16);
	p_array_init(&work.lessons[FALSE], work.pool, 16);
	p_array_init(&work.lessons[TRUE], work.pool, 16);
	antispam_queue_now(&work.now);
	training = work_init_signature(&work, training, &error);

	work_take_all(&work, training, error);
	work_teach(&work, TRUE);
	work_teach(&work, FALSE);

	array_foreach_elem(&work.txs, tx)
		antispam_queue_entry_close(&tx->entry);
	pool_unref(&work.pool);
}
