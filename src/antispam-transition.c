/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What a message's change of folder means, as tables. */

#include "lib.h"
#include "antispam-transition.h"

#define TO_UNSURE_DENIED \
	"Messages can't be put into this folder: only the spam filter does " \
	"that."
#define APPEND_TO_SPAM_DENIED \
	"Messages can't be saved into the spam folder directly: save them in " \
	"another folder, then move or copy them here."

static const enum antispam_verdict transitions[][ANTISPAM_CLASS_COUNT] = {
	[ANTISPAM_CLASS_SPAM] = {
		[ANTISPAM_CLASS_UNSURE] = ANTISPAM_VERDICT_DENY,
		[ANTISPAM_CLASS_OTHER] = ANTISPAM_VERDICT_HAM,
	},
	[ANTISPAM_CLASS_TRASH] = {
		[ANTISPAM_CLASS_UNSURE] = ANTISPAM_VERDICT_DENY,
	},
	[ANTISPAM_CLASS_UNSURE] = {
		[ANTISPAM_CLASS_SPAM] = ANTISPAM_VERDICT_SPAM,
		[ANTISPAM_CLASS_UNSURE] = ANTISPAM_VERDICT_DENY,
		[ANTISPAM_CLASS_OTHER] = ANTISPAM_VERDICT_HAM,
	},
	[ANTISPAM_CLASS_OTHER] = {
		[ANTISPAM_CLASS_SPAM] = ANTISPAM_VERDICT_SPAM,
		[ANTISPAM_CLASS_UNSURE] = ANTISPAM_VERDICT_DENY,
	},
};

static const enum antispam_verdict appends_to_spam[] = {
	[ANTISPAM_APPEND_NO] = ANTISPAM_VERDICT_DENY,
	[ANTISPAM_APPEND_YES] = ANTISPAM_VERDICT_SPAM,
	[ANTISPAM_APPEND_QUIET] = ANTISPAM_VERDICT_NONE,
};

enum antispam_verdict
antispam_transition_judge(const struct antispam_transition *tr,
			  enum antispam_append allow_append_to_spam,
			  const char **reason_r)
{
	enum antispam_verdict verdict;

	if (!tr->append)
		verdict = transitions[tr->from][tr->to];
	else if (tr->to == ANTISPAM_CLASS_SPAM)
		verdict = appends_to_spam[allow_append_to_spam];
	else if (tr->to == ANTISPAM_CLASS_UNSURE)
		verdict = ANTISPAM_VERDICT_DENY;
	else
		verdict = ANTISPAM_VERDICT_NONE;

	if (verdict != ANTISPAM_VERDICT_DENY)
		return verdict;
	if (tr->to == ANTISPAM_CLASS_UNSURE)
		*reason_r = TO_UNSURE_DENIED;
	else
		*reason_r = APPEND_TO_SPAM_DENIED;
	return ANTISPAM_VERDICT_DENY;
}

const char *antispam_class_name(enum antispam_class class)
{
	static const char *const names[ANTISPAM_CLASS_COUNT] = {
		[ANTISPAM_CLASS_OTHER] = "other",
		[ANTISPAM_CLASS_SPAM] = "spam",
		[ANTISPAM_CLASS_TRASH] = "trash",
		[ANTISPAM_CLASS_UNSURE] = "unsure",
	};

	return names[class];
}
