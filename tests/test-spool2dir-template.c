/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* spool2dir's template parser: what it takes, what it makes of it, and what
   it refuses with which words. */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "antispam-settings.h"
#include "spool2dir-template.h"

#define SETTING "antispam_spool2dir_spam"
/* ANTISPAM_TEMPLATE_PERCENT, as a string of its own. */
#define P "\x01"
#define ZEROS10 "0000000000"

static int
parse(const char *value, const struct antispam_spool2dir_template **template_r,
      const char **error_r)
{
	pool_t pool = pool_datastack_create();

	*error_r = NULL;
	return antispam_spool2dir_template_parse(pool, SETTING, value,
						 template_r, error_r);
}

static void test_spool2dir_template_valid(void)
{
	static const struct {
		const char *value, *dir, *name;
	} tests[] = {
		{ "/var/spool/spam/%020lu-bob-%05lus", "/var/spool/spam",
		  ZEROS10 "1234567890-bob-00007s" },
		{ "/s/%lu-%lu", "/s", "1234567890-7" },
		{ "/%lu%lu", "/", "12345678907" },
		{ "/s/%5lu_%3lu", "/s", "1234567890_  7" },
		{ "/s/%0lu-%03lu", "/s", "1234567890-007" },
		{ "/s/%00020lu-%01lu", "/s", ZEROS10 "1234567890-7" },
		{ "/s/%064lu-%lu", "/s",
		  ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10
		  "00001234567890-7" },
		{ "/s/%lulu%lulu", "/s", "1234567890lu7lu" },
		{ "/s/a%%b%lu%%%%%lu%%", "/s", "a%b1234567890%%7%" },
		{ "/s/%%lu-%lu-%lu", "/s", "%lu-1234567890-7" },
		{ "/a%%b/%lu-%lu", "/a%b", "1234567890-7" },
		/* what a user's name brings is no number */
		{ "/s/" P "lu-" P "05lu-%lu-%lu", "/s",
		  "%lu-%05lu-1234567890-7" },
		{ "/s/" P P "%lu%lu", "/s", "%%12345678907" },
		{ "/s/" P "2E." P "2F..%lu-%lu", "/s",
		  "%2E.%2F..1234567890-7" },
		{ "/s/" P "2E./%lu-%lu", "/s/%2E.", "1234567890-7" },
		/* the directory is put in order */
		{ "//s/./x///%lu-%lu", "/s/x", "1234567890-7" },
		{ "/./%lu-%lu", "/", "1234567890-7" },
		{ "/.s/.../..x/%lu-%lu.", "/.s/.../..x", "1234567890-7." },
	};
	const struct antispam_spool2dir_template *template;
	const char *error;
	unsigned int i;

	test_begin("spool2dir template: valid");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		string_t *name = t_str_new(64);

		test_assert_idx(parse(tests[i].value, &template, &error) == 0,
				i);
		test_assert_strcmp_idx(error, NULL, i);
		if (error != NULL)
			continue;
		test_assert_strcmp_idx(template->dir, tests[i].dir, i);
		antispam_spool2dir_template_append(name, template, 1234567890,
						   7);
		test_assert_strcmp_idx(str_c(name), tests[i].name, i);
	}
	test_end();
}

static void test_spool2dir_template_errors(void)
{
	static const struct {
		const char *value, *why;
	} tests[] = {
		{ NULL, "is not set" },
		{ "", "is not set" },
		{ "s/%lu-%lu", "begin it with /" },
		{ "~/s/%lu-%lu", "begin it with /" },
		{ "%lu/s/%lu-%lu", "begin it with /" },
		{ P "/s/%lu-%lu", "begin it with /" },
		{ "/../%lu-%lu", "goes through .." },
		{ "/s/../t/%lu-%lu", "goes through .." },
		{ "/s/..//%lu-%lu", "goes through .." },
		{ "/s/.%lu-%lu", "begins with a dot" },
		{ "/s/..%lu%lu", "begins with a dot" },
		{ "/s/", "and has 0; write" },
		{ "/", "and has 0; write" },
		{ "/s/..", "write %%lu twice" },
		{ "/s/" P "lu-" P "lu", "and has 0; write" },
		{ "/s/%%lu-%%lu", "and has 0; write" },
		{ "/s/%lu", "and has 1; write" },
		{ "/s/%lu-%%lu", "write %%lu twice" },
		{ "/s/%lu-%lu-%lu", "and has 3; write" },
		{ "/%lu/%lu", "behind the last /" },
		{ "/%lu-%lu/x", "behind the last /" },
		{ "/%lu/%lu-%lu", "behind the last /" },
		{ "/s%/%lu-%lu", "a % begins" },
		{ "/s/%d-%lu-%lu", "a % begins" },
		{ "/s/%s%lu-%lu", "a % begins" },
		{ "/s/%n%lu-%lu", "a % begins" },
		{ "/s/%u-%lu", "a % begins" },
		{ "/s/%llu-%lu", "a % begins" },
		{ "/s/%l-%lu-%lu", "a % begins" },
		{ "/s/%-5lu-%lu", "a % begins" },
		{ "/s/%+lu-%lu", "a % begins" },
		{ "/s/% lu-%lu", "a % begins" },
		{ "/s/%*lu-%lu", "a % begins" },
		{ "/s/%1$lu-%lu", "a % begins" },
		{ "/s/%5.3lu-%lu", "a % begins" },
		{ "/s/%5%%lu-%lu", "a % begins" },
		{ "/s/%" P "lu-%lu", "a % begins" },
		{ "/s/%lu-%lu%", "a % begins" },
		{ "/s/%lu-%lu%5", "a % begins" },
		{ "/s/%lu-%lu%l", "write %%lu or %%05lu" },
		{ "/s/%65lu-%lu", "wider than 64" },
		{ "/s/%lu-%065lu", "wider than 64" },
		{ "/s/%lu-%99999999999999999999lu", "wider than 64" },
		{ "/s/%lu-%4294967297lu", "wider than 64" },
	};
	const struct antispam_spool2dir_template *template;
	const char *error;
	unsigned int i;

	test_begin("spool2dir template: errors");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(parse(tests[i].value, &template, &error) == -1,
				i);
		if (error == NULL)
			continue;
		test_assert_idx(strstr(error, SETTING " ") == error, i);
		test_assert_idx(strstr(error, tests[i].why) != NULL, i);
		test_assert_idx(strchr(error, '\x01') == NULL, i);
	}

	/* the value is shown as the user's name makes it, and in one line */
	test_assert(parse("/s/\n" P "2F%lu", &template, &error) == -1);
	test_assert(strstr(error, SETTING " = /s/?%2F%lu: ") != NULL);
	test_end();
}

