/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "istream.h"
#include "lib-event.h"
#include "str.h"
#include "str-sanitize.h"
#include "antispam-job.h"
#include "antispam-report.h"
#include "trainer-child.h"
#include "trainer-report.h"
#include "trainer-run.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* Reasons that are logged one by one. */
#define RUN_MAX_REASONS 10
/* Names in log lines are cut here, in bytes. */
#define RUN_NAME_MAX 200
/* Before the child has told how long it may take: userdb must answer. */
#define RUN_PATIENCE_MSECS (5 * 60 * 1000)
/* A line of a child. */
#define RUN_LINE_MAX (64 * 1024)

/* Lessons that came to nothing for the same reason. */
struct run_reason {
	const char *why;
	/* The first of them. */
	struct antispam_job job;
	/* When that is tried again; UINT_MAX = never, and its transaction. */
	unsigned int wait_msecs;
	const char *tx_name;
	unsigned int count;
};

struct run_step {
	struct trainer_step step;
	bool reported;
};

struct trainer_run {
	struct trainer_run_settings set;
	struct trainer_user *user;
	pool_t pool;
	pid_t pid;
	int fd;
	struct io *io;
	struct istream *input;
	ARRAY(struct run_step) steps;
	ARRAY(struct run_reason) reasons;
	struct antispam_report report;
	/* Ends a child that says nothing for that long: its user may have
	   stopped it, to keep others waiting. */
	struct timeout *to_silence;
	unsigned int patience_msecs;
	bool log_lessons:1;
	bool busy:1;
	bool silent:1;
};

struct trainer_user *trainer_run_user(const struct trainer_run *run)
{
	return run->user;
}

bool trainer_run_was_busy(const struct trainer_run *run)
{
	return run->busy;
}

bool trainer_run_was_silent(const struct trainer_run *run)
{
	return run->silent;
}

static void run_settle(struct run_step *step)
{
	struct trainer_tx *tx = step->step.tx;
	struct trainer_job *job = &tx->jobs[step->step.job];

	if (job->settled)
		return;
	job->settled = TRUE;
	tx->waiting--;
}

/* It came to nothing: wait_msecs is UINT_MAX if that is final. */
static void
run_note_reason(struct trainer_run *run, const struct run_step *step,
		const struct trainer_report *result, unsigned int wait_msecs)
{
	const struct trainer_tx *tx = step->step.tx;
	const char *why = result->why == NULL ? "no reason" : result->why;
	struct run_reason *reason;

	array_foreach_modifiable(&run->reasons, reason) {
		if (strcmp(reason->why, why) == 0 &&
		    (reason->wait_msecs == UINT_MAX) ==
			    (wait_msecs == UINT_MAX)) {
			reason->count++;
			return;
		}
	}
	reason = array_append_space(&run->reasons);
	reason->why = p_strdup(run->pool, why);
	reason->job.spam = tx->jobs[step->step.job].spam;
	reason->job.folder = p_strdup(run->pool, result->folder);
	reason->job.origin = p_strdup(run->pool, result->origin);
	reason->wait_msecs = wait_msecs;
	reason->tx_name = p_strdup(run->pool, tx->name);
	reason->count = 1;
}

static void run_later(struct trainer_run *run, struct run_step *step,
		      const struct trainer_report *result)
{
	struct trainer_job *job = &step->step.tx->jobs[step->step.job];
	unsigned int wait_msecs = result->wait_msecs;

	job->attempts = I_MAX(job->attempts + 1, result->attempts);
	/* who could not look at it does not know how often it was tried */
	if (result->attempts == 0) {
		wait_msecs = trainer_plan_backoff_msecs(
			job->attempts, run->set.lifetime_msecs);
	}
	job->next_try = trainer_queue_clock() + (int64_t)wait_msecs * 1000;
	run_note_reason(run, step, result, wait_msecs);
	antispam_report_finished(&run->report, job->spam, ANTISPAM_LATER,
				 result->duration_msecs);
}

static void run_taught(struct trainer_run *run, struct run_step *step,
		       const struct trainer_report *result,
		       enum antispam_result outcome)
{
	const bool spam = step->step.tx->jobs[step->step.job].spam;

	run_settle(step);
	run->report.taught[spam]++;
	antispam_report_finished(&run->report, spam, outcome,
				 result->duration_msecs);
}

static void run_failed(struct trainer_run *run, struct run_step *step,
		       const struct trainer_report *result)
{
	const bool spam = step->step.tx->jobs[step->step.job].spam;

	run_settle(step);
	run_note_reason(run, step, result, UINT_MAX);
	antispam_report_finished(&run->report, spam, ANTISPAM_BROKEN,
				 result->duration_msecs);
	antispam_report_event(&run->report, "antispam_lesson_failed", spam);
}

