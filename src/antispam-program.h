#ifndef ANTISPAM_PROGRAM_H
#define ANTISPAM_PROGRAM_H

struct antispam_settings;
struct antispam_batch;
struct antispam_job;
struct antispam_outcome;
struct antispam_run;
struct antispam_run_reply;

/* Look at what a program that exited with status 0 has said, and change
   *outcome, which is LEARNED, if that was no success. */
typedef void
antispam_program_judge_t(void *context, const struct antispam_job *job,
			 const struct antispam_run_reply *reply,
			 struct antispam_outcome *outcome);

/* For backends whose lessons are one run of a program each: run
   batch->count of them, side by side, and fill batch->outcomes. Whatever does
   not end by exit status 0 may go better LATER, since no exit status tells
   permanent from passing reliably over all those programs. The caller fills
   argv, input and max_output of runs; judge may be NULL. */
void antispam_program_learn(const struct antispam_batch *batch,
			    const struct antispam_settings *set,
			    const char *const *extra_env,
			    struct antispam_run *runs,
			    antispam_program_judge_t *judge, void *context);

/* For a filter that takes all messages of a batch at once: do this run, and give
   all of batch->outcomes what it came to. The caller fills all of run but env,
   dir and timeout_msecs. */
void antispam_program_learn_together(const struct antispam_batch *batch,
				     const struct antispam_settings *set,
				     const char *const *extra_env,
				     struct antispam_run *run);

#endif
