#ifndef ANTISPAM_COMPAT_TRAINER_H
#define ANTISPAM_COMPAT_TRAINER_H

/* What differs between Dovecot 2.3 and 2.4 for a service: how it starts, reads
   the settings, and becomes a user. One implementation each in trainer-2.3.c
   and trainer-2.4.c; there is one service in a process. */

struct mail_user;
struct mail_storage_service_user;
struct antispam_settings;

/* Read Dovecot's settings and set up mail storage, with master_service being
   initialized and privileges not yet dropped: who is not root may not read the
   settings later on. Returns 0, or -1 and *error_r (data stack). */
int antispam_compat_trainer_init(const char **error_r);
void antispam_compat_trainer_deinit(void);

/* What antispam_settings_parse_global() gives, as protocol imap sees it. *set_r
   lives in pool. Returns 0, or -1 and *error_r (data stack); *queued_r is set
   in any case. */
int antispam_compat_trainer_settings(pool_t pool, bool *queued_r,
				     const struct antispam_settings **set_r,
				     const char **error_r);

/* Ask userdb for a user, as an IMAP session does. This waits for the answer,
   over a connection that stays open; so a child asks for itself, in an ioloop
   of its own and after trainer_log_init_child(), and its parent never does, or
   both would read from one connection. Returns 1 and *suser_r,
   which antispam_compat_trainer_become() or
   antispam_compat_trainer_forget() takes; 0 if there is no such user; -1 and
   *error_r (data stack). */
int antispam_compat_trainer_lookup(const char *username,
				   struct mail_storage_service_user **suser_r,
				   const char **error_r);
/* Become the user for good, in a child: all uids and gids, groups, and working
   directory. *user_r has no namespaces and no plugins, but settings, which
   antispam_compat_settings_get() reads; mail_user_deinit() frees it. Takes
   suser. Returns 0, or -1 and *error_r (data stack); the process may be anybody
   then, and can only end. */
int antispam_compat_trainer_become(struct mail_storage_service_user *suser,
				   struct mail_user **user_r,
				   const char **error_r);
void antispam_compat_trainer_forget(struct mail_storage_service_user *suser);

#endif
