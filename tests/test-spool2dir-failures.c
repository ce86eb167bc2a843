/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend spool2dir with directories, disks and messages that fail it. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "istream-failure-at.h"
#include "test-spool2dir.h"

#include <signal.h>
#include <sys/resource.h>

#define NOBODY_UID 65534

/* Root may write anywhere: be somebody else. */
static void unprivileged_begin(void)
{
	if (getuid() == 0 && seteuid(NOBODY_UID) < 0)
		i_fatal("seteuid() failed: %m");
}

static void unprivileged_end(void)
{
	if (getuid() == 0 && seteuid(0) < 0)
		i_fatal("seteuid() failed: %m");
}

static void test_spool2dir_bad_directories(void)
{
	static const struct {
		const char *template, *path, *why;
	} tests[] = {
		{ "none/%lu%lu", "/none/) failed: No such file",
		  "; create the directory" },
		{ "none/deep/%lu%lu", "/none/deep/) failed: No such file",
		  "; create the directory" },
		{ "file/%lu%lu", "/file/) failed: Not a directory",
		  "; create the directory" },
		{ "ro/%lu%lu", "/ro/.17000000000) failed: Permission denied",
		  "; make the directory writable" },
		{ "closed/deep/%lu%lu", "/closed/deep/) failed: Permission",
		  "; make the directory writable" },
	};
	unsigned int i, fds;

	begin("directories that can't be used");
	put("file", "text");
	make_dir("ro", 0555);
	make_dir("closed", 0700);
	make_dir("closed/deep", 0777);
	test_assert(chmod(path_of("closed"), 0) == 0);
	fds = open_fds();
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		void *ctx = init_with(tests[i].template, "ham/%lu%lu");
		void *undo = NULL;
		struct antispam_outcome outcome;

		unprivileged_begin();
		outcome = learn(ctx, &undo, TRUE, "text");
		unprivileged_end();
		test_assert_idx(later(outcome, tests[i].path), i);
		test_assert_idx(later(outcome, tests[i].why), i);
		test_assert_idx(later(outcome, "antispam_spool2dir_spam: "), i);
		backend->rollback(ctx, &undo);
	}
	test_assert(open_fds() == fds);
	test_assert_strcmp(list("ro"), "");
	test_assert(chmod(path_of("closed"), 0700) == 0);
	end();
}

static void test_spool2dir_drop_box(void)
{
	void *ctx, *undo = NULL;
	unsigned int i, fds;

	begin("directory that users may write and not read");
	make_dir("box", getuid() == 0 ? 01733 : 0300);
	ctx = init_with("box/%lu-%lu", "ham/%lu-%lu");
	unprivileged_begin();
	fds = open_fds();
	for (i = 0; i < 3; i++)
		test_assert_idx(learned(learn(ctx, &undo, TRUE, "text")), i);
	test_assert(open_fds() == fds + 2);
	test_assert(commit(ctx, &undo) == 0);
	test_assert(open_fds() == fds);
	/* in prepare and in place of the directory's fsync */
	test_assert(syncfs_calls == 2 && fsync_calls == 0);
	unprivileged_end();
	test_assert(chmod(path_of("box"), 0700) == 0);
	test_assert_strcmp(list("box"), CLOCK "-0 " CLOCK "-1 " CLOCK "-2");
	end();
}

static void test_spool2dir_full_disk(void)
{
	static char big[42 * 1024];
	struct antispam_outcome outcomes[4];
	struct istream *inputs[4];
	void *ctx, *undo = NULL;
	struct rlimit old, limit;
	bool stop;
	unsigned int i;

	begin("disk full");
	memset(big, 'x', sizeof(big));
	(void)signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_FSIZE, &old) < 0)
		i_fatal("getrlimit() failed: %m");
	limit = old;
	limit.rlim_cur = 10000;
	for (i = 0; i < N_ELEMENTS(inputs); i++) {
		inputs[i] = i_stream_create_from_data(
			big, i == 1 ? sizeof(big) : 10000);
	}
	for (stop = FALSE;; stop = TRUE) {
		ctx = init();
		if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
			i_fatal("setrlimit() failed: %m");
		learn_batch(ctx, &undo, TRUE, inputs, N_ELEMENTS(inputs), stop,
			    FSYNC_MODE_OPTIMIZED, outcomes);
		if (setrlimit(RLIMIT_FSIZE, &old) < 0)
			i_fatal("setrlimit() failed: %m");
		test_assert(learned(outcomes[0]));
		test_assert(later(outcomes[1], "/spam/." CLOCK "-1-s) failed: "
					       "File too large"));
		for (i = 2; i < 4; i++) {
			test_assert_idx(stop || learned(outcomes[i]), i);
			test_assert_idx(!stop || skipped(outcomes[i]), i);
		}
		if (stop)
			break;
		/* the one that failed has left its counter to the next */
		test_assert(count_files("spam") == 3);
		backend->rollback(ctx, &undo);
	}
	test_assert_strcmp(list("spam"), "." CLOCK "-0-s");
	backend->rollback(ctx, &undo);
	test_assert_strcmp(list("spam"), "");
	for (i = 0; i < N_ELEMENTS(inputs); i++)
		i_stream_unref(&inputs[i]);
	end();
}

