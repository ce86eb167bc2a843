/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Collects a transaction's jobs and hands them to the backend before the
   storage commits. A backend that can take a lesson back gets them as they
   come, so that little is kept; any other gets them when the transaction is
   complete, since it may still be rolled back. */

#include "lib.h"
#include "istream.h"
#include "str.h"
#include "str-sanitize.h"
#include "time-util.h"
#include "lib-event-private.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-backend.h"
#include "antispam-dispatch.h"

/* A backend that can take lessons back gets them when this many bytes of
   messages are in memory. */
#define DISPATCH_EARLY_BYTES (ANTISPAM_JOB_MEMORY_MAX / 2)
/* Errors of one transaction that are logged one by one. */
#define DISPATCH_MAX_ERRORS 10
/* Folder names in log lines are cut here, in bytes. */
#define DISPATCH_NAME_MAX 200

struct antispam_dispatch {
	const struct antispam_teacher *teacher;
	enum fsync_mode fsync_mode;
	struct antispam_job_list *jobs;
	/* The backend's, see struct antispam_backend. */
	void *undo;
	/* taught, by class ([TRUE] = spam): learned or known. declined: by the
	   filter, or by what the message is. too_big: not looked at. */
	unsigned int taught[2], declined, too_big;
	/* Time that the taught ones took, for events sent at commit. */
	unsigned int taught_msecs[2];
	/* Lessons that failed. */
	unsigned int failures;
	/* The log has been warned of a message that is not learned. */
	bool warned:1;
};

static const char *const result_names[] = {
	[ANTISPAM_LEARNED] = "learned",
	[ANTISPAM_KNOWN] = "known",
	[ANTISPAM_DECLINED] = "declined",
	[ANTISPAM_LATER] = "later",
	[ANTISPAM_BROKEN] = "broken",
};

static const char *class_name(bool spam)
{
	return spam ? "spam" : "ham";
}

struct antispam_dispatch *
antispam_dispatch_begin(const struct antispam_teacher *teacher,
			enum fsync_mode fsync_mode)
{
	const struct antispam_backend *backend = teacher->backend;
	const char *tmpdir = backend->tmpdir == NULL ?
		"/tmp" :
		backend->tmpdir(teacher->backend_context);
	struct antispam_dispatch *dispatch;

	dispatch = i_new(struct antispam_dispatch, 1);
	dispatch->teacher = teacher;
	dispatch->fsync_mode = fsync_mode;
	dispatch->jobs = antispam_job_list_create(tmpdir);
	return dispatch;
}

/* Dovecot's statistics take an event's age for its field duration. */
static void
send_event(const struct antispam_teacher *teacher, bool spam,
	   enum antispam_result result, unsigned int duration_msecs)
{
	const char *class = class_name(spam), *outcome = result_names[result];
	struct event *event = event_create(teacher->event);

	timeval_sub_usecs(&event->tv_created,
			  (long long)duration_msecs * 1000);
	event_set_name(event, "antispam_lesson_finished");
	event_add_str(event, "class", class);
	event_add_str(event, "backend", teacher->backend->name);
	event_add_str(event, "outcome", outcome);
	event_add_str(event, "queued", "no");
	e_debug(event, "lesson finished: %s: %s", class, outcome);
	event_unref(&event);
}

static const char *describe_message(const struct antispam_job *job)
{
	return t_strdup_printf("(message: %s, to folder: %s)",
			       str_sanitize(job->origin, DISPATCH_NAME_MAX),
			       str_sanitize(job->folder, DISPATCH_NAME_MAX));
}

/* One error a failure: what, why, which message. But a user may drag any number
   of messages whose signatures are forged: the last errors of many are a
   number. */
static void
log_failure(struct antispam_dispatch *dispatch, const struct antispam_job *job,
	    const char *why)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	const char *error = t_strdup_printf(
		"learn(%s) with %s failed: %s %s", class_name(job->spam),
		teacher->backend->name, why, describe_message(job));

	if (++dispatch->failures > DISPATCH_MAX_ERRORS)
		e_debug(teacher->event, "%s", error);
	else
		e_error(teacher->event, "%s", error);
}

