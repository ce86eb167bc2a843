/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Tells crm114's mailreaver.crm that it was wrong about a message, of which it
   keeps a copy under the id that it has put into it. mailreaver.crm exits with
   status 0 whatever happens, so its words count; any other program is believed
   its exit status. */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "str-sanitize.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "antispam-program.h"

#define CRM114_SIGNATURE_HEADER "X-CRM114-CacheID"
/* mailreaver.crm puts the id unquoted into a shell's command, and the sender
   can put the header into the message: nothing but what mailreaver.crm itself
   makes is let through, unless the admin says otherwise. */
#define CRM114_SIGNATURE_REGEX \
	"^sfid-[0-9]{8}_[0-9]{6}_[0-9]+_[0-9A-F]{1,16}$"

#define CRM114_SCRIPT "mailreaver.crm"
/* The default, as it always was: it refuses everything. */
#define CRM114_UNSET "/bin/false"
#define CRM114_UNSET_ERROR \
	"antispam_crm_binary is not set: " \
	"write antispam_crm_binary = /usr/share/crm114/mailreaver.crm"
/* Runs that are described at a time; several times antispam_max_parallel. */
#define CRM114_MAX_BATCH 32
/* Bytes of the program's output that are kept. */
#define CRM114_MAX_OUTPUT 4096
/* And of its complaints that are shown. */
#define CRM114_MAX_SAID 300

struct crm114_context {
	const struct antispam_settings *set;
	/* The header's name. */
	const char *header;
	/* By class, see struct antispam_job: [TRUE] = spam. */
	const char *const *argv[2];
	/* It is mailreaver.crm that runs. */
	bool is_reaver;
};

static bool is_reaver(const char *path)
{
	const char *name = strrchr(path, '/');

	return strcmp(name == NULL ? path : name + 1, CRM114_SCRIPT) == 0;
}

/* Also /usr/bin/crm with the script among its arguments is mailreaver.crm. */
static bool crm114_runs_reaver(const struct antispam_settings *set)
{
	const char *const *args = set->crm_args;

	for (; args != NULL && *args != NULL; args++) {
		if (is_reaver(*args))
			return TRUE;
	}
	return is_reaver(set->crm_binary);
}

static const char *const *
crm114_argv(pool_t pool, const struct antispam_settings *set, const char *class)
{
	ARRAY_TYPE(const_string) argv;
	const char *const *args;

	p_array_init(&argv, pool, 8);
	array_push_back(&argv, &set->crm_binary);
	array_push_back(&argv, &class);
	for (args = set->crm_args; args != NULL && *args != NULL; args++)
		array_push_back(&argv, args);
	array_append_zero(&argv);
	return array_front(&argv);
}

static int
crm114_init(pool_t pool, const struct antispam_settings *set, void **context_r,
	    const char **warning_r ATTR_UNUSED, const char **error_r)
{
	struct crm114_context *ctx;

	if (strcmp(set->crm_binary, CRM114_UNSET) == 0) {
		*error_r = CRM114_UNSET_ERROR;
		return -1;
	}
	if (antispam_run_check_path("antispam_crm_binary", set->crm_binary,
				    error_r) < 0)
		return -1;
	ctx = p_new(pool, struct crm114_context, 1);
	ctx->set = set;
	ctx->header = CRM114_SIGNATURE_HEADER;
	if (set->signature != NULL)
		ctx->header = set->signature;
	ctx->argv[TRUE] = crm114_argv(pool, set, set->crm_spam);
	ctx->argv[FALSE] = crm114_argv(pool, set, set->crm_notspam);
	ctx->is_reaver = crm114_runs_reaver(set);
	*context_r = ctx;
	return 0;
}

/* The header alone, which is all that mailreaver.crm needs. */
static struct istream *
crm114_input(const struct crm114_context *ctx, const struct antispam_job *job)
{
	const char *input =
		t_strdup_printf("%s: %s\n\n", ctx->header, job->signature);

	return i_stream_create_from_data(input, strlen(input));
}

/* Nothing but what ln says when a text is trained again? */
static bool is_quiet(const char *err)
{
	const char *const *line;

	for (line = t_strsplit(err, "\n"); *line != NULL; line++) {
		if (**line != '\0' &&
		    (strstr(*line, "failed to create hard link") == NULL ||
		     strstr(*line, "File exists") == NULL))
			return FALSE;
	}
	return TRUE;
}

/* All that mailreaver.crm has complained of: the first line of an error of
   crm's says nothing. */
static const char *reaver_said(const struct antispam_run_reply *reply)
{
	const char *const *words =
		t_strsplit_spaces(reply->err, " \t\r\n");

	if (*words == NULL)
		return antispam_run_describe(reply);
	return str_sanitize(t_strarray_join(words, " "), CRM114_MAX_SAID);
}

static void
reaver_judge(void *context ATTR_UNUSED, const struct antispam_job *job,
	     const struct antispam_run_reply *reply,
	     struct antispam_outcome *outcome)
{
	if (strstr(reply->out, "couldn't find the cached text") != NULL) {
		outcome->result = ANTISPAM_BROKEN;
		outcome->why = t_strdup_printf(
			"mailreaver.crm has no text %s in its cache, which is "
			"below its working directory (antispam_crm_args = "
			"-u;DIRECTORY) and holds no text for ever",
			job->signature);
	} else if (strstr(reply->out, "Aw, crud.") != NULL) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = t_strdup_printf(
			"%s (in antispam_crm_args, --fileprefix= must be the "
			"directory of mailfilter.cf, with '/' at its end)",
			reaver_said(reply));
	} else if (!is_quiet(reply->err)) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = t_strconcat("mailreaver.crm complains: ",
					   reaver_said(reply), NULL);
	} else if (strstr(reply->out, "LEARNED AND CACHED") == NULL) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = t_strdup_printf(
			"%s (without LEARNED AND CACHED it has not learned)",
			antispam_run_describe(reply));
	}
}

static void
crm114_learn(void *context, const struct antispam_batch *batch,
	     void **undo ATTR_UNUSED)
{
	const struct crm114_context *ctx = context;
	struct antispam_run *runs = t_new(struct antispam_run, batch->count);
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		runs[i].argv = ctx->argv[batch->jobs[i]->spam];
		runs[i].input = crm114_input(ctx, batch->jobs[i]);
		runs[i].max_output = CRM114_MAX_OUTPUT;
	}
	antispam_program_learn(batch, ctx->set, ctx->set->crm_env, runs,
			       ctx->is_reaver ? reaver_judge : NULL, NULL);
	for (i = 0; i < batch->count; i++)
		i_stream_unref(&runs[i].input);
}

static const char *
crm114_program(const struct antispam_settings *set, const char **setting_r)
{
	*setting_r = "antispam_crm_binary";
	return set->crm_binary;
}

static const char *const crm114_old_names[] = { "crm114-exec", NULL };

extern const struct antispam_backend antispam_backend_crm114;
const struct antispam_backend antispam_backend_crm114 = {
	.name = "crm114",
	.old_names = crm114_old_names,
	.needs = ANTISPAM_NEED_SIGNATURE,
	.runs_programs = TRUE,
	.program = crm114_program,
	.signature_header = CRM114_SIGNATURE_HEADER,
	.signature_regex = CRM114_SIGNATURE_REGEX,
	.max_batch = CRM114_MAX_BATCH,
	.init = crm114_init,
	.learn = crm114_learn,
};
