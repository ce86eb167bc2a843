#ifndef ANTISPAM_DAEMON_H
#define ANTISPAM_DAEMON_H

struct antispam_batch;
struct antispam_exchange;
struct antispam_job;
struct antispam_outcome;
struct antispam_peer;

/* How to ask a daemon to learn a message. */
struct antispam_daemon {
	/* For errors ("spamd"). */
	const char *name;
	const struct antispam_peer *peer;
	unsigned int timeout_msecs, max_parallel;
	/* As in struct antispam_exchange. */
	size_t max_reply;
	bool half_close;
	bool (*is_whole)(const char *text);
	/* What comes before a message of so many bytes. Data stack. */
	const char *(*head)(void *context, bool spam, uoff_t size);
	void *context;
	/* What the answer says of a lesson. Pure. Fills *outcome's result and
	   why (data stack). */
	void (*judge)(const char *text, struct antispam_outcome *outcome);
	/* The heads hold a secret: leave none in memory. */
	bool secret;
};

/* For backends whose lessons are one exchange with a daemon each: have
   batch->count of them, and fill batch->outcomes. What gets no answer may go
   better LATER. */
void antispam_daemon_learn(const struct antispam_daemon *daemon,
			   const struct antispam_batch *batch);
/* Give all of batch->outcomes this one, which was never asked about. */
void antispam_daemon_fail(const struct antispam_batch *batch,
			  const struct antispam_outcome *outcome);

#endif
