/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What spamd's answers mean. */

#include "lib.h"
#include "test-common.h"
#include "antispam-backend.h"
#include "spamd-reply.h"

static const struct {
	const char *text;
	enum antispam_result result;
	/* A part of the reason; NULL = there is none. */
	const char *why;
} tests[] = {
	/* as spamd 4.0.1 sends them */
	{ "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n", ANTISPAM_LEARNED,
	  NULL },
	{ "SPAMD/1.1 0 EX_OK\r\nDidSet: local,remote\r\n\r\n\r\n",
	  ANTISPAM_LEARNED, NULL },
	{ "SPAMD/1.1 0 EX_OK\r\nDidSet: remote\r\n\r\n\r\n", ANTISPAM_KNOWN,
	  "spamd has changed nothing" },
	{ "SPAMD/1.1 0 EX_OK\r\n\r\n\r\n", ANTISPAM_KNOWN,
	  "had learned the message before, or could not learn, of which its "
	  "own log tells" },
	{ "SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled, "
	  "set the --allow-tell switch.\r\n",
	  ANTISPAM_LATER,
	  "spamd answered 69: Service Unavailable: TELL commands are not "
	  "enabled, set the --allow-tell switch. (start spamd with the option "
	  "--allow-tell)" },
	{ "SPAMD/1.0 69 Service Unavailable: Error fetching user preferences "
	  "via SQL\r\n",
	  ANTISPAM_LATER, "Error fetching user preferences via SQL" },
	{ "SPAMD/1.0 76 Bad header line: (Content-Length mismatch: Expected 9 "
	  "bytes, got 5 bytes)\r\n",
	  ANTISPAM_BROKEN,
	  "spamd answered 76: Bad header line: (Content-Length mismatch: "
	  "Expected 9 bytes, got 5 bytes)" },
	{ "SPAMD/1.0 79 Timeout: (30 second socket timeout reading input from "
	  "client)\r\n",
	  ANTISPAM_LATER, "spamd answered 79: Timeout: (30 second" },
	/* other protocol versions, and what may stand around */
	{ "SPAMD/1.5 0 EX_OK\r\ndidset: Local\r\n\r\n", ANTISPAM_LEARNED,
	  NULL },
	{ "SPAMD/1.5 0 EX_OK\r\nDidSet: remote, local\r\n\r\n",
	  ANTISPAM_LEARNED, NULL },
	{ "SPAMD/1.5 0 EX_OK\r\nContent-length: 2\r\nDidSet:local\r\n\r\nab",
	  ANTISPAM_LEARNED, NULL },
	{ "SPAMD/1.5 0\r\n\r\n", ANTISPAM_KNOWN, "changed nothing" },
	/* no proof */
	{ "SPAMD/1.1 0 EX_OK\r\nDidSet: locally\r\n\r\n", ANTISPAM_KNOWN,
	  "changed nothing" },
	{ "SPAMD/1.1 0 EX_OK\r\nDidRemove: local\r\n\r\n", ANTISPAM_KNOWN,
	  "changed nothing" },
	{ "SPAMD/1.1 0 EX_OK\r\n\r\nDidSet: local\r\n", ANTISPAM_KNOWN,
	  "changed nothing" },
	{ "SPAMD/1.1 0 EX_OK\r\nX: DidSet: local\r\n\r\n", ANTISPAM_KNOWN,
	  "changed nothing" },
	/* the rest of sysexits.h, and what is not there */
	{ "SPAMD/1.0 64 EX_USAGE\r\n", ANTISPAM_LATER,
	  "is antispam_spamd_socket spamd's" },
	{ "SPAMD/1.0 65 EX_DATAERR\r\n\r\n", ANTISPAM_BROKEN,
	  "spamd answered 65: EX_DATAERR" },
	{ "SPAMD/1.0 74 EX_IOERR\r\n\r\n", ANTISPAM_LATER,
	  "spamd answered 74: EX_IOERR" },
	{ "SPAMD/1.0 75 EX_TEMPFAIL", ANTISPAM_LATER, "75: EX_TEMPFAIL" },
	{ "SPAMD/1.0 4294967295 x\r\n", ANTISPAM_LATER, "4294967295: x" },
	{ "SPAMD/1.0 76 a\tb\033[0m\r\n", ANTISPAM_BROKEN, "76: a?b?[0m" },
	/* it died in the middle */
	{ "", ANTISPAM_LATER,
	  "spamd closed the connection without an answer (with --paranoid" },
	{ "SPAMD", ANTISPAM_LATER, "this is no answer of spamd: \"SPAMD\"" },
	{ "SPAMD/1.1 ", ANTISPAM_LATER, "no answer of spamd" },
	{ "SPAMD/1.1 0", ANTISPAM_LATER, "answer is cut off" },
	{ "SPAMD/1.1 0 EX_OK\r\n", ANTISPAM_LATER, "answer is cut off" },
	{ "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n", ANTISPAM_LATER,
	  "answer is cut off" },
	/* somebody else */
	{ "\r\n", ANTISPAM_LATER, "no answer of spamd: \"\"" },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", ANTISPAM_LATER,
	  "no answer of spamd: \"HTTP/1.1 400 Bad Request\" (is "
	  "antispam_spamd_socket spamd's?)" },
	{ "220 mx.example.org ESMTP\r\n", ANTISPAM_LATER,
	  "no answer of spamd: \"220 mx.example.org ESMTP\"" },
	{ "SPAMD/1.1 zero EX_OK\r\n\r\n", ANTISPAM_LATER,
	  "no answer of spamd" },
	{ "SPAMD/1.1 -1 EX_OK\r\n\r\n", ANTISPAM_LATER, "no answer of spamd" },
	{ "SPAMD/1.1 99999999999 x\r\n\r\n", ANTISPAM_LATER,
	  "no answer of spamd" },
	{ "spamd/1.1 0 EX_OK\r\n\r\n", ANTISPAM_LATER, "no answer of spamd" },
};

static void test_judge(void)
{
	struct antispam_outcome outcome;
	unsigned int i;

	test_begin("spamd's answers");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		i_zero(&outcome);
		antispam_spamd_reply_judge(tests[i].text, &outcome);
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
	char *text = t_malloc_no0(ANTISPAM_SPAMD_REPLY_MAX + 1);
	struct antispam_outcome outcome;

	test_begin("spamd's answers: as long as can be");
	memset(text, 'x', ANTISPAM_SPAMD_REPLY_MAX);
	text[ANTISPAM_SPAMD_REPLY_MAX] = '\0';
	i_zero(&outcome);
	antispam_spamd_reply_judge(text, &outcome);
	test_assert(outcome.result == ANTISPAM_LATER);
	test_assert(strlen(outcome.why) < 300);
	test_end();
}

static void test_whole(void)
{
	test_begin("spamd's answers: the end");
	test_assert(!antispam_spamd_reply_is_whole(""));
	test_assert(!antispam_spamd_reply_is_whole("SPAMD/1.1 0 EX_OK\r\n"));
	test_assert(!antispam_spamd_reply_is_whole(
		"SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n"));
	test_assert(antispam_spamd_reply_is_whole(
		"SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n"));
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
