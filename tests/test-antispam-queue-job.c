/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "antispam-queue-job.h"

#define OTHER ANTISPAM_CLASS_OTHER
#define SPAM ANTISPAM_CLASS_SPAM

#define TO_SPAM \
	{ \
		OTHER, SPAM, FALSE \
	}
#define TO_HAM \
	{ \
		SPAM, OTHER, FALSE \
	}
#define APPEND \
	{ \
		OTHER, SPAM, TRUE \
	}
/* Of offsets and times, the biggest one. */
#define BIG (INT64_MAX / 4)

/* All bytes that a string can hold. */
static const char *all_bytes(void)
{
	static char bytes[256];
	unsigned int i;

	for (i = 0; i < 255; i++)
		bytes[i] = i + 1;
	return bytes;
}

/* A line that was written is one line. Data stack, without its line feed. */
static const char *one_line(const string_t *str, unsigned int i)
{
	const char *line = str_c((string_t *)str);
	const size_t len = str_len(str);

	test_assert_idx(len > 0 && line[len - 1] == '\n', i);
	test_assert_idx(strlen(line) == len, i);
	test_assert_idx(strcspn(line, "\r\n") == len - 1, i);
	return t_strndup(line, len - 1);
}

static void test_head(void)
{
	const struct antispam_queue_head heads[] = {
		{ "alice", 1700000000123456, 5000000, "0e24-11" },
		{ "alice@example.com", 0, 0, "" },
		{ "\t\n\r\001", INT64_MAX / 4, INT64_MAX / 4, "a\tb" },
		{ all_bytes(), 1, 2, all_bytes() },
	};
	struct antispam_queue_head head;
	string_t *str = t_str_new(512);
	const char *error;
	unsigned int i;

	test_begin("queue job: heads");
	for (i = 0; i < N_ELEMENTS(heads); i++) {
		str_truncate(str, 0);
		antispam_queue_head_write(str, &heads[i]);
		test_assert_idx(antispam_queue_head_parse(one_line(str, i),
							  &head, &error) == 0,
				i);
		test_assert_strcmp_idx(head.username, heads[i].username, i);
		test_assert_strcmp_idx(head.boot_id, heads[i].boot_id, i);
		test_assert_idx(head.wall_usecs == heads[i].wall_usecs, i);
		test_assert_idx(head.boot_usecs == heads[i].boot_usecs, i);
	}
	test_end();
}

static void test_head_malformed(void)
{
	static const struct {
		const char *line, *error;
	} rows[] = {
		{ "", "no head" },
		{ "antispam-queue", "no head" },
		{ "antispam-queue\t1\t2\t3\tb", "no head" },
		{ "antispam-queue\t1\t2\t3\tb\tu\t", "no head" },
		{ "Antispam-queue\t1\t2\t3\tb\tu", "no head" },
		{ "job\t1\t2\t3\tb\tu", "no head" },
		{ "antispam-queue\t\t2\t3\tb\tu", "no head" },
		{ "antispam-queue\t-1\t2\t3\tb\tu", "no head" },
		{ "antispam-queue\t0\t2\t3\tb\tu", "another version" },
		{ "antispam-queue\t2\t2\t3\tb\tu", "another version" },
		{ "antispam-queue\t1\t\t3\tb\tu", "its time" },
		{ "antispam-queue\t1\t-2\t3\tb\tu", "its time" },
		{ "antispam-queue\t1\t2\t-3\tb\tu", "its time" },
		{ "antispam-queue\t1\t2\t3x\tb\tu", "its time" },
		{ "antispam-queue\t1\t 2\t3\tb\tu", "its time" },
		{ "antispam-queue\t1\t9223372036854775807\t3\tb\tu",
		  "its time" },
		{ "antispam-queue\t1\t2\t9223372036854775808\tb\tu",
		  "its time" },
		{ "antispam-queue\t1\t2\t99999999999999999999999\tb\tu",
		  "its time" },
		{ "antispam-queue\t1\t2\t3\tb\t", "no user" },
	};
	struct antispam_queue_head head;
	const char *error;
	unsigned int i;

	test_begin("queue job: heads that are none");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		error = NULL;
		test_assert_idx(antispam_queue_head_parse(rows[i].line, &head,
							  &error) < 0,
				i);
		test_assert_idx(error != NULL &&
					strstr(error, rows[i].error) != NULL,
				i);
	}
	test_end();
}

