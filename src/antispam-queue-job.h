#ifndef ANTISPAM_QUEUE_JOB_H
#define ANTISPAM_QUEUE_JOB_H

#include "antispam-transition.h"

/* The file that describes the jobs of one queued transaction: messages that
   had to be copied, one behind the other; then lines of text, fields separated
   by tabs and escaped as str_tabescape() does: a head, a line a job, an end.
   The end has a fixed size, says where the head begins, and holds a checksum
   of all lines before it: without a valid one the file was never finished. */

/* The version of the format, which the head names. */
#define ANTISPAM_QUEUE_VERSION 1
/* The last line, in bytes, with its line feed. */
#define ANTISPAM_QUEUE_END_SIZE 45
/* No line is longer, in bytes. */
#define ANTISPAM_QUEUE_LINE_MAX (32 * 1024)
/* No transaction has more jobs. */
#define ANTISPAM_QUEUE_JOBS_MAX 1000000

struct antispam_queue_head {
	const char *username;
	/* When the jobs were written, in microseconds: since 1970, and since
	   the machine was booted, and the kernel's name for that boot ("" =
	   not known). Two times of one boot compare by the latter, whatever
	   was done to the clock. */
	int64_t wall_usecs, boot_usecs;
	const char *boot_id;
};

/* A job as the file has it. */
struct antispam_queue_job {
	/* Learn as spam; FALSE = as ham. */
	bool spam;
	/* The job has a message. */
	bool has_message;
	struct antispam_transition change;
	/* The file beside this one that holds the message, which nobody has
	   looked at: its From_ line, if it has one, is still there. NULL = the
	   message is in this file. */
	const char *file;
	/* Where in its file the message lies, in bytes. */
	uoff_t offset, size;
	/* As in struct antispam_job; NULL = none. */
	const char *guid, *signature;
	const char *folder, *origin;
};

struct antispam_queue_end {
	/* Where the head begins, in bytes. */
	uoff_t offset;
	/* Of jobs. */
	unsigned int count;
	/* Of all lines, line feeds included. */
	uint32_t crc;
};

/* Append one line. */
void antispam_queue_head_write(string_t *str,
			       const struct antispam_queue_head *head);
void antispam_queue_job_write(string_t *str,
			      const struct antispam_queue_job *job);
void antispam_queue_end_write(string_t *str,
			      const struct antispam_queue_end *end);

/* Parse one line, without its line feed. What comes in may be anything. All
   results on the data stack. Returns 0, or -1 and *error_r (static). */
int antispam_queue_head_parse(const char *line,
			      struct antispam_queue_head *head_r,
			      const char **error_r);
int antispam_queue_job_parse(const char *line,
			     struct antispam_queue_job *job_r,
			     const char **error_r);
int antispam_queue_end_parse(const char *line,
			     struct antispam_queue_end *end_r,
			     const char **error_r);

/* From head to now, in microseconds, which is negative if now is earlier. A clock
   that was set does not count within one boot. */
int64_t antispam_queue_head_age(const struct antispam_queue_head *head,
				const struct antispam_queue_head *now);

/* Is this the name of a file that a job may name? */
bool antispam_queue_file_is_valid(const char *name);

#endif
