/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Where the storages keep a message. */

#include "test-hook-backend.h"
#include "antispam-place.h"

#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE "From: a@example.org\n\nbody\n"

/* What others put there, once our caller's frame is ours no more. */
static void clobber_data_stack(void)
{
	unsigned int i;

	for (i = 0; i < 64; i++)
		memset(t_malloc0(1024), 'x', 1024);
}

static void check_path(const char *driver, struct mail *mail)
{
	struct antispam_place place;
	struct stat st;
	bool found = antispam_place_find_path(mail, &place);

	test_assert(found == (strcmp(driver, "maildir") == 0));
	if (!found)
		return;
	clobber_data_stack();
	test_assert(place.fd == -1 && place.offset == 0);
	test_assert(place.size == strlen(MESSAGE));
	test_assert(stat(place.path, &st) == 0);
	test_assert(st.st_ino == place.ino && st.st_dev == place.dev);
}

static void test_path_driver(const char *driver)
{
	struct mailbox_transaction_context *t;
	struct mailbox *inbox;
	struct mail *mail;

	test_begin(t_strdup_printf("place: the path outlives the search (%s)",
				   driver));
	user_init(driver, "pipe", "no", "0");
	inbox = open_box("INBOX");
	test_assert(append_mails(inbox, USER_FLAGS, MESSAGE, strlen(MESSAGE),
				 1) == 0);
	test_assert(message_count(inbox) == 1);
	t = mailbox_transaction_begin(inbox, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	mail_set_seq(mail, 1);
	check_path(driver, mail);
	mail_free(&mail);
	test_assert(mailbox_transaction_commit(&t) == 0);
	mailbox_free(&inbox);
	user_deinit();
	test_end();
}

static void test_path(void)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++)
		T_BEGIN {
			test_path_driver(drivers[i]);
		} T_END;
}

int main(int argc, char *argv[])
{
	static void (*const tests[])(void) = {
		test_path,
		NULL
	};

	return test_hook_run("test-antispam-place", argc, argv, tests);
}
