/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* doveadm antispam status: would what this user does be learned, and if not,
   why? All is looked at as an IMAP session of the user would, except for the
   queue, which only root or its owner can list. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "restrict-access.h"
#include "mailbox-list-iter.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-print.h"
#include "antispam-runner.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-folder.h"
#include "antispam-signature.h"
#include "antispam-teacher.h"
#include "antispam-compat-doveadm.h"
#include "doveadm-stats.h"
#include "doveadm-status.h"
#include "doveadm-antispam.h"

#include <unistd.h>

struct status_cmd {
	struct doveadm_mail_cmd_context ctx;
	struct antispam_compat_imap *imap;
	/* Why its settings are not those of protocol imap; NULL = they are. */
	const char *imap_error;
	bool imap_asked_as_root;
	/* All of the queue, and why it could not be looked at. */
	struct antispam_stats *stats;
	const char *stats_error;
};

static const char *const topic_names[] = {
	[ANTISPAM_STATUS_TRAINING] = "training",
	[ANTISPAM_STATUS_PROBLEM] = "problem",
	[ANTISPAM_STATUS_NOTE] = "note",
	[ANTISPAM_STATUS_SETTING] = "setting",
	[ANTISPAM_STATUS_FOLDER] = "folder",
	[ANTISPAM_STATUS_QUEUE] = "queue",
};

static struct status_cmd *status_cmd(struct doveadm_mail_cmd_context *ctx)
{
	return container_of(ctx, struct status_cmd, ctx);
}

void antispam_status_add(struct antispam_status *status,
			 enum antispam_status_topic topic, const char *name,
			 const char *value, const char *text)
{
	struct antispam_status_row *row = array_append_space(&status->rows);

	row->topic = topic;
	row->name = p_strdup(status->pool, name);
	row->value = p_strdup(status->pool, value);
	row->text = p_strdup(status->pool, text);
}

void antispam_status_problem(struct antispam_status *status, const char *code,
			     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	antispam_status_add(status, ANTISPAM_STATUS_PROBLEM, code, "",
			    t_strdup_vprintf(format, args));
	va_end(args);
	status->problems++;
}

static void note(struct antispam_status *status, const char *code,
		 const char *text)
{
	antispam_status_add(status, ANTISPAM_STATUS_NOTE, code, "", text);
}

/* Settings */

static void
status_plugins(struct status_cmd *cmd, struct antispam_status *status)
{
	const char *const *plugins, *error, *shown;

	if (antispam_compat_imap_plugins(cmd->imap, status->user, &plugins,
					 &error) < 0) {
		antispam_status_problem(status, "settings", "%s", error);
		status->off = TRUE;
		return;
	}
	shown = t_strarray_join(plugins, " ");
	antispam_status_add(status, ANTISPAM_STATUS_SETTING, "mail_plugins",
			    shown, "of protocol imap");
	if (str_array_find(plugins, "antispam"))
		return;
	if (cmd->imap_error != NULL) {
		note(status, "plugin",
		     "mail_plugins of protocol imap are not known: type "
		     "doveconf -f protocol=imap mail_plugins");
		return;
	}
	antispam_status_problem(
		status, "plugin",
		"mail_plugins of protocol imap is \"%s\": no IMAP session "
		"loads antispam; write " ANTISPAM_COMPAT_LOAD,
		shown);
	status->off = TRUE;
}

static void
status_imap_error(struct status_cmd *cmd, struct antispam_status *status)
{
	const char *text;

	if (cmd->imap_error == NULL)
		return;
	text = t_strdup_printf("the settings of protocol imap can't be read, "
			       "so those of doveadm are shown: %s; ",
			       cmd->imap_error);
	if (cmd->imap_asked_as_root) {
		antispam_status_problem(status, "config", "%sdoes Dovecot run?",
					text);
	} else {
		note(status, "config",
		     t_strconcat(text, "run this as root", NULL));
	}
}

