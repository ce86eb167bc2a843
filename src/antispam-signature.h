#ifndef ANTISPAM_SIGNATURE_H
#define ANTISPAM_SIGNATURE_H

struct antispam_settings;
struct antispam_backend;

/* Which header of a message holds the filter's signature, and what counts as
   one. A user has one rule. */
struct antispam_signature_rule;

enum antispam_signature_result {
	ANTISPAM_SIGNATURE_FOUND = 0,
	/* The message has no such header: the filter has not seen it. */
	ANTISPAM_SIGNATURE_MISSING,
	/* It has one, which the filter can't have written. It is the sender's,
	   and must neither be used nor keep the message where it is. */
	ANTISPAM_SIGNATURE_INVALID,
};

/* Read antispam_signature and antispam_signature_regex, whose defaults are the
   backend's. The rule lives in pool and has no destructor. Returns 0, or -1 and
   *error_r (data stack), which names setting, value and remedy. */
int antispam_signature_rule_init(pool_t pool,
				 const struct antispam_settings *set,
				 const struct antispam_backend *backend,
				 struct antispam_signature_rule **rule_r,
				 const char **error_r);
/* The header's name. */
const char *
antispam_signature_rule_header(const struct antispam_signature_rule *rule);

/* Choose the signature among all values of the header, NULL-terminated and as
   they stand in the message, in its order. The last one counts, and counts
   alone; blanks and line breaks around it are no part of it. *signature_r (data
   stack) is set for FOUND only, *why_r (data stack, one printable line) for
   INVALID only. Time is linear in the value's length but for
   antispam_signature_regex, which is given a limit. */
enum antispam_signature_result
antispam_signature_choose(const struct antispam_signature_rule *rule,
			  const char *const *values, const char **signature_r,
			  const char **why_r);

#endif
