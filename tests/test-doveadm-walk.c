/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#define _GNU_SOURCE 1
#include "lib.h"
#include "crc32.h"
#include "str.h"
#include "unlink-directory.h"
#include "write-full.h"
#include "antispam-queue.h"
#include "doveadm-walk.h"
#include "test-common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whose transactions are, since root has none. */
#define TEST_UID 12345
/* More than the walk keeps in memory, and fewer. */
#define MANY 100
#define FEW 3

static char test_dir[] = "/tmp/antispam-walk.XXXXXX";

/* What was seen, one word a job. */
static string_t *seen;

static void
see(const struct antispam_walk_job *job, void *context ATTR_UNUSED)
{
	str_printfa(seen, "%s:%s:%s:%s ", job->name,
		    antispam_walk_state_name(job->state), job->username,
		    job->job == NULL ? "-" : job->job->folder);
}

static unsigned int seen_count(const char *word)
{
	const char *p = str_c(seen);
	unsigned int count = 0;

	while ((p = strstr(p, word)) != NULL) {
		p += strlen(word);
		count++;
	}
	return count;
}

static const char *test_path(const char *name, const char *file)
{
	return t_strconcat(test_dir, "/", name, file, NULL);
}

static void put_file(const char *path, const string_t *data)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	test_assert(fd != -1);
	test_assert(write_full(fd, str_data(data), str_len(data)) == 0);
	test_assert(fchown(fd, TEST_UID, TEST_UID) == 0);
	i_close_fd(&fd);
}

static void put_tx(const char *name, unsigned int count, uint32_t crc)
{
	struct antispam_queue_head head = { .username = "u" };
	struct antispam_queue_job job = { .spam = TRUE, .folder = "F" };
	struct antispam_queue_end end = { .count = count };
	string_t *str = t_str_new(1024);
	unsigned int i;

	antispam_queue_now(&head);
	antispam_queue_head_write(str, &head);
	job.change.to = ANTISPAM_CLASS_SPAM;
	job.origin = "o";
	for (i = 0; i < count; i++)
		antispam_queue_job_write(str, &job);
	end.crc = crc32_data(str_data(str), str_len(str)) + crc;
	antispam_queue_end_write(str, &end);
	test_assert(mkdir(test_path(name, ""), 0700) == 0);
	put_file(test_path(name, "/jobs"), str);
	test_assert(chown(test_path(name, ""), TEST_UID, TEST_UID) == 0);
}

static void walk(int fd)
{
	const char *error = NULL;

	str_truncate(seen, 0);
	test_assert(antispam_walk(fd, see, NULL, &error) == 0);
}

static void test_walk(void)
{
	string_t *state = t_str_new(64);
	int fd, lock_fd;

	test_begin("antispam_walk()");
	seen = str_new(default_pool, 1024);
	fd = open(test_dir, O_PATH | O_DIRECTORY);
	put_tx("job.few", FEW, 0);
	put_tx("job.many", MANY, 0);
	put_tx("job.bad", MANY, 1);
	put_tx("failed.x", 1, 0);
	put_tx(".job.dead", 1, 0);
	put_tx(".job.alive", 1, 0);
	put_tx("other", 1, 0);
	str_append(state, "0\t1\tdone\t0\t0\t\n2\t2\tfailed\t1\t0\twhy\n");
	put_file(test_path("job.few", "/state"), state);
	lock_fd = open(test_path(".job.alive", "/jobs"), O_RDONLY);
	test_assert(flock(lock_fd, LOCK_EX) == 0);

	walk(fd);
	test_assert(seen_count("job.few:failed:u:F ") == 1);
	test_assert(seen_count("job.many:waiting:u:F ") == MANY);
	/* nothing of what has a wrong checksum */
	test_assert(seen_count("job.bad:") == 1);
	test_assert(seen_count("job.bad:unreadable::- ") == 1);
	test_assert(seen_count("failed.x:failed:u:F ") == 1);
	test_assert(seen_count(".job.dead:waiting:u:F ") == 1);
	test_assert(seen_count(".job.alive") == 0);
	test_assert(seen_count("other") == 0);

	str_truncate(seen, 0);
	test_assert(antispam_walk_one(fd, "failed.x", see, NULL));
	test_assert(seen_count("failed.x:failed:u:F ") == 1);
	test_assert(!antispam_walk_one(fd, "job.none", see, NULL));
	test_assert(!antispam_walk_one(fd, "other", see, NULL));
	test_assert(!antispam_walk_one(fd, "job./../other", see, NULL));
	i_close_fd(&lock_fd);
	i_close_fd(&fd);
	test_end();
}

static void test_walk_open(void)
{
	const char *error = NULL;
	uid_t owner;
	int fd;

	test_begin("antispam_walk_open()");
	test_assert(chmod(test_dir, 0755) == 0);
	test_assert(antispam_walk_open(test_path("queue", ""), &fd, &owner,
				       &error) == 0);
	test_assert(mkdir(test_path("queue", ""), 0700) == 0);
	test_assert(chown(test_path("queue", ""), TEST_UID, TEST_UID) == 0);
	test_assert(antispam_walk_open(test_path("queue", ""), &fd, &owner,
				       &error) == 1);
	test_assert(owner == TEST_UID);
	i_close_fd(&fd);
	test_assert(chmod(test_path("queue", ""), 0777) == 0);
	test_assert(antispam_walk_open(test_path("queue", ""), &fd, &owner,
				       &error) == -1);
	test_end();
}

static void test_clean_up(void)
{
	const char *error;

	test_begin("antispam_walk: clean up");
	str_free(&seen);
	test_assert(unlink_directory(test_dir, UNLINK_DIRECTORY_FLAG_RMDIR,
				     &error) >= 0);
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_walk,
		test_walk_open,
		test_clean_up,
		NULL
	};

	/* only root can give away what belongs to users */
	if (geteuid() != 0 || mkdtemp(test_dir) == NULL)
		return 1;
	return test_run(test_functions);
}
