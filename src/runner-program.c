/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* One program from its start to its end: its input, its output, its deadline.
   What goes wrong stands in its reply, nothing is logged here. A program that
   even SIGKILL does not end (it hangs in the kernel, or has changed its uid)
   is left behind after a while, and the reply says so: a mail session must not
   hang for it. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "fd-util.h"
#include "str.h"
#include "istream.h"
#include "antispam-runner.h"
#include "runner-program.h"
#include "runner-spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From SIGTERM to SIGKILL, and from SIGKILL to giving up. */
#define TERM_WAIT_USECS (1000 * 1000)
#define KILL_WAIT_USECS (5 * 1000 * 1000)
/* Bytes to write or read, per stream and wake-up. */
#define FEED_MAX (128 * 1024)
#define READ_MAX (32 * 1024)

int64_t antispam_program_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Write what goes into stdin without waiting. Returns -1 and *error_r if the
   message can't be read. */
static int program_feed(struct antispam_program *program, const char **error_r)
{
	struct istream *input = program->run->input;
	int *fd = &program->fds[PROGRAM_FD_IN].fd;
	const unsigned char *data;
	size_t size, total = 0;
	ssize_t ret;

	while (i_stream_read_more(input, &data, &size) > 0) {
		if (total >= FEED_MAX)
			return 0;
		ret = write(*fd, data, size);
		if (ret < 0) {
			/* EPIPE: it wants no more. */
			if (errno == EPIPE)
				i_close_fd(fd);
			return 0;
		}
		i_stream_skip(input, ret);
		total += ret;
	}
	if (input->stream_errno != 0 || !input->eof) {
		*error_r = t_strdup_printf("can't read the message: %s",
					   i_stream_get_error(input));
		return -1;
	}
	i_close_fd(fd);
	return 0;
}

/* Read a chunk without waiting. Returns FALSE if there was none. */
static bool
program_read(struct antispam_program *program, enum program_fd which)
{
	unsigned char chunk[READ_MAX];
	string_t **kept = &program->kept[which];
	size_t i, size;
	ssize_t ret;

	ret = read(program->fds[which].fd, chunk, sizeof(chunk));
	if (ret < 0 && (errno == EAGAIN || errno == EINTR))
		return FALSE;
	if (ret <= 0) {
		i_close_fd(&program->fds[which].fd);
		return FALSE;
	}
	if (*kept == NULL)
		*kept = str_new(default_pool, 256);
	size = I_MIN((size_t)ret,
		     program->run->max_output - str_len(*kept));
	for (i = 0; i < size; i++) {
		if (chunk[i] == '\0')
			chunk[i] = '?';
	}
	str_append_data(*kept, chunk, size);
	return TRUE;
}

/* Read what the pipe holds now, as far as it is wanted: a process that the
   program left behind may go on writing for ever. Data stack. */
static const char *
program_drain(struct antispam_program *program, enum program_fd which)
{
	string_t **kept = &program->kept[which];
	const char *output = "";

	while (program->fds[which].fd != -1 &&
	       (*kept == NULL || str_len(*kept) < program->run->max_output)) {
		if (!program_read(program, which))
			break;
	}
	if (*kept != NULL)
		output = t_strdup(str_c(*kept));
	str_free(kept);
	return output;
}

/* The reply's error is set: end the program and all that it started. */
static void
program_kill(struct antispam_program *program, int sig, int64_t now)
{
	int *fd = &program->fds[PROGRAM_FD_IN].fd;

	if (program->held_fd == -1) {
		program->held_fd = *fd;
		*fd = -1;
	}
	(void)kill(-program->pid, sig);
	if (sig == SIGTERM) {
		program->stage = PROGRAM_TERMINATED;
		program->deadline = now + TERM_WAIT_USECS;
	} else {
		program->stage = PROGRAM_KILLED;
		program->deadline = now + KILL_WAIT_USECS;
	}
}

/* Fill the reply and free the slot. */
static void program_end(struct antispam_program *program)
{
	struct antispam_run_reply *reply = program->reply;
	int64_t usecs = antispam_program_clock() - program->started;
	unsigned int i;

	reply->end = reply->error == NULL ? ANTISPAM_RUN_EXITED :
					    ANTISPAM_RUN_FAILED;
	reply->duration_msecs = usecs / 1000;
	reply->out = program_drain(program, PROGRAM_FD_OUT);
	reply->err = program_drain(program, PROGRAM_FD_ERR);
	for (i = 0; i < PROGRAM_FD_COUNT; i++)
		i_close_fd(&program->fds[i].fd);
	i_close_fd(&program->held_fd);
	program->stage = PROGRAM_NONE;
}

static void reply_set_status(struct antispam_run_reply *reply, int status)
{
	if (WIFEXITED(status)) {
		reply->exit_status = WEXITSTATUS(status);
		return;
	}
	reply->error = t_strdup_printf("killed by signal %d (%s)",
				       WTERMSIG(status),
				       strsignal(WTERMSIG(status)));
}

/* The program has ended, but nobody has waited for it yet. */
static void program_reap(struct antispam_program *program)
{
	struct antispam_run_reply *reply = program->reply;
	int status;
	pid_t ret;

	/* Others in the group of a failed program have to go too. Now is the
	   last time that its pid can't have become another group's. */
	if (program->stage != PROGRAM_RUNS)
		(void)kill(-program->pid, SIGKILL);
	do {
		ret = waitpid(program->pid, &status, 0);
	} while (ret < 0 && errno == EINTR);

	if (program->stage == PROGRAM_RUNS && ret < 0) {
		reply->error = t_strdup_printf(
			"its exit status is unknown, another part of this "
			"process took it: waitpid() failed: %m");
	} else if (program->stage == PROGRAM_RUNS) {
		reply_set_status(reply, status);
	}
	program_end(program);
}

