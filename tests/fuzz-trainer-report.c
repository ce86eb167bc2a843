/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* fuzz-sources: src/trainer-report.c */

/* Whatever a child of the trainer writes: it is none of its lines, or it means
   something that is written as one line and read back as the same. */

#include "lib.h"
#include "str.h"
#include "fuzzer.h"
#include "trainer-report.h"

/* Cut the line feed off what was written. */
static const char *one_line(string_t *str)
{
	const size_t len = str_len(str);

	i_assert(strlen(str_c(str)) == len);
	i_assert(strcspn(str_c(str), "\r\n") == len - 1);
	str_truncate(str, len - 1);
	return str_c(str);
}

static void fuzz_step(const struct trainer_report *report)
{
	struct trainer_report again;
	string_t *str = t_str_new(128);

	i_assert(report->result <= TRAINER_FOREIGN);
	i_assert(report->folder != NULL && report->origin != NULL);
	i_assert(report->why == NULL || *report->why != '\0');
	trainer_report_write(str, report);
	i_assert(trainer_report_parse(one_line(str), &again) == 0);
	i_assert(report->step == again.step);
	i_assert(report->result == again.result);
	i_assert(report->attempts == again.attempts);
	i_assert(report->wait_msecs == again.wait_msecs);
	i_assert(report->duration_msecs == again.duration_msecs);
	i_assert(strcmp(report->folder, again.folder) == 0);
	i_assert(strcmp(report->origin, again.origin) == 0);
	i_assert(null_strcmp(report->why, again.why) == 0);
}

static void fuzz_backend(const char *name, bool log_lessons)
{
	string_t *str = t_str_new(128);
	const char *again;
	bool log_again;

	trainer_report_write_backend(str, name, log_lessons);
	again = trainer_report_parse_backend(one_line(str), &log_again);
	i_assert(again != NULL && strcmp(name, again) == 0);
	i_assert(log_lessons == log_again);
}

FUZZ_BEGIN_STR(const char *line)
{
	struct trainer_report report;
	const char *backend;
	bool log_lessons, is_step;

	is_step = trainer_report_parse(line, &report) == 0;
	backend = trainer_report_parse_backend(line, &log_lessons);
	i_assert(!is_step || backend == NULL);
	if (is_step)
		fuzz_step(&report);
	if (backend != NULL)
		fuzz_backend(backend, log_lessons);
}
FUZZ_END
