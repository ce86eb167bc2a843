/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Decides when which user's lessons are learned, by at most so many children
   side by side. Users take turns, so that one who has moved very much keeps
   nobody waiting. */

#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "lib-event.h"
#include "str-sanitize.h"
#include "trainer-owner.h"
#include "trainer-plan.h"
#include "trainer-queue.h"
#include "trainer-run.h"
#include "trainer-manager.h"

/* Look at all of the queue that often: whoever released something may not have
   been able to say so. */
#define MANAGER_SCAN_MSECS (60 * 1000)
/* A child gets no more than so many lessons, and opens no more transactions:
   each takes two descriptors. */
#define MANAGER_MAX_STEPS 500
#define MANAGER_MAX_TXS 200
/* Wait so long if another trainer works for a user, if no child can be started,
   or, for a user whose last child had to be ended: others come first. */
#define MANAGER_BUSY_USECS (1000LL * 1000)
/* The former is doubled so often. */
#define MANAGER_BUSY_DOUBLINGS 6
#define MANAGER_FAULT_USECS (10LL * 1000 * 1000)
#define MANAGER_SILENT_USECS (10LL * 60 * 1000 * 1000)

/* A user's name in the log is cut here, in bytes. */
#define MANAGER_NAME_MAX 200

struct trainer_manager {
	struct trainer_manager_settings set;
	char *queue_dir;
	struct event *event;
	trainer_manager_busy_callback_t *callback;
	void (*stop_callback)(void);

	struct trainer_queue *queue;
	ARRAY(struct trainer_run *) runs;
	struct trainer_plan plan;
	/* To scan; to start what is due. */
	struct timeout *to_scan, *to_start;
	/* To flush when the scan is finished; with a user's name, of that user
	   alone. */
	char *flush_username;
	bool flush;
	bool busy, stopping;
};

static void manager_continue(struct trainer_manager *manager);

static void manager_set_busy(struct trainer_manager *manager)
{
	const bool busy = array_count(&manager->runs) > 0 ||
		!trainer_queue_is_empty(manager->queue);

	if (manager->busy == busy)
		return;
	manager->busy = busy;
	manager->callback(busy);
}

/* Children */

/* Somebody has the lock of what is to be learned: another trainer, for a short
   time; or the user himself, who may. */
static void manager_note_busy(struct trainer_manager *manager,
			      struct trainer_user *user, bool busy)
{
	if (!busy) {
		user->busy_runs = 0;
		return;
	}
	user->not_before = user->last_run +
		(MANAGER_BUSY_USECS
		 << I_MIN(user->busy_runs, MANAGER_BUSY_DOUBLINGS));
	/* for half a minute, that is */
	if (++user->busy_runs == MANAGER_BUSY_DOUBLINGS) {
		e_warning(manager->event,
			  "antispam: user %s: another process keeps lessons "
			  "locked that wait; they are learned when it ends",
			  str_sanitize(user->username, MANAGER_NAME_MAX));
	}
}

static void manager_run_ended(struct trainer_run *run, void *context)
{
	struct trainer_manager *manager = context;
	struct trainer_user *user = trainer_run_user(run);
	struct trainer_run *const *runs;
	unsigned int i, count;

	runs = array_get(&manager->runs, &count);
	for (i = 0; runs[i] != run; i++)
		i_assert(i < count);
	array_delete(&manager->runs, i, 1);

	user->running = FALSE;
	user->last_run = user->owner->last_run = trainer_queue_clock();
	user->due = user->last_run;
	manager_note_busy(manager, user, trainer_run_was_busy(run));
	if (trainer_run_was_silent(run))
		user->not_before = user->last_run + MANAGER_SILENT_USECS;
	trainer_queue_clean(manager->queue, user);
	if (!manager->stopping)
		manager_continue(manager);
	else if (array_count(&manager->runs) == 0)
		manager->stop_callback();
}

