/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Messages on their way to a backend that learns by signature: which signature
   it gets, and what becomes of a message without one, on four storages, in
   process. The settings and the backend are the test's own. */

#include "test-hook.h"

#define UNSIGNED_TEXT \
	"The message bears no mark of the spam filter, so it can't be " \
	"corrected; nothing was moved."

/* What the backend was given: "spam:SIGNATURE ham:SIGNATURE ". */
static string_t *lessons;

static int
backend_init(pool_t pool ATTR_UNUSED, const struct antispam_settings *set,
	     void **context_r, const char **warning_r ATTR_UNUSED,
	     const char **error_r ATTR_UNUSED)
{
	*context_r = (void *)set;
	return 0;
}

static const char *backend_tmpdir(void *context ATTR_UNUSED)
{
	return ".";
}

static const char *backend_result_header(void *context)
{
	const struct antispam_settings *set = context;

	return set->dspam_result_header;
}

static bool
backend_result_declines(void *context ATTR_UNUSED, const char *value)
{
	return strstr(value, "Virus") != NULL;
}

static void
backend_learn(void *context ATTR_UNUSED, const struct antispam_batch *batch,
	      void **undo ATTR_UNUSED)
{
	const struct antispam_job *job;
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		job = batch->jobs[i];
		i_zero(&batch->outcomes[i]);
		str_printfa(lessons, "%s:%s ", job->spam ? "spam" : "ham",
			    job->signature);
		/* nothing but the header was read */
		test_assert(job->size == 0);
	}
}

static const struct antispam_backend backend = {
	.name = "dspam",
	.needs = ANTISPAM_NEED_SIGNATURE,
	.signature_header = "X-DSPAM-Signature",
	.max_batch = 3,
	.init = backend_init,
	.tmpdir = backend_tmpdir,
	.result_header = backend_result_header,
	.result_declines = backend_result_declines,
	.learn = backend_learn,
};

const struct antispam_backend *const antispam_backends[] = { &backend, NULL };

const struct antispam_backend *
antispam_backend_find(const char *name ATTR_UNUSED)
{
	return &backend;
}

const char *antispam_backend_names(void)
{
	return "dspam";
}

static struct mailbox *inbox, *spam;

static void user_init(const char *driver, const char *const *settings)
{
	static const char *all[16] = {
		"antispam_backend",
		"dspam",
		"antispam_log_lessons",
		"no",
	};
	unsigned int i;

	for (i = 0; settings[i] != NULL; i++)
		all[4 + i] = settings[i];
	all[4 + i] = NULL;
	lessons = str_new(default_pool, 256);
	test_user_init(driver, all);
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
}

static void user_deinit(void)
{
	mailbox_free(&spam);
	mailbox_free(&inbox);
	test_user_deinit();
	str_free(&lessons);
}

/* APPEND or MULTIAPPEND; mails is NULL-terminated. */
static int append_all(struct mailbox *box, const char *const *mails)
{
	struct mailbox_transaction_context *t =
		mailbox_transaction_begin(box, USER_FLAGS, __func__);

	for (; *mails != NULL; mails++) {
		if (save_mail(t, *mails, strlen(*mails)) < 0) {
			mailbox_transaction_rollback(&t);
			return -1;
		}
	}
	return mailbox_transaction_commit(&t);
}

/* COPY or MOVE of all messages. */
static int copy_all(struct mailbox *src, struct mailbox *dest, bool move)
{
	return copy_mails(src, dest, USER_FLAGS, move, message_count(src));
}

static void fill_inbox(const char *const *mails)
{
	test_assert(append_all(inbox, mails) == 0);
	test_assert(mailbox_sync(inbox, 0) == 0);
}

static void check_lessons(const char *expected, unsigned int row)
{
	test_assert_idx(strcmp(str_c(lessons), expected) == 0, row);
	if (strcmp(str_c(lessons), expected) != 0)
		i_info("row %u: %s", row, str_c(lessons));
	str_truncate(lessons, 0);
}

static const char *const no_settings[] = { NULL };
static const char *const move_settings[] = {
	"antispam_signature_missing", "move", NULL
};

#define MAIL(headers) "Subject: x\n" headers "To: y\n\nX-DSPAM-Signature: 9\n"
#define SIGNED MAIL("X-DSPAM-Signature: abc\n")
#define FORGED MAIL("X-DSPAM-Signature: a b\n")
#define UNSIGNED MAIL("")

