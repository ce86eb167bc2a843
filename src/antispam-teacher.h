#ifndef ANTISPAM_TEACHER_H
#define ANTISPAM_TEACHER_H

#include "antispam-runner.h"

struct mail_user;
struct antispam_settings;
struct antispam_backend;

/* All that a lesson needs to know of its user. */
struct antispam_teacher {
	const struct antispam_settings *set;
	const struct antispam_backend *backend;
	/* From backend->init(). */
	void *backend_context;
	struct antispam_identity identity;
	/* Its log prefix names the user and us. */
	struct event *event;
	/* Dovecot's, where the trainer listens; NULL in the trainer itself. */
	const char *base_dir;
	bool home_looked_up:1;
	/* This session has waited for the queue to be made, and has warned of
	   a trainer that does not listen. */
	bool queue_waited_for:1;
	bool trainer_missed:1;
};

/* Read the user's settings and let the backend check its own. teacher->event
   and base_dir are set; a session's event gets what the admin should know as
   warnings. The rest lives in pool.
   Returns 1, 0 if training is off on purpose, -1 and *error_r (data stack),
   which names setting, value and remedy. */
int antispam_teacher_init(struct antispam_teacher *teacher,
			  struct mail_user *user, pool_t pool,
			  const char **error_r);

/* The same, but teacher->set is there already, and what the admin should know
   is added to warnings (data stack) instead. username lives as long as
   teacher. */
int antispam_teacher_init_backend(struct antispam_teacher *teacher,
				  const char *username, pool_t pool,
				  ARRAY_TYPE(const_string) *warnings,
				  const char **error_r);

/* Fill in teacher->identity.home, which may need a userdb lookup; warn once if
   there is none and the backend's programs would want it. */
void antispam_teacher_lookup_home(struct antispam_teacher *teacher,
				  struct mail_user *user);

/* Are lessons left to the trainer? A backend that takes them back with the
   storage's transaction needs no queue. */
bool antispam_teacher_is_queued(const struct antispam_teacher *teacher);

/* How many jobs of a class its backend's learn() gets at a time. *together_r:
   the filter takes all of them at once, and may fail on all because of one. */
unsigned int antispam_teacher_batch(const struct antispam_teacher *teacher,
				    bool *together_r);

#endif
