/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "test-common.h"
#include "antispam-settings.h"
#include "antispam-transition.h"

#define MAX_VALUES 6

/* What the user brings, for %u. "%x" can't be expanded, "%w" warns, "%2" warns
   otherwise; "%%" is '%'. */
struct fake {
	/* Up to the first without a name. */
	struct {
		const char *name, *value;
	} values[MAX_VALUES];
	const char *user;
	enum antispam_expand last_how;
};

static const char *fake_get(void *context, const char *name)
{
	const struct fake *fake = context;
	unsigned int i;

	for (i = 0; fake->values[i].name != NULL; i++) {
		if (strcmp(fake->values[i].name, name) == 0)
			return fake->values[i].value;
	}
	return NULL;
}

static const char *fake_user(const struct fake *fake, enum antispam_expand how)
{
	if (how == ANTISPAM_EXPAND_PLAIN)
		return fake->user;
	return antispam_settings_encode_user(fake->user);
}

static int
fake_expand(void *context, enum antispam_expand how, const char *raw,
	    const char **value_r, const char **warning_r, const char **error_r)
{
	struct fake *fake = context;
	string_t *str = t_str_new(64);
	const char *p;

	fake->last_how = how;
	for (p = raw; *p != '\0'; p++) {
		if (*p != '%') {
			str_append_c(str, *p);
			continue;
		}
		switch (*++p) {
		case '%':
			str_append_c(str, '%');
			break;
		case 'u':
			str_append(str, fake_user(fake, how));
			break;
		case 'w':
			*warning_r = "write %{w}";
			break;
		case '2':
			*warning_r = "write %{2}";
			break;
		default:
			*error_r = "no such variable";
			return -1;
		}
	}
	*value_r = str_c(str);
	return 0;
}

static int
fake_parse(struct fake *fake, pool_t pool,
	   const struct antispam_settings **set_r, const char **error_r)
{
	const struct antispam_settings_source source = {
		.get = fake_get,
		.expand = fake_expand,
		.context = fake,
	};

	*error_r = NULL;
	return antispam_settings_parse(pool, &source, set_r, error_r);
}

/* Parse what can't fail. */
static const struct antispam_settings *
must_parse(struct fake *fake, pool_t pool, unsigned int idx)
{
	const struct antispam_settings *set;
	const char *error;

	if (fake_parse(fake, pool, &set, &error) == 0)
		return set;
	test_assert_strcmp_idx(error, NULL, idx);
	return NULL;
}

static pool_t test_pool(void)
{
	return pool_alloconly_create("test antispam settings", 2048);
}

static void test_antispam_settings_default(void)
{
	struct fake fake = { .user = "u" };
	const struct antispam_settings *set;
	pool_t pool = test_pool();

	test_begin("antispam settings: defaults");
	set = must_parse(&fake, pool, 0);
	if (set != NULL) {
		test_assert(set->backend == 0 && set->backend_name == NULL);
		test_assert(set->spam == NULL && set->spam_pattern == NULL);
		test_assert(set->spam_pattern_ignorecase == NULL);
		test_assert(set->spam_regex == NULL);
		test_assert(set->trash == NULL && set->trash_regex == NULL);
		test_assert(set->unsure == NULL && set->unsure_regex == NULL);
		test_assert(set->allow_append_to_spam == ANTISPAM_APPEND_NO);
		test_assert(set->training == ANTISPAM_TRAINING_INLINE);
		test_assert(set->timeout_msecs == 60000);
		test_assert(set->max_parallel == 4);
		test_assert(set->max_size == 0 && set->log_lessons);
		test_assert_strcmp(set->pipe_program, "/usr/sbin/sendmail");
		test_assert_strcmp(set->pipe_tmpdir, "/tmp");
		test_assert(set->pipe_program_args == NULL);
		test_assert(set->pipe_program_spam_arg == NULL);
		test_assert(set->spool2dir_spam == NULL);
		test_assert_strcmp(set->queue_dir, "/var/lib/dovecot/antispam");
		test_assert(set->queue_delay_msecs == 10000);
		test_assert(set->queue_lifetime_msecs == 5 * 86400 * 1000);
		test_assert(set->trainer_max_children == 2);
		test_assert(set->trainer_vsz_limit == 1024 * 1024 * 1024);
		test_assert(set->warnings != NULL && set->warnings[0] == NULL);
	}
	pool_unref(&pool);
	test_end();
}

