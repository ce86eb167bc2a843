#ifndef ANTISPAM_REGEX_H
#define ANTISPAM_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Let an admin's expression, tried on what a stranger has written, take no
   longer than this many items of it: 1 to 4 ms. PCRE2's own limits begin anew
   at each place where a match may start, so callouts count the steps: compile
   the expression with ANTISPAM_REGEX_OPTIONS. limits ends a match by an error
   when *steps, which the caller sets to 0 before it, goes beyond that.
   heap_limit is the memory for backtracking, in kB. */
#define ANTISPAM_REGEX_MAX_STEPS 100000
#define ANTISPAM_REGEX_OPTIONS PCRE2_AUTO_CALLOUT

void antispam_regex_limit(pcre2_match_context *limits, unsigned int *steps,
			  uint32_t heap_limit);

#endif
