#ifndef TEST_DAEMON_H
#define TEST_DAEMON_H

/* A fake daemon in a process of its own, for the tests of all that talks to
   one. Include it after lib.h, once. */

#include "istream.h"
#include "net.h"
#include "str.h"
#include "write-full.h"
#include "test-common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum daemon_does {
	/* Read the question, answer, close. */
	DAEMON_ANSWERS,
	/* The same, but leave the connection open. */
	DAEMON_STAYS,
	/* Read the question, and say nothing. */
	DAEMON_SILENT,
	/* Accept the connection, and read nothing. */
	DAEMON_DEAF,
	/* Close it at once. */
	DAEMON_CLOSES,
	/* Read the first bytes, answer, close. */
	DAEMON_EARLY,
	/* Read the question; answer, and then go on for 100 MB. */
	DAEMON_FLOODS,
	/* Read the question, answer a byte every 20 ms. */
	DAEMON_TRICKLES,
	/* Answer, and close when the other side has: it waits for no end. */
	DAEMON_SLOW,
};

struct daemon_script {
	enum daemon_does does;
	const char *answer;
};

#define DAEMON_MAX_CALLS 64

struct daemon {
	pid_t pid;
	int listen_fd;
	in_port_t port;
	/* A directory: its socket, and a file for each question. */
	char *dir;
};

static inline const char *daemon_socket(const struct daemon *daemon)
{
	return t_strconcat(daemon->dir, "/socket", NULL);
}

static inline const char *
daemon_file(const struct daemon *daemon, unsigned int call)
{
	return t_strdup_printf("%s/%u", daemon->dir, call);
}

/* How many bytes the body must have, by the head that is there; SIZE_MAX = the
   head is not whole, or names none. */
static inline size_t daemon_wanted(string_t *question)
{
	const char *head = str_c(question), *end, *length;
	uoff_t size;

	end = strstr(head, "\r\n\r\n");
	length = strcasestr(head, "\r\nContent-length: ");
	if (end == NULL || length == NULL || length > end ||
	    str_parse_uoff(length + 18, &size, &length) < 0)
		return SIZE_MAX;
	return (end - head) + 4 + size;
}

/* Read until the question is whole, or its end. */
static inline void
daemon_read(const struct daemon *daemon, int fd, unsigned int call, size_t max)
{
	string_t *question = str_new(default_pool, 65536);
	char chunk[32768];
	ssize_t ret;
	int file;

	while (str_len(question) < max &&
	       str_len(question) < daemon_wanted(question) &&
	       (ret = read(fd, chunk, sizeof(chunk))) > 0)
		str_append_data(question, chunk, ret);
	file = open(t_strconcat(daemon_file(daemon, call), ".new", NULL),
		    O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (file == -1 ||
	    write_full(file, str_data(question), str_len(question)) < 0)
		i_fatal("the fake daemon can't write: %m");
	i_close_fd(&file);
	if (rename(t_strconcat(daemon_file(daemon, call), ".new", NULL),
		   daemon_file(daemon, call)) < 0)
		i_fatal("rename() failed: %m");
	str_free(&question);
}

static inline void daemon_write(int fd, const char *data, size_t size)
{
	(void)write_full(fd, data, size);
}

static inline void daemon_flood(int fd)
{
	static char chunk[65536];
	unsigned int i;

	memset(chunk, 'x', sizeof(chunk));
	for (i = 0; i < 100 * 16; i++) {
		if (write_full(fd, chunk, sizeof(chunk)) < 0)
			break;
	}
}

static inline void
daemon_serve(const struct daemon *daemon, int fd, unsigned int call,
	     const struct daemon_script *script)
{
	const char *answer = script->answer == NULL ? "" : script->answer;
	const char *p;
	char c;

	if (script->does == DAEMON_DEAF)
		(void)pause();
	if (script->does == DAEMON_CLOSES)
		return;
	daemon_read(daemon, fd, call,
		    script->does == DAEMON_EARLY ? 1 : SIZE_MAX);
	if (script->does == DAEMON_SILENT)
		(void)pause();
	if (script->does == DAEMON_SLOW)
		usleep(100 * 1000);
	if (script->does == DAEMON_TRICKLES) {
		for (p = answer; *p != '\0'; p++) {
			daemon_write(fd, p, 1);
			usleep(20 * 1000);
		}
		return;
	}
	daemon_write(fd, answer, strlen(answer));
	if (script->does == DAEMON_FLOODS)
		daemon_flood(fd);
	if (script->does == DAEMON_STAYS) {
		while (read(fd, &c, 1) > 0)
			;
		(void)pause();
	}
}

/* Each connection has a process, so that they are served side by side. The last
   script counts for all further calls. */
static inline void ATTR_NORETURN
daemon_main(const struct daemon *daemon, const struct daemon_script *scripts,
	    unsigned int count)
{
	unsigned int call;
	int fd;

	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	for (call = 0;; call++) {
		fd = accept(daemon->listen_fd, NULL, NULL);
		if (fd == -1)
			_exit(1);
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			(void)signal(SIGCHLD, SIG_DFL);
			daemon_serve(daemon, fd, call,
				     &scripts[I_MIN(call, count - 1)]);
			_exit(0);
		}
		(void)close(fd);
	}
}

