#ifndef TEST_TRAINER_WORK_H
#define TEST_TRAINER_WORK_H

/* A child's work, in this process, for test-trainer-work*.c: the filter is the
   test's own, the queue is real. It wants _GNU_SOURCE. Include it after lib.h,
   once. */

#include "lib-event.h"
#include "test-queue.h"
#include "antispam-backend.h"
#include "antispam-settings.h"
#include "antispam-teacher.h"
#include "trainer-child.h"
#include "trainer-report.h"
#include "trainer-work.h"

#include <time.h>

#define LIFETIME_MSECS (1000 * 1000)
#define MAX_STEPS 400

/* What the filter was given, as "spam:message ham:message", and how often. */
static string_t *taught;
static unsigned int filter_calls;
/* It needs this, and is given so much. */
static struct antispam_backend backend;
static struct antispam_settings settings;

static struct trainer_step steps[MAX_STEPS];
static unsigned int steps_count;
/* Reports, by step, and their number; strings live as long as a test. */
static struct trainer_report reports[MAX_STEPS];
static unsigned int reports_count;
static pool_t test_pool;

/* What a message that begins so comes to. */
static const struct {
	const char *message;
	enum antispam_result result;
	const char *why;
} filter_rows[] = {
	{ "known", ANTISPAM_KNOWN, "known before" },
	{ "declined", ANTISPAM_DECLINED, "too short" },
	{ "late", ANTISPAM_LATER, "too busy" },
	{ "broken", ANTISPAM_BROKEN, "no good" },
};

static inline void
filter_learn_one(const struct antispam_job *job,
		 struct antispam_outcome *outcome)
{
	const unsigned char *data = NULL;
	size_t size = 0;
	unsigned int i;

	if (str_len(taught) > 0)
		str_append_c(taught, ' ');
	str_append(taught, job->spam ? "spam:" : "ham:");
	if (job->signature != NULL)
		str_printfa(taught, "%s:", job->signature);
	if (job->message != NULL)
		(void)i_stream_read_more(job->message, &data, &size);
	str_append_data(taught, data, size);
	i_zero(outcome);
	for (i = 0; i < N_ELEMENTS(filter_rows); i++) {
		const char *message = filter_rows[i].message;

		if (size >= strlen(message) &&
		    memcmp(data, message, strlen(message)) == 0) {
			outcome->result = filter_rows[i].result;
			outcome->why = t_strdup(filter_rows[i].why);
		}
	}
}

static inline void filter_learn(void *context ATTR_UNUSED,
				const struct antispam_batch *batch,
				void **undo ATTR_UNUSED)
{
	unsigned int i;

	filter_calls++;
	for (i = 0; i < batch->count; i++) {
		test_assert(batch->jobs[i]->path == NULL ||
			    access(batch->jobs[i]->path, R_OK) == 0);
		filter_learn_one(batch->jobs[i], &batch->outcomes[i]);
	}
}

static inline void work_begin(const char *name)
{
	const struct antispam_backend filter = {
		.name = "test",
		.needs = ANTISPAM_NEED_MESSAGE,
		.signature_header = "X-Test",
		.max_batch = 32,
		.learn = filter_learn,
	};

	test_begin(name);
	backend = filter;
	i_zero(&settings);
	settings.max_parallel = 4;
	test_pool = pool_alloconly_create("test work", 4096);
	taught = str_new(default_pool, 256);
	steps_count = 0;
}

static inline void work_end(void)
{
	str_free(&taught);
	pool_unref(&test_pool);
	test_assert(queue_test_is_empty());
	test_end();
}

/* Plan to do this with all jobs of a transaction. */
static inline struct trainer_tx *
plan_tx(const char *name, unsigned int count, enum trainer_action action)
{
	struct trainer_tx *tx;
	unsigned int i;

	tx = p_malloc(test_pool, sizeof(*tx) + count * sizeof(tx->jobs[0]));
	tx->name = p_strdup(test_pool, name);
	tx->count = tx->waiting = count;
	for (i = 0; i < count; i++) {
		i_assert(steps_count < MAX_STEPS);
		steps[steps_count].tx = tx;
		steps[steps_count].job = i;
		steps[steps_count++].action = action;
	}
	return tx;
}

