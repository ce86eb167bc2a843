/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "antispam-runner.h"
#include "test-common.h"

#define PATH_LIST "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *env_text(const char *const *env)
{
	const char *text = t_strarray_join(env, "|"), *p;

	p = strstr(text, "PATH=" PATH_LIST);
	if (p != text)
		return text;
	return t_strconcat("PATH=@", text + strlen("PATH=" PATH_LIST), NULL);
}

static void test_runner_env(void)
{
	/* Entries are joined by '|'; @ stands for PATH_LIST. */
	static const struct {
		const char *home, *extra, *env;
	} tests[] = {
		{ "/home/u", "",
		  "PATH=@|HOME=/home/u|USER=u@d|LOGNAME=u@d|LANG=C.UTF-8" },
		{ NULL, "", "PATH=@|USER=u@d|LOGNAME=u@d|LANG=C.UTF-8" },
		/* An extra entry stands in the place of the one it replaces;
		   the last of a name counts. */
		{ "/h", "LANG=C|A=1|HOME=/x=y",
		  "PATH=@|HOME=/x=y|USER=u@d|LOGNAME=u@d|LANG=C|A=1" },
		{ NULL, "A=1|AB=2|A=",
		  "PATH=@|USER=u@d|LOGNAME=u@d|LANG=C.UTF-8|A=|AB=2" },
		{ NULL, "PATH=/bin|HOME=/h|USERS=x",
		  "PATH=/bin|USER=u@d|LOGNAME=u@d|LANG=C.UTF-8|HOME=/h|"
		  "USERS=x" },
	};
	struct antispam_identity identity = { .username = "u@d" };
	const char *const *extra, *const *env;
	unsigned int i;

	test_begin("antispam_run_env()");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		identity.home = tests[i].home;
		extra = t_strsplit_spaces(tests[i].extra, "|");
		env = antispam_run_env(&identity, extra);
		test_assert_strcmp_idx(env_text(env), tests[i].env, i);
	}
	identity.home = tests[0].home;
	env = antispam_run_env(&identity, NULL);
	test_assert_strcmp(env_text(env), tests[0].env);
	test_end();
}

static void test_runner_check_path(void)
{
	static const struct {
		const char *path, *named;
		int ret;
	} tests[] = {
		{ "/usr/sbin/sendmail", NULL, 0 },
		{ "/", NULL, 0 },
		{ "sendmail", "sendmail", -1 },
		{ "./a\nb", "./a?b", -1 },
		{ "", "", -1 },
	};
	const char *error, *expected;
	unsigned int i;

	test_begin("antispam_run_check_path()");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		error = expected = NULL;
		test_assert_idx(antispam_run_check_path("antispam_x",
							tests[i].path,
							&error) == tests[i].ret,
				i);
		if (tests[i].named != NULL) {
			expected = t_strdup_printf(
				"antispam_x = %s: not an absolute path; write "
				"the program's whole path, from / on",
				tests[i].named);
		}
		test_assert_strcmp_idx(error, expected, i);
	}
	test_end();
}

#define CHARS_50 "12345678901234567890123456789012345678901234567890"
#define EXITED ANTISPAM_RUN_EXITED
#define FAILED ANTISPAM_RUN_FAILED

static void test_runner_describe(void)
{
	static const struct {
		enum antispam_run_end end;
		int exit_status;
		const char *error, *out, *err;
		const char *text;
	} tests[] = {
		{ ANTISPAM_RUN_SKIPPED, 0, NULL, NULL, NULL,
		  "not started, since an earlier program failed" },
		{ EXITED, 0, NULL, "", "", "exited with status 0" },
		{ EXITED, 75, NULL, "", "no\nroom\n",
		  "exited with status 75: no" },
		{ EXITED, 1, NULL, "from stdout", " \n\r\n\t\n",
		  "exited with status 1: from stdout" },
		{ EXITED, 1, NULL, "from stdout\n", "\n\n \t mid dle \r\nx",
		  "exited with status 1: mid dle" },
		{ FAILED, 0, "timed out after 60 s", "", "",
		  "timed out after 60 s" },
		{ FAILED, 0, "timed out after 60 s", "\033[2Jbusy \xff", "",
		  "timed out after 60 s: ?[2Jbusy ?" },
		{ EXITED, 2, NULL, "", CHARS_50 CHARS_50 CHARS_50 CHARS_50 "x",
		  "exited with status 2: " CHARS_50 CHARS_50 CHARS_50
		  "12345678901234567890123456789012345678901234567..." },
	};
	struct antispam_run_reply reply;
	unsigned int i;

	test_begin("antispam_run_describe()");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		i_zero(&reply);
		reply.end = tests[i].end;
		reply.exit_status = tests[i].exit_status;
		reply.error = tests[i].error;
		reply.out = tests[i].out;
		reply.err = tests[i].err;
		test_assert_strcmp_idx(antispam_run_describe(&reply),
				       tests[i].text, i);
	}
	test_end();
}

static void test_runner_said(void)
{
	static const struct {
		enum antispam_run_end end;
		const char *out, *err, *text;
	} tests[] = {
		{ ANTISPAM_RUN_SKIPPED, NULL, NULL, NULL },
		{ EXITED, "", "", NULL },
		{ EXITED, "\n\r\n", "\n", NULL },
		{ EXITED, "one\ntwo\n", "three", "one | two | three" },
		{ FAILED, "", "\033[2J\n", "?[2J" },
	};
	struct antispam_run_reply reply;
	unsigned int i;

	test_begin("antispam_run_said()");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		i_zero(&reply);
		reply.end = tests[i].end;
		reply.out = tests[i].out;
		reply.err = tests[i].err;
		test_assert_strcmp_idx(antispam_run_said(&reply),
				       tests[i].text, i);
	}
	test_end();
}

static void test_exchange_said(void)
{
	static const struct {
		enum antispam_exchange_end end;
		const char *text, *said;
	} tests[] = {
		{ ANTISPAM_EXCHANGE_SKIPPED, NULL, NULL },
		{ ANTISPAM_EXCHANGE_FAILED, NULL, NULL },
		{ ANTISPAM_EXCHANGE_ANSWERED, "", NULL },
		{ ANTISPAM_EXCHANGE_ANSWERED, "a\r\n\r\nb\001\n",
		  "a | b?" },
	};
	struct antispam_exchange_reply reply;
	unsigned int i;

	test_begin("antispam_exchange_said()");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		i_zero(&reply);
		reply.end = tests[i].end;
		reply.text = tests[i].text;
		test_assert_idx(null_strcmp(antispam_exchange_said(&reply),
					    tests[i].said) == 0,
				i);
	}
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_runner_env,
		test_runner_check_path,
		test_runner_describe,
		test_runner_said,
		test_exchange_said,
		NULL
	};

	return test_run(test_functions);
}
