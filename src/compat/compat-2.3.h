#ifndef COMPAT_23_H
#define COMPAT_23_H

struct mail_user;
struct antispam_settings;

/* As antispam_compat_settings_get(), from these entries of plugin { }: name,
   value, ..., NULL; only our own. */
int antispam_compat_settings_from(struct mail_user *user,
				  const char *const *envs, pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r);

#endif
