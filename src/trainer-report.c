/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "str.h"
#include "strescape.h"
#include "strnum.h"
#include "trainer-report.h"

#define STEP_MAGIC "step"
#define BACKEND_MAGIC "backend"
#define PATIENCE_MAGIC "patience"

static const char *const result_names[] = {
	[TRAINER_LEARNED] = "learned",
	[TRAINER_KNOWN] = "known",
	[TRAINER_DECLINED] = "declined",
	[TRAINER_LATER] = "later",
	[TRAINER_UNTRIED] = "untried",
	[TRAINER_FAILED] = "failed",
	[TRAINER_CANCELLED] = "cancelled",
	[TRAINER_GONE] = "gone",
	[TRAINER_BUSY] = "busy",
	[TRAINER_FOREIGN] = "foreign",
};

void trainer_report_write(string_t *str, const struct trainer_report *report)
{
	str_printfa(str, "%s\t%u\t%s\t%u\t%u\t%u\t", STEP_MAGIC, report->step,
		    result_names[report->result], report->attempts,
		    report->wait_msecs, report->duration_msecs);
	str_append_tabescaped(str, report->folder);
	str_append_c(str, '\t');
	str_append_tabescaped(str, report->origin);
	str_append_c(str, '\t');
	if (report->why != NULL)
		str_append_tabescaped(str, report->why);
	str_append_c(str, '\n');
}

static int parse_result(const char *word, enum trainer_result *result_r)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(result_names); i++) {
		if (strcmp(result_names[i], word) == 0) {
			*result_r = i;
			return 0;
		}
	}
	return -1;
}

int trainer_report_parse(const char *line, struct trainer_report *report_r)
{
	const char *const *fields = t_strsplit_tabescaped(line);

	i_zero(report_r);
	if (str_array_length(fields) != 9 ||
	    strcmp(fields[0], STEP_MAGIC) != 0 ||
	    str_to_uint(fields[1], &report_r->step) < 0 ||
	    parse_result(fields[2], &report_r->result) < 0 ||
	    str_to_uint(fields[3], &report_r->attempts) < 0 ||
	    str_to_uint(fields[4], &report_r->wait_msecs) < 0 ||
	    str_to_uint(fields[5], &report_r->duration_msecs) < 0)
		return -1;
	report_r->folder = fields[6];
	report_r->origin = fields[7];
	if (*fields[8] != '\0')
		report_r->why = fields[8];
	return 0;
}

void trainer_report_write_backend(string_t *str, const char *name,
				  bool log_lessons)
{
	str_printfa(str, "%s\t", BACKEND_MAGIC);
	str_append_tabescaped(str, name);
	str_append(str, log_lessons ? "\tyes\n" : "\tno\n");
}

const char *trainer_report_parse_backend(const char *line,
					 bool *log_lessons_r)
{
	const char *const *fields = t_strsplit_tabescaped(line);

	if (str_array_length(fields) != 3 ||
	    strcmp(fields[0], BACKEND_MAGIC) != 0)
		return NULL;
	*log_lessons_r = strcmp(fields[2], "yes") == 0;
	if (!*log_lessons_r && strcmp(fields[2], "no") != 0)
		return NULL;
	return fields[1];
}

void trainer_report_write_patience(string_t *str, unsigned int msecs)
{
	str_printfa(str, "%s\t%u\n", PATIENCE_MAGIC, msecs);
}

bool trainer_report_parse_patience(const char *line, unsigned int *msecs_r)
{
	const char *const *fields = t_strsplit_tabescaped(line);

	return str_array_length(fields) == 2 &&
		strcmp(fields[0], PATIENCE_MAGIC) == 0 &&
		str_to_uint(fields[1], msecs_r) == 0;
}
