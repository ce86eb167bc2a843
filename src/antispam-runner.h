#ifndef ANTISPAM_RUNNER_H
#define ANTISPAM_RUNNER_H

struct antispam_run_reply;

/* One run of one program. The caller owns every pointer until the run is
   over; only the offset of input changes. */
struct antispam_run {
	/* NULL-terminated; argv[0] is an absolute path, never a shell. */
	const char *const *argv;
	/* "NAME=value", NULL-terminated: all the environment there is. */
	const char *const *env;
	/* Working directory; NULL or one that can't be entered: "/". */
	const char *dir;
	/* Becomes stdin; NULL = /dev/null. Blocking and seekable. */
	struct istream *input;
	/* For the whole run; then SIGTERM and, a second later, SIGKILL, to the
	   program's whole process group. */
	unsigned int timeout_msecs;
	/* Bytes of stdout and of stderr to keep; the rest is read and
	   dropped. */
	size_t max_output;
	/* Asked once, when the run has ended: was it a failure? NULL = any end
	   but exit status 0 is. */
	bool (*is_failure)(const struct antispam_run_reply *reply,
			   void *context);
	void *context;
};

enum antispam_run_end {
	/* Not started, since an earlier run failed (stop_on_failure). */
	ANTISPAM_RUN_SKIPPED = 0,
	/* It ran to its own exit; exit_status says how. */
	ANTISPAM_RUN_EXITED,
	/* It could not be started, was ended by the deadline or by a signal,
	   or its input could not be read; error says which. */
	ANTISPAM_RUN_FAILED,
};

/* Data stack, of the frame that called antispam_run_many(). */
struct antispam_run_reply {
	enum antispam_run_end end;
	/* 0..255, for ANTISPAM_RUN_EXITED. */
	int exit_status;
	/* What the program wrote, at most max_output bytes of each, NULs
	   turned into '?'. Never NULL but for ANTISPAM_RUN_SKIPPED. */
	const char *out, *err;
	/* For ANTISPAM_RUN_FAILED: what happened, without the program's name
	   ("timed out after 60 s", "killed by signal 9 (Killed)"). */
	const char *error;
	unsigned int duration_msecs;
};

/* A program that has closed stdin before it read all is no failure: its exit
   status decides. Once the program itself has exited the run is over, even if
   a process that it left behind holds stdout or stderr open.

   Run count programs, at most max_parallel at a time, in one poll loop. With
   stop_on_failure no further one is started after a failure; those that run
   are waited for. Neither a child nor
   an fd is left behind, but for a program that SIGKILL does not end. No ioloop
   runs meanwhile. */
void antispam_run_many(const struct antispam_run *runs, unsigned int count,
		       unsigned int max_parallel, bool stop_on_failure,
		       struct antispam_run_reply *replies_r);

/* Who a program runs for. */
struct antispam_identity {
	const char *username;
	/* NULL = the user has none. */
	const char *home;
};

/* The whole environment of a program (DESIGN): PATH, HOME, USER, LOGNAME,
   LANG, and extra's entries, which replace those of the same name. Data stack,
   NULL-terminated. */
const char *const *
antispam_run_env(const struct antispam_identity *identity,
		 const char *const *extra);

/* Check what can be known of a program before it runs. Returns 0, or -1 and
   *error_r (data stack) that names setting and path: not an absolute path. */
int antispam_run_check_path(const char *setting, const char *path,
			    const char **error_r);

/* One line on why a run was no success, for the log: how it ended and the
   first line that it wrote, stderr's before stdout's, sanitized. Data
   stack. */
const char *antispam_run_describe(const struct antispam_run_reply *reply);
/* All that it wrote, stderr after stdout, sanitized and on one line: " | " is
   between two lines. Data stack; NULL if it wrote nothing. */
const char *antispam_run_said(const struct antispam_run_reply *reply);

#endif
