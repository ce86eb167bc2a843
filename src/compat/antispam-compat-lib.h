#ifndef ANTISPAM_COMPAT_LIB_H
#define ANTISPAM_COMPAT_LIB_H

/* What differs between Dovecot 2.3's and 2.4's lib. Needs lib.h before it and
   no storage, so pure files may include it. */

#if DOVECOT_PREREQ(2, 4, 0)
#include "str-parse.h"
#else
#include "settings-parser.h"
#endif

/* Parse a time with its unit ("60 s"), as Dovecot does in its own settings.
   Returns 0, or -1 and *error_r (data stack). */
static inline int
antispam_compat_parse_msecs(const char *str, unsigned int *msecs_r,
			    const char **error_r)
{
#if DOVECOT_PREREQ(2, 4, 0)
	return str_parse_get_interval_msecs(str, msecs_r, error_r);
#else
	return settings_get_time_msecs(str, msecs_r, error_r);
#endif
}

/* Parse a size with an optional unit ("10 M"), likewise. */
static inline int
antispam_compat_parse_size(const char *str, uoff_t *bytes_r,
			   const char **error_r)
{
#if DOVECOT_PREREQ(2, 4, 0)
	return str_parse_get_size(str, bytes_r, error_r);
#else
	return settings_get_size(str, bytes_r, error_r);
#endif
}

/* Does str begin with prefix? */
static inline bool antispam_compat_begins(const char *str, const char *prefix)
{
#if DOVECOT_PREREQ(2, 4, 0)
	return str_begins_with(str, prefix);
#else
	return str_begins(str, prefix);
#endif
}

#endif
