/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend spool2dir: each message becomes a file in a directory, for
   whoever watches it. It is written under a hidden name and gets its own by
   rename() after the storage has committed. What can go wrong (a directory
   that is missing, not writable or full) may go right later. */

/* O_PATH, renameat2(), syncfs() */
#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "str.h"
#include "istream.h"
#include "lib-event.h"
#include "write-full.h"
#include "eacces-error.h"
#include "time-util.h"
#include "antispam-backend.h"
#include "antispam-job.h"
#include "antispam-settings.h"
#include "spool2dir-template.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Bytes that one write() should have, if the message has them. */
#define SPOOL2DIR_WRITE_SIZE (32 * 1024)
/* Up to this many files an fsync() of each is cheaper than a syncfs(). */
#define SPOOL2DIR_FSYNC_MAX 2
/* Names in a row that may be taken; at most 32, for their steps double. So it
   is reached only if something is very wrong with the directory. */
#define SPOOL2DIR_PROBES_MAX 32

/* Where messages of one class go. */
struct spool2dir_target {
	const char *setting;
	const struct antispam_spool2dir_template *template;
	/* The name to try next. Only a hint that saves attempts: other
	   processes, and other users here, make names of their own. */
	time_t second;
	uint64_t counter;
};

struct spool2dir_context {
	/* By job->spam. */
	struct spool2dir_target targets[2];
};

/* A target's directory, as one transaction holds it: whatever happens to its
   path meanwhile, all files of the transaction stay together. */
struct spool2dir_dir {
	/* -1 = not open yet. */
	int fd;
	/* For syncfs(): fd itself, or, where users may write but not read
	   (mode 1733), a descriptor of the first file. -1 = none yet. */
	int sync_fd;
	/* Of new files. */
	mode_t mode;
	/* Files of the transaction. */
	unsigned int count;
};

/* A written file; small, since a transaction may have very many. */
struct spool2dir_file {
	time_t second;
	uint64_t counter:63;
	uint64_t spam:1;
};

struct spool2dir_undo {
	/* By job->spam. */
	struct spool2dir_dir dirs[2];
	/* In the order of the lessons. */
	ARRAY(struct spool2dir_file) files;
	/* mail_fsync is not "never". */
	bool sync;
};

static struct spool2dir_undo *spool2dir_undo_create(void)
{
	struct spool2dir_undo *undo = i_new(struct spool2dir_undo, 1);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(undo->dirs); i++)
		undo->dirs[i].fd = undo->dirs[i].sync_fd = -1;
	i_array_init(&undo->files, 8);
	return undo;
}

static void spool2dir_undo_free(void **_undo)
{
	struct spool2dir_undo *undo = *_undo;
	unsigned int i;

	*_undo = NULL;
	for (i = 0; i < N_ELEMENTS(undo->dirs); i++) {
		if (undo->dirs[i].sync_fd != undo->dirs[i].fd)
			i_close_fd(&undo->dirs[i].sync_fd);
		i_close_fd(&undo->dirs[i].fd);
	}
	array_free(&undo->files);
	i_free(undo);
}

/* What an admin can do about an errno; name as in spool2dir_error(). */
static const char *spool2dir_remedy(int error, const char *name)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		if (*name == '\0')
			return "; create the directory, writable for the users";
		return "; it was removed meanwhile, no other program may "
		       "touch the hidden files";
	case EACCES:
	case EPERM:
	case EROFS:
		return "; make the directory writable for the users";
	case ENOSPC:
	case EDQUOT:
		return "; make room on its file system";
	case EEXIST:
		return "; another program took the name without the dot, the "
		       "message is kept under this one";
	default:
		return "";
	}
}

/* A sentence on func() that failed with errno for a name in the target's
   directory, or for the directory itself: "". Data stack. */
static const char *
spool2dir_error(const struct spool2dir_target *target, const char *func,
		const char *name)
{
	int error = errno;
	const char *path = t_strconcat(target->template->dir, "/", name, NULL);
	const char *why;

	errno = error;
	if (error == EACCES)
		why = eacces_error_get_creating(func, path);
	else
		why = t_strdup_printf("%s(%s) failed: %m", func, path);
	return t_strconcat(target->setting, ": ", why,
			   spool2dir_remedy(error, name), NULL);
}

/* Write a file's hidden name to name; behind its dot it is the final one. */
static void
spool2dir_file_name(const struct spool2dir_target *target, time_t second,
		    uint64_t counter, string_t *name)
{
	str_truncate(name, 0);
	str_append_c(name, '.');
	antispam_spool2dir_template_append(name, target->template,
					   (uint64_t)second, counter);
}

