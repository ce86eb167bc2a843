#ifndef ANTISPAM_ENQUEUE_H
#define ANTISPAM_ENQUEUE_H

#include "fsync-mode.h"

struct istream;
struct antispam_job;
struct antispam_report;
struct antispam_teacher;

/* The lessons of one transaction on their way into the queue. Nothing here
   refuses the user's command: what can't be written is lost, and the log and
   the event antispam_lesson_lost say so once the storage has committed. The
   functions are those of antispam-dispatch.h. */
struct antispam_enqueue;

/* teacher and report outlive it. */
struct antispam_enqueue *
antispam_enqueue_begin(struct antispam_teacher *teacher,
		       struct antispam_report *report);

void antispam_enqueue_capture_begin(struct antispam_enqueue *enqueue);
void antispam_enqueue_capture(struct antispam_enqueue *enqueue,
			      const void *data, size_t size);
void antispam_enqueue_capture_cancel(struct antispam_enqueue *enqueue);

/* Add a job whose message is at job->place, without reading it. Returns 1; 0 if
   the message is too big; -1 if it must be added with its message. */
int antispam_enqueue_link(struct antispam_enqueue *enqueue,
			  const struct antispam_job *job);
/* It makes sense to look for a place. */
bool antispam_enqueue_can_link(const struct antispam_enqueue *enqueue);
/* Returns 1; 0 if the message is too big; -1 if it is lost, which is noted for
   the end, or can't be read, which *error_r (data stack) tells; NULL if it is
   lost. */
int antispam_enqueue_add(struct antispam_enqueue *enqueue,
			 const struct antispam_job *job, struct istream *input,
			 bool captured, const char **error_r);
void antispam_enqueue_drop_last(struct antispam_enqueue *enqueue);

void antispam_enqueue_prepare(struct antispam_enqueue *enqueue,
			      enum fsync_mode fsync_mode);
/* Wakes the trainer. Frees it. */
void antispam_enqueue_commit(struct antispam_enqueue **enqueue);
void antispam_enqueue_rollback(struct antispam_enqueue **enqueue);

#endif
