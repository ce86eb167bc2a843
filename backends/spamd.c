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
#include "antispam-daemon.h"
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

struct spamd_question {
	const struct spamd_context *ctx;
	const char *user;
};

/* Names of headers, and the values spam and ham, are taken literally by spamd:
   it ignores what it does not know, and learns anything but "spam" as ham. */
static const char *spamd_head(void *context, bool spam, uoff_t size)
{
	const struct spamd_question *question = context;
	const struct antispam_settings *set = question->ctx->set;

	return t_strdup_printf(
		"TELL SPAMC/1.5\r\n"
		"Message-class: %s\r\n"
		"Set: %s\r\n"
		"User: %s\r\n"
		"Content-length: %" PRIuUOFF_T "\r\n"
		"\r\n",
		spam ? "spam" : "ham",
		set->spamd_set == ANTISPAM_SPAMD_SET_LOCAL_REMOTE ?
			"local, remote" :
			"local",
		question->user, size);
}

static void spamd_learn(void *context, const struct antispam_batch *batch,
			void **undo ATTR_UNUSED)
{
	const struct spamd_context *ctx = context;
	struct spamd_question question = {
		.ctx = ctx,
		.user = ctx->set->spamd_user,
	};
	const struct antispam_daemon daemon = {
		.name = "spamd",
		.peer = &ctx->peer,
		.timeout_msecs = ctx->set->timeout_msecs,
		.max_parallel = SPAMD_MAX_PARALLEL,
		.max_reply = ANTISPAM_SPAMD_REPLY_MAX,
		.half_close = TRUE,
		.is_whole = antispam_spamd_reply_is_whole,
		.head = spamd_head,
		.context = &question,
		.judge = antispam_spamd_reply_judge,
	};
	struct antispam_outcome outcome = { .result = ANTISPAM_BROKEN };

	if (question.user == NULL)
		question.user = batch->identity->username;
	if (is_header_value(question.user)) {
		antispam_daemon_learn(&daemon, batch);
		return;
	}
	outcome.why = t_strdup_printf(
		"the user's name \"%s\" holds a control character, which "
		"spamd can't be told: set antispam_spamd_user",
		str_sanitize(question.user, 100));
	antispam_daemon_fail(batch, &outcome);
}

extern const struct antispam_backend antispam_backend_spamd;
const struct antispam_backend antispam_backend_spamd = {
	.name = "spamd",
	.needs = ANTISPAM_NEED_MESSAGE,
	.max_batch = SPAMD_MAX_BATCH,
	.max_parallel = SPAMD_MAX_PARALLEL,
	.init = spamd_init,
	.learn = spamd_learn,
};
