/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "istream.h"
#include "lib-event.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-store.h"
#include "antispam-queue.h"
#include "antispam-report.h"
#include "antispam-teacher.h"
#include "trainer-client.h"
#include "antispam-enqueue.h"

#include <time.h>

/* How long to wait for the trainer to make a queue that is missing, once a
   session, in tries and milliseconds from one to the next. */
#define ENQUEUE_MISSING_TRIES 100
#define ENQUEUE_MISSING_MSECS 10

struct antispam_enqueue {
	struct antispam_teacher *teacher;
	struct antispam_report *report;
	/* NULL = not begun yet, or it can't be written. */
	struct antispam_queue *queue;
	/* Why lessons were lost, and how many, by class ([TRUE] = spam). */
	char *error;
	unsigned int lost[2];
	/* Jobs in the queue, by class, and that of the last one. */
	unsigned int added[2];
	bool last_spam;
};

struct antispam_enqueue *
antispam_enqueue_begin(struct antispam_teacher *teacher,
		       struct antispam_report *report)
{
	struct antispam_enqueue *enqueue;

	enqueue = i_new(struct antispam_enqueue, 1);
	enqueue->teacher = teacher;
	enqueue->report = report;
	return enqueue;
}

static void enqueue_free(struct antispam_enqueue **_enqueue)
{
	struct antispam_enqueue *enqueue = *_enqueue;

	*_enqueue = NULL;
	i_assert(enqueue->queue == NULL);
	i_free(enqueue->error);
	i_free(enqueue);
}

static void
enqueue_set_error(struct antispam_enqueue *enqueue, const char *error)
{
	if (enqueue->error == NULL)
		enqueue->error = i_strdup(error);
}

/* The queue is missing, so nobody has used it yet: the trainer makes it. */
static struct antispam_queue *
enqueue_wait_for_queue(struct antispam_enqueue *enqueue, const char **error_r)
{
	static const struct timespec pause = {
		.tv_nsec = ENQUEUE_MISSING_MSECS * 1000 * 1000,
	};
	struct antispam_teacher *teacher = enqueue->teacher;
	struct antispam_queue *queue = NULL;
	const char *error;
	bool missing = TRUE;
	unsigned int i;

	if (teacher->queue_waited_for)
		return NULL;
	teacher->queue_waited_for = TRUE;
	if (antispam_trainer_wake(teacher->base_dir, ANTISPAM_TRAINER_LINE_DIR,
				  &error) < 0) {
		*error_r = t_strdup_printf("%s, and %s", *error_r, error);
		return NULL;
	}
	for (i = 0; i < ENQUEUE_MISSING_TRIES && missing; i++) {
		(void)nanosleep(&pause, NULL);
		queue = antispam_queue_begin(teacher->set->queue_dir,
					     teacher->identity.username,
					     &missing, error_r);
		if (queue != NULL)
			break;
	}
	return queue;
}

/* Returns FALSE if the queue can't be written. */
static bool enqueue_open(struct antispam_enqueue *enqueue)
{
	const struct antispam_teacher *teacher = enqueue->teacher;
	const char *error;
	bool missing;

	if (enqueue->queue != NULL)
		return TRUE;
	if (enqueue->error != NULL)
		return FALSE;
	enqueue->queue = antispam_queue_begin(teacher->set->queue_dir,
					      teacher->identity.username,
					      &missing, &error);
	if (enqueue->queue == NULL && missing)
		enqueue->queue = enqueue_wait_for_queue(enqueue, &error);
	if (enqueue->queue == NULL)
		enqueue_set_error(enqueue, error);
	return enqueue->queue != NULL;
}

void antispam_enqueue_capture_begin(struct antispam_enqueue *enqueue)
{
	if (enqueue_open(enqueue)) {
		antispam_store_begin(antispam_queue_store(enqueue->queue),
				     enqueue->teacher->set->max_size);
	}
}

void antispam_enqueue_capture(struct antispam_enqueue *enqueue,
			      const void *data, size_t size)
{
	if (enqueue->queue != NULL) {
		antispam_store_append(antispam_queue_store(enqueue->queue),
				      data, size);
	}
}

void antispam_enqueue_capture_cancel(struct antispam_enqueue *enqueue)
{
	if (enqueue->queue != NULL)
		antispam_store_cancel(antispam_queue_store(enqueue->queue));
}

static void
enqueue_added(struct antispam_enqueue *enqueue, const struct antispam_job *job)
{
	enqueue->added[job->spam]++;
	enqueue->last_spam = job->spam;
}

/* Copy the message. */
static int
enqueue_store(struct antispam_enqueue *enqueue, struct antispam_job *job,
	      struct istream *input, bool captured, const char **error_r)
{
	struct antispam_store *store = antispam_queue_store(enqueue->queue);
	const struct antispam_place *place = job->place;
	int ret;

	if (place != NULL && place->fd != -1) {
		ret = antispam_store_add_fd(store, place->fd, place->offset,
					    place->size, &job->offset,
					    &job->size, error_r);
		if (ret != 0)
			return ret;
	}
	if (captured) {
		return antispam_store_finish(store, &job->offset, &job->size,
					     error_r);
	}
	return antispam_store_add(store, input,
				  enqueue->teacher->set->max_size,
				  &job->offset, &job->size, error_r);
}

static int
enqueue_try_link(struct antispam_enqueue *enqueue,
		 const struct antispam_job *job)
{
	const uoff_t max_size = enqueue->teacher->set->max_size;

	if (max_size > 0 && job->place->size > max_size)
		return 0;
	return antispam_queue_link(enqueue->queue, job) ? 1 : -1;
}

