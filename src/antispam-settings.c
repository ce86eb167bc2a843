/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Reads and checks all settings by the table in the header. A list is split
   before its entries are expanded, so whatever a user's name holds, it adds no
   entry to a list and no option to a program's arguments. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "strnum.h"
#include "antispam-compat-lib.h"
#include "antispam-settings.h"

#include <stddef.h>

#define SETTING_PREFIX "antispam_"
#define BLANKS " \t"
/* Bytes of a wrong value or name that an error quotes. */
#define ERROR_MAX_VALUE 200
/* Beyond that, more processes side by side are a mistake. */
#define MAX_MAX_PARALLEL 100
/* With less memory a process that reads mail does not start. */
#define MIN_VSZ_LIMIT (32 * 1024 * 1024)

enum value_type {
	VALUE_STR,
	VALUE_LIST,
	VALUE_TEMPLATE,
	VALUE_ENUM,
	VALUE_BOOL,
	VALUE_TIME,
	VALUE_SIZE,
	VALUE_UINT,
	VALUE_IGNORED,
};

/* Without pointers, so that all processes share it: what has any is private to
   each, and an idle session should cost little. */
struct setting_def {
	/* Without "antispam_". */
	char name[40];
	enum value_type type;
	/* "" = none. */
	char def[40], arg[88];
	/* Of its field in struct antispam_settings. */
	size_t offset;
};

#define OFFSET(field) offsetof(struct antispam_settings, field)
#define OFFSET_STR(name) OFFSET(name)
#define OFFSET_LIST(name) OFFSET(name)
#define OFFSET_TEMPLATE(name) OFFSET(name)
#define OFFSET_ENUM(name) OFFSET(name)
#define OFFSET_BOOL(name) OFFSET(name)
#define OFFSET_TIME(name) OFFSET(name##_msecs)
#define OFFSET_SIZE(name) OFFSET(name)
#define OFFSET_UINT(name) OFFSET(name)
#define OFFSET_IGNORED(name) 0
#define SETTING_DEF(_type, _name, _def, _arg) { \
	.name = #_name, \
	.type = VALUE_##_type, \
	.def = _def, \
	.arg = _arg, \
	.offset = OFFSET_##_type(_name) \
},
static const struct setting_def setting_defs[] = {
	ANTISPAM_SETTINGS(SETTING_DEF)
};

#define OLD_SETTING(_old, _new) { #_old, #_new },
static const struct {
	/* Both without "antispam_". */
	char old[24], new[40];
} old_settings[] = {
	ANTISPAM_OLD_SETTINGS(OLD_SETTING)
};

struct settings_parser {
	pool_t pool;
	const struct antispam_settings_source *source;
	struct antispam_settings *set;
	ARRAY_TYPE(const_string) warnings;
	/* The setting at hand; name is whole, and as the admin wrote it. */
	const struct setting_def *def;
	const char *name;
};

/* Returns -1. */
static int
value_error(const struct settings_parser *parser, const char *value,
	    const char **error_r, const char *problem, ...) ATTR_FORMAT(4, 5);

static int
value_error(const struct settings_parser *parser, const char *value,
	    const char **error_r, const char *problem, ...)
{
	va_list args;

	va_start(args, problem);
	*error_r = t_strdup_printf("%s = %s: %s", parser->name,
				   str_sanitize(value, ERROR_MAX_VALUE),
				   t_strdup_vprintf(problem, args));
	va_end(args);
	return -1;
}

static void parser_warn(struct settings_parser *parser, const char *warning)
{
	const char *const *seen;

	array_foreach(&parser->warnings, seen) {
		if (strcmp(*seen, warning) == 0)
			return;
	}
	warning = p_strdup(parser->pool, warning);
	array_push_back(&parser->warnings, &warning);
}

/* The raw value of the setting at hand; NULL = not set. */
static const char *parser_get(struct settings_parser *parser)
{
	const struct antispam_settings_source *source = parser->source;
	const char *name, *old_value, *value, *warning;
	unsigned int i;

	parser->name = t_strconcat(SETTING_PREFIX, parser->def->name, NULL);
	value = source->get(source->context, parser->name);
	for (i = 0; i < N_ELEMENTS(old_settings); i++) {
		if (strcmp(old_settings[i].new, parser->def->name) != 0)
			continue;
		name = t_strconcat(SETTING_PREFIX, old_settings[i].old, NULL);
		old_value = source->get(source->context, name);
		if (old_value == NULL)
			continue;
		if (value == NULL) {
			parser->name = name;
			value = old_value;
			continue;
		}
		warning = t_strdup_printf("both %s and %s, an old name for it, "
					  "are set: only the former is used; "
					  "remove the latter",
					  parser->name, name);
		parser_warn(parser, warning);
	}
	return value;
}

