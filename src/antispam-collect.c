/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Turns a mail into a job. What can't be learned for a reason that lies in the
   message alone is moved all the same: its sender must not be able to make it
   stay where it is. Only a message that the filter has never marked may be
   refused, if the admin wants that. */

#include "lib.h"
#include "istream.h"
#include "mail-storage.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-job.h"
#include "antispam-signature.h"
#include "antispam-place.h"
#include "antispam-user.h"
#include "antispam-dispatch.h"
#include "antispam-collect.h"

const struct antispam_refusal antispam_refusal_failed = {
	.error = MAIL_ERROR_UNAVAILABLE,
	.text = "The spam filter could not be taught; "
		"nothing was moved. Please try again later.",
};

static const struct antispam_refusal refusal_unsigned = {
	.error = MAIL_ERROR_NOTPOSSIBLE,
	.text = "The message bears no mark of the spam filter, "
		"so it can't be corrected; nothing was moved.",
};

/* Does the backend decline the message by what its filter has found it to be?
   Returns 1, 0 or -1 if the message can't be read. */
static int
result_declines(const struct antispam_teacher *teacher, struct mail *mail)
{
	const struct antispam_backend *backend = teacher->backend;
	const char *const *values, *header = NULL;
	int ret;

	if (backend->result_header != NULL)
		header = backend->result_header(teacher->backend_context);
	if (header == NULL)
		return 0;
	ret = mail_get_headers(mail, header, &values);
	if (ret <= 0)
		return ret;
	/* as with signatures, those before the last one are the sender's */
	while (values[1] != NULL)
		values++;
	return backend->result_declines(teacher->backend_context, *values) ?
		1 :
		0;
}

/* The storage refuses an expunged one by itself. Any other that can't be read
   is no reason to keep it where it is: dispatch says so in the log. */
static int
collect_unreadable(struct antispam_dispatch *dispatch,
		   const struct antispam_job *job, struct mail *mail)
{
	struct istream *input;
	const char *why;
	int ret;

	if (mail->expunged)
		return 0;
	why = mailbox_get_last_internal_error(mail->box, NULL);
	input = i_stream_create_error_str(EIO, "%s", why);
	ret = antispam_dispatch_add(dispatch, job, input, FALSE);
	i_stream_unref(&input);
	return ret;
}

/* The message has no such header. */
static int
signature_missing(const struct antispam_teacher *teacher,
		  struct antispam_dispatch *dispatch,
		  const struct antispam_job *job, const char *header,
		  const struct antispam_refusal **refusal_r)
{
	const enum antispam_signature_missing policy =
		teacher->set->signature_missing;
	const char *why = t_strdup_printf("it has no header %s", header);

	if (policy == ANTISPAM_SIGNATURE_MISSING_MOVE) {
		antispam_dispatch_decline(dispatch, job, FALSE, why);
		return 0;
	}
	why = t_strdup_printf("%s (antispam_signature_missing = move lets it "
			      "pass)",
			      why);
	antispam_dispatch_refuse(dispatch, job, why);
	*refusal_r = &refusal_unsigned;
	return -1;
}

/* Fill in job->signature. Returns as antispam_collect(). */
static int
collect_signature(const struct antispam_user *auser,
		  struct antispam_dispatch *dispatch, struct antispam_job *job,
		  struct mail *mail, const struct antispam_refusal **refusal_r)
{
	const struct antispam_teacher *teacher = &auser->teacher;
	const char *header =
		antispam_signature_rule_header(auser->signature_rule);
	const char *const *values, *why;
	int ret;

	ret = result_declines(teacher, mail);
	if (ret < 0 || mail_get_headers(mail, header, &values) < 0)
		return collect_unreadable(dispatch, job, mail);
	if (ret > 0) {
		antispam_dispatch_decline(dispatch, job, FALSE,
					  "the filter's result is blacklisted");
		return 0;
	}
	switch (antispam_signature_choose(auser->signature_rule, values,
					  &job->signature, &why)) {
	case ANTISPAM_SIGNATURE_FOUND:
		return 1;
	case ANTISPAM_SIGNATURE_MISSING:
		return signature_missing(teacher, dispatch, job, header,
					 refusal_r);
	case ANTISPAM_SIGNATURE_INVALID:
		why = t_strdup_printf("its header %s is no signature: %s",
				      header, why);
		antispam_dispatch_decline(dispatch, job, TRUE, why);
		return 0;
	}
	i_unreached();
}

/* Add the message by its file alone; as antispam_dispatch_link(). */
static int
collect_link(struct antispam_dispatch *dispatch, const struct antispam_job *src,
	     struct mail *mail)
{
	struct antispam_job job = *src;
	struct antispam_place place;

	if (!antispam_dispatch_can_link(dispatch) ||
	    !antispam_place_find_path(mail, &place))
		return -1;
	job.place = &place;
	return antispam_dispatch_link(dispatch, &job);
}

/* Open the message, and add it. */
static int
collect_message(struct antispam_dispatch *dispatch,
		const struct antispam_job *src, struct mail *mail)
{
	struct antispam_job job = *src;
	struct antispam_place place;
	struct istream *input;
	int ret;

	if (!job.change.append) {
		ret = collect_link(dispatch, src, mail);
		if (ret >= 0)
			return ret;
	}
	if (mail_get_stream_because(mail, NULL, NULL, "antispam", &input) < 0)
		return collect_unreadable(dispatch, src, mail);
	if (antispam_dispatch_is_queued(dispatch) &&
	    antispam_place_find(mail, input, &place))
		job.place = &place;
	return antispam_dispatch_add(dispatch, &job, input, FALSE);
}

int antispam_collect(const struct antispam_user *auser,
		     struct antispam_dispatch *dispatch,
		     const struct antispam_job *src, struct mail *mail,
		     bool captured,
		     const struct antispam_refusal **refusal_r)
{
	const enum antispam_need needs = auser->teacher.backend->needs;
	struct antispam_job job = *src;
	int ret;

	*refusal_r = &antispam_refusal_failed;
	if ((needs & ANTISPAM_NEED_SIGNATURE) != 0) {
		ret = collect_signature(auser, dispatch, &job, mail,
					refusal_r);
		if (ret <= 0)
			return ret;
	}
	if (antispam_teacher_is_queued(&auser->teacher) && !job.change.append)
		job.guid = antispam_place_guid(mail);
	if ((needs & ANTISPAM_NEED_MESSAGE) != 0 && !captured)
		return collect_message(dispatch, &job, mail);
	return antispam_dispatch_add(dispatch, &job, NULL, captured);
}
