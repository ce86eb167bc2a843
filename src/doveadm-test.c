/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* doveadm antispam test: hands one message to a user's filter, as that user and
   by the settings that an IMAP session of his has, and shows what it said. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "istream.h"
#include "lib-event.h"
#include "str.h"
#include "strescape.h"
#include "message-header-parser.h"
#include "write-full.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-print.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-job.h"
#include "antispam-signature.h"
#include "antispam-teacher.h"
#include "antispam-compat-doveadm.h"
#include "doveadm-child.h"
#include "doveadm-antispam.h"

#include <sys/mman.h>
#include <unistd.h>

/* Bytes of a From_ line; what is longer is none. */
#define TEST_FROM_LINE_MAX 1024
#define TEST_READ_SIZE (16 * 1024)
#define TEST_REPORT_FIELDS 4

struct test_cmd {
	struct doveadm_mail_cmd_context ctx;
	struct antispam_compat_imap *imap;
	bool spam, ham;
	/* A copy of the message, in memory; -1 = not yet. */
	int message_fd;
};

/* What the child does. */
struct test_task {
	const struct test_cmd *cmd;
	struct antispam_teacher teacher;
	struct antispam_signature_rule *signature_rule;
};

static const char *const result_names[] = {
	[ANTISPAM_LEARNED] = "learned",
	[ANTISPAM_KNOWN] = "known",
	[ANTISPAM_DECLINED] = "declined",
	[ANTISPAM_LATER] = "later",
	[ANTISPAM_BROKEN] = "broken",
};

static struct test_cmd *test_cmd(struct doveadm_mail_cmd_context *ctx)
{
	return container_of(ctx, struct test_cmd, ctx);
}

/* The message */

/* Nobody but the child needs it, and the file may be for root alone. */
static int test_prerun(struct doveadm_mail_cmd_context *ctx,
		       struct mail_storage_service_user *suser ATTR_UNUSED,
		       const char **error_r)
{
	struct test_cmd *cmd = test_cmd(ctx);
	struct istream *input = ctx->cmd_input;
	const unsigned char *data;
	size_t size;

	if (cmd->message_fd != -1)
		return 0;
	cmd->message_fd = memfd_create("antispam test", MFD_CLOEXEC);
	if (cmd->message_fd < 0) {
		*error_r = t_strdup_printf("memfd_create() failed: %m");
		return -1;
	}
	while (i_stream_read_more(input, &data, &size) > 0) {
		if (write_full(cmd->message_fd, data, size) < 0) {
			*error_r = t_strdup_printf("write() failed: %m");
			return -1;
		}
		i_stream_skip(input, size);
	}
	if (input->stream_errno != 0 || !input->eof) {
		*error_r = t_strdup_printf("read(%s) failed: %s",
					   i_stream_get_name(input),
					   i_stream_get_error(input));
		return -1;
	}
	return 0;
}

/* Without its From_ line. */
static struct istream *message_open(int fd, uoff_t *size_r)
{
	struct istream *file, *input;
	const unsigned char *data, *lf;
	uoff_t skip = 0;
	size_t size;

	file = i_stream_create_fd(fd, TEST_READ_SIZE);
	i_stream_seek(file, 0);
	(void)i_stream_read_bytes(file, &data, &size, TEST_FROM_LINE_MAX);
	if (size >= 5 && memcmp(data, "From ", 5) == 0) {
		lf = memchr(data, '\n', size);
		skip = lf == NULL ? 0 : lf - data + 1;
	}
	if (i_stream_get_size(file, TRUE, size_r) <= 0)
		*size_r = skip;
	*size_r -= skip;
	input = i_stream_create_range(file, skip, *size_r);
	i_stream_unref(&file);
	return input;
}

/* All values of a header, NULL-terminated, as they stand there. */
static const char *const *header_values(struct istream *input, const char *name)
{
	struct message_header_parser_ctx *parser;
	struct message_header_line *hdr;
	ARRAY_TYPE(const_string) values;
	const char *value;

	t_array_init(&values, 4);
	i_stream_seek(input, 0);
	parser = message_parse_header_init(input, NULL, 0);
	while (message_parse_header_next(parser, &hdr) > 0) {
		if (strcasecmp(hdr->name, name) != 0)
			continue;
		if (hdr->continues) {
			hdr->use_full_value = TRUE;
			continue;
		}
		value = t_strndup(hdr->full_value, hdr->full_value_len);
		array_push_back(&values, &value);
	}
	message_parse_header_deinit(&parser);
	i_stream_seek(input, 0);
	array_append_zero(&values);
	return array_front(&values);
}

/* In the child */

/* May the filter be given it? Returns FALSE with the outcome set. */
static bool
test_signature(const struct test_task *task, struct antispam_job *job,
	       struct antispam_outcome *outcome)
{
	const char *header, *why;

