/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Tells which class a folder belongs to. A folder's name is its user's and may
   be hostile: patterns are compiled so that matching is linear in the name's
   length, and an admin's own expression has a budget; when that is used up it
   counts as no match. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "imap-utf7.h"
#include "antispam-compat-lib.h"
#include "antispam-regex.h"
#include "antispam-folder.h"
#include "antispam-settings.h"

#include <ctype.h>

#define GLOB_OPTIONS (PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY)
#define UNICODE_OPTIONS (PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF)
#define CASELESS_OPTIONS (PCRE2_CASELESS | UNICODE_OPTIONS)
/* \C would cut characters into bytes. */
#define REGEX_OPTIONS \
	(UNICODE_OPTIONS | ANTISPAM_REGEX_OPTIONS | PCRE2_NEVER_BACKSLASH_C)

/* Memory for backtracking, kB: enough to repeat a group over 250 bytes. */
#define REGEX_HEAP_LIMIT 128
/* Groups of which ten frames, at 16 bytes a group, fill that. */
#define REGEX_HEAP_GROUPS (REGEX_HEAP_LIMIT * 1024 / 10 / 16)

#define NO_MEMORY \
	"not enough memory for the folder patterns; raise the vsz_limit of " \
	"service imap"
/* Bytes of a wrong value that an error quotes. */
#define ERROR_MAX_VALUE 200

/* One entry of one setting, in one of the forms in which it is matched. */
struct folder_rule {
	enum antispam_class class;
	/* As in struct antispam_folder_match. */
	const char *setting, *entry;
	/* One of these is set. */
	const char *name, *special_use;
	pcre2_code *code;
	/* code is antispam_X_regex, which needs a limit. */
	bool limited;
};

struct antispam_folder_map {
	pool_t pool;
	/* In the order in which they are tried. */
	ARRAY(struct folder_rule) rules;
	/* All NULL if no rule has code. */
	pcre2_match_data *match_data;
	pcre2_match_context *limits;
	/* Steps taken on the present folder by the present expression. */
	unsigned int *steps;
	/* All memory that limits allow is there. */
	bool reserved;
};

/* The settings of one class. */
struct folder_class {
	enum antispam_class class;
	/* "antispam_spam"; static */
	const char *name;
	const char *const *names, *const *patterns, *const *icase_patterns;
	const char *regex;
	const char *const *default_names;
};

static const char *const special_uses[] = {
	"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk",
	"\\Sent", "\\Trash", NULL
};

static const char *const spam_default[] = { "SPAM", "\\Junk", NULL };
static const char *const trash_default[] = { "\\Trash", NULL };
static const char *const unsure_default[] = { NULL };

static const char *
value_error(const char *setting, const char *value, const char *problem,
	    const char *remedy)
{
	return t_strdup_printf("%s = %s: %s; %s", setting,
			       str_sanitize(value, ERROR_MAX_VALUE), problem,
			       remedy);
}

static struct folder_rule *
map_add_rule(struct antispam_folder_map *map, const struct folder_class *class,
	     const char *setting, const char *entry)
{
	struct folder_rule *rule = array_append_space(&map->rules);

	rule->class = class->class;
	rule->setting = setting;
	rule->entry = p_strdup(map->pool, entry);
	return rule;
}

/* The entry read as modified UTF-7, or NULL if that is nothing else. */
static const char *entry_decode(const char *entry)
{
	string_t *decoded;

	if (strchr(entry, '&') == NULL)
		return NULL;
	decoded = t_str_new(64);
	return imap_utf7_to_utf8(entry, decoded) < 0 ? NULL : str_c(decoded);
}

static const char *special_use_find(const char *entry)
{
	const char *const *attr;

	for (attr = special_uses; *attr != NULL; attr++) {
		if (strcasecmp(*attr, entry) == 0)
			return *attr;
	}
	return NULL;
}