static void test_spool2dir_unreadable_message(void)
{
	static char text[20000];
	void *ctx, *undo = NULL;
	unsigned int i;

	begin("message that can't be read");
	ctx = init();
	memset(text, 'x', sizeof(text));
	for (i = 0; i < 3; i++) {
		struct istream *whole = i_stream_create_from_data(
			text, i == 1 ? 0 : sizeof(text));
		struct istream *input = i == 0 ?
			i_stream_create_error_str(EIO, "test failure") :
			i_stream_create_failure_at_eof(whole, EIO,
						       "test failure");

		test_assert_idx(later(learn_stream(ctx, &undo, TRUE, input),
				      "test failure"),
				i);
		i_stream_unref(&input);
		i_stream_unref(&whole);
		test_assert_strcmp_idx(list("spam"), "", i);
	}
	test_assert(commit(ctx, &undo) == 0);
	test_assert_strcmp(list("spam"), "");
	end();
}

static void test_spool2dir_sync_failures(void)
{
	static const struct {
		unsigned int count;
		int fsync_error, syncfs_error;
		const char *error;
	} tests[] = {
		{ 1, EIO, 0, "fsync(" },
		{ 2, ENOSPC, 0, "make room" },
		{ 3, 0, EIO, "syncfs(" },
	};
	void *ctx, *undo = NULL;
	const char *error;
	unsigned int i, j;

	begin("failing syncs and renames");
	ctx = init();
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		for (j = 0; j < tests[i].count; j++)
			test_assert(learned(learn(ctx, &undo, TRUE, "text")));
		fsync_error = tests[i].fsync_error;
		syncfs_error = tests[i].syncfs_error;
		error = "";
		test_assert_idx(backend->prepare(ctx, &undo, &error) == -1, i);
		test_assert_idx(strstr(error, tests[i].error) != NULL, i);
		test_assert_idx(strstr(error, "antispam_spool2dir_spam: ") ==
					error,
				i);
		backend->rollback(ctx, &undo);
		test_assert_strcmp_idx(list("spam"), "", i);
		fsync_error = syncfs_error = 0;
	}

	/* all is visible, but the directory can't be brought to the disk */
	test_assert(learned(learn(ctx, &undo, TRUE, "text")));
	test_assert(learned(learn(ctx, &undo, TRUE, "text")));
	fsync_error = EIO;
	error = "";
	test_assert(backend->commit(ctx, &undo, &error) == 0);
	test_assert(strstr(error, "/spam/) failed: Input/output") != NULL);

	/* file systems that know neither this nor the rename's flag */
	clock_secs++;
	test_assert(learned(learn(ctx, &undo, FALSE, "text")));
	fsync_error = renameat2_error = EINVAL;
	test_assert(backend->commit(ctx, &undo, &error) == 0);
	test_assert_strcmp(list("ham"), "1700000001-0-h");

	/* somebody has removed a hidden file; it alone is lost */
	clock_secs++;
	fsync_error = EIO;
	for (j = 0; j < 3; j++)
		test_assert(learned(learn(ctx, &undo, FALSE, "text")));
	test_assert(unlink(path_of("ham/.1700000002-1-h")) == 0);
	test_assert(backend->commit(ctx, &undo, &error) == 1);
	test_assert(strstr(error, "/ham/.1700000002-1-h) failed: No such") !=
		    NULL);
	end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_spool2dir_bad_directories,
		test_spool2dir_drop_box,
		test_spool2dir_full_disk,
		test_spool2dir_unreadable_message,
		test_spool2dir_sync_failures,
		NULL
	};

	return test_run(test_functions);
}
