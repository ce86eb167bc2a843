/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Writes transactions of the queue. A full disk, or a queue that is not there,
   is the caller's to report: nothing is logged here. A process that dies in
   between leaves a hidden directory whose lock is gone: whoever reads the queue
   takes it for released if its job file is complete, and for rubbish if not. */

/* O_PATH, AT_SYMLINK_FOLLOW */
#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "crc32.h"
#include "randgen.h"
#include "str.h"
#include "write-full.h"
#include "eacces-error.h"
#include "antispam-job.h"
#include "antispam-store.h"
#include "antispam-queue-dir.h"
#include "antispam-queue-job.h"
#include "antispam-queue.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Links that are remembered, for messages that share a file. */
#define QUEUE_LINKS_REMEMBERED 64

struct queue_link {
	dev_t dev;
	ino_t ino;
	unsigned int number;
};

struct antispam_queue {
	char *dir, *username;
	/* Hidden. */
	char *name;
	/* Of the queue, of the transaction, of its job file. */
	int queue_fd, dir_fd, jobs_fd;

	struct antispam_store *store;
	/* The jobs' lines. last_len: without the last one, whose message
	   begins at last_offset of the store. */
	string_t *lines;
	size_t last_len;
	uoff_t last_offset;
	unsigned int count;

	/* Names given to links; the last of them. */
	unsigned int links;
	ARRAY(struct queue_link) recent;
	/* Why there can be none. */
	char *link_error;
};

