#ifndef TEST_HOOK_H
#define TEST_HOOK_H

/* A user with real mailboxes whose hooks are ours, in process, for
   test-antispam-hook*.c. The settings and the backend are the tests' own: they
   are put in place of the real ones when a test is linked. */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "master-service.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-storage-hooks.h"
#include "test-common.h"
#include "test-mail-storage-common.h"
#include "antispam-settings.h"
#include "antispam-transition.h"
#include "antispam-job.h"
#include "antispam-backend.h"
#include "antispam-compat.h"
#include "antispam-user.h"
#include "antispam-hook.h"
#include "test-version.h"

#define EXTERNAL MAILBOX_TRANSACTION_FLAG_EXTERNAL
#define USER_FLAGS (EXTERNAL | MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS)

static const char *const drivers[] = { "maildir", "sdbox", "mdbox", "mbox" };

/* Settings of the test's user: name, value, ..., NULL. */
static const char *const *test_settings;

static const char *test_get(void *context ATTR_UNUSED, const char *name)
{
	const char *const *set;

	for (set = test_settings; *set != NULL; set += 2) {
		if (strcmp(set[0], name) == 0)
			return set[1];
	}
	return NULL;
}

static int
test_expand(void *context ATTR_UNUSED, enum antispam_expand how ATTR_UNUSED,
	    const char *raw, const char **value_r,
	    const char **warning_r ATTR_UNUSED,
	    const char **error_r ATTR_UNUSED)
{
	*value_r = raw;
	return 0;
}

int antispam_compat_settings_get(struct mail_user *user ATTR_UNUSED,
				 pool_t pool,
				 const struct antispam_settings **set_r,
				 const char **error_r)
{
	const struct antispam_settings_source source = {
		.get = test_get,
		.expand = test_expand,
	};

	return antispam_settings_parse(pool, &source, set_r, error_r);
}

static inline void hook_make_imap(struct mail_user *user)
{
	user->service = "imap";
}

static const struct mail_storage_hooks imap_hooks = {
	.mail_user_created = hook_make_imap,
};
static const struct mail_storage_hooks antispam_hooks = {
	.mail_user_created = antispam_user_created,
	.mailbox_allocated = antispam_mailbox_allocated,
};

static struct test_mail_storage_ctx *storage_ctx;

/* The user, whether training is on for him or not. */
static inline void
test_storage_init(const char *driver, const char *const *settings)
{
	const struct test_mail_storage_settings set = {
		.driver = driver,
		TEST_STORAGE_SETTINGS_EXTRA
	};

	test_settings = settings;
	storage_ctx = test_mail_storage_init();
	mail_storage_hooks_add_internal(&imap_hooks);
	mail_storage_hooks_add_internal(&antispam_hooks);
	test_mail_storage_init_user(storage_ctx, &set);
}

static inline void
test_user_init(const char *driver, const char *const *settings)
{
	test_storage_init(driver, settings);
	test_assert(antispam_user_get(storage_ctx->user) != NULL);
}

static inline void test_user_deinit(void)
{
	test_mail_storage_deinit_user(storage_ctx);
	mail_storage_hooks_remove_internal(&antispam_hooks);
	mail_storage_hooks_remove_internal(&imap_hooks);
	test_mail_storage_deinit(&storage_ctx);
}

static inline struct mailbox *open_box(const char *name)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(storage_ctx->user->namespaces);
	struct mailbox *box = mailbox_alloc(ns->list, name, 0);

	if (strcmp(name, "INBOX") != 0)
		(void)mailbox_create(box, NULL, FALSE);
	test_assert(mailbox_open(box) == 0);
	test_assert(mailbox_sync(box, 0) == 0);
	return box;
}

static inline unsigned int message_count(struct mailbox *box)
{
	struct mailbox_status status;

	if (mailbox_sync(box, 0) < 0) {
		i_error("%s: %s", box->vname,
			mailbox_get_last_internal_error(box, NULL));
		test_assert(FALSE);
	}
	mailbox_get_open_status(box, STATUS_MESSAGES, &status);
	return status.messages;
}

