/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What hostile names and careless expressions may cost. */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "antispam-folder.h"
#include "antispam-settings.h"

#include <malloc.h>
#include <time.h>

#define OTHER ANTISPAM_CLASS_OTHER
#define SPAM ANTISPAM_CLASS_SPAM
#define UNSURE ANTISPAM_CLASS_UNSURE

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* More than anything takes that has a limit, under valgrind on a slow machine;
   far less than anything that has none. */
#define MAX_SECS 10

static bool
has_special_use(void *context ATTR_UNUSED, const char *special_use ATTR_UNUSED)
{
	return FALSE;
}

static void classify(const struct antispam_folder_map *map, const char *vname,
		     const char *prefix, struct antispam_folder_match *match_r)
{
	const struct antispam_folder folder = {
		.vname = vname,
		.ns_prefix = prefix,
		.has_special_use = has_special_use,
	};

	antispam_folder_classify(map, &folder, match_r);
}

static const char *long_name(const char *part, unsigned int size)
{
	string_t *name = t_str_new(size + 16);

	while (str_len(name) + strlen(part) <= size)
		str_append(name, part);
	return str_c(name);
}

static double cpu_secs(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

/* Each of them would take ages on 250 letters a. */
static const char *const hostile_regexes[] = {
	"(a+)+[xy]",
	"(a|aa)+[xy]",
	"(?:a|b|ab)*(?:a|b|ab)*[xy]",
	"(.*)(.*)(.*)(.*)(.*)[xy]",
	"(?=.*.*.*.*.*[xy])",
	"(a?){50}a{50}.*.*[xy]",
	"^((a)*)*[xy]",
	"(?:.*+[xy]|a|aa)*[xy]",
	"(?:(a*)\\1[xy]|a|aa)+[xy]",
};

static void check_hostile_regex(const char *regex, unsigned int idx)
{
	const struct antispam_settings set = {
		.spam_regex = regex,
		.unsure_pattern = LIST("*a"),
	};
	const double begin = cpu_secs();
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;

	test_assert_idx(antispam_folder_map_init(&set, &map, &error) == 0, idx);
	classify(map, long_name("a", 250), "aa", &match);
	test_assert_strcmp_idx(match.failed_setting, "antispam_spam_regex",
			       idx);
	/* the others go on as if it had not matched */
	test_assert_idx(match.class == UNSURE, idx);
	test_assert_idx(match.also_class == OTHER, idx);
	test_assert_idx(cpu_secs() - begin < MAX_SECS, idx);
	/* and a name that is easy finds its budget whole again */
	classify(map, "ax", "", &match);
	test_assert_strcmp_idx(match.failed_setting, NULL, idx);
	antispam_folder_map_deinit(&map);
}

static void test_antispam_folder_hostile_regex(void)
{
	/* it begins with itself: PCRE2 finds that out when it matches */
	const struct antispam_settings set = {
		.spam = LIST("ax"),
		.trash_regex = "(?:(?R)|a)x",
	};
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;
	unsigned int i;

	test_begin("antispam folder: regex that takes too long");
	for (i = 0; i < N_ELEMENTS(hostile_regexes); i++) {
		T_BEGIN {
			check_hostile_regex(hostile_regexes[i], i);
		} T_END;
	}

	test_assert(antispam_folder_map_init(&set, &map, &error) == 0);
	classify(map, "ax", "", &match);
	test_assert_strcmp(match.failed_setting, "antispam_trash_regex");
	test_assert(match.class == SPAM);
	antispam_folder_map_deinit(&map);
	test_end();
}

/* Expressions that are no trap reach the end of a long name. */
static const struct {
	const char *regex;
	bool match;
} long_rows[] = {
	{ "a$", TRUE },
	{ "^(a|b)*$", TRUE },
	{ "^(?:[ab]|c)+$", TRUE },
	{ ".*a.*[xy]", FALSE },
	{ "a.*[xy]", FALSE },
	{ "(?i)(?:spam|junk|[xy])$", FALSE },
};

static void check_long(const char *regex, bool expected, unsigned int idx)
{
	const struct antispam_settings set = { .unsure_regex = regex };
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;

	test_assert_idx(antispam_folder_map_init(&set, &map, &error) == 0, idx);
	classify(map, long_name("a", 250), "", &match);
	test_assert_idx((match.class == UNSURE) == expected, idx);
	test_assert_strcmp_idx(match.failed_setting, NULL, idx);
	antispam_folder_map_deinit(&map);
}

static void test_antispam_folder_long(void)
{
	unsigned int i;

	test_begin("antispam folder: regex on a long name");
	for (i = 0; i < N_ELEMENTS(long_rows); i++)
		check_long(long_rows[i].regex, long_rows[i].match, i);
	test_end();
}

static const struct {
	const char *part, *entry;
} hostile_names[] = {
	{ "a", NULL },
	{ "aa\xc3\xa4", NULL },
	{ "\xc3\xa4", NULL },
	{ "ab\n", "*a*a*a*a*a*a*a*a*b*" },
};

static void test_antispam_folder_hostile_name(void)
{
	const char *const *patterns =
		LIST("*a*a*a*a*a*a*a*a*b*", "*ab*ab*ab*ab*", "*aaaaaaaa*x*aab",
		     "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*[x]",
		     "*\xc3\xa4*\xc3\xa4*\xc3\xa4*\xc3\xa4*x");
	const struct antispam_settings set = {
		.spam_pattern = patterns,
		.spam_pattern_ignorecase = patterns,
	};
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const double begin = cpu_secs();
	const char *error;
	unsigned int i;

	test_begin("antispam folder: name that takes long");
	test_assert(antispam_folder_map_init(&set, &map, &error) == 0);
	for (i = 0; i < N_ELEMENTS(hostile_names); i++) {
		classify(map, long_name(hostile_names[i].part, 20000), "",
			 &match);
		test_assert_strcmp_idx(match.entry, hostile_names[i].entry, i);
		test_assert_strcmp_idx(match.failed_setting, NULL, i);
	}
	test_assert(cpu_secs() - begin < MAX_SECS);
	antispam_folder_map_deinit(&map);
	test_end();
}

/* The figures stand still under valgrind, which does not see that either. */
static size_t heap_used(void)
{
	const struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void check_memory(const struct antispam_settings *set,
			 enum antispam_class class, unsigned int idx)
{
	const char *const *names = LIST("a", "", "Spam", long_name("a", 250),
					long_name("a", 5000));
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;
	size_t before;

	test_assert_idx(antispam_folder_map_init(set, &map, &error) == 0, idx);
	for (; *names != NULL; names++) {
		before = heap_used();
		classify(map, *names, "", &match);
		test_assert_idx(heap_used() == before, idx);
	}
	test_assert_idx(match.class == class, idx);
	antispam_folder_map_deinit(&map);
}

static void test_antispam_folder_memory(void)
{
	const char *stars = long_name("*a", 1000);
	const struct antispam_settings sets[] = {
		{ .spam_regex = "" },
		{ .spam_regex = "^((a)(b)?)*[xy]" },
		{ .trash_regex = "(a|aa)+[xy]" },
		{ .unsure_pattern = LIST("*b", stars) },
		{ .unsure_pattern_ignorecase = LIST("*b", stars) },
		{ .spam_regex = "(a|aa)+[xy]", .unsure_pattern = LIST(stars) },
	};
	unsigned int i;

	test_begin("antispam folder: classifying takes no memory");
	for (i = 0; i < N_ELEMENTS(sets); i++)
		check_memory(&sets[i], i < 3 ? OTHER : UNSURE, i);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_antispam_folder_hostile_regex,
		test_antispam_folder_long,
		test_antispam_folder_hostile_name,
		test_antispam_folder_memory,
		NULL
	};

	return test_run(tests);
}
