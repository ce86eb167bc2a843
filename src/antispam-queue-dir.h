#ifndef ANTISPAM_QUEUE_DIR_H
#define ANTISPAM_QUEUE_DIR_H

/* The queue's directory (antispam_queue_dir), as who writes into it and who
   reads it must both find it: whoever could change what lies there could have
   lessons learned in another's name, or read another's mail. */

struct stat;

/* What to type so that the directory is as it should be, for a process of this
   uid: root's, mode 1733, or a vmail user's own, mode 0700. Data stack. */
const char *antispam_queue_dir_remedy(const char *path, uid_t uid);

/* The same for who is uid and can't know whether the trainer is root: root's,
   and when to type uid's own. */
const char *antispam_queue_dir_remedies(const char *path, uid_t uid);

/* Is it safe: a directory that belongs to root or to uid, in which nobody
   removes what is another's, and so is its parent? st is of path itself (of a
   symbolic link, not of what it leads to). Returns 0, or -1 and *error_r (data
   stack), which names setting, path, cause and remedy. */
int antispam_queue_dir_check(const char *path, uid_t uid,
			     const struct stat *parent_st,
			     const struct stat *st, const char **error_r);

/* Open and check it. path is absolute and does not end with '/', as the
   settings' parser leaves it; uid is who the caller is. Returns 1 and *fd_r,
   which is an O_PATH descriptor (users can't read the directory) for openat()
   and its like; 0 if there is no such directory; -1 and *error_r likewise. */
int antispam_queue_dir_open(const char *path, uid_t uid, int *fd_r,
			    const char **error_r);

/* The same, but make the directory's last component if it is missing. Returns
   0 or -1. */
int antispam_queue_dir_make(const char *path, uid_t uid, int *fd_r,
			    const char **error_r);

#endif
