/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "hash.h"
#include "trainer-unfinished.h"

struct unfinished_name {
	char *name;
	int64_t since;
	/* Since trainer_unfinished_seen_all(). */
	bool seen;
};

struct trainer_unfinished {
	HASH_TABLE(const char *, struct unfinished_name *) names;
};

struct trainer_unfinished *trainer_unfinished_init(void)
{
	struct trainer_unfinished *unfinished =
		i_new(struct trainer_unfinished, 1);

	hash_table_create(&unfinished->names, default_pool, 0, str_hash,
			  strcmp);
	return unfinished;
}

static void
unfinished_forget(struct trainer_unfinished *unfinished, bool keep_seen)
{
	struct hash_iterate_context *iter;
	struct unfinished_name *entry;
	const char *name;

	iter = hash_table_iterate_init(unfinished->names);
	while (hash_table_iterate(iter, unfinished->names, &name, &entry)) {
		if (entry->seen && keep_seen) {
			entry->seen = FALSE;
			continue;
		}
		hash_table_remove(unfinished->names, name);
		i_free(entry->name);
		i_free(entry);
	}
	hash_table_iterate_deinit(&iter);
}

void trainer_unfinished_deinit(struct trainer_unfinished **_unfinished)
{
	struct trainer_unfinished *unfinished = *_unfinished;

	*_unfinished = NULL;
	unfinished_forget(unfinished, FALSE);
	hash_table_destroy(&unfinished->names);
	i_free(unfinished);
}

int64_t trainer_unfinished_see(struct trainer_unfinished *unfinished,
			       const char *name, int64_t now)
{
	struct unfinished_name *entry;

	entry = hash_table_lookup(unfinished->names, name);
	if (entry == NULL) {
		entry = i_new(struct unfinished_name, 1);
		entry->name = i_strdup(name);
		entry->since = now;
		name = entry->name;
		hash_table_insert(unfinished->names, name, entry);
	}
	entry->seen = TRUE;
	return now - entry->since;
}

void trainer_unfinished_seen_all(struct trainer_unfinished *unfinished)
{
	unfinished_forget(unfinished, TRUE);
}

bool trainer_unfinished_is_empty(const struct trainer_unfinished *unfinished)
{
	return hash_table_count(unfinished->names) == 0;
}
