/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Many programs side by side, and what surrounds them. */

#include "lib.h"
#include "str.h"
#include "test-runner.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

static char end_letter(const struct antispam_run_reply *reply)
{
	switch (reply->end) {
	case ANTISPAM_RUN_SKIPPED:
		return '-';
	case ANTISPAM_RUN_EXITED:
		return reply->exit_status == 0 ? '0' : 'x';
	case ANTISPAM_RUN_FAILED:
		break;
	}
	return 'F';
}

static void test_runner_stop_on_failure(void)
{
	static const struct {
		const char *scripts[6];
		unsigned int max_parallel;
		bool stop;
		const char *ends;
	} tests[] = {
		{ { ":", ":", "exit 1", ":", ":", NULL }, 1, TRUE, "00x--" },
		{ { ":", ":", "exit 1", ":", ":", NULL }, 1, FALSE, "00x00" },
		{ { ":", "kill -KILL $$", ":", NULL }, 1, TRUE, "0F-" },
		{ { ":", "kill -KILL $$", ":", NULL }, 0, FALSE, "0F0" },
		{ { NULL }, 4, TRUE, "" },
		/* What runs is waited for. */
		{ { "exit 1", "sleep 0.5", ":", ":", NULL }, 2, TRUE, "x0--" },
		{ { "sleep 0.5", "exit 1", ":", ":", NULL }, 2, TRUE, "0x--" },
		/* No program. */
		{ { ":", "", ":", NULL }, 1, TRUE, "0F-" },
		{ { "", "", ":", NULL }, 3, FALSE, "FF0" },
	};
	static const char *const missing[] = { "/nonexistent", NULL };
	unsigned int i, j, count;

	test_begin("runner: stop_on_failure");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		struct antispam_run runs[6];
		struct antispam_run_reply replies[6];
		string_t *ends = t_str_new(8);

		count = str_array_length(tests[i].scripts);
		for (j = 0; j < count; j++) {
			runs[j] = sh_run(tests[i].scripts[j]);
			if (tests[i].scripts[j][0] == '\0')
				runs[j].argv = missing;
		}
		run_many(runs, count, tests[i].max_parallel,
			 tests[i].stop, replies);
		for (j = 0; j < count; j++)
			str_append_c(ends, end_letter(&replies[j]));
		test_assert_strcmp_idx(str_c(ends), tests[i].ends, i);
	}
	test_end();
}

/* Output is a failure, a status is none. */
static bool output_is_failure(const struct antispam_run_reply *reply,
			      void *context)
{
	unsigned int *asked = context;

	(*asked)++;
	return reply->end != ANTISPAM_RUN_EXITED || reply->out[0] != '\0';
}

static void test_runner_is_failure(void)
{
	struct antispam_run runs[4] = {
		sh_run("exit 1"), sh_run(":"), sh_run("echo x"), sh_run(":")
	};
	static const char *const missing[] = { "/nonexistent", NULL };
	struct antispam_run_reply replies[4];
	unsigned int i, asked = 0;

	test_begin("runner: whoever asks for a run says what is a failure");
	for (i = 0; i < N_ELEMENTS(runs); i++) {
		runs[i].is_failure = output_is_failure;
		runs[i].context = &asked;
	}
	run_many(runs, 4, 1, TRUE, replies);
	test_assert(asked == 3);
	test_assert(replies[0].exit_status == 1);
	test_assert(replies[2].end == ANTISPAM_RUN_EXITED);
	test_assert(replies[3].end == ANTISPAM_RUN_SKIPPED);

	runs[0].argv = missing;
	run_many(runs, 4, 1, TRUE, replies);
	test_assert(asked == 4);
	test_assert(replies[0].end == ANTISPAM_RUN_FAILED);
	test_assert(replies[1].end == ANTISPAM_RUN_SKIPPED);
	test_end();
}

/* The first max_parallel programs wait for each other; each shows that it is
   there for a moment. */
static void check_parallel(unsigned int count, unsigned int max_parallel)
{
	struct antispam_run *runs = t_new(struct antispam_run, count);
	struct antispam_run_reply *replies =
		t_new(struct antispam_run_reply, count);
	unsigned int i, now = 0, most = 0;
	unsigned char *log;
	size_t size;

	for (i = 0; i < count; i++) {
		runs[i] = sh_run(t_strdup_printf(
			"printf + >>$0/log; "
			"while [ $(tr -d - <$0/log | wc -c) -lt %u ]; do "
			"sleep 0.02; done; "
			"sleep 0.1; printf - >>$0/log; echo out%u; "
			"echo err%u >&2",
			max_parallel, i, i));
	}
	run_many(runs, count, max_parallel, TRUE, replies);
	for (i = 0; i < count; i++) {
		test_assert_strcmp_idx(replies[i].out,
				       t_strdup_printf("out%u\n", i), i);
		test_assert_strcmp_idx(replies[i].err,
				       t_strdup_printf("err%u\n", i), i);
	}
	log = read_file(work_path("log"), &size);
	test_assert(size == count * 2);
	for (i = 0; i < size; i++) {
		now += log[i] == '+' ? 1 : -1;
		most = I_MAX(most, now);
	}
	test_assert_idx(most == max_parallel, max_parallel);
	i_free(log);
	i_unlink(work_path("log"));
}

