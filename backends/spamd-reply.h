#ifndef ANTISPAM_SPAMD_REPLY_H
#define ANTISPAM_SPAMD_REPLY_H

struct antispam_outcome;

/* More of an answer tells nothing. */
#define ANTISPAM_SPAMD_REPLY_MAX 2048

/* All of spamd's answer to a TELL is here. */
bool antispam_spamd_reply_is_whole(const char *text);

/* What spamd's answer says of a lesson; text is all that came before it closed
   the connection. Pure. Fills *outcome's result and why (data stack). */
void antispam_spamd_reply_judge(const char *text,
				struct antispam_outcome *outcome);

#endif
