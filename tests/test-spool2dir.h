#ifndef TEST_SPOOL2DIR_H
#define TEST_SPOOL2DIR_H

/* What the tests of spool2dir share: a directory, the backend on it, and what
   lies there afterwards. The clock and the calls that bring files to the disk
   are replaced, to count them and to let them fail. Include it after lib.h,
   once, with _GNU_SOURCE. */

#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "lib-event.h"
#include "sort.h"
#include "unlink-directory.h"
#include "write-full.h"
#include "test-common.h"
#include "antispam-backend.h"
#include "antispam-job.h"
#include "antispam-settings.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The second that time() tells at first, as "%lu". */
#define CLOCK "1700000000"

extern const struct antispam_backend antispam_backend_spool2dir;
static const struct antispam_backend *const backend =
	&antispam_backend_spool2dir;

static time_t clock_secs;
static unsigned int fsync_calls, syncfs_calls;
/* errno to fail with, 0 = none. */
static int fsync_error, syncfs_error, renameat2_error;

/* The directory of the running test. */
static char *root;
static pool_t pool;
static struct event *event;

time_t time(time_t *time_r)
{
	if (time_r != NULL)
		*time_r = clock_secs;
	return clock_secs;
}

static inline int sync_call(unsigned int *calls, int error, long number, int fd)
{
	*calls += 1;
	if (error != 0) {
		errno = error;
		return -1;
	}
	return syscall(number, fd);
}

int fsync(int fd)
{
	return sync_call(&fsync_calls, fsync_error, SYS_fsync, fd);
}

int syncfs(int fd)
{
	return sync_call(&syncfs_calls, syncfs_error, SYS_syncfs, fd);
}

int renameat2(int old_dir, const char *old, int new_dir, const char *new,
	      unsigned int flags)
{
	if (renameat2_error != 0) {
		errno = renameat2_error;
		return -1;
	}
	return syscall(SYS_renameat2, old_dir, old, new_dir, new, flags);
}

static inline const char *path_of(const char *name)
{
	return t_strconcat(root, "/", name, NULL);
}

static inline void make_dir(const char *name, mode_t mode)
{
	if (mkdir(path_of(name), 0700) < 0 || chmod(path_of(name), mode) < 0)
		i_fatal("mkdir(%s) failed: %m", path_of(name));
}

static inline void begin(const char *name)
{
	char template[] = "/dev/shm/test-spool2dir.XXXXXX";
	char other_template[] = "/tmp/test-spool2dir.XXXXXX";
	const char *dir = mkdtemp(template);

	if (dir == NULL && (dir = mkdtemp(other_template)) == NULL)
		i_fatal("mkdtemp(%s) failed: %m", other_template);
	root = i_strdup(dir);
	if (chmod(root, 0755) < 0)
		i_fatal("chmod(%s) failed: %m", root);
	clock_secs = 1700000000;
	fsync_calls = syncfs_calls = 0;
	fsync_error = syncfs_error = renameat2_error = 0;
	pool = pool_alloconly_create("test", 1024);
	event = event_create(NULL);
	test_begin(t_strconcat("spool2dir: ", name, NULL));
	make_dir("spam", 0700);
	make_dir("ham", 0700);
}

