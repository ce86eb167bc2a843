/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What a program gets and what is said about it, as far as that is known
   without running it: environment, path, one line for the log. Pure. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "antispam-runner.h"

#include <string.h>

#define RUN_PATH \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* Bytes of a program's output in one log line. */
#define DESCRIBE_MAX 200
/* Bytes of one of its lines, where all are shown. */
#define SAID_MAX 500

/* Add an entry in the place of the one that has its name, if there is one. */
static void env_set(ARRAY_TYPE(const_string) *env, const char *entry)
{
	size_t len = strcspn(entry, "=");
	const char **old;

	array_foreach_modifiable(env, old) {
		if (strcspn(*old, "=") == len &&
		    memcmp(*old, entry, len) == 0) {
			*old = entry;
			return;
		}
	}
	array_push_back(env, &entry);
}

const char *const *
antispam_run_env(const struct antispam_identity *identity,
		 const char *const *extra)
{
	ARRAY_TYPE(const_string) env;

	t_array_init(&env, 8);
	env_set(&env, RUN_PATH);
	if (identity->home != NULL)
		env_set(&env, t_strconcat("HOME=", identity->home, NULL));
	env_set(&env, t_strconcat("USER=", identity->username, NULL));
	env_set(&env, t_strconcat("LOGNAME=", identity->username, NULL));
	env_set(&env, "LANG=C.UTF-8");
	for (; extra != NULL && *extra != NULL; extra++)
		env_set(&env, *extra);
	array_append_zero(&env);
	return array_front(&env);
}

int antispam_run_check_path(const char *setting, const char *path,
			    const char **error_r)
{
	if (path[0] == '/')
		return 0;
	*error_r = t_strdup_printf("%s = %s: not an absolute path; "
				   "write the program's whole path, from / on",
				   setting, str_sanitize(path, DESCRIBE_MAX));
	return -1;
}

/* The first line that is not blank, without the blanks around it, on the data
   stack; NULL = there is none. */
static const char *first_line(const char *text)
{
	size_t len;

	text += strspn(text, " \t\r\n");
	len = strcspn(text, "\n");
	while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
		len--;
	return len == 0 ? NULL : t_strndup(text, len);
}

const char *antispam_run_describe(const struct antispam_run_reply *reply)
{
	const char *how = NULL, *line;

	switch (reply->end) {
	case ANTISPAM_RUN_SKIPPED:
		return "not started, since an earlier program failed";
	case ANTISPAM_RUN_EXITED:
		how = t_strdup_printf("exited with status %d",
				      reply->exit_status);
		break;
	case ANTISPAM_RUN_FAILED:
		how = reply->error;
		break;
	}
	line = first_line(reply->err);
	if (line == NULL)
		line = first_line(reply->out);
	if (line == NULL)
		return how;
	return t_strconcat(how, ": ", str_sanitize(line, DESCRIBE_MAX), NULL);
}

static void append_lines(string_t *str, const char *output)
{
	const char *const *lines = t_strsplit(output, "\n"), *line;

	for (; *lines != NULL; lines++) {
		line = t_str_rtrim(*lines, "\r");
		if (*line == '\0')
			continue;
		if (str_len(str) > 0)
			str_append(str, " | ");
		str_sanitize_append(str, line, SAID_MAX);
	}
}

const char *antispam_run_said(const struct antispam_run_reply *reply)
{
	string_t *str = t_str_new(256);

	if (reply->end == ANTISPAM_RUN_SKIPPED)
		return NULL;
	append_lines(str, reply->out);
	append_lines(str, reply->err);
	return str_len(str) == 0 ? NULL : str_c(str);
}

const char *antispam_exchange_said(const struct antispam_exchange_reply *reply)
{
	string_t *str = t_str_new(256);

	if (reply->end != ANTISPAM_EXCHANGE_ANSWERED)
		return NULL;
	append_lines(str, reply->text);
	return str_len(str) == 0 ? NULL : str_c(str);
}
