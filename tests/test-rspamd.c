/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend rspamd with fake daemons. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "ioloop.h"
#include "time-util.h"
#include "test-learner.h"
#include "test-daemon.h"

extern const struct antispam_backend antispam_backend_rspamd;
static const struct antispam_backend *const backend = &antispam_backend_rspamd;

#define MESSAGE "From: ann@example.org\n\nHello.\n"
#define HEAD(status, size) \
	"HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " size \
	"\r\n\r\n"
#define LEARNED HEAD("200 OK", "16") "{\"success\":true}"
#define KNOWN \
	HEAD("208 x", "44") \
	"{\"error\":\"<1@x> has been already learned.....\"}"
#define SHORT HEAD("204 x", "20") "{\"error\":\"too short\"}"
#define EMPTY HEAD("400 x", "16") "{\"error\":\"empty\"}"
#define DENIED HEAD("401 Unauthorized", "24") "{\"error\":\"Unauthorized\"}"

#define SPAM_LINE "POST /learnspam HTTP/1.0\r\n"

static void *create(const char *url, const char *timeout)
{
	const char *const pairs[] = {
		"rspamd_url", url, "timeout", timeout, NULL
	};

	return learner_create(backend, pairs);
}

/* Byte for byte what is sent. */
static void test_question(void)
{
	static const struct {
		const char *pairs[9];
		bool spam;
		const char *line, *headers;
	} tests[] = {
		{ { NULL }, TRUE, SPAM_LINE, "" },
		{ { NULL }, FALSE, "POST /learnham HTTP/1.0\r\n", "" },
		{ { "rspamd_deliver_to", "bob@example.org",
		    "rspamd_classifier", "bayes", "rspamd_bulk", "yes",
		    "rspamd_headers", "X-A: 1;  x_b:2 ", NULL },
		  TRUE,
		  SPAM_LINE,
		  "Deliver-To: bob@example.org\r\nClassifier: bayes\r\n"
		  "Learn-Type: bulk\r\nX-A: 1\r\nx_b:2\r\n" },
		{ { "rspamd_password_file", "%R/password", NULL },
		  TRUE,
		  SPAM_LINE,
		  "Password: a secret\r\n" },
	};
	struct antispam_outcome outcome;
	struct daemon daemon;
	unsigned int i;

	test_begin("rspamd: the question");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		const char *pairs[11] = { "rspamd_url" };

		learner_begin_dir();
		learner_write("password", "a secret\n", 9, 0600);
		daemon = daemon_start(DAEMON_ANSWERS, LEARNED);
		pairs[1] = daemon_socket(&daemon);
		memcpy(&pairs[2], tests[i].pairs, sizeof(tests[i].pairs));
		outcome = learner_teach_one(backend,
					    learner_create(backend, pairs),
					    tests[i].spam, MESSAGE);
		learner_check(&outcome, ANTISPAM_LEARNED, NULL, i);
		test_assert_strcmp_idx(
			daemon_question(&daemon, 0),
			t_strconcat(tests[i].line,
				    "Host: localhost\r\nConnection: close\r\n"
				    "Content-Length: 30\r\n",
				    tests[i].headers, "\r\n", MESSAGE, NULL),
			i);
		daemon_stop(&daemon);
		learner_end();
	}
	test_end();
}

