#ifndef DOVEADM_STATS_H
#define DOVEADM_STATS_H

#include "doveadm-walk.h"

/* What waits and what failed, by user: of all of the queue at once, since it
   may be big and the users many. */

struct antispam_stats;

struct antispam_user_stats {
	unsigned int waiting, failed;
	/* Of those that wait: how many came to nothing so far. */
	unsigned int retried;
	/* Of those that wait: since when the oldest does, in seconds; and the
	   oldest that was never tried. */
	int64_t oldest_secs, oldest_new_secs;
	/* Why the last one came to nothing, and when; NULL = none did. */
	const char *why;
	time_t why_time;
};

struct antispam_stats *antispam_stats_init(void);
void antispam_stats_deinit(struct antispam_stats **stats);

/* An antispam_walk_callback_t; context is the stats. */
void antispam_stats_add(const struct antispam_walk_job *job, void *context);

/* Of the user's name, only what belongs to his uid is his. Never NULL. */
const struct antispam_user_stats *
antispam_stats_get(const struct antispam_stats *stats, uid_t uid,
		   const char *username);

#endif
