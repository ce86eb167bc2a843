/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "istream.h"
#include "safe-memset.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "antispam-daemon.h"

/* One exchange's lesson, for the runner to ask about. */
struct daemon_lesson {
	const struct antispam_daemon *daemon;
	struct antispam_outcome *outcome;
};

/* Returns TRUE if nothing more shall be started. */
static bool
lesson_ended(const struct antispam_exchange_reply *reply, void *context)
{
	const struct daemon_lesson *lesson = context;
	struct antispam_outcome *outcome = lesson->outcome;

	i_zero(outcome);
	outcome->duration_msecs = reply->duration_msecs;
	outcome->said = antispam_exchange_said(reply);
	if (reply->end == ANTISPAM_EXCHANGE_ANSWERED) {
		lesson->daemon->judge(reply->text, outcome);
	} else {
		outcome->result = ANTISPAM_LATER;
		outcome->why = reply->input_failed ?
			reply->error :
			t_strdup_printf("%s can't be asked: %s",
					lesson->daemon->name, reply->error);
	}
	return outcome->result == ANTISPAM_LATER;
}

static void
exchange_init(struct antispam_exchange *exchange,
	      const struct antispam_daemon *daemon,
	      const struct antispam_job *job)
{
	exchange->input = job->message;
	/* what can't be read fails when it is sent */
	if (i_stream_get_size(job->message, TRUE, &exchange->input_size) <= 0)
		exchange->input_size = job->size;
	exchange->head = daemon->head(daemon->context, job->spam,
				      exchange->input_size);
	exchange->half_close = daemon->half_close;
	exchange->timeout_msecs = daemon->timeout_msecs;
	exchange->max_reply = daemon->max_reply;
	exchange->is_whole = daemon->is_whole;
	exchange->is_failure = lesson_ended;
}

void antispam_daemon_learn(const struct antispam_daemon *daemon,
			   const struct antispam_batch *batch)
{
	struct antispam_exchange *exchanges =
		t_new(struct antispam_exchange, batch->count);
	struct antispam_exchange_reply *replies =
		t_new(struct antispam_exchange_reply, batch->count);
	struct daemon_lesson *lessons =
		t_new(struct daemon_lesson, batch->count);
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		lessons[i].daemon = daemon;
		lessons[i].outcome = &batch->outcomes[i];
		exchange_init(&exchanges[i], daemon, batch->jobs[i]);
		exchanges[i].context = &lessons[i];
	}
	antispam_exchange_many(daemon->peer, exchanges, batch->count,
			       daemon->max_parallel, batch->stop_on_failure,
			       replies);
	for (i = 0; i < batch->count; i++) {
		if (daemon->secret) {
			safe_memset((char *)exchanges[i].head, 0,
				    strlen(exchanges[i].head));
		}
		if (replies[i].end != ANTISPAM_EXCHANGE_SKIPPED)
			continue;
		i_zero(&batch->outcomes[i]);
		batch->outcomes[i].result = ANTISPAM_LATER;
		batch->outcomes[i].skipped = TRUE;
		batch->outcomes[i].why = "an earlier message failed";
	}
}

void antispam_daemon_fail(const struct antispam_batch *batch,
			  const struct antispam_outcome *outcome)
{
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		batch->outcomes[i] = *outcome;
		batch->outcomes[i].skipped = batch->stop_on_failure &&
			outcome->result == ANTISPAM_LATER && i > 0;
	}
}
