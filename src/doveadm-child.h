#ifndef DOVEADM_CHILD_H
#define DOVEADM_CHILD_H

/* Something done in a process of its own that is somebody else for good:
   doveadm itself may be root, or be it again when it likes. */

/* Lines of what it did go to the descriptor report. */
typedef void antispam_child_callback_t(int report, void *context);

/* Who this process is now, with its groups. */
#define ANTISPAM_CHILD_AS_WE_ARE ((uid_t)-1)

/* Fork a child that becomes uid, calls callback, and ends; wait for it. Nothing
   of what this process has open is open there but 0 to 2, report and keep_fd
   (-1 = none). All that was written to report is appended to output. Returns 0,
   or -1 and *error_r (data stack) if it could not be done or did not end by
   itself; some of it may have been done then. */
int antispam_child_run(uid_t uid, int keep_fd,
		       antispam_child_callback_t *callback, void *context,
		       string_t *output, const char **error_r);

#endif
