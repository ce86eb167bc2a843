/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What is learned and what is refused, by folder, and with which bytes. */

#include "test-hook-backend.h"

/* The folders, by class. */
static const char *const folder_names[ANTISPAM_CLASS_COUNT] = {
	[ANTISPAM_CLASS_OTHER] = "INBOX",
	[ANTISPAM_CLASS_SPAM] = "SPAM",
	[ANTISPAM_CLASS_TRASH] = "Trash",
	[ANTISPAM_CLASS_UNSURE] = "Unsure",
};

/* What must come of a transition, in the order of enum antispam_class: from
   each class (rows) to each class. - nothing, N refused, S spam, H ham. */
static const char *const expected[ANTISPAM_CLASS_COUNT] = {
	/*   to:                   other, spam, trash, unsure */
	[ANTISPAM_CLASS_OTHER] = "-S-N",
	[ANTISPAM_CLASS_SPAM] = "H--N",
	[ANTISPAM_CLASS_TRASH] = "---N",
	[ANTISPAM_CLASS_UNSURE] = "HS-N",
};

static void
check_cell(const char *driver, int from, int to, bool move, char expect)
{
	struct mailbox *src = open_box(folder_names[from]);
	struct mailbox *dest = open_box(folder_names[to]);
	const unsigned int row = from * 10 + to;
	unsigned int before;
	int ret;

	fill_box(src, 2);
	before = message_count(dest);
	array_clear(&backend.lessons);

	ret = copy_mails(src, dest, USER_FLAGS, move, 2);
	test_assert_idx(ret == (expect == 'N' ? -1 : 0), row);
	if (src != dest && from != to) {
		before += expect == 'N' ? 0 : 2;
		test_assert_idx(message_count(dest) == before, row);
	}
	test_assert_idx(array_count(&backend.lessons) ==
				(expect == 'S' || expect == 'H' ? 2 : 0),
			row);
	if (array_count(&backend.lessons) == 2) {
		const struct lesson *lesson = array_idx(&backend.lessons, 1);
		buffer_t *stored = stored_bytes(dest);

		test_assert_idx(lesson->spam == (expect == 'S'), row);
		test_assert_strcmp(lesson->folder, folder_names[to]);
		test_assert_idx(buffer_cmp(lesson->message, stored), row);
	}
	mailbox_free(&dest);
	mailbox_free(&src);
	if (test_has_failed())
		i_info("%s: %s from %s to %s", driver, move ? "MOVE" : "COPY",
		       folder_names[from], folder_names[to]);
}

static void test_transitions_driver(const char *driver, const char *name)
{
	int from, to, move;

	test_begin(t_strdup_printf("COPY, MOVE: every cell (%s, %s)", driver,
				   name));
	user_init(driver, name, "no", "0");
	for (from = 0; from < ANTISPAM_CLASS_COUNT; from++) {
		for (to = 0; to < ANTISPAM_CLASS_COUNT; to++) {
			for (move = 0; move <= 1; move++)
				T_BEGIN {
					check_cell(driver, from, to, move == 1,
						   expected[from][to]);
				} T_END;
		}
	}
	user_deinit();
	test_end();
}

static void test_transitions(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		test_transitions_driver(drivers[i], "pipe");
		test_transitions_driver(drivers[i], "spool2dir");
	}
}

static void
check_append(const char *allow, const char *expect, unsigned int count)
{
	struct mailbox *dest;
	unsigned int to, before;
	int ret;

	for (to = 0; to < ANTISPAM_CLASS_COUNT; to++)
		T_BEGIN {
			dest = open_box(folder_names[to]);
			before = message_count(dest);
			array_clear(&backend.lessons);
			ret = append_mails(dest, USER_FLAGS, message,
					   strlen(message), count);
			if (expect[to] == 'N')
				test_assert_idx(ret < 0, to);
			else {
				test_assert_idx(ret == 0, to);
				before += count;
			}
			test_assert_idx(message_count(dest) == before, to);
			test_assert_idx(array_count(&backend.lessons) ==
						(expect[to] == 'S' ? count : 0),
					to);
			mailbox_free(&dest);
		} T_END;
	if (test_has_failed())
		i_info("allow_append_to_spam = %s", allow);
}

static void test_append(void)
{
	static const struct {
		const char *allow, *expect;
	} tests[] = {
		{ "no", "-N-N" },
		{ "yes", "-S-N" },
		{ "quiet", "---N" },
	};
	unsigned int i, j;

	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		for (j = 0; j < N_ELEMENTS(tests); j++) {
			test_begin(t_strdup_printf(
				"APPEND, MULTIAPPEND: allow = %s (%s)",
				tests[j].allow, drivers[i]));
			user_init(drivers[i], "spool2dir", tests[j].allow, "0");
			check_append(tests[j].allow, tests[j].expect, 1);
			check_append(tests[j].allow, tests[j].expect, 7);
			user_deinit();
			test_end();
		}
	}
}

