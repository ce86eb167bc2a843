/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Teaches rspamd by its controller, over HTTP, a connection a message: rspamd
   keeps none open.

   Dovecot's own HTTP client is not used. To a unix socket it speaks as to a
   proxy, with the whole URL in its first line, which rspamd answers with 404;
   it does not read the body of a 204; and its time limits are for silence, so
   that a server which sends a byte now and then holds up the mail session. */

#include "lib.h"
#include "array.h"
#include "eacces-error.h"
#include "fd-util.h"
#include "istream.h"
#include "safe-memset.h"
#include "str.h"
#include "str-sanitize.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"
#include "antispam-daemon.h"
#include "rspamd-reply.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lessons that are described at a time; several times
   antispam_max_parallel. */
#define RSPAMD_MAX_BATCH 32
#define RSPAMD_MAX_PASSWORD 1024
/* Bytes of a value that an error quotes. */
#define SHOWN_MAX 200

struct rspamd_context {
	const struct antispam_settings *set;
	struct antispam_peer peer;
	/* Of the URL: what goes into the header Host, and the path before
	   /learnspam, "" or "/...". */
	const char *host, *prefix;
	/* All headers of the settings, each with its CRLF. */
	const char *headers;
};

/* Names of headers that mean something to us, and how to set them. */
static const struct {
	const char *name, *how;
} own_headers[] = {
	{ "Password", "write the password into a file, and its name as "
		      "antispam_rspamd_password_file" },
	{ "Deliver-To", "write antispam_rspamd_deliver_to" },
	{ "Classifier", "write antispam_rspamd_classifier" },
	{ "Learn-Type", "write antispam_rspamd_bulk" },
	{ "Host", "it is that of antispam_rspamd_url" },
	{ "Content-Length", "leave it out" },
	{ "Transfer-Encoding", "leave it out" },
	{ "Connection", "leave it out" },
};

/* Returns -1. */
static int setting_error(const char *setting, const char *value,
			 const char *problem, const char **error_r)
{
	*error_r = t_strdup_printf("antispam_rspamd_%s = %s: %s", setting,
				   str_sanitize(value, SHOWN_MAX), problem);
	return -1;
}

/* What goes into the request as it is: it must not end its line. */
static bool is_plain(const char *value, bool blanks)
{
	const unsigned char *p;

	for (p = (const unsigned char *)value; *p != '\0'; p++) {
		if (*p < (blanks ? 0x20 : 0x21) || *p == 0x7f)
			return FALSE;
	}
	return TRUE;
}

static int
rspamd_init_http(struct rspamd_context *ctx, pool_t pool, const char *url,
		 const char **error_r)
{
	const char *path = strchr(url, '/');
	const char *authority = path == NULL ? url : t_strdup_until(url, path);
	size_t size;

	if (antispam_peer_parse(pool, authority, &ctx->peer, error_r) < 0)
		return -1;
	ctx->host = p_strdup(pool, authority);
	if (path == NULL)
		return 0;
	if (!is_plain(path, FALSE) || strpbrk(path, "?#") != NULL) {
		*error_r = "behind the host and its port there is room for a "
			   "path alone";
		return -1;
	}
	for (size = strlen(path); size > 0 && path[size - 1] == '/'; size--)
		;
	ctx->prefix = p_strndup(pool, path, size);
	return 0;
}

static int
rspamd_init_url(struct rspamd_context *ctx, pool_t pool, const char **error_r)
{
	const char *url = ctx->set->rspamd_url, *error;
	int ret;

	ctx->host = "localhost";
	ctx->prefix = "";
	if (*url == '/')
		ret = antispam_peer_parse(pool, url, &ctx->peer, &error);
	else if (strncasecmp(url, "http://", 7) == 0)
		ret = rspamd_init_http(ctx, pool, url + 7, &error);
	else {
		error = "write http://host:port, or a socket's absolute path";
		ret = -1;
	}
	return ret == 0 ? 0 : setting_error("url", url, error, error_r);
}

static bool is_header_name(const char *name)
{
	for (; *name != '\0'; name++) {
		if (!i_isalnum(*name) && strchr("-_", *name) == NULL)
			return FALSE;
	}
	return TRUE;
}

