/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Hands each message to a program on its stdin: sendmail to a training
   address, sa-learn, bogofilter; or many at once to a program that can take
   them. Its exit status alone tells success. */

#include "lib.h"
#include "array.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "antispam-program.h"
#include "pipe-batch.h"

/* Runs that are described at a time; several times antispam_max_parallel, so
   that few slots are idle at the end of a batch. */
#define PIPE_MAX_BATCH 32
/* Messages that a program gets at once. */
#define PIPE_MAX_TOGETHER 500
/* Bytes of a program's output that are kept for the log. */
#define PIPE_MAX_OUTPUT 1024

struct pipe_context {
	const struct antispam_settings *set;
	/* By class, see struct antispam_job: [TRUE] = spam. */
	const char *const *argv[2];
};

static const char *const *
pipe_argv(pool_t pool, const struct antispam_settings *set,
	  const char *const *args, const char *arg)
{
	ARRAY_TYPE(const_string) argv;
	const char *const *list;

	p_array_init(&argv, pool, 8);
	array_push_back(&argv, &set->pipe_program);
	list = set->pipe_program_args;
	for (; list != NULL && *list != NULL; list++)
		array_push_back(&argv, list);
	if (args == NULL && arg != NULL)
		array_push_back(&argv, &arg);
	for (; args != NULL && *args != NULL; args++)
		array_push_back(&argv, args);
	array_append_zero(&argv);
	return array_front(&argv);
}

static int
pipe_check(const struct antispam_settings *set, const char **error_r)
{
	const char *missing = NULL;

	if (set->pipe_program_spam_args == NULL &&
	    set->pipe_program_spam_arg == NULL)
		missing = "antispam_pipe_program_spam_arg";
	else if (set->pipe_program_notspam_args == NULL &&
		 set->pipe_program_notspam_arg == NULL)
		missing = "antispam_pipe_program_notspam_arg";
	if (missing != NULL) {
		*error_r = t_strdup_printf(
			"antispam_backend = pipe needs %s: the argument that "
			"tells %s what to learn",
			missing, set->pipe_program);
		return -1;
	}
	if (set->pipe_tmpdir[0] != '/') {
		*error_r = t_strdup_printf(
			"antispam_pipe_tmpdir = %s: not an absolute path",
			set->pipe_tmpdir);
		return -1;
	}
	return antispam_run_check_path("antispam_pipe_program",
				       set->pipe_program, error_r);
}

static int
pipe_init(pool_t pool, const struct antispam_settings *set, void **context_r,
	  const char **warning_r ATTR_UNUSED, const char **error_r)
{
	struct pipe_context *ctx;

	if (pipe_check(set, error_r) < 0)
		return -1;
	ctx = p_new(pool, struct pipe_context, 1);
	ctx->set = set;
	ctx->argv[TRUE] = pipe_argv(pool, set, set->pipe_program_spam_args,
				    set->pipe_program_spam_arg);
	ctx->argv[FALSE] = pipe_argv(pool, set, set->pipe_program_notspam_args,
				     set->pipe_program_notspam_arg);
	*context_r = ctx;
	return 0;
}

static const char *pipe_tmpdir(void *context)
{
	const struct pipe_context *ctx = context;

	return ctx->set->pipe_tmpdir;
}

static unsigned int pipe_takes_many(void *context)
{
	const struct pipe_context *ctx = context;

	return ctx->set->pipe_batch == ANTISPAM_PIPE_BATCH_NO ?
		0 :
		PIPE_MAX_TOGETHER;
}

static void pipe_fail_all(const struct antispam_batch *batch, const char *why)
{
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		i_zero(&batch->outcomes[i]);
		batch->outcomes[i].result = ANTISPAM_LATER;
		batch->outcomes[i].why = why;
	}
}

/* All jobs are of one class. */
static void pipe_learn_together(const struct pipe_context *ctx,
				const struct antispam_batch *batch)
{
	struct antispam_run run = {
		.argv = ctx->argv[batch->jobs[0]->spam],
		.max_output = PIPE_MAX_OUTPUT,
	};
	struct pipe_batch *many;
	const char *error;

	many = antispam_pipe_batch_create(ctx->set->pipe_batch, ctx->set->pipe_tmpdir,
					  batch->jobs, batch->count, &run, &error);
	if (many == NULL) {
		pipe_fail_all(batch, error);
		return;
	}
	antispam_program_learn_together(batch, ctx->set, ctx->set->pipe_env,
					&run);
	antispam_pipe_batch_destroy(&many);
}

static void
pipe_learn(void *context, const struct antispam_batch *batch,
	   void **undo ATTR_UNUSED)
{
	const struct pipe_context *ctx = context;
	struct antispam_run *runs = t_new(struct antispam_run, batch->count);
	unsigned int i;

	if (ctx->set->pipe_batch != ANTISPAM_PIPE_BATCH_NO) {
		pipe_learn_together(ctx, batch);
		return;
	}
	for (i = 0; i < batch->count; i++) {
		runs[i].argv = ctx->argv[batch->jobs[i]->spam];
		runs[i].input = batch->jobs[i]->message;
		runs[i].max_output = PIPE_MAX_OUTPUT;
	}
	antispam_program_learn(batch, ctx->set, ctx->set->pipe_env, runs,
			       NULL, NULL);
}

static const char *
pipe_program(const struct antispam_settings *set, const char **setting_r)
{
	*setting_r = "antispam_pipe_program";
	return set->pipe_program;
}

static const char *const pipe_old_names[] = { "mailtrain", "sendmail", NULL };

extern const struct antispam_backend antispam_backend_pipe;
const struct antispam_backend antispam_backend_pipe = {
	.name = "pipe",
	.old_names = pipe_old_names,
	.needs = ANTISPAM_NEED_MESSAGE,
	.runs_programs = TRUE,
	.program = pipe_program,
	.max_batch = PIPE_MAX_BATCH,
	.takes_many = pipe_takes_many,
	.init = pipe_init,
	.tmpdir = pipe_tmpdir,
	.learn = pipe_learn,
};
