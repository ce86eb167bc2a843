#ifndef TRAINER_MANAGER_H
#define TRAINER_MANAGER_H

/* Owns the queue: which transactions there are, which child learns what, and
   when what failed is tried again. */

struct trainer_manager;

/* Copied by trainer_manager_init(), queue_dir included. */
struct trainer_manager_settings {
	/* Exists and is safe. */
	const char *queue_dir;
	unsigned int delay_msecs;
	unsigned int lifetime_msecs;
	unsigned int max_children;
	/* Of each child, in bytes; 0 = no limit. */
	uoff_t vsz_limit;
};

/* It has work now, or has no more. Called only when this changes; it begins
   without. */
typedef void trainer_manager_busy_callback_t(bool busy);

/* Looks at all of the queue soon, from the ioloop. */
struct trainer_manager *
trainer_manager_init(const struct trainer_manager_settings *set,
		     trainer_manager_busy_callback_t *callback);
/* name: a transaction's directory that was just released, from anybody, so not
   yet checked; NULL = look at all. */
void trainer_manager_wake(struct trainer_manager *manager, const char *name);
/* Try now what waits since it came to nothing, as soon as all of the queue has
   been seen; of this user, NULL = of all. */
void trainer_manager_flush(struct trainer_manager *manager,
			   const char *username);
/* Start nothing more. The callback is called once, when the last child is gone:
   at once if there is none. */
void trainer_manager_stop(struct trainer_manager *manager,
			  void (*callback)(void));
/* Children that still run go on alone. */
void trainer_manager_deinit(struct trainer_manager **manager);

#endif
