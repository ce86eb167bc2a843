#ifndef ANTISPAM_QUEUE_STATE_H
#define ANTISPAM_QUEUE_STATE_H

/* What became of a transaction's jobs, as text: a line for each run of jobs
   that are alike, fields separated by tabs and escaped as str_tabescape() does.
   A job that no line names waits, and was never tried. */

enum antispam_queue_status {
	ANTISPAM_QUEUE_WAITING = 0,
	/* Learned, declined, or taken back by another move. */
	ANTISPAM_QUEUE_DONE,
	/* Will not be tried again. */
	ANTISPAM_QUEUE_FAILED,
};

struct antispam_queue_state {
	enum antispam_queue_status status;
	/* Tries that came to nothing. */
	unsigned int attempts;
	/* Not before that time, by the wall clock, in seconds since 1970. */
	int64_t next_try;
	/* Of the last try, for the admin; NULL = there was none. */
	const char *why;
};

/* Of a transaction's jobs. */
ARRAY_DEFINE_TYPE(antispam_queue_state, struct antispam_queue_state);

/* Append the lines for count states. */
void antispam_queue_state_write(string_t *str,
				const struct antispam_queue_state *states,
				unsigned int count);
/* Parse one line, without its line feed, into those of count states that it
   names; their strings are in pool. What comes in may be anything; a line that
   is none of ours changes nothing. Returns 0, or -1 if it is none. */
int antispam_queue_state_parse(const char *line, pool_t pool,
			       struct antispam_queue_state *states,
			       unsigned int count);

#endif
