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
	/* For ANTISPAM_RUN_FAILED: what happened ("timed out after 60 s",
	   "killed by signal 9 (Killed)"); of a program that could not be
	   started it says which. */
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

/* Could this process execute it now? Returns 0, or -1 and *error_r (data
   stack), as a run of it would say. */
int antispam_run_check_file(const char *path, const char **error_r);

/* One line on why a run was no success, for the log: how it ended and the
   first line that it wrote, stderr's before stdout's, sanitized. Data
   stack. */
const char *antispam_run_describe(const struct antispam_run_reply *reply);
/* All that it wrote, stderr after stdout, sanitized and on one line: " | " is
   between two lines. Data stack; NULL if it wrote nothing. */
const char *antispam_run_said(const struct antispam_run_reply *reply);

/* A daemon, as a setting names it. */
struct antispam_peer {
	/* As it was written, for messages. */
	const char *name;
	/* The absolute path of a unix socket, or NULL: then a host's name or
	   IP address, and a TCP port. */
	const char *path, *host;
	unsigned int port;
};

/* Parse "/path", "host:port" or "[::1]:port". Returns 0, or -1 and *error_r
   (data stack), which says what is wrong with the value, without naming it. */
int antispam_peer_parse(pool_t pool, const char *value,
			struct antispam_peer *peer_r, const char **error_r);

struct antispam_exchange_reply;

/* One question to a daemon, and its answer, over a connection of its own. The
   caller owns every pointer until the exchange is over; only the offset of
   input changes. */
struct antispam_exchange {
	/* Is sent first; then input_size bytes of input, from its start on.
	   Blocking and seekable. */
	const char *head;
	struct istream *input;
	uoff_t input_size;
	/* Tell the daemon that nothing more comes, once all is sent. */
	bool half_close;
	/* For all of it, from connecting to the answer's end. */
	unsigned int timeout_msecs;
	/* Bytes of the answer to read; the rest is left unread. */
	size_t max_reply;
	/* Asked after each piece of the answer: is it all here? NULL = the
	   daemon closes the connection after it. */
	bool (*is_whole)(const char *text);
	/* Asked once, when the exchange has ended: was it a failure? NULL = any
	   end but an answer is. */
	bool (*is_failure)(const struct antispam_exchange_reply *reply,
			   void *context);
	void *context;
};

enum antispam_exchange_end {
	/* Not started, since an earlier one failed (stop_on_failure). */
	ANTISPAM_EXCHANGE_SKIPPED = 0,
	/* There is an answer, be it empty or cut: the answer is whole, or
	   max_reply bytes long, or the daemon has closed the connection. */
	ANTISPAM_EXCHANGE_ANSWERED,
	/* No connection, no answer in time, or the input could not be read;
	   error says which. */
	ANTISPAM_EXCHANGE_FAILED,
};

/* Data stack, of the frame that called antispam_exchange_many(). */
struct antispam_exchange_reply {
	enum antispam_exchange_end end;
	/* The answer, NULs turned into '?'; for ANTISPAM_EXCHANGE_ANSWERED. */
	const char *text;
	/* For ANTISPAM_EXCHANGE_FAILED: what happened ("connect(/run/x) failed:
	   Connection refused"). */
	const char *error;
	/* The fault is the input's, no daemon's. */
	bool input_failed;
	unsigned int duration_msecs;
};

/* Have count exchanges with a daemon, at most max_parallel at a time, in one
   poll loop. A host's name is looked up once, which can take as long as the
   system's resolver likes; of its addresses, the first that accepts a
   connection is taken. With stop_on_failure no further exchange is started
   after a failure; those that are under way are waited for. No descriptor is
   left behind, no signal is raised, and no ioloop runs or is needed. */
void antispam_exchange_many(const struct antispam_peer *peer,
			    const struct antispam_exchange *exchanges,
			    unsigned int count, unsigned int max_parallel,
			    bool stop_on_failure,
			    struct antispam_exchange_reply *replies_r);

/* The answer as antispam_run_said() gives it; NULL if there was none. */
const char *antispam_exchange_said(const struct antispam_exchange_reply *reply);

#endif
