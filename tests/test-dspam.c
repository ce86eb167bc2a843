/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend dspam with a fake dspam that behaves like the real one. */

#include "lib.h"
#include "test-learner.h"

extern const struct antispam_backend antispam_backend_dspam;
static const struct antispam_backend *const backend = &antispam_backend_dspam;

#define SIGNATURE "6a1f2c3d4b5e6f7081920"
#define PROVING "--user;bob;--deliver=summary;--stdout"

static void dspam_begin(void)
{
	learner_begin("fake-dspam.sh", "dspam");
	learner_mkdir("signatures");
	learner_file("signatures/" SIGNATURE, "");
	learner_file("signatures/1,abc", "");
}

static void *dspam_create(const char *args)
{
	const char *const pairs[] = {
		"dspam_binary", "%R/dspam", "dspam_args", args, NULL
	};

	return learner_create(backend, pairs);
}

/* How it is called, with all settings. */
static void test_dspam_call(void)
{
	const char *const pairs[] = {
		"dspam_binary", "%R/dspam",
		"dspam_args", "--user;bob; two words ;--mode=teft",
		"dspam_env", "HOME=/elsewhere;MARK=a b",
		NULL
	};
	const char *const other_pairs[] = {
		"dspam_binary", "%R/dspam",
		"dspam_args", "--user;bob",
		"dspam_spam", "--class=innocent",
		"dspam_notspam", "--class=spam",
		NULL
	};
	struct antispam_outcome outcome;
	const char *argv, *env;
	void *context;

	test_begin("dspam: arguments, environment, directory, stdin");
	dspam_begin();
	context = learner_create(backend, pairs);
	outcome = learner_learn_one(backend, context, TRUE, SIGNATURE);
	learner_check(&outcome, ANTISPAM_LEARNED, NULL, 0);
	outcome = learner_learn_one(backend, context, FALSE, "1,abc");
	learner_check(&outcome, ANTISPAM_LEARNED, NULL, 1);

	argv = t_strdup_printf(
		"%s/dspam|--source=error|--class=spam|--signature=%s|"
		"--user|bob|two words|--mode=teft|",
		learner_root, SIGNATURE);
	test_assert_strcmp(learner_call(1, "argv"), argv);
	argv = t_strdup_printf(
		"%s/dspam|--source=error|--class=innocent|--signature=1,abc|"
		"--user|bob|two words|--mode=teft|",
		learner_root);
	test_assert_strcmp(learner_call(2, "argv"), argv);
	env = t_strconcat("|", learner_call(1, "env"), NULL);
	test_assert(strstr(env, "|HOME=/elsewhere|") != NULL);
	test_assert(strstr(env, "|MARK=a b|") != NULL);
	test_assert(strstr(env, "|USER=bob|") != NULL);
	test_assert(strstr(env, "|LANG=C.UTF-8|") != NULL);
	test_assert_strcmp(learner_call(1, "cwd"),
			   t_strconcat(learner_root, "\n", NULL));
	test_assert_strcmp(learner_read("lessons"),
			   "spam bob " SIGNATURE "\ninnocent bob 1,abc\n");

	context = learner_create(backend, other_pairs);
	(void)learner_learn_one(backend, context, TRUE, SIGNATURE);
	test_assert(strstr(learner_call(3, "argv"),
			   "|--class=innocent|") != NULL);
	(void)learner_learn_one(backend, context, FALSE, SIGNATURE);
	test_assert(strstr(learner_call(4, "argv"), "|--class=spam|") != NULL);
	learner_end();
	test_end();
}

#define PROOF "X-DSPAM-Result: bob; result=\"Spam\"\n"

