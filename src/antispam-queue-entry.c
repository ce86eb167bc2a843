/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Reads what a transaction's writer left, as root or as its user. Nothing is
   followed, no mount point is crossed, nothing is opened that could block. */

/* O_DIRECTORY, renameat2(), syscall() */
#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "crc32.h"
#include "istream.h"
#include "str.h"
#include "strnum.h"
#include "write-full.h"
#include "antispam-compat-lib.h"
#include "antispam-queue.h"
#include "antispam-queue-entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes of lines that are read. */
#define ENTRY_LINES_MAX (512 * 1024 * 1024)
/* No line of a job has fewer bytes: whoever reads makes room for no more jobs
   than there can be. */
#define ENTRY_JOB_LINE_MIN 20
/* Bytes of the state file that are read: a line has little more than the words
   of a filter. */
#define ENTRY_STATE_MAX (16 * 1024 * 1024)
#define ENTRY_MESSAGE_BUFFER_SIZE (8 * 1024)
#define ENTRY_FROM_LINE_BUFFER_SIZE 1024
/* Bytes of a name that are kept behind another prefix; a file's name has room
   for 255. */
#define ENTRY_NAME_REST_MAX 200

bool antispam_queue_name_is_visible(const char *name)
{
	return antispam_compat_begins(name, ANTISPAM_QUEUE_PREFIX_VISIBLE);
}

bool antispam_queue_name_is_hidden(const char *name)
{
	return antispam_compat_begins(name, ANTISPAM_QUEUE_PREFIX_HIDDEN);
}

bool antispam_queue_name_is_failed(const char *name)
{
	return antispam_compat_begins(name, ANTISPAM_QUEUE_PREFIX_FAILED);
}

/* A user may mount a file system of his own on his directory, which would
   answer when it likes. */
static int open_below(int dir_fd, const char *name, int flags)
{
	struct open_how how = {
		.flags = flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			RESOLVE_NO_XDEV,
	};
	int fd;

	fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	if (fd == -1 && (errno == ENOSYS || errno == EPERM)) {
		/* Linux before 5.6, or a sandbox that does not know it */
		fd = openat(dir_fd, name, how.flags);
	}
	return fd;
}

static const char *open_error(const char *function)
{
	return t_strdup_printf("%s failed: %m", function);
}

static enum antispam_queue_found
entry_open_dir(int queue_fd, struct antispam_queue_entry *entry,
	       const char **error_r)
{
	struct stat st;

	entry->dir_fd = open_below(queue_fd, entry->name,
				   O_RDONLY | O_DIRECTORY);
	if (entry->dir_fd == -1) {
		*error_r = open_error("open()");
		if (errno == ENOENT)
			return ANTISPAM_QUEUE_GONE;
		/* these are what we asked not to open */
		return errno == ENOTDIR || errno == ELOOP || errno == EXDEV ?
			ANTISPAM_QUEUE_INVALID :
			ANTISPAM_QUEUE_UNREADABLE;
	}
	if (fstat(entry->dir_fd, &st) < 0) {
		*error_r = open_error("fstat()");
		return ANTISPAM_QUEUE_UNREADABLE;
	}
	entry->uid = st.st_uid;
	if (st.st_uid == 0) {
		*error_r = "it belongs to root, who has no mail";
		return ANTISPAM_QUEUE_INVALID;
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		*error_r = "others than its owner may write to it";
		return ANTISPAM_QUEUE_INVALID;
	}
	return ANTISPAM_QUEUE_FOUND;
}

/* Open a regular file of the transaction's own uid. Returns 1, 0 if it is not
   there or can't be opened, -1 if it is something else; *error_r. */
static int
entry_open_file(const struct antispam_queue_entry *entry, const char *name,
		int *fd_r, struct stat *st_r, const char **error_r)
{
	*fd_r = open_below(entry->dir_fd, name, O_RDONLY);
	if (*fd_r == -1) {
		*error_r = t_strdup_printf("open(%s) failed: %m", name);
		return errno == ELOOP || errno == EXDEV || errno == ENXIO ? -1 :
									    0;
	}
	if (fstat(*fd_r, st_r) < 0) {
		*error_r = t_strdup_printf("fstat(%s) failed: %m", name);
		i_close_fd(fd_r);
		return 0;
	}
	if (!S_ISREG(st_r->st_mode) || st_r->st_uid != entry->uid) {
		*error_r = t_strdup_printf(
			"%s is no regular file of the uid that owns the "
			"directory",
			name);
		i_close_fd(fd_r);
		return -1;
	}
	return 1;
}