static inline int daemon_listen_unix(const char *path, int backlog)
{
	int fd = net_listen_unix(path, backlog);

	if (fd == -1)
		i_fatal("can't listen on %s: %m", path);
	return fd;
}

static inline struct daemon
daemon_fork(bool tcp, const struct daemon_script *scripts, unsigned int count)
{
	struct daemon daemon;
	char dir[] = "/tmp/antispam-daemon.XXXXXX";
	struct ip_addr ip;

	i_zero(&daemon);
	if (mkdtemp(dir) == NULL)
		i_fatal("mkdtemp(%s) failed: %m", dir);
	daemon.dir = i_strdup(dir);
	if (!tcp) {
		daemon.listen_fd =
			daemon_listen_unix(daemon_socket(&daemon), 64);
	} else {
		if (net_addr2ip("127.0.0.1", &ip) < 0)
			i_unreached();
		daemon.listen_fd = net_listen(&ip, &daemon.port, 64);
		if (daemon.listen_fd == -1)
			i_fatal("net_listen() failed: %m");
	}
	net_set_nonblock(daemon.listen_fd, FALSE);
	daemon.pid = fork();
	if (daemon.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)setpgid(0, 0);
		daemon_main(&daemon, scripts, count);
	}
	if (daemon.pid == -1)
		i_fatal("fork() failed: %m");
	(void)setpgid(daemon.pid, daemon.pid);
	i_close_fd(&daemon.listen_fd);
	return daemon;
}

/* One that does the same at each call. */
static inline struct daemon
daemon_start(enum daemon_does does, const char *answer)
{
	const struct daemon_script script = { does, answer };

	return daemon_fork(FALSE, &script, 1);
}

/* Its process, and those of the connections. */
static inline void daemon_kill(struct daemon *daemon)
{
	if (daemon->pid <= 0)
		return;
	(void)kill(-daemon->pid, SIGKILL);
	(void)waitpid(daemon->pid, NULL, 0);
	daemon->pid = 0;
}

/* Questions that were read. */
static inline unsigned int daemon_calls(const struct daemon *daemon)
{
	unsigned int n = 0;

	while (access(daemon_file(daemon, n), F_OK) == 0)
		n++;
	return n;
}

/* A question, with '|' for each NUL; NULL = there was none. Data stack. */
static inline const char *
daemon_question(const struct daemon *daemon, unsigned int call)
{
	struct istream *input =
		i_stream_create_file(daemon_file(daemon, call), 8192);
	const unsigned char *data;
	string_t *str = t_str_new(1024);
	size_t i, size;
	bool found;

	while (i_stream_read_more(input, &data, &size) > 0) {
		for (i = 0; i < size; i++)
			str_append_c(str, data[i] == '\0' ? '|' : data[i]);
		i_stream_skip(input, size);
	}
	found = input->stream_errno == 0;
	i_stream_unref(&input);
	return found ? str_c(str) : NULL;
}

static inline void daemon_stop(struct daemon *daemon)
{
	unsigned int n;

	daemon_kill(daemon);
	(void)unlink(daemon_socket(daemon));
	for (n = 0; n < DAEMON_MAX_CALLS; n++)
		(void)unlink(daemon_file(daemon, n));
	if (rmdir(daemon->dir) < 0)
		i_error("rmdir(%s) failed: %m", daemon->dir);
	i_free(daemon->dir);
}

#endif
