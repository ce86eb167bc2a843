/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* An mbox changes the messages: a line that begins with "From " gets a '>', or
   it would begin another message. Files do not, and those that the queue has
   are handed over as they are. */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "ostream.h"
#include "str.h"
#include "safe-mkstemp.h"
#include "unlink-directory.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "pipe-batch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nobody looks at it but to see that a message begins. */
#define MBOX_FROM "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
#define READ_SIZE (32 * 1024)

struct pipe_batch {
	/* A directory with files of ours; NULL = there is none. */
	char *dir;
	struct istream *input;
};

static int write_error(struct ostream *output, const char *path,
		       const char **error_r)
{
	*error_r = t_strdup_printf("can't write %s: %s", path,
				   o_stream_get_error(output));
	return -1;
}

/* Where message's reading starts. */
static struct istream *message_begin(const struct antispam_job *job)
{
	i_stream_seek(job->message, 0);
	return job->message;
}

static int message_error(struct istream *message, const char **error_r)
{
	if (message->stream_errno == 0)
		return 0;
	*error_r = t_strdup_printf("can't read the message: %s",
				   i_stream_get_error(message));
	return -1;
}

/* Files */

static int batch_make_dir(struct pipe_batch *batch, const char *tmpdir,
			  const char **error_r)
{
	char *dir;

	if (batch->dir != NULL)
		return 0;
	dir = i_strdup_printf("%s/antispam-XXXXXX", tmpdir);
	if (mkdtemp(dir) == NULL) {
		*error_r = t_strdup_printf(
			"can't create a temporary directory in %s: %m",
			tmpdir);
		i_free(dir);
		return -1;
	}
	batch->dir = dir;
	return 0;
}

static int
write_file(const struct antispam_job *job, const char *path,
	   const char **error_r)
{
	struct istream *message = message_begin(job);
	struct ostream *output;
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		*error_r = t_strdup_printf("open(%s) failed: %m", path);
		return -1;
	}
	output = o_stream_create_fd_file_autoclose(&fd, 0);
	o_stream_nsend_istream(output, message);
	if (o_stream_finish(output) < 0)
		ret = write_error(output, path, error_r);
	o_stream_destroy(&output);
	return ret < 0 ? -1 : message_error(message, error_r);
}

static int batch_add_file(struct pipe_batch *batch, const char *tmpdir,
			  const struct antispam_job *job, unsigned int idx,
			  const char **path_r, const char **error_r)
{
	*path_r = job->path;
	if (*path_r != NULL)
		return 0;
	if (batch_make_dir(batch, tmpdir, error_r) < 0)
		return -1;
	*path_r = t_strdup_printf("%s/%u", batch->dir, idx + 1);
	return write_file(job, *path_r, error_r);
}

static int
batch_add_files(struct pipe_batch *batch, const char *tmpdir,
		struct antispam_job *const *jobs, unsigned int count,
		struct antispam_run *run, const char **error_r)
{
	ARRAY_TYPE(const_string) argv;
	const char *path;
	unsigned int i;

	t_array_init(&argv, count + 16);
	array_append(&argv, run->argv, str_array_length(run->argv));
	for (i = 0; i < count; i++) {
		if (batch_add_file(batch, tmpdir, jobs[i], i, &path,
				   error_r) < 0)
			return -1;
		array_push_back(&argv, &path);
	}
	array_append_zero(&argv);
	run->argv = array_front(&argv);
	return 0;
}

/* Mbox */

/* Write one message, which has no From_ line, as a part of an mbox. */
static void write_mbox_message(struct ostream *output, struct istream *message)
{
	const unsigned char *data;
	bool line_begins = TRUE;
	size_t i, size, start;

	o_stream_nsend_str(output, MBOX_FROM);
	while (i_stream_read_bytes(message, &data, &size, 5) > 0 ||
	       i_stream_get_data_size(message) > 0) {
		data = i_stream_get_data(message, &size);
		/* what begins with it, but is cut off, comes again */
		for (i = start = 0; i < size; i++) {
			if (line_begins && size - i < 5 && !message->eof &&
			    i > 0)
				break;
			if (line_begins && size - i >= 5 &&
			    memcmp(data + i, "From ", 5) == 0) {
				o_stream_nsend(output, data + start, i - start);
				o_stream_nsend(output, ">", 1);
				start = i;
			}
			line_begins = data[i] == '\n';
		}
		o_stream_nsend(output, data + start, i - start);
		i_stream_skip(message, i);
	}
	o_stream_nsend_str(output, line_begins ? "\n" : "\n\n");
}

static int
write_mbox(int fd, const char *path, struct antispam_job *const *jobs,
	   unsigned int count, const char **error_r)
{
	struct ostream *output = o_stream_create_fd_file(fd, 0, FALSE);
	struct istream *message;
	unsigned int i;
	int ret = 0;

	o_stream_cork(output);
	for (i = 0; i < count && ret == 0; i++) {
		message = message_begin(jobs[i]);
		write_mbox_message(output, message);
		ret = message_error(message, error_r);
	}
	if (o_stream_finish(output) < 0 && ret == 0)
		ret = write_error(output, path, error_r);
	o_stream_destroy(&output);
	return ret;
}

static int
batch_add_mbox(struct pipe_batch *batch, const char *tmpdir,
	       struct antispam_job *const *jobs, unsigned int count,
	       struct antispam_run *run, const char **error_r)
{
	string_t *path = t_str_new(128);
	int fd;

	str_printfa(path, "%s/antispam-", tmpdir);
	fd = safe_mkstemp(path, 0600, (uid_t)-1, (gid_t)-1);
	if (fd == -1) {
		*error_r = t_strdup_printf(
			"can't create a temporary file in %s: %m", tmpdir);
		return -1;
	}
	i_unlink(str_c(path));
	fd_close_on_exec(fd, TRUE);
	if (write_mbox(fd, str_c(path), jobs, count, error_r) < 0) {
		i_close_fd(&fd);
		return -1;
	}
	batch->input = i_stream_create_fd_autoclose(&fd, READ_SIZE);
	run->input = batch->input;
	return 0;
}

struct pipe_batch *
antispam_pipe_batch_create(enum antispam_pipe_batch how, const char *tmpdir,
			   struct antispam_job *const *jobs, unsigned int count,
			   struct antispam_run *run, const char **error_r)
{
	struct pipe_batch *batch = i_new(struct pipe_batch, 1);
	int ret = -1;

	switch (how) {
	case ANTISPAM_PIPE_BATCH_NO:
		i_unreached();
	case ANTISPAM_PIPE_BATCH_MBOX:
		ret = batch_add_mbox(batch, tmpdir, jobs, count, run, error_r);
		break;
	case ANTISPAM_PIPE_BATCH_FILES:
		ret = batch_add_files(batch, tmpdir, jobs, count, run,
				      error_r);
		break;
	}
	if (ret < 0)
		antispam_pipe_batch_destroy(&batch);
	return batch;
}

void antispam_pipe_batch_destroy(struct pipe_batch **_batch)
{
	struct pipe_batch *batch = *_batch;
	const char *error;

	*_batch = NULL;
	i_stream_unref(&batch->input);
	if (batch->dir != NULL &&
	    unlink_directory(batch->dir, UNLINK_DIRECTORY_FLAG_RMDIR,
			     &error) < 0) {
		/* the next cleaning of the temporary directory takes it */
	}
	i_free(batch->dir);
	i_free(batch);
}