/* What a signature is, after the storage has had its hands on the header. */
static void test_found_driver(const char *driver)
{
	static const struct {
		const char *mail, *expected;
	} tests[] = {
		{ SIGNED, "abc" },
		{ MAIL("X-DSPAM-Signature:abc\n"), "abc" },
		{ MAIL("x-dspam-signature: abc  \n"), "abc" },
		{ MAIL("X-DSPAM-Signature:\n abc\n"), "abc" },
		{ MAIL("X-DSPAM-Signature:\r\n\tabc\r\n"), "abc" },
		{ MAIL("X-DSPAM-Signature: a\nX-DSPAM-Signature: b\n"), "b" },
		{ MAIL("X-DSPAM-Signature: ;\nX-DSPAM-Signature: b\n"), "b" },
		/* declined */
		{ MAIL("X-DSPAM-Signature: a\nX-DSPAM-Signature: ;\n"), "-" },
		{ MAIL("X-DSPAM-Signature: a\nX-DSPAM-Signature:\n"), "-" },
		{ MAIL("X-DSPAM-Signature: a\n b\n"), "-" },
		{ MAIL("X-DSPAM-Signature: =?utf-8?q?abc?=\n"), "-" },
		{ MAIL("X-DSPAM-Signature: ../abc\n"), "-" },
		{ MAIL("X-DSPAM-Signature: a;touch${IFS}pwned\n"), "-" },
		{ MAIL("X-DSPAM-Signature: \x80\xff\n"), "-" },
		{ MAIL("X-DSPAM-Signature: abc\x01\n"), "-" },
	};
	const char *lesson;
	unsigned int i, move;

	test_begin(t_strdup_printf("signatures that are found (%s)", driver));
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		const char *const mails[] = { tests[i].mail, NULL };

		user_init(driver, no_settings);
		fill_inbox(mails);
		/* the second time it may be in the index's cache */
		for (move = 0; move <= 1; move++) {
			if (*tests[i].expected == '-')
				test_expect_error_string("is no signature");
			test_assert_idx(copy_all(inbox, spam, move == 1) == 0,
					i);
			test_expect_no_more_errors();
			lesson = "";
			if (*tests[i].expected != '-') {
				lesson = t_strdup_printf("spam:%s ",
							 tests[i].expected);
			}
			check_lessons(lesson, i);
			test_assert_idx(message_count(spam) == move + 1, i);
		}
		test_assert_idx(message_count(inbox) == 0, i);
		user_deinit();
	}
	test_end();
}

static void test_huge_driver(const char *driver)
{
	string_t *mail = str_new(default_pool, 1024);
	const char *mails[] = { NULL, NULL };

	str_append(mail, "X-DSPAM-Signature: ");
	while (str_len(mail) < 19 + 204800)
		str_append(mail, "abcd");
	str_append(mail, "\n\nx\n");
	mails[0] = str_c(mail);
	test_begin(t_strdup_printf("a signature of 200 kB (%s)", driver));
	user_init(driver, no_settings);
	fill_inbox(mails);
	test_expect_error_string("is no signature: it has 204800 bytes");
	test_assert(copy_all(inbox, spam, TRUE) == 0);
	test_expect_no_more_errors();
	check_lessons("", 0);
	user_deinit();
	str_free(&mail);
	test_end();
}

static void check_refused(bool move, unsigned int count)
{
	enum mail_error error;

	test_expect_error_string("has no header X-DSPAM-Signature");
	test_assert(copy_all(inbox, spam, move) < 0);
	test_expect_no_more_errors();
	test_assert_strcmp(mailbox_get_last_error(spam, &error),
			   UNSIGNED_TEXT);
	test_assert(error == MAIL_ERROR_NOTPOSSIBLE);
	check_lessons("", 0);
	test_assert(message_count(spam) == 0);
	test_assert(message_count(inbox) == count);
}

static void test_missing_driver(const char *driver)
{
	const char *const one[] = { UNSIGNED, NULL };
	const char *const several[] = { SIGNED, UNSIGNED, SIGNED, NULL };

	test_begin(t_strdup_printf("no signature: error (%s)", driver));
	user_init(driver, no_settings);
	fill_inbox(one);
	check_refused(FALSE, 1);
	check_refused(TRUE, 1);
	user_deinit();
	user_init(driver, no_settings);
	fill_inbox(several);
	check_refused(FALSE, 3);
	check_refused(TRUE, 3);
	user_deinit();
	test_end();

	test_begin(t_strdup_printf("no signature: move (%s)", driver));
	user_init(driver, move_settings);
	fill_inbox(several);
	test_assert(copy_all(inbox, spam, FALSE) == 0);
	check_lessons("spam:abc spam:abc ", 0);
	test_assert(copy_all(inbox, spam, TRUE) == 0);
	check_lessons("spam:abc spam:abc ", 1);
	test_assert(message_count(spam) == 6);
	test_assert(message_count(inbox) == 0);
	test_assert(copy_all(spam, inbox, TRUE) == 0);
	check_lessons("ham:abc ham:abc ham:abc ham:abc ", 2);
	user_deinit();
	test_end();
}

