#ifndef TEST_RUNNER_H
#define TEST_RUNNER_H

/* What the tests of the runner share. Include it after lib.h, once. */

#include "istream.h"
#include "read-full.h"
#include "unlink-directory.h"
#include "antispam-runner.h"
#include "test-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MB (1024 * 1024)
#define RUN_TIMEOUT_MSECS (60 * 1000)

/* An empty directory of this test process alone. */
static char work_dir[PATH_MAX];

/* The first and the last of the test functions. */
static inline void test_dir_init(void)
{
	const char *tmpdir = getenv("TMPDIR");

	test_begin("a directory for the test");
	if (i_snprintf(work_dir, sizeof(work_dir), "%s/antispam-runner.XXXXXX",
		       tmpdir != NULL ? tmpdir : "/tmp") < 0)
		i_fatal("TMPDIR is too long");
	test_assert(mkdtemp(work_dir) != NULL);
	test_end();
}

static inline void test_dir_deinit(void)
{
	const char *error;

	test_begin("the test's directory can be removed");
	test_assert(unlink_directory(work_dir, UNLINK_DIRECTORY_FLAG_RMDIR,
				     &error) == 1);
	test_end();
}

/* Data stack. */
static inline const char *work_path(const char *name)
{
	return t_strdup_printf("%s/%s", work_dir, name);
}

/* Returns its path. Data stack. */
static inline const char *
write_file(const char *name, const char *content, mode_t mode)
{
	const char *path = work_path(name);
	size_t len = strlen(content);
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1 || write(fd, content, len) != (ssize_t)len ||
	    fchmod(fd, mode) < 0 || close(fd) < 0)
		i_fatal("can't write %s: %m", path);
	return path;
}

/* A run of /bin/sh whose $0 is work_dir. Data stack. */
static inline struct antispam_run sh_run(const char *script)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	const char **argv = t_new(const char *, 5);
	struct antispam_run run = {
		.argv = argv,
		.env = env,
		.timeout_msecs = RUN_TIMEOUT_MSECS,
		.max_output = 4096,
	};

	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = script;
	argv[3] = work_dir;
	return run;
}

/* Data of all byte values, which does not repeat in blocks. Heap. */
static inline unsigned char *make_data(size_t size)
{
	unsigned char *data = i_malloc(size + 1);
	size_t i;

	for (i = 0; i < size; i++)
		data[i] = i ^ (i >> 8) ^ (i >> 16);
	return data;
}

/* NULL = there is none. Heap. */
static inline unsigned char *read_file(const char *path, size_t *size_r)
{
	unsigned char *data;
	struct stat st;
	int fd;

	*size_r = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	if (fstat(fd, &st) < 0)
		i_fatal("fstat(%s) failed: %m", path);
	data = i_malloc(st.st_size + 1);
	if (st.st_size > 0 && read_full(fd, data, st.st_size) <= 0)
		i_fatal("read(%s) failed: %m", path);
	(void)close(fd);
	*size_r = st.st_size;
	return data;
}

static inline unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	if (dir == NULL)
		i_fatal("opendir(/proc/self/fd) failed: %m");
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

/* Valgrind makes a fork() of posix_spawn()'s child, so that the parent never
   hears of a failed exec or chdir; that of Debian 12 has no pidfds. See
   test_native(). */
static inline bool on_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

/* In the place of libc's: there are no pidfds if no_pidfd says so, or if
   valgrind doesn't know them; it shall say so only once. */
static bool no_pidfd;
int pidfd_open(pid_t pid, unsigned int flags);
int pidfd_open(pid_t pid, unsigned int flags)
{
	static bool unknown;
	int ret = -1;

	if (!no_pidfd && !unknown)
		ret = syscall(SYS_pidfd_open, pid, flags);
	else
		errno = ENOSYS;
	if (ret < 0 && errno == ENOSYS && on_valgrind())
		unknown = TRUE;
	return ret;
}

/* antispam_run_many(), which leaves neither a descriptor nor a child. */
static inline void
run_many(const struct antispam_run *runs, unsigned int count,
	 unsigned int max_parallel, bool stop_on_failure,
	 struct antispam_run_reply *replies)
{
	unsigned int fds = count_fds();

	antispam_run_many(runs, count, max_parallel, stop_on_failure, replies);
	test_assert(count_fds() == fds);
	test_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static inline struct antispam_run_reply
run_one(const struct antispam_run *run)
{
	struct antispam_run_reply reply;

	run_many(run, 1, 1, FALSE, &reply);
	return reply;
}

static inline void
check_input(struct istream *input, const unsigned char *data, size_t size,
	    unsigned int i)
{
	struct antispam_run run = sh_run("cat >$0/stdin; echo $?");
	struct antispam_run_reply reply;
	unsigned char *got;
	size_t got_size;

	/* It is read from its start, wherever it stands. */
	i_stream_seek(input, size / 2);
	run.input = input;
	reply = run_one(&run);
	test_assert_strcmp_idx(reply.out, "0\n", i);
	got = read_file(work_path("stdin"), &got_size);
	test_assert_idx(got != NULL && got_size == size, i);
	if (got != NULL && got_size == size)
		test_assert_idx(memcmp(got, data, size) == 0, i);
	i_free(got);
}

/* What valgrind can't run: all of this test program, once more, with an
   argument. */
static inline void test_native(void)
{
	static char self[PATH_MAX];
	static const char *const argv[] = { self, "native", NULL };
	struct antispam_run run = sh_run("");
	struct antispam_run_reply reply;

	if (!on_valgrind())
		return;
	test_begin("the same without valgrind");
	test_assert(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	run.argv = argv;
	run.max_output = 65536;
	reply = run_one(&run);
	test_assert(reply.end == ANTISPAM_RUN_EXITED);
	test_assert_strcmp(reply.exit_status != 0 ? reply.out : "", "");
	test_end();
}

#endif