#define BYTES(str) \
	{ \
		str, sizeof(str) - 1 \
	}

/* Contents that have gone wrong elsewhere. */
static const struct {
	const char *data;
	size_t size;
} contents[] = {
	BYTES(""),
	BYTES("a"),
	BYTES("\n"),
	BYTES("ab:\n"),
	BYTES("Subject: x\n\nno final newline"),
	BYTES("Subject: x\n\nmany final newlines\n\n\n"),
	BYTES("Subject: x\n\nNUL \0 and \x80\xff\n"),
	BYTES("Subject: x\n\nFrom me\n\nFrom you Sat Nov 21 10:00:00 2026\n"),
	BYTES("Subject: x\n"),
};

static bool is_message(const struct lesson *lesson, unsigned int i)
{
	const buffer_t *learned = lesson->message;

	return learned->used == contents[i].size &&
		memcmp(learned->data, contents[i].data, learned->used) == 0;
}

static void test_bytes_driver(const char *driver, const char *name)
{
	struct mailbox *inbox, *spam;
	const struct lesson *lesson;
	buffer_t *stored;
	unsigned int i;

	test_begin(t_strdup_printf("byte for byte (%s, %s)", driver, name));
	user_init(driver, name, "yes", "0");
	for (i = 0; i < N_ELEMENTS(contents); i++) {
		inbox = open_box("Other");
		spam = open_box("SPAM");
		array_clear(&backend.lessons);
		test_assert_idx(append_mails(spam, USER_FLAGS, contents[i].data,
					     contents[i].size, 1) == 0,
				i);
		test_assert_idx(array_count(&backend.lessons) == 1, i);
		lesson = array_idx(&backend.lessons, 0);
		test_assert_idx(is_message(lesson, i), i);
		/* mbox adds a final newline, and an empty line if there is no
		   body */
		stored = stored_bytes(spam);
		test_assert_idx(strcmp(driver, "mbox") == 0 ||
					buffer_cmp(lesson->message, stored),
				i);

		array_clear(&backend.lessons);
		test_assert(message_count(spam) == 1);
		stored = stored_bytes(spam);
		test_assert_idx(copy_mails(spam, inbox, USER_FLAGS, TRUE,
					   1) == 0,
				i);
		test_assert_idx(array_count(&backend.lessons) == 1, i);
		lesson = array_idx(&backend.lessons, 0);
		test_assert_idx(buffer_cmp(lesson->message, stored), i);
		mailbox_free(&spam);
		mailbox_free(&inbox);
	}
	user_deinit();
	test_end();
}

static void test_bytes(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		test_bytes_driver(drivers[i], "pipe");
		test_bytes_driver(drivers[i], "spool2dir");
	}
}

/* Nobody's IMAP command: neither refused nor learned. */
static void test_not_ours(void)
{
	static const enum mailbox_transaction_flags flags[] = {
		EXTERNAL,
		USER_FLAGS | MAILBOX_TRANSACTION_FLAG_SYNC,
	};
	struct mailbox *inbox, *spam, *unsure;
	unsigned int i;

	test_begin("what no user does is left alone");
	user_init("maildir", "pipe", "no", "0");
	inbox = open_box("INBOX");
	spam = open_box("SPAM");
	unsure = open_box("Unsure");
	for (i = 0; i < N_ELEMENTS(flags); i++) {
		test_assert_idx(append_mails(spam, flags[i], message,
					     strlen(message), 1) == 0,
				i);
		test_assert_idx(append_mails(inbox, flags[i], message,
					     strlen(message), 1) == 0,
				i);
		test_assert(mailbox_sync(inbox, 0) == 0);
		test_assert(mailbox_sync(spam, 0) == 0);
		test_assert_idx(copy_mails(inbox, spam, flags[i], FALSE,
					   1) == 0,
				i);
		test_assert_idx(copy_mails(spam, inbox, flags[i], TRUE,
					   1) == 0,
				i);
		test_assert_idx(copy_mails(inbox, unsure, flags[i], FALSE,
					   1) == 0,
				i);
	}
	test_assert(array_count(&backend.lessons) == 0);
	mailbox_free(&unsure);
	mailbox_free(&spam);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

int main(int argc, char *argv[])
{
	static void (*const tests[])(void) = {
		test_transitions,
		test_append,
		test_bytes,
		test_not_ours,
		NULL
	};

	return test_hook_run("test-antispam-hook", argc, argv, tests);
}
