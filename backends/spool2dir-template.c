/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The template that names spool2dir's files. A value comes from the admin and,
   in parts that are encoded, from the user's name; it is taken apart here and
   never handed to printf(). */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "antispam-settings.h"
#include "spool2dir-template.h"

#include <ctype.h>
#include <limits.h>

#define TEMPLATE_WIDTH_MAX 64
/* Digits of the biggest uint64_t. */
#define TEMPLATE_DIGITS_MAX 20
#define TEMPLATE_EXAMPLE "/var/spool/spam/%%020lu-%%05lu"
/* Bytes of a value that an error shows. */
#define TEMPLATE_SHOW_MAX 512

static int
template_parse_number(const char **value,
		      struct antispam_spool2dir_number *number_r,
		      const char **why_r)
{
	const char *p = *value;

	number_r->zero = *p == '0';
	number_r->width = 0;
	for (; i_isdigit(*p); p++) {
		if (number_r->width <= TEMPLATE_WIDTH_MAX) {
			number_r->width *= 10;
			number_r->width += *p - '0';
		}
	}
	if (p[0] != 'l' || p[1] != 'u') {
		*why_r =
			"a % begins neither a number nor a percent sign; "
			"write %%lu or %%05lu for a number, and %%%% for a "
			"percent sign";
		return -1;
	}
	if (number_r->width > TEMPLATE_WIDTH_MAX) {
		*why_r =
			"a number is wider than 64 digits; write %%020lu for "
			"the time and %%05lu for the counter";
		return -1;
	}
	*value = p + 2;
	return 1;
}

/* Take the next piece of *value. Returns 1 if it is a number, 0 if it is a
   byte of text, -1 and *why_r if it is wrong. */
static int
template_next(const char **value, struct antispam_spool2dir_number *number_r,
	      char *chr_r, const char **why_r)
{
	*chr_r = **value;
	*value += 1;
	if (*chr_r == ANTISPAM_TEMPLATE_PERCENT)
		*chr_r = '%';
	else if (*chr_r == '%') {
		if (**value != '%')
			return template_parse_number(value, number_r, why_r);
		*value += 1;
	}
	return 0;
}

/* Parse what lies between value and end; dir has the wanted form then. */
static int
template_parse_dir(const char *value, const char *end, string_t *dir,
		   const char **why_r)
{
	struct antispam_spool2dir_number number;
	string_t *text = t_str_new(128);
	const char *const *names;
	char chr;
	int ret;

	while (value < end) {
		ret = template_next(&value, &number, &chr, why_r);
		if (ret < 0)
			return -1;
		if (ret > 0) {
			*why_r =
				"a number stands in the directory; write both "
				"%%lu behind the last /";
			return -1;
		}
		str_append_c(text, chr);
	}
	for (names = t_strsplit(str_c(text), "/"); *names != NULL; names++) {
		if (**names == '\0' || strcmp(*names, ".") == 0)
			continue;
		if (strcmp(*names, "..") == 0) {
			*why_r =
				"the directory goes through ..; write it "
				"without";
			return -1;
		}
		if (strlen(*names) > NAME_MAX) {
			*why_r =
				"a directory's name is longer than 255 bytes; "
				"write a shorter one";
			return -1;
		}
		str_printfa(dir, "/%s", *names);
	}
	if (str_len(dir) >= PATH_MAX - NAME_MAX) {
		*why_r =
			"the directory's path is too long; write a shorter one";
		return -1;
	}
	if (str_len(dir) == 0)
		str_append_c(dir, '/');
	return 0;
}

/* The longest name that the template can make, in bytes. */
static size_t
template_max_length(const struct antispam_spool2dir_template *template)
{
	size_t length = 0;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(template->text); i++)
		length += strlen(template->text[i]);
	for (i = 0; i < N_ELEMENTS(template->numbers); i++) {
		length += I_MAX(template->numbers[i].width,
				TEMPLATE_DIGITS_MAX);
	}
	return length;
}

