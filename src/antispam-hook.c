/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Sees every message that reaches a folder, refuses it or collects it, and
   lets dispatch act before and after the storage's commit. Only a user's own
   COPY, MOVE, APPEND and REPLACE count. Nothing fails here after the storage
   has committed. */

#include "lib.h"
#include "istream.h"
#include "istream-crlf.h"
#include "module-context.h"
#include "str-sanitize.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "istream-capture.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-folder.h"
#include "antispam-job.h"
#include "antispam-user.h"
#include "antispam-dispatch.h"
#include "antispam-collect.h"
#include "antispam-hook.h"

#define ANTISPAM_CONTEXT(obj) MODULE_CONTEXT(obj, antispam_storage_module)
/* Folder names in log lines are cut here, in bytes. */
#define HOOK_NAME_MAX 200

struct antispam_mailbox {
	union mailbox_module_context module_ctx;
	/* Valid once classified is set. */
	enum antispam_class class;
	bool classified:1;
	/* In a private namespace of the session's own user; also valid once
	   classified. */
	bool own:1;
};

/* Exists from the first message to learn until commit or rollback. */
struct antispam_transaction {
	union mailbox_transaction_module_context module_ctx;
	struct antispam_dispatch *dispatch;
	/* dispatch captures the message that is being appended. */
	bool capturing:1;
};

static MODULE_CONTEXT_DEFINE_INIT(antispam_storage_module,
				  &mail_storage_module_register);

static bool hook_has_special_use(void *context, const char *special_use)
{
	return mailbox_has_special_use(context, special_use);
}

static void
log_match(struct antispam_user *auser, const char *vname,
	  const struct antispam_folder_match *match)
{
	if (match->also_class != ANTISPAM_CLASS_OTHER &&
	    !auser->overlap_logged) {
		auser->overlap_logged = TRUE;
		e_warning(auser->teacher.event, "folder %s is both %s (by %s) "
						"and %s (by %s): taken as %s",
			  str_sanitize(vname, HOOK_NAME_MAX),
			  antispam_class_name(match->class), match->setting,
			  antispam_class_name(match->also_class),
			  match->also_setting,
			  antispam_class_name(match->class));
	}
	if (match->failed_setting != NULL && !auser->regex_logged) {
		auser->regex_logged = TRUE;
		e_error(auser->teacher.event,
			"%s takes too long on folder %s: taken as no match; "
			"write a simpler expression",
			match->failed_setting,
			str_sanitize(vname, HOOK_NAME_MAX));
	}
}

static void classify(struct antispam_mailbox *abox, struct mailbox *box)
{
	struct mail_user *user = box->storage->user;
	struct antispam_user *auser = antispam_user_get(user);
	const struct mail_namespace *ns = mailbox_get_namespace(box);
	const struct antispam_folder folder = {
		.vname = box->vname,
		.ns_prefix = ns->prefix,
		.has_special_use = hook_has_special_use,
		.context = box,
	};
	struct antispam_folder_match match;

	abox->classified = TRUE;
	abox->own = ns->type == MAIL_NAMESPACE_TYPE_PRIVATE &&
		ns->owner == user;
	if (!abox->own)
		return;
	antispam_folder_classify(auser->folders, &folder, &match);
	abox->class = match.class;
	log_match(auser, box->vname, &match);
}

/* The folder's class and whether it is the user's own; NULL = not watched. */
static const struct antispam_mailbox *classified(struct mailbox *box)
{
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(box);

	if (abox != NULL && !abox->classified)
		classify(abox, box);
	return abox;
}

/* Is this what a user does over IMAP? Only imap's COPY, MOVE, APPEND and
   REPLACE ask for both flags; Sieve, running inside imap, saves mail that it
   copies; lazy_expunge asks for one flag. */
static bool is_user_command(const struct mail_save_context *ctx)
{
	const enum mailbox_transaction_flags wanted =
		MAILBOX_TRANSACTION_FLAG_EXTERNAL |
		MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS;

	return (ctx->transaction->flags &
		(wanted | MAILBOX_TRANSACTION_FLAG_SYNC)) == wanted &&
		!(ctx->saving && ctx->copying_or_moving);
}

static void
refuse(struct mail_storage *storage, enum mail_error error, const char *text)
{
	mail_storage_set_error(storage, error, text);
	antispam_user_get(storage->user)->refused = TRUE;
}