static void status_settings_shown(struct antispam_status *status)
{
	const struct antispam_teacher *teacher = &status->teacher;
	const bool queued = antispam_teacher_is_queued(teacher);
	const char *why = "";

	if (!queued && teacher->set->training == ANTISPAM_TRAINING_QUEUED)
		why = "this backend needs no queue";
	antispam_status_add(status, ANTISPAM_STATUS_SETTING,
			    "antispam_backend", teacher->backend->name, "");
	antispam_status_add(status, ANTISPAM_STATUS_SETTING,
			    "antispam_training", queued ? "queued" : "inline",
			    why);
}

/* Read the settings as a session does. Returns 1, 0 if training is off on
   purpose, -1 and *error_r. */
static int
status_settings_try(struct status_cmd *cmd, struct antispam_status *status,
		    ARRAY_TYPE(const_string) *warnings, const char **error_r)
{
	struct antispam_teacher *teacher = &status->teacher;
	struct antispam_signature_rule *rule;
	int ret;

	if (antispam_compat_imap_settings(cmd->imap, status->user,
					  status->pool, &teacher->set,
					  error_r) < 0)
		return -1;
	ret = antispam_teacher_init_backend(teacher, status->user->username,
					    status->pool, warnings, error_r);
	if (ret <= 0)
		return ret;
	if (restrict_access_get_current_chroot() != NULL ||
	    *status->user->set->mail_chroot != '\0') {
		*error_r = "mail_chroot is set: programs, spool directories "
			   "and the queue can't be reached from a chroot; "
			   "unset mail_chroot or write antispam_backend = none";
		return -1;
	}
	if ((teacher->backend->needs & ANTISPAM_NEED_SIGNATURE) != 0 &&
	    antispam_signature_rule_init(status->pool, teacher->set,
					 teacher->backend, &rule, error_r) < 0)
		return -1;
	if (antispam_folder_map_init(teacher->set, &status->folders,
				     error_r) < 0)
		return -1;
	return 1;
}

/* What every lesson would fail on. */
static void status_program(struct antispam_status *status)
{
	const struct antispam_teacher *teacher = &status->teacher;
	const char *program, *setting, *error;

	if (teacher->backend->program == NULL)
		return;
	program = teacher->backend->program(teacher->set, &setting);
	if (antispam_run_check_file(program, &error) < 0) {
		antispam_status_problem(status, "program",
					"%s: %s; mend that, or name another "
					"program",
					setting, error);
	}
}

static void
status_settings(struct status_cmd *cmd, struct antispam_status *status)
{
	ARRAY_TYPE(const_string) warnings;
	const char *error, *warning;
	int ret;

	t_array_init(&warnings, 4);
	ret = status_settings_try(cmd, status, &warnings, &error);
	if (ret < 0) {
		antispam_status_problem(status, "settings",
					"nothing is learned: %s", error);
	}
	if (ret <= 0)
		status->off = TRUE;
	array_foreach_elem(&warnings, warning) {
		/* one of them is that antispam_backend is not set */
		if (ret == 0)
			antispam_status_problem(status, "settings", "%s",
						warning);
		else
			note(status, "settings", warning);
	}
	if (status->teacher.set != NULL && status->teacher.backend != NULL)
		status_settings_shown(status);
	if (ret > 0)
		status_program(status);
	if (ret > 0 && status->teacher.backend->runs_programs &&
	    mail_user_get_home(status->user,
			       &status->teacher.identity.home) <= 0) {
		note(status, "home",
		     "the user has no home directory: programs run in / and "
		     "without HOME; let userdb give one");
	}
}

/* Folders */

static bool has_special_use(void *context, const char *special_use)
{
	return mailbox_has_special_use(context, special_use);
}