static int
parser_expand(struct settings_parser *parser, enum antispam_expand how,
	      const char *raw, const char **value_r, const char **error_r)
{
	const struct antispam_settings_source *source = parser->source;
	const char *warning = NULL, *error;

	if (source->expand(source->context, how, raw, value_r, &warning,
			   &error) < 0)
		return value_error(parser, raw, error_r, "%s", error);
	if (warning != NULL)
		parser_warn(parser, warning);
	*value_r = p_strdup(parser->pool, *value_r);
	return 0;
}

/* Expand what may become an argument of a program. */
static int
parser_expand_arg(struct settings_parser *parser, const char *raw,
		  const char **value_r, const char **error_r)
{
	if (parser_expand(parser, ANTISPAM_EXPAND_PLAIN, raw, value_r,
			  error_r) < 0)
		return -1;
	if (**value_r != '-' || *raw == '-')
		return 0;
	return value_error(parser, raw, error_r,
			   "for this user it begins with '-', as an option "
			   "does; write it behind an option of its own, as "
			   "--user=%%u");
}

static bool name_ends_with(const char *name, const char *suffix)
{
	const size_t size = strlen(name), suffix_size = strlen(suffix);

	return size >= suffix_size &&
		strcmp(name + size - suffix_size, suffix) == 0;
}

/* By our custom of naming, a STR that a program gets as its argument. */
static bool setting_is_arg(const struct setting_def *def)
{
	return name_ends_with(def->name, "_arg") ||
		name_ends_with(def->name, "_spam") ||
		name_ends_with(def->name, "_notspam");
}

/* Given but empty, it ends the defaults of its class. */
static bool setting_is_folder_regex(const struct setting_def *def)
{
	return def->offset == OFFSET(spam_regex) ||
		def->offset == OFFSET(trash_regex) ||
		def->offset == OFFSET(unsure_regex);
}

/* Its last component is made by us, those before it are the admin's. */
static int
parse_queue_dir(struct settings_parser *parser, const char *value,
		const char **dir_r, const char **error_r)
{
	const char *const *parts;
	size_t size = strlen(value);

	if (strchr(value, '%') != NULL) {
		return value_error(parser, value, error_r,
				   "there is one queue for all users; write a "
				   "path without %%");
	}
	while (size > 0 && value[size - 1] == '/')
		size--;
	if (*value != '/' || size == 0) {
		return value_error(parser, value, error_r,
				   "write the directory's path from / on");
	}
	for (parts = t_strsplit(value, "/"); *parts != NULL; parts++) {
		if (strcmp(*parts, ".") == 0 || strcmp(*parts, "..") == 0) {
			return value_error(parser, value, error_r,
					   "write the path without . and ..");
		}
	}
	*dir_r = p_strndup(parser->pool, value, size);
	return 0;
}

static int
parse_str(struct settings_parser *parser, const char *value,
	  const char **str_r, const char **error_r)
{
	if (parser->def->offset == OFFSET(queue_dir))
		return parse_queue_dir(parser, value, str_r, error_r);
	if (setting_is_arg(parser->def))
		return parser_expand_arg(parser, value, str_r, error_r);
	return parser_expand(parser, ANTISPAM_EXPAND_PLAIN, value, str_r,
			     error_r);
}

