/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A wrong setting switches training off for the session, with one error in
   the log; the user's mail works on. */

#include "lib.h"
#include "module-context.h"
#include "restrict-access.h"
#include "antispam-settings.h"
#include "antispam-folder.h"
#include "antispam-backend.h"
#include "antispam-signature.h"
#include "antispam-compat.h"
#include "antispam-user.h"

static MODULE_CONTEXT_DEFINE_INIT(antispam_user_module,
				  &mail_user_module_register);

struct antispam_user *antispam_user_get(struct mail_user *user)
{
	return MODULE_CONTEXT(user, antispam_user_module);
}

static void antispam_user_free(struct antispam_user *auser)
{
	pool_t pool = auser->pool;

	antispam_folder_map_deinit(&auser->folders);
	event_unref(&auser->teacher.event);
	i_free(auser->refused_text);
	pool_unref(&pool);
}

static void antispam_user_deinit(struct mail_user *user)
{
	struct antispam_user *auser = antispam_user_get(user);
	void (*super_deinit)(struct mail_user * user) =
		auser->module_ctx.super.deinit;

	/* mailboxes and transactions are gone by then */
	super_deinit(user);
	antispam_user_free(auser);
}

void antispam_user_lookup_home(struct mail_user *user,
			       struct antispam_user *auser)
{
	if (auser->home_looked_up)
		return;
	auser->home_looked_up = TRUE;
	if (mail_user_get_home(user, &auser->teacher.identity.home) > 0)
		return;
	auser->teacher.identity.home = NULL;
	if (auser->teacher.backend->runs_programs) {
		e_warning(auser->teacher.event,
			  "the user has no home directory: %s runs its program "
			  "in / and without HOME; let userdb give one",
			  auser->teacher.backend->name);
	}
}

static const char *backend_unknown(const char *name)
{
	return t_strdup_printf(
		"antispam_backend = %s: this backend is not built in "
		"(built in: %s, none)",
		name, antispam_backend_names());
}

static int
check_surroundings(const struct antispam_settings *set, const char **error_r)
{
	if (set->training == ANTISPAM_TRAINING_QUEUED) {
		*error_r = "antispam_training = queued: this version has no "
			   "queue yet; write antispam_training = inline";
		return -1;
	}
	if (restrict_access_get_current_chroot() != NULL) {
		*error_r = "mail_chroot is set: programs and spool "
			   "directories can't be reached from a chroot; unset "
			   "mail_chroot or write antispam_backend = none";
		return -1;
	}
	return 0;
}

/* Fill auser from the settings. Returns 1, 0 if training is off on purpose, -1
   and *error_r. */
static int
antispam_user_init(struct mail_user *user, struct antispam_user *auser,
		   const char **error_r)
{
	struct antispam_teacher *teacher = &auser->teacher;
	const char *const *warnings, *name, *warning = NULL;

	if (antispam_compat_settings_get(user, auser->pool, &teacher->set,
					 error_r) < 0)
		return -1;
	for (warnings = teacher->set->warnings; *warnings != NULL; warnings++)
		e_warning(teacher->event, "%s", *warnings);

	name = teacher->set->backend_name;
	if (name == NULL) {
		e_warning(teacher->event,
			  "antispam_backend is not set: nothing is learned (to "
			  "switch training off without this warning: "
			  "antispam_backend = none)");
		return 0;
	}
	if (strcmp(name, "none") == 0)
		return 0;
	teacher->backend = antispam_backend_find(name);
	if (teacher->backend == NULL) {
		*error_r = backend_unknown(name);
		return -1;
	}
	if (check_surroundings(teacher->set, error_r) < 0 ||
	    teacher->backend->init(auser->pool, teacher->set,
				   &teacher->backend_context, &warning,
				   error_r) < 0)
		return -1;
	if (warning != NULL)
		e_warning(teacher->event, "%s", warning);
	teacher->identity.username = user->username;
	if ((teacher->backend->needs & ANTISPAM_NEED_SIGNATURE) != 0 &&
	    antispam_signature_rule_init(auser->pool, teacher->set,
					 teacher->backend,
					 &auser->signature_rule, error_r) < 0)
		return -1;
	if (antispam_folder_map_init(teacher->set, &auser->folders,
				     error_r) < 0)
		return -1;
	return 1;
}

void antispam_user_created(struct mail_user *user)
{
	struct mail_user_vfuncs *v = user->vlast;
	struct antispam_user *auser;
	const char *error;
	pool_t pool;
	int ret;

	/* Only what a user does over IMAP. Helper users exist for shared
	   folders and for delivery. */
	if (user->autocreated || strcmp(user->service, "imap") != 0)
		return;

	pool = pool_alloconly_create("antispam user", 2048);
	auser = p_new(pool, struct antispam_user, 1);
	auser->pool = pool;
	auser->teacher.event = event_create(user->event);
	event_set_append_log_prefix(auser->teacher.event, "antispam: ");
	ret = antispam_user_init(user, auser, &error);
	if (ret < 0) {
		e_error(auser->teacher.event,
			"nothing is learned in this session: %s", error);
	}
	if (ret <= 0) {
		antispam_user_free(auser);
		return;
	}
	auser->module_ctx.super = *v;
	user->vlast = &auser->module_ctx.super;
	v->deinit = antispam_user_deinit;
	MODULE_CONTEXT_SET(user, antispam_user_module, auser);
}