/* imap's COPY keeps a pointer to the error's text while it commits the source
   folder's transaction. That may replace the text by a copy of itself (the
   index of the mailbox list does, 2.3.19 and 2.4.1), and the client would read
   freed memory. So let the old one live on. */
static void keep_error_text(struct mail_storage *storage)
{
	struct antispam_user *auser = antispam_user_get(storage->user);

	if (!auser->refused || storage->error_string == NULL)
		return;
	auser->refused = FALSE;
	i_free(auser->refused_text);
	auser->refused_text = storage->error_string;
	storage->error_string = i_strdup(auser->refused_text);
}

/* src: the folder that the message comes from, NULL = from the client. On DENY
   the storage's error is set. */
static enum antispam_verdict
judge(struct mail_save_context *ctx, struct mailbox *src,
      struct antispam_transition *tr_r)
{
	struct mailbox *dest = ctx->transaction->box;
	struct antispam_user *auser = antispam_user_get(dest->storage->user);
	const struct antispam_mailbox *adest, *asrc = NULL;
	enum antispam_verdict verdict;
	const char *reason;

	i_zero(tr_r);
	tr_r->append = src == NULL;
	if (!is_user_command(ctx) || auser->in_virtual)
		return ANTISPAM_VERDICT_NONE;
	adest = classified(dest);
	if (!adest->own)
		return ANTISPAM_VERDICT_NONE;
	tr_r->to = adest->class;
	if (src != NULL) {
		asrc = classified(src);
		if (asrc == NULL || !asrc->own)
			return ANTISPAM_VERDICT_NONE;
		tr_r->from = asrc->class;
	}
	verdict = antispam_transition_judge(
		tr_r, auser->teacher.set->allow_append_to_spam, &reason);
	if (verdict == ANTISPAM_VERDICT_DENY) {
		refuse(dest->storage, MAIL_ERROR_NOTPOSSIBLE, reason);
	}
	return verdict;
}

static struct antispam_transaction *
transaction_get(struct mailbox_transaction_context *t)
{
	struct antispam_transaction *at = ANTISPAM_CONTEXT(t);
	struct mail_storage *storage = t->box->storage;
	struct antispam_user *auser = antispam_user_get(storage->user);

	if (at == NULL) {
		if (!antispam_teacher_is_queued(&auser->teacher)) {
			antispam_teacher_lookup_home(&auser->teacher,
						     storage->user);
		}
		at = i_new(struct antispam_transaction, 1);
		at->dispatch = antispam_dispatch_begin(
			&auser->teacher, storage->set->parsed_fsync_mode);
		MODULE_CONTEXT_SET(t, antispam_storage_module, at);
	}
	return at;
}

/* Keep the message for learning; as antispam_collect(), with the storage's
   error set. */
static int
collect(struct mail_save_context *ctx, enum antispam_verdict verdict,
	const struct antispam_transition *tr, struct mail *mail,
	const char *origin, bool captured)
{
	struct mailbox_transaction_context *t = ctx->transaction;
	struct mail_storage *storage = t->box->storage;
	const struct antispam_job job = {
		.spam = verdict == ANTISPAM_VERDICT_SPAM,
		.change = *tr,
		.folder = t->box->vname,
		.origin = origin,
	};
	const struct antispam_user *auser = antispam_user_get(storage->user);
	struct antispam_dispatch *dispatch = transaction_get(t)->dispatch;
	const struct antispam_refusal *refusal;
	int ret;

	ret = antispam_collect(auser, dispatch, &job, mail, captured,
			       &refusal);
	if (ret < 0)
		refuse(storage, refusal->error, refusal->text);
	return ret;
}

static const char *describe_mail(struct mail *mail)
{
	return t_strdup_printf("UID %u of %s", mail->uid, mail->box->vname);
}

/* A virtual folder hands what is saved into it to another folder, by a
   transaction of the same kind. That is not the user's doing: it is neither
   refused nor learned from. */
static bool *virtual_enter(struct mail_save_context *ctx)
{
	struct mail_storage *storage = ctx->transaction->box->storage;
	bool *in_virtual = &antispam_user_get(storage->user)->in_virtual;

	*in_virtual = TRUE;
	return in_virtual;
}

