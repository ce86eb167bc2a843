#ifndef ANTISPAM_COMPAT_DOVEADM_H
#define ANTISPAM_COMPAT_DOVEADM_H

/* What differs between Dovecot 2.3 and 2.4 for a doveadm module; one
   implementation each in doveadm-2.3.c and doveadm-2.4.c. Needs doveadm-mail.h
   before it. */

struct mail_user;
struct antispam_settings;

/* More parameters of doveadm_mail_cmd_vfuncs.init(); and how to load us, for
   an admin. */
#if DOVECOT_PREREQ(2, 4, 0)
#define ANTISPAM_COMPAT_INIT_ARGS
#define ANTISPAM_COMPAT_LOAD \
	"antispam = yes on a line of its own within mail_plugins { } within " \
	"protocol imap { }"
#else
#define ANTISPAM_COMPAT_LOAD \
	"mail_plugins = $mail_plugins antispam within protocol imap { }, and " \
	"$mail_plugins into each line after it"
#define ANTISPAM_COMPAT_INIT_ARGS , const char *const args[] ATTR_UNUSED
#endif

/* Make ctx take these options: 2.3 asks each command whether it knows a letter.
   What they say can be read by doveadm_cmd_param_*() in init(). */
void antispam_compat_doveadm_options(struct doveadm_mail_cmd_context *ctx,
				     const char *letters);

/* How protocol imap is configured: what is asked here are its settings, while
   those of a doveadm process are doveadm's. */
struct antispam_compat_imap;

/* Read it, as root if this process may be that: 2.3 does not give the settings
   to everybody. Lives in pool. If they are not to be had, those of doveadm have
   to do, and *error_r says why (pool); NULL otherwise. */
struct antispam_compat_imap *
antispam_compat_imap_init(pool_t pool, const char **error_r);
/* NULL is fine. */
void antispam_compat_imap_deinit(struct antispam_compat_imap **imap);

/* The user's mail_plugins, NULL-terminated. Returns 0, or -1 and *error_r; both
   on the data stack. */
int antispam_compat_imap_plugins(const struct antispam_compat_imap *imap,
				 struct mail_user *user,
				 const char *const **plugins_r,
				 const char **error_r);
/* As antispam_compat_settings_get(). */
int antispam_compat_imap_settings(const struct antispam_compat_imap *imap,
				  struct mail_user *user, pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r);
/* As antispam_compat_trainer_settings(). */
int antispam_compat_imap_global(const struct antispam_compat_imap *imap,
				pool_t pool,
				const struct antispam_settings **set_r,
				const char **error_r);

/* Dovecot's, in this process. */
const char *antispam_compat_base_dir(void);

#endif
