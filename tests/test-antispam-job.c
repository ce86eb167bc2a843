/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "test-common.h"
#include "antispam-job.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

static const struct antispam_job job_template = {
	.spam = TRUE,
	.folder = "SPAM",
	.origin = "UID 1 of INBOX",
};

static int
add(struct antispam_job_list *list, const void *data, size_t size,
    uoff_t max_size, const char **error_r)
{
	struct istream *input = i_stream_create_from_data(data, size);
	int ret;

	ret = antispam_job_list_add(list, &job_template, input, max_size,
				    error_r);
	i_stream_unref(&input);
	return ret;
}

static bool
job_is(struct antispam_job_list *list, unsigned int idx, const void *data,
       size_t size)
{
	struct antispam_job *job = antispam_job_list_get(list, idx);
	buffer_t *buf = t_buffer_create(1024);
	const unsigned char *read_data;
	size_t read_size;
	bool equal;

	antispam_job_list_open(list, job);
	while (i_stream_read_more(job->message, &read_data, &read_size) > 0) {
		buffer_append(buf, read_data, read_size);
		i_stream_skip(job->message, read_size);
	}
	equal = job->message->stream_errno == 0 && job->size == size &&
		buf->used == size && memcmp(buf->data, data, size) == 0;
	antispam_job_list_close(job);
	return equal;
}

static unsigned int fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

#define BYTES(in, out) \
	{ \
		in, sizeof(in) - 1, out, sizeof(out) - 1 \
	}

static void test_from_line(void)
{
	static const struct {
		const char *in;
		size_t in_size;
		const char *out;
		size_t out_size;
	} tests[] = {
		BYTES("", ""),
		BYTES("F", "F"),
		BYTES("From", "From"),
		BYTES("From ", ""),
		BYTES("From me", ""),
		BYTES("From me\n", ""),
		BYTES("From me\nSubject: x\n\nFrom you\n",
		      "Subject: x\n\nFrom you\n"),
		BYTES("From me\r\nSubject: x\r\n", "Subject: x\r\n"),
		BYTES("From: me\n", "From: me\n"),
		BYTES("from me\n", "from me\n"),
		BYTES(" From me\n", " From me\n"),
		BYTES("From me\nFrom you\n", "From you\n"),
		BYTES("a\0b\xff", "a\0b\xff"),
	};
	struct antispam_job_list *list;
	const char *error;
	unsigned int i;

	test_begin("job list: a From_ line is dropped, all else kept");
	list = antispam_job_list_create(".");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(add(list, tests[i].in, tests[i].in_size, 0,
				    &error) == 1,
				i);
	}
	test_assert(antispam_job_list_count(list) == N_ELEMENTS(tests));
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(job_is(list, i, tests[i].out,
				       tests[i].out_size),
				i);
	}
	antispam_job_list_destroy(&list);
	test_assert(list == NULL);
	test_end();
}

static void test_job_facts(void)
{
	struct antispam_job_list *list = antispam_job_list_create(".");
	struct antispam_job src = job_template, *job;
	char folder[] = "SPAM";
	const char *error;

	test_begin("job list: facts are copied");
	src.folder = folder;
	src.signature = "abc";
	src.spam = FALSE;
	test_assert(antispam_job_list_add(list, &src, NULL, 0, &error) == 1);
	folder[0] = 'x';
	job = antispam_job_list_get(list, 0);
	test_assert_strcmp(job->folder, "SPAM");
	test_assert_strcmp(job->signature, "abc");
	test_assert_strcmp(job->origin, "UID 1 of INBOX");
	test_assert(!job->spam && job->message == NULL && job->size == 0);
	antispam_job_list_destroy(&list);
	test_end();
}

/* Sizes around the limit of what is kept in memory. */
static void test_overflow(void)
{
	static const size_t sizes[] = {
		100,
		ANTISPAM_JOB_MEMORY_MAX - 100,
		0,
		1,
		70000,
		1,
		ANTISPAM_JOB_MEMORY_MAX,
		ANTISPAM_JOB_MEMORY_MAX + 1,
		3 * ANTISPAM_JOB_MEMORY_MAX,
		5,
	};
	struct antispam_job_list *list = antispam_job_list_create(".");
	unsigned char *data = i_malloc(4 * ANTISPAM_JOB_MEMORY_MAX);
	unsigned int i, fds = fd_count();
	const char *error;

	test_begin("job list: more than memory holds goes to one file");
	for (i = 0; i < 4 * ANTISPAM_JOB_MEMORY_MAX; i++)
		data[i] = i_rand_limit(256);
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		test_assert_idx(add(list, data + i, sizes[i], 0,
				    &error) == 1,
				i);
		test_assert_idx(antispam_job_list_memory(list) <=
					ANTISPAM_JOB_MEMORY_MAX,
				i);
		test_assert_idx(fd_count() == fds + (i < 3 ? 0 : 1), i);
	}
	for (i = N_ELEMENTS(sizes); i-- > 0;)
		test_assert_idx(job_is(list, i, data + i, sizes[i]), i);
	/* and on after having been read */
	test_assert(add(list, data, 1000, 0, &error) == 1);
	test_assert(job_is(list, N_ELEMENTS(sizes), data, 1000));
	test_assert(job_is(list, 1, data + 1, sizes[1]));

	antispam_job_list_clear(list);
	test_assert(antispam_job_list_count(list) == 0);
	test_assert(antispam_job_list_memory(list) == 0);
	test_assert(fd_count() == fds);
	test_assert(add(list, data, 10, 0, &error) == 1);
	test_assert(job_is(list, 0, data, 10));
	antispam_job_list_destroy(&list);
	test_assert(fd_count() == fds);
	i_free(data);
	test_end();
}

