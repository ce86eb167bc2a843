/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A directory is checked by the descriptor that is used afterwards, so nobody
   can put another one in its place in between; and its parent is checked, so
   that nobody can do so later. */

/* O_PATH */
#define _GNU_SOURCE
#include "lib.h"
#include "str-sanitize.h"
#include "antispam-queue-dir.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTING "antispam_queue_dir"
/* Users may make and enter directories there, but neither list nor remove
   those of others. */
#define ROOT_MODE 01733
#define OWN_MODE 0700

/* Returns -1. */
static int dir_error(const char *path, const char **error_r,
		     const char *problem, ...) ATTR_FORMAT(3, 4);

static int
dir_error(const char *path, const char **error_r, const char *problem, ...)
{
	va_list args;

	va_start(args, problem);
	*error_r = t_strdup_printf(SETTING " = %s: %s",
				   str_sanitize(path, PATH_MAX),
				   t_strdup_vprintf(problem, args));
	va_end(args);
	return -1;
}

static const char *user_name(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	return pw != NULL ? t_strdup(pw->pw_name) : dec2str(uid);
}

static const char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	i_assert(*path == '/' && slash[1] != '\0');
	return slash == path ? "/" : t_strdup_until(path, slash);
}

const char *antispam_queue_dir_remedy(const char *path, uid_t uid)
{
	path = str_sanitize(path, PATH_MAX);
	if (uid == 0)
		return t_strdup_printf("install -d -o root -g root -m 1733 %s",
				       path);
	return t_strdup_printf("install -d -o %s -m 0700 %s", user_name(uid),
			       path);
}

/* Who is not root can't know whether the trainer is. */
static const char *either(const char *for_root, uid_t uid, const char *for_uid)
{
	return t_strdup_printf("%s (if %s is the user of service "
			       "antispam-trainer and of all mail: %s)",
			       for_root, user_name(uid), for_uid);
}

const char *antispam_queue_dir_remedies(const char *path, uid_t uid)
{
	const char *for_root = antispam_queue_dir_remedy(path, 0);

	if (uid == 0)
		return for_root;
	return either(for_root, uid, antispam_queue_dir_remedy(path, uid));
}

/* What makes a directory right that is owner's. */
static const char *chown_remedy(const char *path, uid_t uid, uid_t owner)
{
	const char *name, *remedy;

	path = str_sanitize(path, PATH_MAX);
	remedy = t_strdup_printf("chown root:root %s && chmod 1733 %s", path,
				 path);
	if (uid == 0) {
		name = user_name(owner);
		return t_strdup_printf("%s (if all mail is %s's: write user = "
				       "%s within service antispam-trainer { })",
				       remedy, name, name);
	}
	return either(remedy, uid,
		      t_strdup_printf("chown %s %s && chmod 0700 %s",
				      user_name(uid), path, path));
}

/* Somebody else than the owner can remove or replace what lies there. */
static bool is_open_to_others(const struct stat *st)
{
	return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
		(st->st_mode & S_ISVTX) == 0;
}

static int
check_parent(const char *path, uid_t uid, const struct stat *st,
	     const char **error_r)
{
	const char *name, *parent = str_sanitize(parent_of(path), PATH_MAX);

	if (st->st_uid != 0 && st->st_uid != uid) {
		/* chown would take a vmail user's mail away, if it is there */
		name = user_name(st->st_uid);
		return dir_error(path, error_r,
				 "the directory above it belongs to %s, who "
				 "could replace it; if all mail is %s's, write "
				 "user = %s within service antispam-trainer { }, "
				 "otherwise type: chown root %s",
				 name, name, name, parent);
	}
	if (is_open_to_others(st)) {
		return dir_error(path, error_r,
				 "the directory above it is writable for "
				 "others (mode 0%o), who could replace it; "
				 "type: chmod go-w %s",
				 (unsigned int)st->st_mode & 07777, parent);
	}
	return 0;
}

int antispam_queue_dir_check(const char *path, uid_t uid,
			     const struct stat *parent_st,
			     const struct stat *st, const char **error_r)
{
	const char *shown = str_sanitize(path, PATH_MAX);

	if (check_parent(path, uid, parent_st, error_r) < 0)
		return -1;
	if (!S_ISDIR(st->st_mode)) {
		return dir_error(path, error_r,
				 "it is %s, not a directory; write the path of "
				 "a directory, or type: rm %s",
				 S_ISLNK(st->st_mode) ? "a symbolic link" :
							"a file",
				 shown);
	}
	if (st->st_uid != 0 && st->st_uid != uid) {
		return dir_error(path, error_r,
				 "it belongs to %s, who could change what "
				 "waits there; type: %s",
				 user_name(st->st_uid),
				 chown_remedy(path, uid, st->st_uid));
	}
	if (is_open_to_others(st)) {
		return dir_error(path, error_r,
				 "others may remove what waits there (mode "
				 "0%o); type: chmod %s %s",
				 (unsigned int)st->st_mode & 07777,
				 st->st_uid == 0 ? "1733" : "0700", shown);
	}
	return 0;
}