/* Returns 1, 0 if it is too big, -1 and *error_r. */
static int
enqueue_try_add(struct antispam_enqueue *enqueue,
		const struct antispam_job *src, struct istream *input,
		bool captured, const char **error_r)
{
	struct antispam_job job = *src;
	const bool has_message = captured || input != NULL;
	int ret;

	if (job.place != NULL) {
		ret = enqueue_try_link(enqueue, &job);
		if (ret >= 0)
			return ret;
	}
	if (has_message) {
		ret = enqueue_store(enqueue, &job, input, captured, error_r);
		if (ret <= 0)
			return ret;
	}
	antispam_queue_add(enqueue->queue, &job, has_message);
	return 1;
}

bool antispam_enqueue_can_link(const struct antispam_enqueue *enqueue)
{
	return enqueue->queue == NULL ||
		antispam_queue_link_error(enqueue->queue) == NULL;
}

int antispam_enqueue_link(struct antispam_enqueue *enqueue,
			  const struct antispam_job *job)
{
	int ret = -1;

	if (enqueue_open(enqueue))
		ret = enqueue_try_link(enqueue, job);
	if (ret > 0)
		enqueue_added(enqueue, job);
	return ret;
}

int antispam_enqueue_add(struct antispam_enqueue *enqueue,
			 const struct antispam_job *job, struct istream *input,
			 bool captured, const char **error_r)
{
	const char *error = NULL;
	int ret = -1;

	*error_r = NULL;
	if (enqueue_open(enqueue)) {
		ret = enqueue_try_add(enqueue, job, input, captured, &error);
		if (ret > 0)
			enqueue_added(enqueue, job);
	}
	if (ret >= 0)
		return ret;
	if (input != NULL && input->stream_errno != 0) {
		*error_r = error == NULL ? i_stream_get_error(input) : error;
		return -1;
	}
	if (error != NULL)
		enqueue_set_error(enqueue, error);
	enqueue->lost[job->spam]++;
	return -1;
}

void antispam_enqueue_drop_last(struct antispam_enqueue *enqueue)
{
	antispam_queue_drop_last(enqueue->queue);
	enqueue->added[enqueue->last_spam]--;
}

void antispam_enqueue_prepare(struct antispam_enqueue *enqueue,
			      enum fsync_mode fsync_mode)
{
	const char *error;
	int spam;

	if (enqueue->queue == NULL)
		return;
	if (antispam_queue_count(enqueue->queue) == 0) {
		antispam_queue_rollback(&enqueue->queue);
		return;
	}
	if (antispam_queue_prepare(enqueue->queue, fsync_mode, &error) == 0)
		return;
	antispam_queue_rollback(&enqueue->queue);
	enqueue_set_error(enqueue, error);
	for (spam = 0; spam <= 1; spam++) {
		enqueue->lost[spam] += enqueue->added[spam];
		enqueue->added[spam] = 0;
	}
}

static void
enqueue_send_events(const struct antispam_enqueue *enqueue, const char *name,
		    const unsigned int counts[2])
{
	unsigned int i;
	int spam;

	for (spam = 0; spam <= 1; spam++) {
		for (i = 0; i < counts[spam]; i++) {
			T_BEGIN {
				antispam_report_event(enqueue->report, name,
						      spam == 1);
			} T_END;
		}
	}
}

/* The trainer finds the transaction in any case, but it may not run. */
static void
enqueue_wake(const struct antispam_enqueue *enqueue, const char *name)
{
	struct antispam_teacher *teacher = enqueue->teacher;
	const char *error;

	if (antispam_trainer_wake(teacher->base_dir, name, &error) == 0)
		return;
	if (teacher->trainer_missed) {
		e_debug(teacher->event, "%s", error);
		return;
	}
	teacher->trainer_missed = TRUE;
	e_warning(teacher->event,
		  "%s: what is in the queue waits until antispam-trainer runs",
		  error);
}

void antispam_enqueue_commit(struct antispam_enqueue **_enqueue)
{
	struct antispam_enqueue *enqueue = *_enqueue;
	const struct antispam_teacher *teacher = enqueue->teacher;
	const unsigned int lost = enqueue->lost[FALSE] + enqueue->lost[TRUE];
	const char *error;

	if (enqueue->queue != NULL) {
		error = antispam_queue_link_error(enqueue->queue);
		if (error != NULL) {
			e_debug(teacher->event,
				"messages are copied into %s, since %s",
				teacher->set->queue_dir, error);
		}
		enqueue_wake(enqueue, antispam_queue_commit(&enqueue->queue));
		enqueue->report->enqueued[TRUE] += enqueue->added[TRUE];
		enqueue->report->enqueued[FALSE] += enqueue->added[FALSE];
		enqueue_send_events(enqueue, "antispam_lesson_queued",
				    enqueue->added);
	}
	if (lost > 0) {
		e_error(teacher->event,
			"%u of the messages that were moved will never be "
			"learned, since the queue can't be written: %s",
			lost, enqueue->error);
		enqueue_send_events(enqueue, "antispam_lesson_lost",
				    enqueue->lost);
	}
	enqueue_free(_enqueue);
}

void antispam_enqueue_rollback(struct antispam_enqueue **_enqueue)
{
	struct antispam_enqueue *enqueue = *_enqueue;

	antispam_queue_rollback(&enqueue->queue);
	enqueue_free(_enqueue);
}