static inline int
save_mail(struct mailbox_transaction_context *t, const void *data, size_t size)
{
	struct istream *input = i_stream_create_from_data(data, size);
	struct mail_save_context *ctx = mailbox_save_alloc(t);
	int ret = mailbox_save_begin(&ctx, input);

	while (ret == 0) {
		if (mailbox_save_continue(ctx) < 0)
			ret = -1;
		else if (i_stream_read(input) <= 0)
			break;
	}
	if (ret == 0)
		ret = mailbox_save_finish(&ctx);
	else if (ctx != NULL)
		mailbox_save_cancel(&ctx);
	i_stream_unref(&input);
	return ret;
}

/* APPEND or MULTIAPPEND of count equal messages. */
static inline int
append_mails(struct mailbox *box, enum mailbox_transaction_flags flags,
	     const void *data, size_t size, unsigned int count)
{
	struct mailbox_transaction_context *t =
		mailbox_transaction_begin(box, flags, __func__);
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (save_mail(t, data, size) < 0) {
			mailbox_transaction_rollback(&t);
			return -1;
		}
	}
	return mailbox_transaction_commit(&t);
}

static inline int
copy_one(struct mailbox_transaction_context *t, struct mail *mail, bool move)
{
	struct mail_save_context *ctx = mailbox_save_alloc(t);

	return move ? mailbox_move(&ctx, mail) : mailbox_copy(&ctx, mail);
}

/* COPY or MOVE of the folder's first count messages. */
static inline int
copy_mails(struct mailbox *src, struct mailbox *dest,
	   enum mailbox_transaction_flags flags, bool move, unsigned int count)
{
	struct mailbox_transaction_context *src_t, *dest_t;
	struct mail *mail;
	unsigned int seq;
	int ret = 0;

	src_t = mailbox_transaction_begin(src, 0, __func__);
	dest_t = mailbox_transaction_begin(dest, flags, __func__);
	for (seq = 1; seq <= count && ret == 0; seq++) {
		mail = mail_alloc(src_t, 0, NULL);
		mail_set_seq(mail, seq);
		ret = copy_one(dest_t, mail, move);
		mail_free(&mail);
	}
	if (ret < 0)
		mailbox_transaction_rollback(&dest_t);
	else
		ret = mailbox_transaction_commit(&dest_t);
	if (ret < 0)
		mailbox_transaction_rollback(&src_t);
	else
		test_assert(mailbox_transaction_commit(&src_t) == 0);
	return ret;
}

/* The bytes of the folder's last message, as a later session reads them. */
static inline buffer_t *stored_bytes(struct mailbox *box)
{
	buffer_t *buf = buffer_create_dynamic(pool_datastack_create(), 1024);
	struct mailbox *again = open_box(box->vname);
	struct mailbox_transaction_context *t =
		mailbox_transaction_begin(again, 0, __func__);
	struct mail *mail = mail_alloc(t, 0, NULL);
	const unsigned char *data;
	struct istream *input;
	size_t size;

	mail_set_seq(mail, message_count(box));
	test_assert(mail_get_stream(mail, NULL, NULL, &input) == 0);
	while (i_stream_read_more(input, &data, &size) > 0) {
		buffer_append(buf, data, size);
		i_stream_skip(input, size);
	}
	mail_free(&mail);
	test_assert(mailbox_transaction_commit(&t) == 0);
	mailbox_free(&again);
	return buf;
}

static inline int test_hook_run(const char *name, int argc, char *argv[],
				void (*const tests[])(void))
{
	const enum master_service_flags flags =
		MASTER_SERVICE_FLAG_STANDALONE |
		MASTER_SERVICE_FLAG_DONT_SEND_STATS |
		MASTER_SERVICE_FLAG_NO_CONFIG_SETTINGS |
		MASTER_SERVICE_FLAG_NO_SSL_INIT |
		MASTER_SERVICE_FLAG_NO_INIT_DATASTACK_FRAME;
	int ret;

	master_service = master_service_init(name, flags, &argc, &argv, "");
	ret = test_run(tests);
	master_service_deinit(&master_service);
	return ret;
}

#endif
