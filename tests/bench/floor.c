/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The least that a spool of copies costs, without Dovecot: "floor MODE DIR POOL
   NAME..." puts a copy of each file of POOL into DIR, where it stays, and
   prints the microseconds that this took.

   bare   write all contents, which are in memory, then one syncfs()
   spool  read each file, write it under a hidden name, one syncfs(), then
          rename each: so no watcher sees half a message
   never  the same without syncfs()
   one    write all contents, which are in memory, into one file, then one
          fsync() */

#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Bytes; no message is bigger. */
#define MESSAGE_MAX (1024 * 1024)

static char contents[MESSAGE_MAX];

struct mode {
	const char *name;
	bool read, hide, sync, one;
};

static const struct mode modes[] = {
	{ "bare", false, false, true, false },
	{ "spool", true, true, true, false },
	{ "never", true, true, false, false },
	{ "one", false, false, true, true },
};

static const struct mode *find_mode(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	}
	return NULL;
}

/* Returns the size, or -1. */
static ssize_t load(int pool_fd, const char *name, bool read_it)
{
	struct stat st;
	ssize_t ret = -1;
	int fd = openat(pool_fd, name, O_RDONLY);

	if (fd == -1)
		return -1;
	if (read_it)
		ret = read(fd, contents, sizeof(contents));
	else if (fstat(fd, &st) == 0 && st.st_size <= MESSAGE_MAX)
		ret = st.st_size;
	(void)close(fd);
	return ret;
}

static int store(int dir_fd, const char *name, size_t size)
{
	int fd, ret;

	fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd == -1)
		return -1;
	ret = write(fd, contents, size) == (ssize_t)size ? 0 : -1;
	return close(fd) < 0 ? -1 : ret;
}

/* sizes: of each file if it is not read. */
static int run(const struct mode *mode, int dir_fd, int pool_fd, char **names,
	       const ssize_t *sizes, int count)
{
	char hidden[64];
	int i;

	for (i = 0; i < count; i++) {
		ssize_t size = mode->read ? load(pool_fd, names[i], true) :
					    sizes[i];

		(void)snprintf(hidden, sizeof(hidden), "%s%s",
			       mode->hide ? "." : "", names[i]);
		if (size < 0 || store(dir_fd, hidden, size) < 0)
			return -1;
	}
	if (mode->sync && syncfs(dir_fd) < 0)
		return -1;
	for (i = 0; mode->hide && i < count; i++) {
		(void)snprintf(hidden, sizeof(hidden), ".%s", names[i]);
		if (renameat(dir_fd, hidden, dir_fd, names[i]) < 0)
			return -1;
	}
	return 0;
}

static int run_one(int dir_fd, const ssize_t *sizes, int count)
{
	int fd, i;

	fd = openat(dir_fd, "all", O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd == -1)
		return -1;
	for (i = 0; i < count; i++) {
		if (write(fd, contents, sizes[i]) != sizes[i])
			return -1;
	}
	if (fsync(fd) < 0)
		return -1;
	return close(fd);
}

static long long now_nsecs(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	const struct mode *mode = argc < 5 ? NULL : find_mode(argv[1]);
	ssize_t sizes[argc];
	long long start;
	int i, ret, dir_fd, pool_fd;

	if (mode == NULL) {
		fprintf(stderr, "usage: floor MODE DIR POOL NAME...\n");
		return 2;
	}
	dir_fd = open(argv[2], O_RDONLY | O_DIRECTORY);
	pool_fd = open(argv[3], O_RDONLY | O_DIRECTORY);
	memset(contents, 'x', sizeof(contents));
	for (i = 4; i < argc; i++)
		sizes[i] = load(pool_fd, argv[i], false);
	start = now_nsecs();
	ret = mode->one ?
		run_one(dir_fd, sizes + 4, argc - 4) :
		run(mode, dir_fd, pool_fd, argv + 4, sizes + 4, argc - 4);
	if (ret < 0) {
		perror(argv[2]);
		return 1;
	}
	printf("%lld\n", (now_nsecs() - start) / 1000);
	return 0;
}