/* A template with a name and a directory of the wanted lengths. */
static const char *sized_template(size_t dir_length, size_t text_length)
{
	string_t *value = t_str_new(512);
	size_t i;

	for (i = 0; i < dir_length; i++)
		str_append_c(value, i % 200 == 0 ? '/' : 'd');
	str_append_c(value, '/');
	for (i = 0; i < text_length; i++)
		str_append_c(value, 't');
	str_append(value, "%lu%030lu");
	return str_c(value);
}

static void test_spool2dir_template_lengths(void)
{
	static const struct {
		size_t dir_length, text_length;
		const char *why;
	} tests[] = {
		/* two numbers take 20 and 30 bytes at most, the dot one */
		{ 10, 255 - 51, NULL },
		{ 10, 255 - 50, "the file name can grow longer" },
		{ 10, 100000, "the file name can grow longer" },
		{ 3838, 10, NULL },
		{ 3860, 10, "path is too long" },
		{ 100000, 10, "path is too long" },
	};
	const struct antispam_spool2dir_template *template;
	string_t *value = t_str_new(512);
	const char *error;
	unsigned int i;

	test_begin("spool2dir template: lengths");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		int ret = parse(sized_template(tests[i].dir_length,
					       tests[i].text_length),
				&template, &error);

		test_assert_idx(ret == (tests[i].why == NULL ? 0 : -1), i);
		if (tests[i].why != NULL && ret < 0) {
			test_assert_idx(strstr(error, tests[i].why) != NULL, i);
			test_assert_idx(strlen(error) < 1024, i);
		}
		if (ret == 0) {
			string_t *name = t_str_new(256);

			antispam_spool2dir_template_append(
				name, template, UINT64_MAX, UINT64_MAX);
			test_assert_idx(str_len(name) <= 254, i);
		}
	}

	str_append_c(value, '/');
	for (i = 0; i < 256; i++)
		str_append_c(value, 'd');
	test_assert(parse(t_strconcat(str_c(value) + 1, "/%lu%lu", NULL),
			  &template, &error) == -1);
	test_assert(parse(t_strconcat(str_c(value), "/%lu%lu", NULL),
			  &template, &error) == -1);
	test_assert(strstr(error, "longer than 255 bytes") != NULL);
	str_truncate(value, 256);
	test_assert(parse(t_strconcat(str_c(value), "/%lu%lu", NULL),
			  &template, &error) == 0);
	test_end();
}

static void test_spool2dir_template_tmp(void)
{
	static const struct {
		const char *value, *tmp;
	} tests[] = {
		{ "/tmp/%lu-%lu", "/tmp" },
		{ "//tmp/./spam//%lu-%lu", "/tmp" },
		{ "/./tmp/%lu-%lu", "/tmp" },
		{ "/var/tmp/%lu-%lu", "/var/tmp" },
		{ "/var//tmp/a/b/%lu-%lu", "/var/tmp" },
		{ "/tmpfs/%lu-%lu", NULL },
		{ "/var/tmp2/%lu-%lu", NULL },
		{ "/var/%lu-%lu", NULL },
		{ "/home/tmp/%lu-%lu", NULL },
		{ "/%lu-%lu", NULL },
	};
	const struct antispam_spool2dir_template *template;
	const char *error;
	unsigned int i;

	test_begin("spool2dir template: below /tmp");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(parse(tests[i].value, &template, &error) == 0,
				i);
		if (error != NULL)
			continue;
		test_assert_strcmp_idx(
			antispam_spool2dir_template_tmp(template),
			tests[i].tmp, i);
	}
	test_end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_spool2dir_template_valid,
		test_spool2dir_template_errors,
		test_spool2dir_template_lengths,
		test_spool2dir_template_tmp,
		NULL
	};

	return test_run(test_functions);
}
