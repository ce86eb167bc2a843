/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Shows the queue as it lies on the disk. Nothing is locked but for a moment,
   so what the trainer does meanwhile may be seen or not. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "antispam-queue.h"
#include "antispam-queue-dir.h"
#include "doveadm-walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Jobs of bigger transactions are read twice, rather than kept in memory until
   the checksum behind them is known. */
#define WALK_KEEP_JOBS 64

struct walk {
	int queue_fd;
	struct antispam_queue_head now;
	antispam_walk_callback_t *callback;
	void *context;
	/* For what belongs to one transaction. */
	pool_t pool;

	/* The present transaction. */
	const struct antispam_queue_entry *entry;
	struct antispam_queue_head head;
	const struct antispam_queue_state *states;
	struct antispam_queue_job *kept;
	time_t state_time;
};

int antispam_walk_open(const char *path, int *fd_r, uid_t *owner_r,
		       const char **error_r)
{
	struct stat st;

	/* the directory's owner can do there what he likes, and root is not
	   hurt by that; but nobody else may */
	*owner_r = lstat(path, &st) == 0 ? st.st_uid : 0;
	return antispam_queue_dir_open(path, *owner_r, fd_r, error_r);
}

static int64_t age_secs(const struct walk *walk)
{
	const int64_t usecs =
		antispam_queue_head_age(&walk->head, &walk->now);

	return I_MAX(usecs, 0) / 1000000;
}

static void
walk_job(unsigned int idx, const struct antispam_queue_job *qjob, void *context)
{
	struct walk *walk = context;
	const struct antispam_queue_state *state = &walk->states[idx];
	const bool aside = antispam_queue_name_is_failed(walk->entry->name);
	struct antispam_walk_job job = {
		.name = walk->entry->name,
		.uid = walk->entry->uid,
		.username = walk->head.username,
		.job = qjob,
		.age_secs = age_secs(walk),
		.attempts = state->attempts,
		.why = state->why,
	};

	if (state->status == ANTISPAM_QUEUE_DONE)
		return;
	job.state = aside || state->status == ANTISPAM_QUEUE_FAILED ?
		ANTISPAM_WALK_FAILED :
		ANTISPAM_WALK_WAITING;
	if (job.why != NULL)
		job.why_time = walk->state_time;
	else if (aside)
		job.why = "the trainer has put it aside; its log says why";
	if (job.state == ANTISPAM_WALK_WAITING && state->next_try > 0) {
		job.wait_secs = I_MAX(state->next_try -
					      walk->now.wall_usecs / 1000000,
				      0);
	}
	walk->callback(&job, walk->context);
}

static void
walk_keep(unsigned int idx, const struct antispam_queue_job *job, void *context)
{
	struct walk *walk = context;
	struct antispam_queue_job *kept;

	if (walk->kept == NULL)
		return;
	kept = &walk->kept[idx];
	*kept = *job;
	kept->guid = kept->signature = kept->file = NULL;
	kept->folder = p_strdup(walk->pool, job->folder);
	kept->origin = p_strdup(walk->pool, job->origin);
}

static void
walk_read_state(struct walk *walk, const struct antispam_queue_entry *entry)
{
	struct antispam_queue_state *states =
		p_new(walk->pool, struct antispam_queue_state,
		      entry->end.count);
	struct stat st;

	if (fstatat(entry->dir_fd, ANTISPAM_QUEUE_STATE_FILE, &st,
		    AT_SYMLINK_NOFOLLOW) == 0) {
		walk->state_time = st.st_mtime;
		antispam_queue_entry_read_state(entry, walk->pool, states);
	}
	walk->states = states;
}

static int
walk_read(struct walk *walk, const struct antispam_queue_entry *entry,
	  const char **error_r)
{
	const unsigned int count = entry->end.count;
	struct antispam_queue_head head;
	unsigned int i;

	walk->entry = entry;
	walk->kept = NULL;
	if (count <= WALK_KEEP_JOBS)
		walk->kept = p_new(walk->pool, struct antispam_queue_job,
				   count);
	if (antispam_queue_entry_read(entry, &walk->head, walk_keep, walk,
				      error_r) < 0)
		return -1;
	walk_read_state(walk, entry);
	if (walk->kept == NULL)
		return antispam_queue_entry_read(entry, &head, walk_job, walk,
						 error_r);
	for (i = 0; i < count; i++)
		walk_job(i, &walk->kept[i], walk);
	return 0;
}