static const struct {
	const char *raw, *user;
	/* Entries joined by '|'; NULL = not set. */
	const char *list;
} list_rows[] = {
	{ NULL, "u", NULL },
	{ "", "u", "" },
	{ " \t ", "u", "" },
	{ ";; ;", "u", "" },
	{ "a", "u", "a" },
	{ "a;b", "u", "a|b" },
	{ " a ;\tb c\t; ", "u", "a|b c" },
	{ ";a;;b;", "u", "a|b" },
	{ "SPAM;\\Junk", "u", "SPAM|\\Junk" },
	{ "a\nb;\"c d\"", "u", "a\nb|\"c d\"" },
	{ "\"a\" b;c \"d\" \"\\e", "u", "\"a\" b|c \"d\" \"\\e" },
	{ "yes;no", "u", "yes|no" },
	{ "yes;", "u", "yes" },
	{ "yess", "u", "yess" },
	/* the user's name adds and removes no entry */
	{ "--user=%u;x", "a;b", "--user=a;b|x" },
	{ "%u", "a;b;c", "a;b;c" },
	{ "%u", ";", ";" },
	{ "%u;x", " a ", " a |x" },
	{ "%u;x", "", "|x" },
	{ "%u", "yes", "yes" },
	{ "%u", "%u;%%", "%u;%%" },
	{ "a%%u;%%", "x", "a%u|%" },
	/* what the admin wrote with a dash stays an option */
	{ "-f;-%u;--x=%u", "-a", "-f|--a|--x=-a" },
	{ "x%u", "-a", "x-a" },
};

static void check_list(unsigned int i)
{
	struct fake fake = {
		.values = { { "antispam_pipe_program_args",
			      list_rows[i].raw } },
		.user = list_rows[i].user,
	};
	pool_t pool = test_pool();
	const struct antispam_settings *set = must_parse(&fake, pool, i);
	const char *list = NULL;

	if (set != NULL && set->pipe_program_args != NULL)
		list = t_strarray_join(set->pipe_program_args, "|");
	test_assert_strcmp_idx(list, list_rows[i].list, i);
	pool_unref(&pool);
}

static void test_antispam_settings_list(void)
{
	unsigned int i;

	test_begin("antispam settings: lists");
	for (i = 0; i < N_ELEMENTS(list_rows); i++)
		check_list(i);
	test_end();
}

