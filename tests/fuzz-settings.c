/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */
/* fuzz-sources: src/antispam-settings.c src/antispam-settings-names.c */

/* Lines: the user's name, then "name=value" for each setting, "antispam_" left
   out. Whatever the user is called, lists keep their entries, and templates
   their slashes. */

#include "lib.h"
#include "str.h"
#include "fuzzer.h"
#include "antispam-settings.h"

struct fuzz_input {
	const char *user;
	/* "name=value", NULL-terminated */
	const char *const *lines;
};

static const char *input_get(void *context, const char *name)
{
	const struct fuzz_input *input = context;
	const char *const *line;
	size_t size;

	i_assert(strncmp(name, "antispam_", 9) == 0);
	name += 9;
	size = strlen(name);
	for (line = input->lines; *line != NULL; line++) {
		if (strncmp(*line, name, size) == 0 && (*line)[size] == '=')
			return *line + size + 1;
	}
	return NULL;
}

static int
input_expand(void *context, enum antispam_expand how, const char *raw,
	     const char **value_r, const char **warning_r, const char **error_r)
{
	const struct fuzz_input *input = context;
	string_t *str = t_str_new(64);
	const char *user;

	for (; *raw != '\0'; raw++) {
		if (*raw != '%') {
			str_append_c(str, *raw);
			continue;
		}
		switch (*++raw) {
		case 'u':
			user = input->user;
			if (how == ANTISPAM_EXPAND_TEMPLATE)
				user = antispam_settings_encode_user(user);
			str_append(str, user);
			break;
		case 'w':
			*warning_r = t_strdup("warning");
			break;
		default:
			*error_r = "wrong variable";
			return -1;
		}
	}
	*value_r = str_c(str);
	return 0;
}

static unsigned int count_char(const char *str, char c)
{
	unsigned int count = 0;

	for (; *str != '\0'; str++)
		count += *str == c ? 1 : 0;
	return count;
}

/* args: a user's name must not become an option. */
static void check_list(struct fuzz_input *input, const char *name, bool args,
		       const char *const *list)
{
	const char *raw = input_get(input, name);
	const char *const *parts;
	const char *part;

	i_assert((list == NULL) == (raw == NULL));
	if (raw == NULL)
		return;
	for (parts = t_strsplit(raw, ";"); *parts != NULL; parts++) {
		part = *parts + strspn(*parts, " \t");
		if (*part == '\0')
			continue;
		i_assert(*list != NULL);
		i_assert(!args || **list != '-' || *part == '-');
		list++;
	}
	i_assert(*list == NULL);
}

static void check_template(struct fuzz_input *input, const char *name,
			   const char *value)
{
	const char *raw = input_get(input, name);

	if (value == NULL)
		return;
	i_assert(raw != NULL);
	i_assert(count_char(value, '/') == count_char(raw, '/'));
	for (; *value != '\0'; value++) {
		i_assert((unsigned char)*value >= 0x20 ||
			 *value == ANTISPAM_TEMPLATE_PERCENT);
	}
}

static void check_set(struct fuzz_input *input,
		      const struct antispam_settings *set)
{
	check_list(input, "antispam_spam", FALSE, set->spam);
	check_list(input, "antispam_trash_pattern", FALSE,
		   set->trash_pattern);
	check_list(input, "antispam_pipe_env", TRUE, set->pipe_env);
	check_template(input, "antispam_spool2dir_spam", set->spool2dir_spam);
	i_assert(set->timeout_msecs > 0);
	i_assert(set->max_parallel >= 1 && set->max_parallel <= 100);
	i_assert(set->allow_append_to_spam <= 2 && set->training <= 1);
	i_assert(set->backend_name != NULL || set->backend == 0);
	i_assert(set->queue_dir[0] == '/' && set->queue_dir[1] != '\0');
	i_assert(set->queue_lifetime_msecs > 0);
	i_assert(set->trainer_max_children >= 1 &&
		 set->trainer_max_children <= 100);
	i_assert(set->warnings != NULL && set->pipe_program != NULL);
}

static void check_name(const char *name)
{
	const char *const fields[] = { name, NULL };
	const char *error;
	const char *sentence = antispam_settings_unknown(name);

	i_assert(strncmp(sentence, "unknown setting ", 16) == 0);
	(void)antispam_settings_has(name);
	if (antispam_settings_check_fields(fields, &error) < 0)
		i_assert(strstr(name, "antispam_") != NULL);
}

FUZZ_BEGIN_STR(const char *str)
{
	const char *const *lines = t_strsplit(str, "\n");
	struct fuzz_input input = {
		.user = *lines == NULL ? "" : *lines,
		.lines = *lines == NULL ? lines : lines + 1,
	};
	const struct antispam_settings_source source = {
		.get = input_get,
		.expand = input_expand,
		.context = &input,
	};
	const struct antispam_settings *set;
	const char *error = NULL;
	pool_t pool = pool_alloconly_create("fuzz settings", 1024);

	check_name(input.user);
	if (antispam_settings_parse(pool, &source, &set, &error) == 0)
		check_set(&input, set);
	else
		i_assert(error != NULL && strncmp(error, "antispam_", 9) == 0);
	pool_unref(&pool);
}
FUZZ_END
