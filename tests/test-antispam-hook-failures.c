/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Lessons that fail, transactions that are rolled back, and messages that do
   not fit. */

#include "test-hook-backend.h"

static void
check_refused(struct mailbox *inbox, struct mailbox **_spam, const char *text)
{
	struct mailbox *spam = *_spam;
	enum mail_error error;

	test_assert(copy_mails(inbox, spam, USER_FLAGS, TRUE, 5) < 0);
	test_assert_strcmp(mailbox_get_last_error(spam, &error), text);
	test_assert(error == MAIL_ERROR_UNAVAILABLE);
	/* Dovecot's mbox can't be used by the same handle after a rollback */
	mailbox_free(_spam);
	*_spam = spam = open_box("SPAM");
	test_assert(message_count(spam) == 0);
	test_assert(message_count(inbox) == 5);
}

static void test_failures_driver(const char *driver)
{
	static const char *text = "The spam filter could not be taught; "
				  "nothing was moved. Please try again later.";
	struct mailbox *inbox, *spam;

	test_begin(t_strdup_printf("a failed lesson refuses all (%s)", driver));
	user_init(driver, "pipe", "no", "0");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	fill_box(inbox, 5);

	backend.fail_at = 3;
	/* the error, and the warning of what can't be taken back */
	test_expect_errors(2);
	check_refused(inbox, &spam, text);
	test_expect_no_more_errors();
	test_assert(array_count(&backend.lessons) == 3);

	backend.fail_at = UINT_MAX;
	array_clear(&backend.lessons);
	test_assert(copy_mails(inbox, spam, USER_FLAGS, TRUE, 5) == 0);
	test_assert(array_count(&backend.lessons) == 5);
	test_assert(message_count(spam) == 5);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();

	user_init(driver, "spool2dir", "no", "0");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	fill_box(inbox, 5);
	backend.fail_prepare = TRUE;
	test_expect_error_string("told to fail to prepare");
	check_refused(inbox, &spam, text);
	test_expect_no_more_errors();
	test_assert(backend.rolled_back == 1 && backend.committed == 0);
	test_assert(array_count(&backend.lessons) == 0);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

static void test_failures(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++)
		test_failures_driver(drivers[i]);
}

/* What can never be learned is moved, and the log is not flooded. */
static void test_broken(void)
{
	struct mailbox *inbox, *spam;

	test_begin("a lesson that can't succeed refuses nothing");
	user_init("maildir", "pipe", "no", "0");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	fill_box(inbox, 30);
	backend.broken = TRUE;
	/* ten, and one for all the others */
	test_expect_errors(11);
	test_assert(copy_mails(inbox, spam, USER_FLAGS, TRUE, 30) == 0);
	test_expect_no_more_errors();
	test_assert(message_count(spam) == 30);
	test_assert(message_count(inbox) == 0);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

/* A transaction that is rolled back has taught nothing. */
static void test_rollback_driver(const char *driver, const char *name)
{
	struct mailbox_transaction_context *src_t, *t;
	struct mailbox *inbox, *spam;
	struct mail *mail;

	test_begin(t_strdup_printf("rollback teaches nothing (%s, %s)", driver,
				   name));
	user_init(driver, name, "no", "0");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	fill_box(inbox, 1);
	src_t = mailbox_transaction_begin(inbox, 0, __func__);
	t = mailbox_transaction_begin(spam, USER_FLAGS, __func__);
	mail = mail_alloc(src_t, 0, NULL);
	mail_set_seq(mail, 1);
	test_assert(copy_one(t, mail, FALSE) == 0);
	mail_free(&mail);
	mailbox_transaction_rollback(&t);
	test_assert(mailbox_transaction_commit(&src_t) == 0);
	test_assert(array_count(&backend.lessons) == 0);
	test_assert(message_count(spam) == 0);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

static void test_rollback(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		test_rollback_driver(drivers[i], "pipe");
		test_rollback_driver(drivers[i], "spool2dir");
	}
}

static void test_max_size(void)
{
	struct mailbox *inbox, *spam;
	const char *big;

	test_begin("bigger than antispam_max_size: moved, not learned");
	user_init("maildir", "pipe", "no", "100");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	fill_box(inbox, 1);
	big = t_strdup_printf("Subject: x\n\n%0200d\n", 1);
	test_assert(append_mails(inbox, EXTERNAL, big, strlen(big), 1) == 0);
	fill_box(inbox, 1);
	test_assert(copy_mails(inbox, spam, USER_FLAGS, TRUE, 3) == 0);
	test_assert(message_count(spam) == 3);
	test_assert(array_count(&backend.lessons) == 2);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

/* More than fits into memory, each message its own. */
static void test_large_driver(const char *driver, const char *name)
{
	const unsigned int count = 12;
	struct mailbox *inbox, *spam;
	const struct lesson *lesson;
	string_t *str = str_new(default_pool, 1024);
	unsigned int i;
	int ret;

	test_begin(t_strdup_printf("more than memory holds (%s, %s)", driver,
				   name));
	user_init(driver, name, "no", "0");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	for (i = 0; i < count; i++) {
		str_printfa(str, "Subject: %u\n\n", i);
		while (str_len(str) < 10 + i * i * 5000)
			str_printfa(str, "line %zu\n", str_len(str));
		ret = append_mails(inbox, EXTERNAL, str_data(str),
				   str_len(str), 1);
		test_assert(ret == 0);
		str_truncate(str, 0);
	}
	test_assert(mailbox_sync(inbox, 0) == 0);
	test_assert(copy_mails(inbox, spam, USER_FLAGS, FALSE, count) == 0);
	test_assert(array_count(&backend.lessons) == count);
	for (i = 0; i < count; i++) {
		lesson = array_idx(&backend.lessons, i);
		test_assert_idx(lesson->message->used >= 10 + i * i * 5000, i);
		test_assert_idx(strncmp(lesson->message->data,
					t_strdup_printf("Subject: %u\n", i),
					10 + (i >= 10 ? 1 : 0)) == 0,
				i);
	}
	lesson = array_idx(&backend.lessons, count - 1);
	test_assert(buffer_cmp(lesson->message, stored_bytes(spam)));
	str_free(&str);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

static void test_large(void)
{
	test_large_driver("maildir", "pipe");
	test_large_driver("maildir", "spool2dir");
	test_large_driver("mbox", "pipe");
}

int main(int argc, char *argv[])
{
	static void (*const tests[])(void) = {
		test_failures,
		test_broken,
		test_rollback,
		test_max_size,
		test_large,
		NULL
	};

	return test_hook_run("test-antispam-hook-failures", argc, argv, tests);
}