static void test_max_size(void)
{
	struct antispam_job_list *list = antispam_job_list_create(".");
	size_t size = 2 * ANTISPAM_JOB_MEMORY_MAX;
	unsigned char *data = i_malloc(size);
	const char *error, *from;

	test_begin("job list: limit on size");
	test_assert(add(list, "0123456789", 10, 10, &error) == 1);
	test_assert(add(list, "0123456789a", 11, 10, &error) == 0);
	test_assert(add(list, "From me\n0123456789", 18, 10, &error) == 1);
	test_assert(add(list, data, size, 10, &error) == 0);
	/* however long its From_ line is */
	from = t_strdup_printf("From %03000d\n%09500d", 1, 2);
	test_assert(add(list, from, strlen(from), 9000, &error) == 0);
	test_assert(add(list, from, strlen(from), 9499, &error) == 0);
	test_assert(add(list, data, size, size - 1, &error) == 0);
	test_assert(add(list, data, size, size, &error) == 1);
	test_assert(antispam_job_list_count(list) == 3);
	test_assert(job_is(list, 0, "0123456789", 10));
	test_assert(job_is(list, 1, "0123456789", 10));
	test_assert(job_is(list, 2, data, size));
	antispam_job_list_destroy(&list);
	i_free(data);
	test_end();
}

static void test_drop_last(void)
{
	const size_t size = ANTISPAM_JOB_MEMORY_MAX + 17;
	struct antispam_job_list *list = antispam_job_list_create(".");
	unsigned char *data = i_malloc(size);
	const char *error;

	test_begin("job list: the last job is taken back");
	test_assert(add(list, "one", 3, 0, &error) == 1);
	test_assert(add(list, "two", 3, 0, &error) == 1);
	antispam_job_list_drop_last(list);
	test_assert(add(list, data, size, 0, &error) == 1);
	antispam_job_list_drop_last(list);
	test_assert(add(list, "three", 5, 0, &error) == 1);
	test_assert(antispam_job_list_count(list) == 2);
	test_assert(job_is(list, 0, "one", 3));
	test_assert(job_is(list, 1, "three", 5));
	antispam_job_list_drop_last(list);
	antispam_job_list_drop_last(list);
	test_assert(antispam_job_list_count(list) == 0);
	antispam_job_list_destroy(&list);
	i_free(data);
	test_end();
}

static void test_errors(void)
{
	struct antispam_job_list *list =
		antispam_job_list_create("/nonexistent/dir");
	const size_t size = 2 * ANTISPAM_JOB_MEMORY_MAX;
	unsigned char *data = i_malloc(size);
	struct istream *input;
	const char *error = "";

	test_begin("job list: errors");
	test_assert(add(list, "one", 3, 0, &error) == 1);
	test_assert(add(list, data, size, 0, &error) == -1);
	test_assert(strstr(error, "/nonexistent/dir") != NULL);
	test_assert(strstr(error, "No such file") != NULL);
	test_assert(job_is(list, 0, "one", 3));

	input = i_stream_create_error_str(EIO, "broken disk");
	test_assert(antispam_job_list_add(list, &job_template, input, 0,
					  &error) == -1);
	test_assert(strstr(error, "broken disk") != NULL);
	test_assert(input->stream_errno == EIO);
	i_stream_unref(&input);
	test_assert(antispam_job_list_count(list) == 1);
	test_assert(job_is(list, 0, "one", 3));
	antispam_job_list_destroy(&list);
	i_free(data);
	test_end();
}

/* A file that may not grow stands for a full disk. */
static void test_disk_full(void)
{
	struct antispam_job_list *list = antispam_job_list_create(".");
	const size_t size = 4 * ANTISPAM_JOB_MEMORY_MAX;
	unsigned char *data = i_malloc(size);
	struct rlimit old, small;
	const char *error = "";

	test_begin("job list: full disk");
	signal(SIGXFSZ, SIG_IGN);
	test_assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = old;
	small.rlim_cur = ANTISPAM_JOB_MEMORY_MAX + 1000;
	test_assert(add(list, "one", 3, 0, &error) == 1);
	test_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
	test_assert(add(list, data, size, 0, &error) == -1);
	test_assert(strstr(error, "can't write") != NULL);
	test_assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
	test_assert(antispam_job_list_count(list) == 1);
	test_assert(job_is(list, 0, "one", 3));
	test_assert(add(list, data, size, 0, &error) == 1);
	test_assert(job_is(list, 1, data, size));
	antispam_job_list_destroy(&list);
	i_free(data);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_from_line,
		test_job_facts,
		test_overflow,
		test_max_size,
		test_drop_last,
		test_errors,
		test_disk_full,
		NULL
	};

	return test_run(tests);
}