static void log_more_failures(const struct antispam_dispatch *dispatch)
{
	if (dispatch->failures <= DISPATCH_MAX_ERRORS)
		return;
	e_error(dispatch->teacher->event,
		"learning with %s failed for %u more messages",
		dispatch->teacher->backend->name,
		dispatch->failures - DISPATCH_MAX_ERRORS);
}

/* Returns FALSE if the transaction must be refused. */
static bool
dispatch_outcome(struct antispam_dispatch *dispatch,
		 const struct antispam_job *job,
		 const struct antispam_outcome *outcome)
{
	const struct antispam_teacher *teacher = dispatch->teacher;

	if (outcome->skipped)
		return FALSE;
	switch (outcome->result) {
	case ANTISPAM_LEARNED:
	case ANTISPAM_KNOWN:
		dispatch->taught[job->spam]++;
		dispatch->taught_msecs[job->spam] += outcome->duration_msecs;
		/* what can be taken back is not finished before the commit */
		if (teacher->backend->commit != NULL)
			return TRUE;
		break;
	case ANTISPAM_DECLINED:
		antispam_dispatch_decline(dispatch, job, FALSE, outcome->why);
		return TRUE;
	case ANTISPAM_LATER:
	case ANTISPAM_BROKEN:
		log_failure(dispatch, job, outcome->why);
		break;
	}
	send_event(teacher, job->spam, outcome->result,
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

/* Collect a batch of jobs of one class, from *idx on. Returns its size. */
static unsigned int
dispatch_next_batch(struct antispam_dispatch *dispatch, bool spam,
		    unsigned int *idx, struct antispam_job **batch_r)
{
	const unsigned int max = dispatch->teacher->backend->max_batch;
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
	unsigned int count, idx = 0;
	int ret = 0;

	batch = i_new(struct antispam_job *,
		      dispatch->teacher->backend->max_batch);
	for (;;) {
		count = dispatch_next_batch(dispatch, spam, &idx, batch);
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
	    antispam_job_list_memory(dispatch->jobs) <= DISPATCH_EARLY_BYTES)
		return 0;
	return dispatch_learn(dispatch);
}

int antispam_dispatch_capture_begin(struct antispam_dispatch *dispatch)
{
	if (dispatch_make_room(dispatch) < 0)
		return -1;
	antispam_job_list_begin(dispatch->jobs,
				dispatch->teacher->set->max_size);
	return 0;
}

void antispam_dispatch_capture(void *context, const void *data, size_t size)
{
	struct antispam_dispatch *dispatch = context;

	antispam_job_list_append(dispatch->jobs, data, size);
}

void antispam_dispatch_capture_cancel(struct antispam_dispatch *dispatch)
{
	antispam_job_list_cancel(dispatch->jobs);
}

static int
dispatch_keep(struct antispam_dispatch *dispatch,
	      const struct antispam_job *job, struct istream *input,
	      bool captured, const char **error_r)
{
	if (captured)
		return antispam_job_list_finish(dispatch->jobs, job, error_r);
	return antispam_job_list_add(dispatch->jobs, job, input,
				     dispatch->teacher->set->max_size,
				     error_r);
}

int antispam_dispatch_add(struct antispam_dispatch *dispatch,
			  const struct antispam_job *job,
			  struct istream *input, bool captured)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	const char *error;
	int ret;

	if (!captured && dispatch_make_room(dispatch) < 0)
		return -1;

	ret = dispatch_keep(dispatch, job, input, captured, &error);
	if (ret == 0) {
		dispatch->too_big++;
		e_debug(teacher->event,
			"not learned, since it is bigger than "
			"antispam_max_size %s",
			describe_message(job));
	} else if (ret < 0 && input != NULL && input->stream_errno != 0) {
		/* no filter's fault: it is moved all the same */
		log_failure(dispatch, job, error);
		send_event(teacher, job->spam, ANTISPAM_BROKEN, 0);
		ret = 0;
	} else if (ret < 0) {
		log_failure(dispatch, job, error);
		send_event(teacher, job->spam, ANTISPAM_LATER, 0);
	}
	return ret;
}

void antispam_dispatch_decline(struct antispam_dispatch *dispatch,
			       const struct antispam_job *job, bool warn,
			       const char *why)
{
	const struct antispam_teacher *teacher = dispatch->teacher;

	dispatch->declined++;
	if (warn && !dispatch->warned) {
		dispatch->warned = TRUE;
		e_warning(teacher->event, "not learned, since %s %s", why,
			  describe_message(job));
	} else {
		e_debug(teacher->event, "not learned, since %s %s", why,
			describe_message(job));
	}
	send_event(teacher, job->spam, ANTISPAM_DECLINED, 0);
}

void antispam_dispatch_refuse(struct antispam_dispatch *dispatch,
			      const struct antispam_job *job, const char *why)
{
	e_error(dispatch->teacher->event, "refused, since %s %s", why,
		describe_message(job));
}

void antispam_dispatch_drop_last(struct antispam_dispatch *dispatch)
{
	antispam_job_list_drop_last(dispatch->jobs);
}

/* What could be taken back is decided; so many of the lessons are lost. */
static void
dispatch_finish_events(const struct antispam_dispatch *dispatch,
		       unsigned int lost)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	unsigned int i, count, mean_msecs;
	enum antispam_result result;
	int spam;

	for (spam = 0; spam <= 1; spam++) {
		count = dispatch->taught[spam];
		if (count == 0)
			continue;
		mean_msecs = dispatch->taught_msecs[spam] / count;
		for (i = 0; i < count; i++) {
			result = i < lost ?
				ANTISPAM_LATER :
				ANTISPAM_LEARNED;
			T_BEGIN {
				send_event(teacher, spam == 1, result,
					   mean_msecs);
			} T_END;
		}
		lost -= I_MIN(lost, count);
	}
}