static int virtual_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(ctx->transaction->box);
	bool *in_virtual = virtual_enter(ctx);
	int ret = abox->module_ctx.super.copy(ctx, mail);

	*in_virtual = FALSE;
	return ret;
}

static int
virtual_save_begin(struct mail_save_context *ctx, struct istream *input)
{
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(ctx->transaction->box);
	bool *in_virtual = virtual_enter(ctx);
	int ret = abox->module_ctx.super.save_begin(ctx, input);

	*in_virtual = FALSE;
	return ret;
}

static int virtual_save_finish(struct mail_save_context *ctx)
{
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(ctx->transaction->box);
	bool *in_virtual = virtual_enter(ctx);
	int ret = abox->module_ctx.super.save_finish(ctx);

	*in_virtual = FALSE;
	return ret;
}

static int hook_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct mailbox_transaction_context *t = ctx->transaction;
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(t->box);
	struct antispam_transition tr;
	enum antispam_verdict verdict;
	int ret = -1;

	if (t->box->virtual_vfuncs != NULL)
		return virtual_copy(ctx, mail);
	verdict = judge(ctx, mail->box, &tr);

	if (verdict == ANTISPAM_VERDICT_NONE)
		return abox->module_ctx.super.copy(ctx, mail);
	/* The message is read before the storage copies it: mbox can't read it
	   afterwards. */
	if (verdict != ANTISPAM_VERDICT_DENY)
		ret = collect(ctx, verdict, &tr, mail, describe_mail(mail),
			      FALSE);
	if (ret < 0) {
		mailbox_save_cancel(&ctx);
		return -1;
	}
	if (abox->module_ctx.super.copy(ctx, mail) < 0) {
		if (ret > 0) {
			antispam_dispatch_drop_last(
				transaction_get(t)->dispatch);
		}
		return -1;
	}
	return 0;
}

static bool backend_needs_message(struct mail_save_context *ctx)
{
	struct mail_user *user = ctx->transaction->box->storage->user;
	const struct antispam_backend *backend =
		antispam_user_get(user)->teacher.backend;

	return (backend->needs & ANTISPAM_NEED_MESSAGE) != 0;
}

/* maildir and mbox alone know mail_save_crlf. */
static bool saves_crlf(const struct mail_storage *storage)
{
	return storage->set->mail_save_crlf &&
		(strcmp(storage->name, "maildir") == 0 ||
		 strcmp(storage->name, "mbox") == 0);
}

/* A message that is appended can't be read back from every storage before it
   is committed (mbox). So we keep what the storage reads. *input is replaced by
   the stream for the storage, with the line ends that it is going to store;
   the caller unrefs it. Returns 0, or -1 with the storage's error set. */
static int
capture_begin(struct mail_save_context *ctx, struct istream **input)
{
	struct mail_storage *storage = ctx->transaction->box->storage;
	struct antispam_transaction *at = transaction_get(ctx->transaction);
	struct istream *stored;

	if (antispam_dispatch_capture_begin(at->dispatch) < 0) {
		refuse(storage, antispam_refusal_failed.error,
		       antispam_refusal_failed.text);
		return -1;
	}
	at->capturing = TRUE;
	stored = saves_crlf(storage) ?
		i_stream_create_crlf(*input) :
		i_stream_create_lf(*input);
	*input = antispam_istream_create_capture(
		stored, antispam_dispatch_capture, at->dispatch);
	i_stream_unref(&stored);
	return 0;
}

static void capture_cancel(struct mailbox_transaction_context *t)
{
	struct antispam_transaction *at = ANTISPAM_CONTEXT(t);

	if (at == NULL || !at->capturing)
		return;
	at->capturing = FALSE;
	antispam_dispatch_capture_cancel(at->dispatch);
}

static int hook_save_begin(struct mail_save_context *ctx, struct istream *input)
{
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(ctx->transaction->box);
	struct antispam_transition tr;
	enum antispam_verdict verdict = ANTISPAM_VERDICT_NONE;
	int ret;

	if (ctx->transaction->box->virtual_vfuncs != NULL)
		return virtual_save_begin(ctx, input);
	if (!ctx->copying_via_save)
		verdict = judge(ctx, NULL, &tr);
	if (verdict == ANTISPAM_VERDICT_NONE)
		return abox->module_ctx.super.save_begin(ctx, input);
	if (verdict == ANTISPAM_VERDICT_DENY)
		return -1;
	if (!backend_needs_message(ctx))
		return abox->module_ctx.super.save_begin(ctx, input);
	if (capture_begin(ctx, &input) < 0)
		return -1;
	ret = abox->module_ctx.super.save_begin(ctx, input);
	i_stream_unref(&input);
	return ret;
}