/* Every type's values that are right; got is what the field holds, as text. */
static const struct {
	const char *name, *raw, *user, *got;
} value_rows[] = {
	{ "antispam_backend", "pipe", "u", "2 pipe" },
	{ "antispam_backend", " Spool2DIR\t", "u", "3 spool2dir" },
	{ "antispam_backend", "DSPAM-exec", "u", "7 dspam-exec" },
	{ "antispam_backend", "none", "u", "6 none" },
	{ "antispam_backend", "", "u", "0 " },
	{ "antispam_backend", "  ", "u", "0 " },
	{ "antispam_allow_append_to_spam", "no", "u", "0" },
	{ "antispam_allow_append_to_spam", "YES", "u", "1" },
	{ "antispam_allow_append_to_spam", "Quiet", "u", "2" },
	{ "antispam_training", "Inline", "u", "0" },
	{ "antispam_training", "queued", "u", "1" },
	{ "antispam_timeout", "1 s", "u", "1000" },
	{ "antispam_timeout", "2mins", "u", "120000" },
	{ "antispam_timeout", "500 ms", "u", "500" },
	{ "antispam_max_parallel", "1", "u", "1" },
	{ "antispam_max_parallel", " 100 ", "u", "100" },
	{ "antispam_max_parallel", "101", "u", "100" },
	{ "antispam_max_parallel", "4294967295", "u", "100" },
	{ "antispam_max_size", "0", "u", "0" },
	{ "antispam_max_size", "10 M", "u", "10485760" },
	{ "antispam_max_size", "5 GB", "u", "5368709120" },
	{ "antispam_log_lessons", "yes", "u", "1" },
	{ "antispam_log_lessons", "Y", "u", "1" },
	{ "antispam_log_lessons", "1", "u", "1" },
	{ "antispam_log_lessons", "NO", "u", "0" },
	{ "antispam_pipe_program", " /bin/a b\t", "u", "/bin/a b" },
	{ "antispam_pipe_program", "", "u", "/usr/sbin/sendmail" },
	{ "antispam_pipe_program", "/home/%u/x", "a;b", "/home/a;b/x" },
	{ "antispam_pipe_program_spam_arg", "", "u", "(null)" },
	{ "antispam_pipe_program_spam_arg", "--spam", "u", "--spam" },
	{ "antispam_pipe_program_spam_arg", "-%u", "-u", "--u" },
	{ "antispam_pipe_program_spam_arg", "spam+%u", "-u", "spam+-u" },
	{ "antispam_dspam_notspam", "", "u", "--class=innocent" },
	{ "antispam_dspam_notspam", "--x=%u", "-u", "--x=-u" },
	{ "antispam_spam_regex", "", "u", "" },
	{ "antispam_spam_regex", " ", "u", "" },
	{ "antispam_spam_regex", "a;b", "u", "a;b" },
	{ "antispam_spam_regex", "%u", "-u", "-u" },
	{ "antispam_spool2dir_spam", "", "u", "(null)" },
	{ "antispam_spool2dir_spam", "/s/%u", "a@b.c", "/s/a@b.c" },
	{ "antispam_spool2dir_spam", "/s/%u", "../x", "/s/\0012E.\0012Fx" },
	{ "antispam_spool2dir_spam", "/s/%%lu-%u", "..", "/s/%lu-\0012E." },
	{ "antispam_queue_dir", "/q", "u", "/q" },
	{ "antispam_queue_dir", " /var/spool/a b/..c//", "u",
	  "/var/spool/a b/..c" },
	{ "antispam_queue_dir", "", "u", "/var/lib/dovecot/antispam" },
	{ "antispam_queue_delay", "0", "u", "0" },
	{ "antispam_queue_delay", "0 s", "u", "0" },
	{ "antispam_queue_delay", "1 mins", "u", "60000" },
	{ "antispam_queue_lifetime", "49 days", "u", "4233600000" },
	{ "antispam_queue_lifetime", "1 s", "u", "1000" },
	{ "antispam_trainer_max_children", "1", "u", "1" },
	{ "antispam_trainer_max_children", "1000", "u", "100" },
	{ "antispam_trainer_vsz_limit", "0", "u", "0" },
	{ "antispam_trainer_vsz_limit", "32 M", "u", "33554432" },
	{ "antispam_trainer_vsz_limit", "4G", "u", "4294967296" },
};

static const char *
value_text(const struct antispam_settings *set, const char *name)
{
	const char *backend = t_strconcat(dec2str(set->backend), " ",
					  set->backend_name, NULL);
	const struct {
		const char *name, *text;
	} fields[] = {
		{ "backend", backend },
		{ "allow_append_to_spam", dec2str(set->allow_append_to_spam) },
		{ "training", dec2str(set->training) },
		{ "timeout", dec2str(set->timeout_msecs) },
		{ "max_parallel", dec2str(set->max_parallel) },
		{ "max_size", dec2str(set->max_size) },
		{ "log_lessons", set->log_lessons ? "1" : "0" },
		{ "pipe_program", set->pipe_program },
		{ "pipe_program_spam_arg", set->pipe_program_spam_arg },
		{ "dspam_notspam", set->dspam_notspam },
		{ "spam_regex", set->spam_regex },
		{ "spool2dir_spam", set->spool2dir_spam },
		{ "queue_dir", set->queue_dir },
		{ "queue_delay", dec2str(set->queue_delay_msecs) },
		{ "queue_lifetime", dec2str(set->queue_lifetime_msecs) },
		{ "trainer_max_children",
		  dec2str(set->trainer_max_children) },
		{ "trainer_vsz_limit", dec2str(set->trainer_vsz_limit) },
	};
	unsigned int i;

	for (i = 0; strcmp(fields[i].name, strchr(name, '_') + 1) != 0; i++)
		i_assert(i + 1 < N_ELEMENTS(fields));
	return fields[i].text == NULL ? "(null)" : fields[i].text;
}

