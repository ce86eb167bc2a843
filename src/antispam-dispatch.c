/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Collects a transaction's jobs. They go into the queue; or to the backend
   before the storage commits: one that can take a lesson back gets them as they
   come, so that little is kept; any other gets them when the transaction is
   complete, since it may still be rolled back. */

#include "lib.h"
#include "istream.h"
#include "lib-event.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-store.h"
#include "antispam-backend.h"
#include "antispam-report.h"
#include "antispam-teacher.h"
#include "antispam-enqueue.h"
#include "antispam-dispatch.h"

/* A backend that can take lessons back gets them when this many bytes of
   messages are in memory. */
#define DISPATCH_EARLY_BYTES (ANTISPAM_STORE_MEMORY_MAX / 2)

struct antispam_dispatch {
	struct antispam_teacher *teacher;
	enum fsync_mode fsync_mode;
	struct antispam_report report;

	/* NULL = the backend learns within the command: what is below. */
	struct antispam_enqueue *enqueue;

	struct antispam_store *store;
	struct antispam_job_list *jobs;
	/* The backend's, see struct antispam_backend. */
	void *undo;
	/* Time that the taught ones took, for events sent at commit. */
	unsigned int taught_msecs[2];
};

struct antispam_dispatch *
antispam_dispatch_begin(struct antispam_teacher *teacher,
			enum fsync_mode fsync_mode)
{
	const struct antispam_backend *backend = teacher->backend;
	struct antispam_dispatch *dispatch;

	dispatch = i_new(struct antispam_dispatch, 1);
	dispatch->teacher = teacher;
	dispatch->fsync_mode = fsync_mode;
	dispatch->report.event = teacher->event;
	dispatch->report.backend = backend->name;
	if (antispam_teacher_is_queued(teacher)) {
		dispatch->report.queued = TRUE;
		dispatch->enqueue = antispam_enqueue_begin(
			teacher, &dispatch->report);
		return dispatch;
	}
	dispatch->store = antispam_store_create(
		backend->tmpdir == NULL ?
			"/tmp" :
			backend->tmpdir(teacher->backend_context));
	dispatch->jobs = antispam_job_list_create(dispatch->store);
	return dispatch;
}

/* Returns FALSE if the transaction must be refused. */
static bool
dispatch_outcome(struct antispam_dispatch *dispatch,
		 const struct antispam_job *job,
		 const struct antispam_outcome *outcome)
{
	struct antispam_report *report = &dispatch->report;

	if (outcome->skipped)
		return FALSE;
	switch (outcome->result) {
	case ANTISPAM_LEARNED:
	case ANTISPAM_KNOWN:
		report->taught[job->spam]++;
		dispatch->taught_msecs[job->spam] += outcome->duration_msecs;
		/* what can be taken back is not finished before the commit */
		if (dispatch->teacher->backend->commit != NULL)
			return TRUE;
		break;
	case ANTISPAM_DECLINED:
		antispam_report_declined(report, job, FALSE, outcome->why);
		return TRUE;
	case ANTISPAM_LATER:
	case ANTISPAM_BROKEN:
		antispam_report_failure(report, job, outcome->why);
		break;
	}
	antispam_report_finished(report, job->spam, outcome->result,
				 outcome->duration_msecs);
	/* no other try would help one that is broken */
	return outcome->result != ANTISPAM_LATER;
}

/* Let the backend learn these jobs, which are of one class. */
static int
dispatch_learn_batch(struct antispam_dispatch *dispatch,
		     struct antispam_job *const *jobs, unsigned int count)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	struct antispam_outcome *outcomes =
		t_new(struct antispam_outcome, count);
	const struct antispam_batch batch = {
		.identity = &teacher->identity,
		.event = teacher->event,
		.fsync_mode = dispatch->fsync_mode,
		.jobs = jobs,
		.count = count,
		.stop_on_failure = TRUE,
		.outcomes = outcomes,
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count; i++)
		antispam_job_list_open(dispatch->jobs, jobs[i]);
	teacher->backend->learn(teacher->backend_context, &batch,
				&dispatch->undo);
	for (i = 0; i < count; i++) {
		antispam_job_list_close(jobs[i]);
		if (!dispatch_outcome(dispatch, jobs[i], &outcomes[i]))
			ret = -1;
	}
	return ret;
}

