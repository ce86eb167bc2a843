/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Dovecot 2.4 knows our settings by settings-2.4.c. Values may be written in
   2.3's way: %u, %n, %d, %h. */

#include "lib.h"
#include "str.h"
#include "settings.h"
#include "mail-user.h"
#include "settings-2.4.h"
#include "antispam-compat.h"
#include "compat-2.4.h"

struct compat_source {
	struct mail_user *user;
	const struct antispam_raw_settings *raw;
};

static const char *compat_get(void *context, const char *name)
{
	const struct compat_source *source = context;

	return antispam_raw_settings_get(source->raw, name);
}

static const struct {
	char old;
	const char *new;
} old_variables[] = {
	{ 'u', "%{user}" },
	{ 'n', "%{user | username}" },
	{ 'd', "%{user | domain}" },
	{ 'h', "%{home}" },
};

static const char *old_variable_find(char key)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(old_variables); i++) {
		if (old_variables[i].old == key)
			return old_variables[i].new;
	}
	return NULL;
}

/* Translate 2.3's variables, and its %% for a percent sign, which 2.4 wants
   before '{' alone; *warning_r is set if there are variables. */
static const char *translate(const char *raw, const char **warning_r)
{
	string_t *str = t_str_new(128);
	const char *p, *new;

	for (p = raw; *p != '\0'; p++) {
		if (*p != '%' || p[1] == '\0') {
			str_append_c(str, *p);
			continue;
		}
		p++;
		if (*p == '%' && p[1] != '{') {
			str_append_c(str, '%');
			continue;
		}
		new = old_variable_find(*p);
		if (new == NULL) {
			str_append_c(str, '%');
			str_append_c(str, *p);
			continue;
		}
		str_append(str, new);
		*warning_r = t_strdup_printf(
			"antispam settings use %%%c, a variable of Dovecot "
			"2.3: write %s",
			*p, new);
	}
	return str_c(str);
}

/* All that a value brings into a file name is encoded, but for the home
   directory, which is the admin's. */
static const char *encode(const char *value, void *context)
{
	const char *home = context;

	if (home != NULL && strcmp(value, home) == 0)
		return value;
	return antispam_settings_encode_user(value);
}

/* The same as a function that could fail. */
static int
encode_r(const char *value, const char **encoded_r, void *context,
	 const char **error_r ATTR_UNUSED)
{
	*encoded_r = encode(value, context);
	return 0;
}

/* What Dovecot wants is one or the other: 2.4.1 was changed in Debian by a
   security update that kept all version numbers. */
typedef const char *escape_func_t(const char *value, void *context);
#define ENCODE \
	__builtin_choose_expr(__builtin_types_compatible_p( \
				      var_expand_escape_func_t, escape_func_t), \
			      encode, encode_r)

static int
compat_expand(void *context, enum antispam_expand how, const char *raw,
	      const char **value_r, const char **warning_r,
	      const char **error_r)
{
	const struct compat_source *source = context;
	struct var_expand_params params;
	const char *home = NULL;

	if (strchr(raw, '%') == NULL) {
		*value_r = raw;
		return 0;
	}
	raw = translate(raw, warning_r);
	/* without a home Dovecot's own %{home} says so */
	if (mail_user_get_home(source->user, &home) <= 0)
		home = NULL;
	params = *mail_user_var_expand_params(source->user);
	if (how == ANTISPAM_EXPAND_TEMPLATE) {
		params.escape_func = ENCODE;
		params.escape_context = (void *)home;
	}
	return t_var_expand(raw, &params, value_r, error_r);
}

int antispam_compat_settings_from(struct mail_user *user, struct event *event,
				  pool_t pool,
				  const struct antispam_settings **set_r,
				  const char **error_r)
{
	struct compat_source compat = { .user = user };
	const struct antispam_settings_source source = {
		.get = compat_get,
		.expand = compat_expand,
		.context = &compat,
	};
	const char *error;
	int ret;

	if (antispam_settings_check_fields(user->userdb_fields, error_r) < 0)
		return -1;
	ret = settings_get(event, &antispam_setting_parser_info,
			   SETTINGS_GET_FLAG_NO_EXPAND |
				   SETTINGS_GET_FLAG_NO_CHECK,
			   &compat.raw, &error);
	if (ret < 0) {
		*error_r = t_strdup_printf(
			"can't read the antispam settings (is "
			"settings/libantispam_settings.so of this version "
			"installed, and Dovecot restarted since?): %s",
			error);
		return -1;
	}
	ret = antispam_settings_parse(pool, &source, set_r, error_r);
	settings_free(compat.raw);
	return ret;
}

int antispam_compat_settings_get(struct mail_user *user, pool_t pool,
				 const struct antispam_settings **set_r,
				 const char **error_r)
{
	return antispam_compat_settings_from(user, user->event, pool, set_r,
					     error_r);
}
