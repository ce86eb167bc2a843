#ifndef DOVEADM_WALK_H
#define DOVEADM_WALK_H

#include "antispam-queue-entry.h"

/* All that is in the queue, for doveadm to show. Nothing of it is trusted. */

enum antispam_walk_state {
	/* To be learned. */
	ANTISPAM_WALK_WAITING,
	/* Will not be tried again, unless an admin says so. */
	ANTISPAM_WALK_FAILED,
	/* What is there is no transaction, or can't be read; or its writer has
	   not finished. */
	ANTISPAM_WALK_UNREADABLE,
};

/* A job, or a transaction of which no job is known. */
struct antispam_walk_job {
	/* Of the transaction's directory, as it is: anything but '/' and
	   NUL. */
	const char *name;
	/* Whose it is. */
	uid_t uid;
	enum antispam_walk_state state;
	/* By what lies there; "" = unknown. */
	const char *username;
	/* NULL for ANTISPAM_WALK_UNREADABLE. */
	const struct antispam_queue_job *job;
	/* In seconds: since it was made, and until it is tried again (0 = it
	   is due, or will not be). */
	int64_t age_secs, wait_secs;
	unsigned int attempts;
	/* Why it came to nothing, as far as that is known; NULL = it did not
	   yet. And when that was, in seconds since 1970; 0 = not known. */
	const char *why;
	time_t why_time;
};

/* job and all strings live until it returns. */
typedef void antispam_walk_callback_t(const struct antispam_walk_job *job,
				      void *context);

/* Open the queue's directory to look at it, whoever owns it: root, or the user
   of service antispam-trainer. Returns 1 and *fd_r (O_PATH), 0 if there is
   none, -1 and *error_r (data stack), which names setting, path, cause and
   remedy. *owner_r is set for 1. */
int antispam_walk_open(const char *path, int *fd_r, uid_t *owner_r,
		       const char **error_r);

/* Look at all transactions, in no order. Returns 0, or -1 and *error_r (data
   stack) if the directory can't be listed. */
int antispam_walk(int queue_fd, antispam_walk_callback_t *callback,
		  void *context, const char **error_r);
/* Look at one. Returns FALSE if there is none of that name. */
bool antispam_walk_one(int queue_fd, const char *name,
		       antispam_walk_callback_t *callback, void *context);

/* "waiting", "failed" or "unreadable". */
const char *antispam_walk_state_name(enum antispam_walk_state state);

#endif
