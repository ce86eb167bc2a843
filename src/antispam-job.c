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
#define JOB_READ_SIZE (8 * 1024)
/* A From_ line does not count against a limit of size: so many bytes beyond it
   nothing more is worth keeping. */
#define JOB_FROM_LINE_MAX 1024

struct antispam_job_list {
	pool_t pool;
	char *tmpdir;
	ARRAY_TYPE(antispam_job) jobs;

	/* Store: bytes [0, file_size) are in the file, [file_size, file_size +
	   buf->used) in the buffer. fd is -1 as long as there is no file. */
	int fd;
	uoff_t file_size;
	buffer_t *buf;

	/* The message that was begun: where it starts, how much of it there
	   is, kept or not, and why it can't be kept. */
	uoff_t begun, begun_size, max_size;
	char *begun_error;
	/* Not all of it was kept, since it is far too big. */
	bool begun_cut;
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
	i_free(list->begun_error);
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
store_write(struct antispam_job_list *list, const unsigned char *data,
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

/* Read what lies at offset, up to size bytes, without waiting for more. Returns
   how much there is; 0 also if the file can't be read. */
static size_t
store_peek(const struct antispam_job_list *list, uoff_t offset, void *data,
	   size_t size)
{
	size_t skip;
	ssize_t ret;

	if (offset < list->file_size) {
		size = I_MIN(size, list->file_size - offset);
		ret = pread(list->fd, data, size, offset);
		return ret < 0 ? 0 : ret;
	}
	skip = I_MIN(offset - list->file_size, list->buf->used);
	size = I_MIN(size, list->buf->used - skip);
	memcpy(data, CONST_PTR_OFFSET(list->buf->data, skip), size);
	return size;
}

/* Does the store hold these bytes at offset? */
static bool
store_begins(const struct antispam_job_list *list, uoff_t offset,
	     const char *text)
{
	char c;

	for (; *text != '\0'; text++, offset++) {
		if (store_peek(list, offset, &c, 1) == 0 || c != *text)
			return FALSE;
	}
	return TRUE;
}

/* Where the message at offset begins, without a first line that begins with
   "From ": that is mbox's own, and no filter should see it. */
static uoff_t
skip_from_line(const struct antispam_job_list *list, uoff_t offset)
{
	char data[256];
	const char *lf;
	size_t size;

	if (!store_begins(list, offset, "From "))
		return offset;
	while ((size = store_peek(list, offset, data, sizeof(data))) > 0) {
		lf = memchr(data, '\n', size);
		if (lf != NULL)
			return offset + (lf - data) + 1;
		offset += size;
	}
	return offset;
}

void antispam_job_list_begin(struct antispam_job_list *list, uoff_t max_size)
{
	i_free(list->begun_error);
	list->begun = store_size(list);
	list->begun_size = 0;
	list->begun_cut = FALSE;
	list->max_size = max_size;
}

void antispam_job_list_append(struct antispam_job_list *list, const void *data,
			      size_t size)
{
	const char *error;

	list->begun_size += size;
	if (list->max_size > 0 &&
	    list->begun_size > list->max_size + JOB_FROM_LINE_MAX)
		list->begun_cut = TRUE;
	if (list->begun_error != NULL || list->begun_cut)
		return;
	T_BEGIN {
		if (store_write(list, data, size, &error) < 0)
			list->begun_error = i_strdup(error);
	} T_END;
}

void antispam_job_list_cancel(struct antispam_job_list *list)
{
	i_free(list->begun_error);
	store_truncate(list, list->begun);
}

static void
list_push(struct antispam_job_list *list, const struct antispam_job *src,
	  uoff_t offset)
{
	struct antispam_job *job = array_append_space(&list->jobs);

	job->spam = src->spam;
	job->folder = p_strdup(list->pool, src->folder);
	job->origin = p_strdup(list->pool, src->origin);
	job->signature = p_strdup(list->pool, src->signature);
	job->offset = offset;
	job->size = store_size(list) - offset;
}

int antispam_job_list_finish(struct antispam_job_list *list,
			     const struct antispam_job *job,
			     const char **error_r)
{
	uoff_t offset, size;

	if (list->begun_error != NULL) {
		*error_r = t_strdup(list->begun_error);
		antispam_job_list_cancel(list);
		return -1;
	}
	offset = skip_from_line(list, list->begun);
	size = list->begun_size - (offset - list->begun);
	if (list->begun_cut || (list->max_size > 0 && size > list->max_size)) {
		antispam_job_list_cancel(list);
		return 0;
	}
	list_push(list, job, offset);
	return 1;
}

int antispam_job_list_add(struct antispam_job_list *list,
			  const struct antispam_job *job,
			  struct istream *input, uoff_t max_size,
			  const char **error_r)
{
	const unsigned char *data;
	size_t size;

	antispam_job_list_begin(list, max_size);
	if (input == NULL)
		return antispam_job_list_finish(list, job, error_r);

	while (!list->begun_cut &&
	       i_stream_read_more(input, &data, &size) > 0) {
		antispam_job_list_append(list, data, size);
		i_stream_skip(input, size);
	}
	if (input->stream_errno != 0) {
		*error_r = t_strdup_printf("can't read the message: %s",
					   i_stream_get_error(input));
		antispam_job_list_cancel(list);
		return -1;
	}
	return antispam_job_list_finish(list, job, error_r);
}

void antispam_job_list_drop_last(struct antispam_job_list *list)
{
	const unsigned int last = array_count(&list->jobs) - 1;
	const struct antispam_job *job = array_idx(&list->jobs, last);

	store_truncate(list, job->offset);
	array_delete(&list->jobs, last, 1);
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
