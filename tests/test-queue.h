#ifndef TEST_QUEUE_H
#define TEST_QUEUE_H

/* A queue of the test's own, for those who write into it and who read it.
   It wants _GNU_SOURCE. Include it after lib.h, once. */

#include "array.h"
#include "buffer.h"
#include "crc32.h"
#include "istream.h"
#include "str.h"
#include "write-full.h"
#include "test-common.h"
#include "antispam-job.h"
#include "antispam-store.h"
#include "antispam-queue.h"
#include "antispam-queue-entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Users that no system has a name for. Tests run as the first one, if they are
   started by root: root has no mail. */
#define QUEUE_TEST_UID 987001
#define QUEUE_TEST_OTHER_UID 987002

static char queue_test_dir[PATH_MAX];
static int queue_test_fd = -1;
static bool queue_test_root;

/* Become the user for some calls. What the kernel lets a user know of itself
   must not depend on what he was before. */
static inline void queue_test_user(void)
{
	if (queue_test_root &&
	    (setresgid(QUEUE_TEST_UID, QUEUE_TEST_UID, 0) < 0 ||
	     setresuid(QUEUE_TEST_UID, QUEUE_TEST_UID, 0) < 0 ||
	     prctl(PR_SET_DUMPABLE, 1) < 0))
		i_fatal("can't become a user: %m");
}

/* Become root. Returns FALSE if that is impossible. */
static inline bool queue_test_become_root(void)
{
	return queue_test_root &&
		setresuid(0, 0, 0) == 0 && setresgid(0, 0, 0) == 0;
}

/* Make the queue in the current directory. */
static inline void queue_test_init(void)
{
	char cwd[PATH_MAX - 10];

	queue_test_root = geteuid() == 0;
	if (getcwd(cwd, sizeof(cwd)) == NULL ||
	    (queue_test_root &&
	     chown(cwd, QUEUE_TEST_UID, QUEUE_TEST_UID) < 0))
		i_fatal("can't use the current directory: %m");
	queue_test_user();
	(void)snprintf(queue_test_dir, sizeof(queue_test_dir), "%s/queue", cwd);
	if (mkdir(queue_test_dir, 0700) < 0)
		i_fatal("mkdir(%s) failed: %m", queue_test_dir);
	queue_test_fd = open(queue_test_dir, O_PATH | O_CLOEXEC);
}

/* Each test leaves it empty. */
static inline void queue_test_deinit(void)
{
	i_close_fd(&queue_test_fd);
	(void)rmdir(queue_test_dir);
}

/* The name of something in the queue. Data stack. */
static inline const char *queue_test_path(const char *name)
{
	return t_strconcat(queue_test_dir, "/", name, NULL);
}

/* A long text. Data stack. */
static inline const char *queue_test_text(size_t size)
{
	char *text = t_malloc_no0(size + 1);

	memset(text, 'x', size);
	text[size] = '\0';
	return text;
}

static inline void queue_test_write(const char *path, const void *data,
				    size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || write_full(fd, data, size) < 0 || close(fd) < 0)
		i_fatal("can't write %s: %m", path);
}

/* What a directory holds, in order. Data stack. */
static inline const char *queue_test_list(const char *path)
{
	ARRAY_TYPE(const_string) names;
	const struct dirent *d;
	const char *name;
	DIR *dir = opendir(path);

	t_array_init(&names, 8);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		name = t_strdup(d->d_name);
		array_push_back(&names, &name);
	}
	if (dir == NULL || closedir(dir) < 0)
		return "(none)";
	array_sort(&names, i_strcmp_p);
	array_append_zero(&names);
	return t_strarray_join(array_front(&names), " ");
}

/* Nothing is in the queue. */
static inline bool queue_test_is_empty(void)
{
	return *queue_test_list(queue_test_dir) == '\0';
}

static inline unsigned int queue_test_fds(void)
{
	return str_array_length(
		t_strsplit(queue_test_list("/proc/self/fd"), " "));
}

/* Writing */

static inline struct antispam_queue *queue_test_begin(const char *username)
{
	struct antispam_queue *queue;
	const char *error;
	bool missing;

	queue = antispam_queue_begin(queue_test_dir, username, &missing,
				     &error);
	if (queue == NULL)
		i_fatal("antispam_queue_begin() failed: %s", error);
	return queue;
}

