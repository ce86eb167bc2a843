/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "test-common.h"
#include "antispam-folder.h"
#include "antispam-settings.h"

#define OTHER ANTISPAM_CLASS_OTHER
#define SPAM ANTISPAM_CLASS_SPAM
#define TRASH ANTISPAM_CLASS_TRASH
#define UNSURE ANTISPAM_CLASS_UNSURE

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define EMPTY_LIST ((const char *const[]){ NULL })
#define ROW(...) \
	{ \
		__VA_ARGS__ \
	}

struct row {
	struct antispam_settings set;
	const char *vname, *prefix, *special_use;
	enum antispam_class class;
	/* NULL = don't care. */
	const char *setting, *entry;
	enum antispam_class also_class;
	const char *also_setting;
};

static bool has_special_use(void *context, const char *special_use)
{
	return null_strcmp(context, special_use) == 0;
}

static void
classify(const struct antispam_folder_map *map, const struct row *row,
	 struct antispam_folder_match *match_r)
{
	const struct antispam_folder folder = {
		.vname = row->vname,
		.ns_prefix = row->prefix == NULL ? "" : row->prefix,
		.has_special_use = has_special_use,
		.context = (void *)row->special_use,
	};

	memset(match_r, 0xff, sizeof(*match_r));
	antispam_folder_classify(map, &folder, match_r);
}

static void check_row(const struct row *row, unsigned int idx)
{
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;

	if (antispam_folder_map_init(&row->set, &map, &error) < 0) {
		test_assert_strcmp_idx(error, NULL, idx);
		return;
	}
	classify(map, row, &match);
	test_assert_idx(match.class == row->class, idx);
	test_assert_idx(match.also_class == row->also_class, idx);
	test_assert_strcmp_idx(match.also_setting, row->also_setting, idx);
	test_assert_strcmp_idx(match.failed_setting, NULL, idx);
	if (row->setting != NULL || row->class == OTHER)
		test_assert_strcmp_idx(match.setting, row->setting, idx);
	if (row->entry != NULL || row->class == OTHER)
		test_assert_strcmp_idx(match.entry, row->entry, idx);
	antispam_folder_map_deinit(&map);
	test_assert_idx(map == NULL, idx);
}

static void check_rows(const struct row *rows, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		T_BEGIN {
			check_row(&rows[i], i);
		} T_END;
	}
}

static const struct row default_rows[] = {
	ROW(.vname = "SPAM", .class = SPAM, .entry = "SPAM",
	    .setting = "antispam_spam (default)"),
	ROW(.vname = "Spam", .class = OTHER),
	ROW(.vname = "SPAM/x", .class = OTHER),
	ROW(.vname = "INBOX", .class = OTHER),
	ROW(.vname = "", .class = OTHER),
	ROW(.vname = "Pfui", .special_use = "\\Junk", .class = SPAM,
	    .setting = "antispam_spam (default)", .entry = "\\Junk"),
	ROW(.vname = "Weg", .special_use = "\\Trash", .class = TRASH,
	    .setting = "antispam_trash (default)", .entry = "\\Trash"),
	ROW(.vname = "Trash", .class = OTHER),
	ROW(.vname = "Sent", .special_use = "\\Sent", .class = OTHER),
	ROW(.vname = "\\Junk", .class = OTHER),
	ROW(.vname = "INBOX.SPAM", .prefix = "INBOX.", .class = SPAM),
	ROW(.vname = "SPAM", .special_use = "\\Trash", .class = TRASH,
	    .setting = "antispam_trash (default)",
	    .also_class = SPAM, .also_setting = "antispam_spam (default)"),
	/* any setting of a class ends its default, and only its own */
	ROW(.set = { .spam = EMPTY_LIST }, .vname = "SPAM", .class = OTHER),
	ROW(.set = { .spam = EMPTY_LIST }, .vname = "x",
	    .special_use = "\\Junk", .class = OTHER),
	ROW(.set = { .spam = EMPTY_LIST }, .vname = "x",
	    .special_use = "\\Trash", .class = TRASH),
	ROW(.set = { .spam_pattern = EMPTY_LIST }, .vname = "SPAM",
	    .class = OTHER),
	ROW(.set = { .spam_pattern_ignorecase = EMPTY_LIST }, .vname = "SPAM",
	    .class = OTHER),
	ROW(.set = { .spam_regex = "" }, .vname = "SPAM", .class = OTHER),
	ROW(.set = { .spam = LIST("X") }, .vname = "SPAM", .class = OTHER),
	ROW(.set = { .spam_regex = "^X$" }, .vname = "SPAM", .class = OTHER),
	ROW(.set = { .trash_regex = "" }, .vname = "x",
	    .special_use = "\\Trash", .class = OTHER),
	ROW(.set = { .trash_regex = "" }, .vname = "SPAM", .class = SPAM),
	ROW(.set = { .unsure = LIST("U") }, .vname = "SPAM", .class = SPAM),
	ROW(.set = { .unsure = LIST("U") }, .vname = "U", .class = UNSURE,
	    .setting = "antispam_unsure", .entry = "U"),
};

