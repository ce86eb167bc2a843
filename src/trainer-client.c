/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot's master listens on the socket even while no trainer runs, so what is
   said waits for the one that it starts. */

#include "lib.h"
#include "net.h"
#include "str-sanitize.h"
#include "trainer-client.h"

#include <poll.h>
#include <sys/socket.h>

/* It has to be started first, and may be busy. */
#define CLIENT_ANSWER_MSECS (5 * 1000)
#define CLIENT_ANSWER_MAX 1024

static int
send_line(int fd, const char *path, const char *line, const char **error_r)
{
	const char *text = t_strconcat(line, "\n", NULL);
	const size_t size = strlen(text);
	ssize_t ret;

	/* a new socket has room for a line; a trainer that has closed it
	   already must not kill us */
	ret = send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (ret == (ssize_t)size)
		return 0;
	if (ret < 0)
		*error_r = t_strdup_printf("send(%s) failed: %m", path);
	else
		*error_r = t_strdup_printf("send(%s) took %zd of %zu bytes",
					   path, ret, size);
	return -1;
}

static int
client_connect(const char *base_dir, const char **path_r, const char **error_r)
{
	int fd;

	*path_r = t_strconcat(base_dir, "/" ANTISPAM_TRAINER_SOCKET, NULL);
	/* non-blocking: EAGAIN if too many wait already */
	fd = net_connect_unix(*path_r);
	if (fd < 0)
		*error_r = t_strdup_printf("connect(%s) failed: %m", *path_r);
	return fd;
}

int antispam_trainer_wake(const char *base_dir, const char *line,
			  const char **error_r)
{
	const char *path;
	int fd, ret;

	fd = client_connect(base_dir, &path, error_r);
	if (fd < 0)
		return -1;
	ret = send_line(fd, path, line, error_r);
	net_disconnect(fd);
	return ret;
}

/* Returns its answer, or NULL and *error_r. */
static const char *
read_answer(int fd, const char *path, const char **error_r)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char answer[CLIENT_ANSWER_MAX];
	ssize_t ret = -1;

	if (poll(&pfd, 1, CLIENT_ANSWER_MSECS) > 0)
		ret = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	if (ret <= 0) {
		*error_r = t_strdup_printf("antispam-trainer at %s does not "
					   "answer",
					   path);
		return NULL;
	}
	return t_strcut(t_strndup(answer, ret), '\n');
}

int antispam_trainer_check(const char *base_dir, const char **error_r)
{
	const char *path, *answer = NULL;
	int fd;

	fd = client_connect(base_dir, &path, error_r);
	if (fd < 0)
		return -1;
	if (send_line(fd, path, ANTISPAM_TRAINER_LINE_STATUS, error_r) == 0)
		answer = read_answer(fd, path, error_r);
	net_disconnect(fd);
	if (answer == NULL)
		return -1;
	if (strcmp(answer, ANTISPAM_TRAINER_ANSWER_READY) == 0)
		return 1;
	*error_r = str_sanitize(answer, CLIENT_ANSWER_MAX);
	return 0;
}