/* One warning for all of them. */
static void test_invalid_driver(const char *driver)
{
	const char *const mails[] = { FORGED, SIGNED, FORGED, FORGED, NULL };
	const char *const expected = "spam:abc ";
	unsigned int i;

	test_begin(t_strdup_printf("forged signatures (%s)", driver));
	user_init(driver, no_settings);
	fill_inbox(mails);
	for (i = 0; i < 2; i++) {
		test_expect_error_string_n_times(
			"its header X-DSPAM-Signature is no signature: it "
			"holds other characters than letters, digits and "
			"._,:@+-: \"a?b\"",
			1);
		test_assert(copy_all(inbox, spam, i == 1) == 0);
		test_expect_no_more_errors();
		check_lessons(expected, i);
		test_assert(message_count(spam) == (i + 1) * 4);
	}
	test_assert(message_count(inbox) == 0);
	user_deinit();
	test_end();
}

static void test_result_driver(const char *driver)
{
	static const char *const settings[] = {
		"antispam_dspam_result_header", "X-DSPAM-Result", NULL
	};
	const char *const mails[] = {
		MAIL("X-DSPAM-Signature: abc\nX-DSPAM-Result: Spam\n"),
		MAIL("X-DSPAM-Signature: abc\nX-DSPAM-Result: Virus\n"),
		/* all but the last one are the sender's */
		MAIL("X-DSPAM-Signature: def\nX-DSPAM-Result: Virus\n"
		     "X-DSPAM-Result: Spam\n"),
		MAIL("X-DSPAM-Result: Virus\nX-DSPAM-Signature: ;\n"),
		SIGNED, NULL
	};

	test_begin(t_strdup_printf("blacklisted results (%s)", driver));
	user_init(driver, settings);
	fill_inbox(mails);
	test_assert(copy_all(inbox, spam, TRUE) == 0);
	check_lessons("spam:abc spam:def spam:abc ", 0);
	test_assert(message_count(spam) == 5);
	user_deinit();
	test_end();
}

static void test_append_driver(const char *driver)
{
	const char *const settings[] = {
		"antispam_allow_append_to_spam", "yes", NULL
	};
	const char *const missing[] = { SIGNED, UNSIGNED, SIGNED, NULL };
	const char *const found[] = {
		SIGNED, MAIL("X-DSPAM-Signature:\r\n b\r\n"), FORGED, NULL
	};
	enum mail_error error;

	test_begin(t_strdup_printf("APPEND, MULTIAPPEND (%s)", driver));
	user_init(driver, settings);
	test_expect_error_string("is no signature");
	test_assert(append_all(spam, found) == 0);
	test_expect_no_more_errors();
	check_lessons("spam:abc spam:b ", 0);
	test_assert(message_count(spam) == 3);

	test_expect_error_string("has no header X-DSPAM-Signature");
	test_assert(append_all(spam, missing) < 0);
	test_expect_no_more_errors();
	test_assert_strcmp(mailbox_get_last_error(spam, &error),
			   UNSIGNED_TEXT);
	test_assert(error == MAIL_ERROR_NOTPOSSIBLE);
	check_lessons("", 1);
	test_assert(message_count(spam) == 3);
	user_deinit();
	test_end();
}

/* A wrong setting: one error when the session begins, and it is off. */
static void test_wrong_setting(void)
{
	static const struct {
		const char *settings[8], *error;
	} tests[] = {
		{ { "antispam_backend", "dspam",
		    "antispam_signature_regex", "a(", NULL },
		  "nothing is learned in this session: "
		  "antispam_signature_regex = a(" },
		{ { "antispam_backend", "dspam",
		    "antispam_signature", "X-Signature:", NULL },
		  "nothing is learned in this session: "
		  "antispam_signature = X-Signature:" },
	};
	unsigned int i;

	test_begin("wrong settings of signatures");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_expect_error_string(tests[i].error);
		test_storage_init("maildir", tests[i].settings);
		test_expect_no_more_errors();
		test_assert(antispam_user_get(storage_ctx->user) == NULL);
		test_user_deinit();
	}
	test_end();
}

static void test_right_settings(void)
{
	const char *const settings[] = {
		"antispam_signature", "Subject",
		"antispam_signature_regex", "[xyz+]+", NULL
	};
	const char *const mails[] = {
		SIGNED, "Subject: +x\n\n", "Subject: abc\n\n", NULL
	};

	test_begin("antispam_signature, antispam_signature_regex");
	user_init("maildir", settings);
	fill_inbox(mails);
	test_expect_error_string("its header Subject is no signature: "
				 "antispam_signature_regex does not match it");
	test_assert(copy_all(inbox, spam, TRUE) == 0);
	test_expect_no_more_errors();
	check_lessons("spam:x spam:+x ", 0);
	user_deinit();
	test_end();
}

static void test_drivers(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		test_found_driver(drivers[i]);
		test_huge_driver(drivers[i]);
		test_missing_driver(drivers[i]);
		test_invalid_driver(drivers[i]);
		test_result_driver(drivers[i]);
		test_append_driver(drivers[i]);
	}
}

int main(int argc, char *argv[])
{
	static void (*const tests[])(void) = {
		test_drivers,
		test_wrong_setting,
		test_right_settings,
		NULL
	};

	return test_hook_run("test-antispam-hook-signature", argc, argv, tests);
}
