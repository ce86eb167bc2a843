#ifndef TRAINER_LOAD_H
#define TRAINER_LOAD_H

#include "trainer-plan.h"

struct antispam_queue_entry;

/* Load what must be known of a transaction to plan: its jobs, and what became of
   them so far. *username_r (data stack) is whose it says to be. Returns it, for
   i_free() like its name, or NULL and *error_r (data stack) if nothing can be
   learned from it. */
struct trainer_tx *trainer_load_tx(const struct antispam_queue_entry *entry,
				   const char **username_r,
				   const char **error_r);

#endif
