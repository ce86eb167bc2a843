/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What a reader does with a transaction. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "wildcard-match.h"
#include "test-queue.h"

#include <signal.h>
#include <sys/resource.h>

static void test_lock(void)
{
	struct antispam_queue_entry entry, other;
	const char *error;

	test_begin("queue entry: locks");
	tx_make("job.1");
	test_assert(antispam_queue_entry_open(queue_test_fd, "job.1", &entry,
					      &error) == ANTISPAM_QUEUE_FOUND);
	test_assert(antispam_queue_entry_open(queue_test_fd, "job.1", &other,
					      &error) == ANTISPAM_QUEUE_FOUND);
	test_assert(antispam_queue_entry_lock(&entry));
	test_assert(antispam_queue_entry_lock(&entry));
	test_assert(!antispam_queue_entry_lock(&other));
	antispam_queue_entry_close(&entry);
	test_assert(antispam_queue_entry_lock(&other));
	antispam_queue_entry_close(&other);
	/* who had it may have removed it all */
	test_assert(antispam_queue_entry_open(queue_test_fd, "job.1", &entry,
					      &error) == ANTISPAM_QUEUE_FOUND);
	tx_remove("job.1");
	test_assert(!antispam_queue_entry_lock(&entry));
	antispam_queue_entry_close(&entry);
	test_end();
}

/* Returns whether the file could be written. */
static bool
write_state(const struct antispam_queue_entry *entry,
	    const struct antispam_queue_state *states)
{
	const char *error = "";

	if (antispam_queue_entry_write_state(entry, states, &error) == 0)
		return TRUE;
	test_assert(strstr(error, "can't write job.1/state: ") != NULL);
	return FALSE;
}

/* The state of the first job, read anew. Strings on the data stack. */
static struct antispam_queue_state
read_state(const struct antispam_queue_entry *entry)
{
	pool_t pool = pool_alloconly_create("test state", 1024);
	struct antispam_queue_state states[2];

	i_zero(&states);
	antispam_queue_entry_read_state(entry, pool, states);
	test_assert(states[1].status == ANTISPAM_QUEUE_WAITING);
	states[0].why = t_strdup(states[0].why);
	pool_unref(&pool);
	return states[0];
}

static void test_state(void)
{
	struct antispam_queue_state states[2] = {
		{ ANTISPAM_QUEUE_FAILED, 3, 0, "a\tb\nc" }, { 0, 0, 0, NULL }
	};
	const char *path = tx_path("job.1", "state"), *error;
	struct antispam_queue_entry entry;

	test_begin("queue entry: the state file");
	tx_make("job.1");
	test_assert(antispam_queue_entry_open(queue_test_fd, "job.1", &entry,
					      &error) == ANTISPAM_QUEUE_FOUND);
	test_assert(read_state(&entry).attempts == 0);
	test_assert(write_state(&entry, states));
	test_assert(read_state(&entry).attempts == 3);
	test_assert(read_state(&entry).status == ANTISPAM_QUEUE_FAILED);
	test_assert_strcmp(read_state(&entry).why, "a\tb\nc");
	/* what a crash has left */
	queue_test_write(tx_path("job.1", "state.new"), "xyz", 3);
	states[0].attempts = 4;
	test_assert(write_state(&entry, states));
	test_assert(read_state(&entry).attempts == 4);
	test_assert_strcmp(queue_test_list(queue_test_path("job.1")),
			   "jobs m0 state");
	/* it is read only */
	test_assert(chmod(queue_test_path("job.1"), 0500) == 0);
	states[0].attempts = 5;
	test_assert(!write_state(&entry, states));
	test_assert(read_state(&entry).attempts == 4);
	test_assert(chmod(queue_test_path("job.1"), 0700) == 0);
	/* what is none, or cut */
	queue_test_write(path, "xyz", 3);
	test_assert(read_state(&entry).attempts == 0);
	queue_test_write(path, "\n0\t0\twaiting\t6\t0\t\n\0\0\n1\t1\tdo", 33);
	test_assert(read_state(&entry).attempts == 6);
	i_unlink(path);
	test_assert(symlink("jobs", path) == 0);
	test_assert(read_state(&entry).attempts == 0);
	/* it is replaced, not written through */
	test_assert(write_state(&entry, states));
	test_assert(read_state(&entry).attempts == 5);
	i_unlink(path);
	test_assert(mkfifo(path, 0600) == 0);
	test_assert(read_state(&entry).attempts == 0);
	test_assert(write_state(&entry, states));
	if (queue_test_become_root()) {
		test_assert(chown(path, QUEUE_TEST_OTHER_UID, 0) == 0);
		test_assert(chmod(path, 0644) == 0);
		queue_test_user();
		test_assert(read_state(&entry).attempts == 0);
	}
	antispam_queue_entry_close(&entry);
	tx_remove("job.1");
	test_end();
}

/* A full disk leaves the state that was there. A reason may be long. */
static void test_state_full(void)
{
	struct antispam_queue_state states[2] = {
		{ ANTISPAM_QUEUE_WAITING, 1, 5, "why" }, { 0, 0, 0, NULL }
	};
	struct antispam_queue_entry entry;
	struct rlimit old, small;
	const char *error;

	test_begin("queue entry: the state file, long and on a full disk");
	tx_make("job.1");
	test_assert(antispam_queue_entry_open(queue_test_fd, "job.1", &entry,
					      &error) == ANTISPAM_QUEUE_FOUND);
	test_assert(write_state(&entry, states));
	(void)signal(SIGXFSZ, SIG_IGN);
	test_assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = old;
	small.rlim_cur = 3;
	test_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
	states[0].attempts = 2;
	test_assert(!write_state(&entry, states));
	test_assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
	test_assert(read_state(&entry).attempts == 1);
	test_assert_strcmp(read_state(&entry).why, "why");

	states[0].why = queue_test_text(100000);
	test_assert(write_state(&entry, states));
	test_assert(read_state(&entry).attempts == 2);
	antispam_queue_entry_close(&entry);
	tx_remove("job.1");
	test_end();
}

