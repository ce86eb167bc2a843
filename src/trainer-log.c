/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "trainer-log.h"

#include <unistd.h>

static struct {
	const char *prefix;
	failure_callback_t *fatal, *error, *info, *debug;
} child;

static struct failure_context with_prefix(const struct failure_context *ctx)
{
	struct failure_context own = *ctx;

	/* an event may have one of its own */
	if (own.log_prefix == NULL) {
		own.log_prefix = child.prefix;
		own.log_prefix_type_pos = strlen(child.prefix);
	}
	return own;
}

static void
child_fatal(const struct failure_context *ctx, const char *format,
	    va_list args) ATTR_FORMAT(2, 0) ATTR_NORETURN;
static void
child_error(const struct failure_context *ctx, const char *format,
	    va_list args) ATTR_FORMAT(2, 0);
static void
child_info(const struct failure_context *ctx, const char *format,
	   va_list args) ATTR_FORMAT(2, 0);
static void
child_debug(const struct failure_context *ctx, const char *format,
	    va_list args) ATTR_FORMAT(2, 0);

static void
child_fatal(const struct failure_context *ctx, const char *format,
	    va_list args)
{
	const struct failure_context own = with_prefix(ctx);

	child.fatal(&own, format, args);
	/* it does not return, but its type does not say so */
	_exit(FATAL_DEFAULT);
}

static void
child_error(const struct failure_context *ctx, const char *format,
	    va_list args)
{
	const struct failure_context own = with_prefix(ctx);

	child.error(&own, format, args);
}

static void
child_info(const struct failure_context *ctx, const char *format,
	   va_list args)
{
	const struct failure_context own = with_prefix(ctx);

	child.info(&own, format, args);
}

static void
child_debug(const struct failure_context *ctx, const char *format,
	    va_list args)
{
	const struct failure_context own = with_prefix(ctx);

	child.debug(&own, format, args);
}

void trainer_log_init_child(const char *prefix)
{
	child.prefix = prefix;
	i_get_failure_handlers(&child.fatal, &child.error, &child.info,
			       &child.debug);
	i_set_fatal_handler(child_fatal);
	i_set_error_handler(child_error);
	i_set_info_handler(child_info);
	i_set_debug_handler(child_debug);
}
