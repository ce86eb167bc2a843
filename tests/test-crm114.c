/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend crm114 with a fake mailreaver.crm that behaves like the real
   one. */

#include "lib.h"
#include "test-learner.h"

extern const struct antispam_backend antispam_backend_crm114;
static const struct antispam_backend *const backend = &antispam_backend_crm114;

#define ID "20261121_073245_164990_717D4C6E"
#define SIGNATURE "sfid-" ID
#define UNKNOWN "sfid-20261121_073245_164990_0"
#define ARGS "-u;%R/reaver;--fileprefix=%R/reaver/"

static void crm114_begin(const char *copy)
{
	learner_begin("fake-mailreaver.sh", copy);
	learner_mkdir("reaver");
	learner_mkdir("reaver/reaver_cache");
	learner_mkdir("reaver/reaver_cache/texts");
	learner_file("reaver/reaver_cache/texts/" ID, "a message");
	learner_file("reaver/mailfilter.cf", "");
}

static void *crm114_create(const char *binary, const char *args)
{
	const char *const pairs[] = {
		"crm_binary", binary, "crm_args", args, "timeout", "20 s", NULL
	};

	return learner_create(backend, pairs);
}

static void test_crm114_call(void)
{
	const char *const pairs[] = {
		"crm_binary", "%R/mailreaver.crm", "crm_args", ARGS,
		"crm_env", "HOME=/elsewhere;MARK=a b", NULL
	};
	const char *const other_pairs[] = {
		"crm_binary", "%R/mailreaver.crm", "crm_args", ARGS,
		"crm_spam", "--good", "crm_notspam", "--spam",
		"signature", "X-Other", NULL
	};
	struct antispam_outcome outcome;
	const char *argv, *env;
	void *context;

	test_begin("crm114: arguments, environment, directory, stdin");
	crm114_begin("mailreaver.crm");
	context = learner_create(backend, pairs);
	outcome = learner_learn_one(backend, context, TRUE, SIGNATURE);
	learner_check(&outcome, ANTISPAM_LEARNED, NULL, 0);
	outcome = learner_learn_one(backend, context, FALSE, SIGNATURE);
	learner_check(&outcome, ANTISPAM_LEARNED, NULL, 1);
	/* once more: ln complains */
	outcome = learner_learn_one(backend, context, TRUE, SIGNATURE);
	learner_check(&outcome, ANTISPAM_LEARNED, NULL, 2);

	argv = t_strconcat(learner_path("mailreaver.crm"), "|--spam|-u|",
			   learner_path("reaver"), "|--fileprefix=",
			   learner_path("reaver/"), "|", NULL);
	test_assert_strcmp(learner_call(1, "argv"), argv);
	test_assert(strstr(learner_call(2, "argv"), "|--good|-u|") != NULL);
	test_assert_strcmp(learner_call(1, "stdin"),
			   "X-CRM114-CacheID: " SIGNATURE "\n\n");
	env = t_strconcat("|", learner_call(1, "env"), NULL);
	test_assert(strstr(env, "|HOME=/elsewhere|") != NULL);
	test_assert(strstr(env, "|MARK=a b|") != NULL);
	test_assert(strstr(env, "|USER=bob|") != NULL);
	test_assert_strcmp(learner_call(1, "cwd"),
			   t_strconcat(learner_root, "\n", NULL));
	test_assert_strcmp(learner_read("lessons"),
			   "spam " ID "\ngood " ID "\nspam " ID "\n");

	context = learner_create(backend, other_pairs);
	(void)learner_learn_one(backend, context, TRUE, SIGNATURE);
	test_assert(strstr(learner_call(4, "argv"), "|--good|") != NULL);
	test_assert_strcmp(learner_call(4, "stdin"),
			   "X-Other: " SIGNATURE "\n\n");
	(void)learner_learn_one(backend, context, FALSE, SIGNATURE);
	test_assert(strstr(learner_call(5, "argv"), "|--spam|") != NULL);
	learner_end();
	test_end();
}