/* Returns FALSE if no child can be started now. */
static bool
manager_start_run(struct trainer_manager *manager, struct trainer_user *user)
{
	struct trainer_run_settings set = {
		.event = manager->event,
		.queue_dir = manager->queue_dir,
		.queue = manager->queue,
		.lifetime_msecs = manager->set.lifetime_msecs,
		.vsz_limit = manager->set.vsz_limit,
		.callback = manager_run_ended,
		.context = manager,
	};
	const struct trainer_step *steps;
	struct trainer_run *run = NULL;
	unsigned int count;
	const char *error;

	steps = array_get(&manager->plan.steps, &count);
	set.queue_fd = trainer_queue_fd(manager->queue, &error);
	if (set.queue_fd != -1)
		run = trainer_run_start(&set, user, steps, count, &error);
	if (run == NULL) {
		e_error(manager->event, "nothing is learned now: %s", error);
		return FALSE;
	}
	array_push_back(&manager->runs, &run);
	user->running = TRUE;
	return TRUE;
}

/* Plan for a user who is due, and start a child if there is something to do. */
static void
manager_start_user(struct trainer_manager *manager, struct trainer_user *user,
		   int64_t now)
{
	const struct trainer_plan_limits limits = {
		.delay_usecs = (int64_t)manager->set.delay_msecs * 1000,
		.max_steps = MANAGER_MAX_STEPS,
		.max_txs = MANAGER_MAX_TXS,
	};

	trainer_queue_sort(user);
	trainer_plan(&user->txs, now, &limits, &manager->plan);
	user->due = manager->plan.next;
	if (array_count(&manager->plan.steps) > 0 &&
	    !manager_start_run(manager, user))
		user->due = now + MANAGER_FAULT_USECS;
}

/* Whose turn is it rather? Of uids, the one that has waited longest for a child;
   of its users likewise. */
static bool
user_comes_before(const struct trainer_user *a, const struct trainer_user *b)
{
	if (a->owner->last_run != b->owner->last_run)
		return a->owner->last_run < b->owner->last_run;
	return a->last_run < b->last_run;
}

/* The user who is due and whose turn it is. */
static struct trainer_user *
manager_next_user(struct trainer_manager *manager, int64_t now)
{
	struct trainer_user *user, *next = NULL;

	array_foreach_elem(trainer_queue_users(manager->queue), user) {
		if (user->running || I_MAX(user->due, user->not_before) > now)
			continue;
		if (next == NULL || user_comes_before(user, next))
			next = user;
	}
	return next;
}

static void manager_start(struct trainer_manager *manager);

static void manager_set_timer(struct trainer_manager *manager, int64_t now)
{
	int64_t due = INT64_MAX, msecs;
	struct trainer_user *user;

	timeout_remove(&manager->to_start);
	if (array_count(&manager->runs) >= manager->set.max_children)
		return;
	array_foreach_elem(trainer_queue_users(manager->queue), user) {
		if (!user->running)
			due = I_MIN(due, I_MAX(user->due, user->not_before));
	}
	if (due == INT64_MAX)
		return;
	msecs = due <= now ? 0 : (due - now + 999) / 1000;
	/* no timer is needed beyond the next scan */
	msecs = I_MIN(msecs, MANAGER_SCAN_MSECS);
	manager->to_start = timeout_add(msecs, manager_start, manager);
}

static void manager_start(struct trainer_manager *manager)
{
	const int64_t now = trainer_queue_clock();
	struct trainer_user *user;

	timeout_remove(&manager->to_start);
	if (manager->stopping || trainer_queue_is_scanning(manager->queue))
		return;
	while (array_count(&manager->runs) < manager->set.max_children) {
		user = manager_next_user(manager, now);
		if (user == NULL)
			break;
		manager_start_user(manager, user, now);
	}
	manager_set_timer(manager, now);
}

static void manager_continue(struct trainer_manager *manager)
{
	manager_start(manager);
	manager_set_busy(manager);
}

/* Looking */