static void test_antispam_folder_default(void)
{
	test_begin("antispam folder: defaults");
	check_rows(default_rows, N_ELEMENTS(default_rows));
	test_end();
}

static const struct row name_rows[] = {
	ROW(.set = { .spam = LIST("Junk", "Spam") }, .vname = "Spam",
	    .class = SPAM, .setting = "antispam_spam", .entry = "Spam"),
	ROW(.set = { .spam = LIST("Spam") }, .vname = "spam", .class = OTHER),
	ROW(.set = { .spam = LIST("Spam") }, .vname = "Spam ", .class = OTHER),
	ROW(.set = { .spam = LIST("S*m") }, .vname = "Spam", .class = OTHER),
	ROW(.set = { .spam = LIST("S*m") }, .vname = "S*m", .class = SPAM),
	ROW(.set = { .spam = LIST("") }, .vname = "", .class = SPAM),
	ROW(.set = { .spam = LIST("") }, .vname = "A/", .prefix = "A/",
	    .class = OTHER),
	ROW(.set = { .spam = LIST("INBOX") }, .vname = "INBOX", .class = SPAM),
	ROW(.set = { .spam = LIST("Inbox") }, .vname = "INBOX", .class = OTHER),
	ROW(.set = { .spam = LIST("INBOX") }, .vname = "INBOX",
	    .prefix = "INBOX.", .class = SPAM),
	ROW(.set = { .spam = LIST("INBOX") }, .vname = "INBOX.INBOX",
	    .prefix = "INBOX.", .class = SPAM),
	/* with and without the prefix, and that only at the beginning */
	ROW(.set = { .spam = LIST("INBOX.Spam") }, .vname = "INBOX.Spam",
	    .prefix = "INBOX.", .class = SPAM),
	ROW(.set = { .spam = LIST("Spam") }, .vname = "INBOX.Spam",
	    .prefix = "INBOX.", .class = SPAM),
	ROW(.set = { .spam = LIST("Spam") }, .vname = "INBOX.Spam",
	    .class = OTHER),
	ROW(.set = { .spam = LIST("Spam") }, .vname = "INBOX.INBOX.Spam",
	    .prefix = "INBOX.", .class = OTHER),
	ROW(.set = { .spam = LIST("Spam") }, .vname = "Old/INBOX.Spam",
	    .prefix = "INBOX.", .class = OTHER),
	ROW(.set = { .spam = LIST("b/Spam") }, .vname = "shared/b/Spam",
	    .prefix = "shared/", .class = SPAM),
	/* compared as stored: U+00E4 is not a and U+0308 */
	ROW(.set = { .spam = LIST("Sp\xc3\xa4m") }, .vname = "Sp\xc3\xa4m",
	    .class = SPAM),
	ROW(.set = { .spam = LIST("Sp\xc3\xa4m") }, .vname = "Spa\xcc\x88m",
	    .class = OTHER),
	/* modified UTF-7 */
	ROW(.set = { .spam = LIST("Gel&APY-scht") }, .vname = "Gel\xc3\xb6scht",
	    .class = SPAM, .entry = "Gel&APY-scht"),
	ROW(.set = { .spam = LIST("Gel&APY-scht") }, .vname = "Gel&APY-scht",
	    .class = SPAM),
	ROW(.set = { .spam = LIST("R&D") }, .vname = "R&D", .class = SPAM),
	ROW(.set = { .spam = LIST("R&D") }, .vname = "RD", .class = OTHER),
	ROW(.set = { .spam = LIST("R&-D") }, .vname = "R&D", .class = SPAM),
	ROW(.set = { .spam = LIST("R&-D") }, .vname = "R&-D", .class = SPAM),
	ROW(.set = { .spam = LIST("&APY") }, .vname = "\xc3\xb6",
	    .class = OTHER),
	ROW(.set = { .spam = LIST("&APY") }, .vname = "&APY", .class = SPAM),
	ROW(.set = { .spam = LIST("&APY-\xc3\xb6") }, .vname = "&APY-\xc3\xb6",
	    .class = SPAM),
	ROW(.set = { .spam = LIST("&APY-\xc3\xb6") },
	    .vname = "\xc3\xb6\xc3\xb6", .class = OTHER),
	ROW(.set = { .spam = LIST("a&AAA-") }, .vname = "a", .class = OTHER),
	ROW(.set = { .spam = LIST("a&AAA-") }, .vname = "a&AAA-",
	    .class = SPAM),
	ROW(.set = { .spam = LIST("&BCEEPwQwBDw-") },
	    .vname = "\xd0\xa1\xd0\xbf\xd0\xb0\xd0\xbc", .class = SPAM),
	ROW(.set = { .spam = LIST("&2D3eAA-") }, .vname = "\xf0\x9f\x98\x80",
	    .class = SPAM),
	/* special-use attributes */
	ROW(.set = { .spam = LIST("\\junk") }, .vname = "a",
	    .special_use = "\\Junk", .class = SPAM,
	    .setting = "antispam_spam", .entry = "\\junk"),
	ROW(.set = { .trash = LIST("A", "\\ALL", "B") }, .vname = "a",
	    .special_use = "\\All", .class = TRASH, .entry = "\\ALL"),
	ROW(.set = { .trash = LIST("\\Archive", "\\Drafts", "\\Flagged") },
	    .vname = "a", .special_use = "\\Flagged", .class = TRASH),
	ROW(.set = { .trash = LIST("\\Important", "\\Junk", "\\Sent") },
	    .vname = "a", .special_use = "\\Important", .class = TRASH),
	ROW(.set = { .spam = LIST("\\Junk") }, .vname = "\\Junk",
	    .class = OTHER),
	ROW(.set = { .spam = LIST("Junk\\") }, .vname = "Junk\\",
	    .class = SPAM),
	/* names before patterns before the expression */
	ROW(.set = { .spam = LIST("Spam"), .spam_pattern = LIST("S*") },
	    .vname = "Spam", .class = SPAM, .setting = "antispam_spam"),
	ROW(.set = { .spam_pattern = LIST("S*"),
		     .spam_pattern_ignorecase = LIST("S*") },
	    .vname = "Spam", .class = SPAM, .setting = "antispam_spam_pattern"),
	ROW(.set = { .spam_pattern_ignorecase = LIST("S*"), .spam_regex = "S" },
	    .vname = "Spam", .class = SPAM,
	    .setting = "antispam_spam_pattern_ignorecase"),
};