/* One of antispam_rspamd_headers. */
static int
rspamd_add_header(string_t *headers, const char *header, const char **error_r)
{
	const char *colon = strchr(header, ':'), *name;
	unsigned int i;

	if (colon == NULL || colon == header || !is_plain(header, TRUE) ||
	    !is_header_name(name = t_strdup_until(header, colon))) {
		return setting_error("headers", header,
				     "no header; write Name: value", error_r);
	}
	for (i = 0; i < N_ELEMENTS(own_headers); i++) {
		/* a value may be a secret */
		if (strcasecmp(own_headers[i].name, name) == 0) {
			return setting_error("headers",
					     t_strconcat(name, ": ...", NULL),
					     own_headers[i].how, error_r);
		}
	}
	str_printfa(headers, "%s\r\n", header);
	return 0;
}

static int
rspamd_add_value(string_t *headers, const char *name, const char *setting,
		 const char *value, const char **error_r)
{
	if (value == NULL)
		return 0;
	if (!is_plain(value, TRUE)) {
		return setting_error(setting, value,
				     "it holds a control character, which "
				     "would end the header; write another "
				     "value for this user",
				     error_r);
	}
	str_printfa(headers, "%s: %s\r\n", name, value);
	return 0;
}

static int
rspamd_init_headers(struct rspamd_context *ctx, pool_t pool,
		    const char **error_r)
{
	const struct antispam_settings *set = ctx->set;
	const char *const *header = set->rspamd_headers;
	string_t *str = t_str_new(256);

	if (rspamd_add_value(str, "Deliver-To", "deliver_to",
			     set->rspamd_deliver_to, error_r) < 0 ||
	    rspamd_add_value(str, "Classifier", "classifier",
			     set->rspamd_classifier, error_r) < 0)
		return -1;
	if (set->rspamd_bulk)
		str_append(str, "Learn-Type: bulk\r\n");
	for (; header != NULL && *header != NULL; header++) {
		if (rspamd_add_header(str, *header, error_r) < 0)
			return -1;
	}
	ctx->headers = p_strdup(pool, str_c(str));
	return 0;
}

static const char *rspamd_password_warning(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || (st.st_mode & S_IROTH) == 0)
		return NULL;
	return t_strdup_printf(
		"antispam_rspamd_password_file = %s: everyone may read the "
		"password (mode %04o); take that away with chmod o-r",
		path, (unsigned int)st.st_mode & 0777);
}

static int
rspamd_init(pool_t pool, const struct antispam_settings *set, void **context_r,
	    const char **warning_r, const char **error_r)
{
	struct rspamd_context *ctx = p_new(pool, struct rspamd_context, 1);
	const char *path = set->rspamd_password_file;

	ctx->set = set;
	if (rspamd_init_url(ctx, pool, error_r) < 0 ||
	    rspamd_init_headers(ctx, pool, error_r) < 0)
		return -1;
	if (path != NULL && *path != '/') {
		return setting_error("password_file", path,
				     "not an absolute path", error_r);
	}
	if (path != NULL)
		*warning_r = rspamd_password_warning(path);
	*context_r = ctx;
	return 0;
}