static void
run_declined(struct trainer_run *run, struct run_step *step,
	     const struct trainer_report *result)
{
	const struct antispam_job job = {
		.spam = step->step.tx->jobs[step->step.job].spam,
		.folder = result->folder,
		.origin = result->origin,
	};

	run_settle(step);
	antispam_report_declined(&run->report, &job, FALSE, result->why);
}

static void run_result(struct trainer_run *run, struct run_step *step,
		       const struct trainer_report *result)
{
	struct trainer_tx *tx = step->step.tx;
	struct trainer_job *job = &tx->jobs[step->step.job];

	switch (result->result) {
	case TRAINER_LEARNED:
		run_taught(run, step, result, ANTISPAM_LEARNED);
		break;
	case TRAINER_KNOWN:
		run_taught(run, step, result, ANTISPAM_KNOWN);
		break;
	case TRAINER_DECLINED:
		run_declined(run, step, result);
		break;
	case TRAINER_LATER:
		run_later(run, step, result);
		break;
	case TRAINER_UNTRIED:
		job->next_try = trainer_queue_clock() +
			(int64_t)result->wait_msecs * 1000;
		break;
	case TRAINER_FAILED:
		run_failed(run, step, result);
		break;
	case TRAINER_CANCELLED:
		run_settle(step);
		run->report.cancelled++;
		antispam_report_event(&run->report,
				      "antispam_lesson_cancelled", job->spam);
		break;
	case TRAINER_GONE:
		run_settle(step);
		break;
	case TRAINER_BUSY:
		run->busy = TRUE;
		break;
	case TRAINER_FOREIGN:
		if (!tx->gone) {
			trainer_queue_set_aside(run->set.queue, tx,
						result->why);
		}
		break;
	}
}

static void run_line(struct trainer_run *run, const char *line)
{
	struct trainer_report report;
	struct run_step *step;
	const char *backend;
	bool log_lessons;

	if (trainer_report_parse_patience(line, &run->patience_msecs))
		return;
	backend = trainer_report_parse_backend(line, &log_lessons);
	if (backend != NULL) {
		run->report.backend = p_strdup(run->pool, backend);
		run->log_lessons = log_lessons;
		return;
	}
	if (trainer_report_parse(line, &report) < 0 ||
	    report.step >= array_count(&run->steps))
		return;
	step = array_idx_modifiable(&run->steps, report.step);
	if (step->reported)
		return;
	step->reported = TRUE;
	run_result(run, step, &report);
}

