#ifndef DOVEADM_STATUS_H
#define DOVEADM_STATUS_H

#include "antispam-teacher.h"

struct mail_user;
struct antispam_stats;

/* In the order in which they are shown. */
enum antispam_status_topic {
	ANTISPAM_STATUS_TRAINING = 0,
	ANTISPAM_STATUS_PROBLEM,
	/* Nothing is wrong, but the admin may wonder. */
	ANTISPAM_STATUS_NOTE,
	ANTISPAM_STATUS_SETTING,
	ANTISPAM_STATUS_FOLDER,
	ANTISPAM_STATUS_QUEUE,
};

/* Of one user. */
struct antispam_status_row {
	enum antispam_status_topic topic;
	const char *name, *value, *text;
};

struct antispam_status {
	pool_t pool;
	struct mail_user *user;
	/* set and backend are NULL as far as they are not known. */
	struct antispam_teacher teacher;
	/* NULL = training is off. */
	struct antispam_folder_map *folders;
	unsigned int spam_folders;

	ARRAY(struct antispam_status_row) rows;
	unsigned int problems;
	/* Nothing is learned. */
	bool off;
};

/* Add a row; all is copied. */
void antispam_status_add(struct antispam_status *status,
			 enum antispam_status_topic topic, const char *name,
			 const char *value, const char *text);

/* Add a row of ANTISPAM_STATUS_PROBLEM. */
void antispam_status_problem(struct antispam_status *status, const char *code,
			     const char *format, ...) ATTR_FORMAT(3, 4);

/* Look at the queue and the trainer, if the user's lessons go there or some are
   there. stats_error: why the queue could not be listed; NULL = it was. */
void antispam_status_queue(struct antispam_status *status,
			   const struct antispam_stats *stats,
			   const char *stats_error);

#endif
