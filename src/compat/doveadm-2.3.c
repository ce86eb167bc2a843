/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A doveadm that was typed has the settings of doveadm alone, which doveconf
   has put into its environment. Those of protocol imap are to be had from the
   config process of the Dovecot that runs, which answers root. */

#include "lib.h"
#include "array.h"
#include "env-util.h"
#include "mail-user.h"
#include "mail-storage-settings.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "doveadm-mail.h"
#include "antispam-settings.h"
#include "antispam-compat-doveadm.h"
#include "compat-2.3.h"

#include <stdlib.h>

/* Dovecot's own: the settings are in the environment. */
#define ENV_SETTINGS "DOVECONF_ENV"

struct antispam_compat_imap {
	/* name, value, ..., NULL: all of plugin { } */
	const char *const *envs;
	const char *mail_plugins;
};

static bool
parse_arg(struct doveadm_mail_cmd_context *ctx ATTR_UNUSED, int c ATTR_UNUSED)
{
	return TRUE;
}

void antispam_compat_doveadm_options(struct doveadm_mail_cmd_context *ctx,
				     const char *letters)
{
	ctx->getopt_args = letters;
	ctx->v.parse_arg = parse_arg;
}

static const char *const *
copy_envs(pool_t pool, const struct mail_user_settings *set)
{
	ARRAY_TYPE(const_string) envs;
	const char *const *src;
	unsigned int i, count = 0;

	p_array_init(&envs, pool, 64);
	if (array_is_created(&set->plugin_envs)) {
		src = array_get(&set->plugin_envs, &count);
		for (i = 0; i < count; i++) {
			const char *word = p_strdup(pool, src[i]);

			array_push_back(&envs, &word);
		}
	}
	array_append_zero(&envs);
	return array_front(&envs);
}

/* config_path: NULL = as this process was told. */
static int imap_read(const char *service, const char *config_path, pool_t pool,
		     struct antispam_compat_imap *imap, const char **error_r)
{
	static const struct setting_parser_info *const roots[] = {
		&mail_user_setting_parser_info,
		NULL
	};
	const struct master_service_settings_input input = {
		.roots = roots,
		.config_path = config_path,
		.module = "mail",
		.service = service,
		.never_exec = TRUE,
		.no_ssl_ca = TRUE,
	};
	struct master_service_settings_output output;
	const struct mail_user_settings *set;

	if (master_service_settings_read(master_service, &input, &output,
					 error_r) < 0)
		return -1;
	set = master_service_settings_get_others(master_service)[0];
	imap->envs = copy_envs(pool, set);
	imap->mail_plugins = p_strdup(pool, set->mail_plugins);
	return 0;
}

/* Ask the config process in spite of what is in the environment. */
static int
imap_read_socket(pool_t pool, struct antispam_compat_imap *imap,
		 const char **error_r)
{
	const char *path, *env = getenv(ENV_SETTINGS);
	int ret;

	if (env == NULL)
		return imap_read("imap", NULL, pool, imap, error_r);
	env = t_strdup(env);
	path = t_strconcat(antispam_compat_base_dir(), "/config", NULL);
	env_remove(ENV_SETTINGS);
	ret = imap_read("imap", path, pool, imap, error_r);
	env_put(ENV_SETTINGS, env);
	return ret;
}

struct antispam_compat_imap *
antispam_compat_imap_init(pool_t pool, const char **error_r)
{
	struct antispam_compat_imap *imap =
		p_new(pool, struct antispam_compat_imap, 1);
	const char *error;

	*error_r = NULL;
	if (imap_read_socket(pool, imap, &error) == 0)
		return imap;
	*error_r = p_strdup(pool, error);
	if (imap_read("doveadm", NULL, pool, imap, &error) < 0) {
		imap->envs = p_new(pool, const char *, 1);
		imap->mail_plugins = "";
	}
	return imap;
}

void antispam_compat_imap_deinit(struct antispam_compat_imap **imap)
{
	*imap = NULL;
}

/* The value that userdb gives, for a user; NULL = none. */
static const char *userdb_value(struct mail_user *user, const char *name)
{
	const char *const *fields = user->userdb_fields;
	const size_t len = strlen(name);
	const char *value = NULL;

	for (; fields != NULL && *fields != NULL; fields++) {
		if (strncmp(*fields, name, len) == 0 && (*fields)[len] == '=')
			value = *fields + len + 1;
	}
	return value;
}

int antispam_compat_imap_plugins(const struct antispam_compat_imap *imap,
				 struct mail_user *user,
				 const char *const **plugins_r,
				 const char **error_r ATTR_UNUSED)
{
	const char *plugins = userdb_value(user, "mail_plugins");

	if (plugins == NULL)
		plugins = imap->mail_plugins;
	*plugins_r = t_strsplit_spaces(plugins, " ,");
	return 0;
}

static void
set_env(ARRAY_TYPE(const_string) *envs, const char *name, const char *value)
{
	const char **words;
	unsigned int i, count;

	words = array_get_modifiable(envs, &count);
	for (i = 0; i < count; i += 2) {
		if (strcmp(words[i], name) == 0) {
			words[i + 1] = value;
			return;
		}
	}
	array_push_back(envs, &name);
	array_push_back(envs, &value);
}

/* Of protocol imap, with what userdb says of the user in its place. */
static const char *const *
user_envs(const struct antispam_compat_imap *imap, struct mail_user *user)
{
	ARRAY_TYPE(const_string) envs;
	const char *const *src, *name, *equals;

	t_array_init(&envs, 64);
	for (src = imap->envs; *src != NULL; src += 2) {
		if (str_begins(*src, "antispam_"))
			set_env(&envs, src[0], src[1]);
	}
	for (src = user->userdb_fields; src != NULL && *src != NULL; src++) {
		name = str_begins(*src, "plugin/") ? *src + 7 : *src;
		if (!str_begins(name, "antispam_"))
			continue;
		equals = strchr(name, '=');
		if (equals == NULL)
			set_env(&envs, name, "yes");
		else {
			set_env(&envs, t_strdup_until(name, equals),
				equals + 1);
		}
	}
	array_append_zero(&envs);
	return array_front(&envs);
}

int antispam_compat_imap_settings(const struct antispam_compat_imap *imap,
				  struct mail_user *user, pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r)
{
	return antispam_compat_settings_from(user, user_envs(imap, user), pool,
					     set_r, error_r);
}

static const char *global_get(void *context, const char *name)
{
	const struct antispam_compat_imap *imap = context;
	const char *const *env;

	for (env = imap->envs; *env != NULL; env += 2) {
		if (strcmp(env[0], name) == 0)
			return env[1];
	}
	return NULL;
}

int antispam_compat_imap_global(const struct antispam_compat_imap *imap,
				pool_t pool,
				const struct antispam_settings **set_r,
				const char **error_r)
{
	bool queued;

	return antispam_settings_parse_global(pool, global_get, (void *)imap,
					      &queued, set_r, error_r);
}

const char *antispam_compat_base_dir(void)
{
	return master_service_settings_get(master_service)->base_dir;
}