static inline void
work_report(const struct trainer_report *report, void *context)
{
	struct trainer_report *copy = &reports[report->step];

	test_assert(context == reports && report->step < steps_count);
	/* once */
	test_assert_idx(copy->folder == NULL, report->step);
	*copy = *report;
	copy->folder = p_strdup(test_pool, report->folder);
	copy->origin = p_strdup(test_pool, report->origin);
	copy->why = p_strdup(test_pool, report->why);
	reports_count++;
}

static inline void work_training(int training, const char *error)
{
	const unsigned int fds = queue_test_fds();
	struct trainer_child_task task = {
		.queue_dir = queue_test_dir,
		.queue_fd = queue_test_fd,
		.username = "user",
		.uid = geteuid(),
		.steps = steps,
		.steps_count = steps_count,
		.lifetime_msecs = LIFETIME_MSECS,
	};
	struct antispam_teacher teacher = {
		.set = &settings,
		.backend = training > 0 ? &backend : NULL,
		.event = event_create(NULL),
	};

	memset(reports, 0, sizeof(reports));
	reports_count = filter_calls = 0;
	str_truncate(taught, 0);
	trainer_work(&task, &teacher, training, error, work_report, reports);
	event_unref(&teacher.event);
	test_assert(reports_count == steps_count);
	test_assert(queue_test_fds() == fds);
}

static inline void work(void)
{
	work_training(1, NULL);
}

static inline void check_report(unsigned int step, enum trainer_result result,
				unsigned int attempts, const char *why)
{
	test_assert_idx(reports[step].result == result, step);
	test_assert_idx(reports[step].attempts == attempts, step);
	test_assert_idx((reports[step].wait_msecs > 0) ==
				(result == TRAINER_LATER ||
				 result == TRAINER_UNTRIED),
			step);
	test_assert_strcmp_idx(reports[step].why, why, step);
}

/* A transaction whose jobs' messages are these; those that begin with "-" are
   ham. Returns its name, in the test's pool. */
static inline const char *make_tx(const char *const *messages)
{
	struct antispam_queue *queue = queue_test_begin("user");
	struct antispam_job job;

	for (; *messages != NULL; messages++) {
		const char *message = *messages;

		job = queue_test_job(*message != '-', "guid", "sig");
		message += *message == '-' ? 1 : 0;
		test_assert(queue_test_copy(queue, &job, message,
					    strlen(message)) > 0);
	}
	return p_strdup(test_pool, queue_test_release(&queue));
}

static inline const char *make_tx_one(const char *message)
{
	const char *const messages[] = { message, NULL };

	return make_tx(messages);
}

/* The states of a transaction's jobs, as "done,2,why waiting,1,". Data
   stack. */
static inline const char *states_of(const char *name, unsigned int count)
{
	static const char *const names[] = { "waiting", "done", "failed" };
	struct antispam_queue_state *states =
		t_new(struct antispam_queue_state, count);
	pool_t pool = pool_alloconly_create("test states", 1024);
	struct antispam_queue_entry entry;
	string_t *str = t_str_new(256);
	const char *error;
	unsigned int i;

	if (antispam_queue_entry_open(queue_test_fd, name, &entry, &error) !=
	    ANTISPAM_QUEUE_FOUND)
		return error;
	test_assert(entry.end.count == count);
	antispam_queue_entry_read_state(&entry, pool, states);
	for (i = 0; i < count; i++) {
		str_printfa(str, "%s%s,%u,%s", i == 0 ? "" : " ",
			    names[states[i].status], states[i].attempts,
			    states[i].why == NULL ? "" : states[i].why);
		/* what waits after a try does so for a while */
		if (states[i].status == ANTISPAM_QUEUE_WAITING) {
			test_assert_idx((states[i].next_try > time(NULL)) ==
						(states[i].why != NULL),
					i);
		}
	}
	antispam_queue_entry_close(&entry);
	pool_unref(&pool);
	return str_c(str);
}

#endif
