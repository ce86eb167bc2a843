/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "antispam-queue.h"
#include "antispam-queue-entry.h"
#include "trainer-load.h"

/* Bytes; a userdb lookup has room for 1024. */
#define USERNAME_MAX 900

static void
load_job(unsigned int idx, const struct antispam_queue_job *job, void *context)
{
	struct trainer_tx *tx = context;

	trainer_plan_key(job->guid, tx->jobs[idx].key);
	tx->jobs[idx].change = job->change;
	tx->jobs[idx].spam = job->spam;
}

/* By our clock: since when it waits. */
static int64_t born_usecs(const struct antispam_queue_head *head)
{
	struct antispam_queue_head now;
	int64_t age;

	antispam_queue_now(&now);
	age = antispam_queue_head_age(head, &now);
	/* the future is a clock's mistake, or somebody's who plays */
	return now.boot_usecs - I_MAX(age, 0);
}

/* What the state file says of a job. */
static void load_job_state(struct trainer_tx *tx, unsigned int idx,
			   const struct antispam_queue_state *state,
			   const struct antispam_queue_head *now)
{
	struct trainer_job *job = &tx->jobs[idx];
	int64_t secs;

	job->attempts = state->attempts;
	if (state->status != ANTISPAM_QUEUE_WAITING) {
		job->settled = TRUE;
		tx->waiting--;
	} else if (state->next_try > 0) {
		/* a clock that was set back must not stop it */
		secs = state->next_try - now->wall_usecs / 1000000;
		secs = I_MIN(I_MAX(secs, 0), 60 * 60);
		job->next_try = now->boot_usecs + secs * 1000000;
	}
}

static void load_state(struct trainer_tx *tx,
		       const struct antispam_queue_entry *entry)
{
	struct antispam_queue_state *states;
	struct antispam_queue_head now;
	unsigned int i;
	pool_t pool;

	antispam_queue_now(&now);
	/* there may be very many */
	states = i_new(struct antispam_queue_state, tx->count);
	pool = pool_alloconly_create("antispam queue state", 1024);
	antispam_queue_entry_read_state(entry, pool, states);
	for (i = 0; i < tx->count; i++)
		load_job_state(tx, i, &states[i], &now);
	pool_unref(&pool);
	i_free(states);
	if (tx->waiting > 0)
		return;
	/* whoever settled the last one has not come to remove it: a child
	   that is given one of them will */
	for (i = 0; i < tx->count; i++)
		tx->jobs[i].settled = FALSE;
	tx->waiting = tx->count;
}

struct trainer_tx *trainer_load_tx(const struct antispam_queue_entry *entry,
				   const char **username_r,
				   const char **error_r)
{
	struct antispam_queue_head head;
	struct trainer_tx *tx;
	int ret;

	tx = i_malloc(MALLOC_ADD(sizeof(*tx),
				 MALLOC_MULTIPLY(entry->end.count,
						 sizeof(tx->jobs[0]))));
	tx->count = tx->waiting = entry->end.count;
	tx->uid = entry->uid;
	ret = antispam_queue_entry_read(entry, &head, load_job, tx, error_r);
	if (ret == 0 && strlen(head.username) > USERNAME_MAX) {
		*error_r = "nobody has so long a name";
		ret = -1;
	}
	if (ret < 0) {
		i_free(tx);
		return NULL;
	}
	tx->name = i_strdup(entry->name);
	tx->born = born_usecs(&head);
	load_state(tx, entry);
	*username_r = head.username;
	return tx;
}
