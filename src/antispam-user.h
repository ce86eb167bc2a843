#ifndef ANTISPAM_USER_H
#define ANTISPAM_USER_H

#include "mail-user.h"
#include "antispam-teacher.h"

struct antispam_folder_map;

/* A user for whom training is on. */
struct antispam_user {
	union mail_user_module_context module_ctx;
	/* All that belongs to this user's training. The user's own pool would
	   grow by a block that is far bigger. */
	pool_t pool;
	struct antispam_teacher teacher;
	struct antispam_folder_map *folders;
	/* NULL unless the backend learns by signature. */
	struct antispam_signature_rule *signature_rule;
	/* A storage's error is a refusal of ours, and the text of the last such
	   error that a storage has replaced. */
	bool refused;
	char *refused_text;
	/* The log has been told of a folder in two classes, and of a regular
	   expression that took too long. */
	bool overlap_logged:1;
	bool regex_logged:1;
	/* A virtual folder is being saved to. */
	bool in_virtual;
};

/* Hook mail_user_created: read the settings and switch training on, or say in
   the log why not. Never fails. */
void antispam_user_created(struct mail_user *user);

/* NULL = training is off for this user. */
struct antispam_user *antispam_user_get(struct mail_user *user);

#endif
