#ifndef COMPAT_24_H
#define COMPAT_24_H

struct mail_user;
struct event;
struct antispam_settings;

/* As antispam_compat_settings_get(), as they are for this event, which is below
   the user's own. */
int antispam_compat_settings_from(struct mail_user *user, struct event *event,
				  pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r);

#endif
