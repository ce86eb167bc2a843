#ifndef TRAINER_LOAD_H
#define TRAINER_LOAD_H

#include "trainer-plan.h"

struct antispam_queue_entry;

/* Read what must be known of a transaction to plan. Returns it, to be freed
   with trainer_load_free(), and *username_r (data stack); NULL and *error_r
   (data stack) if it is none, and will never be. */
struct trainer_tx *trainer_load(const struct antispam_queue_entry *entry,
				const char **username_r, const char **error_r);
void trainer_load_free(struct trainer_tx **tx);

/* Microseconds since the machine was booted. */
int64_t trainer_clock(void);

#endif