static void
status_match(struct antispam_status *status, const char *vname,
	     const struct antispam_folder_match *match)
{
	const char *text = "";

	if (match->class == ANTISPAM_CLASS_SPAM)
		status->spam_folders++;
	if (match->setting != NULL)
		text = t_strdup_printf("%s: %s", match->setting, match->entry);
	antispam_status_add(status, ANTISPAM_STATUS_FOLDER, vname,
			    antispam_class_name(match->class), text);
	if (match->also_class != ANTISPAM_CLASS_OTHER) {
		text = t_strdup_printf(
			"folder %s is both %s (by %s) and %s (by %s): taken "
			"as %s",
			vname, antispam_class_name(match->class),
			match->setting, antispam_class_name(match->also_class),
			match->also_setting, antispam_class_name(match->class));
		note(status, "folder", text);
	}
	if (match->failed_setting != NULL) {
		antispam_status_problem(
			status, "regex",
			"%s takes too long on folder %s: taken as no match; "
			"write a simpler expression",
			match->failed_setting, vname);
	}
}

static void status_folder(struct antispam_status *status,
			  const struct mailbox_info *info)
{
	struct antispam_folder folder = {
		.vname = info->vname,
		.ns_prefix = info->ns->prefix,
		.has_special_use = has_special_use,
	};
	struct antispam_folder_match match;
	struct mailbox *box;

	if ((info->flags & (MAILBOX_NOSELECT | MAILBOX_NONEXISTENT)) != 0 ||
	    info->ns->owner != status->user || info->ns->alias_for != NULL)
		return;
	box = mailbox_alloc(info->ns->list, info->vname, MAILBOX_FLAG_READONLY);
	folder.context = box;
	antispam_folder_classify(status->folders, &folder, &match);
	status_match(status, info->vname, &match);
	mailbox_free(&box);
}

/* Returns -1 if they can't be listed. */
static int status_folders(struct antispam_status *status)
{
	static const char *const all[] = { "*", NULL };
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	int ret;

	if (status->folders == NULL)
		return 0;
	iter = mailbox_list_iter_init_namespaces(
		status->user->namespaces, all, MAIL_NAMESPACE_TYPE_PRIVATE,
		MAILBOX_LIST_ITER_STAR_WITHIN_NS);
	while ((info = mailbox_list_iter_next(iter)) != NULL)
		T_BEGIN {
			status_folder(status, info);
		} T_END;
	ret = mailbox_list_iter_deinit(&iter);
	if (ret == 0 && status->spam_folders == 0) {
		antispam_status_problem(
			status, "no-spam-folder",
			"none of the user's folders is a spam folder, so "
			"nothing can be learned; make one, or name one by "
			"antispam_spam, or let a folder bear the mark \\Junk "
			"(special_use of its mailbox block)");
	}
	return ret;
}

/* All together */

static const char *
status_state(const struct antispam_status *status, const char **text_r)
{
	const struct antispam_teacher *teacher = &status->teacher;

	if (status->off) {
		*text_r = status->problems == 0 ?
			"antispam_backend is none: nothing is learned" :
			"nothing is learned";
		return "off";
	}
	*text_r = t_strdup_printf(
		"what is moved is learned by %s, %s", teacher->backend->name,
		antispam_teacher_is_queued(teacher) ? "from the queue" :
						      "during the move");
	return status->problems == 0 ? "healthy" : "degraded";
}

static void
status_print_topic(const struct antispam_status *status,
		   enum antispam_status_topic topic)
{
	const struct antispam_status_row *row;

	array_foreach(&status->rows, row) {
		if (row->topic != topic)
			continue;
		doveadm_print(topic_names[topic]);
		doveadm_print(antispam_shown(row->name));
		doveadm_print(antispam_shown(row->value));
		doveadm_print(antispam_shown(row->text));
	}
}

static void status_print(struct antispam_status *status)
{
	const char *state, *text;
	unsigned int topic;

	state = status_state(status, &text);
	antispam_status_add(status, ANTISPAM_STATUS_TRAINING, "state", state,
			    text);
	for (topic = 0; topic < N_ELEMENTS(topic_names); topic++)
		T_BEGIN {
			status_print_topic(status, topic);
		} T_END;
}