static int
map_add_special_use(struct antispam_folder_map *map,
		    const struct folder_class *class, const char *setting,
		    const char *entry, const char **error_r)
{
	const char *remedy, *attr = special_use_find(entry);

	if (attr == NULL) {
		remedy = t_strconcat("write one of ",
				     t_strarray_join(special_uses, " "), NULL);
		*error_r = value_error(setting, entry,
				       "no special-use attribute", remedy);
		return -1;
	}
	map_add_rule(map, class, setting, entry)->special_use = attr;
	return 0;
}

static int
map_add_names(struct antispam_folder_map *map, const struct folder_class *class,
	      const char *setting, const char *const *entries,
	      const char **error_r)
{
	const char *decoded;
	struct folder_rule *rule;

	for (; *entries != NULL; entries++) {
		if (**entries == '\\') {
			if (map_add_special_use(map, class, setting, *entries,
						error_r) < 0)
				return -1;
			continue;
		}
		rule = map_add_rule(map, class, setting, *entries);
		rule->name = rule->entry;
		decoded = entry_decode(*entries);
		if (decoded != NULL) {
			rule = map_add_rule(map, class, setting, *entries);
			rule->name = p_strdup(map->pool, decoded);
		}
	}
	return 0;
}

static void regex_append_literal(string_t *regex, const char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if ((unsigned char)text[i] < 0x80 && !i_isalnum(text[i]))
			str_append_c(regex, '\\');
		str_append_c(regex, text[i]);
	}
}

/* All but the last literal are found once and never looked for again: their
   leftmost place leaves the most to the others. So nothing is tried twice.
   \A and $ stand for the whole name's ends; \z and PCRE2_ANCHORED are content
   with the ends of its valid part, where the name is no UTF-8. */
static const char *glob_to_regex(const char *glob)
{
	string_t *regex = t_str_new(128);
	const char *text, *star = glob + strcspn(glob, "*");

	str_append(regex, "\\A");
	regex_append_literal(regex, glob, star - glob);
	while (*star != '\0') {
		text = star + 1;
		star = text + strcspn(text, "*");
		if (*text == '\0') {
			/* whatever follows will do */
			return str_c(regex);
		}
		if (star == text)
			continue;
		str_append(regex, *star == '\0' ? ".*" : "(?>.*?");
		regex_append_literal(regex, text, star - text);
		if (*star != '\0')
			str_append_c(regex, ')');
	}
	str_append_c(regex, '$');
	return str_c(regex);
}

/* The error, if any, is that of an entry whose expression is regex. */
static int
rule_compile(struct folder_rule *rule, const char *regex, uint32_t options,
	     const char *remedy, const char **error_r)
{
	PCRE2_UCHAR message[256];
	const char *problem = (const char *)message;
	PCRE2_SIZE offset;
	int code;

	rule->code = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED,
				   options, &code, &offset, NULL);
	if (rule->code != NULL)
		return 0;
	if (pcre2_get_error_message(code, message, sizeof(message)) < 0)
		message[0] = '\0';
	/* within a pattern's expression it would tell the admin nothing */
	if (rule->limited) {
		problem = t_strdup_printf("%s at offset %zu", problem,
					  (size_t)offset);
	}
	*error_r = value_error(rule->setting, rule->entry, problem, remedy);
	return -1;
}

/* What matching needs besides code; once, before the first code. */
static int
map_prepare_match(struct antispam_folder_map *map, const char **error_r)
{
	if (map->match_data != NULL)
		return 0;
	map->steps = p_new(map->pool, unsigned int, 1);
	map->match_data = pcre2_match_data_create(1, NULL);
	map->limits = pcre2_match_context_create(NULL);
	if (map->match_data == NULL || map->limits == NULL) {
		*error_r = NO_MEMORY;
		return -1;
	}
	antispam_regex_limit(map->limits, map->steps, REGEX_HEAP_LIMIT);
	return 0;
}