static void test_tcp(void)
{
	static const struct {
		const char *url, *host, *target;
	} tests[] = {
		{ "http://127.0.0.1:%u", "127.0.0.1", "/learnspam" },
		{ "HTTP://localhost:%u/", "localhost", "/learnspam" },
		{ "http://localhost:%u/a/rspamd", "localhost",
		  "/a/rspamd/learnspam" },
		{ "http://localhost:%u/rspamd//", "localhost",
		  "/rspamd/learnspam" },
	};
	const struct daemon_script script = { DAEMON_ANSWERS, LEARNED };
	struct antispam_outcome outcome;
	struct daemon daemon;
	const char *port, *url, *question;
	unsigned int i;

	test_begin("rspamd: URLs");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		learner_begin_dir();
		daemon = daemon_fork(TRUE, &script, 1);
		port = t_strdup_printf("%u", daemon.port);
		url = t_strdup_until(tests[i].url, strstr(tests[i].url, "%u"));
		url = t_strconcat(url, port, strstr(tests[i].url, "%u") + 2,
				  NULL);
		outcome = learner_teach_one(backend, create(url, "20 s"), TRUE,
					    MESSAGE);
		learner_check(&outcome, ANTISPAM_LEARNED, NULL, i);
		question = t_strdup_printf(
			"POST %s HTTP/1.0\r\nHost: %s:%s\r\nConnection: "
			"close\r\nContent-Length: 30\r\n\r\n" MESSAGE,
			tests[i].target, tests[i].host, port);
		test_assert_strcmp_idx(daemon_question(&daemon, 0), question,
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
		{ DAEMON_ANSWERS, KNOWN, ANTISPAM_KNOWN, "answered 208" },
		{ DAEMON_ANSWERS, SHORT, ANTISPAM_DECLINED,
		  "rspamd answered 204: too short" },
		{ DAEMON_ANSWERS, EMPTY, ANTISPAM_BROKEN, "answered 400" },
		{ DAEMON_ANSWERS, DENIED, ANTISPAM_LATER,
		  "antispam_rspamd_password_file must hold" },
		/* the connection stays open, but the answer is whole */
		{ DAEMON_STAYS, LEARNED, ANTISPAM_LEARNED, NULL },
		{ DAEMON_EARLY, DENIED, ANTISPAM_LATER, "answered 401" },
		{ DAEMON_CLOSES, NULL, ANTISPAM_LATER, "" },
		{ DAEMON_ANSWERS, "", ANTISPAM_LATER,
		  "rspamd closed the connection without an answer" },
		{ DAEMON_ANSWERS, "HTTP/1.1 200 OK\r\nConn", ANTISPAM_LATER,
		  "rspamd's answer is cut off" },
		{ DAEMON_ANSWERS, "\001\002\377garbage", ANTISPAM_LATER,
		  "this is no answer of rspamd: \"" },
		{ DAEMON_FLOODS, "flood", ANTISPAM_LATER,
		  "this is no answer of rspamd: \"flood" },
		{ DAEMON_FLOODS, HEAD("500 x", "104857600"), ANTISPAM_LATER,
		  "rspamd answered 500: xxx" },
		{ DAEMON_SILENT, NULL, ANTISPAM_LATER,
		  "rspamd can't be asked: timed out after 500 ms, while it "
		  "waited for the answer" },
		{ DAEMON_DEAF, NULL, ANTISPAM_LATER,
		  "rspamd can't be asked: timed out after 500 ms" },
		{ DAEMON_TRICKLES, HEAD("200 OK", "16") "{\"success\":true}",
		  ANTISPAM_LATER, "timed out after 500 ms" },
	};
	struct antispam_outcome outcome;
	struct daemon daemon;
	unsigned int i;

	test_begin("rspamd: outcomes");
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

	test_begin("rspamd: absent, refused");
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

static void test_password(void)
{
	static const struct {
		const char *content;
		size_t size;
		/* As it is sent; NULL = not at all. */
		const char *password;
	} tests[] = {
#define ROW(content) content, sizeof(content) - 1
		{ ROW("secret"), "secret" },
		{ ROW("secret\n"), "secret" },
		{ ROW("secret\r\n"), "secret" },
		{ ROW(" s e \303\244 "), " s e \303\244 " },
		{ ROW(""), NULL },
		{ ROW("\n"), NULL },
		{ ROW("two\nlines\n"), NULL },
		{ ROW("x\r\nDeliver-To: eve\r\n"), NULL },
		{ ROW("a\tb"), NULL },
		{ ROW("a\0b"), NULL },
	};
	static const char *const messages[] = { MESSAGE, MESSAGE };
	const char *pairs[] = {
		"rspamd_url", NULL, "rspamd_password_file", "%R/password", NULL
	};
	struct antispam_outcome outcome, outcomes[2];
	struct daemon daemon;
	const char *header, *question;
	unsigned int i;

	test_begin("rspamd: passwords");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		learner_begin_dir();
		learner_write("password", tests[i].content, tests[i].size,
			      0600);
		daemon = daemon_start(DAEMON_ANSWERS, LEARNED);
		pairs[1] = daemon_socket(&daemon);
		outcome = learner_teach_one(
			backend, learner_create(backend, pairs), TRUE,
			MESSAGE);
		if (tests[i].password == NULL) {
			learner_check(&outcome, ANTISPAM_LATER,
				      "password must hold the password, in one "
				      "line, and nothing else",
				      i);
			test_assert_idx(daemon_calls(&daemon) == 0, i);
		} else {
			learner_check(&outcome, ANTISPAM_LEARNED, NULL, i);
			header = t_strdup_printf("\r\nPassword: %s\r\n\r\n",
						 tests[i].password);
			question = daemon_question(&daemon, 0);
			test_assert_idx(strstr(question, header) != NULL, i);
		}
		daemon_stop(&daemon);
		learner_end();
	}

	/* It is read anew for each batch, and what is no file is no trap. */
	learner_begin_dir();
	pairs[1] = "%R/none";
	outcome = learner_teach_one(backend, learner_create(backend, pairs),
				    TRUE, MESSAGE);
	learner_check(&outcome, ANTISPAM_LATER,
		      "/password) failed: No such file or directory; the user "
		      "to whom the mail belongs must be able to read it",
		      0);
	if (mkfifo(learner_path("password"), 0600) < 0)
		i_fatal("mkfifo() failed: %m");
	learner_teach(backend, learner_create(backend, pairs), TRUE, messages,
		      2, TRUE, outcomes);
	learner_check(&outcomes[0], ANTISPAM_LATER, "is not a regular file",
		      1);
	test_assert(outcomes[1].skipped);
	learner_end();

	/* As long as can be, and longer. */
	learner_begin_dir();
	learner_file("password", t_strdup_printf("%01023d\n", 1));
	daemon = daemon_start(DAEMON_ANSWERS, LEARNED);
	pairs[1] = daemon_socket(&daemon);
	outcome = learner_teach_one(backend, learner_create(backend, pairs),
				    TRUE, MESSAGE);
	learner_check(&outcome, ANTISPAM_LEARNED, NULL, 2);
	learner_file("password", t_strdup_printf("%01024d\n", 1));
	outcome = learner_teach_one(backend, learner_create(backend, pairs),
				    TRUE, MESSAGE);
	learner_check(&outcome, ANTISPAM_LATER, "must hold the password", 3);
	daemon_stop(&daemon);
	learner_end();
	test_end();
}