/* Collect a batch of at most max jobs of one class, from *idx on. Returns its
   size. */
static unsigned int
dispatch_next_batch(struct antispam_dispatch *dispatch, bool spam,
		    unsigned int max, unsigned int *idx,
		    struct antispam_job **batch_r)
{
	const unsigned int total = antispam_job_list_count(dispatch->jobs);
	struct antispam_job *job;
	unsigned int count = 0;

	for (; *idx < total && count < max; (*idx)++) {
		job = antispam_job_list_get(dispatch->jobs, *idx);
		if (job->spam == spam)
			batch_r[count++] = job;
	}
	return count;
}

static int dispatch_learn_class(struct antispam_dispatch *dispatch, bool spam)
{
	struct antispam_job **batch;
	unsigned int count, max, idx = 0;
	bool together;
	int ret = 0;

	max = antispam_teacher_batch(dispatch->teacher, &together);
	batch = i_new(struct antispam_job *, max);
	for (;;) {
		count = dispatch_next_batch(dispatch, spam, max, &idx, batch);
		if (count == 0 || ret < 0)
			break;
		T_BEGIN {
			ret = dispatch_learn_batch(dispatch, batch, count);
		} T_END;
	}
	i_free(batch);
	return ret;
}

/* Learn what has been collected, and forget it. */
static int dispatch_learn(struct antispam_dispatch *dispatch)
{
	if (dispatch_learn_class(dispatch, TRUE) < 0 ||
	    dispatch_learn_class(dispatch, FALSE) < 0)
		return -1;
	antispam_job_list_clear(dispatch->jobs);
	return 0;
}

/* Let a backend that can take it back learn what fills the memory. */
static int dispatch_make_room(struct antispam_dispatch *dispatch)
{
	if (dispatch->teacher->backend->rollback == NULL ||
	    antispam_store_memory(dispatch->store) <= DISPATCH_EARLY_BYTES)
		return 0;
	return dispatch_learn(dispatch);
}

int antispam_dispatch_capture_begin(struct antispam_dispatch *dispatch)
{
	if (dispatch->enqueue != NULL) {
		antispam_enqueue_capture_begin(dispatch->enqueue);
		return 0;
	}
	if (dispatch_make_room(dispatch) < 0)
		return -1;
	antispam_store_begin(dispatch->store, dispatch->teacher->set->max_size);
	return 0;
}

void antispam_dispatch_capture(void *context, const void *data, size_t size)
{
	struct antispam_dispatch *dispatch = context;

	if (dispatch->enqueue != NULL)
		antispam_enqueue_capture(dispatch->enqueue, data, size);
	else
		antispam_store_append(dispatch->store, data, size);
}

void antispam_dispatch_capture_cancel(struct antispam_dispatch *dispatch)
{
	if (dispatch->enqueue != NULL)
		antispam_enqueue_capture_cancel(dispatch->enqueue);
	else
		antispam_store_cancel(dispatch->store);
}

/* Keep the message, if there is one, for the job. As
   antispam_store_finish(). */
static int
dispatch_keep(struct antispam_dispatch *dispatch,
	      const struct antispam_job *job, struct istream *input,
	      bool captured, const char **error_r)
{
	uoff_t offset = antispam_store_size(dispatch->store), size = 0;
	int ret = 1;

	if (captured) {
		ret = antispam_store_finish(dispatch->store, &offset, &size,
					    error_r);
	} else if (input != NULL) {
		ret = antispam_store_add(dispatch->store, input,
					 dispatch->teacher->set->max_size,
					 &offset, &size, error_r);
	}
	if (ret > 0)
		antispam_job_list_add(dispatch->jobs, job, offset, size);
	return ret;
}

