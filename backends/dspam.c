/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Tells dspam that it was wrong about a message, which it knows by the
   signature that it has put into it. To a signature that it does not know dspam
   says nothing and exits with status 0, as it does when it has learned; only
   the summary, if the admin's arguments ask for it, makes the difference. */

/* for strcasestr() */
#define _GNU_SOURCE

#include "lib.h"
#include "array.h"
#include "message-header-parser.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "antispam-program.h"

#define DSPAM_SIGNATURE_HEADER "X-DSPAM-Signature"
/* The summary's line. */
#define DSPAM_PROOF "X-DSPAM-Result:"
/* Runs that are described at a time; several times antispam_max_parallel. */
#define DSPAM_MAX_BATCH 32
/* Bytes of dspam's output that are kept. */
#define DSPAM_MAX_OUTPUT 4096

struct dspam_context {
	const struct antispam_settings *set;
	/* The arguments ask for the summary on stdout. */
	bool proves;
};

/* Is summary among the words of --deliver=? */
static bool arg_wants_summary(const char *arg)
{
	const char *words;

	if (strncmp(arg, "--deliver=", 10) != 0)
		return FALSE;
	words = arg + 10;
	return str_array_find(t_strsplit(words, ","), "summary");
}

static bool dspam_proves(const char *const *args)
{
	bool to_stdout = FALSE, summary = FALSE;

	for (; args != NULL && *args != NULL; args++) {
		if (strcmp(*args, "--stdout") == 0)
			to_stdout = TRUE;
		else if (arg_wants_summary(*args))
			summary = TRUE;
	}
	return to_stdout && summary;
}

static int
dspam_init(pool_t pool, const struct antispam_settings *set, void **context_r,
	   const char **warning_r, const char **error_r)
{
	struct dspam_context *ctx;

	if (antispam_run_check_path("antispam_dspam_binary", set->dspam_binary,
				    error_r) < 0)
		return -1;
	if (set->dspam_result_header == NULL) {
		if (set->dspam_result_blacklist != NULL) {
			*warning_r = t_strdup_printf(
				"antispam_dspam_result_blacklist = %s does "
				"nothing: write the name of the header as "
				"antispam_dspam_result_header",
				t_strarray_join(set->dspam_result_blacklist,
						";"));
		}
	} else if (!message_header_name_is_valid(set->dspam_result_header)) {
		*error_r = t_strdup_printf(
			"antispam_dspam_result_header = %s: not the name of a "
			"header; write it without blanks and ':', as "
			"X-DSPAM-Result",
			set->dspam_result_header);
		return -1;
	}
	ctx = p_new(pool, struct dspam_context, 1);
	ctx->set = set;
	T_BEGIN {
		ctx->proves = dspam_proves(set->dspam_args);
	} T_END;
	*context_r = ctx;
	return 0;
}

static const char *dspam_result_header(void *context)
{
	const struct dspam_context *ctx = context;

	if (ctx->set->dspam_result_blacklist == NULL)
		return NULL;
	return ctx->set->dspam_result_header;
}

static bool dspam_result_declines(void *context, const char *value)
{
	const struct dspam_context *ctx = context;
	const char *const *word;

	for (word = ctx->set->dspam_result_blacklist; *word != NULL; word++) {
		if (strcasestr(value, *word) != NULL)
			return TRUE;
	}
	return FALSE;
}

static const char *const *
dspam_argv(const struct antispam_settings *set, const struct antispam_job *job)
{
	ARRAY_TYPE(const_string) argv;
	const char *const fixed[] = {
		set->dspam_binary,
		"--source=error",
		job->spam ? set->dspam_spam : set->dspam_notspam,
		t_strconcat("--signature=", job->signature, NULL),
	};
	const char *const *args;

	t_array_init(&argv, 16);
	array_append(&argv, fixed, N_ELEMENTS(fixed));
	for (args = set->dspam_args; args != NULL && *args != NULL; args++)
		array_push_back(&argv, args);
	array_append_zero(&argv);
	return array_front(&argv);
}

static bool has_proof(const char *out)
{
	const char *line = out;

	while (strncmp(line, DSPAM_PROOF, strlen(DSPAM_PROOF)) != 0) {
		line = strchr(line, '\n');
		if (line == NULL)
			return FALSE;
		line++;
	}
	return TRUE;
}

static void
dspam_judge(void *context, const struct antispam_job *job,
	    const struct antispam_run_reply *reply,
	    struct antispam_outcome *outcome)
{
	const struct dspam_context *ctx = context;

	if (ctx->proves && has_proof(reply->out))
		return;
	if (*reply->out != '\0' || *reply->err != '\0') {
		outcome->result = ANTISPAM_LATER;
		outcome->why = t_strdup_printf(
			"%s (what tells that dspam has learned is %s)",
			antispam_run_describe(reply),
			ctx->proves ? DSPAM_PROOF : "no output");
	} else if (ctx->proves) {
		outcome->result = ANTISPAM_BROKEN;
		outcome->why = t_strdup_printf(
			"dspam knows no signature %s of this user: it printed "
			"no " DSPAM_PROOF " line",
			job->signature);
	}
}

static void
dspam_learn(void *context, const struct antispam_batch *batch,
	    void **undo ATTR_UNUSED)
{
	const struct dspam_context *ctx = context;
	struct antispam_run *runs = t_new(struct antispam_run, batch->count);
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		runs[i].argv = dspam_argv(ctx->set, batch->jobs[i]);
		runs[i].max_output = DSPAM_MAX_OUTPUT;
	}
	antispam_program_learn(batch, ctx->set, ctx->set->dspam_env, runs,
			       dspam_judge, context);
}

static const char *
dspam_program(const struct antispam_settings *set, const char **setting_r)
{
	*setting_r = "antispam_dspam_binary";
	return set->dspam_binary;
}

static const char *const dspam_old_names[] = { "dspam-exec", NULL };

extern const struct antispam_backend antispam_backend_dspam;
const struct antispam_backend antispam_backend_dspam = {
	.name = "dspam",
	.old_names = dspam_old_names,
	.needs = ANTISPAM_NEED_SIGNATURE,
	.runs_programs = TRUE,
	.program = dspam_program,
	.signature_header = DSPAM_SIGNATURE_HEADER,
	.max_batch = DSPAM_MAX_BATCH,
	.init = dspam_init,
	.result_header = dspam_result_header,
	.result_declines = dspam_result_declines,
	.learn = dspam_learn,
};