static void test_crm114_outcomes(void)
{
	static const struct {
		/* The fake's name. */
		const char *copy;
		const char *args;
		/* A file that controls the fake, and what it holds. */
		const char *control, *content;
		const char *signature;
		enum antispam_result result;
		const char *why;
	} tests[] = {
		{ "mailreaver.crm", ARGS, NULL, NULL, SIGNATURE,
		  ANTISPAM_LEARNED, NULL },
		{ "mailreaver.crm", ARGS, NULL, NULL, UNKNOWN, ANTISPAM_BROKEN,
		  "mailreaver.crm has no text " UNKNOWN " in its cache" },
		/* its cache is below its working directory */
		{ "mailreaver.crm", "--fileprefix=%R/reaver/", NULL, NULL,
		  SIGNATURE, ANTISPAM_BROKEN, "antispam_crm_args = -u;" },
		{ "mailreaver.crm", "-u;%R/reaver", NULL, NULL, SIGNATURE,
		  ANTISPAM_LEARNED, NULL },
		{ "mailreaver.crm", "-u;%R/reaver;--fileprefix=%R/reaver",
		  NULL, NULL, SIGNATURE, ANTISPAM_LATER,
		  "with '/' at its end" },
		{ "mailreaver.crm", ARGS, "readonly", "", SIGNATURE,
		  ANTISPAM_LATER, "mailreaver.crm complains: ERROR: /" },
		{ "mailreaver.crm", ARGS, "mute", "", SIGNATURE, ANTISPAM_LATER,
		  "without LEARNED AND CACHED" },
		{ "mailreaver.crm", ARGS, "status", "1", SIGNATURE,
		  ANTISPAM_LATER, "exited with status 1" },
		{ "mailreaver.crm", "-u;/nonexistent", NULL, NULL, SIGNATURE,
		  ANTISPAM_LATER, "exited with status 1" },
		/* another program is believed its exit status alone */
		{ "train", ARGS, NULL, NULL, SIGNATURE, ANTISPAM_LEARNED,
		  NULL },
		{ "train", ARGS, NULL, NULL, UNKNOWN, ANTISPAM_LEARNED, NULL },
		{ "train", ARGS, "mute", "", SIGNATURE, ANTISPAM_LEARNED,
		  NULL },
		{ "train", ARGS, "status", "3", SIGNATURE, ANTISPAM_LATER,
		  "exited with status 3" },
		{ "mailreaver.crm.sh", ARGS, "mute", "", SIGNATURE,
		  ANTISPAM_LEARNED, NULL },
		/* unless it runs mailreaver.crm */
		{ "crm", "-u;%R/reaver;/usr/share/crm114/mailreaver.crm",
		  "mute", "", SIGNATURE, ANTISPAM_LATER,
		  "without LEARNED AND CACHED" },
		{ "crm", "-u;%R/reaver;mailreaver.crm", NULL, NULL, UNKNOWN,
		  ANTISPAM_BROKEN, "has no text" },
	};
	struct antispam_outcome outcome;
	void *context;
	unsigned int i;

	test_begin("crm114: outcomes");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		crm114_begin(tests[i].copy);
		if (tests[i].control != NULL)
			learner_file(tests[i].control, tests[i].content);
		context = crm114_create(learner_path(tests[i].copy),
					tests[i].args);
		outcome = learner_learn_one(backend, context, TRUE,
					    tests[i].signature);
		learner_check(&outcome, tests[i].result, tests[i].why, i);
		test_assert_idx(learner_calls() == 1, i);
		learner_end();
	}
	test_end();
}

static void test_crm114_no_end(void)
{
	const char *const pairs[] = {
		"crm_binary", "%R/mailreaver.crm", "timeout", "300 ms", NULL
	};
	struct antispam_outcome outcome;

	test_begin("crm114: no end, no program");
	crm114_begin("mailreaver.crm");
	learner_file("sleep", "30");
	outcome = learner_learn_one(backend, learner_create(backend, pairs),
				    TRUE, SIGNATURE);
	learner_check(&outcome, ANTISPAM_LATER, "timed out after 300 ms", 0);
	outcome = learner_learn_one(
		backend, crm114_create("%R/none/mailreaver.crm", NULL), TRUE,
		SIGNATURE);
	test_assert(outcome.result == ANTISPAM_LATER);
	test_assert(outcome.why != NULL);
	learner_end();
	test_end();
}

