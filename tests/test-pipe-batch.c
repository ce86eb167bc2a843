/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "istream.h"
#include "str.h"
#include "strfuncs.h"
#include "test-common.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-settings.h"
#include "pipe-batch.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FROM "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"

static const char *const argv[] = { "/bin/learn", "--spam", NULL };
static char tmpdir[] = "/tmp/antispam-batch.XXXXXX";

static struct antispam_job *job_create(const char *text, size_t size)
{
	struct antispam_job *job = i_new(struct antispam_job, 1);

	job->message = i_stream_create_from_data(text, size);
	return job;
}

static void job_free(struct antispam_job *job)
{
	i_stream_unref(&job->message);
	i_free(job);
}

/* The rest of a stream, "?" if it can't be read. Data stack. */
static const char *read_all(struct istream *input)
{
	string_t *str = t_str_new(256);
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(input, &data, &size) > 0) {
		str_append_data(str, data, size);
		i_stream_skip(input, size);
	}
	return input->stream_errno == 0 ? str_c(str) : "?";
}

static unsigned int tmpdir_count(void)
{
	DIR *dir = opendir(tmpdir);
	unsigned int count = 0;

	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count - 2;
}

static void test_mbox(void)
{
	static const struct {
		const char *message, *mbox;
	} tests[] = {
		{ "", FROM "\n" },
		{ "a\n", FROM "a\n\n" },
		{ "a", FROM "a\n\n" },
		{ "From", FROM "From\n\n" },
		{ "From ", FROM ">From \n\n" },
		{ "From x\n\nFrom y\n", FROM ">From x\n\n>From y\n\n" },
		{ "a\n>From b\nFrom: c\nFro", FROM "a\n>From b\nFrom: c\nFro\n\n" },
		{ "x From y\n\n\nFrom ", FROM "x From y\n\n\n>From \n\n" },
	};
	struct antispam_job *jobs[N_ELEMENTS(tests)];
	struct antispam_run run = { .argv = argv };
	string_t *all = t_str_new(1024);
	struct pipe_batch *batch;
	const char *error;
	unsigned int i;

	test_begin("pipe batch: mbox");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		jobs[i] = job_create(tests[i].message,
				     strlen(tests[i].message));
		batch = antispam_pipe_batch_create(ANTISPAM_PIPE_BATCH_MBOX, tmpdir,
						   &jobs[i], 1, &run, &error);
		test_assert_idx(batch != NULL && run.argv == argv, i);
		test_assert_strcmp_idx(read_all(run.input), tests[i].mbox, i);
		antispam_pipe_batch_destroy(&batch);
		str_append(all, tests[i].mbox);
	}
	batch = antispam_pipe_batch_create(ANTISPAM_PIPE_BATCH_MBOX, tmpdir, jobs,
					   N_ELEMENTS(tests), &run, &error);
	test_assert_strcmp(read_all(run.input), str_c(all));
	test_assert(tmpdir_count() == 0);
	antispam_pipe_batch_destroy(&batch);
	for (i = 0; i < N_ELEMENTS(tests); i++)
		job_free(jobs[i]);
	test_end();
}

/* However the reader cuts the message into pieces. */
static void test_mbox_pieces(void)
{
	static const char *const text = "From a\nbb\nFrom c\nFrom \nFrom";
	static const char *const mbox =
		FROM ">From a\nbb\n>From c\n>From \nFrom\n\n";
	struct antispam_job job, *jobs[] = { &job };
	struct antispam_run run = { .argv = argv };
	struct pipe_batch *batch;
	const char *error;
	unsigned int i;

	test_begin("pipe batch: mbox of a message that is read in pieces");
	for (i = 1; i < 12; i++) {
		i_zero(&job);
		job.message = test_istream_create(text);
		test_istream_set_max_buffer_size(job.message, i + 5);
		test_istream_set_allow_eof(job.message, TRUE);
		batch = antispam_pipe_batch_create(ANTISPAM_PIPE_BATCH_MBOX, tmpdir,
						   jobs, 1, &run, &error);
		test_assert_idx(batch != NULL, i);
		test_assert_strcmp_idx(read_all(run.input), mbox, i);
		antispam_pipe_batch_destroy(&batch);
		i_stream_unref(&job.message);
	}
	test_end();
}