	if (task->signature_rule == NULL)
		return TRUE;
	header = antispam_signature_rule_header(task->signature_rule);
	switch (antispam_signature_choose(task->signature_rule,
					  header_values(job->message, header),
					  &job->signature, &why)) {
	case ANTISPAM_SIGNATURE_FOUND:
		return TRUE;
	case ANTISPAM_SIGNATURE_MISSING:
		why = t_strdup_printf(
			"it has no header %s: take a message that the filter "
			"has seen, or set antispam_signature",
			header);
		break;
	case ANTISPAM_SIGNATURE_INVALID:
		why = t_strdup_printf("its header %s is no signature: %s",
				      header, why);
		break;
	}
	outcome->result = ANTISPAM_BROKEN;
	outcome->why = why;
	return FALSE;
}

static bool test_fits(const struct test_task *task, struct antispam_job *job,
		      struct antispam_outcome *outcome)
{
	const struct antispam_teacher *teacher = &task->teacher;
	const struct antispam_backend *backend = teacher->backend;
	const char *const *values, *header = NULL;

	outcome->result = ANTISPAM_DECLINED;
	if (teacher->set->max_size > 0 && job->size > teacher->set->max_size) {
		outcome->why = "it is bigger than antispam_max_size";
		return FALSE;
	}
	if (backend->result_header != NULL)
		header = backend->result_header(teacher->backend_context);
	if (header != NULL) {
		values = header_values(job->message, header);
		while (values[0] != NULL && values[1] != NULL)
			values++;
		if (*values != NULL &&
		    backend->result_declines(teacher->backend_context,
					     *values)) {
			outcome->why = t_strdup_printf(
				"its header %s says so "
				"(antispam_dspam_result_blacklist)",
				header);
			return FALSE;
		}
	}
	return test_signature(task, job, outcome);
}

/* What the backend has done is to be seen. */
static void
test_finish(const struct test_task *task, struct antispam_outcome *outcome,
	    void *undo)
{
	const struct antispam_backend *backend = task->teacher.backend;
	void *context = task->teacher.backend_context;
	const char *error = NULL;

	if (undo == NULL)
		return;
	if (outcome->result > ANTISPAM_KNOWN) {
		backend->rollback(context, &undo);
		return;
	}
	if (backend->prepare(context, &undo, &error) < 0)
		backend->rollback(context, &undo);
	else
		(void)backend->commit(context, &undo, &error);
	if (error != NULL) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = error;
	}
}

static void test_learn(const struct test_task *task, struct antispam_job *job,
		       struct antispam_outcome *outcome)
{
	const struct antispam_teacher *teacher = &task->teacher;
	const struct antispam_batch batch = {
		.identity = &teacher->identity,
		.event = teacher->event,
		.fsync_mode = FSYNC_MODE_OPTIMIZED,
		.jobs = &job,
		.count = 1,
		.outcomes = outcome,
	};
	void *undo = NULL;

	teacher->backend->learn(teacher->backend_context, &batch, &undo);
	test_finish(task, outcome, undo);
}

static void test_work(int report, void *context)
{
	const struct test_task *task = context;
	struct antispam_outcome outcome;
	struct antispam_job job;
	string_t *str = t_str_new(256);

	i_zero(&outcome);
	i_zero(&job);
	job.spam = task->cmd->spam;
	job.change.from = job.spam ? ANTISPAM_CLASS_OTHER : ANTISPAM_CLASS_SPAM;
	job.change.to = job.spam ? ANTISPAM_CLASS_SPAM : ANTISPAM_CLASS_OTHER;
	job.folder = "";
	job.origin = "doveadm antispam test";
	job.message = message_open(task->cmd->message_fd, &job.size);
	if (test_fits(task, &job, &outcome))
		test_learn(task, &job, &outcome);
	str_printfa(str, "%s\t%u\t", result_names[outcome.result],
		    outcome.duration_msecs);
	str_append_tabescaped(str, outcome.why == NULL ? "" : outcome.why);
	str_append_c(str, '\t');
	str_append_tabescaped(str, outcome.said == NULL ? "" : outcome.said);
	(void)write_full(report, str_data(str), str_len(str));
	i_stream_unref(&job.message);
}

/* In doveadm */

static void test_failed(struct test_cmd *cmd, int exit_code)
{
	if (cmd->ctx.exit_code == 0 || exit_code == EX_TEMPFAIL)
		cmd->ctx.exit_code = exit_code;
}

static void
test_print(struct test_cmd *cmd, const struct antispam_teacher *teacher,
	   const char *line)
{
	const char *const *fields = t_strsplit_tabescaped(line);
	static const char *const lost[] = {
		"later", "0", "the process that was to do it told nothing", "",
		NULL
	};

	if (str_array_length(fields) != TEST_REPORT_FIELDS)
		fields = lost;
	doveadm_print(fields[0]);
	doveadm_print(cmd->spam ? "spam" : "ham");
	doveadm_print(teacher->backend->name);
	doveadm_print(fields[1]);
	doveadm_print(antispam_shown(fields[2]));
	doveadm_print(antispam_shown(fields[3]));
	if (strcmp(fields[0], result_names[ANTISPAM_LATER]) == 0)
		test_failed(cmd, EX_TEMPFAIL);
	else if (strcmp(fields[0], result_names[ANTISPAM_BROKEN]) == 0)
		test_failed(cmd, ANTISPAM_EX_DEGRADED);
}

