/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What becomes of lessons. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-trainer-work.h"

static void test_teach(void)
{
	static const char *const first[] = { "s1", "-h1", "known", NULL };
	static const char *const second[] = { "declined", "-h2", "", NULL };
	struct antispam_queue *queue;
	struct antispam_job job = queue_test_job(TRUE, "g", NULL);

	work_begin("work: lessons are taught, and their transactions removed");
	plan_tx(make_tx(first), 3, TRAINER_TEACH);
	plan_tx(make_tx(second), 3, TRAINER_TEACH);
	queue_test_write("mail", "From me\nlink", 12);
	queue = queue_test_begin("user");
	test_assert(queue_test_link(queue, &job, "mail"));
	queue_test_write("mail", "From me\nlink", 12);
	plan_tx(queue_test_release(&queue), 1, TRAINER_TEACH);
	work();
	test_assert_strcmp(str_c(taught), "spam:s1 spam:known spam:declined "
					  "spam: spam:link ham:h1 ham:h2");
	test_assert(filter_calls == 2);
	check_report(0, TRAINER_LEARNED, 0, NULL);
	check_report(1, TRAINER_LEARNED, 0, NULL);
	check_report(2, TRAINER_KNOWN, 0, "known before");
	check_report(3, TRAINER_DECLINED, 0, "too short");
	check_report(6, TRAINER_LEARNED, 0, NULL);
	test_assert_strcmp(reports[0].folder, "SPAM");
	test_assert_strcmp(reports[1].folder, "INBOX");
	test_assert_strcmp(reports[0].origin, "UID 1 of somewhere");
	test_assert(queue_test_is_empty());
	/* and it can be done no more */
	work();
	test_assert(filter_calls == 0);
	for (steps_count = 0; steps_count < 7; steps_count++)
		test_assert(reports[steps_count].result == TRAINER_GONE);
	i_unlink("mail");
	work_end();
}

static void test_cancel(void)
{
	static const char *const both[] = { "s1", "s2", NULL };
	const char *name;

	work_begin("work: lessons are taken back");
	plan_tx(make_tx_one("there"), 1, TRAINER_CANCEL);
	plan_tx(make_tx_one("-back"), 1, TRAINER_CANCEL);
	name = make_tx(both);
	plan_tx(name, 2, TRAINER_CANCEL);
	steps[3].action = TRAINER_TEACH;
	work();
	test_assert_strcmp(str_c(taught), "spam:s2");
	check_report(0, TRAINER_CANCELLED, 0, NULL);
	check_report(1, TRAINER_CANCELLED, 0, NULL);
	check_report(2, TRAINER_CANCELLED, 0, NULL);
	check_report(3, TRAINER_LEARNED, 0, NULL);
	/* it needs no filter */
	steps_count = 0;
	plan_tx(make_tx_one("there"), 1, TRAINER_CANCEL);
	work_training(-1, "no backend");
	check_report(0, TRAINER_CANCELLED, 0, NULL);
	work_end();
}

/* Some come to nothing: what became of all is in the queue. */
static void test_mixed(void)
{
	static const char *const messages[] = { "fine", "later", "broken",
						"-fine", NULL };
	const char *name, *failed;

	work_begin("work: what became of each lesson is kept");
	name = make_tx(messages);
	plan_tx(name, 4, TRAINER_TEACH);
	work();
	check_report(0, TRAINER_LEARNED, 0, NULL);
	check_report(1, TRAINER_LATER, 1, "too busy");
	check_report(2, TRAINER_FAILED, 1, "no good");
	check_report(3, TRAINER_LEARNED, 0, NULL);
	test_assert(reports[1].wait_msecs == LIFETIME_MSECS / 100);
	test_assert_strcmp(states_of(name, 4),
			   "done,0, waiting,1,too busy failed,1,no good "
			   "done,0,");
	/* again: only what waits is tried */
	work();
	test_assert_strcmp(str_c(taught), "spam:later");
	check_report(0, TRAINER_GONE, 0, NULL);
	check_report(1, TRAINER_LATER, 2, "too busy");
	check_report(2, TRAINER_GONE, 1, NULL);
	test_assert(reports[1].wait_msecs == 2 * LIFETIME_MSECS / 100);
	/* at last it is taken back, and the one that failed is kept */
	steps_count = 0;
	plan_tx(name, 4, TRAINER_CANCEL);
	work();
	check_report(1, TRAINER_CANCELLED, 2, NULL);
	failed = t_strconcat("failed.", name + strlen("job."), NULL);
	test_assert_strcmp(queue_test_list(queue_test_dir), failed);
	test_assert_strcmp(states_of(failed, 4),
			   "done,0, done,2, failed,1,no good done,0,");
	tx_remove(failed);
	work_end();
}

/* One that somebody else's clock, or a machine that was off, has made old. */
static void test_expired(void)
{
	const char *lines = TX_HEAD TX_JOB;
	string_t *str;
	unsigned int i;

	work_begin("work: what is too old is given up, but not at once");
	tx_mkdir("job.1");
	tx_write_jobs("job.1", lines, 1);
	/* the message */
	str = tx_jobs_text(lines, 1);
	memcpy(str_c_modifiable(str), "late", 4);
	queue_test_write(tx_path("job.1", "jobs"), str_data(str),
			 str_len(str));
	plan_tx("job.1", 1, TRAINER_TEACH);
	backend.needs = ANTISPAM_NEED_MESSAGE | ANTISPAM_NEED_SIGNATURE;
	for (i = 1; i < TRAINER_GIVE_UP_ATTEMPTS; i++) {
		work_training(-1, "settings are wrong");
		check_report(0, TRAINER_LATER, i, "settings are wrong");
	}
	work_training(-1, "settings are wrong");
	check_report(0, TRAINER_FAILED, i, "settings are wrong");
	test_assert_strcmp(queue_test_list(queue_test_dir), "failed.1");
	test_assert_strcmp(states_of("failed.1", 1),
			   "failed,3,settings are wrong");
	tx_remove("failed.1");

	/* and what can be learned is learned, however old */
	tx_mkdir("job.1");
	tx_write_jobs("job.1", lines, 1);
	backend.needs = ANTISPAM_NEED_MESSAGE;
	work();
	test_assert_strcmp(str_c(taught), "spam:copy");
	check_report(0, TRAINER_LEARNED, 0, NULL);
	work_end();
}

