/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What the answers of rspamd's controller mean. */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "antispam-backend.h"
#include "rspamd-reply.h"

/* As rspamd 3.4 and 3.12 send them, but for the date. */
#define HEAD(status) \
	"HTTP/1.1 " status "\r\nConnection: close\r\nServer: rspamd/3.4\r\n" \
	"Content-Type: application/json\r\n\r\n"
#define ERROR(text) "{\"error\":\"" text "\"}"
#define KNOWN "<1@x> has been already learned as spam, ignore it"
#define TOO_SHORT \
	"<1@x> contains less tokens than required for bayes classifier: 3 < 11"
#define DENIED \
	"<1@x> all learn conditions denied learning spam in default classifier"
#define SCANNER \
	"{\"error\":\"invalid command\",\"error_domain\":\"protocol-error\"}"
#define NO_CLASSIFIER "cannot find classifier with name foo"

static const struct {
	const char *text;
	enum antispam_result result;
	/* A part of the reason; NULL = there is none. */
	const char *why;
} tests[] = {
	{ HEAD("200 OK") "{\"success\":true}", ANTISPAM_LEARNED, NULL },
	{ HEAD("200 OK") "{ \"success\" : true,\n \"more\": 1 }",
	  ANTISPAM_LEARNED, NULL },
	{ HEAD("204 " TOO_SHORT) ERROR(TOO_SHORT), ANTISPAM_DECLINED,
	  "rspamd answered 204: " TOO_SHORT },
	{ HEAD("204 " DENIED) ERROR(DENIED), ANTISPAM_DECLINED,
	  "rspamd answered 204: " DENIED },
	{ HEAD("204 No Content"), ANTISPAM_DECLINED, "rspamd answered 204" },
	{ HEAD("208 " KNOWN) ERROR(KNOWN), ANTISPAM_KNOWN,
	  "rspamd answered 208: " KNOWN },
	{ HEAD("400 Empty body is not permitted")
		  ERROR("Empty body is not permitted"),
	  ANTISPAM_BROKEN, "rspamd answered 400: Empty body is not permitted" },
	{ HEAD("401 Unauthorized") ERROR("Unauthorized"), ANTISPAM_LATER,
	  "rspamd answered 401: Unauthorized (antispam_rspamd_password_file "
	  "must hold the controller's enable_password" },
	{ HEAD("403 Forbidden") "<html>", ANTISPAM_LATER,
	  "rspamd answered 403: <html> (antispam_rspamd_password_file" },
	{ HEAD("404 " KNOWN) ERROR(KNOWN), ANTISPAM_LATER,
	  "rspamd answered 404: " KNOWN " (with status 404 this means that "
	  "rspamd can't reach its Redis: nothing was learned)" },
	{ HEAD("404 " NO_CLASSIFIER) ERROR(NO_CLASSIFIER), ANTISPAM_LATER,
	  "rspamd answered 404: " NO_CLASSIFIER
	  " (see antispam_rspamd_classifier)" },
	{ HEAD("404 Not found") "Not found", ANTISPAM_LATER,
	  "rspamd answered 404: Not found (is antispam_rspamd_url the one" },
	{ HEAD("413 Request entity too large: 5") ERROR("too large"),
	  ANTISPAM_BROKEN, "rspamd answered 413: too large" },
	{ HEAD("500 invalid command") SCANNER,
	  ANTISPAM_LATER,
	  "rspamd answered 500: invalid command (antispam_rspamd_url is that "
	  "of a worker which scans" },
	{ HEAD("500 Internal error") ERROR("no backend"), ANTISPAM_LATER,
	  "rspamd answered 500: no backend" },
	/* 3.12 without its Redis */
	{ HEAD("500 Cannot make redis request")
		  ERROR("Cannot make redis request"),
	  ANTISPAM_LATER,
	  "rspamd answered 500: Cannot make redis request" },
	{ HEAD("503 Service Unavailable") "", ANTISPAM_LATER,
	  "rspamd answered 503" },
	{ HEAD("302 Found") "moved", ANTISPAM_LATER,
	  "rspamd answered 302: moved" },
	{ HEAD("429 Too Many Requests") "", ANTISPAM_LATER, "429" },
	/* no proof */
	{ HEAD("200 OK") "<html>It works!</html>", ANTISPAM_LATER,
	  "rspamd answered 200: <html>It works!</html> (is "
	  "antispam_rspamd_url the one of rspamd's controller?)" },
	{ HEAD("200 OK") "{\"success\":false}", ANTISPAM_LATER,
	  "rspamd answered 200: {\"success\":false}" },
	{ HEAD("200 OK"), ANTISPAM_LATER, "rspamd answered 200 (is" },
	{ "HTTP/1.1 200 OK\r\nX: {\"success\":true}\r\n\r\n", ANTISPAM_LATER,
	  "rspamd answered 200 (is" },
	/* what the sender has chosen */
	{ HEAD("208 200 OK {\"success\":true}") ERROR(KNOWN), ANTISPAM_KNOWN,
	  "answered 208" },
	{ HEAD("208 x")
		  ERROR("<\\\"\033[0m\\\\\\n@x> has been already learned"),
	  ANTISPAM_KNOWN, "208: <\"?[0m\\n@x> has been already learned" },
	/* the words alone say nothing */
	{ HEAD("500 x") ERROR(KNOWN), ANTISPAM_LATER, "500: " KNOWN },
	/* it died in the middle */
	{ "", ANTISPAM_LATER,
	  "rspamd closed the connection without an answer" },
	{ "HTTP/1.1 20", ANTISPAM_LATER, "no answer of rspamd" },
	{ "HTTP/1.1 200 OK", ANTISPAM_LATER, "answer is cut off" },
	{ "HTTP/1.1 200 OK\r\nConnection: close\r\n", ANTISPAM_LATER,
	  "answer is cut off" },
	{ HEAD("200 OK") "{\"success\":tr", ANTISPAM_LATER,
	  "rspamd answered 200: {\"success\":tr" },
	/* somebody else */
	{ "SPAMD/1.0 76 Bad header line: (x)\r\n", ANTISPAM_LATER,
	  "this is no answer of rspamd: \"SPAMD/1.0 76 Bad header line: (x)\" "
	  "(is antispam_rspamd_url" },
	{ "\r\n\r\n", ANTISPAM_LATER, "no answer of rspamd: \"\"" },
	{ "HTTP/2 200\r\n\r\n", ANTISPAM_LATER, "no answer of rspamd" },
	{ "HTTP/1.1 0200 OK\r\n\r\n", ANTISPAM_LATER, "no answer of rspamd" },
	{ "HTTP/1.1 99 OK\r\n\r\n", ANTISPAM_LATER, "no answer of rspamd" },
	{ "HTTP/1.1 200OK\r\n\r\n", ANTISPAM_LATER, "no answer of rspamd" },
	{ "HTTP/1.\r\n\r\n", ANTISPAM_LATER, "no answer of rspamd" },
};