static void test_files(void)
{
	struct antispam_job *jobs[] = {
		job_create("one\n", 4), job_create("", 0),
		job_create("a\0b", 3), job_create("not read", 8)
	};
	struct antispam_run run = { .argv = argv };
	struct pipe_batch *batch;
	struct istream *input;
	const char *error, *path;
	struct stat st;

	test_begin("pipe batch: files");
	jobs[3]->path = "/queue/job/m7";
	batch = antispam_pipe_batch_create(ANTISPAM_PIPE_BATCH_FILES, tmpdir, jobs, 4,
					   &run, &error);
	test_assert(batch != NULL);
	test_assert(str_array_length(run.argv) == 6);
	test_assert_strcmp(run.argv[0], "/bin/learn");
	test_assert_strcmp(run.argv[1], "--spam");
	test_assert_strcmp(run.argv[5], "/queue/job/m7");
	test_assert(run.input == NULL);

	input = i_stream_create_file(run.argv[2], 1024);
	test_assert_strcmp(read_all(input), "one\n");
	i_stream_unref(&input);
	test_assert(stat(run.argv[2], &st) == 0 &&
		    (st.st_mode & 0777) == 0600);
	test_assert(stat(run.argv[3], &st) == 0 && st.st_size == 0);
	test_assert(stat(run.argv[4], &st) == 0 && st.st_size == 3);
	path = t_strdup_until(run.argv[2], strrchr(run.argv[2], '/'));
	test_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
	antispam_pipe_batch_destroy(&batch);
	test_assert(tmpdir_count() == 0);

	/* nothing is written if all have files of their own */
	run.argv = argv;
	batch = antispam_pipe_batch_create(ANTISPAM_PIPE_BATCH_FILES, "/nonexistent",
					   &jobs[3], 1, &run, &error);
	test_assert(batch != NULL && str_array_length(run.argv) == 3);
	antispam_pipe_batch_destroy(&batch);
	job_free(jobs[0]);
	job_free(jobs[1]);
	job_free(jobs[2]);
	job_free(jobs[3]);
	test_end();
}

static void test_errors(void)
{
	static const enum antispam_pipe_batch hows[] = {
		ANTISPAM_PIPE_BATCH_MBOX, ANTISPAM_PIPE_BATCH_FILES
	};
	struct antispam_job job, *jobs[] = { &job };
	struct antispam_run run;
	const char *error;
	unsigned int i;

	test_begin("pipe batch: errors");
	for (i = 0; i < N_ELEMENTS(hows); i++) {
		i_zero(&job);
		i_zero(&run);
		run.argv = argv;
		job.message = i_stream_create_from_data("x", 1);
		test_assert_idx(antispam_pipe_batch_create(hows[i], "/nonexistent",
							   jobs, 1, &run,
							   &error) == NULL,
				i);
		test_assert_idx(strstr(error, "/nonexistent") != NULL, i);
		i_stream_unref(&job.message);

		job.message = i_stream_create_error_str(EIO, "broken disk");
		test_assert_idx(antispam_pipe_batch_create(hows[i], tmpdir, jobs, 1,
							   &run, &error) == NULL,
				i);
		test_assert_idx(strstr(error, "broken disk") != NULL, i);
		test_assert_idx(tmpdir_count() == 0, i);
		i_stream_unref(&job.message);
	}
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_mbox,
		test_mbox_pieces,
		test_files,
		test_errors,
		NULL
	};
	int ret;

	if (mkdtemp(tmpdir) == NULL)
		i_fatal("mkdtemp(%s) failed: %m", tmpdir);
	ret = test_run(tests);
	if (rmdir(tmpdir) < 0)
		i_fatal("rmdir(%s) failed: %m", tmpdir);
	return ret;
}