static void test_antispam_folder_name(void)
{
	test_begin("antispam folder: names");
	check_rows(name_rows, N_ELEMENTS(name_rows));
	test_end();
}

static const struct row overlap_rows[] = {
	ROW(.set = { .spam = LIST("A"),
		     .trash = LIST("A"),
		     .unsure = LIST("A") },
	    .vname = "A", .class = TRASH, .setting = "antispam_trash",
	    .also_class = SPAM, .also_setting = "antispam_spam"),
	ROW(.set = { .spam = LIST("A"), .unsure_regex = "^A" }, .vname = "A",
	    .class = SPAM, .setting = "antispam_spam",
	    .also_class = UNSURE, .also_setting = "antispam_unsure_regex"),
	ROW(.set = { .trash_pattern = LIST("A*"),
		     .unsure_pattern_ignorecase = LIST("a") },
	    .vname = "A", .class = TRASH, .setting = "antispam_trash_pattern",
	    .also_class = UNSURE,
	    .also_setting = "antispam_unsure_pattern_ignorecase"),
	/* twice in the same class is no overlap */
	ROW(.set = { .spam = LIST("A", "A"), .spam_pattern = LIST("A", "*") },
	    .vname = "A", .class = SPAM, .setting = "antispam_spam"),
	ROW(.set = { .spam_pattern = LIST("*") }, .vname = "A",
	    .special_use = "\\Trash", .class = TRASH, .also_class = SPAM,
	    .also_setting = "antispam_spam_pattern"),
};

static void test_antispam_folder_overlap(void)
{
	test_begin("antispam folder: several classes");
	check_rows(overlap_rows, N_ELEMENTS(overlap_rows));
	test_end();
}

