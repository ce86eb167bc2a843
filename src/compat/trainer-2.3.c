/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot 2.3 asks its config process whenever settings are read, but for what
   mail storage has cached, by module and service. */

#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "mail-storage-service.h"
#include "mail-storage-settings.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "antispam-settings.h"
#include "antispam-compat-trainer.h"

#include <unistd.h>

static struct mail_storage_service_ctx *storage_service;
/* Of protocol imap. */
static const struct mail_user_settings *imap_set;
static pool_t imap_set_pool;

static void input_init(struct mail_storage_service_input *input_r)
{
	i_zero(input_r);
	input_r->module = "mail";
	input_r->service = "imap";
}

int antispam_compat_trainer_init(const char **error_r)
{
	struct mail_storage_service_input input;
	const struct setting_parser_info *user_info;
	const struct setting_parser_context *parser;
	void **sets;

	if (master_service_settings_read_simple(master_service, NULL,
						error_r) < 0)
		return -1;
	storage_service = mail_storage_service_init(
		master_service, NULL,
		MAIL_STORAGE_SERVICE_FLAG_USERDB_LOOKUP |
			MAIL_STORAGE_SERVICE_FLAG_NO_LOG_INIT |
			MAIL_STORAGE_SERVICE_FLAG_NO_PLUGINS |
			MAIL_STORAGE_SERVICE_FLAG_NO_NAMESPACES |
			MAIL_STORAGE_SERVICE_FLAG_NO_SSL_CA);
	/* this fills the cache for all lookups */
	input_init(&input);
	imap_set_pool = pool_alloconly_create("antispam trainer", 4096);
	if (mail_storage_service_read_settings(storage_service, &input,
					       imap_set_pool, &user_info,
					       &parser, error_r) < 0)
		return -1;
	sets = master_service_settings_parser_get_others(master_service,
							 parser);
	imap_set = sets[0];
	return 0;
}

void antispam_compat_trainer_deinit(void)
{
	mail_storage_service_deinit(&storage_service);
	pool_unref(&imap_set_pool);
}

static const char *global_get(void *context ATTR_UNUSED, const char *name)
{
	const char *const *envs;
	unsigned int i, count;

	if (!array_is_created(&imap_set->plugin_envs))
		return NULL;
	envs = array_get(&imap_set->plugin_envs, &count);
	for (i = 0; i + 1 < count; i += 2) {
		if (strcmp(envs[i], name) == 0)
			return envs[i + 1];
	}
	return NULL;
}

int antispam_compat_trainer_settings(pool_t pool, bool *queued_r,
				     const struct antispam_settings **set_r,
				     const char **error_r)
{
	return antispam_settings_parse_global(pool, global_get, NULL, queued_r,
					      set_r, error_r);
}

int antispam_compat_trainer_lookup(const char *username,
				   struct mail_storage_service_user **suser_r,
				   const char **error_r)
{
	struct mail_storage_service_input input;
	int ret;

	input_init(&input);
	input.username = username;
	ret = mail_storage_service_lookup(storage_service, &input, suser_r,
					  error_r);
	return ret < 0 ? -1 : ret;
}

int antispam_compat_trainer_become(struct mail_storage_service_user *suser,
				   struct mail_user **user_r,
				   const char **error_r)
{
	int ret;

	ret = mail_storage_service_next(storage_service, suser, user_r,
					error_r);
	mail_storage_service_user_unref(&suser);
	return ret < 0 ? -1 : 0;
}

void antispam_compat_trainer_forget(struct mail_storage_service_user *suser)
{
	mail_storage_service_user_unref(&suser);
}
