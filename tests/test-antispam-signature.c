/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Which value of a header is a signature, whatever a sender has put there. */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-signature.h"

/* The real ones are linked: their defaults are what is tested. */
extern const struct antispam_backend antispam_backend_dspam;
extern const struct antispam_backend antispam_backend_crm114;

static const struct antispam_settings no_settings;

static struct antispam_signature_rule *
rule_create(pool_t pool, const struct antispam_backend *backend,
	    const char *regex)
{
	const struct antispam_settings set = { .signature_regex = regex };
	struct antispam_signature_rule *rule;
	const char *error;

	if (antispam_signature_rule_init(pool, &set, backend, &rule,
					 &error) < 0)
		i_fatal("%s", error);
	return rule;
}

/* One printable line, not much of the header in it. */
static void check_why(const char *why, unsigned int row)
{
	const char *p;

	test_assert_idx(why != NULL && *why != '\0', row);
	test_assert_idx(strlen(why) < 80 + 100, row);
	for (p = why; *p != '\0'; p++)
		test_assert_idx(*p >= ' ' && *p < 0x7f, row);
}

/* expected: NULL = invalid */
static void
check_value(const struct antispam_signature_rule *rule, const char *value,
	    const char *expected, unsigned int row)
{
	const char *const values[] = { value, NULL };
	const char *signature = NULL, *why = NULL;
	enum antispam_signature_result result;

	result = antispam_signature_choose(rule, values, &signature, &why);
	if (expected == NULL) {
		test_assert_idx(result == ANTISPAM_SIGNATURE_INVALID, row);
		test_assert_idx(signature == NULL, row);
		check_why(why, row);
		return;
	}
	test_assert_idx(result == ANTISPAM_SIGNATURE_FOUND, row);
	test_assert_idx(why == NULL, row);
	test_assert_idx(null_strcmp(signature, expected) == 0, row);
}

#define HASH "6a1f2c3d4b5e6f7081920"
#define SFID "sfid-20261121_073245_164990_717D4C6E"
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static void test_signature_general(void)
{
	static const struct {
		const char *value, *expected;
	} tests[] = {
		{ HASH, HASH },
		{ "1,abc", "1,abc" },
		{ "A", "A" },
		{ "a.b_c,d:e@f+g-h", "a.b_c,d:e@f+g-h" },
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "01234",
		  FIFTY FIFTY FIFTY FIFTY FIFTY "01234" },
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "012345", NULL },
		/* blanks and folding around it */
		{ " " HASH, HASH },
		{ "\t " HASH " \t", HASH },
		{ "\n\t" HASH, HASH },
		{ "\r\n " HASH "\r\n", HASH },
		{ "\r\n \r\n " HASH, HASH },
		/* within it */
		{ "6a1f 2c3d", NULL },
		{ "6a1f\n 2c3d", NULL },
		{ "6a1f\r\n\t2c3d", NULL },
		{ "6a1f\n2c3d", NULL },
		{ "6a1f\t2c3d", NULL },
		{ HASH "\v", NULL },
		{ HASH "\f", NULL },
		{ HASH "\x01", NULL },
		{ HASH "\x7f", NULL },
		{ "\x1b[2J" HASH, NULL },
		{ HASH "\xc2\xa0", NULL },
		{ "\xe2\x80\xae" HASH, NULL },
		{ "\x80", NULL },
		{ "\xff\xfe", NULL },
		/* nothing */
		{ "", NULL },
		{ " ", NULL },
		{ "\r\n ", NULL },
		/* options */
		{ "-", NULL },
		{ "-rf", NULL },
		{ "--class=innocent", NULL },
		{ "+x", NULL },
		/* paths */
		{ ".", NULL },
		{ "..", NULL },
		{ "...", NULL },
		{ "a..b", NULL },
		{ "a..", NULL },
		{ "a.b.c.", "a.b.c." },
		{ "../../x", NULL },
		{ "/etc/passwd", NULL },
		{ "a/b", NULL },
		{ "a\\b", NULL },
		/* shells */
		{ "x;touch${IFS}pwned", NULL },
		{ "x$(id)", NULL },
		{ "x`id`", NULL },
		{ "x|id", NULL },
		{ "x&id", NULL },
		{ "x>y", NULL },
		{ "x'", NULL },
		{ "x\"", NULL },
		{ "x*", NULL },
		{ "x?", NULL },
		{ "x~", NULL },
		{ "x#", NULL },
		{ "x!", NULL },
		{ "x{a,b}", NULL },
		{ "x[a]", NULL },
		{ "x(a)", NULL },
		{ "x<y", NULL },
		{ "x%n", NULL },
		{ "x=y", NULL },
		{ "x^", NULL },
		/* encoded words, comments, parameters */
		{ "=?utf-8?q?" HASH "?=", NULL },
		{ "=?utf-8?b?Nmex?=", NULL },
		{ HASH " (comment)", NULL },
		{ HASH "; x=y", NULL },
		{ "<" HASH ">", NULL },
		{ "\"" HASH "\"", NULL },
	};
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	unsigned int i;

	test_begin("signature: default of antispam_signature_regex");
	rule = rule_create(pool, &antispam_backend_dspam, NULL);
	test_assert_strcmp(antispam_signature_rule_header(rule),
			   "X-DSPAM-Signature");
	for (i = 0; i < N_ELEMENTS(tests); i++)
		check_value(rule, tests[i].value, tests[i].expected, i);
	pool_unref(&pool);
	test_end();
}