static const struct {
	const char *pattern, *vname;
	bool match, icase_match;
} pattern_rows[] = {
	{ "Spam", "Spam", TRUE, TRUE },
	{ "Spam", "sPAM", FALSE, TRUE },
	{ "Spam", "Spam/x", FALSE, FALSE },
	{ "Spam", "xSpam", FALSE, FALSE },
	{ "Spam", "Spam\n", FALSE, FALSE },
	{ "Spam*", "Spam", TRUE, TRUE },
	{ "Spam*", "spam/2026", FALSE, TRUE },
	{ "Spam*", "Spam/2026/a", TRUE, TRUE },
	{ "Spam*", "a Spam", FALSE, FALSE },
	{ "*Spam", "Spam", TRUE, TRUE },
	{ "*Spam", "a/b.Spam", TRUE, TRUE },
	{ "*Spam", "Spam Spam", TRUE, TRUE },
	{ "*Spam", "Spam Spa", FALSE, FALSE },
	{ "*Spam*", "a Spam b", TRUE, TRUE },
	{ "*Spam*", "a\nSpam\nb", TRUE, TRUE },
	{ "*Spam*", "a Spa", FALSE, FALSE },
	{ "*", "", TRUE, TRUE },
	{ "*", "a\n\r\nb", TRUE, TRUE },
	{ "**", "abc", TRUE, TRUE },
	{ "a**c", "abc", TRUE, TRUE },
	{ "a**c", "ac", TRUE, TRUE },
	{ "a*c", "a", FALSE, FALSE },
	{ "a*a", "a", FALSE, FALSE },
	{ "a*a", "aa", TRUE, TRUE },
	{ "ab*ba", "aba", FALSE, FALSE },
	{ "a*b*c", "abbbc", TRUE, TRUE },
	{ "a*bc*c", "abbcbc", TRUE, TRUE },
	{ "a*bc*c", "abbc", FALSE, FALSE },
	{ "*ab*ab*", "aabab", TRUE, TRUE },
	{ "*ab*ab*", "aabb", FALSE, FALSE },
	{ "*aab", "aaab", TRUE, TRUE },
	{ "x*aab*aab", "xaaabaaab", TRUE, TRUE },
	{ "", "", TRUE, TRUE },
	{ "", "a", FALSE, FALSE },
	/* nothing but '*' is special */
	{ "a.c", "abc", FALSE, FALSE },
	{ "a.c", "a.c", TRUE, TRUE },
	{ "a?c", "abc", FALSE, FALSE },
	{ "a?c", "a?c", TRUE, TRUE },
	{ "[a]", "a", FALSE, FALSE },
	{ "[a]", "[a]", TRUE, TRUE },
	{ "(a|b){1}$^+", "(a|b){1}$^+", TRUE, TRUE },
	{ "\\Junk", "\\Junk", TRUE, TRUE },
	{ "\\Junk", "\\junk", FALSE, TRUE },
	{ "\\d\\E\\Q.", "\\d\\E\\Q.", TRUE, TRUE },
	{ "a\\*", "a\\b", TRUE, TRUE },
	{ "a #b", "a #b", TRUE, TRUE },
	{ "%", "a", FALSE, FALSE },
	{ "a\tb\x01*", "a\tb\x01", TRUE, TRUE },
	/* all of Unicode: German, Cyrillic, Greek with both small sigmas */
	{ "\xc3\x96L*", "\xc3\x96L", TRUE, TRUE },
	{ "\xc3\x96L*", "\xc3\xb6l", FALSE, TRUE },
	{ "\xd0\xa1\xd0\x9f\xd0\x90", "\xd1\x81\xd0\xbf\xd0\xb0", FALSE, TRUE },
	{ "\xd1\x81\xd0\xbf\xd0\xb0", "\xd0\xa1\xd0\xbf\xd0\xb0", FALSE, TRUE },
	{ "\xce\xa3*\xce\xa3", "\xcf\x83\xce\xb1\xcf\x82", FALSE, TRUE },
	{ "\xcf\x82", "\xcf\x83", FALSE, TRUE },
	/* U+00D6 is not O and U+0308, in any case */
	{ "\xc3\x96", "O\xcc\x88", FALSE, FALSE },
	{ "\xc3\x96", "o\xcc\x88", FALSE, FALSE },
	{ "O\xcc\x88*", "o\xcc\x88", FALSE, TRUE },
	/* U+00DF is not ss */
	{ "Stra\303\237e", "STRASSE", FALSE, FALSE },
	/* a star takes whole characters or none */
	{ "*\xb6", "\xc3\xb6", TRUE, FALSE },
	/* modified UTF-7 */
	{ "Gel&APY-schte *", "Gel\xc3\xb6schte Objekte", TRUE, TRUE },
	{ "Gel&APY-schte *", "GEL\xc3\x96SCHTE OBJEKTE", FALSE, TRUE },
	{ "Gel&APY-schte *", "Gel&APY-schte x", TRUE, TRUE },
	{ "R&D*", "R&D/Spam", TRUE, TRUE },
	{ "R&D*", "r&d/Spam", FALSE, TRUE },
	{ "R&-D*", "R&D/Spam", TRUE, TRUE },
	{ "&ACo-", "abc", FALSE, FALSE },
	{ "&*-", "&APY-", TRUE, TRUE },
	/* names that are no UTF-8 */
	{ "Spam*", "Spam\xff", TRUE, TRUE },
	{ "Spam", "Spam\xff", FALSE, FALSE },
	{ "Spam", "\xffSpam", FALSE, FALSE },
	{ "a*Spam", "a\xffSpam", TRUE, FALSE },
	{ "*Spam*", "Spam\xff", TRUE, TRUE },
	{ "*\xc3\xb6", "\xc3", FALSE, FALSE },
};

