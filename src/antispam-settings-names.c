/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Which names are settings of ours, what an admin may have meant by another
   one, and which of them are the same for all users. */

#include "lib.h"
#include "str-sanitize.h"
#include "antispam-compat-lib.h"
#include "antispam-settings.h"

#define SETTING_PREFIX "antispam_"
/* No name that has more bytes resembles one of ours. */
#define MAX_NAME 80
/* Bytes of a wrong name that an error quotes. */
#define ERROR_MAX_NAME 200

#define NAME(type, name, def, arg) #name,
#define NAME_OLD(old, new) #old,
/* All without "antispam_", and without pointers: see setting_defs. */
static const char setting_names[][40] = {
	ANTISPAM_SETTINGS(NAME)
		ANTISPAM_OLD_SETTINGS(NAME_OLD)
};
static const char global_names[][40] = {
	ANTISPAM_GLOBAL_SETTINGS(NAME)
};

static bool
has_name(const char (*names)[40], unsigned int count, const char *name)
{
	unsigned int i;

	if (!antispam_compat_begins(name, SETTING_PREFIX))
		return FALSE;
	name += strlen(SETTING_PREFIX);
	for (i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return TRUE;
	}
	return FALSE;
}

bool antispam_settings_has(const char *name)
{
	return has_name(setting_names, N_ELEMENTS(setting_names), name);
}

/* Letters to insert, delete or replace to make b of a. b is no longer than
   MAX_NAME. */
static unsigned int edit_distance(const char *a, const char *b)
{
	unsigned int row[MAX_NAME + 1], i, diagonal, above;
	const unsigned int size = strlen(b);

	i_assert(size <= MAX_NAME);
	for (i = 0; i <= size; i++)
		row[i] = i;
	for (; *a != '\0'; a++) {
		diagonal = row[0]++;
		for (i = 1; i <= size; i++) {
			above = row[i];
			row[i] = I_MIN(I_MIN(above, row[i - 1]) + 1,
				       diagonal + (*a == b[i - 1] ? 0 : 1));
			diagonal = above;
		}
	}
	return row[size];
}

/* The name that resembles this one most, without "antispam_", or NULL. */
static const char *setting_resembling(const char *name)
{
	const char *best = NULL;
	unsigned int i, distance, best_distance;

	if (strlen(name) > MAX_NAME)
		return NULL;
	/* a quarter of the letters may be wrong, and one more */
	best_distance = strlen(name) / 4 + 2;
	for (i = 0; i < N_ELEMENTS(setting_names); i++) {
		distance = edit_distance(setting_names[i], name);
		if (distance < best_distance) {
			best_distance = distance;
			best = setting_names[i];
		}
	}
	return best;
}

const char *antispam_settings_unknown(const char *name)
{
	const char *shown = str_sanitize(name, ERROR_MAX_NAME);
	const char *ours;

	if (antispam_compat_begins(name, SETTING_PREFIX))
		name += strlen(SETTING_PREFIX);
	ours = setting_resembling(name);
	if (ours == NULL) {
		return t_strdup_printf("unknown setting %s: remove it; "
				       "antispam(7) names all settings",
				       shown);
	}
	return t_strdup_printf("unknown setting %s: did you mean %s%s? "
			       "antispam(7) names all settings",
			       shown, SETTING_PREFIX, ours);
}

/* A field may name the block in which a setting stands ("plugin/x=y"), and
   add to a value instead of replacing it ("x+=y"). */
static const char *field_setting(const char *field)
{
	const char *name = t_strcut(field, '='), *slash = strrchr(name, '/');

	if (slash != NULL)
		name = slash + 1;
	return t_strcut(name, '+');
}

int antispam_settings_check_fields(const char *const *fields,
				   const char **error_r)
{
	const char *name;

	for (; fields != NULL && *fields != NULL; fields++) {
		name = field_setting(*fields);
		if (!has_name(global_names, N_ELEMENTS(global_names), name))
			continue;
		*error_r = t_strdup_printf("%s: can't be set per user; write "
					   "it in the configuration file",
					   name);
		return -1;
	}
	return 0;
}

struct global_source {
	const char *(*get)(void *context, const char *name);
	void *context;
};

static const char *global_get(void *context, const char *name)
{
	const struct global_source *global = context;

	if (!has_name(global_names, N_ELEMENTS(global_names), name))
		return NULL;
	return global->get(global->context, name);
}

/* These settings have no variables, and neither have the others' defaults. */
static int
global_expand(void *context ATTR_UNUSED, enum antispam_expand how ATTR_UNUSED,
	      const char *raw, const char **value_r,
	      const char **warning_r ATTR_UNUSED,
	      const char **error_r ATTR_UNUSED)
{
	*value_r = raw;
	return 0;
}

int antispam_settings_parse_global(pool_t pool,
				   const char *(*get)(void *context,
						      const char *name),
				   void *context, bool *queued_r,
				   const struct antispam_settings **set_r,
				   const char **error_r)
{
	struct global_source global = { .get = get, .context = context };
	const struct antispam_settings_source source = {
		.get = global_get,
		.expand = global_expand,
		.context = &global,
	};
	const char *training = get(context, SETTING_PREFIX "training");

	*queued_r = training != NULL &&
		strcasecmp(t_str_trim(training, " \t"), "queued") == 0;
	return antispam_settings_parse(pool, &source, set_r, error_r);
}
