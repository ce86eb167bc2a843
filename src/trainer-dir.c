/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "antispam-queue-dir.h"
#include "trainer-dir.h"

#include <fcntl.h>
#include <unistd.h>

struct trainer_dir {
	struct event *event;
	const char *path;
	/* The last error that was logged, until all is well again. */
	char *error;
	bool wanted;
};

struct trainer_dir *trainer_dir_init(struct event *event, const char *path)
{
	struct trainer_dir *dir = i_new(struct trainer_dir, 1);

	dir->event = event;
	dir->path = path;
	return dir;
}

void trainer_dir_deinit(struct trainer_dir **_dir)
{
	struct trainer_dir *dir = *_dir;

	*_dir = NULL;
	if (dir == NULL)
		return;
	i_free(dir->error);
	i_free(dir);
}

void trainer_dir_want(struct trainer_dir *dir)
{
	dir->wanted = TRUE;
}

/* By errno. */
static const char *access_error(const char *path, uid_t uid)
{
	const char *cause = t_strdup(strerror(errno));

	return t_strdup_printf("antispam_queue_dir = %s: service "
			       "antispam-trainer can't read it: %s; let that "
			       "service's user be root, or type: %s",
			       path, cause,
			       antispam_queue_dir_remedy(path, uid));
}

/* Returns 1, 0 if there is none and none is wanted, -1 and *error_r. */
static int dir_open(struct trainer_dir *dir, const char **error_r)
{
	const uid_t uid = geteuid();
	int fd, ret;

	if (dir->wanted) {
		if (antispam_queue_dir_make(dir->path, uid, &fd, error_r) < 0)
			return -1;
	} else {
		ret = antispam_queue_dir_open(dir->path, uid, &fd, error_r);
		if (ret <= 0)
			return ret;
	}
	/* root may have made it, and the trainer not be root */
	ret = faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS);
	if (ret < 0)
		*error_r = access_error(dir->path, uid);
	i_close_fd(&fd);
	return ret < 0 ? -1 : 1;
}

bool trainer_dir_is_ready(struct trainer_dir *dir, bool log_error)
{
	const char *error;
	int ret;

	ret = dir_open(dir, &error);
	if (ret >= 0) {
		i_free(dir->error);
		return ret > 0;
	}
	if (log_error && null_strcmp(dir->error, error) != 0) {
		e_error(dir->event, "the queue is not read: %s", error);
		i_free(dir->error);
		dir->error = i_strdup(error);
	}
	return FALSE;
}

const char *trainer_dir_problem(struct trainer_dir *dir)
{
	const char *error;

	return dir_open(dir, &error) < 0 ? error : NULL;
}
