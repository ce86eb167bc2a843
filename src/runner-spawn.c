/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Starts a program. posix_spawn() does all that happens in the child, so that
   no code of ours runs there, and it tells why a program can't be executed;
   here that becomes a sentence which helps an admin. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "fd-util.h"
#include "str-sanitize.h"
#include "antispam-runner.h"
#include "runner-spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a script's first line; the kernel looks no further. */
#define SHEBANG_MAX 256

/* What the first line of a script names, in the buffer; NULL if it is no
   script. */
static const char *script_interpreter(const char *path, char *buf)
{
	ssize_t ret;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1)
		return NULL;
	ret = read(fd, buf, SHEBANG_MAX);
	i_close_fd(&fd);
	if (ret < 2 || memcmp(buf, "#!", 2) != 0)
		return NULL;
	buf[ret] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	buf += 2 + strspn(buf + 2, " \t");
	buf[strcspn(buf, " \t")] = '\0';
	return buf;
}

/* Why a file that is there gives ENOENT. */
static const char *missing_hint(const char *path)
{
	char buf[SHEBANG_MAX + 1];
	const char *interpreter = script_interpreter(path, buf);

	if (interpreter == NULL)
		return "the program is there, but its dynamic loader is not";
	if (strchr(interpreter, '\r') != NULL)
		return "the script's lines end with CR LF, instead of LF";
	interpreter = str_sanitize(interpreter, 128);
	return t_strdup_printf("the script is there, its interpreter %s is not",
			       interpreter);
}

static const char *spawn_error(const char *path, int err)
{
	const char *hint, *shown = str_sanitize(path, PATH_MAX);

	switch (err) {
	case ENOENT:
		hint = missing_hint(path);
		break;
	case EACCES:
		hint = t_strdup_printf("uid %ld needs the permission to "
				       "execute it, and each directory above",
				       (long)geteuid());
		break;
	case ENOEXEC:
		hint = "no program for this machine, and no script with #!";
		break;
	case EAGAIN:
		hint = t_strdup_printf("too many processes of uid %ld?",
				       (long)geteuid());
		break;
	default:
		return t_strdup_printf("%s can't be executed: %s", shown,
				       strerror(err));
	}
	return t_strdup_printf("%s can't be executed: %s (%s)", shown,
			       strerror(err), hint);
}

static int check_file(const char *path, const char **error_r)
{
	const char *shown = str_sanitize(path, PATH_MAX);
	struct stat st;

	if (stat(path, &st) < 0) {
		*error_r = errno == ENOENT ?
			t_strdup_printf("%s can't be executed: No such file or "
					"directory",
					shown) :
			spawn_error(path, errno);
	} else if (!S_ISREG(st.st_mode)) {
		*error_r = t_strdup_printf("%s can't be executed: it is not a "
					   "regular file",
					   shown);
	} else if ((st.st_mode & S_IWOTH) != 0) {
		*error_r = t_strdup_printf("%s is refused, since everyone may "
					   "write to the program's file (mode "
					   "%04o): take that away with chmod "
					   "o-w",
					   shown, st.st_mode & 07777);
	} else {
		return 0;
	}
	return -1;
}

int antispam_run_check_file(const char *path, const char **error_r)
{
	if (check_file(path, error_r) < 0)
		return -1;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
		return 0;
	*error_r = spawn_error(path, errno);
	return -1;
}

static int fill_actions(posix_spawn_file_actions_t *actions, const int fds[3],
			const char *dir)
{
	int err;

	err = fds[0] != -1 ?
		posix_spawn_file_actions_adddup2(actions, fds[0], 0) :
		posix_spawn_file_actions_addopen(actions, 0, "/dev/null",
						 O_RDONLY, 0);
	if (err == 0)
		err = posix_spawn_file_actions_adddup2(actions, fds[1], 1);
	if (err == 0)
		err = posix_spawn_file_actions_adddup2(actions, fds[2], 2);
	if (err == 0)
		err = posix_spawn_file_actions_addchdir_np(actions, dir);
	if (err == 0)
		err = posix_spawn_file_actions_addclosefrom_np(actions, 3);
	return err;
}

/* Returns an errno, or 0. */
static int spawn_in(const struct antispam_run *run, const int fds[3],
		    const char *dir, pid_t *pid_r)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	short flags;
	int err;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	/* None of these can fail in glibc. */
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETSIGMASK;
	(void)posix_spawnattr_setflags(&attr, flags);
	(void)posix_spawn_file_actions_init(&actions);
	err = fill_actions(&actions, fds, dir);
	if (err == 0)
		err = posix_spawn(pid_r, run->argv[0], &actions, &attr,
				  (char *const *)run->argv,
				  (char *const *)run->env);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	return err;
}

static bool can_enter(const char *dir)
{
	struct stat st;

	return dir[0] != '\0' && stat(t_strconcat(dir, "/.", NULL), &st) == 0;
}

int antispam_runner_spawn(const struct antispam_run *run, const int fds[3],
			  pid_t *pid_r, const char **error_r)
{
	int err;

	if (check_file(run->argv[0], error_r) < 0)
		return -1;
	err = spawn_in(run, fds, run->dir != NULL ? run->dir : "/", pid_r);
	/* The error doesn't tell whether exec or chdir failed. */
	if (err != 0 && run->dir != NULL && !can_enter(run->dir))
		err = spawn_in(run, fds, "/", pid_r);
	if (err == 0)
		return 0;
	*error_r = spawn_error(run->argv[0], err);
	return -1;
}
