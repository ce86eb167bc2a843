/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What the manager makes of what lies in the queue. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-queue.h"
#include "lib-event.h"
#include "trainer-queue.h"

static struct event *event;

static struct trainer_queue *queue_init(void)
{
	event = event_create(NULL);
	return trainer_queue_init(event, queue_test_dir, 0);
}

static void queue_deinit(struct trainer_queue **queue)
{
	trainer_queue_deinit(queue);
	event_unref(&event);
}

static void scan(struct trainer_queue *queue)
{
	while (!trainer_queue_scan(queue))
		;
}

/* The end of a message that is being copied may look like that of a job file,
   and a wrong one. */
static void test_being_written(void)
{
	static const char *const text =
		"a message\n"
		"end\t00000000000000000045\t0000000001\t00000000\n";
	struct antispam_queue *writer;
	struct antispam_store *store;
	struct trainer_queue *queue;
	const char *error, *name;

	test_begin("trainer queue: what is being written is left alone");
	queue = queue_init();
	writer = queue_test_begin("user");
	store = antispam_queue_store(writer);
	name = queue_test_list(queue_test_dir);
	scan(queue);
	test_assert(!trainer_queue_is_empty(queue));
	test_assert_strcmp(queue_test_list(queue_test_dir), name);

	antispam_store_begin(store, 0);
	antispam_store_append(store, text, strlen(text));
	test_assert(antispam_store_flush(store, &error) == 0);
	scan(queue);
	test_assert(!trainer_queue_is_empty(queue));
	test_assert_strcmp(queue_test_list(queue_test_dir), name);

	antispam_queue_rollback(&writer);
	/* one more knows that it is gone */
	scan(queue);
	scan(queue);
	test_assert(trainer_queue_is_empty(queue));
	queue_deinit(&queue);
	test_assert(queue_test_is_empty());
	test_end();
}

/* Whoever wrote it is dead. */
static void test_invalid(void)
{
	static const char *const text =
		"a message\n"
		"end\t00000000000000000045\t0000000001\t00000000\n";
	struct trainer_queue *queue;

	test_begin("trainer queue: what is no transaction is put aside");
	queue = queue_init();
	tx_mkdir(".job.1");
	queue_test_write(tx_path(".job.1", "jobs"), text, strlen(text));
	test_expect_error_string("is put aside as failed.1");
	scan(queue);
	test_expect_no_more_errors();
	test_assert_strcmp(queue_test_list(queue_test_dir), "failed.1");
	tx_remove("failed.1");
	queue_deinit(&queue);
	test_end();
}

/* Put aside what the trainer is told of. */
static void look_at_invalid(struct trainer_queue *queue, unsigned int number)
{
	const char *name = t_strdup_printf("job.%u", number);

	tx_mkdir(name);
	test_assert(chmod(queue_test_path(name), 0777) == 0);
	(void)trainer_queue_look(queue, name);
	name = t_strdup_printf("failed.%u", number);
	test_assert(rmdir(queue_test_path(name)) == 0);
}

/* The log is told of some one by one, and of all, whenever they are found. */
static void test_many_errors(void)
{
	struct trainer_queue *queue;
	unsigned int i;

	test_begin("trainer queue: errors between two scans are counted");
	queue = queue_init();
	scan(queue);
	test_expect_errors(10);
	for (i = 0; i < 15; i++)
		T_BEGIN {
			look_at_invalid(queue, i);
		} T_END;
	test_expect_no_more_errors();
	test_expect_error_string(": 5 more like that");
	scan(queue);
	test_expect_no_more_errors();
	scan(queue);
	queue_deinit(&queue);
	test_assert(queue_test_is_empty());
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_being_written,
		test_invalid,
		test_many_errors,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