static int
spool2dir_dir_open(struct spool2dir_dir *dir,
		   const struct spool2dir_target *target, const char **error_r)
{
	const char *path = target->template->dir;
	struct stat st;

	dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd != -1)
		dir->sync_fd = dir->fd;
	else if (errno == EACCES)
		dir->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd == -1) {
		*error_r = spool2dir_error(target, "open", "");
		return -1;
	}
	if (fstat(dir->fd, &st) < 0) {
		*error_r = spool2dir_error(target, "fstat", "");
		i_close_fd(&dir->fd);
		dir->sync_fd = -1;
		return -1;
	}
	/* Mail is for its user alone, unless the admin has chosen by set-gid a
	   group for all that lies here: a consumer that is another user must
	   get at it. The world never does. */
	dir->mode = (st.st_mode & S_ISGID) != 0 ? 0640 : 0600;
	return 0;
}

/* Take the name unless it is taken. Returns 1 and *fd_r, 0 if it is, -1 with
   errno and *func_r.

   Why the rename() of commit can't overwrite a file: whoever wants a final
   name must first hold its hidden name, which O_EXCL gives to one process at a
   time, and holds it until rename() turns it into the final one. So after we
   got the hidden name, an earlier holder's file is either visible, which the
   check finds, or gone for good; and nobody can add one while we hold it. The
   check alone, or before it, would leave a gap. Against programs that don't
   know these rules, commit uses RENAME_NOREPLACE. */
static int
spool2dir_try_name(int dir_fd, const char *hidden, int *fd_r,
		   const char **func_r)
{
	struct stat st;
	int fd, ret, saved_errno;

	fd = openat(dir_fd, hidden,
		    O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1) {
		*func_r = "openat";
		return errno == EEXIST ? 0 : -1;
	}
	ret = fstatat(dir_fd, hidden + 1, &st, AT_SYMLINK_NOFOLLOW);
	if (ret < 0 && errno == ENOENT) {
		*fd_r = fd;
		return 1;
	}
	saved_errno = errno;
	(void)unlinkat(dir_fd, hidden, 0);
	i_close_fd(&fd);
	errno = saved_errno;
	*func_r = "fstatat";
	return ret == 0 ? 0 : -1;
}

/* Create a hidden file. Returns 0, *fd_r and its name, which the target
   remembers; or -1 and *error_r.

   Counters run from 0 in each second. Beside n names of other processes a new
   one takes O(log n) attempts, for the steps double; at random, since fixed
   ones would meet the others' again and again. */
static int
spool2dir_create(struct spool2dir_target *target, int dir_fd, string_t *name,
		 int *fd_r, const char **error_r)
{
	const char *func;
	time_t now = time(NULL);
	unsigned int i;
	int ret;

	if (target->second != now) {
		target->second = now;
		target->counter = 0;
	}
	for (i = 0; i < SPOOL2DIR_PROBES_MAX; i++) {
		spool2dir_file_name(target, now, target->counter, name);
		ret = spool2dir_try_name(dir_fd, str_c(name), fd_r, &func);
		if (ret > 0)
			return 0;
		if (ret < 0) {
			*error_r = spool2dir_error(target, func, str_c(name));
			return -1;
		}
		target->counter += 1 + i_rand_limit((uint32_t)1 << i);
	}
	*error_r = t_strdup_printf(
		"%s: no free file name in %s, the last one tried is %s",
		target->setting, target->template->dir, str_c(name) + 1);
	return -1;
}

static int
spool2dir_copy(const struct spool2dir_target *target, struct istream *input,
	       int fd, const char *name, const char **error_r)
{
	const unsigned char *data;
	size_t size;

	i_stream_seek(input, 0);
	do {
		/* whatever it returns: EOF and errors come with size 0 in the
		   end, and stay */
		(void)i_stream_read_bytes(input, &data, &size,
					  SPOOL2DIR_WRITE_SIZE);
		if (write_full(fd, data, size) < 0) {
			*error_r = spool2dir_error(target, "write", name);
			return -1;
		}
		i_stream_skip(input, size);
	} while (size > 0);
	if (input->stream_errno != 0) {
		*error_r = t_strconcat("the message could not be read: ",
				       i_stream_get_error(input), NULL);
		return -1;
	}
	return 0;
}

