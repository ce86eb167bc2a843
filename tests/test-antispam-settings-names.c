/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "test-common.h"
#include "antispam-settings.h"

static const struct {
	const char *name;
	/* NULL = ours; "" = none to suggest. */
	const char *suggestion;
} name_rows[] = {
	{ "antispam_spam", NULL },
	{ "antispam_backend", NULL },
	{ "antispam_unsure_pattern_ignorecase", NULL },
	{ "antispam_mail_sendmail", NULL },
	{ "antispam_mail_tmpdir", NULL },
	{ "antispam_verbose_debug", NULL },
	{ "antispam_spma", "antispam_spam" },
	{ "antispam_span", "antispam_spam" },
	{ "antispam_Spam", "antispam_spam" },
	{ "antispam_spams", "antispam_spam" },
	{ "antispam_trahs", "antispam_trash" },
	{ "antispam_backed", "antispam_backend" },
	{ "antispam_spam_patern_ignore_case",
	  "antispam_spam_pattern_ignorecase" },
	{ "antispam_mail_senmdail", "antispam_mail_sendmail" },
	{ "antispam_pipe_programm_args", "antispam_pipe_program_args" },
	{ "antispam_foo", "" },
	{ "antispam_", "" },
	{ "antispam", "" },
	{ "spam_x_y_z", "" },
	{ "", "" },
	{ "antispam_unsure_pattern_ignorecase_unsure_pattern_ignorecase_"
	  "unsure_pattern_ignorecase_unsure_pattern_ignorecase",
	  "" },
};

static void check_name(const char *name, const char *suggestion,
		       unsigned int idx)
{
	const char *sentence;

	test_assert_idx(antispam_settings_has(name) == (suggestion == NULL),
			idx);
	if (suggestion == NULL)
		return;
	sentence = antispam_settings_unknown(name);
	test_assert_idx(strstr(sentence, name) != NULL, idx);
	test_assert_idx(strstr(sentence, "antispam(7)") != NULL, idx);
	if (*suggestion == '\0') {
		test_assert_idx(strstr(sentence, "did you mean") == NULL, idx);
	} else {
		suggestion = t_strconcat("mean ", suggestion, "?", NULL);
		test_assert_idx(strstr(sentence, suggestion) != NULL, idx);
	}
}

static void test_antispam_settings_names(void)
{
	unsigned int i;

	test_begin("antispam settings: names");
	for (i = 0; i < N_ELEMENTS(name_rows); i++)
		check_name(name_rows[i].name, name_rows[i].suggestion, i);
	/* without the prefix it is another's */
	test_assert(!antispam_settings_has("spam"));
	test_assert(!antispam_settings_has("xantispam_spam"));
	test_assert(strchr(antispam_settings_unknown("antispam_a\nb"), '\n') ==
		    NULL);
	test_end();
}

static const struct {
	const char *field;
	/* NULL: a user may have it */
	const char *name;
} field_rows[] = {
	{ "uid=1000", NULL },
	{ "", NULL },
	{ "=", NULL },
	{ "/", NULL },
	{ "antispam_backend=pipe", NULL },
	{ "antispam_training=queued", NULL },
	{ "plugin/antispam_training=queued", NULL },
	{ "x=antispam_queue_dir=/q", NULL },
	{ "x=/antispam_queue_dir", NULL },
	{ "queue_dir=/q", NULL },
	{ "antispam_queue_dirs=/q", NULL },
	{ "antispam_queue_dir=/q", "antispam_queue_dir" },
	{ "antispam_queue_dir=", "antispam_queue_dir" },
	{ "antispam_queue_dir", "antispam_queue_dir" },
	{ "plugin/antispam_queue_dir=/q", "antispam_queue_dir" },
	{ "protocol/imap/antispam_queue_delay=1 s", "antispam_queue_delay" },
	{ "antispam_queue_lifetime+=1 d", "antispam_queue_lifetime" },
	{ "antispam_trainer_max_children=2", "antispam_trainer_max_children" },
	{ "antispam_trainer_vsz_limit=2 G", "antispam_trainer_vsz_limit" },
};

static void check_field(unsigned int i)
{
	const char *const fields[] = {
		"uid=1000", field_rows[i].field, "gid=1000", NULL
	};
	const int ret = field_rows[i].name == NULL ? 0 : -1;
	const char *error = NULL, *wanted = NULL;

	if (field_rows[i].name != NULL) {
		wanted = t_strconcat(field_rows[i].name,
				     ": can't be set per user; write it in the "
				     "configuration file",
				     NULL);
	}
	test_assert_idx(antispam_settings_check_fields(fields, &error) == ret,
			i);
	test_assert_strcmp_idx(error, wanted, i);
}

static void test_antispam_settings_fields(void)
{
	static const char *const none[] = { NULL };
	const char *error;
	unsigned int i;

	test_begin("antispam settings: fields of a user");
	for (i = 0; i < N_ELEMENTS(field_rows); i++)
		check_field(i);
	test_assert(antispam_settings_check_fields(none, &error) == 0);
	test_assert(antispam_settings_check_fields(NULL, &error) == 0);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_antispam_settings_names,
		test_antispam_settings_fields,
		NULL
	};

	return test_run(tests);
}
