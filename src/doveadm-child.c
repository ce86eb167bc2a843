/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#define _GNU_SOURCE 1
#include "lib.h"
#include "str.h"
#include "antispam-child.h"
#include "doveadm-child.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The group of who has no account. */
#define NO_GROUP 65534

/* Returns 0, or -1 with errno. */
static int child_set_groups(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);
	const gid_t gid = pw == NULL ? NO_GROUP : pw->pw_gid;

	if (pw == NULL ? setgroups(0, NULL) < 0 :
			 initgroups(pw->pw_name, gid) < 0)
		return -1;
	return setresgid(gid, gid, gid);
}

/* Become it for good. If we are it now, its groups are right already. */
static int child_become(uid_t uid)
{
	const gid_t gid = getegid();

	if (uid == ANTISPAM_CHILD_AS_WE_ARE) {
		uid = geteuid();
		/* who only has this uid for a while may have to be root to
		   let go of its groups */
		if (setresgid(gid, gid, gid) < 0)
			return -1;
	} else if (uid != geteuid()) {
		if (geteuid() != 0 && seteuid(0) < 0)
			return -1;
		if (child_set_groups(uid) < 0)
			return -1;
	}
	if (setresuid(uid, uid, uid) < 0)
		return -1;
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static void ATTR_NORETURN
child_main(uid_t uid, int report, int keep_fd,
	   antispam_child_callback_t *callback, void *context)
{
	int ret = 0;

	antispam_child_reset_signals();
	(void)signal(SIGPIPE, SIG_IGN);
	antispam_child_cut_off(report, keep_fd);
	if (child_become(uid) < 0)
		ret = errno;
	else
		callback(report, context);
	/* what is ours goes with us, what is our parent's is not ours to end */
	_exit(ret);
}

static int child_wait(pid_t pid, const char **error_r)
{
	int status;
	pid_t ret;

	do {
		ret = waitpid(pid, &status, 0);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0) {
		*error_r = t_strdup_printf("waitpid() failed: %m");
		return -1;
	}
	if (WIFSIGNALED(status)) {
		*error_r = t_strdup_printf(
			"the process that was to do it was killed by signal "
			"%d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
		return -1;
	}
	if (WEXITSTATUS(status) != 0) {
		*error_r = t_strdup_printf(
			"the process that was to do it could not become its "
			"user: %s",
			strerror(WEXITSTATUS(status)));
		return -1;
	}
	return 0;
}

int antispam_child_run(uid_t uid, int keep_fd,
		       antispam_child_callback_t *callback, void *context,
		       string_t *output, const char **error_r)
{
	unsigned char chunk[4096];
	int fds[2];
	ssize_t size;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		*error_r = t_strdup_printf("pipe2() failed: %m");
		return -1;
	}
	pid = fork();
	if (pid < 0) {
		*error_r = t_strdup_printf("fork() failed: %m");
		i_close_fd(&fds[0]);
		i_close_fd(&fds[1]);
		return -1;
	}
	if (pid == 0)
		child_main(uid, fds[1], keep_fd, callback, context);
	i_close_fd(&fds[1]);
	for (;;) {
		size = read(fds[0], chunk, sizeof(chunk));
		if (size > 0)
			str_append_data(output, chunk, size);
		else if (size == 0 || errno != EINTR)
			break;
	}
	i_close_fd(&fds[0]);
	return child_wait(pid, error_r);
}