/* Programs that SIGKILL did not end, and our end of their stdin: closed, it
   would let half a message look like a whole one. More than these are very
   unlikely; then the oldest has to do. */
static struct {
	pid_t pid;
	int fd;
} left_behind[8];

void antispam_program_reap_left(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(left_behind); i++) {
		if (left_behind[i].pid == 0 ||
		    waitpid(left_behind[i].pid, NULL, WNOHANG) == 0)
			continue;
		left_behind[i].pid = 0;
		i_close_fd(&left_behind[i].fd);
	}
}

static void program_leave(struct antispam_program *program)
{
	const unsigned int last = N_ELEMENTS(left_behind) - 1;

	if (left_behind[last].pid != 0)
		i_close_fd(&left_behind[last].fd);
	memmove(&left_behind[1], &left_behind[0],
		last * sizeof(left_behind[0]));
	left_behind[0].pid = program->pid;
	left_behind[0].fd = program->held_fd;
	program->held_fd = -1;
}

static void program_overdue(struct antispam_program *program, int64_t now)
{
	unsigned int msecs = program->run->timeout_msecs;
	struct antispam_run_reply *reply = program->reply;

	switch (program->stage) {
	case PROGRAM_NONE:
		i_unreached();
	case PROGRAM_RUNS:
		reply->error = msecs % 1000 == 0 ?
			t_strdup_printf("timed out after %u s "
					"(antispam_timeout)",
					msecs / 1000) :
			t_strdup_printf("timed out after %u ms "
					"(antispam_timeout)",
					msecs);
		program_kill(program, SIGTERM, now);
		break;
	case PROGRAM_TERMINATED:
		program_kill(program, SIGKILL, now);
		break;
	case PROGRAM_KILLED:
		reply->error = t_strdup_printf(
			"%s; SIGKILL did not end process %ld, which is left",
			reply->error, (long)program->pid);
		program_leave(program);
		program_end(program);
		break;
	}
}

static bool program_has_ended(const struct antispam_program *program)
{
	siginfo_t info;

	if (program->fds[PROGRAM_FD_PID].fd != -1)
		return program->fds[PROGRAM_FD_PID].revents != 0;
	info.si_pid = 0;
	if (waitid(P_PID, program->pid, &info,
		   WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno != EINTR;
	return info.si_pid != 0;
}

void antispam_program_continue(struct antispam_program *program, int64_t now)
{
	const struct pollfd *fds = program->fds;

	if (fds[PROGRAM_FD_IN].revents != 0 &&
	    program_feed(program, &program->reply->error) < 0)
		program_kill(program, SIGKILL, now);
	if (fds[PROGRAM_FD_OUT].revents != 0)
		(void)program_read(program, PROGRAM_FD_OUT);
	if (fds[PROGRAM_FD_ERR].revents != 0)
		(void)program_read(program, PROGRAM_FD_ERR);
	if (program_has_ended(program))
		program_reap(program);
	else if (now >= program->deadline)
		program_overdue(program, now);
}

/* Make the pipe for stdin, stdout or stderr. Only our end doesn't block. */
static int
program_pipe(struct antispam_program *program, enum program_fd which,
	     int child_fds[3], const char **error_r)
{
	int fds[2], ours = which == PROGRAM_FD_IN ? 1 : 0;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		*error_r = t_strdup_printf("can't be started: "
					   "pipe2() failed: %m");
		return -1;
	}
	(void)fcntl(fds[ours], F_SETFL, O_NONBLOCK);
	program->fds[which].fd = fds[ours];
	child_fds[which] = fds[1 - ours];
	return 0;
}

/* The message is written before the program starts, so that one which fits
   into the pipe takes no further wake-up. */
static int program_start_try(struct antispam_program *program,
			     int child_fds[3], const char **error_r)
{
	struct istream *input = program->run->input;

	if (input != NULL) {
		if (program_pipe(program, PROGRAM_FD_IN, child_fds,
				 error_r) < 0)
			return -1;
		i_stream_seek(input, 0);
		if (program_feed(program, error_r) < 0)
			return -1;
	}
	if (program_pipe(program, PROGRAM_FD_OUT, child_fds, error_r) < 0 ||
	    program_pipe(program, PROGRAM_FD_ERR, child_fds, error_r) < 0)
		return -1;
	return antispam_runner_spawn(program->run, child_fds, &program->pid,
				     error_r);
}

void antispam_program_start(struct antispam_program *program,
			    const struct antispam_run *run,
			    struct antispam_run_reply *reply)
{
	int child_fds[3] = { -1, -1, -1 };
	unsigned int i;
	int ret;

	program->run = run;
	program->reply = reply;
	program->stage = PROGRAM_RUNS;
	program->started = antispam_program_clock();
	program->deadline = program->started +
		(int64_t)run->timeout_msecs * 1000;
	ret = program_start_try(program, child_fds, &reply->error);
	for (i = 0; i < N_ELEMENTS(child_fds); i++)
		i_close_fd(&child_fds[i]);
	if (ret < 0)
		program_end(program);
	else
		program->fds[PROGRAM_FD_PID].fd = pidfd_open(program->pid, 0);
}

void antispam_program_init(struct antispam_program *program,
			   struct pollfd *fds)
{
	unsigned int i;

	i_zero(program);
	program->held_fd = -1;
	program->fds = fds;
	for (i = 0; i < PROGRAM_FD_COUNT; i++) {
		fds[i].fd = -1;
		fds[i].events = i == PROGRAM_FD_IN ? POLLOUT : POLLIN;
		fds[i].revents = 0;
	}
}