static void dispatch_too_big(struct antispam_dispatch *dispatch,
			     const struct antispam_job *job)
{
	dispatch->report.too_big++;
	e_debug(dispatch->teacher->event,
		"not learned, since it is bigger than antispam_max_size %s",
		antispam_report_describe(job));
}

/* No filter's fault: it is moved all the same. */
static void dispatch_unreadable(struct antispam_dispatch *dispatch,
				const struct antispam_job *job,
				const char *error)
{
	antispam_report_failure(&dispatch->report, job, error);
	antispam_report_finished(&dispatch->report, job->spam,
				 ANTISPAM_BROKEN, 0);
}

bool antispam_dispatch_is_queued(const struct antispam_dispatch *dispatch)
{
	return dispatch->enqueue != NULL;
}

bool antispam_dispatch_can_link(const struct antispam_dispatch *dispatch)
{
	return dispatch->enqueue != NULL &&
		antispam_enqueue_can_link(dispatch->enqueue);
}

int antispam_dispatch_link(struct antispam_dispatch *dispatch,
			   const struct antispam_job *job)
{
	int ret = antispam_enqueue_link(dispatch->enqueue, job);

	if (ret == 0)
		dispatch_too_big(dispatch, job);
	return ret;
}

static int
dispatch_enqueue(struct antispam_dispatch *dispatch,
		 const struct antispam_job *job, struct istream *input,
		 bool captured)
{
	const char *error;
	int ret;

	ret = antispam_enqueue_add(dispatch->enqueue, job, input, captured,
				   &error);
	if (ret == 0)
		dispatch_too_big(dispatch, job);
	else if (ret < 0 && error != NULL)
		dispatch_unreadable(dispatch, job, error);
	return I_MAX(ret, 0);
}

int antispam_dispatch_add(struct antispam_dispatch *dispatch,
			  const struct antispam_job *job,
			  struct istream *input, bool captured)
{
	const char *error;
	int ret;

	if (dispatch->enqueue != NULL)
		return dispatch_enqueue(dispatch, job, input, captured);
	if (!captured && dispatch_make_room(dispatch) < 0)
		return -1;

	ret = dispatch_keep(dispatch, job, input, captured, &error);
	if (ret == 0) {
		dispatch_too_big(dispatch, job);
	} else if (ret < 0 && input != NULL && input->stream_errno != 0) {
		dispatch_unreadable(dispatch, job, error);
		ret = 0;
	} else if (ret < 0) {
		antispam_report_failure(&dispatch->report, job, error);
		antispam_report_finished(&dispatch->report, job->spam,
					 ANTISPAM_LATER, 0);
	}
	return ret;
}

void antispam_dispatch_decline(struct antispam_dispatch *dispatch,
			       const struct antispam_job *job, bool warn,
			       const char *why)
{
	antispam_report_declined(&dispatch->report, job, warn, why);
}

void antispam_dispatch_refuse(struct antispam_dispatch *dispatch,
			      const struct antispam_job *job, const char *why)
{
	e_error(dispatch->teacher->event, "refused, since %s %s", why,
		antispam_report_describe(job));
}

void antispam_dispatch_drop_last(struct antispam_dispatch *dispatch)
{
	if (dispatch->enqueue != NULL)
		antispam_enqueue_drop_last(dispatch->enqueue);
	else
		antispam_job_list_drop_last(dispatch->jobs);
}