/* A LIST that holds names of folders, or patterns of them. */
static bool setting_is_folder_list(const struct setting_def *def)
{
	return antispam_compat_begins(def->name, "spam") ||
		antispam_compat_begins(def->name, "trash") ||
		antispam_compat_begins(def->name, "unsure");
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The entry is words, as Dovecot 2.4 has them in lists of its own: "A" "B", of
   which it takes the outer quotes away, or A \Junk. An argument may hold what
   a name does not. */
static bool entry_is_words(const struct setting_def *def, const char *entry)
{
	const char *p = strchr(entry, '"');

	/* the first one closes, so the one that opened is gone */
	if (p != NULL && p != entry && !is_blank(p[-1]) &&
	    (p[1] == '\0' || is_blank(p[1])))
		return TRUE;
	if (!setting_is_folder_list(def))
		return FALSE;
	/* it begins with no blank */
	for (p = entry; *p != '\0'; p++) {
		if (is_blank(*p) &&
		    (p[-1] == '"' || p[1] == '"' || p[1] == '\\'))
			return TRUE;
	}
	return FALSE;
}

static int
parse_entry(struct settings_parser *parser, const char *raw,
	    const char **entry_r, const char **error_r)
{
	if (setting_is_folder_list(parser->def)) {
		return parser_expand(parser, ANTISPAM_EXPAND_PLAIN, raw,
				     entry_r, error_r);
	}
	return parser_expand_arg(parser, raw, entry_r, error_r);
}

static int
parse_list(struct settings_parser *parser, const char *value,
	   const char *const **list_r, const char **error_r)
{
	ARRAY_TYPE(const_string) list;
	const char *const *parts, *raw, *entry;

	if (strcasecmp(value, "yes") == 0 || strcasecmp(value, "no") == 0) {
		return value_error(parser, value, error_r,
				   "a list is wanted; write its entries in "
				   "one line, as a;b");
	}
	p_array_init(&list, parser->pool, 4);
	for (parts = t_strsplit(value, ";"); *parts != NULL; parts++) {
		raw = t_str_trim(*parts, BLANKS);
		if (*raw == '\0')
			continue;
		if (entry_is_words(parser->def, raw)) {
			return value_error(parser, value, error_r,
					   "a list is wanted; write its "
					   "entries without quotes, as a;b");
		}
		if (parse_entry(parser, raw, &entry, error_r) < 0)
			return -1;
		array_push_back(&list, &entry);
	}
	array_append_zero(&list);
	*list_r = array_front(&list);
	return 0;
}

static int
parse_template(struct settings_parser *parser, const char *value,
	       const char **str_r, const char **error_r)
{
	const unsigned char *p;

	for (p = (const unsigned char *)value; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			return value_error(parser, value, error_r,
					   "it holds a control character; "
					   "remove that");
		}
	}
	return parser_expand(parser, ANTISPAM_EXPAND_TEMPLATE, value, str_r,
			     error_r);
}

static int
parse_enum(struct settings_parser *parser, const char *value,
	   unsigned int *idx_r, const char **error_r)
{
	const bool is_backend = parser->def->offset == OFFSET(backend);
	const char *const *words = t_strsplit(parser->def->arg, ":");
	unsigned int i;

	if (is_backend && *value == '\0')
		return 0;
	for (i = 0; words[i] != NULL; i++) {
		if (strcasecmp(words[i], value) != 0)
			continue;
		*idx_r = i;
		if (is_backend) {
			parser->set->backend_name =
				p_strdup(parser->pool, words[i]);
		}
		return 0;
	}
	return value_error(parser, value, error_r, "unknown; write one of %s",
			   t_strarray_join(words, ", "));
}

/* The words that Dovecot knows, and no more. */
static int
parse_bool(struct settings_parser *parser, const char *value, bool *bool_r,
	   const char **error_r)
{
	if (strcasecmp(value, "yes") == 0 || strcasecmp(value, "y") == 0 ||
	    strcasecmp(value, "1") == 0)
		*bool_r = TRUE;
	else if (strcasecmp(value, "no") == 0)
		*bool_r = FALSE;
	else
		return value_error(parser, value, error_r, "write yes or no");
	return 0;
}

static int
parse_time(struct settings_parser *parser, const char *value,
	   unsigned int *msecs_r, const char **error_r)
{
	const char *error;

	if (antispam_compat_parse_msecs(value, msecs_r, &error) < 0) {
		return value_error(parser, value, error_r,
				   "%s; write a number and its unit, as 60 s",
				   error);
	}
	if (*msecs_r == 0 && parser->def->offset == OFFSET(timeout_msecs)) {
		return value_error(parser, value, error_r,
				   "nothing could be learned in no time; "
				   "write how long the spam filter may take, "
				   "as 60 s");
	}
	if (*msecs_r == 0 &&
	    parser->def->offset == OFFSET(queue_lifetime_msecs)) {
		return value_error(parser, value, error_r,
				   "nothing would be tried again; write how "
				   "long a lesson may wait, as 5 days");
	}
	return 0;
}

