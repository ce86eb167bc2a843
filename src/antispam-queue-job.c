/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "str.h"
#include "strescape.h"
#include "strnum.h"
#include "antispam-queue-job.h"

#include <ctype.h>

#define HEAD_MAGIC "antispam-queue"
#define JOB_MAGIC "job"
#define END_MAGIC "end"
/* Where a message is, but for the name of a file. */
#define SOURCE_NONE "-"
#define SOURCE_HERE "."
/* What stands for the folder that an appended message comes from. */
#define FROM_APPEND "append"
/* Of a file's name, in bytes. */
#define FILE_NAME_MAX 32

void antispam_queue_head_write(string_t *str,
			       const struct antispam_queue_head *head)
{
	str_printfa(str, "%s\t%u\t%" PRId64 "\t%" PRId64 "\t", HEAD_MAGIC,
		    ANTISPAM_QUEUE_VERSION, head->wall_usecs,
		    head->boot_usecs);
	str_append_tabescaped(str, head->boot_id);
	str_append_c(str, '\t');
	str_append_tabescaped(str, head->username);
	str_append_c(str, '\n');
}

static void write_field(string_t *str, const char *value)
{
	str_append_c(str, '\t');
	if (value != NULL)
		str_append_tabescaped(str, value);
}

void antispam_queue_job_write(string_t *str,
			      const struct antispam_queue_job *job)
{
	const struct antispam_transition *change = &job->change;
	const char *from = change->append ? FROM_APPEND :
					    antispam_class_name(change->from);
	const char *source = SOURCE_NONE;

	if (job->has_message)
		source = job->file == NULL ? SOURCE_HERE : job->file;
	str_append(str, JOB_MAGIC);
	write_field(str, job->spam ? "spam" : "ham");
	write_field(str, from);
	write_field(str, antispam_class_name(change->to));
	write_field(str, source);
	str_printfa(str, "\t%" PRIuUOFF_T "\t%" PRIuUOFF_T, job->offset,
		    job->size);
	write_field(str, job->guid);
	write_field(str, job->signature);
	write_field(str, job->folder);
	write_field(str, job->origin);
	str_append_c(str, '\n');
}

void antispam_queue_end_write(string_t *str,
			      const struct antispam_queue_end *end)
{
	const size_t start = str_len(str);

	str_printfa(str, "%s\t%020" PRIuUOFF_T "\t%010u\t%08x\n", END_MAGIC,
		    end->offset, end->count, end->crc);
	i_assert(str_len(str) - start == ANTISPAM_QUEUE_END_SIZE);
}

/* The fields of a line, if it has so many of them and begins with magic. */
static const char *const *
split(const char *line, const char *magic, unsigned int count)
{
	const char *const *fields = t_strsplit_tabescaped(line);

	if (str_array_length(fields) != count || strcmp(fields[0], magic) != 0)
		return NULL;
	return fields;
}

static int parse_int64(const char *str, int64_t *num_r)
{
	intmax_t num;

	/* far from where sums of them would overflow */
	if (str_to_intmax(str, &num) < 0 || num < 0 || num > INT64_MAX / 4)
		return -1;
	*num_r = num;
	return 0;
}

int antispam_queue_head_parse(const char *line,
			      struct antispam_queue_head *head_r,
			      const char **error_r)
{
	const char *const *fields = split(line, HEAD_MAGIC, 6);
	unsigned int version;

	if (fields == NULL || str_to_uint(fields[1], &version) < 0) {
		*error_r = "it has no head";
		return -1;
	}
	if (version != ANTISPAM_QUEUE_VERSION) {
		*error_r = "it is of another version of the plugin";
		return -1;
	}
	i_zero(head_r);
	if (parse_int64(fields[2], &head_r->wall_usecs) < 0 ||
	    parse_int64(fields[3], &head_r->boot_usecs) < 0) {
		*error_r = "its time is none";
		return -1;
	}
	head_r->boot_id = fields[4];
	head_r->username = fields[5];
	if (*head_r->username == '\0') {
		*error_r = "it names no user";
		return -1;
	}
	return 0;
}