/* Open a directory, or with O_NOFOLLOW whatever else is there, to look at it.
   Returns -1 with errno. */
static int open_path(int dir_fd, const char *path, int flags, struct stat *st_r)
{
	int fd, saved_errno;

	fd = openat(dir_fd, path, O_PATH | O_CLOEXEC | flags);
	if (fd < 0)
		return -1;
	if (fstat(fd, st_r) < 0) {
		saved_errno = errno;
		i_close_fd(&fd);
		errno = saved_errno;
		return -1;
	}
	return fd;
}

/* Returns 1, 0 if there is none, -1 and *error_r. */
static int
parent_open(const char *path, int *fd_r, struct stat *st_r,
	    const char **error_r)
{
	const char *parent = parent_of(path);

	*fd_r = open_path(AT_FDCWD, parent, O_DIRECTORY, st_r);
	if (*fd_r >= 0)
		return 1;
	if (errno == ENOENT)
		return 0;
	(void)dir_error(path, error_r, "can't open %s: %m",
			str_sanitize(parent, PATH_MAX));
	return -1;
}

static int
open_below(const char *path, uid_t uid, int parent_fd,
	   const struct stat *parent_st, int *fd_r, const char **error_r)
{
	struct stat st;
	int fd;

	fd = open_path(parent_fd, strrchr(path, '/') + 1, O_NOFOLLOW, &st);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return dir_error(path, error_r, "can't open it: %m");
	if (antispam_queue_dir_check(path, uid, parent_st, &st, error_r) < 0) {
		i_close_fd(&fd);
		return -1;
	}
	*fd_r = fd;
	return 1;
}

int antispam_queue_dir_open(const char *path, uid_t uid, int *fd_r,
			    const char **error_r)
{
	struct stat parent_st;
	int parent_fd, ret;

	*fd_r = -1;
	ret = parent_open(path, &parent_fd, &parent_st, error_r);
	if (ret <= 0)
		return ret;
	ret = open_below(path, uid, parent_fd, &parent_st, fd_r, error_r);
	i_close_fd(&parent_fd);
	return ret;
}

/* Give the new directory to root: a set-group-ID parent has given it its
   group, and mkdir() cares for no sticky bit. Returns -1 with errno. */
static int give_to_root(int parent_fd, const char *name)
{
	int fd, ret, saved_errno;

	fd = openat(parent_fd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = fchown(fd, 0, 0);
	if (ret == 0)
		ret = fchmod(fd, ROOT_MODE);
	saved_errno = errno;
	i_close_fd(&fd);
	errno = saved_errno;
	return ret;
}

/* By errno. Returns -1. */
static int make_error(const char *path, uid_t uid, const char **error_r)
{
	const char *cause = t_strdup(strerror(errno));

	return dir_error(path, error_r, "can't make it: %s; type: %s", cause,
			 antispam_queue_dir_remedy(path, uid));
}

static int
make_below(const char *path, uid_t uid, int parent_fd,
	   const struct stat *parent_st, const char **error_r)
{
	const char *name = strrchr(path, '/') + 1;

	/* what it is made in must be safe while it is made */
	if (check_parent(path, uid, parent_st, error_r) < 0)
		return -1;
	if (mkdirat(parent_fd, name, OWN_MODE) < 0)
		return errno == EEXIST ? 0 : make_error(path, uid, error_r);
	if (uid == 0 && give_to_root(parent_fd, name) < 0) {
		(void)make_error(path, uid, error_r);
		(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
		return -1;
	}
	return 0;
}

int antispam_queue_dir_make(const char *path, uid_t uid, int *fd_r,
			    const char **error_r)
{
	const char *parent = str_sanitize(parent_of(path), PATH_MAX);
	struct stat parent_st;
	int parent_fd, ret;

	*fd_r = -1;
	ret = parent_open(path, &parent_fd, &parent_st, error_r);
	if (ret < 0)
		return -1;
	if (ret == 0) {
		return dir_error(path, error_r,
				 "there is no directory %s; type: mkdir -p %s",
				 parent, parent);
	}
	ret = open_below(path, uid, parent_fd, &parent_st, fd_r, error_r);
	if (ret == 0)
		ret = make_below(path, uid, parent_fd, &parent_st, error_r);
	if (ret == 0)
		ret = open_below(path, uid, parent_fd, &parent_st, fd_r,
				 error_r);
	if (ret == 0)
		ret = dir_error(path, error_r, "it was removed at once");
	i_close_fd(&parent_fd);
	return ret < 0 ? -1 : 0;
}
