/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* One program from its start to its end: input, output, deadline. */

#include "lib.h"
#include "istream-failure-at.h"
#include "test-runner.h"

#include <signal.h>
#include <sys/resource.h>

/* In the place of libc's, to make a program that can't be killed. */
static bool kill_fails;
int kill(pid_t pid, int sig)
{
	if (kill_fails) {
		errno = EPERM;
		return -1;
	}
	return syscall(SYS_kill, pid, sig);
}

/* It may be a zombie, if init doesn't care. */
static bool process_is_gone(long pid)
{
	char buf[256], *p;
	ssize_t ret;
	int fd;

	fd = open(t_strdup_printf("/proc/%ld/stat", pid), O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return TRUE;
	ret = read(fd, buf, sizeof(buf) - 1);
	(void)close(fd);
	if (ret <= 0)
		return TRUE;
	buf[ret] = '\0';
	p = strrchr(buf, ')');
	return p != NULL && (p[2] == 'Z' || p[2] == 'X');
}

/* SIGKILL takes a moment. */
static bool process_goes(long pid)
{
	unsigned int i;

	for (i = 0; i < 200 && !process_is_gone(pid); i++)
		(void)usleep(10000);
	return process_is_gone(pid);
}

static void check_ends(const char *name)
{
	static const struct {
		const char *script;
		const char *described;
		const char *out, *err;
	} tests[] = {
		{ "exit 0", "exited with status 0", "", "" },
		{ "exit 1", "exited with status 1", "", "" },
		{ "exit 255", "exited with status 255", "", "" },
		{ "echo a; echo b >&2; exit 75", "exited with status 75: b",
		  "a\n", "b\n" },
		{ "printf 'a\\000b\\377'", "exited with status 0: a?b?",
		  "a?b\xff", "" },
		{ "exec >&- 2>&-; exit 3", "exited with status 3", "", "" },
		{ "kill -KILL $$", "killed by signal 9 (Killed)", "", "" },
		{ "echo x; kill -TERM $$",
		  "killed by signal 15 (Terminated): x", "x\n", "" },
		{ "ulimit -c 0; kill -SEGV $$",
		  "killed by signal 11 (Segmentation fault)", "", "" },
		/* Only the first 16 bytes are kept. */
		{ "echo 1234567890123456789",
		  "exited with status 0: 1234567890123456", "1234567890123456",
		  "" },
	};
	struct antispam_run runs[N_ELEMENTS(tests)];
	struct antispam_run_reply replies[N_ELEMENTS(tests)];
	unsigned int i;
	bool exited;

	test_begin(name);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		runs[i] = sh_run(tests[i].script);
		runs[i].max_output = 16;
	}
	run_many(runs, N_ELEMENTS(tests), 2, FALSE, replies);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_strcmp_idx(antispam_run_describe(&replies[i]),
				       tests[i].described, i);
		exited = replies[i].end == ANTISPAM_RUN_EXITED;
		test_assert_idx(exited == (replies[i].error == NULL), i);
		test_assert_strcmp_idx(replies[i].out, tests[i].out, i);
		test_assert_strcmp_idx(replies[i].err, tests[i].err, i);
	}
	test_end();
}

static void test_runner_ends(void)
{
	check_ends("runner: how programs end");
	no_pidfd = TRUE;
	check_ends("runner: how programs end, without pidfds");
	no_pidfd = FALSE;
}

static void test_runner_input(void)
{
	static const size_t sizes[] = {
		0, 1, 4095, 42000, 65535, 65536, 65537, 131072, 131073, 5 * MB
	};
	unsigned int i;

	test_begin("runner: the input arrives byte for byte");
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		unsigned char *data = make_data(sizes[i]);
		struct istream *input;
		int fd;

		input = i_stream_create_from_data(data, sizes[i]);
		check_input(input, data, sizes[i], i);
		i_stream_unref(&input);

		fd = open(work_path("stdin"), O_RDONLY | O_CLOEXEC);
		test_assert_idx(unlink(work_path("stdin")) == 0, i);
		input = i_stream_create_fd_autoclose(&fd, 3000);
		check_input(input, data, sizes[i], i);
		i_stream_unref(&input);
		i_free(data);
	}
	test_end();
}

static unsigned int sigpipes;

static void sigpipe_handler(int sig ATTR_UNUSED)
{
	sigpipes++;
}

