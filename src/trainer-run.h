#ifndef TRAINER_RUN_H
#define TRAINER_RUN_H

#include "trainer-queue.h"

struct event;

/* A child that works for one user, as the manager sees it. The only place of
   the trainer that logs what became of lessons. */
struct trainer_run;

struct trainer_run_settings {
	struct event *event;
	/* Path of the queue, and an O_PATH descriptor of it. */
	const char *queue_dir;
	int queue_fd;
	struct trainer_queue *queue;
	unsigned int lifetime_msecs;
	uoff_t vsz_limit;
	/* The child has ended; the run is freed after it. */
	void (*callback)(struct trainer_run *run, void *context);
	void *context;
};

/* Start a child for these steps, which are copied; the transactions must live
   until the run ends. Returns NULL and *error_r (data stack) if it can't be
   started. */
struct trainer_run *trainer_run_start(const struct trainer_run_settings *set,
				      struct trainer_user *user,
				      const struct trainer_step *steps,
				      unsigned int count, const char **error_r);
struct trainer_user *trainer_run_user(const struct trainer_run *run);
/* Another trainer works on some of its transactions. */
bool trainer_run_was_busy(const struct trainer_run *run);
/* The child said nothing for too long, and was ended. */
bool trainer_run_was_silent(const struct trainer_run *run);
/* Forget it: the child goes on alone. */
void trainer_run_free(struct trainer_run **run);

#endif
