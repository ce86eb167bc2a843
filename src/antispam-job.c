/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The messages of a transaction lie one behind the other in one store: its
   first bytes in a temporary file, the rest in a buffer. The file is made when
   the buffer is full for the first time. A full disk is an error of the job
   that was being added; what was added before stays whole. */

/* for O_TMPFILE */
#define _GNU_SOURCE

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "safe-mkstemp.h"
#include "write-full.h"
#include "antispam-job.h"

#include <fcntl.h>
#include <unistd.h>

/* Read this much at a time from the temporary file. */
#define JOB_READ_SIZE (16 * 1024)

struct antispam_job_list {
	pool_t pool;
	char *tmpdir;
	ARRAY_TYPE(antispam_job) jobs;
	unsigned int next_idx;

	/* Store: bytes [0, file_size) are in the file, [file_size, file_size +
	   buf->used) in the buffer. fd is -1 as long as there is no file. */
	int fd;
	uoff_t file_size;
	buffer_t *buf;
};

struct antispam_job_list *antispam_job_list_create(const char *tmpdir)
{
	struct antispam_job_list *list;

	list = i_new(struct antispam_job_list, 1);
	list->pool = pool_alloconly_create("antispam jobs", 1024);
	list->tmpdir = i_strdup(tmpdir);
	list->fd = -1;
	i_array_init(&list->jobs, 16);
	list->buf = buffer_create_dynamic(default_pool, 8192);
	return list;
}

void antispam_job_list_destroy(struct antispam_job_list **_list)
{
	struct antispam_job_list *list = *_list;

	if (list == NULL)
		return;
	*_list = NULL;
	i_close_fd(&list->fd);
	buffer_free(&list->buf);
	array_free(&list->jobs);
	pool_unref(&list->pool);
	i_free(list->tmpdir);
	i_free(list);
}