int antispam_dispatch_prepare(struct antispam_dispatch *dispatch)
{
	const struct antispam_teacher *teacher = dispatch->teacher;
	const char *error;

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
	log_more_failures(dispatch);
	i_assert(dispatch->undo == NULL);
	antispam_job_list_destroy(&dispatch->jobs);
	i_free(dispatch);
}

static void
append_count(string_t *str, unsigned int count, const char *what)
{
	if (count == 0)
		return;
	if (str_len(str) > 0)
		str_append(str, ", ");
	str_printfa(str, "%u %s", count, what);
}

static const char *dispatch_summary(const struct antispam_dispatch *dispatch)
{
	string_t *str = t_str_new(128);

	append_count(str, dispatch->taught[TRUE], "learned as spam");
	append_count(str, dispatch->taught[FALSE], "learned as ham");
	append_count(str, dispatch->declined, "declined");
	if (str_len(str) > 0)
		str_printfa(str, " by %s", dispatch->teacher->backend->name);
	append_count(str, dispatch->too_big,
		     "not learned (bigger than antispam_max_size)");
	return str_c(str);
}

void antispam_dispatch_commit(struct antispam_dispatch **_dispatch)
{
	struct antispam_dispatch *dispatch = *_dispatch;
	const struct antispam_teacher *teacher = dispatch->teacher;
	const struct antispam_backend *backend = teacher->backend;
	const char *error = NULL, *summary;
	unsigned int lost = 0;

	if (dispatch->undo != NULL) {
		lost = backend->commit(teacher->backend_context,
				       &dispatch->undo, &error);
		dispatch_finish_events(dispatch, lost);
	}
	if (lost > 0) {
		e_error(teacher->event,
			"%u of the messages that were moved are not learned "
			"by %s: %s",
			lost, backend->name, error);
	} else if (error != NULL) {
		e_error(teacher->event, "learning with %s: %s", backend->name,
			error);
	}
	summary = dispatch_summary(dispatch);
	if (teacher->set->log_lessons && summary[0] != '\0' && lost == 0)
		e_info(teacher->event, "%s", summary);
	dispatch_free(_dispatch);
}

void antispam_dispatch_rollback(struct antispam_dispatch **_dispatch)
{
	struct antispam_dispatch *dispatch = *_dispatch;
	const struct antispam_teacher *teacher = dispatch->teacher;
	const unsigned int taught =
		dispatch->taught[TRUE] + dispatch->taught[FALSE];

	if (dispatch->undo != NULL) {
		teacher->backend->rollback(teacher->backend_context,
					   &dispatch->undo);
	} else if (taught > 0) {
		/* a lesson can't be taken back from this backend */
		e_warning(teacher->event, "nothing was moved, but %s had "
					  "already taken lessons: %s",
			  teacher->backend->name,
			  dispatch_summary(dispatch));
	}
	dispatch_free(_dispatch);
}