static void test_batch(void)
{
	static const struct daemon_script scripts[] = {
		{ DAEMON_ANSWERS, LEARNED },
		{ DAEMON_ANSWERS, EMPTY },
		{ DAEMON_ANSWERS, SHORT },
		{ DAEMON_ANSWERS, DENIED },
		{ DAEMON_ANSWERS, LEARNED },
	};
	static const struct {
		enum antispam_result stopped, all;
		bool skipped;
	} rows[] = {
		{ ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		/* one that is broken does not stop the others */
		{ ANTISPAM_BROKEN, ANTISPAM_BROKEN, FALSE },
		{ ANTISPAM_DECLINED, ANTISPAM_DECLINED, FALSE },
		{ ANTISPAM_LATER, ANTISPAM_LATER, FALSE },
		{ ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
		{ ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
	};
	const char *pairs[] = {
		"rspamd_url", NULL, "max_parallel", "1", NULL
	};
	const char *messages[N_ELEMENTS(rows)];
	struct antispam_outcome outcomes[N_ELEMENTS(rows)];
	struct daemon daemon;
	unsigned int i;
	int stop;

	test_begin("rspamd: batches");
	for (i = 0; i < N_ELEMENTS(rows); i++)
		messages[i] = t_strdup_printf("Subject: %u\n\nHello.\n", i);
	for (stop = 0; stop <= 1; stop++) {
		learner_begin_dir();
		daemon = daemon_fork(FALSE, scripts, N_ELEMENTS(scripts));
		pairs[1] = daemon_socket(&daemon);
		learner_teach(backend, learner_create(backend, pairs), TRUE,
			      messages, N_ELEMENTS(rows), stop == 1, outcomes);
		for (i = 0; i < N_ELEMENTS(rows); i++) {
			test_assert_idx(outcomes[i].result ==
						(stop == 1 ? rows[i].stopped :
							     rows[i].all),
					i);
			test_assert_idx(outcomes[i].skipped ==
						(stop == 1 && rows[i].skipped),
					i);
		}
		test_assert(daemon_calls(&daemon) ==
			    (stop == 1 ? 4 : N_ELEMENTS(rows)));
		daemon_stop(&daemon);
		learner_end();
	}
	test_end();
}

/* antispam_max_parallel of them are asked at a time; no ioloop runs or is
   changed, though one may be there. */
static void test_parallel(void)
{
	struct ioloop *ioloop = io_loop_create();
	const char *messages[8];
	struct antispam_outcome outcomes[N_ELEMENTS(messages)];
	struct daemon daemon;
	unsigned int i, sum = 0;
	uint64_t start;

	test_begin("rspamd: side by side");
	learner_begin_dir();
	daemon = daemon_start(DAEMON_SLOW, LEARNED);
	for (i = 0; i < N_ELEMENTS(messages); i++)
		messages[i] = MESSAGE;
	start = i_microseconds();
	learner_teach(backend, create(daemon_socket(&daemon), "20 s"), TRUE,
		      messages, N_ELEMENTS(messages), TRUE, outcomes);
	for (i = 0; i < N_ELEMENTS(messages); i++) {
		learner_check(&outcomes[i], ANTISPAM_LEARNED, NULL, i);
		test_assert_idx(outcomes[i].duration_msecs >= 100, i);
		sum += outcomes[i].duration_msecs;
	}
	test_assert((i_microseconds() - start) / 1000 < sum * 3 / 4);
	daemon_stop(&daemon);
	learner_end();
	test_assert(current_ioloop == ioloop);
	io_loop_destroy(&ioloop);
	test_end();
}

static void test_settings(void)
{
	static const struct {
		const char *pairs[5];
		const char *error;
	} tests[] = {
		{ { NULL }, NULL },
		{ { "rspamd_url", "/run/rspamd/controller.sock", NULL }, NULL },
		{ { "rspamd_url", "http://[::1]:11334/", NULL }, NULL },
		{ { "rspamd_url", "http://localhost", NULL },
		  "antispam_rspamd_url = http://localhost: it has no port" },
		{ { "rspamd_url", "localhost:11334", NULL },
		  "antispam_rspamd_url = localhost:11334: write "
		  "http://host:port, or a socket's absolute path" },
		{ { "rspamd_url", "https://localhost:11334", NULL },
		  "antispam_rspamd_url = https://localhost:11334: write "
		  "http://" },
		{ { "rspamd_url", "http://u:p@localhost:11334", NULL },
		  "antispam_rspamd_url = http://u:p@localhost:11334: this is "
		  "no host" },
		{ { "rspamd_url", "http://localhost:1/a?password=b", NULL },
		  "antispam_rspamd_url = http://localhost:1/a?password=b: "
		  "behind the host and its port there is room for a path" },
		{ { "rspamd_url", "http://localhost:1/a b", NULL },
		  "antispam_rspamd_url = http://localhost:1/a b: behind" },
		{ { "rspamd_url", "http://localhost:1/a\r\nb", NULL },
		  "antispam_rspamd_url = http://localhost:1/a??b: behind" },
		{ { "rspamd_deliver_to", "bob\r\nPassword: x", NULL },
		  "antispam_rspamd_deliver_to = bob??Password: x: it holds a "
		  "control character" },
		{ { "rspamd_classifier", "a\nb", NULL },
		  "antispam_rspamd_classifier = a?b: it holds a control" },
		{ { "rspamd_headers", "X: a\nb", NULL },
		  "antispam_rspamd_headers = X: a?b: no header; write "
		  "Name: value" },
		{ { "rspamd_headers", "nothing", NULL },
		  "antispam_rspamd_headers = nothing: no header" },
		{ { "rspamd_headers", ": x", NULL },
		  "antispam_rspamd_headers = : x: no header" },
		{ { "rspamd_headers", "A B: x", NULL },
		  "antispam_rspamd_headers = A B: x: no header" },
		{ { "rspamd_headers", "A: b;password: secret", NULL },
		  "antispam_rspamd_headers = password: ...: write the password "
		  "into a file, and its name as antispam_rspamd_password_file" },
		{ { "rspamd_headers", "Content-length: 5", NULL },
		  "antispam_rspamd_headers = Content-length: ...: leave it" },
		{ { "rspamd_password_file", "secret", NULL },
		  "antispam_rspamd_password_file = secret: not an absolute "
		  "path" },
		{ { "rspamd_password_file", "/none", NULL }, NULL },
	};
	const char *error, *warning;
	unsigned int i;
	void *context;
	int ret;

	test_begin("rspamd: settings");
	learner_begin_dir();
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		error = warning = NULL;
		ret = backend->init(learner_pool,
				    learner_settings(tests[i].pairs), &context,
				    &warning, &error);
		test_assert_idx(warning == NULL, i);
		test_assert_idx(ret == (tests[i].error == NULL ? 0 : -1), i);
		if (tests[i].error != NULL &&
		    (error == NULL ||
		     strncmp(error, tests[i].error,
			     strlen(tests[i].error)) != 0)) {
			test_assert_idx(FALSE, i);
			i_info("error: %s", error == NULL ? "-" : error);
		}
	}
	learner_end();
	test_end();
}

static void test_warning(void)
{
	const char *const pairs[] = {
		"rspamd_password_file", "%R/password", NULL
	};
	const char *error, *warning = NULL;
	void *context;

	test_begin("rspamd: a password that everyone may read");
	learner_begin_dir();
	learner_write("password", "secret\n", 7, 0600);
	test_assert(backend->init(learner_pool, learner_settings(pairs),
				  &context, &warning, &error) == 0);
	test_assert(warning == NULL);
	if (chmod(learner_path("password"), 0644) < 0)
		i_fatal("chmod() failed: %m");
	test_assert(backend->init(learner_pool, learner_settings(pairs),
				  &context, &warning, &error) == 0);
	test_assert(warning != NULL &&
		    strstr(warning, "/password: everyone may read the password "
				    "(mode 0644); take that away with "
				    "chmod o-r") != NULL);
	learner_end();
	test_end();
}

int main(int argc ATTR_UNUSED, char *argv[])
{
	static void (*const tests[])(void) = {
		test_question,
		test_tcp,
		test_outcomes,
		test_absent,
		test_password,
		test_batch,
		test_parallel,
		test_settings,
		test_warning,
		NULL
	};

	learner_init(argv[0]);
	return test_run(tests);
}
