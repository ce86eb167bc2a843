/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A process of Dovecot 2.4 has all settings, of all protocols: which of them
   apply is a matter of the event by which they are asked for. */

#include "lib.h"
#include "array.h"
#include "settings.h"
#include "mail-user.h"
#include "mail-storage-settings.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "doveadm-mail.h"
#include "antispam-settings.h"
#include "antispam-compat-trainer.h"
#include "antispam-compat-doveadm.h"
#include "compat-2.4.h"

void antispam_compat_doveadm_options(
	struct doveadm_mail_cmd_context *ctx ATTR_UNUSED,
	const char *letters ATTR_UNUSED)
{
}

const struct antispam_compat_imap *
antispam_compat_imap_init(pool_t pool ATTR_UNUSED, const char **error_r)
{
	*error_r = NULL;
	return NULL;
}

static struct event *imap_event(struct mail_user *user)
{
	struct event *event = event_create(user->event);

	event_add_str(event, "protocol", "imap");
	return event;
}

int antispam_compat_imap_plugins(
	const struct antispam_compat_imap *imap ATTR_UNUSED,
	struct mail_user *user, const char *const **plugins_r,
	const char **error_r)
{
	struct event *event = imap_event(user);
	const struct mail_user_settings *set;
	ARRAY_TYPE(const_string) plugins;
	const char *name;
	int ret;

	ret = settings_get(event, &mail_user_setting_parser_info,
			   SETTINGS_GET_FLAG_NO_EXPAND |
				   SETTINGS_GET_FLAG_NO_CHECK,
			   &set, error_r);
	event_unref(&event);
	if (ret < 0)
		return -1;
	t_array_init(&plugins, 8);
	if (array_is_created(&set->mail_plugins)) {
		array_foreach_elem(&set->mail_plugins, name) {
			name = t_strdup(name);
			array_push_back(&plugins, &name);
		}
	}
	array_append_zero(&plugins);
	*plugins_r = array_front(&plugins);
	settings_free(set);
	return 0;
}

int antispam_compat_imap_settings(
	const struct antispam_compat_imap *imap ATTR_UNUSED,
	struct mail_user *user, pool_t pool,
	const struct antispam_settings **set_r, const char **error_r)
{
	struct event *event = imap_event(user);
	int ret;

	ret = antispam_compat_settings_from(user, event, pool, set_r, error_r);
	event_unref(&event);
	return ret;
}

int antispam_compat_imap_global(
	const struct antispam_compat_imap *imap ATTR_UNUSED, pool_t pool,
	const struct antispam_settings **set_r, const char **error_r)
{
	bool queued;

	return antispam_compat_trainer_settings(pool, &queued, set_r, error_r);
}

const char *antispam_compat_base_dir(void)
{
	return master_service_get_service_settings(master_service)->base_dir;
}
