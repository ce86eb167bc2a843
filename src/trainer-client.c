/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot's master listens on the socket even while no trainer runs, so what is
   said waits for the one that it starts. */

#include "lib.h"
#include "net.h"
#include "trainer-client.h"

#include <sys/socket.h>

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

int antispam_trainer_check(const char *base_dir, const char **error_r)
{
	const char *path;
	int fd;

	fd = client_connect(base_dir, &path, error_r);
	if (fd < 0)
		return -1;
	net_disconnect(fd);
	return 0;
}
