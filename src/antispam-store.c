/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The store's first bytes are in a file, the rest in a buffer. The file is made
   when the buffer is full for the first time. A full disk is an error of the
   message that was being added; what was added before stays whole. */

/* for O_TMPFILE */
#define _GNU_SOURCE

#include "lib.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "safe-mkstemp.h"
#include "write-full.h"
#include "antispam-store.h"

#include <fcntl.h>
#include <unistd.h>

/* Read this much at a time from the file. */
#define STORE_READ_SIZE (8 * 1024)
/* A From_ line does not count against a limit of size: so many bytes beyond it
   nothing more is worth keeping. */
#define STORE_FROM_LINE_MAX 1024
/* How a From_ line begins. */
#define STORE_FROM "From "

struct antispam_store {
	/* The one is NULL, the other says where the file is to be made, or
	   what it is called. */
	char *tmpdir, *name;

	/* Bytes [0, file_size) are in the file, [file_size, file_size +
	   buf->used) in the buffer. fd is -1 as long as there is no file. */
	int fd;
	uoff_t file_size;
	buffer_t *buf;

	/* The message that was begun: where it starts, how much of it there
	   is, kept or not, and why it can't be kept. */
	uoff_t begun, begun_size, max_size;
	/* Its first bytes. */
	char begun_head[sizeof(STORE_FROM) - 1];
	char *begun_error;
	/* Not all of it was kept, since it is far too big. */
	bool begun_cut;
};

static struct antispam_store *store_create(void)
{
	struct antispam_store *store;

	store = i_new(struct antispam_store, 1);
	store->fd = -1;
	store->buf = buffer_create_dynamic(default_pool, 8192);
	return store;
}

struct antispam_store *antispam_store_create(const char *tmpdir)
{
	struct antispam_store *store = store_create();

	store->tmpdir = i_strdup(tmpdir);
	return store;
}

struct antispam_store *antispam_store_create_fd(int fd, const char *name)
{
	struct antispam_store *store = store_create();

	store->name = i_strdup(name);
	store->fd = fd;
	return store;
}

