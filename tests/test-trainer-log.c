/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "str.h"
#include "test-common.h"
#include "trainer-log.h"

static string_t *lines;

static void save_line(const struct failure_context *ctx, const char *format,
		      va_list args) ATTR_FORMAT(2, 0);

static void
save_line(const struct failure_context *ctx, const char *format, va_list args)
{
	const char *prefix = ctx->log_prefix == NULL ? "" : ctx->log_prefix;

	/* where "Error: " goes */
	test_assert(ctx->log_prefix_type_pos == strlen(prefix));
	str_printfa(lines, "%s|", prefix);
	str_vprintfa(lines, format, args);
	str_append_c(lines, '\n');
}

static void log_all(void)
{
	struct event *event = event_create(NULL);

	i_error("error %d", 1);
	i_warning("warning");
	i_info("info");
	i_debug("debug");
	/* as mail storage does */
	i_set_failure_prefix("other: ");
	i_error("again");
	event_replace_log_prefix(event, "event: ");
	e_error(event, "error");
	event_unref(&event);
}

static void test_trainer_log_child(void)
{
	failure_callback_t *fatal, *error, *info, *debug;

	test_begin("trainer log: a child");
	lines = str_new(default_pool, 256);
	i_get_failure_handlers(&fatal, &error, &info, &debug);
	i_set_error_handler(save_line);
	i_set_info_handler(save_line);
	i_set_debug_handler(save_line);
	trainer_log_init_child("child: ");
	log_all();
	i_set_error_handler(error);
	i_set_info_handler(info);
	i_set_debug_handler(debug);
	i_set_failure_prefix("%s", "");
	test_assert_strcmp(str_c(lines), "child: |error 1\n"
					 "child: |warning\n"
					 "child: |info\n"
					 "child: |debug\n"
					 "child: |again\n"
					 "event: |error\n");
	str_free(&lines);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_trainer_log_child,
		NULL
	};

	return test_run(tests);
}
