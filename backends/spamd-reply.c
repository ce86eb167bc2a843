/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What spamd's answer to a TELL means:

     SPAMD/1.1 0 EX_OK
     DidSet: local

   The numbers are those of sysexits.h and some of spamd's own. */

#include "lib.h"
#include "str-sanitize.h"
#include "strnum.h"
#include "antispam-backend.h"
#include "spamd-reply.h"

/* Bytes of what spamd says that are shown. */
#define SAID_MAX 200

struct spamd_row {
	unsigned int code;
	/* A part of spamd's words; NULL = whatever they are. */
	const char *words;
	enum antispam_result result;
	/* Appended to spamd's words; "" = they say it all. */
	const char *remedy;
};

/* The first row that matches counts. Source: spamd of SpamAssassin 4.0.1,
   %resphash and the subs *_error() and service_timeout(); each of the rows with
   words was seen. */
static const struct spamd_row rows[] = {
	/* EX_USAGE: a command that it does not know. It may not be spamd. */
	{ 64, NULL, ANTISPAM_LATER,
	  " (is antispam_spamd_socket spamd's, and spamd 3.1 or newer?)" },
	/* EX_DATAERR: of this message. No version is known to say it. */
	{ 65, NULL, ANTISPAM_BROKEN, "" },
	/* EX_UNAVAILABLE: also for trouble with SQL and LDAP, which passes. */
	{ 69, "--allow-tell", ANTISPAM_LATER,
	  " (start spamd with the option --allow-tell)" },
	{ 69, NULL, ANTISPAM_LATER, "" },
	/* EX_PROTOCOL: "Bad header line": what we sent is wrong for this
	   message, and will be next time. */
	{ 76, NULL, ANTISPAM_BROKEN, "" },
	/* EX_TIMEOUT: it waited for us (--timeout-tcp), or for itself
	   (--timeout-child). */
	{ 79, NULL, ANTISPAM_LATER,
	  " (spamd's own time limits are --timeout-tcp and "
	  "--timeout-child)" },
};

/* EX_OK: DidSet is the proof that its database has changed. Without it, it
   knew the message as of this class, or it could not learn: both answers are
   the same, byte for byte. The latter is in spamd's log alone ("bayes: ...").
   If only "remote" was set it knew it, too. */
static void judge_ok(const char *header, struct antispam_outcome *outcome)
{
	const char *const *line;

	for (line = t_strsplit(header, "\r\n"); *line != NULL; line++) {
		if (strncasecmp(*line, "DidSet:", 7) == 0 &&
		    str_array_icase_find(t_strsplit_spaces(*line + 7, ", \t"),
					 "local")) {
			outcome->result = ANTISPAM_LEARNED;
			return;
		}
	}
	outcome->result = ANTISPAM_KNOWN;
	outcome->why = "spamd has changed nothing: it had learned the message "
		       "before, or could not learn, of which its own log tells";
}

static void
judge_code(unsigned int code, const char *words,
	   struct antispam_outcome *outcome)
{
	const struct spamd_row *row;
	const char *said = t_strdup_printf("spamd answered %u: %s", code,
					   str_sanitize(words, SAID_MAX));

	for (row = rows; row < rows + N_ELEMENTS(rows); row++) {
		if (row->code == code &&
		    (row->words == NULL ||
		     strstr(words, row->words) != NULL)) {
			outcome->result = row->result;
			outcome->why = t_strconcat(said, row->remedy, NULL);
			return;
		}
	}
	/* its machine's fault, as far as sysexits.h goes */
	outcome->result = ANTISPAM_LATER;
	outcome->why = said;
}

static const char *header_end(const char *text)
{
	return strstr(text, "\r\n\r\n");
}

bool antispam_spamd_reply_is_whole(const char *text)
{
	return header_end(text) != NULL;
}

/* "SPAMD/1.1 0 EX_OK" */
static bool
parse_status(const char *line, unsigned int *code_r, const char **words_r)
{
	const char *p = line;

	if (strncmp(p, "SPAMD/", 6) != 0)
		return FALSE;
	p = strchr(p, ' ');
	if (p == NULL || str_parse_uint(p + 1, code_r, words_r) < 0)
		return FALSE;
	if (**words_r == ' ')
		++*words_r;
	return TRUE;
}

void antispam_spamd_reply_judge(const char *text,
				struct antispam_outcome *outcome)
{
	const char *line = t_strcut(text, '\n'), *end = header_end(text);
	const char *words;
	unsigned int code;

	line = t_strcut(line, '\r');
	if (*text == '\0') {
		outcome->result = ANTISPAM_LATER;
		outcome->why = "spamd closed the connection without an answer "
			       "(with --paranoid it does so if it does not "
			       "know the user)";
	} else if (!parse_status(line, &code, &words)) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = t_strdup_printf(
			"this is no answer of spamd: \"%s\" (is "
			"antispam_spamd_socket spamd's?)",
			str_sanitize(line, SAID_MAX));
	} else if (code != 0) {
		/* an error has one line and no empty one in some versions */
		judge_code(code, words, outcome);
	} else if (end == NULL) {
		outcome->result = ANTISPAM_LATER;
		outcome->why = "spamd's answer is cut off";
	} else {
		judge_ok(t_strdup_until(text, end), outcome);
	}
}