static void
check_pattern(const struct antispam_settings *set, const char *vname,
	      const char *prefix, bool expected, unsigned int idx)
{
	const struct row row = { .vname = vname, .prefix = prefix };
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;

	if (antispam_folder_map_init(set, &map, &error) < 0) {
		test_assert_idx(!expected && strstr(error, "UTF-8") != NULL,
				idx);
		return;
	}
	classify(map, &row, &match);
	test_assert_idx((match.class == UNSURE) == expected, idx);
	test_assert_idx(match.failed_setting == NULL, idx);
	antispam_folder_map_deinit(&map);
}

static void check_pattern_row(unsigned int i)
{
	const char *const *list = LIST(pattern_rows[i].pattern);
	const char *vname = pattern_rows[i].vname;
	const struct antispam_settings set = { .unsure_pattern = list };
	const struct antispam_settings icase_set = {
		.unsure_pattern_ignorecase = list,
	};
	const bool match = pattern_rows[i].match;

	check_pattern(&set, vname, NULL, match, i);
	if (*vname != '\0') {
		check_pattern(&set, t_strconcat("p\xc3\xb6/", vname, NULL),
			      "p\xc3\xb6/", match, i);
	}
	check_pattern(&icase_set, vname, NULL, pattern_rows[i].icase_match, i);
}

static void test_antispam_folder_pattern(void)
{
	unsigned int i;

	test_begin("antispam folder: patterns");
	for (i = 0; i < N_ELEMENTS(pattern_rows); i++) {
		T_BEGIN {
			check_pattern_row(i);
		} T_END;
	}
	test_end();
}

static const struct {
	const char *regex, *vname, *prefix;
	bool match;
} regex_rows[] = {
	{ "pam", "Spam/x", NULL, TRUE },
	{ "^pam", "Spam/x", NULL, FALSE },
	{ "^(Spam|Junk)$", "Junk", NULL, TRUE },
	{ "^(Spam|Junk)$", "Junk2", NULL, FALSE },
	{ "^(Spam|Junk)$", "junk", NULL, FALSE },
	{ "(?i)^\xc3\x96$", "\xc3\xb6", NULL, TRUE },
	{ "(?i)\xcf\x83$", "\xce\x91\xce\xa3", NULL, TRUE },
	{ "^.$", "\xc3\xb6", NULL, TRUE },
	{ "^\\w+$", "\xd0\xbf\xd0\xb0\xd0\xbc", NULL, TRUE },
	{ "\\x23", "a#b", NULL, TRUE },
	{ "^Spam$", "INBOX.Spam", "INBOX.", TRUE },
	{ "^INBOX\\.Spam$", "INBOX.Spam", "INBOX.", TRUE },
	{ "^Spam$", "INBOX.Spam", "", FALSE },
	{ "^$", "INBOX.", "INBOX.", FALSE },
	{ "^(a)(b)(c)\\3\\2\\1$", "abccba", NULL, TRUE },
	{ "(?<=x)Spam", "xSpam", NULL, TRUE },
	{ "(?C1)Spam", "xSpam", NULL, TRUE },
	{ "Spam", "\xff\xfeSpam\xff", NULL, TRUE },
	{ "a.b", "a\377b", NULL, FALSE },
	{ "&APY-", "\xc3\xb6", NULL, FALSE },
};

