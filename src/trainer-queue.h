#ifndef TRAINER_QUEUE_H
#define TRAINER_QUEUE_H

#include "trainer-plan.h"

struct event;
struct trainer_owner;

/* Those of one user who wait. */
struct trainer_user {
	/* uid and name. */
	char *key;
	char *username;
	/* Whose directories they are. */
	uid_t uid;
	struct trainer_owner *owner;
	/* Not necessarily sorted, see trainer_queue_sort(). */
	ARRAY_TYPE(trainer_tx) txs;
	bool sorted;
	/* When there is something to do, and when there was last. */
	int64_t due, last_run;
	/* Whatever is due. */
	int64_t not_before;
	/* Children in a row that found another one at work. */
	unsigned int busy_runs;
	/* A child works for the user. */
	bool running;
};
ARRAY_DEFINE_TYPE(trainer_user, struct trainer_user *);

/* All that waits in the queue, as far as it has been seen. */
struct trainer_queue;

struct trainer_queue *trainer_queue_init(struct event *event, const char *dir,
					 int64_t delay_usecs);
void trainer_queue_deinit(struct trainer_queue **queue);

/* An O_PATH descriptor of the directory, for those who work in it. Returns -1
   and *error_r (data stack) if it can't be opened now. */
int trainer_queue_fd(struct trainer_queue *queue, const char **error_r);

/* Look at one transaction that was just released; name may be anything. Returns
   TRUE if it is due already: whoever released it has waited for us, and others
   that belong to it may be there. */
bool trainer_queue_look(struct trainer_queue *queue, const char *name);
/* Look at all of them, for a short time: returns FALSE if that was not all, to
   be called again. */
bool trainer_queue_scan(struct trainer_queue *queue);
/* A scan is not finished: of a message, the lesson that was made first may not
   have been seen. */
bool trainer_queue_is_scanning(const struct trainer_queue *queue);

const ARRAY_TYPE(trainer_user) *
trainer_queue_users(const struct trainer_queue *queue);
/* Sort the user's transactions by their birth. */
void trainer_queue_sort(struct trainer_user *user);
/* Forget the user's transactions that have nothing to do any more, and the user
   if there is none left. */
void trainer_queue_clean(struct trainer_queue *queue,
			 struct trainer_user *user);
/* The transaction is nothing that can be learned from: log why, and put it
   aside for an admin to look at. */
void trainer_queue_set_aside(struct trainer_queue *queue,
			     struct trainer_tx *tx, const char *why);

/* Nothing is there: no transaction, hidden or not. */
bool trainer_queue_is_empty(const struct trainer_queue *queue);

/* Microseconds since the machine was booted. */
int64_t trainer_queue_clock(void);

#endif