static inline struct antispam_job
queue_test_job(bool spam, const char *guid, const char *signature)
{
	const struct antispam_job job = {
		.spam = spam,
		.change = {
			.from = spam ? ANTISPAM_CLASS_OTHER :
				       ANTISPAM_CLASS_SPAM,
			.to = spam ? ANTISPAM_CLASS_SPAM :
				     ANTISPAM_CLASS_OTHER,
		},
		.folder = spam ? "SPAM" : "INBOX",
		.origin = "UID 1 of somewhere",
		.guid = guid,
		.signature = signature,
	};

	return job;
}

/* As antispam_store_add(). */
static inline int
queue_test_copy(struct antispam_queue *queue, const struct antispam_job *src,
		const void *data, size_t size)
{
	struct istream *input = i_stream_create_from_data(data, size);
	struct antispam_job job = *src;
	const char *error;
	int ret;

	ret = antispam_store_add(antispam_queue_store(queue), input, 0,
				 &job.offset, &job.size, &error);
	i_stream_unref(&input);
	if (ret > 0)
		antispam_queue_add(queue, &job, TRUE);
	return ret;
}

/* As antispam_queue_link(), for a part of a file. */
static inline bool
queue_test_link_fd(struct antispam_queue *queue, const struct antispam_job *src,
		   int fd, uoff_t offset, uoff_t size)
{
	struct antispam_job job = *src;
	struct antispam_place place = {
		.fd = fd,
		.offset = offset,
		.size = size,
	};
	struct stat st;

	if (fstat(fd, &st) < 0)
		i_fatal("fstat() failed: %m");
	place.dev = st.st_dev;
	place.ino = st.st_ino;
	place.file_size = st.st_size;
	job.place = &place;
	return antispam_queue_link(queue, &job);
}

/* All of a file. */
static inline bool
queue_test_link(struct antispam_queue *queue, const struct antispam_job *job,
		const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool linked;

	if (fd == -1 || fstat(fd, &st) < 0)
		i_fatal("open(%s) failed: %m", path);
	linked = queue_test_link_fd(queue, job, fd, 0, st.st_size);
	i_close_fd(&fd);
	return linked;
}

/* Prepare and commit. Returns the name of the transaction. */
static inline const char *queue_test_release(struct antispam_queue **queue)
{
	const char *error;

	if (antispam_queue_prepare(*queue, FSYNC_MODE_NEVER, &error) < 0)
		i_fatal("antispam_queue_prepare() failed: %s", error);
	return antispam_queue_commit(queue);
}

/* Reading */

struct queue_test_reader {
	struct antispam_queue_entry entry;
	struct antispam_queue_head head;
	pool_t pool;
	ARRAY(struct antispam_queue_job) jobs;
};

static inline void
queue_test_read_job(unsigned int idx, const struct antispam_queue_job *job,
		    void *context)
{
	struct queue_test_reader *reader = context;
	struct antispam_queue_job *copy = array_append_space(&reader->jobs);

	test_assert(idx == array_count(&reader->jobs) - 1);
	*copy = *job;
	copy->file = p_strdup(reader->pool, job->file);
	copy->guid = p_strdup(reader->pool, job->guid);
	copy->signature = p_strdup(reader->pool, job->signature);
	copy->folder = p_strdup(reader->pool, job->folder);
	copy->origin = p_strdup(reader->pool, job->origin);
}

static inline void queue_test_close(struct queue_test_reader *reader)
{
	antispam_queue_entry_close(&reader->entry);
	pool_unref(&reader->pool);
}

/* Open a transaction and read its jobs. Returns FALSE with nothing open. */
static inline bool
queue_test_read(struct queue_test_reader *reader, const char *name,
		const char **error_r)
{
	if (antispam_queue_entry_open(queue_test_fd, name, &reader->entry,
				      error_r) != ANTISPAM_QUEUE_FOUND)
		return FALSE;
	reader->pool = pool_alloconly_create("test reader", 1024);
	p_array_init(&reader->jobs, reader->pool, 16);
	if (antispam_queue_entry_read(&reader->entry, &reader->head,
				      queue_test_read_job, reader,
				      error_r) == 0)
		return TRUE;
	queue_test_close(reader);
	return FALSE;
}

