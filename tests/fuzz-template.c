/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* fuzz-sources: backends/spool2dir-template.c */

/* Whatever a template holds: it is refused with one printable line that names
   the setting, or it makes names that stay in their directory. */

#include "lib.h"
#include "str.h"
#include "fuzzer.h"
#include "spool2dir-template.h"

#define SETTING "antispam_spool2dir_spam"

static void check_error(const char *error)
{
	i_assert(strncmp(error, SETTING " ", strlen(SETTING) + 1) == 0);
	for (; *error != '\0'; error++)
		i_assert((unsigned char)*error >= ' ');
}

static void check_dir(const char *dir)
{
	const char *const *names;

	i_assert(*dir == '/' && strlen(dir) < 4096);
	if (dir[1] == '\0')
		return;
	for (names = t_strsplit(dir + 1, "/"); *names != NULL; names++) {
		i_assert(**names != '\0');
		i_assert(strcmp(*names, ".") != 0);
		i_assert(strcmp(*names, "..") != 0);
		i_assert(strlen(*names) <= 255);
	}
}

static void
check_name(const struct antispam_spool2dir_template *template,
	   uint64_t time_secs, uint64_t counter)
{
	string_t *name = t_str_new(64), *next = t_str_new(64);

	antispam_spool2dir_template_append(name, template, time_secs, counter);
	i_assert(str_len(name) > 0 && str_len(name) <= 254);
	i_assert(*str_c(name) != '.');
	i_assert(strlen(str_c(name)) == str_len(name));
	i_assert(strchr(str_c(name), '/') == NULL);

	antispam_spool2dir_template_append(next, template, time_secs,
					   counter + 1);
	i_assert(strcmp(str_c(name), str_c(next)) != 0);
}

FUZZ_BEGIN_STR(const char *value)
{
	const struct antispam_spool2dir_template *template;
	const char *error;

	if (antispam_spool2dir_template_parse(pool_datastack_create(), SETTING,
					      value, &template, &error) < 0)
		check_error(error);
	else {
		check_dir(template->dir);
		check_name(template, 1800000000, 0);
		check_name(template, UINT64_MAX, UINT64_MAX - 1);
		(void)antispam_spool2dir_template_tmp(template);
	}
}
FUZZ_END
