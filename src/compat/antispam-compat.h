#ifndef ANTISPAM_COMPAT_H
#define ANTISPAM_COMPAT_H

/* What differs between Dovecot 2.3 and 2.4 beyond the lib; one implementation
   each in compat-2.3.c and compat-2.4.c. */

struct mail_user;
struct antispam_settings;

/* Read and check the user's antispam_* settings: plugin { } in 2.3,
   settings_get() in 2.4. *set_r lives in pool. Returns 0, or -1 and *error_r
   (data stack), which names setting, value and remedy. */
int antispam_compat_settings_get(struct mail_user *user, pool_t pool,
				 const struct antispam_settings **set_r,
				 const char **error_r);

#endif
