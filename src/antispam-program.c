/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "antispam-program.h"

/* One run's lesson, for the runner to ask about. */
struct program_lesson {
	const struct antispam_job *job;
	struct antispam_outcome *outcome;
	antispam_program_judge_t *judge;
	void *context;
};

/* Returns TRUE if nothing more shall be started. */
static bool
lesson_ended(const struct antispam_run_reply *reply, void *context)
{
	struct program_lesson *lesson = context;
	struct antispam_outcome *outcome = lesson->outcome;

	i_zero(outcome);
	outcome->duration_msecs = reply->duration_msecs;
	if (reply->end != ANTISPAM_RUN_EXITED || reply->exit_status != 0) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = antispam_run_describe(reply);
	} else if (lesson->judge != NULL) {
		lesson->judge(lesson->context, lesson->job, reply, outcome);
	}
	outcome->said = antispam_run_said(reply);
	return outcome->result == ANTISPAM_LATER;
}

void antispam_program_learn(const struct antispam_batch *batch,
			    const struct antispam_settings *set,
			    const char *const *extra_env,
			    struct antispam_run *runs,
			    antispam_program_judge_t *judge, void *context)
{
	const char *const *env = antispam_run_env(batch->identity, extra_env);
	struct antispam_run_reply *replies =
		t_new(struct antispam_run_reply, batch->count);
	struct program_lesson *lessons =
		t_new(struct program_lesson, batch->count);
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		lessons[i].job = batch->jobs[i];
		lessons[i].outcome = &batch->outcomes[i];
		lessons[i].judge = judge;
		lessons[i].context = context;
		runs[i].env = env;
		runs[i].dir = batch->identity->home;
		runs[i].timeout_msecs = set->timeout_msecs;
		runs[i].is_failure = lesson_ended;
		runs[i].context = &lessons[i];
	}
	antispam_run_many(runs, batch->count, set->max_parallel,
			  batch->stop_on_failure, replies);
	for (i = 0; i < batch->count; i++) {
		if (replies[i].end != ANTISPAM_RUN_SKIPPED)
			continue;
		i_zero(&batch->outcomes[i]);
		batch->outcomes[i].result = ANTISPAM_LATER;
		batch->outcomes[i].skipped = TRUE;
		batch->outcomes[i].why = antispam_run_describe(&replies[i]);
	}
}

void antispam_program_learn_together(const struct antispam_batch *batch,
				     const struct antispam_settings *set,
				     const char *const *extra_env,
				     struct antispam_run *run)
{
	struct antispam_run_reply reply;
	struct antispam_outcome outcome;
	unsigned int i;

	run->env = antispam_run_env(batch->identity, extra_env);
	run->dir = batch->identity->home;
	run->timeout_msecs = set->timeout_msecs;
	antispam_run_many(run, 1, 1, FALSE, &reply);
	i_zero(&outcome);
	outcome.duration_msecs = reply.duration_msecs / batch->count;
	if (reply.end != ANTISPAM_RUN_EXITED || reply.exit_status != 0) {
		outcome.result = ANTISPAM_LATER;
		outcome.why = antispam_run_describe(&reply);
	}
	for (i = 0; i < batch->count; i++)
		batch->outcomes[i] = outcome;
}
