#ifndef ANTISPAM_RSPAMD_REPLY_H
#define ANTISPAM_RSPAMD_REPLY_H

struct antispam_outcome;

/* More of an answer tells nothing. */
#define ANTISPAM_RSPAMD_REPLY_MAX 8192

/* All of an answer is here, by its Content-Length. */
bool antispam_rspamd_reply_is_whole(const char *text);

/* What the controller's answer to /learnspam or /learnham says of a lesson; text
   is all that came before the connection ended, head and body. Pure. Fills
   *outcome's result and why (data stack). */
void antispam_rspamd_reply_judge(const char *text,
				 struct antispam_outcome *outcome);

#endif
