#ifndef ANTISPAM_TRANSITION_H
#define ANTISPAM_TRANSITION_H

/* What kind of folder a name stands for. */
enum antispam_class {
	ANTISPAM_CLASS_OTHER = 0,
	ANTISPAM_CLASS_SPAM,
	ANTISPAM_CLASS_TRASH,
	ANTISPAM_CLASS_UNSURE,
};
#define ANTISPAM_CLASS_COUNT 4

/* What a message's change of folder means. */
enum antispam_verdict {
	/* Nothing to learn. */
	ANTISPAM_VERDICT_NONE = 0,
	/* Refuse it, with a sentence for the user. */
	ANTISPAM_VERDICT_DENY,
	/* Learn the message as spam. */
	ANTISPAM_VERDICT_SPAM,
	/* Learn the message as ham. */
	ANTISPAM_VERDICT_HAM,
};

/* Values of antispam_allow_append_to_spam, in the order of its enum. */
enum antispam_append {
	ANTISPAM_APPEND_NO = 0,
	ANTISPAM_APPEND_YES,
	ANTISPAM_APPEND_QUIET,
};

/* One message changing folders. A value: copied freely, owns nothing, knows
   neither mailboxes nor settings. */
struct antispam_transition {
	/* ANTISPAM_CLASS_OTHER for an append: there is no source folder. */
	enum antispam_class from, to;
	/* The message comes from the client (APPEND, REPLACE), not from a
	   folder. */
	bool append:1;
};

/* Look up the class x class table. Pure; cannot fail. *reason_r is set only
   for ANTISPAM_VERDICT_DENY: a static sentence that the IMAP user may see. */
enum antispam_verdict
antispam_transition_judge(const struct antispam_transition *tr,
			  enum antispam_append allow_append_to_spam,
			  const char **reason_r);

/* "spam", "trash", "unsure" or "other"; static. */
const char *antispam_class_name(enum antispam_class class);

#endif