static void check_regex(const char *regex, const char *vname,
			const char *prefix, bool match, unsigned int idx)
{
	const struct antispam_settings set = { .unsure_regex = regex };

	check_pattern(&set, vname, prefix, match, idx);
}

static void test_antispam_folder_regex(void)
{
	unsigned int i;

	test_begin("antispam folder: regex");
	for (i = 0; i < N_ELEMENTS(regex_rows); i++) {
		check_regex(regex_rows[i].regex, regex_rows[i].vname,
			    regex_rows[i].prefix, regex_rows[i].match, i);
	}
	test_end();
}

static const struct error_row {
	struct antispam_settings set;
	/* The error's beginning, and what it says. */
	const char *value, *problem;
} error_rows[] = {
	ROW(.set = { .spam = LIST("A", "\\Spam") },
	    .value = "antispam_spam = \\Spam: ",
	    .problem = "\\All \\Archive \\Drafts \\Flagged \\Important "
		       "\\Junk \\Sent \\Trash"),
	ROW(.set = { .trash = LIST("\\") },
	    .value = "antispam_trash = \\: ", .problem = "\\Trash"),
	ROW(.set = { .unsure = LIST("\\Trash ") },
	    .value = "antispam_unsure = \\Trash : ", .problem = "\\Trash"),
	ROW(.set = { .spam_regex = "Sp(am" },
	    .value = "antispam_spam_regex = Sp(am: ",
	    .problem = "missing closing parenthesis at offset 5"),
	ROW(.set = { .trash_regex = "*" },
	    .value = "antispam_trash_regex = *: ", .problem = "at offset 0"),
	ROW(.set = { .unsure_regex = "[" },
	    .value = "antispam_unsure_regex = [: ", .problem = "at offset 1"),
	ROW(.set = { .unsure_regex = "\\C" },
	    .value = "antispam_unsure_regex = \\C: ", .problem = "\\C is"),
	ROW(.set = { .spam_regex = "a\xff" },
	    .value = "antispam_spam_regex = a", .problem = "UTF-8"),
	ROW(.set = { .spam_pattern_ignorecase = LIST("\xff*") },
	    .value = "antispam_spam_pattern_ignorecase = ",
	    .problem = "write it in UTF-8"),
};

static void check_error(const struct error_row *row, unsigned int idx)
{
	struct antispam_folder_map *map;
	const char *error = "";

	test_assert_idx(antispam_folder_map_init(&row->set, &map, &error) == -1,
			idx);
	test_assert_idx(strncmp(error, row->value, strlen(row->value)) == 0,
			idx);
	test_assert_idx(strstr(error, row->problem) != NULL, idx);
}

static void test_antispam_folder_error(void)
{
	struct antispam_folder_map *map = NULL;
	unsigned int i;

	test_begin("antispam folder: wrong settings");
	for (i = 0; i < N_ELEMENTS(error_rows); i++)
		check_error(&error_rows[i], i);

	antispam_folder_map_deinit(&map);
	test_assert(map == NULL);
	test_end();
}

static void test_antispam_folder_copies(void)
{
	char *name = i_strdup("Spam");
	const char *list[] = { name, NULL };
	struct antispam_settings set = { .spam = list };
	const struct row row = { .vname = "Spam" };
	struct antispam_folder_map *map;
	struct antispam_folder_match match;
	const char *error;

	test_begin("antispam folder: map outlives the settings");
	test_assert(antispam_folder_map_init(&set, &map, &error) == 0);
	memset(name, 'x', strlen(name));
	i_free(name);
	i_zero(&set);
	list[0] = NULL;
	classify(map, &row, &match);
	test_assert(match.class == SPAM);
	test_assert_strcmp(match.entry, "Spam");
	antispam_folder_map_deinit(&map);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_antispam_folder_default,
		test_antispam_folder_name,
		test_antispam_folder_overlap,
		test_antispam_folder_pattern,
		test_antispam_folder_regex,
		test_antispam_folder_error,
		test_antispam_folder_copies,
		NULL
	};

	return test_run(tests);
}