void antispam_store_destroy(struct antispam_store **_store)
{
	struct antispam_store *store = *_store;

	if (store == NULL)
		return;
	*_store = NULL;
	i_close_fd(&store->fd);
	buffer_free(&store->buf);
	i_free(store->begun_error);
	i_free(store->tmpdir);
	i_free(store->name);
	i_free(store);
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
int antispam_store_flush(struct antispam_store *store, const char **error_r)
{
	if (store->buf->used == 0)
		return 0;
	if (store->fd == -1)
		store->fd = store_file_create(store->tmpdir, error_r);
	if (store->fd == -1)
		return -1;
	if (pwrite_full(store->fd, store->buf->data, store->buf->used,
			store->file_size) < 0) {
		*error_r = store->name != NULL ?
			t_strdup_printf("can't write to %s: %m", store->name) :
			t_strdup_printf("can't write to a temporary file in "
					"%s: %m",
					store->tmpdir);
		return -1;
	}
	store->file_size += store->buf->used;
	buffer_set_used_size(store->buf, 0);
	return 0;
}

uoff_t antispam_store_size(const struct antispam_store *store)
{
	return store->file_size + store->buf->used;
}

size_t antispam_store_memory(const struct antispam_store *store)
{
	return store->buf->used;
}

void antispam_store_truncate(struct antispam_store *store, uoff_t size)
{
	if (size >= store->file_size) {
		buffer_set_used_size(store->buf, size - store->file_size);
		return;
	}
	/* what lies behind size in the file will be written over */
	buffer_set_used_size(store->buf, 0);
	store->file_size = size;
}

/* Returns how many bytes can be added to the buffer, 0 and *error_r if the file
   can't be written. */
static size_t store_room(struct antispam_store *store, const char **error_r)
{
	if (store->buf->used == ANTISPAM_STORE_MEMORY_MAX &&
	    antispam_store_flush(store, error_r) < 0)
		return 0;
	return ANTISPAM_STORE_MEMORY_MAX - store->buf->used;
}

static int
store_write(struct antispam_store *store, const unsigned char *data,
	    size_t size, const char **error_r)
{
	size_t room;

	while (size > 0) {
		room = I_MIN(size, store_room(store, error_r));
		if (room == 0)
			return -1;
		buffer_append(store->buf, data, room);
		data += room;
		size -= room;
	}
	return 0;
}

/* Read what lies at offset, up to size bytes, without waiting for more. Returns
   how much there is; 0 also if the file can't be read. */
static size_t
store_peek(const struct antispam_store *store, uoff_t offset, void *data,
	   size_t size)
{
	size_t skip;
	ssize_t ret;

	if (offset < store->file_size) {
		size = I_MIN(size, store->file_size - offset);
		ret = pread(store->fd, data, size, offset);
		return ret < 0 ? 0 : ret;
	}
	skip = I_MIN(offset - store->file_size, store->buf->used);
	size = I_MIN(size, store->buf->used - skip);
	memcpy(data, CONST_PTR_OFFSET(store->buf->data, skip), size);
	return size;
}

/* Where the message that was begun begins, without a first line that begins
   with "From ": that is mbox's own, and no filter should see it. */
static uoff_t skip_from_line(const struct antispam_store *store)
{
	uoff_t offset = store->begun;
	char data[256];
	const char *lf;
	size_t size;

	if (store->begun_size < sizeof(store->begun_head) ||
	    memcmp(store->begun_head, STORE_FROM,
		   sizeof(store->begun_head)) != 0)
		return offset;
	while ((size = store_peek(store, offset, data, sizeof(data))) > 0) {
		lf = memchr(data, '\n', size);
		if (lf != NULL)
			return offset + (lf - data) + 1;
		offset += size;
	}
	return offset;
}

void antispam_store_begin(struct antispam_store *store, uoff_t max_size)
{
	i_free(store->begun_error);
	store->begun = antispam_store_size(store);
	store->begun_size = 0;
	store->begun_cut = FALSE;
	store->max_size = max_size;
}

/* Note that the message goes on with these bytes. Returns FALSE if they are not
   to be kept. */
static bool
store_continue(struct antispam_store *store, const void *data, size_t size)
{
	size_t have = I_MIN(store->begun_size, sizeof(store->begun_head));

	memcpy(store->begun_head + have, data,
	       I_MIN(size, sizeof(store->begun_head) - have));
	store->begun_size += size;
	if (store->max_size > 0 &&
	    store->begun_size > store->max_size + STORE_FROM_LINE_MAX)
		store->begun_cut = TRUE;
	return store->begun_error == NULL && !store->begun_cut;
}

void antispam_store_append(struct antispam_store *store, const void *data,
			   size_t size)
{
	const char *error;

	if (!store_continue(store, data, size))
		return;
	T_BEGIN {
		if (store_write(store, data, size, &error) < 0)
			store->begun_error = i_strdup(error);
	} T_END;
}

/* The same for what can be read from fd. Returns the number of bytes. */
static ssize_t
store_append_fd(struct antispam_store *store, int fd, uoff_t offset,
		size_t size)
{
	const size_t used = store->buf->used;
	void *data;
	ssize_t ret;

	data = buffer_append_space_unsafe(store->buf, size);
	ret = pread(fd, data, size, offset);
	if (ret > 0 && !store_continue(store, data, ret))
		buffer_set_used_size(store->buf, used);
	else
		buffer_set_used_size(store->buf, used + I_MAX(ret, 0));
	return ret;
}

void antispam_store_cancel(struct antispam_store *store)
{
	i_free(store->begun_error);
	antispam_store_truncate(store, store->begun);
}

int antispam_store_finish(struct antispam_store *store, uoff_t *offset_r,
			  uoff_t *size_r, const char **error_r)
{
	if (store->begun_error != NULL) {
		*error_r = t_strdup(store->begun_error);
		antispam_store_cancel(store);
		return -1;
	}
	*offset_r = skip_from_line(store);
	*size_r = store->begun_size - (*offset_r - store->begun);
	if (store->begun_cut ||
	    (store->max_size > 0 && *size_r > store->max_size)) {
		antispam_store_cancel(store);
		return 0;
	}
	return 1;
}

int antispam_store_add(struct antispam_store *store, struct istream *input,
		       uoff_t max_size, uoff_t *offset_r, uoff_t *size_r,
		       const char **error_r)
{
	const unsigned char *data;
	size_t size;

	antispam_store_begin(store, max_size);
	while (!store->begun_cut &&
	       i_stream_read_more(input, &data, &size) > 0) {
		antispam_store_append(store, data, size);
		i_stream_skip(input, size);
	}
	if (input->stream_errno != 0) {
		*error_r = t_strdup_printf("can't read the message: %s",
					   i_stream_get_error(input));
		antispam_store_cancel(store);
		return -1;
	}
	return antispam_store_finish(store, offset_r, size_r, error_r);
}

int antispam_store_add_fd(struct antispam_store *store, int fd, uoff_t offset,
			  uoff_t size, uoff_t *offset_r, uoff_t *size_r,
			  const char **error_r)
{
	const uoff_t end = offset + size;
	ssize_t ret;
	size_t room;

	antispam_store_begin(store, 0);
	for (; offset < end; offset += ret) {
		room = store_room(store, error_r);
		ret = room == 0 ? -1 :
				  store_append_fd(store, fd, offset,
						  I_MIN(room, end - offset));
		if (ret <= 0) {
			antispam_store_cancel(store);
			return room == 0 ? -1 : 0;
		}
	}
	return antispam_store_finish(store, offset_r, size_r, error_r);
}

void antispam_store_clear(struct antispam_store *store)
{
	antispam_store_truncate(store, 0);
	i_close_fd(&store->fd);
}

struct istream *antispam_store_open(struct antispam_store *store,
				    uoff_t offset, uoff_t size)
{
	struct istream *file, *range;
	const char *error;

	if (store->fd == -1) {
		return i_stream_create_from_data(
			CONST_PTR_OFFSET(store->buf->data, offset), size);
	}
	/* one message may lie in both: bring all of it together */
	if (antispam_store_flush(store, &error) < 0)
		return i_stream_create_error_str(errno, "%s", error);
	file = i_stream_create_fd(store->fd, STORE_READ_SIZE);
	i_stream_set_init_buffer_size(file, STORE_READ_SIZE);
	range = i_stream_create_range(file, offset, size);
	i_stream_unref(&file);
	return range;
}