static int
parse_size(struct settings_parser *parser, const char *value, uoff_t *size_r,
	   const char **error_r)
{
	const char *error;

	if (antispam_compat_parse_size(value, size_r, &error) < 0) {
		return value_error(parser, value, error_r,
				   "%s; write a number and, if you like, its "
				   "unit, as 10 M",
				   error);
	}
	if (parser->def->offset == OFFSET(trainer_vsz_limit) &&
	    *size_r != 0 && *size_r < MIN_VSZ_LIMIT) {
		return value_error(parser, value, error_r,
				   "with so little memory nothing can be "
				   "learned; write 1 G, or at least %u M, or 0 "
				   "for no limit",
				   MIN_VSZ_LIMIT / (1024 * 1024));
	}
	return 0;
}

static int
parse_uint(struct settings_parser *parser, const char *value,
	   unsigned int *num_r, const char **error_r)
{
	const char *warning;

	if (str_to_uint(value, num_r) < 0 || *num_r == 0) {
		return value_error(parser, value, error_r,
				   "write a whole number, at least 1");
	}
	/* they are all of this kind */
	if (*num_r > MAX_MAX_PARALLEL) {
		warning = t_strdup_printf("%s = %s: at most %u processes run "
					  "side by side; write %u",
					  parser->name, value,
					  MAX_MAX_PARALLEL, MAX_MAX_PARALLEL);
		parser_warn(parser, warning);
		*num_r = MAX_MAX_PARALLEL;
	}
	return 0;
}

static int
parse_value(struct settings_parser *parser, const char *value,
	    const char **error_r)
{
	void *field = PTR_OFFSET(parser->set, parser->def->offset);

	switch (parser->def->type) {
	case VALUE_STR:
		return parse_str(parser, value, field, error_r);
	case VALUE_LIST:
		return parse_list(parser, value, field, error_r);
	case VALUE_TEMPLATE:
		return parse_template(parser, value, field, error_r);
	case VALUE_ENUM:
		return parse_enum(parser, value, field, error_r);
	case VALUE_BOOL:
		return parse_bool(parser, value, field, error_r);
	case VALUE_TIME:
		return parse_time(parser, value, field, error_r);
	case VALUE_SIZE:
		return parse_size(parser, value, field, error_r);
	case VALUE_UINT:
		return parse_uint(parser, value, field, error_r);
	case VALUE_IGNORED:
		return 0;
	}
	i_unreached();
}

/* An empty value is as good as none where it can't mean anything. */
static bool setting_may_be_empty(const struct setting_def *def)
{
	return (def->type != VALUE_STR && def->type != VALUE_TEMPLATE) ||
		setting_is_folder_regex(def);
}

static int
parse_setting(struct settings_parser *parser, const struct setting_def *def,
	      const char **error_r)
{
	const char *value;

	parser->def = def;
	value = parser_get(parser);
	if (value != NULL) {
		value = t_str_trim(value, BLANKS);
		if (*value == '\0' && !setting_may_be_empty(def))
			value = NULL;
	}
	if (value == NULL)
		value = *def->def == '\0' ? NULL : def->def;
	return value == NULL ? 0 : parse_value(parser, value, error_r);
}

int antispam_settings_parse(pool_t pool,
			    const struct antispam_settings_source *source,
			    const struct antispam_settings **set_r,
			    const char **error_r)
{
	struct settings_parser parser = {
		.pool = pool,
		.source = source,
		.set = p_new(pool, struct antispam_settings, 1),
	};
	unsigned int i;

	p_array_init(&parser.warnings, pool, 1);
	for (i = 0; i < N_ELEMENTS(setting_defs); i++) {
		if (parse_setting(&parser, &setting_defs[i], error_r) < 0)
			return -1;
	}
	array_append_zero(&parser.warnings);
	parser.set->warnings = array_front(&parser.warnings);
	*set_r = parser.set;
	return 0;
}

static bool is_harmless(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') ||
		(c != '\0' && strchr("@._+-", c) != NULL);
}

const char *antispam_settings_encode_user(const char *value)
{
	string_t *str = t_str_new(64);
	const char *p;

	for (p = value; *p != '\0'; p++) {
		if (is_harmless(*p) && !(p == value && *p == '.'))
			str_append_c(str, *p);
		else {
			str_printfa(str, "%c%02X", ANTISPAM_TEMPLATE_PERCENT,
				    (unsigned char)*p);
		}
	}
	return str_c(str);
}