/* Returns 1, 0 if training is off on purpose, -1 and *error_r. */
static int test_init_teacher(struct test_task *task, struct mail_user *user,
			     pool_t pool, const char **error_r)
{
	struct antispam_teacher *teacher = &task->teacher;
	ARRAY_TYPE(const_string) warnings;
	const char *warning;
	int ret;

	if (antispam_compat_imap_settings(task->cmd->imap, user, pool,
					  &teacher->set, error_r) < 0)
		return -1;
	t_array_init(&warnings, 4);
	ret = antispam_teacher_init_backend(teacher, user->username, pool,
					    &warnings, error_r);
	array_foreach_elem(&warnings, warning)
		e_warning(teacher->event, "%s", warning);
	if (ret > 0)
		antispam_teacher_lookup_home(teacher, user);
	if (ret > 0 &&
	    (teacher->backend->needs & ANTISPAM_NEED_SIGNATURE) != 0 &&
	    antispam_signature_rule_init(pool, teacher->set, teacher->backend,
					 &task->signature_rule, error_r) < 0)
		ret = -1;
	return ret;
}

static void
test_user(struct test_cmd *cmd, struct test_task *task, struct mail_user *user,
	  pool_t pool)
{
	string_t *output = t_str_new(256);
	const char *error;
	int ret;

	ret = test_init_teacher(task, user, pool, &error);
	if (ret == 0) {
		e_error(task->teacher.event,
			"antispam_backend is %s: nothing is learned",
			task->teacher.set->backend_name == NULL ? "not set" :
								  "none");
		test_failed(cmd, ANTISPAM_EX_OFF);
		return;
	}
	if (ret < 0) {
		e_error(task->teacher.event, "nothing is learned: %s", error);
		test_failed(cmd, ANTISPAM_EX_DEGRADED);
		return;
	}
	if (antispam_child_run(ANTISPAM_CHILD_AS_WE_ARE, cmd->message_fd,
			       test_work, task, output, &error) < 0) {
		e_error(task->teacher.event, "%s", error);
		test_failed(cmd, EX_TEMPFAIL);
		return;
	}
	test_print(cmd, &task->teacher, str_c(output));
}

static int
test_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	struct test_cmd *cmd = test_cmd(ctx);
	struct test_task task = { .cmd = cmd };
	pool_t pool = pool_alloconly_create("antispam test", 4096);

	task.teacher.event = event_create(user->event);
	event_set_append_log_prefix(task.teacher.event, "antispam: ");
	if (geteuid() == 0) {
		e_error(task.teacher.event,
			"programs are not run as root: let userdb give the "
			"user another uid");
		test_failed(cmd, EX_NOPERM);
	} else {
		test_user(cmd, &task, user, pool);
	}
	event_unref(&task.teacher.event);
	pool_unref(&pool);
	return 0;
}

static void
test_init(struct doveadm_mail_cmd_context *ctx ANTISPAM_COMPAT_INIT_ARGS)
{
	struct test_cmd *cmd = test_cmd(ctx);
	const char *error;

	(void)doveadm_cmd_param_bool(ctx->cctx, "spam", &cmd->spam);
	(void)doveadm_cmd_param_bool(ctx->cctx, "ham", &cmd->ham);
	if (cmd->spam == cmd->ham)
		doveadm_mail_help_name("antispam test");
	doveadm_mail_get_input(ctx);
	cmd->imap = antispam_compat_imap_init(ctx->pool, &error);
	doveadm_print_header_simple("result");
	doveadm_print_header_simple("class");
	doveadm_print_header_simple("backend");
	doveadm_print_header("msecs", "msecs",
			     DOVEADM_PRINT_HEADER_FLAG_NUMBER);
	doveadm_print_header_simple("reason");
	doveadm_print_header_simple("output");
}

static void test_deinit(struct doveadm_mail_cmd_context *ctx)
{
	struct test_cmd *cmd = test_cmd(ctx);

	i_close_fd(&cmd->message_fd);
	antispam_compat_imap_deinit(&cmd->imap);
}

struct doveadm_mail_cmd_context *antispam_test_alloc(void)
{
	struct test_cmd *cmd = doveadm_mail_cmd_alloc(struct test_cmd);

	cmd->message_fd = -1;
	antispam_compat_doveadm_options(&cmd->ctx, "sh");
	cmd->ctx.v.init = test_init;
	cmd->ctx.v.prerun = test_prerun;
	cmd->ctx.v.run = test_run;
	cmd->ctx.v.deinit = test_deinit;
	doveadm_print_init(DOVEADM_PRINT_TYPE_FLOW);
	return &cmd->ctx;
}
