#ifndef TRAINER_UNFINISHED_H
#define TRAINER_UNFINISHED_H

/* Transactions that somebody may still write, or remove, and since when they
   have been seen so. There may be very many. */
struct trainer_unfinished;

struct trainer_unfinished *trainer_unfinished_init(void);
void trainer_unfinished_deinit(struct trainer_unfinished **unfinished);

/* It is seen at the time now, in microseconds. Returns for how long it has been
   so. */
int64_t trainer_unfinished_see(struct trainer_unfinished *unfinished,
			       const char *name, int64_t now);
/* All are seen that there are: forget those that were not, since the last
   time. */
void trainer_unfinished_seen_all(struct trainer_unfinished *unfinished);
bool trainer_unfinished_is_empty(const struct trainer_unfinished *unfinished);

#endif