static void
check_job(const struct antispam_queue_job *job, unsigned int i)
{
	struct antispam_queue_job read_job;
	string_t *str = t_str_new(512);
	const char *error;

	antispam_queue_job_write(str, job);
	if (antispam_queue_job_parse(one_line(str, i), &read_job,
				     &error) < 0) {
		test_assert_idx(FALSE, i);
		return;
	}
	test_assert_idx(read_job.spam == job->spam, i);
	test_assert_idx(read_job.has_message == job->has_message, i);
	test_assert_idx(read_job.change.from == job->change.from, i);
	test_assert_idx(read_job.change.to == job->change.to, i);
	test_assert_idx(read_job.change.append == job->change.append, i);
	test_assert_strcmp_idx(read_job.file, job->file, i);
	test_assert_idx(read_job.offset == job->offset, i);
	test_assert_idx(read_job.size == job->size, i);
	test_assert_strcmp_idx(read_job.guid, job->guid, i);
	test_assert_strcmp_idx(read_job.signature, job->signature, i);
	test_assert_strcmp_idx(read_job.folder, job->folder, i);
	test_assert_strcmp_idx(read_job.origin, job->origin, i);
}

static void test_job(void)
{
	const char *const all = all_bytes();
	const struct antispam_queue_job jobs[] = {
		{ TRUE, TRUE, TO_SPAM, "m0", 0, 10, "g", NULL, "SPAM", "UID 1" },
		{ FALSE, TRUE, TO_HAM, NULL, 1, 2, NULL, "1,abc", "INBOX", "" },
		{ FALSE, FALSE, TO_HAM, NULL, 0, 0, "g", "s", "INBOX", "" },
		{ TRUE, TRUE, APPEND, NULL, 0, 0, NULL, NULL, "", "APPEND" },
		{ TRUE, TRUE, TO_SPAM, "m1", BIG, BIG, "-", ".", "", "" },
		{ TRUE, TRUE, TO_SPAM, "m1", 7, 8, "a\tb", "\n", "\001b", "\r" },
		{ TRUE, TRUE, TO_SPAM, "m1", 7, 8, all, all, all, all },
	};
	struct antispam_queue_job job = jobs[0];
	unsigned int i;

	test_begin("queue job: jobs");
	for (i = 0; i < N_ELEMENTS(jobs); i++)
		check_job(&jobs[i], i);
	for (i = 0; i < ANTISPAM_CLASS_COUNT * ANTISPAM_CLASS_COUNT; i++) {
		job.change.from = i / ANTISPAM_CLASS_COUNT;
		job.change.to = i % ANTISPAM_CLASS_COUNT;
		check_job(&job, i);
	}
	test_end();
}

static void test_job_malformed(void)
{
	static const struct {
		const char *line, *error;
	} rows[] = {
		{ "", "no job" },
		{ "job", "no job" },
		{ "job\tspam\tother\tspam\t.\t0\t1\tg\ts\tf", "no job" },
		{ "job\tspam\tother\tspam\t.\t0\t1\tg\ts\tf\to\t", "no job" },
		{ "Job\tspam\tother\tspam\t.\t0\t1\tg\ts\tf\to", "no job" },
		{ "\tspam\tother\tspam\t.\t0\t1\tg\ts\tf\to", "no job" },
		{ "job\tSpam\tother\tspam\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\t\tother\tspam\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\thamster\tother\tspam\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\tspam\t\tspam\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\tspam\tothers\tspam\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\tspam\tother\tappend\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\tspam\tother\t\t.\t0\t1\tg\ts\tf\to", "neither" },
		{ "job\tspam\tother\tspam\t\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t..\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\tm/1\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t/m\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t-m\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\tm.1\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t\001t\t0\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t.\t\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t.\t-1\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t.\t0\t\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t.\t0\t1 \tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t-\tx\t1\tg\ts\tf\to", "nowhere" },
		{ "job\tspam\tother\tspam\t.\t0\t18446744073709551615\tg\ts\tf"
		  "\to",
		  "nowhere" },
		{ "job\tspam\tother\tspam\t.\t9223372036854775807\t1\tg\ts\tf"
		  "\to",
		  "nowhere" },
	};
	struct antispam_queue_job job;
	const char *error;
	unsigned int i;

	test_begin("queue job: jobs that are none");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		error = NULL;
		test_assert_idx(antispam_queue_job_parse(rows[i].line, &job,
							 &error) < 0,
				i);
		test_assert_idx(error != NULL &&
					strstr(error, rows[i].error) != NULL,
				i);
	}
	test_end();
}