int64_t antispam_queue_head_age(const struct antispam_queue_head *head,
				const struct antispam_queue_head *now)
{
	if (*now->boot_id != '\0' && strcmp(now->boot_id, head->boot_id) == 0)
		return now->boot_usecs - head->boot_usecs;
	return now->wall_usecs - head->wall_usecs;
}

static bool parse_class(const char *word, enum antispam_class *class_r)
{
	unsigned int i;

	for (i = 0; i < ANTISPAM_CLASS_COUNT; i++) {
		if (strcmp(antispam_class_name(i), word) == 0) {
			*class_r = i;
			return TRUE;
		}
	}
	return FALSE;
}

static bool parse_change(const char *const *fields,
			 struct antispam_queue_job *job)
{
	if (strcmp(fields[0], "spam") == 0)
		job->spam = TRUE;
	else if (strcmp(fields[0], "ham") != 0)
		return FALSE;
	if (strcmp(fields[1], FROM_APPEND) == 0)
		job->change.append = TRUE;
	else if (!parse_class(fields[1], &job->change.from))
		return FALSE;
	return parse_class(fields[2], &job->change.to);
}

bool antispam_queue_file_is_valid(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if (!i_isalnum(name[i]))
			return FALSE;
	}
	return i > 0 && i <= FILE_NAME_MAX;
}

static bool parse_source(const char *const *fields,
			 struct antispam_queue_job *job)
{
	if (strcmp(fields[0], SOURCE_NONE) != 0) {
		job->has_message = TRUE;
		if (strcmp(fields[0], SOURCE_HERE) != 0) {
			job->file = fields[0];
			if (!antispam_queue_file_is_valid(job->file))
				return FALSE;
		}
	}
	return str_to_uoff(fields[1], &job->offset) == 0 &&
		str_to_uoff(fields[2], &job->size) == 0 &&
		job->offset <= INT64_MAX / 4 && job->size <= INT64_MAX / 4;
}

static const char *or_null(const char *value)
{
	return *value == '\0' ? NULL : value;
}

int antispam_queue_job_parse(const char *line,
			     struct antispam_queue_job *job_r,
			     const char **error_r)
{
	const char *const *fields = split(line, JOB_MAGIC, 11);

	i_zero(job_r);
	if (fields == NULL) {
		*error_r = "it has a line that is no job";
		return -1;
	}
	if (!parse_change(fields + 1, job_r)) {
		*error_r = "it has a job that is neither spam nor ham";
		return -1;
	}
	if (!parse_source(fields + 4, job_r)) {
		*error_r = "it has a job whose message is nowhere";
		return -1;
	}
	job_r->guid = or_null(fields[7]);
	job_r->signature = or_null(fields[8]);
	job_r->folder = fields[9];
	job_r->origin = fields[10];
	return 0;
}

int antispam_queue_end_parse(const char *line,
			     struct antispam_queue_end *end_r,
			     const char **error_r)
{
	const char *const *fields = split(line, END_MAGIC, 4);

	i_zero(end_r);
	if (fields == NULL || strlen(line) + 1 != ANTISPAM_QUEUE_END_SIZE ||
	    str_to_uoff(fields[1], &end_r->offset) < 0 ||
	    str_to_uint(fields[2], &end_r->count) < 0 ||
	    str_to_uint32_hex(fields[3], &end_r->crc) < 0) {
		*error_r = "it was never finished";
		return -1;
	}
	if (end_r->count == 0 || end_r->count > ANTISPAM_QUEUE_JOBS_MAX ||
	    end_r->offset > INT64_MAX / 4) {
		*error_r = "its end names an impossible size";
		return -1;
	}
	return 0;
}
