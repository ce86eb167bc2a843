/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend spamd with fake daemons. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-learner.h"
#include "test-daemon.h"

extern const struct antispam_backend antispam_backend_spamd;
static const struct antispam_backend *const backend = &antispam_backend_spamd;

#define MESSAGE "From: ann@example.org\n\nHello.\n"
#define LEARNED "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n"
#define KNOWN "SPAMD/1.1 0 EX_OK\r\n\r\n\r\n"
#define NO_TELL \
	"SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled, set " \
	"the --allow-tell switch.\r\n"
#define BAD "SPAMD/1.0 76 Bad header line: (whatever)\r\n"

#define HEAD(class, set, user) \
	"TELL SPAMC/1.5\r\nMessage-class: " class "\r\nSet: " set \
						  "\r\nUser: " user "\r\nContent-length: 30\r\n\r\n"

static void *create(const char *socket, const char *timeout)
{
	const char *const pairs[] = {
		"spamd_socket", socket, "timeout", timeout, NULL
	};

	return learner_create(backend, pairs);
}

/* Byte for byte what spamd wants. */
static void test_question(void)
{
	static const struct {
		const char *pairs[5];
		bool spam;
		const char *head;
	} tests[] = {
		{ { NULL }, TRUE, HEAD("spam", "local", "bob") },
		{ { NULL }, FALSE, HEAD("ham", "local", "bob") },
		{ { "spamd_user", "debian-spamd", "spamd_set",
		    "local,remote", NULL },
		  TRUE,
		  HEAD("spam", "local, remote", "debian-spamd") },
		{ { "spamd_user", "J\303\266rg M@example.org", NULL },
		  TRUE,
		  HEAD("spam", "local", "J\303\266rg M@example.org") },
	};
	struct antispam_outcome outcome;
	struct daemon daemon;
	unsigned int i;

	test_begin("spamd: the question");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		const char *pairs[7] = { "spamd_socket" };

		learner_begin_dir();
		daemon = daemon_start(DAEMON_ANSWERS, LEARNED);
		pairs[1] = daemon_socket(&daemon);
		memcpy(&pairs[2], tests[i].pairs, sizeof(tests[i].pairs));
		outcome = learner_teach_one(backend,
					    learner_create(backend, pairs),
					    tests[i].spam, MESSAGE);
		learner_check(&outcome, ANTISPAM_LEARNED, NULL, i);
		test_assert_strcmp_idx(daemon_question(&daemon, 0),
				       t_strconcat(tests[i].head, MESSAGE,
						   NULL),
				       i);
		daemon_stop(&daemon);
		learner_end();
	}
	test_end();
}

static void test_outcomes(void)
{
	static const struct {
		enum daemon_does does;
		const char *answer;
		enum antispam_result result;
		const char *why;
	} tests[] = {
		{ DAEMON_ANSWERS, LEARNED, ANTISPAM_LEARNED, NULL },
		{ DAEMON_ANSWERS, KNOWN, ANTISPAM_KNOWN,
		  "spamd has changed nothing" },
		{ DAEMON_ANSWERS, NO_TELL, ANTISPAM_LATER,
		  "start spamd with the option --allow-tell" },
		{ DAEMON_ANSWERS, BAD, ANTISPAM_BROKEN, "spamd answered 76" },
		/* the connection stays open, but the answer is whole */
		{ DAEMON_STAYS, LEARNED, ANTISPAM_LEARNED, NULL },
		{ DAEMON_EARLY, NO_TELL, ANTISPAM_LATER, "--allow-tell" },
		{ DAEMON_CLOSES, NULL, ANTISPAM_LATER, "" },
		{ DAEMON_ANSWERS, "", ANTISPAM_LATER,
		  "spamd closed the connection without an answer" },
		{ DAEMON_ANSWERS, "SPAMD/1.1 0 EX_OK\r\nDidS", ANTISPAM_LATER,
		  "spamd's answer is cut off" },
		{ DAEMON_ANSWERS, "\001\002\377garbage", ANTISPAM_LATER,
		  "this is no answer of spamd: \"" },
		{ DAEMON_FLOODS, "flood", ANTISPAM_LATER,
		  "this is no answer of spamd: \"flood" },
		{ DAEMON_SILENT, NULL, ANTISPAM_LATER,
		  "spamd can't be asked: timed out after 500 ms, while it "
		  "waited for the answer" },
		{ DAEMON_DEAF, NULL, ANTISPAM_LATER,
		  "spamd can't be asked: timed out after 500 ms" },
		{ DAEMON_TRICKLES, "SPAMD/1.1 0 EX_OK and so on and on",
		  ANTISPAM_LATER, "timed out after 500 ms" },
	};
	struct antispam_outcome outcome;
	struct daemon daemon;
	unsigned int i;

	test_begin("spamd: outcomes");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		learner_begin_dir();
		daemon = daemon_start(tests[i].does, tests[i].answer);
		outcome = learner_teach_one(
			backend, create(daemon_socket(&daemon), "500 ms"),
			TRUE, MESSAGE);
		learner_check(&outcome, tests[i].result, tests[i].why, i);
		daemon_stop(&daemon);
		learner_end();
	}
	test_end();
}