static void check_value(unsigned int i)
{
	const char *name = value_rows[i].name;
	struct fake fake = {
		.values = { { name, value_rows[i].raw } },
		.user = value_rows[i].user,
	};
	pool_t pool = test_pool();
	const struct antispam_settings *set = must_parse(&fake, pool, i);

	if (set != NULL) {
		test_assert_strcmp_idx(value_text(set, name), value_rows[i].got,
				       i);
	}
	pool_unref(&pool);
}

static void test_antispam_settings_value(void)
{
	unsigned int i;

	test_begin("antispam settings: values");
	for (i = 0; i < N_ELEMENTS(value_rows); i++)
		check_value(i);
	test_end();
}

static const struct {
	const char *name, *raw, *user;
	/* Of the error, which begins with "name = raw: ". */
	const char *problem;
} error_rows[] = {
	{ "antispam_spam", "yes", "u", "a;b" },
	{ "antispam_spam", "No", "u", "a;b" },
	{ "antispam_pipe_program_args", "YES", "u", "a;b" },
	/* words: Dovecot has taken the outer quotes away */
	{ "antispam_spam", "A\" \"B", "u", "without quotes, as a;b" },
	{ "antispam_trash", "A\";\"B", "u", "without quotes, as a;b" },
	{ "antispam_pipe_program_args", "a\"\t\"b", "u", "without quotes" },
	{ "antispam_unsure_pattern", "\"A\" B", "u", "without quotes" },
	{ "antispam_spam", "C;A \"B C\"", "u", "without quotes, as a;b" },
	{ "antispam_spam", "SPAM\t\\Junk", "u", "without quotes, as a;b" },
	{ "antispam_pipe_program_args", "%u", "-x", "--user=%u" },
	{ "antispam_pipe_program_args", "%u", "-", "--user=%u" },
	{ "antispam_pipe_program_spam_args", "%u@x", "-x", "--user=%u" },
	{ "antispam_pipe_program_spam_arg", "%u", "-x", "--user=%u" },
	{ "antispam_pipe_program_notspam_arg", "%u", "-x", "--user=%u" },
	{ "antispam_mail_spam", "%u", "-x", "--user=%u" },
	{ "antispam_dspam_spam", "%u", "-x", "--user=%u" },
	{ "antispam_crm_notspam", "%u", "-x", "--user=%u" },
	{ "antispam_spam", "%x", "u", "no such variable" },
	{ "antispam_pipe_program", "%x", "u", "no such variable" },
	{ "antispam_spool2dir_spam", "%x", "u", "no such variable" },
	{ "antispam_spool2dir_spam", "/s/\x01", "u", "control character" },
	{ "antispam_spool2dir_notspam", "/s/\ta", "u", "control character" },
	{ "antispam_spool2dir_notspam", "/s/\x7f", "u", "control character" },
	{ "antispam_backend", "pipes", "u",
	  "write one of dspam, crm114, pipe, spool2dir, spamd, rspamd, none, "
	  "dspam-exec, crm114-exec, mailtrain, sendmail" },
	{ "antispam_backend", "dspam:crm114", "u", "one of dspam" },
	{ "antispam_training", "", "u", "one of inline, queued" },
	{ "antispam_training", "queue", "u", "one of inline, queued" },
	{ "antispam_allow_append_to_spam", "y", "u", "no, yes, quiet" },
	{ "antispam_log_lessons", "true", "u", "write yes or no" },
	{ "antispam_log_lessons", "n", "u", "write yes or no" },
	{ "antispam_log_lessons", "0", "u", "write yes or no" },
	{ "antispam_log_lessons", "", "u", "write yes or no" },
	{ "antispam_timeout", "0", "u", "60 s" },
	{ "antispam_timeout", "0 s", "u", "60 s" },
	{ "antispam_timeout", "60", "u", "60 s" },
	{ "antispam_timeout", "fast", "u", "60 s" },
	{ "antispam_timeout", "", "u", "60 s" },
	{ "antispam_timeout", "-1 s", "u", "60 s" },
	{ "antispam_timeout", "99999999999 s", "u", "60 s" },
	{ "antispam_max_size", "big", "u", "10 M" },
	{ "antispam_max_size", "", "u", "10 M" },
	{ "antispam_max_size", "-1", "u", "10 M" },
	{ "antispam_max_parallel", "0", "u", "at least 1" },
	{ "antispam_max_parallel", "-1", "u", "at least 1" },
	{ "antispam_max_parallel", "1.5", "u", "at least 1" },
	{ "antispam_max_parallel", "4294967296", "u", "at least 1" },
	{ "antispam_max_parallel", "", "u", "at least 1" },
	{ "antispam_queue_dir", "queue", "u", "from / on" },
	{ "antispam_queue_dir", "./queue", "u", "from / on" },
	{ "antispam_queue_dir", "/", "u", "from / on" },
	{ "antispam_queue_dir", "//", "u", "from / on" },
	{ "antispam_queue_dir", "/q/../r", "u", "without . and .." },
	{ "antispam_queue_dir", "/q/.", "u", "without . and .." },
	{ "antispam_queue_dir", "/q/%u", "u", "without %" },
	{ "antispam_queue_dir", "/q%%", "u", "without %" },
	{ "antispam_queue_delay", "10", "u", "60 s" },
	{ "antispam_queue_delay", "-1 s", "u", "60 s" },
	{ "antispam_queue_lifetime", "0 s", "u", "5 days" },
	{ "antispam_queue_lifetime", "50 days", "u", "60 s" },
	{ "antispam_trainer_max_children", "0", "u", "at least 1" },
	{ "antispam_trainer_vsz_limit", "1", "u", "1 G" },
	{ "antispam_trainer_vsz_limit", "33554431", "u", "at least 32 M" },
	{ "antispam_trainer_vsz_limit", "-1", "u", "10 M" },
};