static void manager_flush_user(struct trainer_user *user)
{
	struct trainer_tx *tx;
	unsigned int i;

	array_foreach_elem(&user->txs, tx) {
		for (i = 0; i < tx->count; i++) {
			/* 0 would say that it was never tried */
			if (tx->jobs[i].next_try != 0)
				tx->jobs[i].next_try = 1;
		}
	}
	/* while a child works for the user, that waits for its end */
	user->due = user->not_before = 0;
}

static void manager_flush(struct trainer_manager *manager)
{
	struct trainer_user *user;

	if (!manager->flush)
		return;
	manager->flush = FALSE;
	array_foreach_elem(trainer_queue_users(manager->queue), user) {
		if (manager->flush_username == NULL ||
		    strcmp(manager->flush_username, user->username) == 0)
			manager_flush_user(user);
	}
	i_free(manager->flush_username);
}

static void manager_scan(struct trainer_manager *manager)
{
	bool finished = trainer_queue_scan(manager->queue);

	if (finished)
		manager_flush(manager);
	timeout_remove(&manager->to_scan);
	manager->to_scan = finished ?
		timeout_add(MANAGER_SCAN_MSECS, manager_scan, manager) :
		timeout_add_short(0, manager_scan, manager);
	if (finished)
		manager_continue(manager);
	else
		manager_set_busy(manager);
}

void trainer_manager_wake(struct trainer_manager *manager, const char *name)
{
	if (manager->stopping)
		return;
	if (name == NULL && !trainer_queue_is_scanning(manager->queue)) {
		timeout_remove(&manager->to_scan);
		manager->to_scan = timeout_add_short(0, manager_scan, manager);
	} else if (name != NULL && trainer_queue_look(manager->queue, name)) {
		/* we are late: see first what others have to say */
		if (!trainer_queue_is_scanning(manager->queue))
			manager_scan(manager);
	} else if (name != NULL) {
		manager_continue(manager);
	}
}

void trainer_manager_flush(struct trainer_manager *manager,
			   const char *username)
{
	const bool all = username == NULL ||
		(manager->flush &&
		 null_strcmp(manager->flush_username, username) != 0);

	if (manager->stopping)
		return;
	i_free(manager->flush_username);
	if (!all)
		manager->flush_username = i_strdup(username);
	manager->flush = TRUE;
}

struct trainer_manager *
trainer_manager_init(const struct trainer_manager_settings *set,
		     trainer_manager_busy_callback_t *callback)
{
	struct trainer_manager *manager = i_new(struct trainer_manager, 1);

	manager->set = *set;
	manager->queue_dir = i_strdup(set->queue_dir);
	manager->set.queue_dir = manager->queue_dir;
	manager->callback = callback;
	manager->event = event_create(NULL);
	manager->queue = trainer_queue_init(manager->event, manager->queue_dir,
					    (int64_t)set->delay_msecs * 1000);
	i_array_init(&manager->runs, 4);
	i_array_init(&manager->plan.steps, 64);
	manager->to_scan = timeout_add_short(0, manager_scan, manager);
	return manager;
}

void trainer_manager_stop(struct trainer_manager *manager,
			  void (*callback)(void))
{
	manager->stopping = TRUE;
	manager->stop_callback = callback;
	timeout_remove(&manager->to_scan);
	timeout_remove(&manager->to_start);
	if (array_count(&manager->runs) == 0)
		callback();
}

void trainer_manager_deinit(struct trainer_manager **_manager)
{
	struct trainer_manager *manager = *_manager;
	struct trainer_run *run;

	*_manager = NULL;
	timeout_remove(&manager->to_scan);
	timeout_remove(&manager->to_start);
	array_foreach_elem(&manager->runs, run)
		trainer_run_free(&run);
	trainer_queue_deinit(&manager->queue);
	event_unref(&manager->event);
	array_free(&manager->plan.steps);
	array_free(&manager->runs);
	i_free(manager->flush_username);
	i_free(manager->queue_dir);
	i_free(manager);
}