static void test_dspam_outcomes(void)
{
	static const struct {
		const char *args;
		/* What the fake adds; NULL = nothing. */
		const char *output, *errors, *status;
		const char *signature;
		enum antispam_result result;
		const char *why;
	} tests[] = {
		/* it knows the signature, or does not: the same silence */
		{ "--user;bob", NULL, NULL, NULL, SIGNATURE, ANTISPAM_LEARNED,
		  NULL },
		{ "--user;bob", NULL, NULL, NULL, "0123", ANTISPAM_LEARNED,
		  NULL },
		{ "--user;bob;--deliver=;--stdout", NULL, NULL, NULL, "0123",
		  ANTISPAM_LEARNED, NULL },
		/* no proof that could be read */
		{ "--user;bob;--deliver=summary", NULL, NULL, NULL, "0123",
		  ANTISPAM_LEARNED, NULL },
		{ "--user;bob;--deliver=nosummary;--stdout", NULL, NULL, NULL,
		  "0123", ANTISPAM_LEARNED, NULL },
		{ PROVING, NULL, NULL, NULL, SIGNATURE, ANTISPAM_LEARNED,
		  NULL },
		{ PROVING, NULL, NULL, NULL, "0123", ANTISPAM_BROKEN,
		  "dspam knows no signature 0123 of this user" },
		{ "--stdout;--deliver=innocent,summary;--user;bob", NULL, NULL,
		  NULL, SIGNATURE, ANTISPAM_LEARNED, NULL },
		{ "--stdout;--deliver=summary,spam;--user;bob", NULL, NULL,
		  NULL, "0123", ANTISPAM_BROKEN, "knows no signature" },
		/* usage: exit status 1, and not a word */
		{ "--mode=toe", NULL, NULL, NULL, SIGNATURE, ANTISPAM_LATER,
		  "exited with status 1" },
		{ "--user;bob;--class=good", NULL, NULL, NULL, SIGNATURE,
		  ANTISPAM_LATER, "exited with status 1" },
		/* not silent */
		{ "--user;bob", "No such thing\nas that\n", NULL, NULL,
		  SIGNATURE, ANTISPAM_LATER,
		  "exited with status 0: No such thing (what tells that dspam "
		  "has learned is no output)" },
		{ "--user;bob", "\n", NULL, NULL, SIGNATURE, ANTISPAM_LATER,
		  "no output" },
		{ "--user;bob", NULL, "can't connect\n", NULL, SIGNATURE,
		  ANTISPAM_LATER, "exited with status 0: can't connect" },
		{ "--user;bob", PROOF, NULL, NULL, "0123", ANTISPAM_LATER,
		  "no output" },
		{ PROVING, NULL, "can't connect\n", NULL, "0123",
		  ANTISPAM_LATER,
		  "can't connect (what tells that dspam has learned is "
		  "X-DSPAM-Result:)" },
		{ PROVING, "about " PROOF, NULL, NULL, "0123", ANTISPAM_LATER,
		  "X-DSPAM-Result:" },
		/* the proof, whatever else it says */
		{ PROVING, NULL, "a warning\n", NULL, SIGNATURE,
		  ANTISPAM_LEARNED, NULL },
		{ PROVING, "a line\n\n", NULL, NULL, SIGNATURE,
		  ANTISPAM_LEARNED, NULL },
		{ PROVING, "X-DSPAM-Result: x", NULL, NULL, "0123",
		  ANTISPAM_LEARNED, NULL },
		/* but not with another exit status */
		{ PROVING, PROOF, NULL, "99", SIGNATURE, ANTISPAM_LATER,
		  "exited with status 99" },
		{ "--user;bob", NULL, NULL, "75", SIGNATURE, ANTISPAM_LATER,
		  "exited with status 75" },
	};
	struct antispam_outcome outcome;
	unsigned int i;

	test_begin("dspam: outcomes");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		dspam_begin();
		if (tests[i].output != NULL)
			learner_file("output", tests[i].output);
		if (tests[i].errors != NULL)
			learner_file("errors", tests[i].errors);
		if (tests[i].status != NULL)
			learner_file("status", tests[i].status);
		outcome = learner_learn_one(backend,
					    dspam_create(tests[i].args), TRUE,
					    tests[i].signature);
		learner_check(&outcome, tests[i].result, tests[i].why, i);
		test_assert_idx(learner_calls() == 1, i);
		learner_end();
	}
	test_end();
}

static void test_dspam_no_end(void)
{
	const char *const pairs[] = {
		"dspam_binary", "%R/dspam", "dspam_args", "--user;bob",
		"timeout", "300 ms", NULL
	};
	const char *const missing[] = {
		"dspam_binary", "%R/none", NULL
	};
	struct antispam_outcome outcome;

	test_begin("dspam: no end, no program");
	dspam_begin();
	learner_file("sleep", "30");
	outcome = learner_learn_one(backend, learner_create(backend, pairs),
				    TRUE, SIGNATURE);
	learner_check(&outcome, ANTISPAM_LATER, "timed out after 300 ms", 0);
	test_assert(outcome.duration_msecs >= 300);
	outcome = learner_learn_one(backend, learner_create(backend, missing),
				    TRUE, SIGNATURE);
	test_assert(outcome.result == ANTISPAM_LATER);
	test_assert(outcome.why != NULL);
	learner_end();
	test_end();
}

/* What antispam_signature_regex may let through is no option of its own. */
static void test_dspam_options(void)
{
	static const char *const signatures[] = {
		"-", "-rf", "--stdout", "--user", "--daemon",
		"a.b_c,d:e@f+g-h"
	};
	struct antispam_outcome outcome;
	const char *argv;
	unsigned int i;

	test_begin("dspam: signatures that look like options");
	for (i = 0; i < N_ELEMENTS(signatures); i++) {
		dspam_begin();
		outcome = learner_learn_one(backend, dspam_create(PROVING),
					    TRUE, signatures[i]);
		learner_check(&outcome, ANTISPAM_BROKEN,
			      "dspam knows no signature", i);
		argv = t_strdup_printf(
			"%s/dspam|--source=error|--class=spam|--signature=%s|"
			"--user|bob|--deliver=summary|--stdout|",
			learner_root, signatures[i]);
		test_assert_strcmp_idx(learner_call(1, "argv"), argv, i);
		learner_end();
	}
	test_end();
}

/* A dspam that can't be reached when it is asked about one signature. */
#define LATER "1a7e"
static const char dspam_away[] =
	"#!/bin/sh\n"
	"case $* in\n"
	"*--signature=" LATER "*) exit 75 ;;\n"
	"esac\n"
	"exec \"${0%/*}/dspam\" \"$@\"\n";