/* The message of the job at idx. NULL and *error_r; *path_r as of the entry.
   Data stack. */
static inline const buffer_t *
queue_test_message(struct queue_test_reader *reader, unsigned int idx,
		   const char **path_r, const char **error_r)
{
	const struct antispam_queue_job *job = array_idx(&reader->jobs, idx);
	buffer_t *buf = t_buffer_create(1024);
	struct istream *input;
	const unsigned char *data;
	size_t size;

	if (antispam_queue_entry_message(&reader->entry, job, &input, path_r,
					 error_r) <= 0)
		return NULL;
	while (i_stream_read_more(input, &data, &size) > 0) {
		buffer_append(buf, data, size);
		i_stream_skip(input, size);
	}
	test_assert_idx(input->stream_errno == 0, idx);
	i_stream_unref(&input);
	return buf;
}

/* The message is this; path: its file is all of it. */
static inline bool
queue_test_has(struct queue_test_reader *reader, unsigned int idx,
	       const void *data, size_t size, bool path)
{
	const char *found_path, *error;
	const buffer_t *buf =
		queue_test_message(reader, idx, &found_path, &error);

	return buf != NULL && buf->used == size &&
		memcmp(buf->data, data, size) == 0 &&
		(found_path != NULL) == path;
}

/* Transactions as anybody may write them */

#define TX_HEAD "antispam-queue\t1\t1700000000000000\t5\tboot\tuser\n"
#define TX_JOB "job\tspam\tother\tspam\t.\t0\t4\tg\t\tSPAM\tUID 1\n"
#define TX_JOB_LINK "job\tspam\tother\tspam\tm0\t0\t4\tg\t\tSPAM\tUID 1\n"

/* A name below a transaction. */
static inline const char *tx_path(const char *tx, const char *name)
{
	return t_strconcat(queue_test_path(tx), "/", name, NULL);
}

static inline void tx_mkdir(const char *tx)
{
	if (mkdir(queue_test_path(tx), 0700) < 0)
		i_fatal("mkdir(%s) failed: %m", tx);
}

/* The job file: a message "copy", these lines, and an end that says so. Data
   stack. */
static inline string_t *tx_jobs_text(const char *lines, unsigned int count)
{
	string_t *str = t_str_new(1024);
	const struct antispam_queue_end end = {
		.offset = 4,
		.count = count,
		.crc = crc32_data(lines, strlen(lines)),
	};

	str_append(str, "copy");
	str_append(str, lines);
	antispam_queue_end_write(str, &end);
	return str;
}

static inline void
tx_write_jobs(const char *tx, const char *lines, unsigned int count)
{
	const string_t *str = tx_jobs_text(lines, count);

	queue_test_write(tx_path(tx, "jobs"), str_data(str), str_len(str));
}

/* A whole transaction of two jobs, and a link to a message "link". */
static inline void tx_make(const char *tx)
{
	tx_mkdir(tx);
	tx_write_jobs(tx, TX_HEAD TX_JOB TX_JOB_LINK, 2);
	queue_test_write(tx_path(tx, "m0"), "link", 4);
}

static inline void tx_remove(const char *tx)
{
	(void)chmod(queue_test_path(tx), 0700);
	test_assert(antispam_queue_entry_remove(queue_test_fd, tx, 100));
	test_assert(queue_test_is_empty());
}

/* The transaction can't be opened; why is a part of the reason. */
static inline void
tx_check_open(const char *tx, enum antispam_queue_found wanted, const char *why)
{
	const unsigned int fds = queue_test_fds();
	struct antispam_queue_entry entry;
	enum antispam_queue_found found;
	const char *error = "";

	found = antispam_queue_entry_open(queue_test_fd, tx, &entry, &error);
	test_assert_idx(found == wanted, wanted);
	if (found == ANTISPAM_QUEUE_FOUND)
		antispam_queue_entry_close(&entry);
	else if (strstr(error, why) == NULL)
		test_assert_strcmp(error, why);
	test_assert(entry.dir_fd == -1 && entry.jobs_fd == -1);
	test_assert(queue_test_fds() == fds);
}


#endif