static void test_signature_crm114(void)
{
	static const struct {
		const char *value, *expected;
	} tests[] = {
		{ SFID, SFID },
		/* mailreaver.crm has a blank behind it */
		{ SFID " ", SFID },
		{ "sfid-20200101_000000_1_A", "sfid-20200101_000000_1_A" },
		{ "sfid-20200101_000000_123456_0123456789ABCDEF",
		  "sfid-20200101_000000_123456_0123456789ABCDEF" },
		{ "sfid-20200101_000000_123456_0123456789ABCDEF0", NULL },
		{ "sfid-20200101_000000_1_a", NULL },
		{ "sfid-20200101_000000_1_", NULL },
		{ "sfid-20200101_000000__A", NULL },
		{ "sfid-2020010_000000_1_A", NULL },
		{ "20200101_000000_1_A", NULL },
		{ "sfid-x", NULL },
		{ "xsfid-20200101_000000_1_A", NULL },
		{ "sfid-20200101_000000_1_A;id", NULL },
		{ "sfid-20200101_000000_1_A\n", "sfid-20200101_000000_1_A" },
		{ "sfid-20200101_000000_1_A\n;id", NULL },
		{ HASH, NULL },
	};
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	unsigned int i;

	test_begin("signature: default of crm114");
	rule = rule_create(pool, &antispam_backend_crm114, NULL);
	test_assert_strcmp(antispam_signature_rule_header(rule),
			   "X-CRM114-CacheID");
	for (i = 0; i < N_ELEMENTS(tests); i++)
		check_value(rule, tests[i].value, tests[i].expected, i);
	/* what the admin writes counts */
	rule = rule_create(pool, &antispam_backend_crm114, "[a-z]+");
	check_value(rule, "abc", "abc", 0);
	check_value(rule, SFID, NULL, 1);
	pool_unref(&pool);
	test_end();
}

/* What would mean something to the shell of mailreaver.crm, or become a file
   name of dspam's, gets past no expression. */
static void test_signature_hostile(void)
{
	static const char *const values[] = {
		"sfid-x;touch${IFS}../pwned",
		"sfid-x;touch ../pwned",
		"sfid-$(touch${IFS}../pwned)",
		"sfid-`touch${IFS}../pwned`",
		"sfid-x|touch ../pwned",
		"sfid-x&touch ../pwned",
		"sfid->../pwned",
		"sfid-x\ttouch",
		"sfid-x\ntouch",
		"sfid-x\r\n touch",
		"sfid-*",
		"sfid-~",
		"sfid-'",
		"sfid-\"",
		"sfid-\\",
		"sfid-#",
		"sfid-{a,b}",
		"sfid-[a]",
		"sfid-?",
		"sfid-!",
		"sfid-%s",
		"sfid-a=b",
		"sfid-\x80",
		"sfid-/etc/passwd",
		"sfid-..",
		"../bob.sig/x",
		"..",
		"a/b",
		"/etc/passwd",
		"a..b",
		"$(touch pwned)",
		"`touch pwned`",
		"x;touch pwned",
		"x;touch${IFS}pwned",
		"x --class=innocent",
		"--class=innocent",
		"=?utf-8?q?x?=",
		"%s%n%u",
		"*",
		"'\"\\",
		"",
		" ",
	};
	static const char *const regexes[] = { NULL, "(?s).*", "[^a]+|.+" };
	const struct antispam_backend *const backends[] = {
		&antispam_backend_dspam, &antispam_backend_crm114
	};
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	unsigned int i, j;

	test_begin("signature: hostile values");
	for (i = 0; i < N_ELEMENTS(regexes) * N_ELEMENTS(backends); i++) {
		rule = rule_create(pool, backends[i % N_ELEMENTS(backends)],
				   regexes[i / N_ELEMENTS(backends)]);
		for (j = 0; j < N_ELEMENTS(values); j++)
			check_value(rule, values[j], NULL, i * 100 + j);
	}
	pool_unref(&pool);
	test_end();
}

