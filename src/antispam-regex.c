/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "antispam-regex.h"

static int count_step(pcre2_callout_block *block ATTR_UNUSED, void *context)
{
	unsigned int *steps = context;

	return ++*steps <= ANTISPAM_REGEX_MAX_STEPS ? 0 :
						      PCRE2_ERROR_MATCHLIMIT;
}

void antispam_regex_limit(pcre2_match_context *limits, unsigned int *steps,
			  uint32_t heap_limit)
{
	pcre2_set_callout(limits, count_step, steps);
	pcre2_set_match_limit(limits, ANTISPAM_REGEX_MAX_STEPS);
	pcre2_set_depth_limit(limits, ANTISPAM_REGEX_MAX_STEPS);
	pcre2_set_heap_limit(limits, heap_limit);
}
