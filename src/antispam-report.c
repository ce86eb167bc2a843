/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "time-util.h"
#include "lib-event-private.h"
#include "antispam-job.h"
#include "antispam-report.h"

/* Errors of one report that are logged one by one. */
#define REPORT_MAX_ERRORS 10
/* Folder names in log lines are cut here, in bytes. */
#define REPORT_NAME_MAX 200

static const char *const result_names[] = {
	[ANTISPAM_LEARNED] = "learned",
	[ANTISPAM_KNOWN] = "known",
	[ANTISPAM_DECLINED] = "declined",
	[ANTISPAM_LATER] = "later",
	[ANTISPAM_BROKEN] = "broken",
};

const char *antispam_report_class(bool spam)
{
	return spam ? "spam" : "ham";
}

static const char *report_backend(const struct antispam_report *report)
{
	return report->backend == NULL ? "the filter" : report->backend;
}

static struct event *
report_event(const struct antispam_report *report, const char *name, bool spam)
{
	struct event *event = event_create(report->event);

	event_set_name(event, name);
	event_add_str(event, "class", antispam_report_class(spam));
	if (report->backend != NULL)
		event_add_str(event, "backend", report->backend);
	event_add_str(event, "queued", report->queued ? "yes" : "no");
	return event;
}

void antispam_report_event(const struct antispam_report *report,
			   const char *name, bool spam)
{
	struct event *event = report_event(report, name, spam);

	e_debug(event, "%s: %s", name, antispam_report_class(spam));
	event_unref(&event);
}

/* Dovecot's statistics take an event's age for its field duration. */
void antispam_report_finished(const struct antispam_report *report, bool spam,
			      enum antispam_result result,
			      unsigned int duration_msecs)
{
	struct event *event =
		report_event(report, "antispam_lesson_finished", spam);

	timeval_sub_usecs(&event->tv_created,
			  (long long)duration_msecs * 1000);
	event_add_str(event, "outcome", result_names[result]);
	e_debug(event, "lesson finished: %s: %s", antispam_report_class(spam),
		result_names[result]);
	event_unref(&event);
}

const char *antispam_report_describe(const struct antispam_job *job)
{
	return t_strdup_printf("(message: %s, to folder: %s)",
			       str_sanitize(job->origin, REPORT_NAME_MAX),
			       str_sanitize(job->folder, REPORT_NAME_MAX));
}

/* One error a failure: what, why, which message. But a user may drag any number
   of messages whose signatures are forged: the last errors of many are a
   number. */
void antispam_report_failure(struct antispam_report *report,
			     const struct antispam_job *job, const char *why)
{
	const char *error = t_strdup_printf(
		"learn(%s) with %s failed: %s %s",
		antispam_report_class(job->spam), report_backend(report), why,
		antispam_report_describe(job));

	if (++report->failures > REPORT_MAX_ERRORS)
		e_debug(report->event, "%s", error);
	else
		e_error(report->event, "%s", error);
}

void antispam_report_end(const struct antispam_report *report)
{
	if (report->failures <= REPORT_MAX_ERRORS)
		return;
	e_error(report->event, "learning with %s failed for %u more messages",
		report_backend(report),
		report->failures - REPORT_MAX_ERRORS);
}

void antispam_report_declined(struct antispam_report *report,
			      const struct antispam_job *job, bool warn,
			      const char *why)
{
	report->declined++;
	if (warn && !report->warned) {
		report->warned = TRUE;
		e_warning(report->event, "not learned, since %s %s", why,
			  antispam_report_describe(job));
	} else {
		e_debug(report->event, "not learned, since %s %s", why,
			antispam_report_describe(job));
	}
	antispam_report_finished(report, job->spam, ANTISPAM_DECLINED, 0);
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

const char *antispam_report_summary(const struct antispam_report *report)
{
	string_t *str = t_str_new(128);

	append_count(str, report->enqueued[TRUE], "queued as spam");
	append_count(str, report->enqueued[FALSE], "queued as ham");
	if (str_len(str) > 0)
		str_printfa(str, " for %s", report_backend(report));
	append_count(str, report->taught[TRUE], "learned as spam");
	append_count(str, report->taught[FALSE], "learned as ham");
	append_count(str, report->declined, "declined");
	if (report->taught[TRUE] + report->taught[FALSE] + report->declined > 0)
		str_printfa(str, " by %s", report_backend(report));
	append_count(str, report->cancelled, "taken back in time");
	append_count(str, report->too_big,
		     "not learned (bigger than antispam_max_size)");
	return str_c(str);
}