/* Each byte alone and within a signature. */
static void test_signature_bytes(void)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789._,:@+-";
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	unsigned int c;

	test_begin("signature: each byte");
	rule = rule_create(pool, &antispam_backend_dspam, "(?s).*");
	for (c = 1; c <= UCHAR_MAX; c++) {
		const char within[] = { 'a', (char)c, 'b', '\0' };
		const char alone[] = { (char)c, '\0' };
		const bool is_safe = strchr(safe, c) != NULL;

		check_value(rule, within, is_safe ? within : NULL, c);
		check_value(rule, alone, is_safe ? alone : NULL, 1000 + c);
	}
	pool_unref(&pool);
	test_end();
}

/* The last one counts. */
static void test_signature_several(void)
{
	static const struct {
		const char *values[5];
		enum antispam_signature_result result;
		const char *expected;
	} tests[] = {
		{ { NULL }, ANTISPAM_SIGNATURE_MISSING, NULL },
		{ { "a", "b", NULL }, ANTISPAM_SIGNATURE_FOUND, "b" },
		{ { "a", "b", "c", "d", NULL }, ANTISPAM_SIGNATURE_FOUND, "d" },
		{ { "-", "b", NULL }, ANTISPAM_SIGNATURE_FOUND, "b" },
		{ { "a", "-", NULL }, ANTISPAM_SIGNATURE_INVALID, NULL },
		{ { "a", "", NULL }, ANTISPAM_SIGNATURE_INVALID, NULL },
		{ { "", "b", NULL }, ANTISPAM_SIGNATURE_FOUND, "b" },
		{ { "a", "a", NULL }, ANTISPAM_SIGNATURE_FOUND, "a" },
	};
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	enum antispam_signature_result result;
	const char *signature, *why;
	unsigned int i;

	test_begin("signature: several headers");
	rule = rule_create(pool, &antispam_backend_dspam, NULL);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		signature = NULL;
		result = antispam_signature_choose(rule, tests[i].values,
						   &signature, &why);
		test_assert_idx(result == tests[i].result, i);
		test_assert_strcmp_idx(signature, tests[i].expected, i);
	}
	pool_unref(&pool);
	test_end();
}

static char *repeat(pool_t pool, char c, unsigned int count)
{
	char *str = p_malloc(pool, count + 1);

	memset(str, c, count);
	return str;
}

/* 200 kB of whatever. */
static void test_signature_huge(void)
{
	static const char chars[] = "a. \n\t\r-\x01\x80;";
	struct antispam_signature_rule *rules[3];
	pool_t pool = pool_alloconly_create("test", 1024 * 1024);
	const unsigned int size = 200 * 1024;
	unsigned int i, j;
	char *str;

	test_begin("signature: 200 kB");
	rules[0] = rule_create(pool, &antispam_backend_dspam, NULL);
	rules[1] = rule_create(pool, &antispam_backend_crm114, NULL);
	rules[2] = rule_create(pool, &antispam_backend_dspam, ".*");
	for (i = 0; i < N_ELEMENTS(rules); i++) {
		for (j = 0; chars[j] != '\0'; j++) {
			str = repeat(pool, chars[j], size);
			check_value(rules[i], str, NULL, i * 100 + j);
			str[size - 1] = 'x';
			if (j < 2 || j > 5) {
				check_value(rules[i], str, NULL, i * 100 + j);
				continue;
			}
			/* blanks may be of any length */
			check_value(rules[i], str, i == 1 ? NULL : "x",
				    i * 100 + j);
			str[0] = 'x';
			check_value(rules[i], str, NULL, i * 100 + j);
		}
	}
	pool_unref(&pool);
	test_end();
}

