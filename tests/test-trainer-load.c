/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-queue.h"
#include "trainer-load.h"

#define HOUR_USECS (60LL * 60 * 1000000)

/* Load job.1 with this head, two jobs, and this state file; NULL = none. */
static struct trainer_tx *
load(const struct antispam_queue_head *head, const char *state,
     const char **username_r, const char **error_r)
{
	struct antispam_queue_entry entry;
	struct trainer_tx *tx;
	string_t *str = t_str_new(256);

	antispam_queue_head_write(str, head);
	str_append(str, TX_JOB TX_JOB);
	tx_mkdir("job.1");
	tx_write_jobs("job.1", str_c(str), 2);
	if (state != NULL) {
		queue_test_write(tx_path("job.1", "state"), state,
				 strlen(state));
	}
	if (antispam_queue_entry_open(queue_test_fd, "job.1", &entry,
				      error_r) != ANTISPAM_QUEUE_FOUND)
		i_fatal("%s", *error_r);
	tx = trainer_load_tx(&entry, username_r, error_r);
	antispam_queue_entry_close(&entry);
	tx_remove("job.1");
	return tx;
}

static void tx_free(struct trainer_tx **tx)
{
	i_free((*tx)->name);
	i_free(*tx);
}

static void now(struct antispam_queue_head *head_r)
{
	antispam_queue_now(head_r);
	head_r->username = "user";
}

static void test_facts(void)
{
	unsigned char key[TRAINER_KEY_SIZE];
	struct antispam_queue_head head;
	const char *username, *error;
	struct trainer_tx *tx;

	test_begin("load: a transaction");
	now(&head);
	tx = load(&head, NULL, &username, &error);
	test_assert_strcmp(username, "user");
	test_assert_strcmp(tx->name, "job.1");
	test_assert(tx->uid == geteuid());
	test_assert(tx->count == 2 && tx->waiting == 2);
	test_assert(!tx->gone);
	trainer_plan_key("g", key);
	test_assert(memcmp(tx->jobs[1].key, key, sizeof(key)) == 0);
	test_assert(tx->jobs[1].spam && !tx->jobs[1].settled);
	test_assert(tx->jobs[1].change.to == ANTISPAM_CLASS_SPAM);
	test_assert(tx->jobs[1].next_try == 0 && tx->jobs[1].attempts == 0);
	tx_free(&tx);
	test_end();
}

static void test_born(void)
{
	static const struct {
		bool other_boot;
		int64_t boot_usecs, wall_usecs;
		/* From now. */
		int64_t born_usecs;
	} rows[] = {
		{ FALSE, 0, 0, 0 },
		{ FALSE, -5000000, 0, -5000000 },
		/* the clock was set meanwhile */
		{ FALSE, -5000000, HOUR_USECS, -5000000 },
		{ FALSE, -5000000, -HOUR_USECS, -5000000 },
		/* the future is none */
		{ FALSE, HOUR_USECS, 0, 0 },
		/* before this boot */
		{ TRUE, -5000000, -HOUR_USECS, -HOUR_USECS },
		{ TRUE, HOUR_USECS, -1000 * HOUR_USECS, -1000 * HOUR_USECS },
		{ TRUE, 0, HOUR_USECS, 0 },
	};
	struct antispam_queue_head head;
	const char *username, *error;
	struct trainer_tx *tx;
	int64_t clock, off;
	unsigned int i;

	test_begin("load: when its jobs were made");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		now(&head);
		clock = head.boot_usecs;
		if (rows[i].other_boot)
			head.boot_id = "other";
		head.wall_usecs += rows[i].wall_usecs;
		head.boot_usecs =
			I_MAX(head.boot_usecs + rows[i].boot_usecs, 0);
		tx = load(&head, NULL, &username, &error);
		off = tx->born - (clock + rows[i].born_usecs);
		/* a slow machine */
		test_assert_idx(off > -30000000 && off < 30000000, i);
		tx_free(&tx);
	}
	test_end();
}

static void test_state(void)
{
	struct antispam_queue_head head;
	const char *username, *error, *state;
	struct trainer_tx *tx;

	test_begin("load: what became of its jobs");
	now(&head);
	state = t_strdup_printf("0\t0\tdone\t0\t0\t\n"
				"1\t1\twaiting\t3\t%" PRId64 "\ttoo busy\n",
				head.wall_usecs / 1000000 + 600);
	tx = load(&head, state, &username, &error);
	test_assert(tx->waiting == 1);
	test_assert(tx->jobs[0].settled && !tx->jobs[1].settled);
	test_assert(tx->jobs[1].attempts == 3);
	test_assert(tx->jobs[1].next_try >= head.boot_usecs + 500000000 &&
		    tx->jobs[1].next_try <= head.boot_usecs + 660000000);
	tx_free(&tx);
	/* the clock was set back: not for ever; or on: now */
	tx = load(&head, "0\t0\twaiting\t1\t999999999999\twhy\n"
			 "1\t1\twaiting\t1\t5\twhy\n",
		  &username, &error);
	test_assert(tx->jobs[0].next_try <= head.boot_usecs + 2 * HOUR_USECS);
	test_assert(tx->jobs[1].next_try > 0);
	test_assert(tx->jobs[1].next_try <= head.boot_usecs + 60000000);
	tx_free(&tx);
	/* all settled: a child must see to the rest */
	tx = load(&head, "0\t1\tdone\t0\t0\t\n", &username, &error);
	test_assert(tx->waiting == 2 && !tx->jobs[0].settled);
	tx_free(&tx);
	test_end();
}

static void test_broken(void)
{
	struct antispam_queue_head head;
	const char *username, *error;
	struct trainer_tx *tx;

	test_begin("load: a transaction that is none");
	now(&head);
	head.username = queue_test_text(900);
	tx = load(&head, NULL, &username, &error);
	test_assert_strcmp(username, head.username);
	tx_free(&tx);
	head.username = queue_test_text(901);
	test_assert(load(&head, NULL, &username, &error) == NULL);
	test_assert(strstr(error, "so long a name") != NULL);
	head.username = "";
	test_assert(load(&head, NULL, &username, &error) == NULL);
	test_assert(strstr(error, "names no user") != NULL);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_facts,
		test_born,
		test_state,
		test_broken,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
