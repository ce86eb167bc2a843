#ifndef PIPE_BATCH_H
#define PIPE_BATCH_H

#include "antispam-settings.h"

struct antispam_job;
struct antispam_run;

/* Many messages, made ready for one run of a program. */
struct pipe_batch;

/* Give run the messages of count jobs: an mbox as its input, or the names of
   files, one a message, behind its arguments. What has to be written for that
   goes below tmpdir. Returns NULL and *error_r (data stack) if it can't be
   written or read. run's pointers live until the batch is destroyed and the
   data stack's frame has ended. */
struct pipe_batch *
antispam_pipe_batch_create(enum antispam_pipe_batch how, const char *tmpdir,
			   struct antispam_job *const *jobs, unsigned int count,
			   struct antispam_run *run, const char **error_r);
/* Remove what was written. */
void antispam_pipe_batch_destroy(struct pipe_batch **batch);

#endif