static const char *describe_end(const struct trainer_run *run, int status)
{
	if (run->silent) {
		return t_strdup_printf(
			"the process that was to teach it said nothing for "
			"%u s, and was ended",
			run->patience_msecs / 1000);
	}
	if (WIFSIGNALED(status)) {
		return t_strdup_printf(
			"the process that was to teach it was killed by "
			"signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	}
	return t_strdup_printf(
		"the process that was to teach it ended with status %d",
		WEXITSTATUS(status));
}

/* What the child has not told is to be done again: it may be killed by what it
   does. */
static void run_finish_unreported(struct trainer_run *run, int status)
{
	struct trainer_report report = {
		.result = TRAINER_LATER,
		.folder = "",
		.origin = "",
		.why = describe_end(run, status),
	};
	const struct trainer_job *job;
	struct run_step *step;

	array_foreach_modifiable(&run->steps, step) {
		if (step->reported)
			continue;
		job = &step->step.tx->jobs[step->step.job];
		report.attempts = job->attempts + 1;
		report.wait_msecs = trainer_plan_backoff_msecs(
			report.attempts, run->set.lifetime_msecs);
		run_result(run, step, &report);
	}
}

static void
run_log_reason(const struct trainer_run *run, const struct run_reason *reason)
{
	string_t *str = t_str_new(256);

	str_printfa(str, "learn(%s) with %s failed: %s",
		    antispam_report_class(reason->job.spam),
		    run->report.backend == NULL ? "the filter" :
						  run->report.backend,
		    str_sanitize(reason->why, 512));
	if (reason->wait_msecs == UINT_MAX) {
		str_printfa(str, "; it is given up, and kept in %s/failed.%s",
			    run->set.queue_dir,
			    str_sanitize(strchr(reason->tx_name + 1, '.') + 1,
					 RUN_NAME_MAX));
	} else {
		str_printfa(str, "; tried again in %u s",
			    (reason->wait_msecs + 999) / 1000);
	}
	if (*reason->job.origin != '\0') {
		str_printfa(str, " %s",
			    antispam_report_describe(&reason->job));
	}
	if (reason->count > 1)
		str_printfa(str, ", and so %u more", reason->count - 1);
	e_error(run->report.event, "%s", str_c(str));
}

/* A child gives up what has been tried for long enough. If it can't even become
   the user, it can't say so in the queue. */
static void run_give_up(struct trainer_run *run)
{
	const int64_t born = trainer_queue_clock() -
		(int64_t)run->set.lifetime_msecs * 1000;
	const struct trainer_job *job;
	const struct run_step *step;

	array_foreach(&run->steps, step) {
		job = &step->step.tx->jobs[step->step.job];
		if (!step->step.tx->gone && !job->settled &&
		    job->attempts >= TRAINER_GIVE_UP_ATTEMPTS &&
		    step->step.tx->born < born) {
			trainer_queue_set_aside(
				run->set.queue, step->step.tx,
				"it has been tried for antispam_queue_lifetime");
		}
	}
}

static void run_log(const struct trainer_run *run)
{
	const struct run_reason *reason;
	const char *summary = antispam_report_summary(&run->report);
	unsigned int i = 0, more = 0;

	if (run->log_lessons && *summary != '\0')
		e_info(run->report.event, "%s", summary);
	array_foreach(&run->reasons, reason) {
		if (i++ < RUN_MAX_REASONS)
			run_log_reason(run, reason);
		else
			more += reason->count;
	}
	if (more > 0) {
		e_error(run->report.event,
			"learning failed for %u more messages, for other "
			"reasons",
			more);
	}
}

static void run_end(struct trainer_run *run)
{
	int status;
	pid_t ret;

	/* one that writes what is no report would never end */
	if (!run->input->eof)
		(void)kill(run->pid, SIGKILL);
	do {
		ret = waitpid(run->pid, &status, 0);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		status = 0;
	io_remove(&run->io);
	T_BEGIN {
		run_finish_unreported(run, status);
		run_log(run);
		run_give_up(run);
	} T_END;
	run->set.callback(run, run->set.context);
	trainer_run_free(&run);
}

/* It ends, and so does what we read from it. */
static void run_silence(struct trainer_run *run)
{
	timeout_remove(&run->to_silence);
	run->silent = TRUE;
	(void)kill(run->pid, SIGKILL);
}

static void run_listen(struct trainer_run *run)
{
	timeout_remove(&run->to_silence);
	if (!run->silent) {
		run->to_silence = timeout_add(run->patience_msecs, run_silence,
					      run);
	}
}

static void run_input(struct trainer_run *run)
{
	const char *line;

	while ((line = i_stream_read_next_line(run->input)) != NULL) {
		T_BEGIN {
			run_line(run, line);
		} T_END;
	}
	if (run->input->eof || run->input->stream_errno != 0 ||
	    i_stream_get_data_size(run->input) >= RUN_LINE_MAX)
		run_end(run);
	else
		run_listen(run);
}

static struct event *
run_event(const struct trainer_run_settings *set, const char *username)
{
	struct event *event = event_create(set->event);
	const char *prefix = t_strdup_printf(
		"antispam: user %s: ", str_sanitize(username, RUN_NAME_MAX));

	event_add_str(event, "user", username);
	event_set_append_log_prefix(event, prefix);
	return event;
}

struct trainer_run *trainer_run_start(const struct trainer_run_settings *set,
				      struct trainer_user *user,
				      const struct trainer_step *steps,
				      unsigned int count, const char **error_r)
{
	const struct trainer_child_task task = {
		.queue_dir = set->queue_dir,
		.queue_fd = set->queue_fd,
		.username = user->username,
		.uid = user->uid,
		.steps = steps,
		.steps_count = count,
		.lifetime_msecs = set->lifetime_msecs,
		.vsz_limit = set->vsz_limit,
	};
	struct trainer_run *run;
	struct run_step *step;
	unsigned int i;
	pid_t pid;
	pool_t pool;
	int fd;

	pid = trainer_child_start(&task, &fd, error_r);
	if (pid < 0)
		return NULL;
	pool = pool_alloconly_create("trainer run", 4096);
	run = p_new(pool, struct trainer_run, 1);
	run->pool = pool;
	run->set = *set;
	run->user = user;
	run->pid = pid;
	run->fd = fd;
	run->input = i_stream_create_fd(fd, RUN_LINE_MAX);
	run->io = io_add(fd, IO_READ, run_input, run);
	p_array_init(&run->steps, pool, count);
	p_array_init(&run->reasons, pool, 4);
	for (i = 0; i < count; i++) {
		step = array_append_space(&run->steps);
		step->step = steps[i];
	}
	run->report.event = run_event(set, user->username);
	run->report.queued = TRUE;
	run->patience_msecs = RUN_PATIENCE_MSECS;
	run_listen(run);
	return run;
}

void trainer_run_free(struct trainer_run **_run)
{
	struct trainer_run *run = *_run;
	pool_t pool = run->pool;

	*_run = NULL;
	timeout_remove(&run->to_silence);
	io_remove(&run->io);
	i_stream_destroy(&run->input);
	i_close_fd(&run->fd);
	event_unref(&run->report.event);
	pool_unref(&pool);
}
