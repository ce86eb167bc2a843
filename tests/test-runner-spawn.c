/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* How a program starts: what it inherits, and what is said if it can't. */

#include "lib.h"
#include "istream.h"
#include "test-runner.h"

#include <signal.h>

static const char *with_uid(const char *error)
{
	const char *p = strstr(error, "UID");

	if (p == NULL)
		return error;
	return t_strdup_printf("%s%ld%s", t_strdup_until(error, p),
			       (long)geteuid(), p + 3);
}

static void test_runner_spawn_errors(void)
{
	static const struct {
		/* File to make; NULL = none, and the name is a path. */
		const char *content;
		const char *name;
		mode_t mode;
		/* What only exec can tell. */
		bool from_exec;
		/* Behind the program's name. */
		const char *error;
	} tests[] = {
		{ NULL, "/nonexistent/program", 0, FALSE,
		  "can't be executed: No such file or directory" },
		{ NULL, "/dev/null/program", 0, FALSE,
		  "can't be executed: Not a directory" },
		{ NULL, "/tmp", 0, FALSE,
		  "can't be executed: it is not a regular file" },
		{ NULL, "/dev/null", 0, FALSE,
		  "can't be executed: it is not a regular file" },
		{ "#!/bin/sh\n", "world", 0757, FALSE,
		  "is refused, since everyone may write to the program's file "
		  "(mode 0757): take that away with chmod o-w" },
		{ "#!/bin/sh\n", "plain", 0644, TRUE,
		  "can't be executed: Permission denied (uid UID needs the "
		  "permission to execute it, and each directory above)" },
		{ "#! /nonexistent/sh -e\nexit 0\n", "shebang", 0755, TRUE,
		  "can't be executed: No such file or directory (the script "
		  "is there, its interpreter /nonexistent/sh is not)" },
		{ "#!/bin/sh\r\nexit 0\r\n", "crlf", 0755, TRUE,
		  "can't be executed: No such file or directory (the script's "
		  "lines end with CR LF, instead of LF)" },
		{ "exit 0\n", "text", 0755, TRUE,
		  "can't be executed: Exec format error (no program for this "
		  "machine, and no script with #!)" },
		{ "", "empty", 0755, TRUE,
		  "can't be executed: Exec format error (no program for this "
		  "machine, and no script with #!)" },
	};
	unsigned int i;

	test_begin("runner: programs that can't be started");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		const char *argv[] = { tests[i].name, NULL };
		struct antispam_run run = sh_run("");
		struct antispam_run_reply reply;

		if (tests[i].from_exec && on_valgrind())
			continue;
		if (tests[i].content != NULL) {
			argv[0] = write_file(tests[i].name,
					     tests[i].content,
					     tests[i].mode);
		}
		run.argv = argv;
		run.input = i_stream_create_from_data("message", 7);
		reply = run_one(&run);
		i_stream_unref(&run.input);
		test_assert_idx(reply.end == ANTISPAM_RUN_FAILED, i);
		test_assert_strcmp_idx(reply.error,
				       t_strconcat(argv[0], " ",
						   with_uid(tests[i].error),
						   NULL),
				       i);
		test_assert_strcmp_idx(reply.out, "", i);
		test_assert_strcmp_idx(reply.err, "", i);
	}
	test_end();
}

static void test_runner_spawn_env(void)
{
	static const char *const argv[] = { "/usr/bin/env", NULL };
	static const char *const env[] = { "B=2", "A=x y=z", "C=", NULL };
	static const char *const no_env[] = { NULL };
	struct antispam_run run = sh_run("");
	struct antispam_run_reply reply;

	test_begin("runner: the environment is exact");
	run.argv = argv;
	run.env = env;
	reply = run_one(&run);
	test_assert_strcmp(reply.out, "B=2\nA=x y=z\nC=\n");
	run.env = no_env;
	reply = run_one(&run);
	test_assert(reply.end == ANTISPAM_RUN_EXITED);
	test_assert_strcmp(reply.out, "");
	test_end();
}

static void test_runner_spawn_argv(void)
{
	static const char *const argv[] = {
		"/usr/bin/printf", "<%s>", "", "a b", "$HOME;`id`", "\xff", NULL
	};
	struct antispam_run run = sh_run("");

	test_begin("runner: the arguments are exact");
	run.argv = argv;
	test_assert_strcmp(run_one(&run).out,
			   "<><a b><$HOME;`id`><\xff>");
	test_end();
}