/* A dead filter gets some of them: the others' tries don't count. */
static void test_dead_filter(void)
{
	const char *messages[101], *name;
	unsigned int i;

	work_begin("work: a dead filter");
	for (i = 0; i < 100; i++)
		messages[i] = "later";
	messages[100] = NULL;
	name = make_tx(messages);
	plan_tx(name, 100, TRAINER_TEACH);
	work();
	test_assert(filter_calls == 1);
	for (i = 0; i < 16; i++)
		check_report(i, TRAINER_LATER, 1, "too busy");
	for (; i < 100; i++) {
		test_assert_idx(reports[i].result == TRAINER_UNTRIED, i);
		test_assert_idx(reports[i].attempts == 0, i);
		test_assert_idx(reports[i].wait_msecs > 0, i);
	}
	tx_remove(name);
	work_end();
}

/* Those that it never gets are given up, too. */
static void test_dead_filter_expired(void)
{
	string_t *lines = t_str_new(4096), *text;
	unsigned int i;

	work_begin("work: a filter that stays dead");
	str_append(lines, TX_HEAD);
	for (i = 0; i < 100; i++)
		str_append(lines, TX_JOB);
	text = tx_jobs_text(str_c(lines), 100);
	memcpy(str_c_modifiable(text), "late", 4);
	tx_mkdir("job.1");
	queue_test_write(tx_path("job.1", "jobs"), str_data(text),
			 str_len(text));
	plan_tx("job.1", 100, TRAINER_TEACH);
	for (i = 0; i < TRAINER_GIVE_UP_ATTEMPTS; i++) {
		test_assert_strcmp(queue_test_list(queue_test_dir), "job.1");
		work();
		test_assert_idx(filter_calls == 1, i);
	}
	for (i = 0; i < 100; i++)
		test_assert_idx(reports[i].result == TRAINER_FAILED, i);
	tx_remove("failed.1");
	work_end();
}

static void test_training_off(void)
{
	const char *name;

	work_begin("work: training is off, or impossible");
	name = make_tx_one("x");
	plan_tx(name, 1, TRAINER_TEACH);
	work_training(-1, "antispam_backend = x: no");
	check_report(0, TRAINER_LATER, 1, "antispam_backend = x: no");
	test_assert_strcmp(states_of(name, 1),
			   "waiting,1,antispam_backend = x: no");
	work_training(0, NULL);
	check_report(0, TRAINER_DECLINED, 1, "antispam_backend is none");
	work_end();
}

/* What was queued for one backend may not do for another one. */
static void test_fits(void)
{
	struct antispam_queue *queue;
	struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	const char *name;

	work_begin("work: what the backend of today needs");
	/* neither message nor signature */
	queue = queue_test_begin("user");
	antispam_queue_add(queue, &job, FALSE);
	/* a signature that is none, and one that is one */
	job.signature = "--help";
	antispam_queue_add(queue, &job, FALSE);
	job.signature = "abc";
	antispam_queue_add(queue, &job, FALSE);
	name = p_strdup(test_pool, queue_test_release(&queue));
	plan_tx(name, 3, TRAINER_TEACH);
	backend.needs = ANTISPAM_NEED_SIGNATURE;
	settings.signature_regex = NULL;
	work();
	test_assert_strcmp(str_c(taught), "spam:abc:");
	test_assert(reports[0].result == TRAINER_FAILED);
	test_assert(strstr(reports[0].why, "without a signature") != NULL);
	test_assert(reports[1].result == TRAINER_FAILED);
	test_assert(reports[1].why != NULL);
	check_report(2, TRAINER_LEARNED, 0, NULL);
	tx_remove(queue_test_list(queue_test_dir));

	queue = queue_test_begin("user");
	antispam_queue_add(queue, &job, FALSE);
	test_assert(queue_test_copy(queue, &job, "0123456789", 10) > 0);
	test_assert(queue_test_copy(queue, &job, "012345678", 9) > 0);
	steps_count = 0;
	plan_tx(queue_test_release(&queue), 3, TRAINER_TEACH);
	backend.needs = ANTISPAM_NEED_MESSAGE;
	settings.max_size = 9;
	work();
	test_assert_strcmp(str_c(taught), "spam:012345678");
	test_assert(reports[0].result == TRAINER_FAILED);
	test_assert(strstr(reports[0].why, "without its message") != NULL);
	check_report(1, TRAINER_DECLINED, 0,
		     "it is bigger than antispam_max_size");
	check_report(2, TRAINER_LEARNED, 0, NULL);
	tx_remove(queue_test_list(queue_test_dir));
	work_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_teach,
		test_cancel,
		test_mixed,
		test_expired,
		test_dead_filter,
		test_dead_filter_expired,
		test_training_off,
		test_fits,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
