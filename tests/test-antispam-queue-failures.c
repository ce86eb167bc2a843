/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A queue that can't be written, and a writer that dies. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-queue.h"

#include <signal.h>
#include <sys/resource.h>

static void test_no_queue(void)
{
	const unsigned int fds = queue_test_fds();
	const char *error = NULL;
	bool missing = FALSE;

	test_begin("queue: where there is none, or an unsafe one");
	test_assert(antispam_queue_begin(queue_test_path("missing"), "user",
					 &missing, &error) == NULL);
	test_assert(missing);
	test_assert(strstr(error, "there is no such directory; ") != NULL);
	test_assert(chmod(queue_test_dir, 0777) == 0);
	test_assert(antispam_queue_begin(queue_test_dir, "user", &missing,
					 &error) == NULL);
	test_assert(!missing);
	test_assert(strstr(error, "others may remove") != NULL);
	test_assert(chmod(queue_test_dir, 0500) == 0);
	test_assert(antispam_queue_begin(queue_test_dir, "user", &missing,
					 &error) == NULL);
	test_assert(!missing && strstr(error, "mkdir(") != NULL);
	test_assert(strstr(error, "Permission denied") != NULL);
	test_assert(chmod(queue_test_dir, 0700) == 0);
	test_assert(queue_test_is_empty() && queue_test_fds() == fds);
	test_end();
}

/* Whatever needs a descriptor. */
static void test_no_descriptor(void)
{
	const unsigned int fds = queue_test_fds();
	struct antispam_queue *queue = NULL;
	struct rlimit old, small;
	const char *error;
	unsigned int failures = 0;
	bool missing;

	test_begin("queue: no descriptor is left");
	test_assert(getrlimit(RLIMIT_NOFILE, &old) == 0);
	small = old;
	for (small.rlim_cur = 0; queue == NULL; small.rlim_cur++) {
		error = NULL;
		test_assert(setrlimit(RLIMIT_NOFILE, &small) == 0);
		queue = antispam_queue_begin(queue_test_dir, "user", &missing,
					     &error);
		test_assert(setrlimit(RLIMIT_NOFILE, &old) == 0);
		if (queue != NULL)
			break;
		failures++;
		test_assert_idx(!missing && error != NULL, small.rlim_cur);
		test_assert_idx(queue_test_is_empty(), small.rlim_cur);
		test_assert_idx(queue_test_fds() == fds, small.rlim_cur);
	}
	test_assert(failures >= 4);
	antispam_queue_rollback(&queue);
	test_assert(queue_test_is_empty());
	test_end();
}

static void child_write(bool prepare, int ready_fd, int end_fd)
{
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	const char *error;
	char c = 'x';

	if (!queue_test_link(queue, &job, "mail") ||
	    queue_test_copy(queue, &job, "copy", 4) <= 0 ||
	    (prepare &&
	     antispam_queue_prepare(queue, FSYNC_MODE_ALWAYS, &error) < 0) ||
	    write(ready_fd, &c, 1) != 1 || read(end_fd, &c, 1) != 0)
		_exit(1);
	(void)kill(getpid(), SIGKILL);
}

/* What is there while its writer lives: hidden and locked. */
static const char *check_alive(bool prepared)
{
	const char *name = t_strdup(queue_test_list(queue_test_dir)), *error;
	struct queue_test_reader reader;

	test_assert(antispam_queue_name_is_hidden(name));
	test_assert_strcmp(queue_test_list(queue_test_path(name)), "jobs m0");
	test_assert(queue_test_read(&reader, name, &error) == prepared);
	if (prepared) {
		test_assert(!antispam_queue_entry_lock(&reader.entry));
		queue_test_close(&reader);
	}
	return name;
}

static void check_dead(const char *name, bool prepared)
{
	struct queue_test_reader reader;
	const char *error;

	if (!prepared) {
		test_assert(antispam_queue_entry_open(queue_test_fd, name,
						      &reader.entry, &error) ==
			    ANTISPAM_QUEUE_UNFINISHED);
	} else if (!queue_test_read(&reader, name, &error)) {
		test_assert(FALSE);
	} else {
		test_assert(antispam_queue_entry_lock(&reader.entry));
		test_assert(array_count(&reader.jobs) == 2);
		test_assert(queue_test_has(&reader, 0, "link", 4, TRUE));
		test_assert(queue_test_has(&reader, 1, "copy", 4, FALSE));
		queue_test_close(&reader);
	}
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 10));
}

static void test_writer_dies(void)
{
	const char *name;
	int ready[2], end[2], status, prepared;
	pid_t pid;
	char c;

	test_begin("queue: its writer dies before and after prepare");
	queue_test_write("mail", "link", 4);
	for (prepared = 0; prepared <= 1; prepared++) {
		if (pipe(ready) < 0 || pipe(end) < 0)
			i_fatal("pipe() failed: %m");
		pid = fork();
		if (pid == 0) {
			i_close_fd(&end[1]);
			child_write(prepared == 1, ready[1], end[0]);
		}
		test_assert(read(ready[0], &c, 1) == 1);
		name = check_alive(prepared == 1);
		i_close_fd(&end[1]);
		test_assert(waitpid(pid, &status, 0) == pid &&
			    WIFSIGNALED(status));
		check_dead(name, prepared == 1);
		test_assert(queue_test_is_empty());
		i_close_fd(&end[0]);
		i_close_fd(&ready[0]);
		i_close_fd(&ready[1]);
	}
	i_unlink("mail");
	test_end();
}

/* Write messages of some sizes with a limit on the size of files. Returns
   whether all was written. */
static bool write_limited(rlim_t limit, const unsigned char *data)
{
	static const size_t sizes[] = { 100, 300000, 5, 200000 };
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	struct rlimit old, small;
	const char *error = NULL;
	unsigned int i, added = 0;
	bool whole;

	test_assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = old;
	small.rlim_cur = limit;
	test_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		if (queue_test_copy(queue, &job, data, sizes[i]) > 0)
			added++;
	}
	test_assert_idx(antispam_queue_count(queue) == added, limit);
	whole = antispam_queue_prepare(queue, FSYNC_MODE_OPTIMIZED,
				       &error) == 0;
	test_assert_idx(whole || strstr(error, "File too large") != NULL,
			limit);
	antispam_queue_rollback(&queue);
	test_assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
	return whole && added == N_ELEMENTS(sizes);
}

/* A file that may not grow stands for a full disk. */
static void test_disk_full(void)
{
	unsigned char *data = i_malloc(300000);
	const rlim_t total = 500105;
	const unsigned int fds = queue_test_fds();
	rlim_t limit;

	test_begin("queue: full disk at any point");
	(void)signal(SIGXFSZ, SIG_IGN);
	for (limit = 0; limit < total; limit += 20011)
		T_BEGIN {
			test_assert_idx(!write_limited(limit, data), limit);
			test_assert_idx(queue_test_is_empty(), limit);
		} T_END;
	/* within the lines */
	for (limit = total; limit < total + 240; limit += 10)
		T_BEGIN {
			test_assert_idx(!write_limited(limit, data), limit);
			test_assert_idx(queue_test_is_empty(), limit);
		} T_END;
	test_assert(write_limited(total + 1000, data));
	test_assert(queue_test_is_empty() && queue_test_fds() == fds);
	i_free(data);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_no_queue,
		test_no_descriptor,
		test_writer_dies,
		test_disk_full,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
