/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot 2.4 reads all settings at once when a process starts, for one
   protocol. */

#include "lib.h"
#include "settings.h"
#include "mail-user.h"
#include "mail-storage-service.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "settings-2.4.h"
#include "antispam-compat-trainer.h"

static struct mail_storage_service_ctx *storage_service;

int antispam_compat_trainer_init(const char **error_r)
{
	const struct master_service_settings_input input = {
		.protocol = "imap",
	};
	struct master_service_settings_output output;

	if (master_service_settings_read(master_service, &input, &output,
					 error_r) < 0)
		return -1;
	storage_service = mail_storage_service_init(
		master_service,
		MAIL_STORAGE_SERVICE_FLAG_USERDB_LOOKUP |
			MAIL_STORAGE_SERVICE_FLAG_NO_LOG_INIT |
			MAIL_STORAGE_SERVICE_FLAG_NO_PLUGINS |
			MAIL_STORAGE_SERVICE_FLAG_NO_NAMESPACES);
	return 0;
}

void antispam_compat_trainer_deinit(void)
{
	mail_storage_service_deinit(&storage_service);
}

static const char *global_get(void *context, const char *name)
{
	return antispam_raw_settings_get(context, name);
}

int antispam_compat_trainer_settings(pool_t pool, bool *queued_r,
				     const struct antispam_settings **set_r,
				     const char **error_r)
{
	struct event *event = event_create(NULL);
	const struct antispam_raw_settings *raw;
	int ret;

	*queued_r = FALSE;
	event_add_str(event, "protocol", "imap");
	ret = settings_get(event, &antispam_setting_parser_info,
			   SETTINGS_GET_FLAG_NO_EXPAND |
				   SETTINGS_GET_FLAG_NO_CHECK,
			   &raw, error_r);
	event_unref(&event);
	if (ret < 0)
		return -1;
	ret = antispam_settings_parse_global(pool, global_get, (void *)raw,
					     queued_r, set_r, error_r);
	settings_free(raw);
	return ret;
}

int antispam_compat_trainer_lookup(const char *username,
				   struct mail_storage_service_user **suser_r,
				   const char **error_r)
{
	const struct mail_storage_service_input input = {
		.service = "imap",
		.username = username,
	};
	int ret;

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