/* Closes fd, whatever happens. */
static int
spool2dir_fill(const struct spool2dir_target *target, struct spool2dir_dir *dir,
	       struct istream *input, int fd, const char *name,
	       const char **error_r)
{
	const char *func = NULL;
	int ret = 0;

	/* open() has left out what umask forbids */
	if (fchmod(fd, dir->mode) < 0)
		func = "fchmod";
	else if (dir->sync_fd == -1 &&
		 (dir->sync_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1)
		func = "fcntl";
	else
		ret = spool2dir_copy(target, input, fd, name, error_r);
	if (func != NULL) {
		*error_r = spool2dir_error(target, func, name);
		ret = -1;
	}
	/* NFS tells of a full disk only here */
	if (close(fd) < 0 && ret == 0) {
		*error_r = spool2dir_error(target, "close", name);
		ret = -1;
	}
	return ret;
}

static int
spool2dir_write(struct spool2dir_context *ctx, struct spool2dir_undo *undo,
		const struct antispam_job *job, string_t *name,
		const char **error_r)
{
	struct spool2dir_target *target = &ctx->targets[job->spam ? 1 : 0];
	struct spool2dir_dir *dir = &undo->dirs[job->spam ? 1 : 0];
	struct spool2dir_file file;
	int fd;

	if (dir->fd == -1 && spool2dir_dir_open(dir, target, error_r) < 0)
		return -1;
	if (spool2dir_create(target, dir->fd, name, &fd, error_r) < 0)
		return -1;
	if (spool2dir_fill(target, dir, job->message, fd, str_c(name),
			   error_r) < 0) {
		(void)unlinkat(dir->fd, str_c(name), 0);
		return -1;
	}
	i_zero(&file);
	file.second = target->second;
	file.counter = target->counter++;
	file.spam = job->spam ? 1 : 0;
	array_push_back(&undo->files, &file);
	dir->count++;
	return 0;
}

static void spool2dir_learn(void *context, const struct antispam_batch *batch,
			    void **_undo)
{
	struct spool2dir_undo *undo = *_undo;
	string_t *name = t_str_new(256);
	bool failed = FALSE;
	unsigned int i;

	if (undo == NULL)
		*_undo = undo = spool2dir_undo_create();
	if (batch->fsync_mode != FSYNC_MODE_NEVER)
		undo->sync = TRUE;

	for (i = 0; i < batch->count; i++) {
		struct antispam_outcome *outcome = &batch->outcomes[i];
		uint64_t start = i_microseconds();

		i_zero(outcome);
		if (failed && batch->stop_on_failure) {
			outcome->result = ANTISPAM_LATER;
			outcome->skipped = TRUE;
			outcome->why = "an earlier message failed";
		} else if (spool2dir_write(context, undo, batch->jobs[i], name,
					   &outcome->why) < 0) {
			outcome->result = ANTISPAM_LATER;
			failed = TRUE;
		} else {
			e_debug(batch->event, "spool2dir: wrote %s",
				str_c(name));
		}
		outcome->duration_msecs = (i_microseconds() - start) / 1000;
	}
}

/* Set target, directory and name of a file. */
static void
spool2dir_file_lookup(struct spool2dir_context *ctx,
		      struct spool2dir_undo *undo,
		      const struct spool2dir_file *file,
		      struct spool2dir_target **target_r,
		      struct spool2dir_dir **dir_r, string_t *name)
{
	*target_r = &ctx->targets[file->spam];
	*dir_r = &undo->dirs[file->spam];
	spool2dir_file_name(*target_r, file->second, file->counter, name);
}

static int
spool2dir_sync_file(struct spool2dir_context *ctx, struct spool2dir_undo *undo,
		    const struct spool2dir_file *file, const char **error_r)
{
	struct spool2dir_target *target;
	struct spool2dir_dir *dir;
	string_t *name = t_str_new(256);
	int fd, ret;

	spool2dir_file_lookup(ctx, undo, file, &target, &dir, name);
	fd = openat(dir->fd, str_c(name), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1) {
		*error_r = spool2dir_error(target, "openat", str_c(name));
		return -1;
	}
	if ((ret = fsync(fd)) < 0)
		*error_r = spool2dir_error(target, "fsync", str_c(name));
	i_close_fd(&fd);
	return ret;
}

static int
spool2dir_prepare(void *context, void **_undo, const char **error_r)
{
	struct spool2dir_context *ctx = context;
	struct spool2dir_undo *undo = *_undo;
	const struct spool2dir_file *file;
	unsigned int i;

	if (!undo->sync)
		return 0;
	if (array_count(&undo->files) <= SPOOL2DIR_FSYNC_MAX) {
		array_foreach(&undo->files, file) {
			if (spool2dir_sync_file(ctx, undo, file, error_r) < 0)
				return -1;
		}
		return 0;
	}
	for (i = 0; i < N_ELEMENTS(undo->dirs); i++) {
		if (undo->dirs[i].count > 0 &&
		    syncfs(undo->dirs[i].sync_fd) < 0) {
			*error_r = spool2dir_error(&ctx->targets[i], "syncfs",
						   "");
			return -1;
		}
	}
	return 0;
}

/* Give a file its final name. */
static int spool2dir_reveal(int dir_fd, const char *hidden)
{
	if (renameat2(dir_fd, hidden, dir_fd, hidden + 1,
		      RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* NFS and some others know no flags */
	return renameat(dir_fd, hidden, dir_fd, hidden + 1);
}

/* Bring the new names of a directory to the disk. */
static int spool2dir_sync_dir(const struct spool2dir_dir *dir)
{
	if (dir->sync_fd != dir->fd)
		return syncfs(dir->sync_fd);
	/* CIFS has no fsync() for directories */
	return fsync(dir->fd) < 0 && errno != EINVAL ? -1 : 0;
}

static unsigned int
spool2dir_commit(void *context, void **_undo, const char **error_r)
{
	struct spool2dir_context *ctx = context;
	struct spool2dir_undo *undo = *_undo;
	struct spool2dir_target *target;
	struct spool2dir_dir *dir;
	const struct spool2dir_file *file;
	const char *error = NULL;
	string_t *name = t_str_new(256);
	unsigned int i, lost = 0;

	array_foreach(&undo->files, file) {
		spool2dir_file_lookup(ctx, undo, file, &target, &dir, name);
		if (spool2dir_reveal(dir->fd, str_c(name)) == 0)
			continue;
		dir->count--;
		lost++;
		if (error == NULL)
			error = spool2dir_error(target, "rename", str_c(name));
	}
	for (i = 0; undo->sync && i < N_ELEMENTS(undo->dirs); i++) {
		dir = &undo->dirs[i];
		if (dir->count == 0 || spool2dir_sync_dir(dir) == 0)
			continue;
		/* they are visible, but a crash may take them: not lost */
		if (error == NULL)
			error = spool2dir_error(&ctx->targets[i], "fsync", "");
	}
	if (error != NULL)
		*error_r = error;
	spool2dir_undo_free(_undo);
	return lost;
}

static void spool2dir_rollback(void *context, void **_undo)
{
	struct spool2dir_context *ctx = context;
	struct spool2dir_undo *undo = *_undo;
	struct spool2dir_target *target;
	struct spool2dir_dir *dir;
	const struct spool2dir_file *file;
	string_t *name = t_str_new(256);

	array_foreach(&undo->files, file) {
		spool2dir_file_lookup(ctx, undo, file, &target, &dir, name);
		(void)unlinkat(dir->fd, str_c(name), 0);
	}
	spool2dir_undo_free(_undo);
}

/* Systemd gives Debian's Dovecot a /tmp of its own. */
static const char *
spool2dir_tmp_warning(const struct spool2dir_target *target)
{
	const char *tmp = antispam_spool2dir_template_tmp(target->template);

	if (tmp == NULL)
		return NULL;
	return t_strdup_printf(
		"%s: the directory %s lies below %s, of which systemd gives "
		"Dovecot a private copy (PrivateTmp=yes) that no other program "
		"sees; write another one, such as /var/spool/spam",
		target->setting, target->template->dir, tmp);
}

static int
spool2dir_init(pool_t pool, const struct antispam_settings *set,
	       void **context_r, const char **warning_r, const char **error_r)
{
	struct spool2dir_context *ctx =
		p_new(pool, struct spool2dir_context, 1);
	const char *const values[] = {
		set->spool2dir_notspam, set->spool2dir_spam
	};
	const char *warning, *warnings = NULL;
	unsigned int i;

	ctx->targets[0].setting = "antispam_spool2dir_notspam";
	ctx->targets[1].setting = "antispam_spool2dir_spam";
	for (i = 0; i < N_ELEMENTS(values); i++) {
		struct spool2dir_target *target = &ctx->targets[i];

		if (antispam_spool2dir_template_parse(
			    pool, target->setting, values[i],
			    &target->template, error_r) < 0)
			return -1;
		warning = spool2dir_tmp_warning(target);
		if (warnings == NULL)
			warnings = warning;
		else if (warning != NULL)
			warnings = t_strconcat(warnings, "; ", warning, NULL);
	}
	if (warnings != NULL)
		*warning_r = warnings;
	*context_r = ctx;
	return 0;
}

const struct antispam_backend antispam_backend_spool2dir = {
	.name = "spool2dir",
	.needs = ANTISPAM_NEED_MESSAGE,
	.max_batch = 32,
	.init = spool2dir_init,
	.learn = spool2dir_learn,
	.prepare = spool2dir_prepare,
	.commit = spool2dir_commit,
	.rollback = spool2dir_rollback,
};