/* Read and parse the end of the job file. */
static enum antispam_queue_found
entry_open_end(struct antispam_queue_entry *entry, uoff_t file_size,
	       const char **error_r)
{
	char line[ANTISPAM_QUEUE_END_SIZE];
	uoff_t end_offset;
	ssize_t ret;

	*error_r = "it was never finished";
	if (file_size < sizeof(line))
		return ANTISPAM_QUEUE_UNFINISHED;
	end_offset = file_size - sizeof(line);
	ret = pread(entry->jobs_fd, line, sizeof(line), end_offset);
	if (ret < 0) {
		*error_r = open_error("read(" ANTISPAM_QUEUE_JOBS_FILE ")");
		return ANTISPAM_QUEUE_UNREADABLE;
	}
	if ((size_t)ret != sizeof(line) || line[sizeof(line) - 1] != '\n')
		return ANTISPAM_QUEUE_UNFINISHED;
	line[sizeof(line) - 1] = '\0';
	if (antispam_queue_end_parse(line, &entry->end, error_r) < 0)
		return ANTISPAM_QUEUE_UNFINISHED;
	if (entry->end.offset > end_offset ||
	    end_offset - entry->end.offset > ENTRY_LINES_MAX) {
		*error_r = "its end names an impossible size";
		return ANTISPAM_QUEUE_INVALID;
	}
	entry->lines_size = end_offset - entry->end.offset;
	if (entry->end.count > entry->lines_size / ENTRY_JOB_LINE_MIN) {
		*error_r = "its end names more jobs than it has";
		return ANTISPAM_QUEUE_INVALID;
	}
	return ANTISPAM_QUEUE_FOUND;
}

static enum antispam_queue_found
entry_open_jobs(struct antispam_queue_entry *entry, const char **error_r)
{
	struct stat st;
	int ret;

	ret = entry_open_file(entry, ANTISPAM_QUEUE_JOBS_FILE, &entry->jobs_fd,
			      &st, error_r);
	if (ret < 0)
		return ANTISPAM_QUEUE_INVALID;
	if (ret == 0) {
		return errno == ENOENT ? ANTISPAM_QUEUE_UNFINISHED :
					 ANTISPAM_QUEUE_UNREADABLE;
	}
	return entry_open_end(entry, st.st_size, error_r);
}

enum antispam_queue_found
antispam_queue_entry_open(int queue_fd, const char *name,
			  struct antispam_queue_entry *entry_r,
			  const char **error_r)
{
	enum antispam_queue_found found;

	i_zero(entry_r);
	entry_r->name = name;
	entry_r->dir_fd = entry_r->jobs_fd = -1;
	found = entry_open_dir(queue_fd, entry_r, error_r);
	if (found == ANTISPAM_QUEUE_FOUND)
		found = entry_open_jobs(entry_r, error_r);
	if (found != ANTISPAM_QUEUE_FOUND)
		antispam_queue_entry_close(entry_r);
	return found;
}

void antispam_queue_entry_close(struct antispam_queue_entry *entry)
{
	i_close_fd(&entry->jobs_fd);
	i_close_fd(&entry->dir_fd);
}

bool antispam_queue_entry_lock(struct antispam_queue_entry *entry)
{
	struct stat st;

	if (flock(entry->jobs_fd, LOCK_EX | LOCK_NB) < 0)
		return FALSE;
	/* whoever had the lock may have removed it all */
	return fstat(entry->jobs_fd, &st) == 0 && st.st_nlink > 0;
}

bool antispam_queue_entry_is_locked(int queue_fd, const char *name)
{
	struct antispam_queue_entry entry = {
		.name = name,
		.dir_fd = -1,
		.jobs_fd = -1,
	};
	const char *error;
	struct stat st;
	bool locked;

	locked = entry_open_dir(queue_fd, &entry, &error) ==
			ANTISPAM_QUEUE_FOUND &&
		entry_open_file(&entry, ANTISPAM_QUEUE_JOBS_FILE,
				&entry.jobs_fd, &st, &error) > 0 &&
		flock(entry.jobs_fd, LOCK_EX | LOCK_NB) < 0;
	antispam_queue_entry_close(&entry);
	return locked;
}

