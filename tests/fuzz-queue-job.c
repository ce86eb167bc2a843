/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* fuzz-sources: antispam-queue-job.c antispam-queue-state.c antispam-transition.c */

/* Whatever a line of the queue's files holds, which any user can write: it is
   refused with a reason, or it means something that is written as one line and
   read back as the same. The first byte chooses whose line it is. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "fuzzer.h"
#include "antispam-queue-job.h"
#include "antispam-queue-state.h"

#define MAX_STATES 5

/* Cut the line feed off what was written. */
static const char *one_line(string_t *str)
{
	const size_t len = str_len(str);

	i_assert(strlen(str_c(str)) == len);
	i_assert(strcspn(str_c(str), "\n") == len - 1);
	str_truncate(str, len - 1);
	return str_c(str);
}

static void same_string(const char *a, const char *b)
{
	i_assert(null_strcmp(a, b) == 0);
}

static void check_error(const char *error)
{
	i_assert(error != NULL && *error != '\0');
}

static void fuzz_head(const char *line)
{
	struct antispam_queue_head head, again;
	string_t *str = t_str_new(128);
	const char *error = NULL;

	if (antispam_queue_head_parse(line, &head, &error) < 0) {
		check_error(error);
		return;
	}
	i_assert(*head.username != '\0');
	i_assert(head.wall_usecs >= 0 && head.boot_usecs >= 0);
	/* what is made of them does not overflow */
	i_assert(head.wall_usecs + head.boot_usecs < INT64_MAX / 2 + 1);
	antispam_queue_head_write(str, &head);
	i_assert(antispam_queue_head_parse(one_line(str), &again, &error) == 0);
	same_string(head.username, again.username);
	same_string(head.boot_id, again.boot_id);
	i_assert(head.wall_usecs == again.wall_usecs);
	i_assert(head.boot_usecs == again.boot_usecs);
}

static void check_file(const char *name)
{
	i_assert(*name != '\0' && strlen(name) <= NAME_MAX);
	i_assert(strpbrk(name, "./-\t\n ") == NULL);
}

static void fuzz_job(const char *line)
{
	struct antispam_queue_job job, again;
	string_t *str = t_str_new(128);
	const char *error = NULL;

	if (antispam_queue_job_parse(line, &job, &error) < 0) {
		check_error(error);
		return;
	}
	if (job.file != NULL)
		check_file(job.file);
	i_assert(job.has_message || job.file == NULL);
	i_assert(job.offset + job.size <= INT64_MAX);
	i_assert(job.folder != NULL && job.origin != NULL);
	antispam_queue_job_write(str, &job);
	i_assert(antispam_queue_job_parse(one_line(str), &again, &error) == 0);
	i_assert(job.spam == again.spam);
	i_assert(job.has_message == again.has_message);
	i_assert(job.change.from == again.change.from);
	i_assert(job.change.to == again.change.to);
	i_assert(job.change.append == again.change.append);
	i_assert(job.offset == again.offset && job.size == again.size);
	same_string(job.file, again.file);
	same_string(job.guid, again.guid);
	same_string(job.signature, again.signature);
	same_string(job.folder, again.folder);
	same_string(job.origin, again.origin);
}

static void fuzz_end(const char *line)
{
	struct antispam_queue_end end, again;
	string_t *str = t_str_new(128);
	const char *error = NULL;

	if (antispam_queue_end_parse(line, &end, &error) < 0) {
		check_error(error);
		return;
	}
	i_assert(end.count > 0 && end.count <= ANTISPAM_QUEUE_JOBS_MAX);
	i_assert(end.offset < INT64_MAX);
	antispam_queue_end_write(str, &end);
	i_assert(str_len(str) == ANTISPAM_QUEUE_END_SIZE);
	i_assert(antispam_queue_end_parse(one_line(str), &again, &error) == 0);
	i_assert(end.offset == again.offset);
	i_assert(end.count == again.count && end.crc == again.crc);
}

/* Parse what was written. */
static void parse_states(const char *text, struct antispam_queue_state *states,
			 unsigned int count)
{
	const char *const *lines = t_strsplit(text, "\n");

	for (; lines[0] != NULL && lines[1] != NULL; lines++) {
		i_assert(antispam_queue_state_parse(*lines,
						    pool_datastack_create(),
						    states, count) == 0);
	}
}

/* Several lines, since one replaces another. */
static void fuzz_state(const char *text)
{
	struct antispam_queue_state states[MAX_STATES + 1];
	struct antispam_queue_state again[MAX_STATES];
	const char *const *lines = t_strsplit(text, "\n");
	string_t *str = t_str_new(128);
	unsigned int i;

	memset(&states, 0, sizeof(states));
	memset(&again, 0, sizeof(again));
	states[MAX_STATES].attempts = 12345;
	for (; *lines != NULL; lines++) {
		(void)antispam_queue_state_parse(*lines,
						 pool_datastack_create(),
						 states, MAX_STATES);
	}
	i_assert(states[MAX_STATES].attempts == 12345);
	antispam_queue_state_write(str, states, MAX_STATES);
	parse_states(str_c(str), again, MAX_STATES);
	for (i = 0; i < MAX_STATES; i++) {
		i_assert(states[i].status <= ANTISPAM_QUEUE_FAILED);
		i_assert(states[i].status == again[i].status);
		i_assert(states[i].attempts == again[i].attempts);
		i_assert(states[i].next_try == again[i].next_try);
		i_assert(states[i].next_try >= 0 &&
			 states[i].next_try < INT64_MAX / 1000000);
		same_string(states[i].why, again[i].why);
	}
}

FUZZ_BEGIN_STR(const char *text)
{
	switch (*text) {
	case 'h':
		fuzz_head(text + 1);
		break;
	case 'j':
		fuzz_job(text + 1);
		break;
	case 'e':
		fuzz_end(text + 1);
		break;
	case 's':
		fuzz_state(text + 1);
		break;
	default:
		fuzz_head(text);
		fuzz_job(text);
		fuzz_end(text);
		fuzz_state(text);
		break;
	}
}
FUZZ_END