static void check_error(unsigned int i)
{
	const char *name = error_rows[i].name;
	struct fake fake = {
		.values = { { name, error_rows[i].raw } },
		.user = error_rows[i].user,
	};
	const char *begin = t_strconcat(name, " = ", NULL);
	pool_t pool = test_pool();
	const struct antispam_settings *set;
	const char *error;

	test_assert_idx(fake_parse(&fake, pool, &set, &error) == -1, i);
	if (error == NULL)
		error = "";
	test_assert_idx(strncmp(error, begin, strlen(begin)) == 0, i);
	test_assert_idx(strstr(error, error_rows[i].problem) != NULL, i);
	test_assert_idx(strpbrk(error, "\x01\n\t") == NULL, i);
	pool_unref(&pool);
}

static void test_antispam_settings_error(void)
{
	unsigned int i;

	test_begin("antispam settings: wrong values");
	for (i = 0; i < N_ELEMENTS(error_rows); i++)
		check_error(i);
	test_end();
}

static const char *const both_warning =
	"both antispam_pipe_tmpdir and antispam_mail_tmpdir, an old name for "
	"it, are set: only the former is used; remove the latter";

static void test_antispam_settings_old(void)
{
	struct fake fake = {
		.values = {
			{ "antispam_mail_sendmail", "/old" },
			{ "antispam_mail_sendmail_args", "-a;-b" },
			{ "antispam_mail_tmpdir", "/old/tmp" },
			{ "antispam_pipe_tmpdir", "/new/tmp" },
			{ "antispam_mail_notspam", "" },
		},
		.user = "u",
	};
	const struct antispam_settings *set;
	pool_t pool = test_pool();

	test_begin("antispam settings: old names");
	set = must_parse(&fake, pool, 0);
	if (set != NULL) {
		test_assert_strcmp(set->pipe_program, "/old");
		test_assert_strcmp(t_strarray_join(set->pipe_program_args, "|"),
				   "-a|-b");
		test_assert_strcmp(set->pipe_tmpdir, "/new/tmp");
		test_assert_strcmp(set->pipe_program_notspam_arg, NULL);
		test_assert_strcmp(set->warnings[0], both_warning);
		test_assert(set->warnings[1] == NULL);
	}
	pool_unref(&pool);
	test_end();
}

