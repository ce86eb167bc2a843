/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "lib-event.h"
#include "mail-user.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-compat.h"
#include "antispam-teacher.h"

void antispam_teacher_lookup_home(struct antispam_teacher *teacher,
				  struct mail_user *user)
{
	if (teacher->home_looked_up)
		return;
	teacher->home_looked_up = TRUE;
	if (mail_user_get_home(user, &teacher->identity.home) > 0)
		return;
	teacher->identity.home = NULL;
	if (teacher->backend->runs_programs) {
		e_warning(teacher->event,
			  "the user has no home directory: %s runs its program "
			  "in / and without HOME; let userdb give one",
			  teacher->backend->name);
	}
}

static const char *backend_unknown(const char *name)
{
	return t_strdup_printf(
		"antispam_backend = %s: this backend is not built in "
		"(built in: %s, none)",
		name, antispam_backend_names());
}

int antispam_teacher_init_backend(struct antispam_teacher *teacher,
				  const char *username, pool_t pool,
				  ARRAY_TYPE(const_string) *warnings,
				  const char **error_r)
{
	const char *const *set_warnings = teacher->set->warnings;
	const char *name = teacher->set->backend_name, *warning = NULL;
	int ret;

	array_append(warnings, set_warnings, str_array_length(set_warnings));
	if (name == NULL) {
		warning = "antispam_backend is not set: nothing is learned (to "
			  "switch training off without this warning: "
			  "antispam_backend = none)";
		array_push_back(warnings, &warning);
		return 0;
	}
	if (strcmp(name, "none") == 0)
		return 0;
	teacher->backend = antispam_backend_find(name);
	if (teacher->backend == NULL) {
		*error_r = backend_unknown(name);
		return -1;
	}
	teacher->identity.username = username;
	ret = teacher->backend->init(pool, teacher->set,
				     &teacher->backend_context, &warning,
				     error_r);
	if (ret < 0)
		return -1;
	if (warning != NULL)
		array_push_back(warnings, &warning);
	return 1;
}

int antispam_teacher_init(struct antispam_teacher *teacher,
			  struct mail_user *user, pool_t pool,
			  const char **error_r)
{
	ARRAY_TYPE(const_string) warnings;
	const char *warning;
	int ret;

	if (antispam_compat_settings_get(user, pool, &teacher->set,
					 error_r) < 0)
		return -1;
	t_array_init(&warnings, 4);
	ret = antispam_teacher_init_backend(teacher, user->username, pool,
					    &warnings, error_r);
	/* the session that has queued a lesson has given these */
	if (teacher->base_dir == NULL)
		return ret;
	array_foreach_elem(&warnings, warning)
		e_warning(teacher->event, "%s", warning);
	return ret;
}

bool antispam_teacher_is_queued(const struct antispam_teacher *teacher)
{
	return teacher->set->training == ANTISPAM_TRAINING_QUEUED &&
		teacher->backend->commit == NULL;
}

unsigned int antispam_teacher_batch(const struct antispam_teacher *teacher,
				    bool *together_r)
{
	const struct antispam_backend *backend = teacher->backend;
	unsigned int many = 0;

	if (backend->takes_many != NULL)
		many = backend->takes_many(teacher->backend_context);
	*together_r = many > 0;
	return many > 0 ? many : backend->max_batch;
}
