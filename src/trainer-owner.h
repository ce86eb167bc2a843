#ifndef TRAINER_OWNER_H
#define TRAINER_OWNER_H

/* What a uid has put into the queue, whichever users it names: a user of the
   machine may name as many as he likes. */
struct trainer_owner {
	/* That are known. */
	unsigned int jobs;
	/* Users who refer to this. */
	unsigned int users;
	/* When a child worked for it last; microseconds since the machine was
	   booted. */
	int64_t last_run;
	/* In this scan, something big of it was read in vain. */
	bool vain;
};

struct trainer_owners;

struct trainer_owners *trainer_owners_init(void);
void trainer_owners_deinit(struct trainer_owners **owners);

/* Make one if there is none. It lives as long as it has users, or until the
   next scan. */
struct trainer_owner *
trainer_owner_get(struct trainer_owners *owners, uid_t uid);
/* A scan begins: forget what was read in vain, and those who have no users. */
void trainer_owners_scan(struct trainer_owners *owners);

#endif
