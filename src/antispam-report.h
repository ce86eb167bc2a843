#ifndef ANTISPAM_REPORT_H
#define ANTISPAM_REPORT_H

#include "antispam-backend.h"

struct antispam_job;

/* What the log and the statistics are told of the lessons of one command, or of
   one run of the trainer. Nothing else in the plugin logs outcomes or sends
   these events, with the fields class ("spam", "ham"), backend and queued
   ("yes", "no"):

   antispam_lesson_finished  a lesson has an outcome (field of that name; and
                             duration, in microseconds)
   antispam_lesson_queued    it was put into the queue
   antispam_lesson_failed    it will not be tried again
   antispam_lesson_cancelled it was taken back by another move before the
                             filter saw it
   antispam_lesson_lost      the message was moved, but nothing will be learned
                             from it, since the queue could not be written */
struct antispam_report {
	/* Its log prefix names the user and us. */
	struct event *event;
	/* Name of the backend; NULL = not known. */
	const char *backend;
	/* The lessons come from, or go into, the queue. */
	bool queued;

	/* By class ([TRUE] = spam): learned or known. */
	unsigned int taught[2];
	/* By class: put into the queue. */
	unsigned int enqueued[2];
	/* By the filter, or by what the message is. */
	unsigned int declined;
	/* Bigger than antispam_max_size. */
	unsigned int too_big;
	/* Taken back before they were taught. */
	unsigned int cancelled;
	/* Lessons that failed. */
	unsigned int failures;
	/* The log has been warned of a message that is not learned. */
	bool warned;
};

/* Send antispam_lesson_finished. */
void antispam_report_finished(const struct antispam_report *report, bool spam,
			      enum antispam_result result,
			      unsigned int duration_msecs);
/* Send one of the other events. */
void antispam_report_event(const struct antispam_report *report,
			   const char *name, bool spam);

/* Log that a lesson failed. Of a report's errors the first ones are logged one
   by one, the others by antispam_report_end(). */
void antispam_report_failure(struct antispam_report *report,
			     const struct antispam_job *job, const char *why);
/* Count and log that a message is not learned, for a reason that lies in it, or
   because the filter wants no such lesson; as a warning, if warn is set, once a
   report. */
void antispam_report_declined(struct antispam_report *report,
			      const struct antispam_job *job, bool warn,
			      const char *why);
/* "(message: UID 7 of INBOX, to folder: SPAM)", sanitized. Data stack. */
const char *antispam_report_describe(const struct antispam_job *job);
/* "2 learned as spam, 1 declined by pipe", or "". Data stack. */
const char *antispam_report_summary(const struct antispam_report *report);
/* Log the number of those failures that were not logged. */
void antispam_report_end(const struct antispam_report *report);

/* "spam" or "ham"; static. */
const char *antispam_report_class(bool spam);

#endif