struct entry_reader {
	const struct antispam_queue_entry *entry;
	struct istream *input;
	uint32_t crc;
};

/* The next line; NULL and *error_r if there is none. */
static const char *
reader_next(struct entry_reader *reader, const char **error_r)
{
	const char *line = i_stream_read_next_line(reader->input);

	if (line == NULL) {
		*error_r = reader->input->stream_errno == 0 ?
			"it has a line that is too long, or too few lines" :
			t_strdup(i_stream_get_error(reader->input));
		return NULL;
	}
	reader->crc = crc32_str_more(reader->crc, line);
	reader->crc = crc32_data_more(reader->crc, "\n", 1);
	return line;
}

static int
reader_read_jobs(struct entry_reader *reader,
		 antispam_queue_job_callback_t *callback, void *context,
		 const char **error_r)
{
	const unsigned int count = reader->entry->end.count;
	struct antispam_queue_job job;
	const char *line;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count && ret == 0; i++) {
		T_BEGIN {
			line = reader_next(reader, error_r);
			if (line == NULL ||
			    antispam_queue_job_parse(line, &job, error_r) < 0)
				ret = -1;
			else
				callback(i, &job, context);
		}
		T_END_PASS_STR_IF(ret < 0, error_r);
	}
	if (ret < 0)
		return -1;
	if (reader->crc != reader->entry->end.crc) {
		*error_r = "its checksum is wrong";
		return -1;
	}
	return 0;
}

int antispam_queue_entry_read(const struct antispam_queue_entry *entry,
			      struct antispam_queue_head *head_r,
			      antispam_queue_job_callback_t *callback,
			      void *context, const char **error_r)
{
	struct entry_reader reader = { .entry = entry };
	struct istream *file;
	const char *line;
	int ret = -1;

	file = i_stream_create_fd(entry->jobs_fd, ANTISPAM_QUEUE_LINE_MAX);
	reader.input = i_stream_create_range(file, entry->end.offset,
					     entry->lines_size);
	i_stream_unref(&file);
	line = reader_next(&reader, error_r);
	if (line != NULL)
		ret = antispam_queue_head_parse(line, head_r, error_r);
	if (ret == 0)
		ret = reader_read_jobs(&reader, callback, context, error_r);
	i_stream_unref(&reader.input);
	return ret;
}

/* Does a line of the state file name jobs behind those before it, as all that
   we have written do? Others could name all jobs a million times. */
static bool state_line_follows(const char *line, unsigned int *next)
{
	unsigned int first, last;

	if (str_parse_uint(line, &first, &line) < 0 || *line != '\t' ||
	    str_parse_uint(line + 1, &last, &line) < 0 || *line != '\t' ||
	    first < *next || last < first || last == UINT_MAX)
		return FALSE;
	*next = last + 1;
	return TRUE;
}

void antispam_queue_entry_read_state(const struct antispam_queue_entry *entry,
				     pool_t pool,
				     struct antispam_queue_state *states)
{
	struct istream *file, *input;
	const char *line, *error;
	unsigned int next = 0;
	struct stat st;
	int fd;

	if (entry_open_file(entry, ANTISPAM_QUEUE_STATE_FILE, &fd, &st,
			    &error) <= 0)
		return;
	file = i_stream_create_fd_autoclose(&fd, ANTISPAM_QUEUE_LINE_MAX);
	input = i_stream_create_limit(file, ENTRY_STATE_MAX);
	i_stream_unref(&file);
	while ((line = i_stream_read_next_line(input)) != NULL) {
		T_BEGIN {
			if (state_line_follows(line, &next)) {
				(void)antispam_queue_state_parse(
					line, pool, states, entry->end.count);
			}
		} T_END;
	}
	i_stream_unref(&input);
}