static int
rule_match(const struct antispam_folder_map *map,
	   const struct folder_rule *rule, const char *name)
{
	return pcre2_match(rule->code, (PCRE2_SPTR)name, strlen(name), 0, 0,
			   map->match_data, rule->limited ? map->limits : NULL);
}

/* A glob matches itself, and by the longest way. PCRE2 keeps the memory that it
   took for that in match_data, and classifying needs no more. */
static int
map_add_glob(struct antispam_folder_map *map, const struct folder_class *class,
	     const char *setting, const char *entry, const char *glob,
	     uint32_t options, const char **error_r)
{
	struct folder_rule *rule = map_add_rule(map, class, setting, entry);

	if (rule_compile(rule, glob_to_regex(glob), GLOB_OPTIONS | options,
			 "write it in UTF-8", error_r) < 0)
		return -1;
	(void)rule_match(map, rule, glob);
	return 0;
}

static int
map_add_globs(struct antispam_folder_map *map, const struct folder_class *class,
	      const char *suffix, const char *const *entries, uint32_t options,
	      const char **error_r)
{
	const char *setting, *decoded;

	if (entries == NULL || *entries == NULL)
		return 0;
	if (map_prepare_match(map, error_r) < 0)
		return -1;
	setting = p_strconcat(map->pool, class->name, suffix, NULL);
	for (; *entries != NULL; entries++) {
		if (map_add_glob(map, class, setting, *entries, *entries,
				 options, error_r) < 0)
			return -1;
		decoded = entry_decode(*entries);
		if (decoded != NULL &&
		    map_add_glob(map, class, setting, *entries, decoded,
				 options, error_r) < 0)
			return -1;
	}
	return 0;
}

/* Let PCRE2 take all the memory now that the limits allow, so that classifying
   takes none. It asks for ten frames at once, and a frame has room for each
   group, whether the group is used or not. Nothing but the first frame is
   touched. Should another PCRE2 reckon otherwise, it would only ask later. */
static void map_reserve_memory(struct antispam_folder_map *map)
{
	struct folder_rule rule = { .limited = TRUE };
	string_t *regex = t_str_new(REGEX_HEAP_GROUPS * 2 + 16);
	const char *error;
	unsigned int i;

	str_append(regex, "(?:");
	for (i = 0; i < REGEX_HEAP_GROUPS; i++)
		str_append(regex, "()");
	str_append(regex, "){0}");
	if (rule_compile(&rule, str_c(regex), 0, "", &error) < 0)
		return;
	(void)rule_match(map, &rule, "");
	pcre2_code_free(rule.code);
	map->reserved = TRUE;
}

static int
map_add_regex(struct antispam_folder_map *map, const struct folder_class *class,
	      const char **error_r)
{
	struct folder_rule *rule;
	const char *setting;

	if (class->regex == NULL || *class->regex == '\0')
		return 0;
	if (map_prepare_match(map, error_r) < 0)
		return -1;
	setting = p_strconcat(map->pool, class->name, "_regex", NULL);
	rule = map_add_rule(map, class, setting, class->regex);
	rule->limited = TRUE;
	if (rule_compile(rule, class->regex, REGEX_OPTIONS,
			 "write it as pcre2pattern(3) says", error_r) < 0)
		return -1;
	if (!map->reserved)
		map_reserve_memory(map);
	return 0;
}

static int
map_add_class(struct antispam_folder_map *map, const struct folder_class *class,
	      const char **error_r)
{
	const char *setting;

	if (class->names == NULL && class->patterns == NULL &&
	    class->icase_patterns == NULL && class->regex == NULL) {
		setting = p_strconcat(map->pool, class->name, " (default)",
				      NULL);
		return map_add_names(map, class, setting, class->default_names,
				     error_r);
	}
	if (class->names != NULL &&
	    map_add_names(map, class, class->name, class->names, error_r) < 0)
		return -1;
	if (map_add_globs(map, class, "_pattern", class->patterns, 0,
			  error_r) < 0 ||
	    map_add_globs(map, class, "_pattern_ignorecase",
			  class->icase_patterns, CASELESS_OPTIONS,
			  error_r) < 0)
		return -1;
	return map_add_regex(map, class, error_r);
}

