/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "trainer-owner.h"

struct trainer_owners {
	/* Keys are uid_key(). */
	HASH_TABLE(void *, struct trainer_owner *) owners;
};

static void *uid_key(uid_t uid)
{
	return POINTER_CAST((uintptr_t)uid + 1);
}

struct trainer_owners *trainer_owners_init(void)
{
	struct trainer_owners *owners = i_new(struct trainer_owners, 1);

	hash_table_create_direct(&owners->owners, default_pool, 0);
	return owners;
}

void trainer_owners_deinit(struct trainer_owners **_owners)
{
	struct trainer_owners *owners = *_owners;
	struct hash_iterate_context *iter;
	struct trainer_owner *owner;
	void *key;

	*_owners = NULL;
	iter = hash_table_iterate_init(owners->owners);
	while (hash_table_iterate(iter, owners->owners, &key, &owner))
		i_free(owner);
	hash_table_iterate_deinit(&iter);
	hash_table_destroy(&owners->owners);
	i_free(owners);
}

struct trainer_owner *
trainer_owner_get(struct trainer_owners *owners, uid_t uid)
{
	void *key = uid_key(uid);
	struct trainer_owner *owner = hash_table_lookup(owners->owners, key);

	if (owner == NULL) {
		owner = i_new(struct trainer_owner, 1);
		hash_table_insert(owners->owners, key, owner);
	}
	return owner;
}

void trainer_owners_scan(struct trainer_owners *owners)
{
	struct hash_iterate_context *iter;
	struct trainer_owner *owner;
	void *key;

	iter = hash_table_iterate_init(owners->owners);
	while (hash_table_iterate(iter, owners->owners, &key, &owner)) {
		owner->vain = FALSE;
		if (owner->users > 0 || owner->jobs > 0)
			continue;
		hash_table_remove(owners->owners, key);
		i_free(owner);
	}
	hash_table_iterate_deinit(&iter);
}