static int
template_check_name(const struct antispam_spool2dir_template *template,
		    unsigned int numbers, const char **why_r)
{
	if (numbers != N_ELEMENTS(template->numbers)) {
		*why_r = t_strdup_printf(
			"the file name needs two numbers, a time and a "
			"counter, and has %u; write %%%%lu twice, as in %s",
			numbers, TEMPLATE_EXAMPLE);
		return -1;
	}
	if (template->text[0][0] == '.') {
		*why_r =
			"the file name begins with a dot, which is kept for "
			"unfinished files; write it without";
		return -1;
	}
	/* One byte stays free for the dot of an unfinished file. */
	if (template_max_length(template) > NAME_MAX - 1) {
		*why_r =
			"the file name can grow longer than 254 bytes; write "
			"a shorter one";
		return -1;
	}
	return 0;
}

static int
template_parse_name(pool_t pool, const char *value,
		    struct antispam_spool2dir_template *template,
		    const char **why_r)
{
	struct antispam_spool2dir_number number;
	string_t *text = t_str_new(128);
	unsigned int numbers = 0;
	char chr;
	int ret;

	while (*value != '\0') {
		ret = template_next(&value, &number, &chr, why_r);
		if (ret < 0)
			return -1;
		if (ret == 0) {
			str_append_c(text, chr);
			continue;
		}
		if (numbers < N_ELEMENTS(template->numbers)) {
			template->text[numbers] = p_strdup(pool, str_c(text));
			template->numbers[numbers] = number;
			str_truncate(text, 0);
		}
		numbers++;
	}
	template->text[N_ELEMENTS(template->numbers)] =
		p_strdup(pool, str_c(text));
	return template_check_name(template, numbers, why_r);
}

static int
template_try_parse(pool_t pool, const char *value,
		   struct antispam_spool2dir_template *template,
		   const char **why_r)
{
	string_t *dir = t_str_new(128);
	const char *name;

	if (*value != '/') {
		*why_r = t_strconcat(
			"this is no absolute path; begin it with /, as in ",
			TEMPLATE_EXAMPLE, NULL);
		return -1;
	}
	name = strrchr(value, '/') + 1;
	if (template_parse_dir(value, name, dir, why_r) < 0)
		return -1;
	template->dir = p_strdup(pool, str_c(dir));
	return template_parse_name(pool, name, template, why_r);
}

int antispam_spool2dir_template_parse(
	pool_t pool, const char *setting, const char *value,
	const struct antispam_spool2dir_template **template_r,
	const char **error_r)
{
	struct antispam_spool2dir_template *template;
	const char *why;

	if (value == NULL || *value == '\0') {
		*error_r = t_strconcat(
			setting,
			" is not set, and the backend spool2dir needs it; "
			"set it to a path with %%lu in it twice, as in ",
			TEMPLATE_EXAMPLE, NULL);
		return -1;
	}
	template = p_new(pool, struct antispam_spool2dir_template, 1);
	if (template_try_parse(pool, value, template, &why) < 0) {
		value = t_str_replace(value, ANTISPAM_TEMPLATE_PERCENT, '%');
		*error_r = t_strdup_printf(
			"%s = %s: %s", setting,
			str_sanitize(value, TEMPLATE_SHOW_MAX), why);
		return -1;
	}
	*template_r = template;
	return 0;
}

static void
template_append_number(string_t *dest,
		       const struct antispam_spool2dir_number *number,
		       uint64_t value)
{
	char buf[MAX_INT_STRLEN];
	const char *digits = dec2str_buf(buf, value);
	size_t length;

	for (length = strlen(digits); length < number->width; length++)
		str_append_c(dest, number->zero ? '0' : ' ');
	str_append(dest, digits);
}

void antispam_spool2dir_template_append(
	string_t *dest, const struct antispam_spool2dir_template *template,
	uint64_t time_secs, uint64_t counter)
{
	str_append(dest, template->text[0]);
	template_append_number(dest, &template->numbers[0], time_secs);
	str_append(dest, template->text[1]);
	template_append_number(dest, &template->numbers[1], counter);
	str_append(dest, template->text[2]);
}

const char *antispam_spool2dir_template_tmp(
	const struct antispam_spool2dir_template *template)
{
	static const char *const tmp_dirs[] = { "/tmp", "/var/tmp" };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(tmp_dirs); i++) {
		size_t length = strlen(tmp_dirs[i]);

		if (strncmp(template->dir, tmp_dirs[i], length) == 0 &&
		    (template->dir[length] == '/' ||
		     template->dir[length] == '\0'))
			return tmp_dirs[i];
	}
	return NULL;
}
