#ifndef RUNNER_PROGRAM_H
#define RUNNER_PROGRAM_H

#include <poll.h>

struct antispam_run;
struct antispam_run_reply;

enum program_stage {
	/* The slot is free. */
	PROGRAM_NONE = 0,
	PROGRAM_RUNS,
	/* Its reply has an error, and it was sent SIGTERM or SIGKILL. */
	PROGRAM_TERMINATED,
	PROGRAM_KILLED,
};

enum program_fd {
	PROGRAM_FD_IN = 0,
	PROGRAM_FD_OUT,
	PROGRAM_FD_ERR,
	/* The pidfd; there is none on an old kernel. */
	PROGRAM_FD_PID,

	PROGRAM_FD_COUNT
};

/* A slot for a program that runs. It owns the descriptors and the buffers. */
struct antispam_program {
	const struct antispam_run *run;
	struct antispam_run_reply *reply;
	enum program_stage stage;
	pid_t pid;
	/* PROGRAM_FD_COUNT entries of the caller's, for poll(). */
	struct pollfd *fds;
	/* The stdin of a program that is being ended, or -1. Stays open until
	   it is dead: half a message must not look like a whole one. */
	int held_fd;
	/* Monotonic, in microseconds. */
	int64_t started;
	/* When to go on to the next stage, likewise. */
	int64_t deadline;
	/* By PROGRAM_FD_OUT and PROGRAM_FD_ERR; NULL = nothing yet. */
	string_t *kept[PROGRAM_FD_ERR + 1];
};

/* Microseconds of the monotonic clock. */
int64_t antispam_program_clock(void);

/* Wait for those that earlier runs had to leave behind, if they have ended. */
void antispam_program_reap_left(void);
/* Make a free slot that has fds. */
void antispam_program_init(struct antispam_program *program,
			   struct pollfd *fds);
/* Start a run in a free slot. If it can't be started the slot is free again,
   and the reply says why. */
void antispam_program_start(struct antispam_program *program,
			    const struct antispam_run *run,
			    struct antispam_run_reply *reply);
/* Do what is possible by the slot's fds[].revents and what is due, without
   waiting. The slot is free again when the reply is complete, whose strings
   are on the data stack. */
void antispam_program_continue(struct antispam_program *program, int64_t now);

#endif
