/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "net.h"
#include "time-util.h"
#include "test-common.h"
#include "trainer-client.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_PATH "./" ANTISPAM_TRAINER_SOCKET

static int listen_here(int backlog)
{
	int fd;

	(void)unlink(SOCKET_PATH);
	fd = net_listen_unix(SOCKET_PATH, backlog);
	if (fd < 0)
		i_fatal("net_listen_unix() failed: %m");
	return fd;
}

/* All that the next client has said. */
static const char *said(int listen_fd)
{
	char buf[256];
	ssize_t ret;
	int fd;

	fd = net_accept(listen_fd, NULL, NULL);
	if (fd < 0)
		return NULL;
	ret = read(fd, buf, sizeof(buf));
	i_close_fd(&fd);
	return ret < 0 ? NULL : t_strndup(buf, ret);
}

static void test_trainer_client_wake(void)
{
	const char *error = NULL;
	int fd;

	test_begin("trainer client: wake");
	fd = listen_here(10);
	test_assert(antispam_trainer_wake(".", "1732.12.abc", &error) == 0);
	test_assert(antispam_trainer_wake(".", ANTISPAM_TRAINER_LINE_DIR,
					  &error) == 0);
	test_assert_strcmp(said(fd), "1732.12.abc\n");
	test_assert_strcmp(said(fd), "dir\n");
	i_close_fd(&fd);
	test_end();
}

static void test_trainer_client_nobody(void)
{
	const char *error;
	int fd;

	test_begin("trainer client: nobody is there");
	(void)unlink(SOCKET_PATH);
	error = NULL;
	test_assert(antispam_trainer_wake(".", "x", &error) == -1);
	test_assert_strcmp(error, "connect(./antispam-trainer) failed: "
				  "No such file or directory");
	fd = listen_here(1);
	i_close_fd(&fd);
	error = NULL;
	test_assert(antispam_trainer_wake(".", "x", &error) == -1);
	test_assert(strstr(error, "Connection refused") != NULL);
	test_end();
}

/* Nobody accepts: whoever is too much fails at once. */
static void test_trainer_client_full(void)
{
	const char *error = NULL;
	struct timeval before, after;
	unsigned int i;
	int fd, ret = 0;

	test_begin("trainer client: nobody accepts");
	fd = listen_here(1);
	i_gettimeofday(&before);
	for (i = 0; i < 10 && ret == 0; i++)
		ret = antispam_trainer_wake(".", "x", &error);
	i_gettimeofday(&after);
	test_assert(ret == -1 && i > 1);
	test_assert(error != NULL && strstr(error, "unavailable") != NULL);
	test_assert(after.tv_sec - before.tv_sec <= 2);
	i_close_fd(&fd);
	test_end();
}

/* Hang up on everyone. */
static void child_hang_up(int listen_fd)
{
	int fd;

	for (;;) {
		fd = net_accept(listen_fd, NULL, NULL);
		if (fd >= 0)
			i_close_fd(&fd);
	}
}

/* Who hangs up before we have said anything kills nobody. */
static void test_trainer_client_hang_up(void)
{
	const char *error;
	unsigned int i, count = 0;
	pid_t pid;
	int fd;

	test_begin("trainer client: hangs up");
	fd = listen_here(100);
	pid = fork();
	if (pid == 0)
		child_hang_up(fd);
	test_assert(pid > 0);
	for (i = 0; i < 500; i++) {
		error = NULL;
		if (antispam_trainer_wake(".", "x", &error) == 0)
			count++;
		else
			test_assert_idx(error != NULL, i);
	}
	test_assert(count > 0);
	test_assert(kill(pid, SIGKILL) == 0);
	test_assert(waitpid(pid, NULL, 0) == pid);
	i_close_fd(&fd);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_trainer_client_wake,
		test_trainer_client_nobody,
		test_trainer_client_full,
		test_trainer_client_hang_up,
		NULL
	};

	signal(SIGPIPE, SIG_DFL);
	return test_run(tests);
}