#define FOLDER_CLASS(set, id, x) \
	{ \
		.class = id, \
		.name = "antispam_" #x, \
		.names = (set)->x, \
		.patterns = (set)->x##_pattern, \
		.icase_patterns = (set)->x##_pattern_ignorecase, \
		.regex = (set)->x##_regex, \
		.default_names = x##_default \
	}

int antispam_folder_map_init(const struct antispam_settings *set,
			     struct antispam_folder_map **map_r,
			     const char **error_r)
{
	const struct folder_class classes[] = {
		FOLDER_CLASS(set, ANTISPAM_CLASS_TRASH, trash),
		FOLDER_CLASS(set, ANTISPAM_CLASS_SPAM, spam),
		FOLDER_CLASS(set, ANTISPAM_CLASS_UNSURE, unsure),
	};
	pool_t pool = pool_alloconly_create("antispam folder map", 1024);
	struct antispam_folder_map *map =
		p_new(pool, struct antispam_folder_map, 1);
	unsigned int i;

	map->pool = pool;
	p_array_init(&map->rules, pool, 8);
	for (i = 0; i < N_ELEMENTS(classes); i++) {
		if (map_add_class(map, &classes[i], error_r) < 0) {
			antispam_folder_map_deinit(&map);
			return -1;
		}
	}
	*map_r = map;
	return 0;
}

void antispam_folder_map_deinit(struct antispam_folder_map **_map)
{
	struct antispam_folder_map *map = *_map;
	struct folder_rule *rule;

	*_map = NULL;
	if (map == NULL)
		return;
	array_foreach_modifiable(&map->rules, rule)
		pcre2_code_free(rule->code);
	pcre2_match_data_free(map->match_data);
	pcre2_match_context_free(map->limits);
	pool_unref(&map->pool);
}

/* without_prefix may be NULL. */
static bool
rule_takes(const struct antispam_folder_map *map,
	   const struct folder_rule *rule, const struct antispam_folder *folder,
	   const char *without_prefix, const char **failed_setting)
{
	int ret;

	if (rule->special_use != NULL)
		return folder->has_special_use(folder->context,
					       rule->special_use);
	if (rule->name != NULL)
		return strcmp(rule->name, folder->vname) == 0 ||
			null_strcmp(rule->name, without_prefix) == 0;

	*map->steps = 0;
	ret = rule_match(map, rule, folder->vname);
	if (ret == PCRE2_ERROR_NOMATCH && without_prefix != NULL)
		ret = rule_match(map, rule, without_prefix);
	if (ret < 0 && ret != PCRE2_ERROR_NOMATCH && *failed_setting == NULL)
		*failed_setting = rule->setting;
	return ret >= 0;
}

static const char *vname_without_prefix(const struct antispam_folder *folder)
{
	const char *rest;

	if (*folder->ns_prefix == '\0' ||
	    !antispam_compat_begins(folder->vname, folder->ns_prefix))
		return NULL;
	rest = folder->vname + strlen(folder->ns_prefix);
	return *rest == '\0' ? NULL : rest;
}

void antispam_folder_classify(const struct antispam_folder_map *map,
			      const struct antispam_folder *folder,
			      struct antispam_folder_match *match_r)
{
	const char *without_prefix = vname_without_prefix(folder);
	const struct folder_rule *rule;

	i_zero(match_r);
	array_foreach(&map->rules, rule) {
		if (rule->class == match_r->class ||
		    !rule_takes(map, rule, folder, without_prefix,
				&match_r->failed_setting))
			continue;
		if (match_r->class != ANTISPAM_CLASS_OTHER) {
			match_r->also_class = rule->class;
			match_r->also_setting = rule->setting;
			break;
		}
		match_r->class = rule->class;
		match_r->setting = rule->setting;
		match_r->entry = rule->entry;
	}
}
