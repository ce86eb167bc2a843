#ifndef ANTISPAM_QUEUE_H
#define ANTISPAM_QUEUE_H

#include "fsync-mode.h"

struct antispam_job;
struct antispam_queue_head;
struct antispam_store;

/* A transaction is a directory of its own in the queue: hidden as long as it
   may be rolled back, then released by one rename. */
#define ANTISPAM_QUEUE_PREFIX_VISIBLE "job."
#define ANTISPAM_QUEUE_PREFIX_HIDDEN ".job."
#define ANTISPAM_QUEUE_PREFIX_FAILED "failed."
/* Whatever the prefix. In bytes. */
#define ANTISPAM_QUEUE_NAME_MAX 100
/* In the directory: the file that antispam-queue-job.h describes, which its
   writer keeps locked by flock(); and what became of its jobs so far, see
   antispam-queue-state.h. */
#define ANTISPAM_QUEUE_JOBS_FILE "jobs"
#define ANTISPAM_QUEUE_STATE_FILE "state"
#define ANTISPAM_QUEUE_STATE_NEW "state.new"

/* Fill in all times of head_r: now. boot_id is static. */
void antispam_queue_now(struct antispam_queue_head *head_r);

/* One transaction that is being written. It holds three descriptors, however
   many jobs it has, and of its jobs a line of text each in memory. */
struct antispam_queue;

/* Begin one in the directory dir. Returns NULL and *error_r (data stack) if the
   queue can't be written to; *missing_r tells whether the directory is not
   there. */
struct antispam_queue *antispam_queue_begin(const char *dir,
					    const char *username,
					    bool *missing_r,
					    const char **error_r);

/* Where messages go that must be copied. */
struct antispam_store *antispam_queue_store(struct antispam_queue *queue);
/* Add a job whose message is at job->place, by a hard link. Returns FALSE if
   that can't be linked: it must be copied. */
bool antispam_queue_link(struct antispam_queue *queue,
			 const struct antispam_job *job);
/* Add a job whose message is at job->offset of the store, or which has none. */
void antispam_queue_add(struct antispam_queue *queue,
			const struct antispam_job *job, bool has_message);
/* Take back the job added last. */
void antispam_queue_drop_last(struct antispam_queue *queue);
/* Jobs that were added. */
unsigned int antispam_queue_count(const struct antispam_queue *queue);
/* Why links were not possible, for the log; NULL = they were. Lives as long
   as the transaction. */
const char *antispam_queue_link_error(const struct antispam_queue *queue);

/* Write all that is missing, as durable as fsync_mode asks: from now on the
   jobs outlive this process. Returns 0, or -1 and *error_r (data stack): roll
   it back. */
int antispam_queue_prepare(struct antispam_queue *queue,
			   enum fsync_mode fsync_mode, const char **error_r);
/* Release the transaction, and free it. Returns its name (data stack). If it
   can't be renamed it is released all the same: its lock is gone, and whoever
   reads the queue sees that. */
const char *antispam_queue_commit(struct antispam_queue **queue);
/* Remove the transaction, and free it. NULL is fine. */
void antispam_queue_rollback(struct antispam_queue **queue);

#endif
