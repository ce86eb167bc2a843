#ifndef TRAINER_CHILD_H
#define TRAINER_CHILD_H

#include "trainer-plan.h"

/* What a child is to do. */
struct trainer_child_task {
	/* The queue: its path, and an O_PATH descriptor of it. */
	const char *queue_dir;
	int queue_fd;
	/* Whose lessons: as the queue names the user, and the uid that put
	   them there. */
	const char *username;
	uid_t uid;
	const struct trainer_step *steps;
	unsigned int steps_count;
	/* For how long lessons are tried. */
	unsigned int lifetime_msecs;
	/* In bytes; 0 = no limit. */
	uoff_t vsz_limit;
};

/* Fork a child that does it as the user, and tells what became of it in lines
   (trainer-report.h) that can be read from *fd_r. The step of a line that never
   comes was not done. Returns its pid, or -1 and *error_r (data stack). */
pid_t trainer_child_start(const struct trainer_child_task *task, int *fd_r,
			  const char **error_r);

#endif
