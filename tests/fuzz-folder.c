/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */
/* fuzz-sources: src/antispam-folder.c src/antispam-regex.c */

/* Lines: the folder's name, its namespace's prefix, its special use, then the
   twelve settings in their order, lists split at ';'. Patterns are compared
   with another way of matching them. */

#include "lib.h"
#include "fuzzer.h"
#include "antispam-folder.h"
#include "antispam-settings.h"

static const char *next_line(const char **input)
{
	const char *line, *end;

	if (*input == NULL)
		return NULL;
	end = strchr(*input, '\n');
	line = end == NULL ? *input : t_strdup_until(*input, end);
	*input = end == NULL ? NULL : end + 1;
	return line;
}

static const char *const *next_list(const char **input)
{
	const char *line = next_line(input);

	return line == NULL ? NULL : t_strsplit(line, ";");
}

static bool has_special_use(void *context, const char *special_use)
{
	return null_strcmp(context, special_use) == 0;
}

/* Only the last '*' is ever tried again. */
static bool glob_match(const char *glob, const char *name)
{
	const char *retry_glob = NULL, *retry_name = NULL;

	while (*name != '\0') {
		if (*glob == '*') {
			retry_glob = ++glob;
			retry_name = name;
		} else if (*glob == *name) {
			glob++;
			name++;
		} else if (retry_glob != NULL) {
			glob = retry_glob;
			name = ++retry_name;
		} else {
			return FALSE;
		}
	}
	return glob[strspn(glob, "*")] == '\0';
}

static void
check_glob(const struct antispam_folder *folder, const char *glob)
{
	const char *const list[] = { glob, NULL };
	const struct antispam_settings set = {
		.spam_regex = "",
		.unsure_pattern = list,
	};
	const struct antispam_folder whole = {
		.vname = folder->vname,
		.ns_prefix = "",
		.has_special_use = has_special_use,
	};
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;

	/* it may have two forms */
	if (strchr(glob, '&') != NULL)
		return;
	if (antispam_folder_map_init(&set, &map, &error) < 0)
		return;
	antispam_folder_classify(map, &whole, &match);
	i_assert((match.class == ANTISPAM_CLASS_UNSURE) ==
		 glob_match(glob, folder->vname));
	i_assert(match.failed_setting == NULL);
	antispam_folder_map_deinit(&map);
}

static void
check_match(const struct antispam_folder_map *map,
	    const struct antispam_folder *folder)
{
	struct antispam_folder_match match, again;

	antispam_folder_classify(map, folder, &match);
	antispam_folder_classify(map, folder, &again);
	i_assert(match.class == again.class && match.entry == again.entry &&
		 match.also_class == again.also_class &&
		 match.failed_setting == again.failed_setting);
	i_assert((match.class == ANTISPAM_CLASS_OTHER) ==
		 (match.setting == NULL));
	i_assert((match.setting == NULL) == (match.entry == NULL));
	i_assert((match.also_class == ANTISPAM_CLASS_OTHER) ==
		 (match.also_setting == NULL));
	i_assert(match.also_class == ANTISPAM_CLASS_OTHER ||
		 match.also_class != match.class);
	i_assert(match.failed_setting == NULL ||
		 strstr(match.failed_setting, "_regex") != NULL);
}

FUZZ_BEGIN_STR(const char *input)
{
	struct antispam_folder folder = {
		.vname = next_line(&input),
		.ns_prefix = next_line(&input),
		.has_special_use = has_special_use,
		.context = (void *)next_line(&input),
	};
	const struct antispam_settings set = {
		.spam = next_list(&input),
		.spam_pattern = next_list(&input),
		.spam_pattern_ignorecase = next_list(&input),
		.spam_regex = next_line(&input),
		.trash = next_list(&input),
		.trash_pattern = next_list(&input),
		.trash_pattern_ignorecase = next_list(&input),
		.trash_regex = next_line(&input),
		.unsure = next_list(&input),
		.unsure_pattern = next_list(&input),
		.unsure_pattern_ignorecase = next_list(&input),
		.unsure_regex = next_line(&input),
	};
	const char *const *globs = set.spam_pattern;
	struct antispam_folder_map *map;
	const char *error = NULL;

	if (folder.ns_prefix == NULL)
		folder.ns_prefix = "";
	if (antispam_folder_map_init(&set, &map, &error) == 0) {
		check_match(map, &folder);
		antispam_folder_map_deinit(&map);
	} else {
		i_assert(error != NULL && strncmp(error, "antispam_", 9) == 0);
	}
	for (; globs != NULL && *globs != NULL; globs++)
		check_glob(&folder, *globs);
}
FUZZ_END