/* What antispam_signature_regex may let through is one header, and no more. */
static void test_crm114_options(void)
{
	static const char *const signatures[] = {
		"-", "-rf", "--good", "sfid-", "a.b_c,d:e@f+g-h"
	};
	struct antispam_outcome outcome;
	const char *argv, *input;
	unsigned int i;

	test_begin("crm114: signatures that look like options");
	for (i = 0; i < N_ELEMENTS(signatures); i++) {
		crm114_begin("mailreaver.crm");
		(void)unlink(learner_path("reaver/reaver_cache/texts/" ID));
		outcome = learner_learn_one(
			backend, crm114_create("%R/mailreaver.crm", ARGS),
			TRUE, signatures[i]);
		learner_check(&outcome, ANTISPAM_BROKEN,
			      "mailreaver.crm has no text", i);
		argv = t_strconcat(learner_path("mailreaver.crm"),
				   "|--spam|-u|", learner_path("reaver"),
				   "|--fileprefix=", learner_path("reaver/"),
				   "|", NULL);
		test_assert_strcmp_idx(learner_call(1, "argv"), argv, i);
		input = t_strdup_printf("X-CRM114-CacheID: %s\n\n",
					signatures[i]);
		test_assert_strcmp_idx(learner_call(1, "stdin"), input, i);
		learner_end();
	}
	test_end();
}

/* A text that can be found, but not be kept as learned. */
#define SPOILED "sfid-20261121_073245_164990_5"
#define SPOILED_TEXT "reaver/reaver_cache/texts/20261121_073245_164990_5"

static void test_crm114_batch(void)
{
	const char *const one[] = {
		"crm_binary", "%R/mailreaver.crm", "crm_args", ARGS,
		"max_parallel", "1", NULL
	};
	const char *const several[] = {
		"crm_binary", "%R/mailreaver.crm", "crm_args", ARGS,
		"max_parallel", "3", NULL
	};
	/* One that is broken does not stop the others. */
	static const struct learner_row tests[] = {
		{ UNKNOWN, ANTISPAM_BROKEN, ANTISPAM_BROKEN, FALSE },
		{ SIGNATURE, ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		{ UNKNOWN, ANTISPAM_BROKEN, ANTISPAM_BROKEN, FALSE },
		{ SIGNATURE, ANTISPAM_LEARNED, ANTISPAM_LEARNED, FALSE },
		{ SPOILED, ANTISPAM_LATER, ANTISPAM_LATER, FALSE },
		{ SIGNATURE, ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
		{ UNKNOWN, ANTISPAM_LATER, ANTISPAM_BROKEN, TRUE },
		{ SIGNATURE, ANTISPAM_LATER, ANTISPAM_LEARNED, TRUE },
	};

	test_begin("crm114: batches");
	crm114_begin("mailreaver.crm");
	learner_mkdir(SPOILED_TEXT);
	learner_file(SPOILED_TEXT "/x", "");
	learner_check_batch(backend, one, several, tests, N_ELEMENTS(tests), 5,
			    8);
	learner_end();
	test_end();
}

static void test_crm114_settings(void)
{
	static const struct {
		const char *pairs[3];
		const char *error;
	} tests[] = {
		{ { NULL },
		  "antispam_crm_binary is not set: write "
		  "antispam_crm_binary = /usr/share/crm114/mailreaver.crm" },
		{ { "crm_binary", "/bin/false", NULL },
		  "antispam_crm_binary is not set: write "
		  "antispam_crm_binary = /usr/share/crm114/mailreaver.crm" },
		{ { "crm_binary", "mailreaver.crm", NULL },
		  "antispam_crm_binary = mailreaver.crm: not an absolute "
		  "path" },
		{ { "crm_binary", "/usr/share/crm114/mailreaver.crm", NULL },
		  NULL },
	};
	const char *error, *warning;
	unsigned int i;
	void *context;
	int ret;

	test_begin("crm114: settings");
	crm114_begin("mailreaver.crm");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		error = warning = NULL;
		ret = backend->init(learner_pool,
				    learner_settings(tests[i].pairs), &context,
				    &warning, &error);
		test_assert_idx(warning == NULL, i);
		if (tests[i].error == NULL) {
			test_assert_idx(ret == 0 && error == NULL, i);
			continue;
		}
		test_assert_idx(ret == -1 && error != NULL, i);
		test_assert_idx(strncmp(error, tests[i].error,
					strlen(tests[i].error)) == 0,
				i);
	}
	learner_end();
	test_end();
}

int main(int argc ATTR_UNUSED, char *argv[])
{
	static void (*const tests[])(void) = {
		test_crm114_call,
		test_crm114_outcomes,
		test_crm114_no_end,
		test_crm114_options,
		test_crm114_batch,
		test_crm114_settings,
		NULL
	};

	learner_init(argv[0]);
	return test_run(tests);
}
