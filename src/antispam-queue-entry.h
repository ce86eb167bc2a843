#ifndef ANTISPAM_QUEUE_ENTRY_H
#define ANTISPAM_QUEUE_ENTRY_H

#include "antispam-queue-job.h"
#include "antispam-queue-state.h"

/* A transaction's directory, as whoever reads the queue sees it. Everything in
   it may have been put there by a hostile user, so nothing is followed, and all
   of it must belong to the uid that owns the directory. */
struct antispam_queue_entry {
	/* In the queue's directory. */
	const char *name;
	uid_t uid;
	int dir_fd, jobs_fd;
	struct antispam_queue_end end;
	/* Bytes of lines, the end not counted. */
	uoff_t lines_size;
};

enum antispam_queue_found {
	/* It is open. */
	ANTISPAM_QUEUE_FOUND,
	/* There is none of that name. */
	ANTISPAM_QUEUE_GONE,
	/* Its job file is not finished: somebody still writes it, or died
	   before anything was promised. */
	ANTISPAM_QUEUE_UNFINISHED,
	/* It is no transaction, and will never be one. */
	ANTISPAM_QUEUE_INVALID,
	/* It can't be read now, which is not its fault. */
	ANTISPAM_QUEUE_UNREADABLE,
};

/* Open the transaction name below the directory queue_fd. name is not copied.
   Unless it was found nothing is open, and *error_r (data stack) says why. */
enum antispam_queue_found
antispam_queue_entry_open(int queue_fd, const char *name,
			  struct antispam_queue_entry *entry_r,
			  const char **error_r);
/* Release the lock too, if this process has no other descriptor of it. */
void antispam_queue_entry_close(struct antispam_queue_entry *entry);

/* Take the lock without waiting: its writer is gone or has finished, and nobody
   else reads it. Returns FALSE if somebody has it, or if the transaction is
   gone meanwhile. A process that is forked off has it too, and the last one
   that closes it releases it. */
bool antispam_queue_entry_lock(struct antispam_queue_entry *entry);

/* Does somebody have the lock of the transaction name, whether it is finished
   or not? What is no transaction has none. */
bool antispam_queue_entry_is_locked(int queue_fd, const char *name);

/* Called for each job; its strings are on the data stack. */
typedef void
antispam_queue_job_callback_t(unsigned int idx,
			      const struct antispam_queue_job *job,
			      void *context);
/* Read all lines; *head_r is on the data stack. Returns 0, or -1 and *error_r
   (data stack), after which nothing that was called back counts. */
int antispam_queue_entry_read(const struct antispam_queue_entry *entry,
			      struct antispam_queue_head *head_r,
			      antispam_queue_job_callback_t *callback,
			      void *context, const char **error_r);

/* Fill in states, which has an element a job, all zero; their strings are in
   pool, which is not the data stack's. A file that can't be read is taken for
   none: what was taught may then be taught again. */
void antispam_queue_entry_read_state(const struct antispam_queue_entry *entry,
				     pool_t pool,
				     struct antispam_queue_state *states);
/* Replace the state file. Returns 0, or -1 and *error_r (data stack). */
int antispam_queue_entry_write_state(const struct antispam_queue_entry *entry,
				     const struct antispam_queue_state *states,
				     const char **error_r);

/* Open the message of a job, without its From_ line. *path_r (data stack) is
   the name, below the transaction's directory, of a file that holds that and
   nothing else; NULL = there is none. Returns 1 and *message_r, which is
   seekable and blocking; 0 if it can't be opened now; -1 if it is not there, or
   not what it was; *error_r (data stack). */
int antispam_queue_entry_message(const struct antispam_queue_entry *entry,
				 const struct antispam_queue_job *job,
				 struct istream **message_r,
				 const char **path_r, const char **error_r);

/* Remove the transaction: first what makes it one. At most max files are
   removed; returns FALSE if something is left. */
bool antispam_queue_entry_remove(int queue_fd, const char *name,
				 unsigned int max);
/* Give the transaction another prefix, here or in its place in the queue.
   Returns the new name (data stack), NULL if that failed. */
const char *antispam_queue_entry_rename(int queue_fd, const char *name,
					const char *prefix);

/* What kind of name is it? Anything else in the queue is none of ours. */
bool antispam_queue_name_is_visible(const char *name);
bool antispam_queue_name_is_hidden(const char *name);
bool antispam_queue_name_is_failed(const char *name);

#endif