static void
walk_unreadable(struct walk *walk, const char *name, const char *why)
{
	struct antispam_walk_job job = {
		.name = name,
		.state = antispam_queue_name_is_failed(name) ?
			ANTISPAM_WALK_FAILED :
			ANTISPAM_WALK_UNREADABLE,
		.username = "",
		.why = why,
	};
	struct stat st;

	if (fstatat(walk->queue_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	job.uid = st.st_uid;
	job.age_secs = I_MAX(walk->now.wall_usecs / 1000000 - st.st_mtime, 0);
	walk->callback(&job, walk->context);
}

/* Returns FALSE if it is not there. */
static bool walk_name(struct walk *walk, const char *name)
{
	const bool hidden = antispam_queue_name_is_hidden(name);
	struct antispam_queue_entry entry;
	const char *error;

	switch (antispam_queue_entry_open(walk->queue_fd, name, &entry,
					  &error)) {
	case ANTISPAM_QUEUE_FOUND:
		break;
	case ANTISPAM_QUEUE_GONE:
		return FALSE;
	case ANTISPAM_QUEUE_UNFINISHED:
	case ANTISPAM_QUEUE_INVALID:
	case ANTISPAM_QUEUE_UNREADABLE:
		/* what is hidden may be written just now, or rubbish that goes
		   by itself */
		if (!hidden)
			walk_unreadable(walk, name, error);
		return TRUE;
	}
	p_clear(walk->pool);
	/* if its writer lives, it may still be taken back */
	if ((!hidden || antispam_queue_entry_lock(&entry)) &&
	    walk_read(walk, &entry, &error) < 0)
		walk_unreadable(walk, name, error);
	antispam_queue_entry_close(&entry);
	return TRUE;
}

static void walk_begin(struct walk *walk)
{
	antispam_queue_now(&walk->now);
	walk->pool = pool_alloconly_create("antispam walk", 16 * 1024);
}

static bool is_ours(const char *name)
{
	return antispam_queue_name_is_visible(name) ||
		antispam_queue_name_is_hidden(name) ||
		antispam_queue_name_is_failed(name);
}

int antispam_walk(int queue_fd, antispam_walk_callback_t *callback,
		  void *context, const char **error_r)
{
	struct walk walk = {
		.queue_fd = queue_fd,
		.callback = callback,
		.context = context,
	};
	const struct dirent *d;
	DIR *dir = NULL;
	int fd;

	fd = openat(queue_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1)
		dir = fdopendir(fd);
	if (dir == NULL) {
		*error_r = t_strdup_printf(
			"uid %ld can't list the queue: %m; run this as root",
			(long)geteuid());
		i_close_fd(&fd);
		return -1;
	}
	walk_begin(&walk);
	while ((d = readdir(dir)) != NULL) {
		if (is_ours(d->d_name))
			T_BEGIN {
				(void)walk_name(&walk, d->d_name);
			} T_END;
	}
	(void)closedir(dir);
	pool_unref(&walk.pool);
	return 0;
}

bool antispam_walk_one(int queue_fd, const char *name,
		       antispam_walk_callback_t *callback, void *context)
{
	struct walk walk = {
		.queue_fd = queue_fd,
		.callback = callback,
		.context = context,
	};
	bool found;

	if (!is_ours(name) || strchr(name, '/') != NULL)
		return FALSE;
	walk_begin(&walk);
	found = walk_name(&walk, name);
	pool_unref(&walk.pool);
	return found;
}

const char *antispam_walk_state_name(enum antispam_walk_state state)
{
	switch (state) {
	case ANTISPAM_WALK_WAITING:
		return "waiting";
	case ANTISPAM_WALK_FAILED:
		return "failed";
	case ANTISPAM_WALK_UNREADABLE:
		return "unreadable";
	}
	i_unreached();
}
