/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */
/* fuzz-sources: spamd-reply.c */

/* for strcasestr() */
#define _GNU_SOURCE

/* Whatever answers in spamd's place: no crash, a bounded reason that can be
   logged, and nothing is learned without proof. */

#include "lib.h"
#include "fuzzer.h"
#include "antispam-backend.h"
#include "spamd-reply.h"

FUZZ_BEGIN_DATA(const unsigned char *data, size_t size)
{
	struct antispam_outcome outcome;
	const char *p;
	char *text;
	size_t i;

	size = I_MIN(size, ANTISPAM_SPAMD_REPLY_MAX);
	/* just as big as needed, so that what is read behind it shows */
	text = i_malloc(size + 1);
	for (i = 0; i < size; i++)
		text[i] = data[i] == '\0' ? '?' : data[i];
	text[size] = '\0';

	i_zero(&outcome);
	antispam_spamd_reply_judge(text, &outcome);
	switch (outcome.result) {
	case ANTISPAM_LEARNED:
		i_assert(outcome.why == NULL);
		i_assert(antispam_spamd_reply_is_whole(text));
		i_assert(strcasestr(text, "DidSet:") != NULL);
		break;
	case ANTISPAM_KNOWN:
		i_assert(antispam_spamd_reply_is_whole(text));
		/* fall through */
	case ANTISPAM_LATER:
	case ANTISPAM_BROKEN:
		i_assert(outcome.why != NULL && strlen(outcome.why) < 500);
		for (p = outcome.why; *p != '\0'; p++)
			i_assert((unsigned char)*p >= 0x20);
		break;
	case ANTISPAM_DECLINED:
		i_unreached();
	}
	i_free(text);
}
FUZZ_END