static void test_runner_parallel(void)
{
	struct antispam_run runs[100];
	struct antispam_run_reply replies[100];
	unsigned int i;

	test_begin("runner: as many side by side as allowed");
	check_parallel(3, 1);
	check_parallel(10, 4);
	for (i = 0; i < N_ELEMENTS(runs); i++)
		runs[i] = sh_run(t_strdup_printf("exit %u", i));
	run_many(runs, N_ELEMENTS(runs), UINT_MAX, FALSE, replies);
	for (i = 0; i < N_ELEMENTS(runs); i++) {
		test_assert_idx(replies[i].end == ANTISPAM_RUN_EXITED, i);
		test_assert_idx(replies[i].exit_status == (int)i, i);
	}
	test_end();
}

static void test_runner_other_children(void)
{
	struct antispam_run run = sh_run("exit 0");
	struct antispam_run_reply reply;
	int status = -1;
	pid_t pid;

	test_begin("runner: the caller's other children are left alone");
	pid = fork();
	if (pid == 0)
		_exit(5);
	(void)usleep(50000);
	antispam_run_many(&run, 1, 1, FALSE, &reply);
	test_assert(reply.end == ANTISPAM_RUN_EXITED);
	test_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	test_assert(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	test_end();
}

static void test_runner_no_descriptors(void)
{
	struct antispam_run run = sh_run("exit 0");
	struct antispam_run_reply reply;
	struct rlimit old, limit;
	unsigned int fds = count_fds(), left;
	const char *expected;
	int last;

	test_begin("runner: no descriptors left");
	last = fcntl(0, F_DUPFD_CLOEXEC, 3);
	(void)close(last);
	test_assert(getrlimit(RLIMIT_NOFILE, &old) == 0);
	run.input = i_stream_create_from_data("x", 1);
	/* Three pipes take five: the end of stdin that was written to is
	   closed before the others are made. */
	for (left = 0; left <= 5; left++) {
		expected = left == 5 ? "exited with status 0" :
				       "can't be started: pipe2() failed: "
				       "Too many open files";
		limit = old;
		limit.rlim_cur = last + left;
		test_assert_idx(setrlimit(RLIMIT_NOFILE, &limit) == 0, left);
		antispam_run_many(&run, 1, 1, FALSE, &reply);
		test_assert_idx(setrlimit(RLIMIT_NOFILE, &old) == 0, left);
		test_assert_strcmp_idx(antispam_run_describe(&reply), expected,
				       left);
		test_assert_idx(count_fds() == fds, left);
	}
	i_stream_unref(&run.input);
	test_end();
}

static unsigned int alarms, alarm_sleep_msecs;

static void alarm_handler(int sig ATTR_UNUSED)
{
	alarms++;
	(void)usleep(alarm_sleep_msecs * 1000);
}

/* A signal must not bring back what poll() said of a slot's last program. */
static void check_signal_deadline(void)
{
	struct antispam_run runs[2] = {
		sh_run("exit 0"), sh_run("exec sleep 20")
	};
	struct antispam_run_reply replies[2];

	runs[1].timeout_msecs = 200;
	run_many(runs, 2, 1, FALSE, replies);
	test_assert_strcmp(antispam_run_describe(&replies[1]),
			   "timed out after 200 ms (antispam_timeout)");
	test_assert(replies[1].duration_msecs < 5000);
}

/* What a program wrote before it ended is read, however late we are: it
   writes and ends while the handler sleeps. */
static void check_signal_late(void)
{
	struct itimerval timer = { { 0, 0 }, { 0, 50000 } };
	struct antispam_run run =
		sh_run("sleep 0.1; head -c 60000 /dev/zero");
	struct antispam_run_reply reply;

	alarm_sleep_msecs = 400;
	run.max_output = 100000;
	test_assert(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	reply = run_one(&run);
	test_assert(strlen(reply.out) == 60000);
	alarm_sleep_msecs = 0;
}

static void test_runner_signals(void)
{
	struct sigaction action = { .sa_handler = alarm_handler }, old;
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };
	struct itimerval no_timer = { { 0, 0 }, { 0, 0 } };
	unsigned char *data = make_data(5 * MB);
	struct istream *input = i_stream_create_from_data(data, 5 * MB);

	test_begin("runner: signals meanwhile");
	test_assert(sigaction(SIGALRM, &action, &old) == 0);
	test_assert(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	check_input(input, data, 5 * MB, 0);
	no_pidfd = TRUE;
	check_input(input, data, 5 * MB, 1);
	no_pidfd = FALSE;
	check_signal_deadline();
	test_assert(setitimer(ITIMER_REAL, &no_timer, NULL) == 0);
	check_signal_late();
	(void)sigaction(SIGALRM, &old, NULL);
	test_assert(alarms > 0);
	i_stream_unref(&input);
	i_free(data);
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_dir_init,
		test_runner_stop_on_failure,
		test_runner_is_failure,
		test_runner_parallel,
		test_runner_other_children,
		test_runner_no_descriptors,
		test_runner_signals,
		test_dir_deinit,
		test_native,
		NULL
	};

	return test_run(test_functions);
}