static int64_t clock_usecs(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The kernel's name for this boot, static; "" = it has none. */
static const char *boot_id(void)
{
	static char id[64];
	ssize_t ret;
	int fd;

	if (id[0] != '\0')
		return id;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return id;
	ret = read(fd, id, sizeof(id) - 1);
	i_close_fd(&fd);
	id[ret < 0 ? 0 : ret] = '\0';
	id[strcspn(id, "\n")] = '\0';
	return id;
}

void antispam_queue_now(struct antispam_queue_head *head_r)
{
	head_r->wall_usecs = clock_usecs(CLOCK_REALTIME);
	head_r->boot_usecs = clock_usecs(CLOCK_BOOTTIME);
	head_r->boot_id = boot_id();
}

static const char *make_name(void)
{
	const int64_t usecs = clock_usecs(CLOCK_REALTIME);

	return t_strdup_printf("%s%010" PRId64 ".%06" PRId64 ".%ld.%08x",
			       ANTISPAM_QUEUE_PREFIX_HIDDEN, usecs / 1000000,
			       usecs % 1000000, (long)getpid(),
			       i_rand());
}

/* Returns -1 and *error_r. */
static int
queue_error(const struct antispam_queue *queue, const char *function,
	    const char *path, const char **error_r)
{
	path = *path == '\0' ? queue->dir :
			       t_strdup_printf("%s/%s", queue->dir, path);
	*error_r = errno == EACCES ?
		eacces_error_get_creating(function, path) :
		t_strdup_printf("%s(%s) failed: %m", function, path);
	return -1;
}

static int
queue_open(struct antispam_queue *queue, bool *missing_r, const char **error_r)
{
	int ret;

	ret = antispam_queue_dir_open(queue->dir, geteuid(), &queue->queue_fd,
				      error_r);
	if (ret > 0)
		return 0;
	if (ret == 0) {
		*missing_r = TRUE;
		*error_r = t_strdup_printf(
			"antispam_queue_dir = %s: there is no such directory; "
			"%s",
			queue->dir,
			antispam_queue_dir_remedies(queue->dir, geteuid()));
	}
	return -1;
}

static int queue_make(struct antispam_queue *queue, const char **error_r)
{
	const char *file;
	int store_fd;

	if (mkdirat(queue->queue_fd, queue->name, 0700) < 0)
		return queue_error(queue, "mkdir", queue->name, error_r);
	queue->dir_fd = openat(queue->queue_fd, queue->name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (queue->dir_fd == -1)
		return queue_error(queue, "open", queue->name, error_r);
	file = t_strconcat(queue->name, "/" ANTISPAM_QUEUE_JOBS_FILE, NULL);
	queue->jobs_fd = openat(queue->dir_fd, ANTISPAM_QUEUE_JOBS_FILE,
				O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (queue->jobs_fd == -1)
		return queue_error(queue, "creat", file, error_r);
	/* A reader may look whether it is locked; that takes no time. */
	if (flock(queue->jobs_fd, LOCK_EX) < 0)
		return queue_error(queue, "flock", file, error_r);
	store_fd = fcntl(queue->jobs_fd, F_DUPFD_CLOEXEC, 0);
	if (store_fd == -1)
		return queue_error(queue, "fcntl", file, error_r);
	queue->store = antispam_store_create_fd(
		store_fd, t_strconcat(queue->dir, "/", file, NULL));
	return 0;
}

static void queue_free(struct antispam_queue **_queue)
{
	struct antispam_queue *queue = *_queue;

	*_queue = NULL;
	antispam_store_destroy(&queue->store);
	/* the store has a descriptor of the lock, too: the last one that is
	   closed releases it */
	i_close_fd(&queue->jobs_fd);
	i_close_fd(&queue->dir_fd);
	i_close_fd(&queue->queue_fd);
	str_free(&queue->lines);
	array_free(&queue->recent);
	i_free(queue->link_error);
	i_free(queue->username);
	i_free(queue->name);
	i_free(queue->dir);
	i_free(queue);
}

struct antispam_queue *antispam_queue_begin(const char *dir,
					    const char *username,
					    bool *missing_r,
					    const char **error_r)
{
	struct antispam_queue *queue = i_new(struct antispam_queue, 1);

	*missing_r = FALSE;
	queue->dir = i_strdup(dir);
	queue->username = i_strdup(username);
	queue->name = i_strdup(make_name());
	queue->queue_fd = queue->dir_fd = queue->jobs_fd = -1;
	queue->lines = str_new(default_pool, 512);
	i_array_init(&queue->recent, QUEUE_LINKS_REMEMBERED);
	if (queue_open(queue, missing_r, error_r) < 0) {
		queue_free(&queue);
		return NULL;
	}
	if (queue_make(queue, error_r) < 0) {
		antispam_queue_rollback(&queue);
		return NULL;
	}
	return queue;
}

struct antispam_store *antispam_queue_store(struct antispam_queue *queue)
{
	return queue->store;
}

unsigned int antispam_queue_count(const struct antispam_queue *queue)
{
	return queue->count;
}

const char *antispam_queue_link_error(const struct antispam_queue *queue)
{
	return queue->link_error;
}

static void
queue_add_line(struct antispam_queue *queue, const struct antispam_job *job,
	       bool has_message, const char *file, uoff_t offset, uoff_t size)
{
	const struct antispam_queue_job line = {
		.spam = job->spam,
		.has_message = has_message,
		.change = job->change,
		.file = file,
		.offset = offset,
		.size = size,
		.guid = job->guid,
		.signature = job->signature,
		.folder = job->folder,
		.origin = job->origin,
	};

	queue->last_len = str_len(queue->lines);
	queue->last_offset = has_message && file == NULL ?
		offset :
		antispam_store_size(queue->store);
	antispam_queue_job_write(queue->lines, &line);
	queue->count++;
}

void antispam_queue_add(struct antispam_queue *queue,
			const struct antispam_job *job, bool has_message)
{
	queue_add_line(queue, job, has_message, NULL, job->offset, job->size);
}

static const char *link_name(unsigned int number)
{
	return t_strdup_printf("m%u", number);
}

/* The number of the link that this file has already. Only messages of files
   that hold many share one. */
static bool
link_find(const struct antispam_queue *queue, const struct antispam_place *place,
	  unsigned int *number_r)
{
	const struct queue_link *link;

	if (place->size == place->file_size)
		return FALSE;
	array_foreach(&queue->recent, link) {
		if (link->dev == place->dev && link->ino == place->ino) {
			*number_r = link->number;
			return TRUE;
		}
	}
	return FALSE;
}

static void
link_remember(struct antispam_queue *queue, const struct antispam_place *place)
{
	const struct queue_link link = {
		.dev = place->dev,
		.ino = place->ino,
		.number = queue->links,
	};

	if (array_count(&queue->recent) < QUEUE_LINKS_REMEMBERED)
		array_push_back(&queue->recent, &link);
	else {
		array_idx_set(&queue->recent,
			      queue->links % QUEUE_LINKS_REMEMBERED, &link);
	}
}

static bool
link_make(struct antispam_queue *queue, const struct antispam_place *place)
{
	const char *from = place->path, *to = link_name(queue->links);
	int flags = 0;

	if (place->fd != -1) {
		/* the path of an open file may lead elsewhere by now */
		from = t_strdup_printf("/proc/self/fd/%d", place->fd);
		flags = AT_SYMLINK_FOLLOW;
	}
	if (linkat(AT_FDCWD, from, queue->dir_fd, to, flags) == 0)
		return TRUE;
	/* the file has too many links, or is gone: another one may do */
	if (errno != EMLINK && errno != ENOENT)
		queue->link_error = i_strdup_printf("link() failed: %m");
	return FALSE;
}

bool antispam_queue_link(struct antispam_queue *queue,
			 const struct antispam_job *job)
{
	const struct antispam_place *place = job->place;
	unsigned int number;

	if (queue->link_error != NULL)
		return FALSE;
	if (!link_find(queue, place, &number)) {
		if (!link_make(queue, place))
			return FALSE;
		link_remember(queue, place);
		number = queue->links++;
	}
	queue_add_line(queue, job, TRUE, link_name(number), place->offset,
		       place->size);
	return TRUE;
}

void antispam_queue_drop_last(struct antispam_queue *queue)
{
	i_assert(queue->count > 0);

	/* what was linked stays until all of it goes */
	str_truncate(queue->lines, queue->last_len);
	antispam_store_truncate(queue->store, queue->last_offset);
	queue->count--;
}

/* Write head, lines and end behind the messages. */
static int queue_write_jobs(struct antispam_queue *queue, const char **error_r)
{
	const uoff_t offset = antispam_store_size(queue->store);
	struct antispam_queue_head head = { .username = queue->username };
	struct antispam_queue_end end = {
		.offset = offset,
		.count = queue->count,
	};
	string_t *head_line = t_str_new(128), *end_line = t_str_new(64);

	antispam_queue_now(&head);
	antispam_queue_head_write(head_line, &head);
	end.crc = crc32_data(str_data(head_line), str_len(head_line));
	end.crc = crc32_data_more(end.crc, str_data(queue->lines),
				  str_len(queue->lines));
	antispam_queue_end_write(end_line, &end);

	if (antispam_store_flush(queue->store, error_r) < 0)
		return -1;
	str_insert(queue->lines, 0, str_c(head_line));
	str_append_str(queue->lines, end_line);
	if (ftruncate(queue->jobs_fd, offset) < 0 ||
	    pwrite_full(queue->jobs_fd, str_data(queue->lines),
			str_len(queue->lines), offset) < 0) {
		return queue_error(queue, "write",
				   t_strconcat(queue->name, "/",
					       ANTISPAM_QUEUE_JOBS_FILE, NULL),
				   error_r);
	}
	return 0;
}

/* The name of the transaction in the queue is on the disk as soon as the
   directory itself is: all journaling file systems of Linux see to that. We
   could not sync the queue where users may not read it (1733). */
static int queue_sync(struct antispam_queue *queue, const char **error_r)
{
	if (fsync(queue->jobs_fd) < 0 || fsync(queue->dir_fd) < 0)
		return queue_error(queue, "fsync", queue->name, error_r);
	return 0;
}

int antispam_queue_prepare(struct antispam_queue *queue,
			   enum fsync_mode fsync_mode, const char **error_r)
{
	if (queue->count > ANTISPAM_QUEUE_JOBS_MAX) {
		/* nobody would read it */
		*error_r = t_strdup_printf("they are more than %u at a time",
					   ANTISPAM_QUEUE_JOBS_MAX);
		return -1;
	}
	if (queue_write_jobs(queue, error_r) < 0)
		return -1;
	if (fsync_mode == FSYNC_MODE_NEVER)
		return 0;
	return queue_sync(queue, error_r);
}

const char *antispam_queue_commit(struct antispam_queue **_queue)
{
	struct antispam_queue *queue = *_queue;
	const char *name = t_strdup(queue->name + 1);

	if (renameat(queue->queue_fd, queue->name, queue->queue_fd, name) < 0)
		name = t_strdup(queue->name);
	queue_free(_queue);
	return name;
}

void antispam_queue_rollback(struct antispam_queue **_queue)
{
	struct antispam_queue *queue = *_queue;
	unsigned int i;

	if (queue == NULL)
		return;
	if (queue->dir_fd != -1) {
		/* first what makes it a transaction: if we die now, nobody
		   takes the rest for one */
		(void)unlinkat(queue->dir_fd, ANTISPAM_QUEUE_JOBS_FILE, 0);
		for (i = 0; i < queue->links; i++) {
			T_BEGIN {
				(void)unlinkat(queue->dir_fd, link_name(i), 0);
			} T_END;
		}
	}
	(void)unlinkat(queue->queue_fd, queue->name, AT_REMOVEDIR);
	queue_free(_queue);
}
