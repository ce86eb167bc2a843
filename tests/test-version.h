#ifndef TEST_VERSION_H
#define TEST_VERSION_H

/* The one place where tests know Dovecot's version. */

#if DOVECOT_PREREQ(2, 4, 0)
#define TEST_STORAGE_SETTINGS_EXTRA
#else
/* 2.3 appends it to the mail location. */
#define TEST_STORAGE_SETTINGS_EXTRA .driver_opts = "",
#endif

#endif