static void test_judge(void)
{
	struct antispam_outcome outcome;
	unsigned int i;

	test_begin("rspamd's answers");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		i_zero(&outcome);
		antispam_rspamd_reply_judge(tests[i].text, &outcome);
		test_assert_idx(outcome.result == tests[i].result, i);
		if (tests[i].why == NULL)
			test_assert_idx(outcome.why == NULL, i);
		else if (outcome.why == NULL ||
			 strstr(outcome.why, tests[i].why) == NULL) {
			test_assert_idx(FALSE, i);
			i_info("why: %s",
			       outcome.why == NULL ? "-" : outcome.why);
		}
	}
	test_end();
}

static void test_long(void)
{
	string_t *text = t_str_new(ANTISPAM_RSPAMD_REPLY_MAX);
	struct antispam_outcome outcome;

	test_begin("rspamd's answers: as long as can be");
	str_append(text, HEAD("500 x"));
	while (str_len(text) < ANTISPAM_RSPAMD_REPLY_MAX)
		str_append_c(text, 'x');
	i_zero(&outcome);
	antispam_rspamd_reply_judge(str_c(text), &outcome);
	test_assert(outcome.result == ANTISPAM_LATER);
	test_assert(strlen(outcome.why) < 300);
	test_end();
}

static void test_whole(void)
{
	static const struct {
		const char *text;
		bool whole;
	} rows[] = {
		{ "", FALSE },
		{ "HTTP/1.1 200 OK\r\n", FALSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", FALSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", FALSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", FALSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", TRUE },
		{ "HTTP/1.1 200 OK\r\nA: b\r\ncontent-length:  3\r\n\r\nabcd",
		  TRUE },
		{ "HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n", TRUE },
		/* its end is that of the connection */
		{ "HTTP/1.1 200 OK\r\nA: b\r\n\r\nabc", FALSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", FALSE },
		{ "HTTP/1.1 200 OK\r\n\r\n\r\nContent-Length: 0\r\n\r\n",
		  FALSE },
		{ "HTTP/1.1 200 Content-Length: 0\r\n\r\nabc", FALSE },
	};
	unsigned int i;

	test_begin("rspamd's answers: the end");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_assert_idx(antispam_rspamd_reply_is_whole(rows[i].text) ==
					rows[i].whole,
				i);
	}
	test_end();
}

int main(void)
{
	static void (*const tests_list[])(void) = {
		test_judge,
		test_long,
		test_whole,
		NULL
	};

	return test_run(tests_list);
}
