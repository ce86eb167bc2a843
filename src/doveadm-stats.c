/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "hash.h"
#include "doveadm-stats.h"

struct antispam_stats {
	pool_t pool;
	/* "uid name" */
	HASH_TABLE(const char *, struct antispam_user_stats *) users;
};

static const char *user_key(uid_t uid, const char *username)
{
	return t_strdup_printf("%ld %s", (long)uid, username);
}

struct antispam_stats *antispam_stats_init(void)
{
	pool_t pool = pool_alloconly_create("antispam stats", 4096);
	struct antispam_stats *stats = p_new(pool, struct antispam_stats, 1);

	stats->pool = pool;
	hash_table_create(&stats->users, pool, 0, str_hash, strcmp);
	return stats;
}

void antispam_stats_deinit(struct antispam_stats **_stats)
{
	struct antispam_stats *stats = *_stats;

	*_stats = NULL;
	if (stats == NULL)
		return;
	hash_table_destroy(&stats->users);
	pool_unref(&stats->pool);
}

static struct antispam_user_stats *
user_get(struct antispam_stats *stats, uid_t uid, const char *username)
{
	const char *key = user_key(uid, username);
	struct antispam_user_stats *user;

	user = hash_table_lookup(stats->users, key);
	if (user == NULL) {
		user = p_new(stats->pool, struct antispam_user_stats, 1);
		key = p_strdup(stats->pool, key);
		hash_table_insert(stats->users, key, user);
	}
	return user;
}

void antispam_stats_add(const struct antispam_walk_job *job, void *context)
{
	struct antispam_stats *stats = context;
	struct antispam_user_stats *user;

	/* whose it is can't be told */
	if (*job->username == '\0')
		return;
	user = user_get(stats, job->uid, job->username);
	if (job->state == ANTISPAM_WALK_FAILED)
		user->failed++;
	else {
		user->waiting++;
		user->oldest_secs = I_MAX(user->oldest_secs, job->age_secs);
		if (job->attempts > 0)
			user->retried++;
		else if (job->wait_secs == 0) {
			user->oldest_new_secs = I_MAX(user->oldest_new_secs,
						      job->age_secs);
		}
	}
	if (job->why != NULL &&
	    (user->why == NULL || job->why_time > user->why_time)) {
		/* the pool takes a reason for each second at most */
		user->why = p_strdup(stats->pool, job->why);
		user->why_time = job->why_time;
	}
}

const struct antispam_user_stats *
antispam_stats_get(const struct antispam_stats *stats, uid_t uid,
		   const char *username)
{
	static const struct antispam_user_stats none;
	const struct antispam_user_stats *user;

	user = hash_table_lookup(stats->users, user_key(uid, username));
	return user == NULL ? &none : user;
}