/* Returns a file that has no name any more, or -1 and *error_r. */
static int store_file_create(const char *tmpdir, const char **error_r)
{
	string_t *path;
	int fd;

	fd = open(tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* not every file system has O_TMPFILE */
	path = t_str_new(128);
	str_printfa(path, "%s/antispam-", tmpdir);
	fd = safe_mkstemp(path, 0600, (uid_t)-1, (gid_t)-1);
	if (fd == -1) {
		*error_r = t_strdup_printf(
			"can't create a temporary file in %s: %m", tmpdir);
		return -1;
	}
	i_unlink(str_c(path));
	fd_close_on_exec(fd, TRUE);
	return fd;
}

/* Move the buffer's contents to the end of the file. */
static int
store_flush(struct antispam_job_list *list, const char **error_r)
{
	if (list->fd == -1)
		list->fd = store_file_create(list->tmpdir, error_r);
	if (list->fd == -1)
		return -1;
	if (pwrite_full(list->fd, list->buf->data, list->buf->used,
			list->file_size) < 0) {
		*error_r = t_strdup_printf(
			"can't write to a temporary file in %s: %m",
			list->tmpdir);
		return -1;
	}
	list->file_size += list->buf->used;
	buffer_set_used_size(list->buf, 0);
	return 0;
}

static uoff_t store_size(const struct antispam_job_list *list)
{
	return list->file_size + list->buf->used;
}

static void store_truncate(struct antispam_job_list *list, uoff_t size)
{
	if (size >= list->file_size) {
		buffer_set_used_size(list->buf, size - list->file_size);
		return;
	}
	/* what lies behind size in the file will be written over */
	buffer_set_used_size(list->buf, 0);
	list->file_size = size;
}

static int
store_append(struct antispam_job_list *list, const unsigned char *data,
	     size_t size, const char **error_r)
{
	size_t room;

	while (size > 0) {
		if (list->buf->used == ANTISPAM_JOB_MEMORY_MAX &&
		    store_flush(list, error_r) < 0)
			return -1;
		room = I_MIN(size, ANTISPAM_JOB_MEMORY_MAX - list->buf->used);
		buffer_append(list->buf, data, room);
		data += room;
		size -= room;
	}
	return 0;
}

/* Skip a first line that begins with "From ": mbox's own, which no filter
   should see. */
static void skip_from_line(struct istream *input)
{
	const unsigned char *data, *lf;
	size_t size;

	if (i_stream_read_bytes(input, &data, &size, 5) <= 0 ||
	    memcmp(data, "From ", 5) != 0)
		return;
	while (i_stream_read_more(input, &data, &size) > 0) {
		lf = memchr(data, '\n', size);
		if (lf != NULL)
			size = lf - data + 1;
		i_stream_skip(input, size);
		if (lf != NULL)
			return;
	}
}

static int
store_add(struct antispam_job_list *list, struct istream *input,
	  uoff_t max_size, const char **error_r)
{
	const uoff_t start = store_size(list);
	const unsigned char *data;
	size_t size;

	skip_from_line(input);
	while (i_stream_read_more(input, &data, &size) > 0) {
		if (store_append(list, data, size, error_r) < 0)
			return -1;
		i_stream_skip(input, size);
		if (max_size > 0 && store_size(list) - start > max_size)
			return 0;
	}
	if (input->stream_errno != 0) {
		*error_r = t_strdup_printf("can't read the message: %s",
					   i_stream_get_error(input));
		return -1;
	}
	return 1;
}

int antispam_job_list_add(struct antispam_job_list *list,
			  const struct antispam_job *src,
			  struct istream *input, uoff_t max_size,
			  const char **error_r)
{
	const uoff_t start = store_size(list);
	struct antispam_job *job;
	int ret;

	if (input != NULL) {
		ret = store_add(list, input, max_size, error_r);
		if (ret <= 0) {
			store_truncate(list, start);
			return ret;
		}
	}
	job = array_append_space(&list->jobs);
	job->idx = list->next_idx++;
	job->spam = src->spam;
	job->folder = p_strdup(list->pool, src->folder);
	job->origin = p_strdup(list->pool, src->origin);
	job->signature = p_strdup(list->pool, src->signature);
	job->offset = start;
	job->size = store_size(list) - start;
	return 1;
}

void antispam_job_list_drop_last(struct antispam_job_list *list)
{
	const unsigned int last = array_count(&list->jobs) - 1;
	const struct antispam_job *job = array_idx(&list->jobs, last);

	store_truncate(list, job->offset);
	array_delete(&list->jobs, last, 1);
	list->next_idx--;
}

unsigned int antispam_job_list_count(const struct antispam_job_list *list)
{
	return array_count(&list->jobs);
}

size_t antispam_job_list_memory(const struct antispam_job_list *list)
{
	return list->buf->used;
}

struct antispam_job *
antispam_job_list_get(struct antispam_job_list *list, unsigned int idx)
{
	return array_idx_modifiable(&list->jobs, idx);
}

static struct istream *
job_open_file(const struct antispam_job_list *list,
	      const struct antispam_job *job)
{
	struct istream *file, *range;

	file = i_stream_create_fd(list->fd, JOB_READ_SIZE);
	i_stream_set_init_buffer_size(file, JOB_READ_SIZE);
	range = i_stream_create_range(file, job->offset, job->size);
	i_stream_unref(&file);
	return range;
}

static struct istream *
job_open(struct antispam_job_list *list, const struct antispam_job *job)
{
	const char *error;

	if (list->fd == -1) {
		return i_stream_create_from_data(
			CONST_PTR_OFFSET(list->buf->data, job->offset),
			job->size);
	}
	/* one message may lie in both: bring all of it together */
	if (list->buf->used > 0 && store_flush(list, &error) < 0)
		return i_stream_create_error_str(errno, "%s", error);
	return job_open_file(list, job);
}

void antispam_job_list_open(struct antispam_job_list *list,
			    struct antispam_job *job)
{
	i_assert(job->message == NULL);

	job->message = job_open(list, job);
}

void antispam_job_list_close(struct antispam_job *job)
{
	i_stream_unref(&job->message);
}

void antispam_job_list_clear(struct antispam_job_list *list)
{
	array_clear(&list->jobs);
	p_clear(list->pool);
	store_truncate(list, 0);
	i_close_fd(&list->fd);
}