static void test_file_names(void)
{
	static const struct {
		const char *name;
		bool valid;
	} rows[] = {
		{ "m0", TRUE },
		{ "m4294967295", TRUE },
		{ "A", TRUE },
		{ "12345678901234567890123456789012", TRUE },
		{ "123456789012345678901234567890123", FALSE },
		{ "", FALSE },
		{ ".", FALSE },
		{ "..", FALSE },
		{ "a/b", FALSE },
		{ "/", FALSE },
		{ "state.new", FALSE },
		{ "m 0", FALSE },
		{ "m0\n", FALSE },
		{ "m\xc3\xb6", FALSE },
	};
	unsigned int i;

	test_begin("queue job: names of files");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_assert_idx(antispam_queue_file_is_valid(rows[i].name) ==
					rows[i].valid,
				i);
	}
	test_end();
}

static void test_end_line(void)
{
	static const struct antispam_queue_end ends[] = {
		{ 0, 1, 0 },
		{ 123456, 1000, 0xdeadbeef },
		{ INT64_MAX / 4, ANTISPAM_QUEUE_JOBS_MAX, UINT32_MAX },
	};
	struct antispam_queue_end end;
	string_t *str = t_str_new(64);
	const char *error;
	unsigned int i;

	test_begin("queue job: ends");
	for (i = 0; i < N_ELEMENTS(ends); i++) {
		str_truncate(str, 0);
		antispam_queue_end_write(str, &ends[i]);
		test_assert_idx(str_len(str) == ANTISPAM_QUEUE_END_SIZE, i);
		test_assert_idx(antispam_queue_end_parse(one_line(str, i),
							 &end, &error) == 0,
				i);
		test_assert_idx(end.offset == ends[i].offset, i);
		test_assert_idx(end.count == ends[i].count, i);
		test_assert_idx(end.crc == ends[i].crc, i);
	}
	test_end();
}

static void test_end_malformed(void)
{
	static const struct {
		const char *line, *error;
	} rows[] = {
		{ "", "never finished" },
		{ "end", "never finished" },
		{ "end\t00000000000000000000\t0000000001\t0000000",
		  "never finished" },
		{ "end\t00000000000000000000\t0000000001\t000000000",
		  "never finished" },
		{ "END\t00000000000000000000\t0000000001\t00000000",
		  "never finished" },
		{ "end\t0000000000000000000x\t0000000001\t00000000",
		  "never finished" },
		{ "end\t00000000000000000000\t00000000x1\t00000000",
		  "never finished" },
		{ "end\t00000000000000000000\t0000000001\t0000000g",
		  "never finished" },
		{ "end\t0000000000000000000\t\t00000000010\t0000000",
		  "never finished" },
		{ "end\t99999999999999999999\t0000000001\t00000000",
		  "never finished" },
		{ "end\t00000000000000000000\t9999999999\t00000000",
		  "never finished" },
		{ "end\t00000000000000000000\t0000000000\t00000000",
		  "impossible" },
		{ "end\t00000000000000000000\t0001000001\t00000000",
		  "impossible" },
		{ "end\t09223372036854775807\t0000000001\t00000000",
		  "impossible" },
	};
	struct antispam_queue_end end;
	const char *error;
	unsigned int i;

	test_begin("queue job: ends that are none");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		error = NULL;
		test_assert_idx(antispam_queue_end_parse(rows[i].line, &end,
							 &error) < 0,
				i);
		test_assert_idx(error != NULL &&
					strstr(error, rows[i].error) != NULL,
				i);
	}
	test_end();
}

static void test_age(void)
{
	static const struct {
		struct antispam_queue_head head, now;
		int64_t age;
	} tests[] = {
		{ { "u", 100, 10, "a" }, { NULL, 900, 15, "a" }, 5 },
		/* the clock was set back */
		{ { "u", 900, 10, "a" }, { NULL, 100, 15, "a" }, 5 },
		{ { "u", 100, 10, "a" }, { NULL, 900, 15, "b" }, 800 },
		{ { "u", 900, 10, "a" }, { NULL, 100, 15, "b" }, -800 },
		/* nobody knows of a boot */
		{ { "u", 100, 10, "" }, { NULL, 900, 15, "" }, 800 },
	};
	unsigned int i;

	test_begin("queue job: age");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(antispam_queue_head_age(&tests[i].head,
							&tests[i].now) ==
					tests[i].age,
				i);
	}
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_head,
		test_head_malformed,
		test_job,
		test_job_malformed,
		test_file_names,
		test_end_line,
		test_end_malformed,
		test_age,
		NULL
	};

	return test_run(tests);
}