/* Read the whole file into buf, or as much of it as fits. */
static int
read_password(const char *path, char *buf, size_t size, size_t *size_r,
	      const char **error_r)
{
	/* what is no file must not hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t ret;

	if (fd == -1) {
		*error_r = errno == EACCES ?
			eacces_error_get("open", path) :
			t_strdup_printf("open(%s) failed: %m", path);
		return -1;
	}
	*error_r = NULL;
	*size_r = 0;
	if (fstat(fd, &st) < 0)
		*error_r = t_strdup_printf("fstat(%s) failed: %m", path);
	else if (!S_ISREG(st.st_mode))
		*error_r = t_strdup_printf("%s is not a regular file", path);
	while (*error_r == NULL && *size_r < size &&
	       (ret = read(fd, buf + *size_r, size - *size_r)) != 0) {
		if (ret < 0)
			*error_r = t_strdup_printf("read(%s) failed: %m", path);
		else
			*size_r += ret;
	}
	i_close_fd(&fd);
	return *error_r == NULL ? 0 : -1;
}

/* Make a header of the password in buf. Returns FALSE if there is none. */
static bool append_password(string_t *dest, char *buf, size_t size)
{
	if (size > 0 && buf[size - 1] == '\n')
		size--;
	if (size > 0 && buf[size - 1] == '\r')
		size--;
	if (size == 0 || size >= RSPAMD_MAX_PASSWORD ||
	    memchr(buf, '\0', size) != NULL)
		return FALSE;
	buf[size] = '\0';
	if (!is_plain(buf, TRUE))
		return FALSE;
	str_printfa(dest, "Password: %s\r\n", buf);
	return TRUE;
}

/* Returns 0, or -1 and *error_r. The password is in dest alone. */
static int rspamd_add_password(const struct rspamd_context *ctx, string_t *dest,
			       const char **error_r)
{
	const char *path = ctx->set->rspamd_password_file, *error;
	char buf[RSPAMD_MAX_PASSWORD + 2];
	size_t size;
	int ret = 0;

	if (path == NULL)
		return 0;
	if (read_password(path, buf, sizeof(buf), &size, &error) < 0) {
		*error_r = t_strconcat("antispam_rspamd_password_file: ", error,
				       "; the user to whom the mail belongs "
				       "must be able to read it",
				       NULL);
		ret = -1;
	} else if (!append_password(dest, buf, size)) {
		*error_r = t_strdup_printf(
			"antispam_rspamd_password_file: %s must hold the "
			"password, in one line, and nothing else",
			path);
		ret = -1;
	}
	safe_memset(buf, 0, sizeof(buf));
	return ret;
}

struct rspamd_question {
	const struct rspamd_context *ctx;
	/* Those of the settings, and the password. */
	const char *headers;
};

/* HTTP/1.0, so that the answer comes in one piece and the connection ends with
   it, whatever proxy is between. */
static const char *rspamd_head(void *context, bool spam, uoff_t size)
{
	const struct rspamd_question *question = context;
	const struct rspamd_context *ctx = question->ctx;
	const char *headers = question->headers;
	/* big enough from the start: it must not move and leave a copy of
	   the password behind */
	string_t *str = t_str_new(strlen(headers) + strlen(ctx->prefix) +
				  strlen(ctx->host) + 256);

	str_printfa(str,
		    "POST %s/%s HTTP/1.0\r\n"
		    "Host: %s\r\n"
		    "Connection: close\r\n"
		    "Content-Length: %" PRIuUOFF_T "\r\n"
		    "%s\r\n",
		    ctx->prefix, spam ? "learnspam" : "learnham", ctx->host,
		    size, headers);
	return str_c(str);
}

static void rspamd_learn(void *context, const struct antispam_batch *batch,
			 void **undo ATTR_UNUSED)
{
	const struct rspamd_context *ctx = context;
	/* big enough from the start: it must not move and leave a copy of
	   the password behind */
	string_t *headers = t_str_new(strlen(ctx->headers) +
				      RSPAMD_MAX_PASSWORD + 64);
	struct rspamd_question question = { .ctx = ctx };
	const struct antispam_daemon daemon = {
		.name = "rspamd",
		.peer = &ctx->peer,
		.timeout_msecs = ctx->set->timeout_msecs,
		.max_parallel = ctx->set->max_parallel,
		.max_reply = ANTISPAM_RSPAMD_REPLY_MAX,
		.is_whole = antispam_rspamd_reply_is_whole,
		.head = rspamd_head,
		.context = &question,
		.judge = antispam_rspamd_reply_judge,
		.secret = TRUE,
	};
	struct antispam_outcome outcome = { .result = ANTISPAM_LATER };

	str_append(headers, ctx->headers);
	if (rspamd_add_password(ctx, headers, &outcome.why) == 0) {
		question.headers = str_c(headers);
		antispam_daemon_learn(&daemon, batch);
	} else {
		antispam_daemon_fail(batch, &outcome);
	}
	safe_memset(str_c_modifiable(headers), 0, str_len(headers));
}

extern const struct antispam_backend antispam_backend_rspamd;
const struct antispam_backend antispam_backend_rspamd = {
	.name = "rspamd",
	.needs = ANTISPAM_NEED_MESSAGE,
	.max_batch = RSPAMD_MAX_BATCH,
	.init = rspamd_init,
	.learn = rspamd_learn,
};