/* How the caller stands to SIGPIPE, before and after. */
static void check_stdin_closed(void (*handler)(int), bool blocked, bool pending,
			       unsigned int i)
{
	struct sigaction action = { .sa_handler = handler }, old, after;
	struct antispam_run run = sh_run("exec <&-; sleep 0.1; exit 7");
	struct antispam_run_reply reply;
	unsigned char *data = make_data(5 * MB);
	sigset_t set, old_set;

	test_assert_idx(sigaction(SIGPIPE, &action, &old) == 0, i);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, &old_set);
	if (pending)
		test_assert_idx(raise(SIGPIPE) == 0, i);

	run.input = i_stream_create_from_data(data, 5 * MB);
	reply = run_one(&run);
	test_assert_strcmp_idx(antispam_run_describe(&reply),
			       "exited with status 7", i);
	i_stream_unref(&run.input);
	i_free(data);

	test_assert_idx(sigpending(&set) == 0, i);
	test_assert_idx(sigismember(&set, SIGPIPE) == (pending ? 1 : 0), i);
	(void)sigaction(SIGPIPE, NULL, &after);
	test_assert_idx(after.sa_handler == handler, i);
	(void)sigprocmask(SIG_BLOCK, NULL, &set);
	test_assert_idx(sigismember(&set, SIGPIPE) == (blocked ? 1 : 0), i);
	action.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &action, NULL);
	(void)sigprocmask(SIG_SETMASK, &old_set, NULL);
	(void)sigaction(SIGPIPE, &old, NULL);
}

static void test_runner_stdin_closed(void)
{
	test_begin("runner: a program closes stdin early");
	check_stdin_closed(SIG_DFL, FALSE, FALSE, 0);
	check_stdin_closed(SIG_IGN, FALSE, FALSE, 1);
	check_stdin_closed(sigpipe_handler, FALSE, FALSE, 2);
	check_stdin_closed(SIG_DFL, TRUE, FALSE, 3);
	check_stdin_closed(SIG_DFL, TRUE, TRUE, 4);
	test_assert(sigpipes == 0);
	test_end();
}

static void test_runner_input_unreadable(void)
{
	/* Nothing, a part that fits into the pipe, one that doesn't. */
	static const uoff_t failures[] = { 0, 1000, 65536, 3 * MB };
	unsigned char *data = make_data(5 * MB);
	unsigned int i;

	test_begin("runner: half a message is never taken for a whole one");
	for (i = 0; i < N_ELEMENTS(failures); i++) {
		struct istream *input =
			i_stream_create_from_data(data, 5 * MB);
		struct antispam_run run = sh_run(
			"trap '' TERM; cat >/dev/null; echo whole >$0/learned");
		struct antispam_run_reply reply;

		run.input = i_stream_create_failure_at(input, failures[i], EIO,
						       "no luck");
		i_stream_unref(&input);
		reply = run_one(&run);
		test_assert_idx(reply.end == ANTISPAM_RUN_FAILED, i);
		test_assert_strcmp_idx(reply.error,
				       "can't read the message: no luck", i);
		/* SIGKILL comes at once. */
		test_assert_idx(reply.duration_msecs < 900, i);
		test_assert_idx(access(work_path("learned"), F_OK) < 0, i);
		i_stream_unref(&run.input);
	}
	i_free(data);
	test_end();
}

static void test_runner_flood(void)
{
	struct antispam_run run = sh_run(
		"head -c 100000000 /dev/zero; "
		"head -c 100000000 /dev/zero >&2; exit 9");
	struct antispam_run_reply reply;
	struct rusage before, after;

	test_begin("runner: 100 MB of output take no memory");
	run.max_output = 1000;
	test_assert(getrusage(RUSAGE_SELF, &before) == 0);
	reply = run_one(&run);
	test_assert(getrusage(RUSAGE_SELF, &after) == 0);
	test_assert(reply.exit_status == 9);
	test_assert(strlen(reply.out) == 1000);
	test_assert(strlen(reply.err) == 1000);
	test_assert(strspn(reply.out, "?") == 1000);
	/* kB */
	test_assert(after.ru_maxrss - before.ru_maxrss < 5000);

	run.max_output = 0;
	reply = run_one(&run);
	test_assert_strcmp(reply.out, "");
	test_assert(reply.exit_status == 9);
	test_end();
}

