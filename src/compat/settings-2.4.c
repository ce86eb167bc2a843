/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Declares our settings to Dovecot 2.4. Compiled twice: into the plugin, and
   into the module that Dovecot's config and doveconf load. The latter has
   nothing of Dovecot but libdovecot. */

#include "lib.h"
#include "settings.h"
#include "settings-parser.h"
#include "settings-2.4.h"

#include <stddef.h>

/* The default of a setting that has none: no admin can write it, since
   Dovecot trims a value that is not quoted. */
#define NOT_GIVEN " "

/* What Dovecot's config process looks for, by the name of the .so file. */
extern const char *antispam_settings_version;
extern const struct setting_parser_info *antispam_settings_set_infos[];

#define RAW_DEFINE(name) \
	SETTING_DEFINE_STRUCT_STR_NOVARS("antispam_" #name, antispam_##name, \
					 struct antispam_raw_settings),
#define RAW_DEFINE_SET(type, name, def, arg) RAW_DEFINE(name)
#define RAW_DEFINE_OLD(old, new) RAW_DEFINE(old)

static const struct setting_define antispam_setting_defines[] = {
	ANTISPAM_SETTINGS(RAW_DEFINE_SET)
		ANTISPAM_OLD_SETTINGS(RAW_DEFINE_OLD)
			SETTING_DEFINE_LIST_END
};

#define RAW_DEFAULT(type, name, def, arg) .antispam_##name = NOT_GIVEN,
#define RAW_DEFAULT_OLD(old, new) .antispam_##old = NOT_GIVEN,

static const struct antispam_raw_settings antispam_default_settings = {
	ANTISPAM_SETTINGS(RAW_DEFAULT)
		ANTISPAM_OLD_SETTINGS(RAW_DEFAULT_OLD)
};

#define RAW_OFFSET(name) \
	offsetof(struct antispam_raw_settings, antispam_##name)
#define RAW_ENTRY(name) { "antispam_" #name, RAW_OFFSET(name) },
#define RAW_ENTRY_SET(type, name, def, arg) RAW_ENTRY(name)
#define RAW_ENTRY_OLD(old, new) RAW_ENTRY(old)

static const struct raw_entry {
	const char *name;
	size_t offset;
} raw_entries[] = {
	ANTISPAM_SETTINGS(RAW_ENTRY_SET)
		ANTISPAM_OLD_SETTINGS(RAW_ENTRY_OLD)
};

const char *antispam_raw_settings_get(const struct antispam_raw_settings *raw,
				      const char *name)
{
	const char *value;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(raw_entries); i++) {
		if (strcmp(raw_entries[i].name, name) != 0)
			continue;
		value = *(const char *const *)CONST_PTR_OFFSET(
			raw, raw_entries[i].offset);
		return strcmp(value, NOT_GIVEN) == 0 ? NULL : value;
	}
	return NULL;
}

static const char *check_get(void *context, const char *name)
{
	return antispam_raw_settings_get(context, name);
}

/* doveconf knows no user: it checks the values as they are written. */
static int
check_expand(void *context ATTR_UNUSED, enum antispam_expand how ATTR_UNUSED,
	     const char *raw, const char **value_r,
	     const char **warning_r ATTR_UNUSED,
	     const char **error_r ATTR_UNUSED)
{
	*value_r = raw;
	return 0;
}

static bool
antispam_settings_check(void *set, pool_t pool ATTR_UNUSED,
			const char **error_r)
{
	const struct antispam_settings_source source = {
		.get = check_get,
		.expand = check_expand,
		.context = set,
	};
	const struct antispam_settings *parsed;

	return antispam_settings_parse(pool_datastack_create(), &source,
				       &parsed, error_r) == 0;
}

const struct setting_parser_info antispam_setting_parser_info = {
	.name = "antispam",
	.defines = antispam_setting_defines,
	.defaults = &antispam_default_settings,
	.struct_size = sizeof(struct antispam_raw_settings),
	.pool_offset1 = 1 + offsetof(struct antispam_raw_settings, pool),
	.check_func = antispam_settings_check,
};

const struct setting_parser_info *antispam_settings_set_infos[] = {
	&antispam_setting_parser_info,
	NULL
};
const char *antispam_settings_version = DOVECOT_ABI_VERSION;
