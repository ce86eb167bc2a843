#ifndef TRAINER_PLAN_H
#define TRAINER_PLAN_H

#include "antispam-transition.h"

/* What waits in the queue, as the manager knows it, and what of it is to be done
   next. All times are microseconds since the machine was booted. */

#define TRAINER_KEY_SIZE 16
/* Whatever the clock says, so many tries come before a lesson is given up: the
   machine may have been off, or its clock wrong. */
#define TRAINER_GIVE_UP_ATTEMPTS 3

/* One lesson that waits. There may be a great many. */
struct trainer_job {
	/* Of the message: the beginning of the SHA-256 of its GUID. All zero =
	   it has none. */
	unsigned char key[TRAINER_KEY_SIZE];
	/* Not before that time; 0 = it was never tried. */
	int64_t next_try;
	/* Tries that came to nothing. */
	unsigned int attempts;
	struct antispam_transition change;
	bool spam:1;
	/* It is settled: learned, cancelled or failed. */
	bool settled:1;
};

/* A transaction. */
struct trainer_tx {
	/* In the queue's directory. */
	char *name;
	/* When its jobs were made; may be negative: before this boot. */
	int64_t born;
	uid_t uid;
	/* Jobs that are not settled. */
	unsigned int waiting;
	/* It is to be forgotten, as soon as nobody refers to it. */
	bool gone;
	unsigned int count;
	struct trainer_job jobs[];
};
ARRAY_DEFINE_TYPE(trainer_tx, struct trainer_tx *);

enum trainer_action {
	/* Hand it to the filter. */
	TRAINER_TEACH,
	/* Another move made it void. */
	TRAINER_CANCEL,
};

struct trainer_step {
	struct trainer_tx *tx;
	unsigned int job;
	enum trainer_action action;
};

struct trainer_plan {
	/* What is to be done, in the order of txs, each job once. */
	ARRAY(struct trainer_step) steps;
	/* When there will be something to do, if these steps are all; INT64_MAX
	   = never. */
	int64_t next;
};

struct trainer_plan_limits {
	/* A lesson waits so long for a move that takes it back. */
	int64_t delay_usecs;
	/* Of steps, and of transactions that they touch. */
	unsigned int max_steps, max_txs;
};

/* Plan what to do at the time now for one user, whose transactions are sorted
   by their birth; those that are gone are passed over. Pure.

   Lessons of one message that were made within the delay, the first of them
   never tried, count as one: what the first folder and the last one mean. Of
   several lessons of one message that do not, the later ones wait for the
   earlier ones. plan_r->steps is created by the caller. */
void trainer_plan(const ARRAY_TYPE(trainer_tx) *txs, int64_t now,
		  const struct trainer_plan_limits *limits,
		  struct trainer_plan *plan_r);

/* Fill key_r from a message's GUID; NULL = it has none. */
void trainer_plan_key(const char *guid,
		      unsigned char key_r[TRAINER_KEY_SIZE]);

/* How long to wait after so many tries, at least 1, that came to nothing, if
   lessons are tried for lifetime: from one minute, doubling to an hour; less if
   the lifetime is short. In milliseconds. */
unsigned int trainer_plan_backoff_msecs(unsigned int attempts,
					unsigned int lifetime_msecs);

#endif