/* hang FILE DEPTH: hangs, with a child that does the same, DEPTH deep. Each
   adds its pid to FILE; the last one ignores SIGTERM. */
static const char *const family_script =
	"#!/bin/sh\n"
	"if [ $2 -gt 0 ]; then \"$0\" \"$1\" $(($2 - 1)) & else trap '' TERM\n"
	"fi\n"
	"echo $$ >>\"$1\"\n"
	"while :; do sleep 100; done\n";

static void check_deadlines(const char *name)
{
	static const struct {
		const char *script;
		unsigned int timeout_msecs, min_msecs, max_msecs;
		bool input;
		const char *described;
	} tests[] = {
		{ "exec sleep 100", 200, 200, 1000, FALSE,
		  "timed out after 200 ms (antispam_timeout)" },
		/* How it exits after SIGTERM changes nothing. */
		{ "trap 'echo bye; exit 0' TERM; echo hello; sleep 100 & wait",
		  1000, 1000, 1900, FALSE, "timed out after 1 s (antispam_timeout): hello" },
		/* Its child gets SIGTERM too. */
		{ "trap : TERM; (trap 'echo child; exit' TERM; sleep 100 & "
		  "wait) & wait; wait",
		  400, 400, 1300, FALSE, "timed out after 400 ms (antispam_timeout): child" },
		{ "trap '' TERM; while :; do sleep 100; done", 300, 1300, 5000,
		  FALSE, "timed out after 300 ms (antispam_timeout)" },
		/* Half of the message is still to be written; the end of
		   stdin must not show. */
		{ "trap '' TERM; sleep 0.8; cat >/dev/null; echo whole", 700,
		  1700, 5000, TRUE, "timed out after 700 ms (antispam_timeout)" },
		{ "$0/hang $0/pids 2", 1500, 1500, 2400, FALSE,
		  "timed out after 1500 ms (antispam_timeout)" },
	};
	struct antispam_run runs[N_ELEMENTS(tests)];
	struct antispam_run_reply replies[N_ELEMENTS(tests)];
	unsigned char *data = make_data(5 * MB), *pids;
	const char *const *pid;
	unsigned int i, msecs;
	size_t size;

	test_begin(name);
	(void)write_file("hang", family_script, 0755);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		runs[i] = sh_run(tests[i].script);
		runs[i].timeout_msecs = tests[i].timeout_msecs;
		if (tests[i].input) {
			runs[i].input =
				i_stream_create_from_data(data, 5 * MB);
		}
	}
	run_many(runs, N_ELEMENTS(tests), N_ELEMENTS(tests), FALSE,
		 replies);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		i_stream_unref(&runs[i].input);
		test_assert_idx(replies[i].end == ANTISPAM_RUN_FAILED, i);
		test_assert_strcmp_idx(antispam_run_describe(&replies[i]),
				       tests[i].described, i);
		msecs = replies[i].duration_msecs;
		test_assert_idx(msecs >= tests[i].min_msecs, i);
		test_assert_idx(msecs <= tests[i].max_msecs, i);
	}
	i_free(data);

	/* The program, its child and its grandchild. */
	pids = read_file(work_path("pids"), &size);
	test_assert(pids != NULL);
	if (pids != NULL) {
		pid = t_strsplit_spaces(t_strndup(pids, size), "\n");
		test_assert(str_array_length(pid) == 3);
		for (; *pid != NULL; pid++)
			test_assert(process_goes(atol(*pid)));
	}
	i_free(pids);
	i_unlink(work_path("pids"));
	test_end();
}

static void test_runner_deadlines(void)
{
	check_deadlines("runner: the deadline ends a program and its family");
	no_pidfd = TRUE;
	check_deadlines("runner: the same without pidfds");
	no_pidfd = FALSE;
}

/* What a program leaves behind when it exits by itself is its own business. */
static void check_left_behind(const char *script, unsigned int i)
{
	struct antispam_run run = sh_run(script);
	struct antispam_run_reply reply = run_one(&run);
	long pid = atol(reply.out);

	test_assert_idx(reply.exit_status == 3, i);
	test_assert_idx(reply.duration_msecs < 5000, i);
	test_assert_idx(pid > 1, i);
	if (pid <= 1)
		return;
	/* The one that writes may have got SIGPIPE since. */
	test_assert_idx(i == 1 || !process_is_gone(pid), i);
	(void)kill(pid, SIGKILL);
	test_assert_idx(process_goes(pid), i);
}