static void test_remove(void)
{
	unsigned int i, rounds = 0;

	test_begin("queue entry: a transaction is removed");
	test_assert(antispam_queue_entry_remove(queue_test_fd, "job.1", 1));
	tx_make("job.1");
	for (i = 0; i < 25; i++) {
		queue_test_write(tx_path("job.1", t_strdup_printf("m%u", i)),
				 "x", 1);
	}
	/* in parts; first what makes it a transaction */
	while (!antispam_queue_entry_remove(queue_test_fd, "job.1", 10) &&
	       rounds++ < 10) {
		tx_check_open("job.1", ANTISPAM_QUEUE_UNFINISHED,
			      "No such file or directory");
	}
	test_assert(rounds == 2 && queue_test_is_empty());
	/* exactly so many */
	tx_make("job.1");
	test_assert(antispam_queue_entry_remove(queue_test_fd, "job.1", 1));
	test_assert(queue_test_is_empty());
	/* nothing is followed, and nothing is entered */
	tx_make("job.1");
	test_assert(symlink("job.1", queue_test_path("job.2")) == 0);
	test_assert(!antispam_queue_entry_remove(queue_test_fd, "job.2", 10));
	tx_check_open("job.1", ANTISPAM_QUEUE_FOUND, "");
	i_unlink(queue_test_path("job.2"));
	test_assert(mkdir(tx_path("job.1", "d"), 0700) == 0);
	queue_test_write(tx_path("job.1", "d/x"), "x", 1);
	test_assert(!antispam_queue_entry_remove(queue_test_fd, "job.1", 10));
	test_assert_strcmp(queue_test_list(queue_test_path("job.1")), "d");
	test_assert_strcmp(queue_test_list(tx_path("job.1", "d")), "x");
	i_unlink(tx_path("job.1", "d/x"));
	test_assert(rmdir(tx_path("job.1", "d")) == 0);
	test_assert(antispam_queue_entry_remove(queue_test_fd, "job.1", 0));
	test_assert(queue_test_is_empty());
	test_end();
}

static void test_rename(void)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "job.1.2.3", "failed.1.2.3" },
		{ ".job.1.2.3", "failed.1.2.3" },
		{ "failed.1.2.3", "failed.1.2.3.*" },
		{ "job.", "failed." },
		{ "job.job.1", "failed.job.1" },
	};
	const char *name, *longest = t_strdup_printf("job.%0251d", 1);
	unsigned int i;

	test_begin("queue entry: a transaction is renamed");
	test_assert(antispam_queue_entry_rename(queue_test_fd, "job.1",
						"failed.") == NULL);
	test_assert(errno == ENOENT);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		tx_make(rows[i].from);
		name = antispam_queue_entry_rename(queue_test_fd, rows[i].from,
						   "failed.");
		test_assert_idx(name != NULL &&
					wildcard_match(name, rows[i].to),
				i);
		tx_remove(name == NULL ? rows[i].from : name);
	}
	name = antispam_queue_entry_rename(queue_test_fd, "failed.1", "job.");
	test_assert(name == NULL);
	tx_make("failed.1");
	name = antispam_queue_entry_rename(queue_test_fd, "failed.1", "job.");
	test_assert_strcmp(name, "job.1");
	/* the name is taken */
	queue_test_write(queue_test_path("failed.1"), "x", 1);
	name = antispam_queue_entry_rename(queue_test_fd, "job.1", "failed.");
	test_assert(name != NULL && wildcard_match(name, "failed.1.????????"));
	test_assert(antispam_queue_name_is_failed(name));
	i_unlink(queue_test_path("failed.1"));
	tx_remove(name);
	/* there is no room for a longer one */
	tx_make(longest);
	name = antispam_queue_entry_rename(queue_test_fd, longest, "failed.");
	test_assert(name != NULL && antispam_queue_name_is_failed(name));
	tx_remove(name == NULL ? longest : name);
	test_end();
}

static void test_names(void)
{
	static const struct {
		const char *name;
		bool visible, hidden, failed;
	} rows[] = {
		{ "job.1", TRUE, FALSE, FALSE },
		{ ".job.1", FALSE, TRUE, FALSE },
		{ "failed.1", FALSE, FALSE, TRUE },
		{ "job", FALSE, FALSE, FALSE },
		{ "jobs", FALSE, FALSE, FALSE },
		{ "Job.1", FALSE, FALSE, FALSE },
		{ "..job.1", FALSE, FALSE, FALSE },
		{ ".failed.1", FALSE, FALSE, FALSE },
		{ "", FALSE, FALSE, FALSE },
		{ ".", FALSE, FALSE, FALSE },
		{ "..", FALSE, FALSE, FALSE },
	};
	unsigned int i;

	test_begin("queue entry: names");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		const char *name = rows[i].name;

		test_assert_idx(antispam_queue_name_is_visible(name) ==
					rows[i].visible,
				i);
		test_assert_idx(antispam_queue_name_is_hidden(name) ==
					rows[i].hidden,
				i);
		test_assert_idx(antispam_queue_name_is_failed(name) ==
					rows[i].failed,
				i);
	}
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_lock,
		test_state,
		test_state_full,
		test_remove,
		test_rename,
		test_names,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
