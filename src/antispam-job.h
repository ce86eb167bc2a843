#ifndef ANTISPAM_JOB_H
#define ANTISPAM_JOB_H

#include "antispam-transition.h"

struct antispam_store;

/* Where a message lies, as it is, in a file of the mail storage. */
struct antispam_place {
	/* Open for reading, the storage's; -1 = there is a path. */
	int fd;
	const char *path;
	/* Of that file: which one it is, and how big. */
	dev_t dev;
	ino_t ino;
	uoff_t file_size;
	/* Where in it the message lies, in bytes, its From_ line included. */
	uoff_t offset, size;
};

/* One message to learn. Built by the hook while the mail is still readable,
   read-only ever after. */
struct antispam_job {
	/* Learn as spam; FALSE = as ham. */
	bool spam;
	/* The change of folder that says so. */
	struct antispam_transition change;
	/* The destination's vname, UTF-8, not yet sanitized. */
	const char *folder;
	/* Where the message came from, for the log ("UID 7 of
	   INBOX", "APPEND"). */
	const char *origin;
	/* The storage's name for the message, which survives COPY and MOVE.
	   NULL = it has none. Only for a queued lesson. */
	const char *guid;
	/* NULL unless the backend needs ANTISPAM_NEED_SIGNATURE. */
	const char *signature;
	/* NULL = the message must be read; only for a queued lesson. */
	const struct antispam_place *place;
	/* NULL unless the backend needs ANTISPAM_NEED_MESSAGE. Seekable and
	   blocking, no mbox From_ line; whoever reads it seeks to 0 first.
	   Open only while antispam_job_list_open() holds it. */
	struct istream *message;
	/* A file that holds this message and nothing else, and that the user
	   may read; NULL = there is none. */
	const char *path;
	/* Where in the list's store the message lies, in bytes. */
	uoff_t offset, size;
};
ARRAY_DEFINE_TYPE(antispam_job, struct antispam_job);

/* The jobs of one transaction and their messages, which lie in a store. */
struct antispam_job_list;

/* store: outlives the list. */
struct antispam_job_list *
antispam_job_list_create(struct antispam_store *store);
/* NULL is fine. */
void antispam_job_list_destroy(struct antispam_job_list **list);

/* Add a job like *job, of which the list copies spam and the strings, for the
   message at offset of the store. */
void antispam_job_list_add(struct antispam_job_list *list,
			   const struct antispam_job *job, uoff_t offset,
			   uoff_t size);
/* Take back the job added last. */
void antispam_job_list_drop_last(struct antispam_job_list *list);

/* Jobs that are in the list now. */
unsigned int antispam_job_list_count(const struct antispam_job_list *list);
/* The job at idx within the list, valid until the list changes. */
struct antispam_job *
antispam_job_list_get(struct antispam_job_list *list, unsigned int idx);

/* Open and close job->message. */
void antispam_job_list_open(struct antispam_job_list *list,
			    struct antispam_job *job);
void antispam_job_list_close(struct antispam_job *job);

/* Forget the jobs and messages that are in the list. */
void antispam_job_list_clear(struct antispam_job_list *list);

#endif