static const char *const all_warnings =
	"write %{w}|antispam_max_parallel = 101: at most 100 processes run "
	"side by side; write 100|write %{2}";

static void test_antispam_settings_warnings(void)
{
	struct fake fake = {
		.values = {
			{ "antispam_spam", "a%w;b%w" },
			{ "antispam_trash", "%2%w" },
			{ "antispam_pipe_program", "%w/x" },
			{ "antispam_spool2dir_spam", "%2" },
			{ "antispam_max_parallel", "101" },
		},
		.user = "u",
	};
	const struct antispam_settings *set;
	pool_t pool = test_pool();

	test_begin("antispam settings: warnings");
	set = must_parse(&fake, pool, 0);
	if (set != NULL) {
		test_assert_strcmp(t_strarray_join(set->warnings, "|"),
				   all_warnings);
	}
	pool_unref(&pool);
	test_end();
}

static void test_antispam_settings_copies(void)
{
	char *value = i_strdup("a;\"b\"");
	struct fake fake = {
		.values = {
			{ "antispam_spam", value },
			{ "antispam_debug_target", "%x" },
		},
		.user = "u",
	};
	const struct antispam_settings *set;
	pool_t pool = test_pool();

	test_begin("antispam settings: copied to the pool");
	T_BEGIN {
		set = must_parse(&fake, pool, 0);
	} T_END;
	/* what lay on the data stack is no more */
	T_BEGIN {
		memset(t_malloc_no0(8192), 'x', 8192);
	} T_END;
	memset(value, 'x', strlen(value));
	i_free(value);
	if (set != NULL) {
		test_assert_strcmp(t_strarray_join(set->spam, "|"), "a|\"b\"");
		test_assert(fake.last_how == ANTISPAM_EXPAND_PLAIN);
	}
	pool_unref(&pool);
	test_end();
}

static const struct {
	const char *value, *encoded;
} encode_rows[] = {
	{ "", "" },
	{ "user@example.org", "user@example.org" },
	{ "aZ09@._+-", "aZ09@._+-" },
	{ ".", "\0012E" },
	{ "..", "\0012E." },
	{ ".a.b", "\0012Ea.b" },
	{ "../../etc", "\0012E.\0012F..\0012Fetc" },
	{ "a/b", "a\0012Fb" },
	{ "%\001", "\00125\00101" },
	{ "a;b c$(d)`e`|&",
	  "a\0013Bb\00120c\00124\00128d\00129\00160e\00160\0017C\00126" },
	{ "\xc3\xa4\n\x7f", "\001C3\001A4\0010A\0017F" },
	{ "-", "-" },
};

static void test_antispam_settings_encode(void)
{
	unsigned int i;

	test_begin("antispam settings: names of users in file names");
	for (i = 0; i < N_ELEMENTS(encode_rows); i++) {
		test_assert_strcmp_idx(
			antispam_settings_encode_user(encode_rows[i].value),
			encode_rows[i].encoded, i);
	}
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_antispam_settings_default,
		test_antispam_settings_list,
		test_antispam_settings_value,
		test_antispam_settings_error,
		test_antispam_settings_old,
		test_antispam_settings_warnings,
		test_antispam_settings_copies,
		test_antispam_settings_encode,
		NULL
	};

	return test_run(tests);
}
