/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What may be the matter with transactions. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-trainer-work.h"

#include <signal.h>

static void test_not_ours(void)
{
	struct antispam_queue *queue = queue_test_begin("somebody");
	struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	const char *name;

	work_begin("work: transactions that are not the user's");
	test_assert(queue_test_copy(queue, &job, "x", 1) > 0);
	name = p_strdup(test_pool, queue_test_release(&queue));
	plan_tx(name, 1, TRAINER_TEACH);
	/* one that has another number of jobs than it had */
	plan_tx(make_tx_one("x"), 2, TRAINER_TEACH);
	/* and what is none */
	queue_test_write(queue_test_path("job.file"), "x", 1);
	plan_tx("job.file", 1, TRAINER_TEACH);
	tx_mkdir("job.empty");
	plan_tx("job.empty", 1, TRAINER_TEACH);
	tx_mkdir("job.crc");
	tx_write_jobs("job.crc", TX_HEAD TX_JOB,
		      2);
	plan_tx("job.crc", 1, TRAINER_TEACH);
	work();
	test_assert(filter_calls == 0);
	check_report(0, TRAINER_FOREIGN, 0, "it is another user's now");
	check_report(1, TRAINER_FOREIGN, 0, "it has other jobs than it had");
	check_report(2, TRAINER_FOREIGN, 0, "it has other jobs than it had");
	test_assert(reports[3].result == TRAINER_FOREIGN);
	test_assert(reports[4].result == TRAINER_FOREIGN);
	test_assert(reports[5].result == TRAINER_FOREIGN);
	/* the manager puts them aside */
	i_unlink(queue_test_path("job.file"));
	(void)antispam_queue_entry_remove(queue_test_fd, "job.empty", 10);
	(void)antispam_queue_entry_remove(queue_test_fd, "job.crc", 10);
	(void)antispam_queue_entry_remove(queue_test_fd, name, 10);
	tx_remove(steps[1].tx->name);
	work_end();
}

/* Who settled the last job died before he removed it all. */
static void test_settled_before(void)
{
	static const char *const messages[] = { "a", "b", NULL };
	const struct antispam_queue_state states[2] = {
		{ .status = ANTISPAM_QUEUE_DONE },
		{ .status = ANTISPAM_QUEUE_FAILED, .why = "why" },
	};
	struct antispam_queue_entry entry;
	const char *name, *error;
	unsigned int i;

	work_begin("work: all was settled before");
	for (i = 0; i < 2; i++) {
		name = make_tx(messages);
		test_assert(antispam_queue_entry_open(queue_test_fd, name,
						      &entry, &error) ==
			    ANTISPAM_QUEUE_FOUND);
		entry.end.count = 2 - i;
		test_assert(antispam_queue_entry_write_state(&entry, states,
							     &error) == 0);
		antispam_queue_entry_close(&entry);
		steps_count = 0;
		plan_tx(name, 2, TRAINER_TEACH);
		work();
		check_report(0, TRAINER_GONE, 0, NULL);
		if (i == 0) {
			check_report(1, TRAINER_GONE, 0, NULL);
			name = t_strconcat("failed.", name + 4, NULL);
			test_assert_strcmp(states_of(name, 2),
					   "done,0, failed,0,why");
			tx_remove(name);
		} else {
			check_report(1, TRAINER_LEARNED, 0, NULL);
			test_assert_strcmp(str_c(taught), "spam:b");
		}
		test_assert(queue_test_is_empty());
	}
	work_end();
}

static void test_busy(void)
{
	struct antispam_queue_entry entry;
	const char *name, *error;
	int ready[2];
	pid_t pid;
	char c = 'x';

	work_begin("work: another process works on it");
	name = make_tx_one("x");
	plan_tx(name, 1, TRAINER_TEACH);
	if (pipe(ready) < 0)
		i_fatal("pipe() failed: %m");
	pid = fork();
	if (pid == 0) {
		if (antispam_queue_entry_open(queue_test_fd, name, &entry,
					      &error) == ANTISPAM_QUEUE_FOUND &&
		    antispam_queue_entry_lock(&entry) &&
		    write(ready[1], &c, 1) == 1)
			(void)pause();
		_exit(1);
	}
	test_assert(read(ready[0], &c, 1) == 1);
	work();
	check_report(0, TRAINER_BUSY, 0, NULL);
	test_assert(filter_calls == 0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	work();
	check_report(0, TRAINER_LEARNED, 0, NULL);
	i_close_fd(&ready[0]);
	i_close_fd(&ready[1]);
	work_end();
}

/* What could not be noted would be taught again and again. */
static void test_read_only(void)
{
	const char *name;

	work_begin("work: what can't be noted is not taught");
	name = make_tx_one("x");
	plan_tx(name, 1, TRAINER_TEACH);
	test_assert(chmod(queue_test_path(name), 0500) == 0);
	work();
	test_assert(filter_calls == 0);
	test_assert(reports[0].result == TRAINER_LATER);
	test_assert(reports[0].wait_msecs > 0);
	test_assert(strstr(reports[0].why, "can't be written") != NULL);
	test_assert(chmod(queue_test_path(name), 0000) == 0);
	work();
	test_assert(filter_calls == 0);
	test_assert(reports[0].result == TRAINER_LATER);
	test_assert(strstr(reports[0].why, "Permission denied") != NULL);
	test_assert(chmod(queue_test_path(name), 0700) == 0);
	work();
	check_report(0, TRAINER_LEARNED, 0, NULL);
	work_end();
}

/* Its writer died after prepare: hidden, but complete. */
static void test_hidden(void)
{
	work_begin("work: a transaction that was never released");
	tx_make(".job.1");
	plan_tx(".job.1", 2, TRAINER_TEACH);
	work();
	test_assert_strcmp(str_c(taught), "spam:copy spam:link");
	test_assert(queue_test_is_empty());
	/* its messages are gone */
	tx_make(".job.1");
	i_unlink(tx_path(".job.1", "m0"));
	work();
	check_report(0, TRAINER_LEARNED, 0, NULL);
	test_assert(reports[1].result == TRAINER_FAILED);
	test_assert_strcmp(queue_test_list(queue_test_dir), "failed.1");
	tx_remove("failed.1");
	work_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_not_ours,
		test_settled_before,
		test_busy,
		test_read_only,
		test_hidden,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
