/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "trainer-report.h"

/* All bytes that a string can hold. */
static const char *all_bytes(void)
{
	static char bytes[256];
	unsigned int i;

	for (i = 0; i < 255; i++)
		bytes[i] = i + 1;
	return bytes;
}

/* Data stack, without its line feed. */
static const char *one_line(string_t *str, unsigned int i)
{
	const size_t len = str_len(str);

	test_assert_idx(strcspn(str_c(str), "\r\n") == len - 1, i);
	test_assert_idx(str_c(str)[len - 1] == '\n', i);
	return t_strndup(str_c(str), len - 1);
}

static void
check_report(const struct trainer_report *report, unsigned int i)
{
	struct trainer_report read_report;
	string_t *str = t_str_new(512);
	const char *line;
	bool log_lessons;

	trainer_report_write(str, report);
	line = one_line(str, i);
	test_assert_idx(trainer_report_parse(line, &read_report) == 0, i);
	test_assert_idx(read_report.step == report->step, i);
	test_assert_idx(read_report.result == report->result, i);
	test_assert_idx(read_report.attempts == report->attempts, i);
	test_assert_idx(read_report.wait_msecs == report->wait_msecs, i);
	test_assert_idx(read_report.duration_msecs == report->duration_msecs,
			i);
	test_assert_strcmp_idx(read_report.folder, report->folder, i);
	test_assert_strcmp_idx(read_report.origin, report->origin, i);
	test_assert_strcmp_idx(read_report.why, report->why, i);
	/* and it is nothing else */
	test_assert_idx(trainer_report_parse_backend(line, &log_lessons) ==
				NULL,
			i);
}

static void test_report(void)
{
	const struct trainer_report reports[] = {
		{ 0, TRAINER_LEARNED, 0, 0, 12, "SPAM", "UID 1 of INBOX",
		  NULL },
		{ 499, TRAINER_LATER, 3, 240000, 60000, "INBOX", "APPEND",
		  "exited with status 75: come again" },
		{ UINT_MAX, TRAINER_FAILED, UINT_MAX, UINT_MAX, UINT_MAX, "",
		  "", "x" },
		{ 1, TRAINER_DECLINED, 0, 0, 0, "a\tb", "a\nb", "a\001b\r" },
		{ 1, TRAINER_DECLINED, 0, 0, 0, all_bytes(), all_bytes(),
		  all_bytes() },
		{ 1, TRAINER_GONE, 0, 0, 0, "\t", "\n", "\t" },
	};
	struct trainer_report report = reports[0];
	unsigned int i;

	test_begin("trainer report: steps");
	for (i = 0; i < N_ELEMENTS(reports); i++)
		check_report(&reports[i], i);
	for (i = TRAINER_LEARNED; i <= TRAINER_FOREIGN; i++) {
		report.result = i;
		check_report(&report, i);
	}
	test_end();
}

static void test_report_malformed(void)
{
	static const char *const lines[] = {
		"",
		"step",
		"\t\t\t\t\t\t\t\t",
		"step\t0\tlearned\t0\t0\t0\tf\to",
		"step\t0\tlearned\t0\t0\t0\tf\to\tw\t",
		"stop\t0\tlearned\t0\t0\t0\tf\to\tw",
		"step\t\tlearned\t0\t0\t0\tf\to\tw",
		"step\t-1\tlearned\t0\t0\t0\tf\to\tw",
		"step\t4294967296\tlearned\t0\t0\t0\tf\to\tw",
		"step\t0\t\t0\t0\t0\tf\to\tw",
		"step\t0\tLearned\t0\t0\t0\tf\to\tw",
		"step\t0\tlearn\t0\t0\t0\tf\to\tw",
		"step\t0\tlearned\tx\t0\t0\tf\to\tw",
		"step\t0\tlearned\t0\t0x\t0\tf\to\tw",
		"step\t0\tlearned\t0\t0\t\tf\to\tw",
		"step\t0\tlearned\t0\t0\t 0\tf\to\tw",
		"backend\tpipe\tyes",
	};
	struct trainer_report report;
	unsigned int i;

	test_begin("trainer report: steps that are none");
	for (i = 0; i < N_ELEMENTS(lines); i++)
		test_assert_idx(trainer_report_parse(lines[i], &report) < 0, i);
	test_end();
}

static void test_backend(void)
{
	const char *const names[] = { "pipe", "", "a\tb\n", all_bytes() };
	string_t *str = t_str_new(512);
	struct trainer_report report;
	bool log_lessons;
	const char *line;
	unsigned int i;

	test_begin("trainer report: the backend");
	for (i = 0; i < N_ELEMENTS(names) * 2; i++) {
		str_truncate(str, 0);
		trainer_report_write_backend(str, names[i / 2], i % 2 == 1);
		line = one_line(str, i);
		log_lessons = i % 2 != 1;
		test_assert_strcmp_idx(
			trainer_report_parse_backend(line, &log_lessons),
			names[i / 2], i);
		test_assert_idx(log_lessons == (i % 2 == 1), i);
		test_assert_idx(trainer_report_parse(line, &report) < 0, i);
	}
	test_end();
}

static void test_backend_malformed(void)
{
	static const char *const lines[] = {
		"",
		"backend",
		"backend\tpipe",
		"backend\tpipe\tyes\t",
		"Backend\tpipe\tyes",
		"backend\tpipe\tmaybe",
		"backend\tpipe\t",
		"step\t0\tlearned\t0\t0\t0\tf\to\tw",
	};
	unsigned int i;
	bool log_lessons;

	test_begin("trainer report: backends that are none");
	for (i = 0; i < N_ELEMENTS(lines); i++) {
		test_assert_idx(trainer_report_parse_backend(
					lines[i], &log_lessons) == NULL,
				i);
	}
	test_end();
}

static void test_patience(void)
{
	static const char *const wrong[] = {
		"patience", "patience\t", "patience\t-1", "patience\t1\t2",
		"Patience\t1", "patience\t99999999999", "step\t1", ""
	};
	string_t *str = t_str_new(64);
	unsigned int msecs = 0, i;

	test_begin("trainer report: patience");
	trainer_report_write_patience(str, 61000);
	test_assert_strcmp(str_c(str), "patience\t61000\n");
	test_assert(trainer_report_parse_patience("patience\t61000", &msecs) &&
		    msecs == 61000);
	for (i = 0; i < N_ELEMENTS(wrong); i++) {
		test_assert_idx(!trainer_report_parse_patience(wrong[i],
							       &msecs),
				i);
	}
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_report,
		test_report_malformed,
		test_backend,
		test_backend_malformed,
		test_patience,
		NULL
	};

	return test_run(tests);
}