/* What could be taken back is decided; so many of the lessons are lost. */
static void
dispatch_finish_events(const struct antispam_dispatch *dispatch,
		       unsigned int lost)
{
	const struct antispam_report *report = &dispatch->report;
	unsigned int i, count, mean_msecs;
	enum antispam_result result;
	int spam;

	for (spam = 0; spam <= 1; spam++) {
		count = report->taught[spam];
		if (count == 0)
			continue;
		mean_msecs = dispatch->taught_msecs[spam] / count;
		for (i = 0; i < count; i++) {
			result = i < lost ?
				ANTISPAM_LATER :
				ANTISPAM_LEARNED;
			T_BEGIN {
				antispam_report_finished(report, spam == 1,
							 result, mean_msecs);
			} T_END;
		}
		lost -= I_MIN(lost, count);
	}
}

int antispam_dispatch_prepare(struct antispam_dispatch *dispatch)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	const char *error;

	if (dispatch->enqueue != NULL) {
		antispam_enqueue_prepare(dispatch->enqueue,
					 dispatch->fsync_mode);
		return 0;
	}
	if (dispatch_learn(dispatch) < 0)
		return -1;
	if (dispatch->undo == NULL || teacher->backend->prepare == NULL)
		return 0;
	if (teacher->backend->prepare(teacher->backend_context,
				      &dispatch->undo, &error) < 0) {
		e_error(teacher->event, "learning with %s failed: %s",
			teacher->backend->name, error);
		dispatch_finish_events(dispatch, UINT_MAX);
		return -1;
	}
	return 0;
}

static void dispatch_free(struct antispam_dispatch **_dispatch)
{
	struct antispam_dispatch *dispatch = *_dispatch;

	*_dispatch = NULL;
	antispam_report_end(&dispatch->report);
	i_assert(dispatch->undo == NULL);
	antispam_job_list_destroy(&dispatch->jobs);
	antispam_store_destroy(&dispatch->store);
	i_free(dispatch);
}

/* Let the backend reveal what it has learned. Returns FALSE if any of it is
   lost. */
static bool dispatch_reveal(struct antispam_dispatch *dispatch)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	const struct antispam_backend *backend = teacher->backend;
	const char *error = NULL;
	unsigned int lost;

	lost = backend->commit(teacher->backend_context, &dispatch->undo,
			       &error);
	dispatch_finish_events(dispatch, lost);
	if (lost > 0) {
		e_error(teacher->event,
			"%u of the messages that were moved are not learned "
			"by %s: %s",
			lost, backend->name, error);
	} else if (error != NULL) {
		e_error(teacher->event, "learning with %s: %s", backend->name,
			error);
	}
	return lost == 0;
}

void antispam_dispatch_commit(struct antispam_dispatch **_dispatch)
{
	struct antispam_dispatch *dispatch = *_dispatch;
	const struct antispam_teacher *teacher = dispatch->teacher;
	const char *summary;
	bool revealed = TRUE;

	if (dispatch->enqueue != NULL)
		antispam_enqueue_commit(&dispatch->enqueue);
	else if (dispatch->undo != NULL)
		revealed = dispatch_reveal(dispatch);
	summary = antispam_report_summary(&dispatch->report);
	if (teacher->set->log_lessons && summary[0] != '\0' && revealed)
		e_info(teacher->event, "%s", summary);
	dispatch_free(_dispatch);
}

void antispam_dispatch_rollback(struct antispam_dispatch **_dispatch)
{
	struct antispam_dispatch *dispatch = *_dispatch;
	const struct antispam_teacher *teacher = dispatch->teacher;
	const struct antispam_report *report = &dispatch->report;

	if (dispatch->enqueue != NULL) {
		antispam_enqueue_rollback(&dispatch->enqueue);
	} else if (dispatch->undo != NULL) {
		teacher->backend->rollback(teacher->backend_context,
					   &dispatch->undo);
	} else if (report->taught[TRUE] + report->taught[FALSE] > 0) {
		/* a lesson can't be taken back from this backend */
		e_warning(teacher->event, "nothing was moved, but %s had "
					  "already taken lessons: %s",
			  teacher->backend->name,
			  antispam_report_summary(report));
	}
	dispatch_free(_dispatch);
}
