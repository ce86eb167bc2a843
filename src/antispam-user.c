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

/* Fill auser from the settings. Returns 1, 0 if training is off on purpose, -1
   and *error_r. */
static int
antispam_user_init(struct mail_user *user, struct antispam_user *auser,
		   const char **error_r)
{
	struct antispam_teacher *teacher = &auser->teacher;
	int ret;

	teacher->base_dir = user->set->base_dir;
	ret = antispam_teacher_init(teacher, user, auser->pool, error_r);
	if (ret <= 0)
		return ret;
	if (restrict_access_get_current_chroot() != NULL) {
		*error_r = "mail_chroot is set: programs, spool directories "
			   "and the queue can't be reached from a chroot; "
			   "unset mail_chroot or write antispam_backend = none";
		return -1;
	}
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
