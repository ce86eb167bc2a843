/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Teaches SpamAssassin's daemon by its TELL command, a connection a message:
   spamd keeps none open. Its children learn one after the other, since they
   share a locked database, so asking side by side would gain nothing. */

#include "lib.h"
#include "istream.h"
#include "str.h"
#include "str-sanitize.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "spamd-reply.h"

/* Lessons that are described at a time. */
#define SPAMD_MAX_BATCH 32
#define SPAMD_MAX_PARALLEL 1

struct spamd_context {
	const struct antispam_settings *set;
	struct antispam_peer peer;
};

/* It would end its line, and the rest would be spamd's next header. */
static bool is_header_value(const char *value)
{
	const unsigned char *p;

	for (p = (const unsigned char *)value; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return FALSE;
	}
	return TRUE;
}

static int
spamd_init(pool_t pool, const struct antispam_settings *set, void **context_r,
	   const char **warning_r ATTR_UNUSED, const char **error_r)
{
	struct spamd_context *ctx = p_new(pool, struct spamd_context, 1);
	const char *error;

	ctx->set = set;
	if (antispam_peer_parse(pool, set->spamd_socket, &ctx->peer,
				&error) < 0) {
		*error_r = t_strdup_printf("antispam_spamd_socket = %s: %s",
					   str_sanitize(set->spamd_socket, 200),
					   error);
		return -1;
	}
	*context_r = ctx;
	return 0;
}

/* Names of headers, and the values spam and ham, are taken literally by spamd:
   it ignores what it does not know, and learns anything but "spam" as ham. */
static const char *
spamd_head(const struct spamd_context *ctx, const char *user, bool spam,
	   uoff_t size)
{
	return t_strdup_printf(
		"TELL SPAMC/1.5\r\n"
		"Message-class: %s\r\n"
		"Set: %s\r\n"
		"User: %s\r\n"
		"Content-length: %" PRIuUOFF_T "\r\n"
		"\r\n",
		spam ? "spam" : "ham",
		ctx->set->spamd_set == ANTISPAM_SPAMD_SET_LOCAL_REMOTE ?
			"local, remote" :
			"local",
		user, size);
}

/* Returns TRUE if nothing more shall be started. */
static bool
spamd_judge(const struct antispam_exchange_reply *reply, void *context)
{
	struct antispam_outcome *outcome = context;

	i_zero(outcome);
	outcome->duration_msecs = reply->duration_msecs;
	if (reply->end == ANTISPAM_EXCHANGE_ANSWERED) {
		antispam_spamd_reply_judge(reply->text, outcome);
	} else {
		outcome->result = ANTISPAM_LATER;
		outcome->why = reply->input_failed ?
			reply->error :
			t_strdup_printf("spamd can't be asked: %s",
					reply->error);
	}
	return outcome->result == ANTISPAM_LATER;
}

static void spamd_learn_for(const struct spamd_context *ctx, const char *user,
			    const struct antispam_batch *batch)
{
	struct antispam_exchange *exchanges =
		t_new(struct antispam_exchange, batch->count);
	struct antispam_exchange_reply *replies =
		t_new(struct antispam_exchange_reply, batch->count);
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		const struct antispam_job *job = batch->jobs[i];
		struct antispam_exchange *exchange = &exchanges[i];

		exchange->input = job->message;
		/* what can't be read fails when it is sent */
		if (i_stream_get_size(job->message, TRUE,
				      &exchange->input_size) <= 0)
			exchange->input_size = job->size;
		exchange->head = spamd_head(ctx, user, job->spam,
					    exchange->input_size);
		exchange->half_close = TRUE;
		exchange->timeout_msecs = ctx->set->timeout_msecs;
		exchange->max_reply = ANTISPAM_SPAMD_REPLY_MAX;
		exchange->is_whole = antispam_spamd_reply_is_whole;
		exchange->is_failure = spamd_judge;
		exchange->context = &batch->outcomes[i];
	}
	antispam_exchange_many(&ctx->peer, exchanges, batch->count,
			       SPAMD_MAX_PARALLEL, batch->stop_on_failure,
			       replies);
	for (i = 0; i < batch->count; i++) {
		if (replies[i].end != ANTISPAM_EXCHANGE_SKIPPED)
			continue;
		i_zero(&batch->outcomes[i]);
		batch->outcomes[i].result = ANTISPAM_LATER;
		batch->outcomes[i].skipped = TRUE;
		batch->outcomes[i].why = "an earlier message failed";
	}
}

static void spamd_learn(void *context, const struct antispam_batch *batch,
			void **undo ATTR_UNUSED)
{
	const struct spamd_context *ctx = context;
	const char *user = ctx->set->spamd_user;
	unsigned int i;

	if (user == NULL)
		user = batch->identity->username;
	if (is_header_value(user)) {
		spamd_learn_for(ctx, user, batch);
		return;
	}
	for (i = 0; i < batch->count; i++) {
		i_zero(&batch->outcomes[i]);
		batch->outcomes[i].result = ANTISPAM_BROKEN;
		batch->outcomes[i].why = t_strdup_printf(
			"the user's name \"%s\" holds a control character, "
			"which spamd can't be told: set antispam_spamd_user",
			str_sanitize(user, 100));
	}
}

extern const struct antispam_backend antispam_backend_spamd;
const struct antispam_backend antispam_backend_spamd = {
	.name = "spamd",
	.needs = ANTISPAM_NEED_MESSAGE,
	.max_batch = SPAMD_MAX_BATCH,
	.init = spamd_init,
	.learn = spamd_learn,
};
