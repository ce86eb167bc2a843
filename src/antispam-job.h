#ifndef ANTISPAM_JOB_H
#define ANTISPAM_JOB_H

/* One message to learn. Built by the hook while the mail is still readable,
   read-only ever after. Owned by its job list. */
struct antispam_job {
	/* Learn as spam; FALSE = as ham. */
	bool spam;
	/* The destination's vname, UTF-8, not yet sanitized. */
	const char *folder;
	/* Where the message came from, for the log ("UID 7 of
	   INBOX", "APPEND"). */
	const char *origin;
	/* NULL unless the backend needs ANTISPAM_NEED_SIGNATURE. */
	const char *signature;
	/* NULL unless the backend needs ANTISPAM_NEED_MESSAGE. Seekable and
	   blocking, no mbox From_ line; whoever reads it seeks to 0 first.
	   Open only while antispam_job_list_open() holds it. */
	struct istream *message;
	/* Where in the list's store the message lies, in bytes. */
	uoff_t offset, size;
};
ARRAY_DEFINE_TYPE(antispam_job, struct antispam_job);

/* The jobs of one transaction and their messages: up to
   ANTISPAM_JOB_MEMORY_MAX bytes in memory, above that all in one unlinked
   temporary file, which takes one descriptor however many jobs there are. */
#define ANTISPAM_JOB_MEMORY_MAX (256 * 1024)
struct antispam_job_list;

/* tmpdir: where the temporary file goes, if one is needed; copied. */
struct antispam_job_list *antispam_job_list_create(const char *tmpdir);
/* Forget all, messages included. NULL is fine. */
void antispam_job_list_destroy(struct antispam_job_list **list);

/* A message comes in pieces: begin, append each, and either finish or cancel.
   What is more than max_size bytes (0 = no limit) is not kept. A failure to
   write is remembered for finish. */
void antispam_job_list_begin(struct antispam_job_list *list, uoff_t max_size);
void antispam_job_list_append(struct antispam_job_list *list, const void *data,
			      size_t size);
/* Forget the message that was begun. */
void antispam_job_list_cancel(struct antispam_job_list *list);
/* Add a job like *job, of which the list copies spam and the strings, for the
   message that was begun; a From_ line is dropped. Returns 1; 0 if the message
   is too big and -1 and *error_r (data stack) if it could not be kept: nothing
   was added. */
int antispam_job_list_finish(struct antispam_job_list *list,
			     const struct antispam_job *job,
			     const char **error_r);

/* All of that at once, for the message that input holds from its current
   offset to its end; NULL = the job needs none. input->stream_errno tells a
   failure to read from one to write. */
int antispam_job_list_add(struct antispam_job_list *list,
			  const struct antispam_job *job,
			  struct istream *input, uoff_t max_size,
			  const char **error_r);
/* Take back the job added last. */
void antispam_job_list_drop_last(struct antispam_job_list *list);

/* Jobs that are in the list now. */
unsigned int antispam_job_list_count(const struct antispam_job_list *list);
/* Bytes of messages that are in memory now. */
size_t antispam_job_list_memory(const struct antispam_job_list *list);
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