static void test_runner_left_behind(void)
{
	test_begin("runner: a process left behind is left alone");
	check_left_behind("sleep 20 & echo $!; exit 3", 0);
	check_left_behind("yes >&2 & echo $!; exit 3", 1);
	test_end();
}

static void sigchld_handler(int sig ATTR_UNUSED)
{
	int saved_errno = errno;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved_errno;
}

/* Someone else waits for our children: the kernel itself if SIGCHLD is
   ignored, or a signal handler. */
static void test_runner_stolen_status(void)
{
	static const char *const stolen =
		"its exit status is unknown, another part of this process "
		"took it: waitpid() failed: No child processes";
	void (*const handlers[])(int) = { SIG_IGN, sigchld_handler };
	struct sigaction action = { .sa_flags = SA_RESTART }, old;
	struct antispam_run runs[3];
	struct antispam_run_reply replies[3];
	unsigned int i;

	test_begin("runner: someone else takes the exit status");
	for (i = 0; i < N_ELEMENTS(handlers) * 2; i++) {
		action.sa_handler = handlers[i / 2];
		no_pidfd = i % 2 != 0;
		test_assert_idx(sigaction(SIGCHLD, &action, &old) == 0, i);
		runs[0] = sh_run("exit 0");
		runs[1] = sh_run("echo x; sleep 0.2");
		runs[2] = sh_run("exec sleep 100");
		runs[2].timeout_msecs = 100;
		run_many(runs, 3, 3, FALSE, replies);
		test_assert_strcmp_idx(replies[0].error, stolen, i);
		test_assert_idx(replies[0].end == ANTISPAM_RUN_FAILED, i);
		test_assert_idx(replies[1].end == ANTISPAM_RUN_FAILED, i);
		test_assert_strcmp_idx(replies[1].out, "x\n", i);
		test_assert_strcmp_idx(antispam_run_describe(&replies[2]),
				       "timed out after 100 ms (antispam_timeout)", i);
		(void)sigaction(SIGCHLD, &old, NULL);
	}
	no_pidfd = FALSE;
	test_end();
}

/* It takes the second until SIGKILL, and five more. */
static void test_runner_unkillable(void)
{
	struct antispam_run run = sh_run("echo $$; exec sleep 100");
	struct antispam_run quick = sh_run(":");
	struct antispam_run_reply reply, quick_reply;
	unsigned int fds = count_fds();
	const size_t size = 1024 * 1024;
	unsigned char *data = i_malloc(size);
	const char *expected;
	pid_t pid;

	test_begin("runner: a program that can't be killed");
	run.timeout_msecs = 200;
	run.input = i_stream_create_from_data(data, size);
	kill_fails = TRUE;
	antispam_run_many(&run, 1, 1, FALSE, &reply);
	kill_fails = FALSE;
	pid = atol(reply.out);
	/* it must not take the end of half a message for that of a whole one */
	test_assert(count_fds() == fds + 1);
	antispam_run_many(&quick, 1, 1, FALSE, &quick_reply);
	test_assert(count_fds() == fds + 1);
	test_assert(reply.end == ANTISPAM_RUN_FAILED);
	expected = t_strdup_printf("timed out after 200 ms (antispam_timeout); SIGKILL did not "
				   "end process %ld, which is left",
				   (long)pid);
	test_assert_strcmp(reply.error, expected);
	test_assert(reply.duration_msecs >= 6200);
	test_assert(pid > 1 && kill(-pid, SIGKILL) == 0);
	do {
		antispam_run_many(&quick, 1, 1, FALSE, &quick_reply);
	} while (count_fds() != fds);
	test_assert(waitpid(pid, NULL, WNOHANG) < 0 && errno == ECHILD);
	i_stream_unref(&run.input);
	i_free(data);
	test_end();
}

int main(int argc, char *argv[] ATTR_UNUSED)
{
	static void (*const test_functions[])(void) = {
		/* Once is enough for what takes so long. */
		test_runner_unkillable,
		test_dir_init,
		test_runner_ends,
		test_runner_input,
		test_runner_stdin_closed,
		test_runner_input_unreadable,
		test_runner_flood,
		test_runner_deadlines,
		test_runner_left_behind,
		test_runner_stolen_status,
		test_dir_deinit,
		test_native,
		NULL
	};

	return test_run(test_functions + (argc > 1 ? 1 : 0));
}