static void
status_set_exit_code(struct status_cmd *cmd,
		     const struct antispam_status *status)
{
	int *code = &cmd->ctx.exit_code;

	/* a failure would leave the HTTP API's client without an answer, and
	   the answer says it */
	if (cmd->ctx.cctx->conn_type == DOVEADM_CONNECTION_TYPE_HTTP ||
	    *code == EX_TEMPFAIL)
		return;
	if (status->off)
		*code = ANTISPAM_EX_OFF;
	else if (status->problems > 0 && *code == 0)
		*code = ANTISPAM_EX_DEGRADED;
}

static int
status_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	struct status_cmd *cmd = status_cmd(ctx);
	struct antispam_status status;
	int ret;

	i_zero(&status);
	status.user = user;
	status.pool = pool_alloconly_create("antispam status", 4096);
	p_array_init(&status.rows, status.pool, 16);
	status_imap_error(cmd, &status);
	status_settings(cmd, &status);
	status_plugins(cmd, &status);
	ret = status_folders(&status);
	antispam_status_queue(&status, cmd->stats, cmd->stats_error);
	status_print(&status);
	status_set_exit_code(cmd, &status);
	if (ret < 0) {
		i_error("the folders can't be listed: %s",
			mailbox_list_get_last_internal_error(
				user->namespaces->list, NULL));
		doveadm_mail_failed_list(ctx, user->namespaces->list);
	}
	antispam_folder_map_deinit(&status.folders);
	pool_unref(&status.pool);
	return ret;
}

/* Before it is the user's process, for all users at once. */
static int status_prerun(struct doveadm_mail_cmd_context *ctx,
			 struct mail_storage_service_user *suser ATTR_UNUSED,
			 const char **error_r ATTR_UNUSED)
{
	struct status_cmd *cmd = status_cmd(ctx);
	const struct antispam_settings *set;
	const char *error = NULL;
	uid_t owner;
	int ret, fd = -1;

	if (cmd->stats != NULL)
		return 0;
	cmd->stats = antispam_stats_init();
	if (antispam_compat_imap_global(cmd->imap, ctx->pool, &set,
					&error) < 0) {
		/* that error is the user's, too */
		return 0;
	}
	ret = antispam_walk_open(set->queue_dir, &fd, &owner, &error);
	if (ret > 0)
		ret = antispam_walk(fd, antispam_stats_add, cmd->stats, &error);
	if (ret < 0)
		cmd->stats_error = p_strdup(ctx->pool, error);
	i_close_fd(&fd);
	return 0;
}

static void
status_init(struct doveadm_mail_cmd_context *ctx ANTISPAM_COMPAT_INIT_ARGS)
{
	struct status_cmd *cmd = status_cmd(ctx);

	cmd->imap_asked_as_root = geteuid() == 0;
	cmd->imap = antispam_compat_imap_init(ctx->pool, &cmd->imap_error);
	doveadm_print_header_simple("topic");
	doveadm_print_header_simple("name");
	doveadm_print_header_simple("value");
	doveadm_print_header_simple("text");
}

static void status_deinit(struct doveadm_mail_cmd_context *ctx)
{
	struct status_cmd *cmd = status_cmd(ctx);

	antispam_stats_deinit(&cmd->stats);
	antispam_compat_imap_deinit(&cmd->imap);
}

struct doveadm_mail_cmd_context *antispam_status_alloc(void)
{
	struct status_cmd *cmd = doveadm_mail_cmd_alloc(struct status_cmd);

	antispam_compat_doveadm_options(&cmd->ctx, "");
	cmd->ctx.v.init = status_init;
	cmd->ctx.v.prerun = status_prerun;
	cmd->ctx.v.run = status_run;
	cmd->ctx.v.deinit = status_deinit;
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &cmd->ctx;
}
