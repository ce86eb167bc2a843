#ifndef TRAINER_TEACH_H
#define TRAINER_TEACH_H

#include "antispam-backend.h"
#include "antispam-job.h"

struct antispam_teacher;

/* One lesson from the queue. */
struct trainer_lesson {
	struct antispam_job job;
	/* Open job.message, and set job.path. Returns 1; 0 if that is
	   impossible now, and -1 if what the queue has of it is broken;
	   *error_r (data stack). */
	int (*open)(struct trainer_lesson *lesson, const char **error_r);
	/* Set by trainer_teach(); why is in pool. */
	struct antispam_outcome outcome;
};

/* Called when the outcomes of lessons [0, count) of an array are known. */
typedef void trainer_teach_callback_t(struct trainer_lesson *const *lessons,
				      unsigned int count, void *context);

/* Hand lessons of one class to the user's filter, as many at a time as it can
   take, and find out which of them are to blame if it fails on several. A
   filter that seems to be dead is left alone: the rest is LATER and skipped.
   The callback is called for every lesson once, in their order. */
void trainer_teach(const struct antispam_teacher *teacher, pool_t pool,
		   struct trainer_lesson *const *lessons, unsigned int count,
		   trainer_teach_callback_t *callback, void *context);

/* The callback is never later than that after it was called last. */
unsigned int trainer_teach_silence_msecs(const struct antispam_teacher *teacher);

#endif
