/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#define _GNU_SOURCE 1
#include "lib.h"
#include "antispam-child.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void antispam_child_cut_off(int keep1, int keep2)
{
	DIR *dir = opendir("/proc/self/fd");
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct dirent *d;
	int fd;

	if (dir == NULL || null_fd == -1)
		i_fatal("can't open /proc/self/fd or /dev/null: %m");
	while ((d = readdir(dir)) != NULL) {
		fd = atoi(d->d_name);
		if (fd <= STDERR_FILENO || fd == keep1 || fd == keep2 ||
		    fd == null_fd || fd == dirfd(dir))
			continue;
		if (dup3(null_fd, fd, O_CLOEXEC) < 0)
			i_fatal("dup3(/dev/null, %d) failed: %m", fd);
	}
	(void)closedir(dir);
	i_close_fd(&null_fd);
}

void antispam_child_reset_signals(void)
{
	static const int signals[] = {
		SIGTERM,
		SIGINT,
		SIGHUP,
		SIGQUIT,
		SIGCHLD,
		SIGALRM,
		SIGUSR1,
		SIGUSR2,
	};
	sigset_t none;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(signals); i++)
		(void)signal(signals[i], SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}
