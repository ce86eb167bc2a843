#ifndef ANTISPAM_DISPATCH_H
#define ANTISPAM_DISPATCH_H

#include "fsync-mode.h"

struct antispam_job;
struct antispam_teacher;

/* The lessons of one transaction, from the first message to the storage's
   decision: to the backend at once, or into the queue. */
struct antispam_dispatch;

/* teacher outlives it. */
struct antispam_dispatch *
antispam_dispatch_begin(struct antispam_teacher *teacher,
			enum fsync_mode fsync_mode);

/* Keep a message for learning; job gives what is known of it, input the
   message; NULL if it was captured, or is not needed. Returns 1; 0 if it is not
   learned, but may be moved: it is bigger than antispam_max_size (counted), or
   can't be read (logged); -1 if it can't be kept, or if an earlier one could
   not be learned: logged, and the transaction must be refused. With the queue
   that can't happen. */
int antispam_dispatch_add(struct antispam_dispatch *dispatch,
			  const struct antispam_job *job,
			  struct istream *input, bool captured);
/* The message is not learned, for a reason that lies in it, and may be moved:
   it is counted, and the reason logged; as a warning, if warn is set, once a
   transaction. */
void antispam_dispatch_decline(struct antispam_dispatch *dispatch,
			       const struct antispam_job *job, bool warn,
			       const char *why);
/* Put a lesson into the queue without reading its message, which is at
   job->place. Returns as antispam_dispatch_add(), but -1 if it must be added so;
   antispam_dispatch_can_link() tells whether to look for a place that has to be
   linked. */
bool antispam_dispatch_is_queued(const struct antispam_dispatch *dispatch);
bool antispam_dispatch_can_link(const struct antispam_dispatch *dispatch);
int antispam_dispatch_link(struct antispam_dispatch *dispatch,
			   const struct antispam_job *job);
/* The transaction is refused for a reason that lies in the message: logged. */
void antispam_dispatch_refuse(struct antispam_dispatch *dispatch,
			      const struct antispam_job *job, const char *why);

/* For a message that comes in pieces: begin, show each piece, and either
   cancel, or add it with input NULL and captured set. begin returns 0, or -1 as
   antispam_dispatch_add() does. */
int antispam_dispatch_capture_begin(struct antispam_dispatch *dispatch);
void antispam_dispatch_capture(void *dispatch, const void *data, size_t size);
void antispam_dispatch_capture_cancel(struct antispam_dispatch *dispatch);

/* The storage did not take the message that was added last (1 was
   returned). */
void antispam_dispatch_drop_last(struct antispam_dispatch *dispatch);

/* The storage is about to commit. Returns 0, or -1 if a lesson failed that may
   succeed later: logged, and the transaction must be refused. A lesson that
   will always fail is logged, and its message moved. */
int antispam_dispatch_prepare(struct antispam_dispatch *dispatch);

/* The storage has committed, or not. Frees the dispatch. */
void antispam_dispatch_commit(struct antispam_dispatch **dispatch);
void antispam_dispatch_rollback(struct antispam_dispatch **dispatch);

#endif
