/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The table of backends. Which of them are built in, the build configuration
   (defconfig) says. */

#include "lib.h"
#include "str.h"
#include "strfuncs.h"
#include "antispam-backend.h"

#define DECLARE(name) extern const struct antispam_backend name

#ifdef ANTISPAM_BACKEND_CRM114
DECLARE(antispam_backend_crm114);
#endif
#ifdef ANTISPAM_BACKEND_DSPAM
DECLARE(antispam_backend_dspam);
#endif
#ifdef ANTISPAM_BACKEND_PIPE
DECLARE(antispam_backend_pipe);
#endif
#ifdef ANTISPAM_BACKEND_RSPAMD
DECLARE(antispam_backend_rspamd);
#endif
#ifdef ANTISPAM_BACKEND_SPAMD
DECLARE(antispam_backend_spamd);
#endif
#ifdef ANTISPAM_BACKEND_SPOOL2DIR
DECLARE(antispam_backend_spool2dir);
#endif

const struct antispam_backend *const antispam_backends[] = {
#ifdef ANTISPAM_BACKEND_CRM114
	&antispam_backend_crm114,
#endif
#ifdef ANTISPAM_BACKEND_DSPAM
	&antispam_backend_dspam,
#endif
#ifdef ANTISPAM_BACKEND_PIPE
	&antispam_backend_pipe,
#endif
#ifdef ANTISPAM_BACKEND_RSPAMD
	&antispam_backend_rspamd,
#endif
#ifdef ANTISPAM_BACKEND_SPAMD
	&antispam_backend_spamd,
#endif
#ifdef ANTISPAM_BACKEND_SPOOL2DIR
	&antispam_backend_spool2dir,
#endif
	NULL
};

const struct antispam_backend *antispam_backend_find(const char *name)
{
	const struct antispam_backend *const *backend;

	for (backend = antispam_backends; *backend != NULL; backend++) {
		if (strcmp((*backend)->name, name) == 0)
			return *backend;
		if ((*backend)->old_names != NULL &&
		    str_array_find((*backend)->old_names, name))
			return *backend;
	}
	return NULL;
}

const char *antispam_backend_names(void)
{
	const struct antispam_backend *const *backend;
	string_t *str = t_str_new(64);

	for (backend = antispam_backends; *backend != NULL; backend++) {
		if (str_len(str) > 0)
			str_append(str, ", ");
		str_append(str, (*backend)->name);
	}
	return str_c(str);
}
