/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What an answer of rspamd's controller means:

     HTTP/1.1 208 <id> has been already learned as spam, ignore it
     Content-Length: 60

     {"error":"<id> has been already learned as spam, ignore it"}

   Of the status line the number alone counts: its words hold the Message-ID,
   which the sender has chosen. A 204 has a body, too, against all rules. */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "strnum.h"
#include "antispam-backend.h"
#include "rspamd-reply.h"

#include <ctype.h>

/* Bytes of what rspamd says that are shown. */
#define SAID_MAX 200

struct rspamd_row {
	unsigned int status;
	/* A part of the body; NULL = whatever it is. */
	const char *words;
	enum antispam_result result;
	/* Appended to rspamd's words; "" = they say it all. */
	const char *remedy;
};

/* The first row that matches counts. Each was seen with rspamd 3.4 and 3.12,
   but for those that say otherwise; the source is src/controller.c and
   src/libstat/ there. */
static const struct rspamd_row rows[] = {
	/* Without "success": somebody else's 200. With it, it has learned. */
	{ 200, NULL, ANTISPAM_LATER,
	  " (is antispam_rspamd_url the one of rspamd's controller?)" },
	/* "contains less tokens than required"; "all learn conditions denied
	   learning": it is sure of this class already. */
	{ 204, NULL, ANTISPAM_DECLINED, "" },
	{ 208, NULL, ANTISPAM_KNOWN, "" },
	/* "Empty body is not permitted"; also whatever else is wrong with this
	   message for a proxy. */
	{ 400, NULL, ANTISPAM_BROKEN, "" },
	/* The controller, and (not seen) a proxy before it. */
	{ 401, NULL, ANTISPAM_LATER,
	  " (antispam_rspamd_password_file must hold the controller's "
	  "enable_password, or its password if there is no other one)" },
	{ 403, NULL, ANTISPAM_LATER,
	  " (antispam_rspamd_password_file must hold the controller's "
	  "enable_password, or its password if there is no other one)" },
	/* 3.4: its memory of what was learned (learn_cache) did not answer,
	   and nothing was learned. With that memory in SQLite the same words
	   are true, but nobody can tell. */
	{ 404, "has been already learned", ANTISPAM_LATER,
	  " (with status 404 this means that rspamd can't reach its Redis: "
	  "nothing was learned)" },
	{ 404, "cannot find classifier", ANTISPAM_LATER,
	  " (see antispam_rspamd_classifier)" },
	{ 404, NULL, ANTISPAM_LATER,
	  " (is antispam_rspamd_url the one of rspamd's controller?)" },
	/* Bigger than options.max_message, or than a proxy takes; not seen. */
	{ 413, NULL, ANTISPAM_BROKEN, "" },
	/* The worker that scans. */
	{ 500, "invalid command", ANTISPAM_LATER,
	  " (antispam_rspamd_url is that of a worker which scans; the "
	  "controller's port is 11334 by default)" },
};

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
		p++;
	return p;
}

/* The head's end, or NULL. */
static const char *head_end(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	return end == NULL ? NULL : end + 4;
}

/* The value of a header of the head that ends at end. */
static bool
find_content_length(const char *text, const char *end, uoff_t *size_r)
{
	const char *line = text, *next;

	while ((next = strstr(line, "\r\n")) != NULL && next + 4 < end) {
		line = next + 2;
		if (strncasecmp(line, "Content-Length:", 15) != 0)
			continue;
		line += 15;
		return str_parse_uoff(skip_blanks(line), size_r, &next) == 0;
	}
	return FALSE;
}

bool antispam_rspamd_reply_is_whole(const char *text)
{
	const char *body = head_end(text);
	uoff_t size;

	return body != NULL && find_content_length(text, body, &size) &&
		strlen(body) >= size;
}

/* "HTTP/1.1 200 OK" */
static bool parse_status(const char *text, unsigned int *status_r)
{
	const char *p;

	if (strncmp(text, "HTTP/1.", 7) != 0 || !i_isdigit(text[7]) ||
	    text[8] != ' ')
		return FALSE;
	return str_parse_uint(text + 9, status_r, &p) == 0 && p - text == 12 &&
		(*p == ' ' || *p == '\r') && *status_r >= 100;
}

/* The text of the body's "error", else its first line. */
static const char *said(const char *body)
{
	const char *p = strstr(body, "\"error\":");
	string_t *str = t_str_new(128);

	if (p != NULL)
		p = skip_blanks(p + 8);
	if (p == NULL || *p != '"')
		return t_strcut(t_strcut(body, '\n'), '\r');
	for (p++; *p != '\0' && *p != '"'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		str_append_c(str, *p);
	}
	return str_c(str);
}

/* "success": true */
static bool is_success(const char *body)
{
	const char *p = strstr(body, "\"success\"");

	if (p == NULL)
		return FALSE;
	p = skip_blanks(p + 9);
	return *p == ':' && strncmp(skip_blanks(p + 1), "true", 4) == 0;
}

static void judge_status(unsigned int status, const char *body,
			 struct antispam_outcome *outcome)
{
	const struct rspamd_row *row;
	const char *words = str_sanitize(said(body), SAID_MAX);
	const char *why = t_strdup_printf(
		"rspamd answered %u%s%s", status, *words == '\0' ? "" : ": ",
		words);

	if (status == 200 && is_success(body)) {
		outcome->result = ANTISPAM_LEARNED;
		return;
	}
	for (row = rows; row < rows + N_ELEMENTS(rows); row++) {
		if (row->status != status ||
		    (row->words != NULL && strstr(body, row->words) == NULL))
			continue;
		outcome->result = row->result;
		outcome->why = t_strconcat(why, row->remedy, NULL);
		return;
	}
	/* 3xx and 4xx: not as the admin wants it; 5xx: not now */
	outcome->result = ANTISPAM_LATER;
	outcome->why = why;
}

void antispam_rspamd_reply_judge(const char *text,
				 struct antispam_outcome *outcome)
{
	const char *body = head_end(text), *line;
	unsigned int status;

	if (*text == '\0') {
		outcome->result = ANTISPAM_LATER;
		outcome->why = "rspamd closed the connection without an answer";
	} else if (!parse_status(text, &status)) {
		line = t_strcut(t_strcut(text, '\n'), '\r');
		outcome->result = ANTISPAM_LATER;
		outcome->why = t_strdup_printf(
			"this is no answer of rspamd: \"%s\" (is "
			"antispam_rspamd_url the one of rspamd's controller?)",
			str_sanitize(line, SAID_MAX));
	} else if (body == NULL) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = "rspamd's answer is cut off";
	} else {
		judge_status(status, body, outcome);
	}
}