int antispam_queue_entry_write_state(const struct antispam_queue_entry *entry,
				     const struct antispam_queue_state *states,
				     const char **error_r)
{
	string_t *str = t_str_new(256);
	int fd, ret;

	antispam_queue_state_write(str, states, entry->end.count);
	(void)unlinkat(entry->dir_fd, ANTISPAM_QUEUE_STATE_NEW, 0);
	fd = openat(entry->dir_fd, ANTISPAM_QUEUE_STATE_NEW,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	ret = fd == -1 ? -1 : write_full(fd, str_data(str), str_len(str));
	if (ret == 0) {
		ret = renameat(entry->dir_fd, ANTISPAM_QUEUE_STATE_NEW,
			       entry->dir_fd, ANTISPAM_QUEUE_STATE_FILE);
	}
	if (ret < 0) {
		*error_r = t_strdup_printf("can't write %s/%s: %m",
					   entry->name,
					   ANTISPAM_QUEUE_STATE_FILE);
	}
	i_close_fd(&fd);
	return ret;
}

/* How many bytes at offset are a From_ line? */
static uoff_t from_line_size(int fd, uoff_t offset, uoff_t size)
{
	char data[ENTRY_FROM_LINE_BUFFER_SIZE];
	const char *lf = NULL;
	uoff_t done = 0;
	ssize_t ret;

	while (lf == NULL && done < size) {
		ret = pread(fd, data, I_MIN(size - done, sizeof(data)),
			    offset + done);
		if (ret <= 0 ||
		    (done == 0 && (ret < 5 || memcmp(data, "From ", 5) != 0)))
			break;
		lf = memchr(data, '\n', ret);
		done += lf == NULL ? ret : lf - data + 1;
	}
	return done;
}

int antispam_queue_entry_message(const struct antispam_queue_entry *entry,
				 const struct antispam_queue_job *job,
				 struct istream **message_r,
				 const char **path_r, const char **error_r)
{
	const char *name = job->file == NULL ? ANTISPAM_QUEUE_JOBS_FILE :
					       job->file;
	uoff_t skip = 0, file_size;
	struct istream *file;
	struct stat st;
	int fd, ret;

	*path_r = NULL;
	ret = entry_open_file(entry, name, &fd, &st, error_r);
	if (ret <= 0)
		return ret == 0 && errno == ENOENT ? -1 : ret;
	file_size = st.st_size;
	if (job->offset > file_size || job->size > file_size - job->offset) {
		*error_r = t_strdup_printf("%s is smaller than it was", name);
		i_close_fd(&fd);
		return -1;
	}
	if (job->file != NULL)
		skip = from_line_size(fd, job->offset, job->size);
	if (job->file != NULL && skip == 0 && job->size == file_size)
		*path_r = t_strconcat(entry->name, "/", job->file, NULL);
	file = i_stream_create_fd_autoclose(&fd, ENTRY_MESSAGE_BUFFER_SIZE);
	*message_r = i_stream_create_range(file, job->offset + skip,
					   job->size - skip);
	i_stream_unref(&file);
	return 1;
}

bool antispam_queue_entry_remove(int queue_fd, const char *name,
				 unsigned int max)
{
	const struct dirent *d;
	unsigned int count = 0;
	DIR *dir = NULL;
	int fd;

	fd = open_below(queue_fd, name, O_RDONLY | O_DIRECTORY);
	if (fd == -1)
		return errno == ENOENT;
	if (unlinkat(fd, ANTISPAM_QUEUE_JOBS_FILE, 0) == 0 ||
	    errno == ENOENT)
		dir = fdopendir(fd);
	if (dir == NULL) {
		i_close_fd(&fd);
		return FALSE;
	}
	while (count < max && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		count++;
		(void)unlinkat(fd, d->d_name, 0);
	}
	(void)closedir(dir);
	return unlinkat(queue_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

const char *antispam_queue_entry_rename(int queue_fd, const char *name,
					const char *prefix)
{
	const char *rest = strstr(name, ANTISPAM_QUEUE_PREFIX_VISIBLE);
	const char *new_name;

	if (rest != NULL)
		rest += strlen(ANTISPAM_QUEUE_PREFIX_VISIBLE);
	else if (antispam_queue_name_is_failed(name))
		rest = name + strlen(ANTISPAM_QUEUE_PREFIX_FAILED);
	else
		rest = name;
	/* ours are shorter, those of others must not be too long */
	rest = t_strndup(rest, ENTRY_NAME_REST_MAX);
	new_name = t_strconcat(prefix, rest, NULL);
	if (renameat2(queue_fd, name, queue_fd, new_name,
		      RENAME_NOREPLACE) == 0)
		return new_name;
	if (errno != EEXIST)
		return NULL;
	/* names are random: this one was made by somebody who plays */
	new_name = t_strdup_printf("%s%s.%08x", prefix, rest, i_rand());
	if (renameat2(queue_fd, name, queue_fd, new_name,
		      RENAME_NOREPLACE) < 0)
		return NULL;
	return new_name;
}