static void hook_save_cancel(struct mail_save_context *ctx)
{
	struct mailbox_transaction_context *t = ctx->transaction;
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(t->box);

	abox->module_ctx.super.save_cancel(ctx);
	capture_cancel(t);
}

static int hook_save_finish(struct mail_save_context *ctx)
{
	struct mailbox_transaction_context *t = ctx->transaction;
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(t->box);
	enum antispam_verdict verdict = ANTISPAM_VERDICT_NONE;
	struct antispam_transition tr;
	struct antispam_transaction *at;
	bool captured;
	int ret;

	if (t->box->virtual_vfuncs != NULL)
		return virtual_save_finish(ctx);
	if (!ctx->copying_via_save)
		verdict = judge(ctx, NULL, &tr);
	ret = abox->module_ctx.super.save_finish(ctx);
	if (verdict == ANTISPAM_VERDICT_NONE)
		return ret;
	if (ret < 0) {
		capture_cancel(t);
		return -1;
	}
	at = transaction_get(t);
	captured = at->capturing;
	at->capturing = FALSE;
	ret = collect(ctx, verdict, &tr, ctx->dest_mail, "APPEND", captured);
	if (captured && ret <= 0)
		antispam_dispatch_capture_cancel(at->dispatch);
	return ret < 0 ? -1 : 0;
}

/* Returns the dispatch, or NULL if the transaction has none, and forgets our
   context: the storage frees the transaction when it commits or rolls back. */
static struct antispam_dispatch *
transaction_take(struct mailbox_transaction_context *t)
{
	struct antispam_transaction *at = ANTISPAM_CONTEXT(t);
	struct antispam_dispatch *dispatch;

	if (at == NULL)
		return NULL;
	dispatch = at->dispatch;
	MODULE_CONTEXT_UNSET(t, antispam_storage_module);
	i_free(at);
	return dispatch;
}

static int
hook_transaction_commit(struct mailbox_transaction_context *t,
			struct mail_transaction_commit_changes *changes_r)
{
	struct mailbox *box = t->box;
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(box);
	struct antispam_dispatch *dispatch = transaction_take(t);
	int ret;

	if (dispatch == NULL) {
		keep_error_text(box->storage);
		return abox->module_ctx.super.transaction_commit(t, changes_r);
	}

	if (antispam_dispatch_prepare(dispatch) < 0) {
		abox->module_ctx.super.transaction_rollback(t);
		/* the rollback may have set an error of its own */
		refuse(box->storage, antispam_refusal_failed.error,
		       antispam_refusal_failed.text);
		antispam_dispatch_rollback(&dispatch);
		return -1;
	}
	ret = abox->module_ctx.super.transaction_commit(t, changes_r);
	if (ret < 0)
		antispam_dispatch_rollback(&dispatch);
	else
		antispam_dispatch_commit(&dispatch);
	return ret;
}

static void hook_transaction_rollback(struct mailbox_transaction_context *t)
{
	struct antispam_mailbox *abox = ANTISPAM_CONTEXT(t->box);
	struct antispam_dispatch *dispatch = transaction_take(t);

	abox->module_ctx.super.transaction_rollback(t);
	if (dispatch != NULL)
		antispam_dispatch_rollback(&dispatch);
}

void antispam_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct antispam_mailbox *abox;

	if (antispam_user_get(box->storage->user) == NULL)
		return;
	abox = p_new(box->pool, struct antispam_mailbox, 1);
	abox->module_ctx.super = *v;
	box->vlast = &abox->module_ctx.super;
	v->copy = hook_copy;
	v->save_begin = hook_save_begin;
	v->save_finish = hook_save_finish;
	v->save_cancel = hook_save_cancel;
	v->transaction_commit = hook_transaction_commit;
	v->transaction_rollback = hook_transaction_rollback;
	MODULE_CONTEXT_SET(box, antispam_storage_module, abox);
}