static inline void end(void)
{
	const char *error;

	if (unlink_directory(root, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("unlink_directory() failed: %s", error);
	event_unref(&event);
	pool_unref(&pool);
	i_free(root);
	test_end();
}

static inline int
try_init(const char *spam, const char *notspam, void **ctx_r,
	 const char **warning_r, const char **error_r)
{
	struct antispam_settings *set =
		p_new(pool, struct antispam_settings, 1);

	set->spool2dir_spam = p_strdup(pool, spam);
	set->spool2dir_notspam = p_strdup(pool, notspam);
	*warning_r = *error_r = NULL;
	return backend->init(pool, set, ctx_r, warning_r, error_r);
}

/* A context like that of another user or process. Templates are names below
   the test's directory. */
static inline void *init_with(const char *spam, const char *notspam)
{
	const char *warning, *error;
	void *ctx;

	if (try_init(path_of(spam), path_of(notspam), &ctx, &warning,
		     &error) < 0)
		i_fatal("init() failed: %s", error);
	return ctx;
}

static inline void *init(void)
{
	return init_with("spam/%lu-%lu-s", "ham/%lu-%lu-h");
}

static inline void
learn_batch(void *ctx, void **undo, bool spam, struct istream *const *inputs,
	    unsigned int count, bool stop_on_failure, enum fsync_mode mode,
	    struct antispam_outcome *outcomes)
{
	struct antispam_job *jobs = t_new(struct antispam_job, count + 1);
	struct antispam_job **job_list =
		t_new(struct antispam_job *, count + 1);
	struct antispam_batch batch = {
		.event = event,
		.fsync_mode = mode,
		.jobs = job_list,
		.count = count,
		.stop_on_failure = stop_on_failure,
		.outcomes = outcomes,
	};
	unsigned int i;

	for (i = 0; i < count; i++) {
		jobs[i].spam = spam;
		jobs[i].folder = spam ? "SPAM" : "INBOX";
		jobs[i].message = inputs[i];
		job_list[i] = &jobs[i];
	}
	/* all must be set */
	memset(outcomes, 0xff, sizeof(*outcomes) * count);
	backend->learn(ctx, &batch, undo);
}

static inline struct antispam_outcome
learn_stream(void *ctx, void **undo, bool spam, struct istream *input)
{
	struct antispam_outcome outcome;

	learn_batch(ctx, undo, spam, &input, 1, TRUE, FSYNC_MODE_OPTIMIZED,
		    &outcome);
	return outcome;
}

static inline struct antispam_outcome
learn(void *ctx, void **undo, bool spam, const char *text)
{
	struct istream *input =
		i_stream_create_from_data(text, strlen(text));
	struct antispam_outcome outcome =
		learn_stream(ctx, undo, spam, input);

	i_stream_unref(&input);
	return outcome;
}

static inline bool learned(struct antispam_outcome outcome)
{
	return outcome.result == ANTISPAM_LEARNED && !outcome.skipped &&
		outcome.why == NULL;
}

static inline bool later(struct antispam_outcome outcome, const char *why)
{
	return outcome.result == ANTISPAM_LATER && !outcome.skipped &&
		strstr(outcome.why, why) != NULL;
}

static inline bool skipped(struct antispam_outcome outcome)
{
	return outcome.result == ANTISPAM_LATER && outcome.skipped &&
		outcome.why != NULL;
}

static inline unsigned int commit(void *ctx, void **undo)
{
	const char *error = NULL;
	unsigned int lost;

	test_assert(backend->prepare(ctx, undo, &error) == 0);
	lost = backend->commit(ctx, undo, &error);
	test_assert(*undo == NULL);
	test_assert((lost == 0) == (error == NULL));
	return lost;
}

/* The names in a directory, sorted, "a b c". */
static inline const char *list(const char *name)
{
	ARRAY_TYPE(const_string) names;
	struct dirent *d;
	DIR *dir = opendir(path_of(name));
	const char *entry;

	if (dir == NULL)
		i_fatal("opendir(%s) failed: %m", path_of(name));
	t_array_init(&names, 16);
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		entry = t_strdup(d->d_name);
		array_push_back(&names, &entry);
	}
	(void)closedir(dir);
	array_sort(&names, i_strcmp_p);
	array_append_zero(&names);
	return t_strarray_join(array_front(&names), " ");
}

static inline unsigned int count_files(const char *name)
{
	return str_array_length(t_strsplit(list(name), " "));
}

static inline buffer_t *contents(const char *name)
{
	buffer_t *buf = t_buffer_create(1024);
	int fd = open(path_of(name), O_RDONLY | O_NOFOLLOW);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) < 0 ||
	    read(fd, buffer_append_space_unsafe(buf, st.st_size), st.st_size) !=
		    (ssize_t)st.st_size)
		i_fatal("read(%s) failed: %m", path_of(name));
	i_close_fd(&fd);
	return buf;
}

static inline bool has(const char *name, const char *text)
{
	buffer_t *buf = contents(name);

	return buf->used == strlen(text) &&
		memcmp(buf->data, text, buf->used) == 0;
}

static inline void put(const char *name, const char *text)
{
	int fd = open(path_of(name), O_CREAT | O_WRONLY | O_TRUNC, 0600);

	if (fd == -1 || write_full(fd, text, strlen(text)) < 0)
		i_fatal("write(%s) failed: %m", path_of(name));
	i_close_fd(&fd);
}

static inline unsigned int open_fds(void)
{
	struct dirent *d;
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] != '.')
			count++;
	}
	(void)closedir(dir);
	return count - 1;
}

#endif
