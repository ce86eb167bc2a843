#ifndef ANTISPAM_SETTINGS_24_H
#define ANTISPAM_SETTINGS_24_H

#include "antispam-settings.h"

/* Dovecot 2.4's view of our settings: all are strings that Dovecot neither
   splits nor expands, since antispam_settings_parse() does both. */
#define ANTISPAM_RAW_FIELD(type, name, def, arg) const char *antispam_##name;
#define ANTISPAM_RAW_OLD_FIELD(old, new) const char *antispam_##old;
struct antispam_raw_settings {
	pool_t pool;
	ANTISPAM_SETTINGS(ANTISPAM_RAW_FIELD)
	ANTISPAM_OLD_SETTINGS(ANTISPAM_RAW_OLD_FIELD)
};

extern const struct setting_parser_info antispam_setting_parser_info;

/* The value as configured, or NULL if the setting was not given: Dovecot 2.4
   tells "not given" from "given, but empty" by nothing but the default. */
const char *antispam_raw_settings_get(const struct antispam_raw_settings *raw,
				      const char *name);

#endif
