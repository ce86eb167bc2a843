/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot 2.3 keeps plugin { } as a list of names and values that nobody
   checks. Dovecot has expanded them in user->set; we take them as they were
   configured, since a list must be split before it is expanded. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "var-expand.h"
#include "mail-user.h"
#include "antispam-settings.h"
#include "antispam-compat-lib.h"
#include "antispam-compat.h"
#include "compat-2.3.h"

static const char *const *plugin_envs(struct mail_user *user)
{
	const struct mail_user_settings *set = user->unexpanded_set;
	ARRAY_TYPE(const_string) envs;
	const char *const *src;
	unsigned int i, count;

	t_array_init(&envs, 64);
	if (array_is_created(&set->plugin_envs)) {
		src = array_get(&set->plugin_envs, &count);
		for (i = 0; i + 1 < count; i += 2) {
			if (!str_begins(src[i], "antispam_"))
				continue;
			array_push_back(&envs, &src[i]);
			array_push_back(&envs, &src[i + 1]);
		}
	}
	array_append_zero(&envs);
	return array_front(&envs);
}

struct compat_source {
	struct mail_user *user;
	/* name, value, ..., NULL: only our own */
	const char *const *envs;
};

static const char *compat_get(void *context, const char *name)
{
	const struct compat_source *source = context;
	const char *const *env;

	for (env = source->envs; *env != NULL; env += 2) {
		if (strcmp(env[0], name) == 0)
			return env[1];
	}
	return NULL;
}

/* A copy of the user's variables in which all but the home directory, which
   is the admin's, is harmless in a file name. */
static const struct var_expand_table *
encoded_table(const struct var_expand_table *src)
{
	const size_t count = var_expand_table_size(src);
	struct var_expand_table *table =
		t_new(struct var_expand_table, count + 1);
	bool is_home;
	size_t i;

	for (i = 0; i < count; i++) {
		table[i] = src[i];
		is_home = src[i].key == 'h' ||
			null_strcmp(src[i].long_key, "home") == 0;
		if (!is_home && src[i].value != NULL) {
			table[i].value =
				antispam_settings_encode_user(src[i].value);
		}
	}
	return table;
}

static int
compat_expand(void *context, enum antispam_expand how, const char *raw,
	      const char **value_r, const char **warning_r ATTR_UNUSED,
	      const char **error_r)
{
	const struct compat_source *source = context;
	struct mail_user *user = source->user;
	const struct var_expand_func_table *funcs =
		mail_user_var_expand_func_table;
	const struct var_expand_table *table;
	string_t *str = t_str_new(128);
	const char *home;

	if (strchr(raw, '%') == NULL) {
		*value_r = raw;
		return 0;
	}
	if (var_has_key(raw, 'h', "home") &&
	    mail_user_get_home(user, &home) <= 0) {
		*error_r = "it uses %h, and the user has no home directory";
		return -1;
	}
	table = mail_user_var_expand_table(user);
	if (how == ANTISPAM_EXPAND_TEMPLATE) {
		table = encoded_table(table);
		funcs = NULL;
	}
	if (var_expand_with_funcs(str, raw, table, funcs, user, error_r) <= 0)
		return -1;
	*value_r = str_c(str);
	return 0;
}

int antispam_compat_settings_from(struct mail_user *user,
				  const char *const *envs, pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r)
{
	struct compat_source compat = { .user = user, .envs = envs };
	const struct antispam_settings_source source = {
		.get = compat_get,
		.expand = compat_expand,
		.context = &compat,
	};
	const char *const *env;

	if (antispam_settings_check_fields(user->userdb_fields, error_r) < 0)
		return -1;
	for (env = compat.envs; *env != NULL; env += 2) {
		if (!antispam_settings_has(env[0])) {
			*error_r = antispam_settings_unknown(env[0]);
			return -1;
		}
	}
	return antispam_settings_parse(pool, &source, set_r, error_r);
}

int antispam_compat_settings_get(struct mail_user *user, pool_t pool,
				 const struct antispam_settings **set_r,
				 const char **error_r)
{
	return antispam_compat_settings_from(user, plugin_envs(user), pool,
					     set_r, error_r);
}
