#ifndef ANTISPAM_COLLECT_H
#define ANTISPAM_COLLECT_H

#include "mail-error.h"

struct mail;
struct antispam_user;
struct antispam_dispatch;
struct antispam_job;

/* Why a message may not go where it goes, for the IMAP user. */
struct antispam_refusal {
	enum mail_error error;
	/* Static. */
	const char *text;
};

/* A lesson failed, and so nothing of the transaction is done. */
extern const struct antispam_refusal antispam_refusal_failed;

/* Read of a message what the user's backend wants to know, and keep it in
   dispatch for learning. job gives spam, change, folder and origin. mail is the
   message, whose header can be read; and its contents, unless dispatch has
   captured them.

   Returns 1; 0 if it is not to be learned, but may be moved; -1 and *refusal_r
   if the transaction must be refused. */
int antispam_collect(const struct antispam_user *auser,
		     struct antispam_dispatch *dispatch,
		     const struct antispam_job *job, struct mail *mail,
		     bool captured,
		     const struct antispam_refusal **refusal_r);

#endif
