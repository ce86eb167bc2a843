#ifndef ANTISPAM_BACKEND_H
#define ANTISPAM_BACKEND_H

#include "fsync-mode.h"

struct antispam_settings;
struct antispam_identity;
struct antispam_job;

/* What a backend wants to know of a message. */
enum antispam_need {
	ANTISPAM_NEED_MESSAGE = 0x01,
	ANTISPAM_NEED_SIGNATURE = 0x02,
};

/* How a lesson ended. */
enum antispam_result {
	/* The filter learned it. */
	ANTISPAM_LEARNED = 0,
	/* The filter had learned it before. */
	ANTISPAM_KNOWN,
	/* The filter wants no such lesson (too short, not enough data); no
	   error. */
	ANTISPAM_DECLINED,
	/* Not now; the same lesson may succeed another time. */
	ANTISPAM_LATER,
	/* Not like this; the same lesson will fail again. */
	ANTISPAM_BROKEN,
};

struct antispam_outcome {
	enum antispam_result result;
	/* Never started, because an earlier job of the batch failed; goes with
	   ANTISPAM_LATER. */
	bool skipped;
	/* Why, on the data stack; NULL for ANTISPAM_LEARNED. */
	const char *why;
	/* What the filter wrote, whatever came of it, as one printable line on
	   the data stack; NULL = nothing, or the backend does not know. */
	const char *said;
	unsigned int duration_msecs;
};

/* Jobs of one user and one class that go to the filter together. The caller
   owns all of it. */
struct antispam_batch {
	const struct antispam_identity *identity;
	/* For debug lines; the log prefix is set. */
	struct event *event;
	/* mail_fsync of the destination's storage. */
	enum fsync_mode fsync_mode;
	struct antispam_job *const *jobs;
	unsigned int count;
	/* Start nothing more after the first LATER. */
	bool stop_on_failure;
	/* count of them, for learn() to fill. */
	struct antispam_outcome *outcomes;
};

struct antispam_backend {
	/* The value of antispam_backend that selects it, and NULL-terminated
	   old names for it, or NULL. */
	const char *name;
	const char *const *old_names;
	enum antispam_need needs;
	/* It runs programs, which want to know the user's home directory. */
	bool runs_programs;
	/* Which one, and the setting that names it; NULL = it runs none. */
	const char *(*program)(const struct antispam_settings *set,
			       const char **setting_r);
	/* For ANTISPAM_NEED_SIGNATURE, NULL without: the defaults of
	   antispam_signature and, unless NULL, of antispam_signature_regex. */
	const char *signature_header, *signature_regex;
	/* How many jobs learn() takes at a time. */
	unsigned int max_batch;
	/* How many of them are under way at the same time, at most; 0 =
	   antispam_max_parallel says so. */
	unsigned int max_parallel;
	/* How many of them the filter itself takes at once, so that they are
	   LATER together; then learn() takes so many. NULL or 0 = each has its
	   own outcome. */
	unsigned int (*takes_many)(void *context);
	/* Check the backend's own settings, once per user. *context_r lives in
	   pool and has no destructor; pool and set outlive it. Returns 0, or -1
	   and *error_r (data stack) that names the wrong setting. *warning_r
	   is set to a sentence for the log or left alone. */
	int (*init)(pool_t pool, const struct antispam_settings *set,
		    void **context_r, const char **warning_r,
		    const char **error_r);
	/* The directory for messages that do not fit into memory; NULL = /tmp. */
	const char *(*tmpdir)(void *context);
	/* NULL, or, with ANTISPAM_NEED_SIGNATURE: the name of a header whose
	   value may keep a message from being taught, NULL if there is none;
	   and whether this value of it (as it stands in the message) does. */
	const char *(*result_header)(void *context);
	bool (*result_declines)(void *context, const char *value);
	/* Learn batch->count messages, each within set->timeout_msecs; may run
	   some of them side by side. Never logs an error, never touches mail
	   storage. Fills batch->outcomes. *undo, NULL at first and kept for all
	   batches of a transaction, is the backend's own. */
	void (*learn)(void *context, const struct antispam_batch *batch,
		      void **undo);

	/* The rest is NULL unless learn() leaves something to reveal or to
	   take back when the storage has decided (spool2dir's hidden files).
	   Such a backend's learn() may run before the transaction is complete.
	   After commit() or rollback() *undo is freed and NULL; with a NULL
	   *undo none of them is called.

	   prepare() runs before the storage commits; after -1 and *error_r
	   (data stack) the transaction is rolled back. commit() runs after
	   the storage has committed: it can't refuse any more. It returns the
	   number of lessons that it lost, and sets *error_r (data stack) if
	   anything went wrong. */
	int (*prepare)(void *context, void **undo, const char **error_r);
	unsigned int (*commit)(void *context, void **undo,
			       const char **error_r);
	void (*rollback)(void *context, void **undo);
};

/* All backends that are built in, NULL-terminated. */
extern const struct antispam_backend *const antispam_backends[];

/* Find a backend by name or old name; NULL = not built in. */
const struct antispam_backend *antispam_backend_find(const char *name);
/* "pipe, spool2dir": for messages. Data stack. */
const char *antispam_backend_names(void);

#endif