static void test_dspam_batch(void)
{
	const char *const one[] = {
		"dspam_binary", "%R/away", "dspam_args", PROVING,
		"max_parallel", "1", NULL
	};
	const char *const several[] = {
		"dspam_binary", "%R/away", "dspam_args", PROVING,
		"max_parallel", "3", NULL
	};
	/* One that is broken does not stop the others. */
	static const struct learner_row tests[] = {
		{ SIGNATURE, ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		{ "0123", ANTISPAM_BROKEN, ANTISPAM_BROKEN, FALSE },
		{ "1,abc", ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		{ "4567", ANTISPAM_BROKEN, ANTISPAM_BROKEN, FALSE },
		{ SIGNATURE, ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		{ LATER, ANTISPAM_LATER, ANTISPAM_LATER, FALSE },
		{ SIGNATURE, ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
		{ "0123", ANTISPAM_LATER, ANTISPAM_BROKEN, TRUE },
		{ LATER, ANTISPAM_LATER, ANTISPAM_LATER, TRUE },
		{ SIGNATURE, ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
	};

	test_begin("dspam: batches");
	dspam_begin();
	learner_write("away", dspam_away, strlen(dspam_away), 0755);
	/* "away" itself is no call */
	learner_check_batch(backend, one, several, tests, N_ELEMENTS(tests), 5,
			    8);
	learner_end();
	test_end();
}

/* wanted is how text begins; NULL = there must be none. */
static void check_begins(const char *text, const char *wanted, unsigned int row)
{
	if (wanted == NULL || text == NULL)
		test_assert_idx(text == wanted, row);
	else
		test_assert_idx(strncmp(text, wanted, strlen(wanted)) == 0,
				row);
}

static void test_dspam_settings(void)
{
	static const struct {
		const char *header, *blacklist, *binary;
		const char *error, *warning;
	} tests[] = {
		{ NULL, NULL, NULL, NULL, NULL },
		{ NULL, NULL, "dspam", "antispam_dspam_binary = dspam", NULL },
		{ "X-DSPAM-Result:", NULL, NULL,
		  "antispam_dspam_result_header = X-DSPAM-Result:: not", NULL },
		{ "X DSPAM", "Virus", NULL,
		  "antispam_dspam_result_header = X DSPAM: not", NULL },
		{ NULL, "Virus;x", NULL, NULL,
		  "antispam_dspam_result_blacklist = Virus;x does nothing" },
		{ "X-DSPAM-Result", NULL, NULL, NULL, NULL },
		{ "X-DSPAM-Result", "Virus", NULL, NULL, NULL },
	};
	const char *error, *warning;
	unsigned int i;
	void *context;
	int ret;

	test_begin("dspam: settings");
	dspam_begin();
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		const char *const pairs[] = {
			"dspam_result_header", tests[i].header,
			"dspam_result_blacklist", tests[i].blacklist,
			"dspam_binary", tests[i].binary, NULL
		};

		warning = error = NULL;
		ret = backend->init(learner_pool, learner_settings(pairs),
				    &context, &warning, &error);
		test_assert_idx(ret == (tests[i].error == NULL ? 0 : -1), i);
		check_begins(error, tests[i].error, i);
		check_begins(warning, tests[i].warning, i);
	}
	learner_end();
	test_end();
}

static void test_dspam_result_header(void)
{
	static const struct {
		const char *value;
		bool declined;
	} tests[] = {
		{ "Virus", TRUE },
		{ " VIRUS; by x", TRUE },
		{ "antivirus found\n nothing", TRUE },
		{ "two\n words", FALSE },
		{ "Two Words", TRUE },
		{ "Spam", FALSE },
		{ "", FALSE },
		{ "Viru", FALSE },
	};
	const char *const pairs[] = {
		"dspam_result_header", "X-DSPAM-Result",
		"dspam_result_blacklist", "Virus; two words", NULL
	};
	const char *const no_list[] = {
		"dspam_result_header", "X-DSPAM-Result", NULL
	};
	const char *const no_header[] = {
		"dspam_result_blacklist", "Virus", NULL
	};
	void *context;
	unsigned int i;
	bool declined;

	test_begin("dspam: blacklisted results");
	dspam_begin();
	context = learner_create(backend, pairs);
	test_assert_strcmp(backend->result_header(context), "X-DSPAM-Result");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		declined = backend->result_declines(context, tests[i].value);
		test_assert_idx(declined == tests[i].declined, i);
	}
	context = learner_create(backend, no_list);
	test_assert(backend->result_header(context) == NULL);
	context = learner_create(backend, no_header);
	test_assert(backend->result_header(context) == NULL);
	learner_end();
	test_end();
}

int main(int argc ATTR_UNUSED, char *argv[])
{
	static void (*const tests[])(void) = {
		test_dspam_call,
		test_dspam_outcomes,
		test_dspam_no_end,
		test_dspam_options,
		test_dspam_batch,
		test_dspam_settings,
		test_dspam_result_header,
		NULL
	};

	learner_init(argv[0]);
	return test_run(tests);
}
