/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Runs programs side by side in one poll() loop. Never fails as a whole: what
   goes wrong with a program stands in its reply. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "antispam-runner.h"
#include "runner-program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Programs side by side: more than this gain nothing, and poll() takes no more
   entries than RLIMIT_NOFILE. */
#define SLOTS_MAX 64
/* Without pidfds: how often to ask whether a program has ended. */
#define ASK_INTERVAL_USECS (5 * 1000)

struct runner {
	const struct antispam_run *runs;
	struct antispam_run_reply *replies;
	unsigned int count, next;
	bool stop_on_failure, failed;

	unsigned int slots, running;
	struct antispam_program programs[SLOTS_MAX];
	struct pollfd fds[SLOTS_MAX * PROGRAM_FD_COUNT];
};

static void
runner_note_end(struct runner *runner, const struct antispam_run *run,
		const struct antispam_run_reply *reply)
{
	bool failed;

	if (run->is_failure != NULL)
		failed = run->is_failure(reply, run->context);
	else {
		failed = reply->end != ANTISPAM_RUN_EXITED ||
			reply->exit_status != 0;
	}
	if (failed)
		runner->failed = TRUE;
}

/* Start programs as long as one may be started. */
static void runner_fill(struct runner *runner)
{
	struct antispam_program *program = runner->programs;
	struct antispam_run_reply *reply;

	while (runner->next < runner->count &&
	       runner->running < runner->slots &&
	       !(runner->failed && runner->stop_on_failure)) {
		while (program->stage != PROGRAM_NONE)
			program++;
		reply = &runner->replies[runner->next];
		antispam_program_start(program, &runner->runs[runner->next],
				       reply);
		runner->next++;
		if (program->stage != PROGRAM_NONE)
			runner->running++;
		else
			runner_note_end(runner, program->run, reply);
	}
}

static int runner_poll_msecs(const struct runner *runner, int64_t now)
{
	const struct antispam_program *program = runner->programs;
	int64_t until = INT64_MAX;
	unsigned int i;

	for (i = 0; i < runner->slots; i++, program++) {
		if (program->stage == PROGRAM_NONE)
			continue;
		until = I_MIN(until, program->deadline);
		if (program->fds[PROGRAM_FD_PID].fd == -1)
			until = I_MIN(until, now + ASK_INTERVAL_USECS);
	}
	if (until <= now)
		return 0;
	return I_MIN((until - now + 999) / 1000, INT_MAX);
}

/* Wait until something can be done, and do it. */
static void runner_wait(struct runner *runner)
{
	struct antispam_program *program = runner->programs;
	unsigned int i, fds_count = runner->slots * PROGRAM_FD_COUNT;
	int msecs = runner_poll_msecs(runner, antispam_program_clock());
	int64_t now;

	if (poll(runner->fds, fds_count, msecs) < 0) {
		/* A signal: nothing is known, but deadlines count. */
		for (i = 0; i < fds_count; i++)
			runner->fds[i].revents = 0;
	}
	now = antispam_program_clock();
	for (i = 0; i < runner->slots; i++, program++) {
		if (program->stage == PROGRAM_NONE)
			continue;
		antispam_program_continue(program, now);
		if (program->stage == PROGRAM_NONE) {
			runner->running--;
			runner_note_end(runner, program->run,
					program->reply);
		}
	}
}

static void runner_init(struct runner *runner, const struct antispam_run *runs,
			unsigned int count, unsigned int max_parallel,
			struct antispam_run_reply *replies)
{
	unsigned int i;

	runner->runs = runs;
	runner->replies = replies;
	runner->count = count;
	runner->next = 0;
	runner->stop_on_failure = runner->failed = FALSE;
	runner->running = 0;
	runner->slots = I_MAX(max_parallel, 1);
	runner->slots = I_MIN(runner->slots, count);
	runner->slots = I_MIN(runner->slots, SLOTS_MAX);
	for (i = 0; i < runner->slots; i++) {
		antispam_program_init(&runner->programs[i],
				      &runner->fds[i * PROGRAM_FD_COUNT]);
	}
	for (i = 0; i < count; i++)
		i_zero(&replies[i]);
}

/* A program that closes stdin early must not end us by SIGPIPE, nor may the
   caller find one that waits: block it, and then swallow what came. */
static void sigpipe_block(sigset_t *old_r, bool *pending_r)
{
	sigset_t set;

	(void)sigpending(&set);
	*pending_r = sigismember(&set, SIGPIPE) == 1;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &set, old_r);
}

static void sigpipe_unblock(const sigset_t *old, bool pending)
{
	static const struct timespec no_time = { 0, 0 };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	while (!pending && sigtimedwait(&set, NULL, &no_time) < 0) {
		if (errno != EINTR)
			break;
	}
	(void)pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* 0..2 are what a child's descriptors replace, so no descriptor of ours may
   get such a number: open those that are closed. */
static void stdio_hold(bool held_r[3])
{
	int fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++) {
		held_r[fd] = fcntl(fd, F_GETFD) == -1 &&
			open("/dev/null", O_RDWR | O_CLOEXEC) == fd;
	}
}

static void stdio_release(const bool held[3])
{
	int fd;

	for (fd = 0; fd <= STDERR_FILENO; fd++) {
		if (held[fd])
			(void)close(fd);
	}
}

void antispam_run_many(const struct antispam_run *runs, unsigned int count,
		       unsigned int max_parallel, bool stop_on_failure,
		       struct antispam_run_reply *replies_r)
{
	struct runner runner;
	sigset_t old_mask;
	bool pending, stdio[3];

	antispam_program_reap_left();
	runner_init(&runner, runs, count, max_parallel, replies_r);
	runner.stop_on_failure = stop_on_failure;
	stdio_hold(stdio);
	sigpipe_block(&old_mask, &pending);
	runner_fill(&runner);
	while (runner.running > 0) {
		runner_wait(&runner);
		runner_fill(&runner);
	}
	sigpipe_unblock(&old_mask, pending);
	stdio_release(stdio);
}