static void test_absent(void)
{
	struct antispam_outcome outcome;
	int fd;

	test_begin("spamd: absent, refused");
	learner_begin_dir();
	outcome = learner_teach_one(backend, create("%R/none", "5 s"), TRUE,
				    MESSAGE);
	learner_check(&outcome, ANTISPAM_LATER,
		      "/none) failed: No such file or directory", 0);
	fd = daemon_listen_unix(learner_path("stale"), 1);
	i_close_fd(&fd);
	outcome = learner_teach_one(backend, create("%R/stale", "5 s"), TRUE,
				    MESSAGE);
	learner_check(&outcome, ANTISPAM_LATER,
		      "/stale) failed: Connection refused", 1);
	learner_end();
	test_end();
}

static void test_user(void)
{
	static const char *const users[] = {
		"bob\r\nMessage-class: ham", "bob\n", "a\tb", "a\177b"
	};
	const char *const pairs[] = {
		"spamd_socket", "%R/none", "spamd_user", "a\r\nb", NULL
	};
	struct antispam_outcome outcome;
	unsigned int i;

	test_begin("spamd: users that would be headers");
	learner_begin_dir();
	for (i = 0; i < N_ELEMENTS(users); i++) {
		learner_username = users[i];
		outcome = learner_teach_one(backend, create("%R/none", "5 s"),
					    TRUE, MESSAGE);
		learner_check(&outcome, ANTISPAM_BROKEN,
			      "holds a control character", i);
		test_assert_idx(strchr(outcome.why, '\n') == NULL, i);
	}
	learner_username = "bob";
	outcome = learner_teach_one(backend, learner_create(backend, pairs),
				    TRUE, MESSAGE);
	learner_check(&outcome, ANTISPAM_BROKEN, "set antispam_spamd_user", i);
	learner_end();
	test_end();
}

static void test_batch(void)
{
	static const struct daemon_script scripts[] = {
		{ DAEMON_ANSWERS, LEARNED },
		{ DAEMON_ANSWERS, BAD },
		{ DAEMON_ANSWERS, KNOWN },
		{ DAEMON_ANSWERS, NO_TELL },
		{ DAEMON_ANSWERS, LEARNED },
	};
	static const struct {
		enum antispam_result stopped, all;
		bool skipped;
	} rows[] = {
		{ ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		/* one that is broken does not stop the others */
		{ ANTISPAM_BROKEN, ANTISPAM_BROKEN, FALSE },
		{ ANTISPAM_KNOWN, ANTISPAM_KNOWN, FALSE },
		{ ANTISPAM_LATER, ANTISPAM_LATER, FALSE },
		{ ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
		{ ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
	};
	const char *messages[N_ELEMENTS(rows)];
	struct antispam_outcome outcomes[N_ELEMENTS(rows)];
	struct daemon daemon;
	unsigned int i, calls;
	int stop;

	test_begin("spamd: batches");
	for (i = 0; i < N_ELEMENTS(rows); i++)
		messages[i] = t_strdup_printf("Subject: %u\n\nHello.\n", i);
	for (stop = 0; stop <= 1; stop++) {
		learner_begin_dir();
		daemon = daemon_fork(FALSE, scripts, N_ELEMENTS(scripts));
		learner_teach(backend, create(daemon_socket(&daemon), "20 s"),
			      TRUE, messages, N_ELEMENTS(rows), stop == 1,
			      outcomes);
		for (i = 0; i < N_ELEMENTS(rows); i++) {
			test_assert_idx(outcomes[i].result ==
						(stop == 1 ? rows[i].stopped :
							     rows[i].all),
					i);
			test_assert_idx(outcomes[i].skipped ==
						(stop == 1 && rows[i].skipped),
					i);
			test_assert_idx((outcomes[i].why == NULL) ==
						(outcomes[i].result ==
						 ANTISPAM_LEARNED),
					i);
		}
		calls = stop == 1 ? 4 : N_ELEMENTS(rows);
		test_assert(daemon_calls(&daemon) == calls);
		/* one after the other, in order */
		for (i = 0; i < calls; i++) {
			test_assert_idx(strstr(daemon_question(&daemon, i),
					       messages[i]) != NULL,
					i);
		}
		daemon_stop(&daemon);
		learner_end();
	}
	test_end();
}

static void test_settings(void)
{
	static const struct {
		const char *pairs[3];
		const char *error;
	} tests[] = {
		{ { NULL }, NULL },
		{ { "spamd_socket", "/run/spamd.sock", NULL }, NULL },
		{ { "spamd_socket", "[::1]:783", NULL }, NULL },
		{ { "spamd_socket", "localhost", NULL },
		  "antispam_spamd_socket = localhost: it has no port; write "
		  "host:port, or a socket's absolute path" },
		{ { "spamd_socket", "run/spamd.sock", NULL },
		  "antispam_spamd_socket = run/spamd.sock: it has no port" },
	};
	const char *error, *warning;
	unsigned int i;
	void *context;
	int ret;

	test_begin("spamd: settings");
	learner_begin_dir();
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		error = warning = NULL;
		ret = backend->init(learner_pool,
				    learner_settings(tests[i].pairs), &context,
				    &warning, &error);
		test_assert_idx(warning == NULL, i);
		test_assert_idx(ret == (tests[i].error == NULL ? 0 : -1), i);
		if (tests[i].error != NULL) {
			test_assert_idx(error != NULL &&
						strncmp(error, tests[i].error,
							strlen(tests[i].error)) ==
							0,
					i);
		}
	}
	learner_end();
	test_end();
}

int main(int argc ATTR_UNUSED, char *argv[])
{
	static void (*const tests[])(void) = {
		test_question,
		test_outcomes,
		test_absent,
		test_user,
		test_batch,
		test_settings,
		NULL
	};

	learner_init(argv[0]);
	return test_run(tests);
}
