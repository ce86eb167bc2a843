/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot 2.4 drops what is for other protocols when it reads the settings. So
   they are read once more, for protocol imap, from the file that doveadm keeps
   open for "doveadm exec". */

#include "lib.h"
#include "array.h"
#include "settings.h"
#include "mail-user.h"
#include "mail-storage-settings.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "doveadm-mail.h"
#include "doveadm-settings.h"
#include "settings-2.4.h"
#include "antispam-compat-doveadm.h"
#include "compat-2.4.h"

struct antispam_compat_imap {
	/* NULL = it could not be read. */
	struct settings_root *root;
};

/* Settings of a user, or of all. */
struct imap_view {
	struct settings_instance *instance;
	struct event *event;
};

void antispam_compat_doveadm_options(
	struct doveadm_mail_cmd_context *ctx ATTR_UNUSED,
	const char *letters ATTR_UNUSED)
{
}

struct antispam_compat_imap *
antispam_compat_imap_init(pool_t pool, const char **error_r)
{
	struct antispam_compat_imap *imap =
		p_new(pool, struct antispam_compat_imap, 1);
	const int fd = doveadm_settings_get_config_fd();
	const char *const *protocols, *error;

	*error_r = NULL;
	if (fd == -1) {
		*error_r = "this process has no settings but doveadm's";
		return imap;
	}
	imap->root = settings_root_init();
	if (settings_read(imap->root, fd, "config", "imap", "imap", 0,
			  &protocols, &error) < 0) {
		*error_r = p_strdup(pool, error);
		settings_root_deinit(&imap->root);
	}
	return imap;
}

void antispam_compat_imap_deinit(struct antispam_compat_imap **_imap)
{
	struct antispam_compat_imap *imap = *_imap;

	*_imap = NULL;
	if (imap != NULL && imap->root != NULL)
		settings_root_deinit(&imap->root);
}

/* What userdb says of the user counts, too. */
static void
add_fields(struct settings_instance *instance, const char *const *fields)
{
	const char *key, *value;

	for (; fields != NULL && *fields != NULL; fields++) {
		value = strchr(*fields, '=');
		key = value == NULL ? *fields : t_strdup_until(*fields, value);
		settings_override(instance, key,
				  value == NULL ? "yes" : value + 1,
				  SETTINGS_OVERRIDE_TYPE_USERDB);
	}
}

/* user: NULL = of all. */
static void view_init(const struct antispam_compat_imap *imap,
		      struct mail_user *user, struct imap_view *view_r)
{
	i_zero(view_r);
	view_r->event = event_create(user == NULL ? NULL : user->event);
	event_add_str(view_r->event, "protocol", "imap");
	if (imap->root == NULL)
		return;
	view_r->instance = settings_instance_new(imap->root);
	if (user != NULL)
		add_fields(view_r->instance, user->userdb_fields);
	event_set_ptr(view_r->event, SETTINGS_EVENT_ROOT, imap->root);
	event_set_ptr(view_r->event, SETTINGS_EVENT_INSTANCE, view_r->instance);
}

static void view_deinit(struct imap_view *view)
{
	event_unref(&view->event);
	if (view->instance != NULL)
		settings_instance_free(&view->instance);
}

int antispam_compat_imap_plugins(const struct antispam_compat_imap *imap,
				 struct mail_user *user,
				 const char *const **plugins_r,
				 const char **error_r)
{
	const struct mail_user_settings *set;
	ARRAY_TYPE(const_string) plugins;
	struct imap_view view;
	const char *name;
	int ret;

	view_init(imap, user, &view);
	ret = settings_get(view.event, &mail_user_setting_parser_info,
			   SETTINGS_GET_FLAG_NO_EXPAND |
				   SETTINGS_GET_FLAG_NO_CHECK,
			   &set, error_r);
	view_deinit(&view);
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

int antispam_compat_imap_settings(const struct antispam_compat_imap *imap,
				  struct mail_user *user, pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r)
{
	struct imap_view view;
	int ret;

	view_init(imap, user, &view);
	ret = antispam_compat_settings_from(user, view.event, pool, set_r,
					    error_r);
	view_deinit(&view);
	return ret;
}

static const char *global_get(void *context, const char *name)
{
	return antispam_raw_settings_get(context, name);
}

int antispam_compat_imap_global(const struct antispam_compat_imap *imap,
				pool_t pool,
				const struct antispam_settings **set_r,
				const char **error_r)
{
	const struct antispam_raw_settings *raw;
	struct imap_view view;
	bool queued;
	int ret;

	view_init(imap, NULL, &view);
	ret = settings_get(view.event, &antispam_setting_parser_info,
			   SETTINGS_GET_FLAG_NO_EXPAND |
				   SETTINGS_GET_FLAG_NO_CHECK,
			   &raw, error_r);
	view_deinit(&view);
	if (ret < 0)
		return -1;
	ret = antispam_settings_parse_global(pool, global_get, (void *)raw,
					     &queued, set_r, error_r);
	settings_free(raw);
	return ret;
}

const char *antispam_compat_base_dir(void)
{
	return master_service_get_service_settings(master_service)->base_dir;
}