/* The admin's own expression: the whole value must match, and what no
   signature may have stays out; it can't take for ever. */
static void test_signature_regex(void)
{
	static const struct {
		const char *regex, *value;
		bool valid;
	} tests[] = {
		{ "[0-9a-f]+", "0a1f", TRUE },
		{ "[0-9a-f]+", "0a1f;", FALSE },
		{ "[0-9a-f]+", ";0a1f", FALSE },
		{ "^[0-9a-f]+", "0a1f;", FALSE },
		{ "[0-9a-f]+$", ";0a1f", FALSE },
		{ "a|ab", "ab", TRUE },
		{ "^([0-9]+,)?[0-9a-f]{10,40}$", "12,0123456789", TRUE },
		{ "^([0-9]+,)?[0-9a-f]{10,40}$", "0123456789", TRUE },
		{ "^([0-9]+,)?[0-9a-f]{10,40}$", "x0123456789", FALSE },
		{ "(?s).*", "a.b_c,d:e@f+g-h", TRUE },
		{ "(?s).*", "-", TRUE },
		{ "a;b", "a;b", FALSE },
		{ "(?s).*", "a;b/c=d", FALSE },
		{ "(?s).*", "a b", FALSE },
		{ "(?s).*", "a\nb", FALSE },
		{ "(?s).*", "a\x80", FALSE },
		{ "(?s).*", "a/../b", FALSE },
		{ "(?s).*", "", FALSE },
		/* each of these would take years */
		{ "(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
		  FALSE },
		{ "((a*)*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  FALSE },
		{ "(?:(?:a|a?)+)+;", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  FALSE },
		{ "(?R)?a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
		  FALSE },
	};
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	unsigned int i;

	test_begin("signature: antispam_signature_regex");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		rule = rule_create(pool, &antispam_backend_dspam,
				   tests[i].regex);
		check_value(rule, tests[i].value,
			    tests[i].valid ? tests[i].value : NULL, i);
	}
	pool_unref(&pool);
	test_end();
}

static void test_signature_errors(void)
{
	static const struct {
		struct antispam_settings set;
		const char *error;
	} tests[] = {
		{ { .signature_regex = "a(b" },
		  "antispam_signature_regex = a(b: " },
		{ { .signature_regex = "*" },
		  "antispam_signature_regex = *: " },
		{ { .signature_regex = "(*UTF)a" },
		  "antispam_signature_regex = (*UTF)a: " },
		{ { .signature_regex = "[z-a]\n" },
		  "antispam_signature_regex = [z-a]?: " },
		{ { .signature = "X-DSPAM-Signature:" },
		  "antispam_signature = X-DSPAM-Signature:: not the name of a "
		  "header; write it without blanks and ':', as "
		  "X-DSPAM-Signature" },
		{ { .signature = "X Y" }, "antispam_signature = X Y: " },
		{ { .signature = "X\nY" }, "antispam_signature = X?Y: " },
		{ { .signature = "\xc3\xa4" }, "antispam_signature = " },
	};
	const struct antispam_settings named = { .signature = "X-Other" };
	struct antispam_signature_rule *rule;
	pool_t pool = pool_alloconly_create("test", 4096);
	const char *error;
	unsigned int i;
	int ret;

	test_begin("signature: wrong settings");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		error = NULL;
		ret = antispam_signature_rule_init(pool, &tests[i].set,
						   &antispam_backend_dspam,
						   &rule, &error);
		test_assert_idx(ret == -1 && error != NULL, i);
		test_assert_idx(strncmp(error, tests[i].error,
					strlen(tests[i].error)) == 0,
				i);
		test_assert_idx(strchr(error, '\n') == NULL, i);
	}
	test_assert(antispam_signature_rule_init(pool, &named,
						 &antispam_backend_dspam, &rule,
						 &error) == 0);
	test_assert_strcmp(antispam_signature_rule_header(rule), "X-Other");
	test_assert(antispam_signature_rule_init(pool, &no_settings,
						 &antispam_backend_crm114,
						 &rule, &error) == 0);
	pool_unref(&pool);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_signature_general,
		test_signature_crm114,
		test_signature_hostile,
		test_signature_bytes,
		test_signature_several,
		test_signature_huge,
		test_signature_regex,
		test_signature_errors,
		NULL
	};

	return test_run(tests);
}