static void test_runner_spawn_dir(void)
{
	const struct {
		const char *dir;
		bool fails;
		const char *cwd;
	} tests[] = {
		{ NULL, FALSE, "/\n" },
		{ "/usr", FALSE, "/usr\n" },
		{ work_dir, FALSE, t_strconcat(work_dir, "\n", NULL) },
		{ "/nonexistent", TRUE, "/\n" },
		{ write_file("file", "", 0755), TRUE, "/\n" },
		{ "", TRUE, "/\n" },
	};
	static const char *const argv[] = { "/bin/pwd", NULL };
	struct antispam_run run = sh_run("");
	unsigned int i;

	test_begin("runner: the working directory");
	run.argv = argv;
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		run.dir = tests[i].dir;
		if (tests[i].fails && on_valgrind())
			continue;
		test_assert_strcmp_idx(run_one(&run).out, tests[i].cwd, i);
	}
	test_end();
}

static void test_runner_spawn_fds(void)
{
	struct antispam_run run;
	struct istream *input;
	int fds[2];

	test_begin("runner: the program has descriptors 0, 1, 2");
	fds[0] = dup(0);
	fds[1] = fcntl(0, F_DUPFD, 200);
	test_assert(fds[0] > 2 && fds[1] >= 200);

	run = sh_run("ls /proc/$$/fd; readlink /proc/$$/fd/0");
	test_assert_strcmp(run_one(&run).out, "0\n1\n2\n/dev/null\n");
	input = i_stream_create_from_data("x", 1);
	run = sh_run("ls /proc/$$/fd; cat");
	run.input = input;
	test_assert_strcmp(run_one(&run).out, "0\n1\n2\nx");

	/* O_NONBLOCK is 04000. */
	run = sh_run("cd /proc/$$/fdinfo; awk '/^flags/ { print $2 }' 0 1 2");
	run.input = input;
	test_assert_strcmp(run_one(&run).out, "00\n01\n01\n");
	i_stream_unref(&input);
	(void)close(fds[0]);
	(void)close(fds[1]);
	test_end();
}

/* With 0..2 closed here, no pipe may end up in the place of another one. */
static void test_runner_spawn_closed_stdio(void)
{
	struct antispam_run run = sh_run("ls /proc/$$/fd; cat; echo err >&2");
	struct antispam_run_reply reply;
	int saved[3], i;

	test_begin("runner: with stdin, stdout and stderr closed");
	run.input = i_stream_create_from_data("message\n", 8);
	for (i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		(void)close(i);
	}
	antispam_run_many(&run, 1, 1, FALSE, &reply);
	for (i = 0; i < 3; i++) {
		test_assert_idx(fcntl(i, F_GETFD) == -1, i);
		test_assert_idx(dup2(saved[i], i) == i, i);
		(void)close(saved[i]);
	}
	i_stream_unref(&run.input);
	test_assert_strcmp(reply.out, "0\n1\n2\nmessage\n");
	test_assert_strcmp(reply.err, "err\n");
	test_end();
}

static void test_runner_spawn_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGHUP, SIGUSR2 };
	struct sigaction old[N_ELEMENTS(ignored)];
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	/* 32 and 33, which programs can't use, are ignored by glibc itself. */
	struct antispam_run run = sh_run(
		"awk '/^Sig(Blk|Ign)/ { print $1, $2 }' /proc/self/status |"
		"sed 's/0000000180000000/0000000000000000/'");
	sigset_t mask, old_mask;
	unsigned int i;

	test_begin("runner: no signal is ignored or blocked");
	for (i = 0; i < N_ELEMENTS(ignored); i++)
		(void)sigaction(ignored[i], &ignore, &old[i]);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGUSR1);
	test_assert(sigprocmask(SIG_BLOCK, &mask, &old_mask) == 0);
	test_assert_strcmp(run_one(&run).out,
			   "SigBlk: 0000000000000000\n"
			   "SigIgn: 0000000000000000\n");
	for (i = 0; i < N_ELEMENTS(ignored); i++)
		(void)sigaction(ignored[i], &old[i], NULL);
	(void)sigprocmask(SIG_SETMASK, &old_mask, NULL);
	test_end();
}

static void test_runner_spawn_session(void)
{
	struct antispam_run run = sh_run(
		"read -r pid name state ppid pgrp session rest </proc/$$/stat; "
		"echo $(($pgrp - $$)) $(($session - $$)) $ppid");

	test_begin("runner: a session and a group of its own");
	test_assert_strcmp(run_one(&run).out,
			   t_strdup_printf("0 0 %ld\n", (long)getpid()));
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_dir_init,
		test_runner_spawn_errors,
		test_runner_spawn_env,
		test_runner_spawn_argv,
		test_runner_spawn_dir,
		test_runner_spawn_fds,
		test_runner_spawn_closed_stdio,
		test_runner_spawn_signals,
		test_runner_spawn_session,
		test_dir_deinit,
		test_native,
		NULL
	};

	return test_run(test_functions);
}
