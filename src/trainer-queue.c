/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Finds transactions and keeps in memory what must be known of them to plan.
   As root it reads nothing but what describes the jobs. Users may have put
   anything there: what is no transaction is put aside, and however much it is,
   others are not kept waiting. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "lib-event.h"
#include "str-sanitize.h"
#include "antispam-queue.h"
#include "antispam-queue-dir.h"
#include "antispam-queue-entry.h"
#include "trainer-load.h"
#include "trainer-owner.h"
#include "trainer-unfinished.h"
#include "trainer-queue.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

/* Entries that one call of scan looks at. */
#define SCAN_ENTRIES 200
/* What is not finished, and has no writer, is rubbish after this time. */
#define UNFINISHED_USECS (10LL * 60 * 1000000)
/* Files of rubbish that are removed at a time. */
#define RUBBISH_MAX_FILES 1000
/* Of a uid, and of all: more is left on the disk until there is room. A uid has
   room for some whatever others have put there. */
#define USER_FREE_JOBS 10000
#define USER_MAX_JOBS 500000
#define ALL_MAX_JOBS 1000000
/* Errors that are logged from the end of one scan to that of the next. */
#define SCAN_MAX_ERRORS 10
/* Names in log lines, and reasons, are cut here, in bytes. */
#define NAME_SHOWN 200
#define WHY_SHOWN 400

struct trainer_queue {
	struct event *event;
	char *dir;
	int64_t delay_usecs;
	int fd;

	HASH_TABLE(const char *, struct trainer_tx *) txs;
	ARRAY_TYPE(trainer_user) users;
	HASH_TABLE(const char *, struct trainer_user *) users_by_key;
	struct trainer_owners *owners;
	unsigned int jobs;
	struct trainer_unfinished *unfinished;

	/* NULL = no scan is under way. */
	DIR *scan;
	/* Hidden ones with a living writer, in this scan and in the last. */
	unsigned int hidden, last_hidden;
	/* Since the last one ended. */
	unsigned int scan_errors;
	bool left_out_logged;
};

int64_t trainer_queue_clock(void)
{
	struct antispam_queue_head now;

	antispam_queue_now(&now);
	return now.boot_usecs;
}

struct trainer_queue *trainer_queue_init(struct event *event, const char *dir,
					 int64_t delay_usecs)
{
	struct trainer_queue *queue = i_new(struct trainer_queue, 1);

	queue->event = event;
	queue->dir = i_strdup(dir);
	queue->delay_usecs = delay_usecs;
	queue->fd = -1;
	hash_table_create(&queue->txs, default_pool, 0, str_hash, strcmp);
	i_array_init(&queue->users, 16);
	hash_table_create(&queue->users_by_key, default_pool, 0, str_hash,
			  strcmp);
	queue->owners = trainer_owners_init();
	queue->unfinished = trainer_unfinished_init();
	return queue;
}

/* Users and owners */

static struct trainer_user *
user_get(struct trainer_queue *queue, const char *username, uid_t uid)
{
	const char *key = t_strdup_printf("%ld %s", (long)uid, username);
	struct trainer_user *user;

	user = hash_table_lookup(queue->users_by_key, key);
	if (user != NULL)
		return user;
	user = i_new(struct trainer_user, 1);
	user->key = i_strdup(key);
	user->username = i_strdup(username);
	user->uid = uid;
	user->owner = trainer_owner_get(queue->owners, uid);
	user->owner->users++;
	user->due = INT64_MAX;
	user->sorted = TRUE;
	i_array_init(&user->txs, 8);
	array_push_back(&queue->users, &user);
	key = user->key;
	hash_table_insert(queue->users_by_key, key, user);
	return user;
}

static void user_free(struct trainer_queue *queue, struct trainer_user *user)
{
	const char *key = user->key;

	hash_table_remove(queue->users_by_key, key);
	user->owner->users--;
	array_free(&user->txs);
	i_free(user->key);
	i_free(user->username);
	i_free(user);
}

static int tx_cmp(struct trainer_tx *const *a, struct trainer_tx *const *b)
{
	if ((*a)->born != (*b)->born)
		return (*a)->born < (*b)->born ? -1 : 1;
	return strcmp((*a)->name, (*b)->name);
}

void trainer_queue_sort(struct trainer_user *user)
{
	if (!user->sorted)
		array_sort(&user->txs, tx_cmp);
	user->sorted = TRUE;
}

static void user_add(struct trainer_user *user, struct trainer_tx *tx)
{
	struct trainer_tx *const *last = NULL;

	if (array_count(&user->txs) > 0)
		last = array_back(&user->txs);
	if (last != NULL && tx_cmp(last, &tx) > 0)
		user->sorted = FALSE;
	array_push_back(&user->txs, &tx);
}

static void tx_free(struct trainer_queue *queue, struct trainer_tx *tx)
{
	const char *name = tx->name;

	hash_table_remove(queue->txs, name);
	trainer_owner_get(queue->owners, tx->uid)->jobs -= tx->count;
	queue->jobs -= tx->count;
	i_free(tx->name);
	i_free(tx);
}

void trainer_queue_clean(struct trainer_queue *queue, struct trainer_user *user)
{
	struct trainer_tx **txs;
	struct trainer_user *const *users;
	unsigned int i, count, kept = 0;

	txs = array_get_modifiable(&user->txs, &count);
	for (i = 0; i < count; i++) {
		if (txs[i]->gone || txs[i]->waiting == 0)
			tx_free(queue, txs[i]);
		else
			txs[kept++] = txs[i];
	}
	array_delete(&user->txs, kept, count - kept);
	if (kept > 0 || user->running)
		return;
	users = array_get(&queue->users, &count);
	for (i = 0; users[i] != user; i++)
		i_assert(i < count);
	array_delete(&queue->users, i, 1);
	user_free(queue, user);
}

const ARRAY_TYPE(trainer_user) *
trainer_queue_users(const struct trainer_queue *queue)
{
	return &queue->users;
}

void trainer_queue_deinit(struct trainer_queue **_queue)
{
	struct trainer_queue *queue = *_queue;
	struct trainer_user *user;
	struct trainer_tx *tx;

	*_queue = NULL;
	array_foreach_elem(&queue->users, user) {
		array_foreach_elem(&user->txs, tx)
			tx_free(queue, tx);
		user_free(queue, user);
	}
	if (queue->scan != NULL)
		(void)closedir(queue->scan);
	hash_table_destroy(&queue->txs);
	hash_table_destroy(&queue->users_by_key);
	trainer_owners_deinit(&queue->owners);
	trainer_unfinished_deinit(&queue->unfinished);
	array_free(&queue->users);
	i_close_fd(&queue->fd);
	i_free(queue->dir);
	i_free(queue);
}

bool trainer_queue_is_empty(const struct trainer_queue *queue)
{
	return hash_table_count(queue->txs) == 0 && queue->hidden == 0 &&
		queue->last_hidden == 0 &&
		trainer_unfinished_is_empty(queue->unfinished) &&
		queue->scan == NULL;
}

/* The directory */

int trainer_queue_fd(struct trainer_queue *queue, const char **error_r)
{
	int fd, ret;

	ret = antispam_queue_dir_open(queue->dir, geteuid(), &fd, error_r);
	if (ret <= 0) {
		if (ret == 0) {
			*error_r = t_strdup_printf("%s is missing",
						   queue->dir);
		}
		return -1;
	}
	/* it may be another one by now */
	i_close_fd(&queue->fd);
	queue->fd = fd;
	return fd;
}

/* Log what a scan finds, but not without end. */
static void queue_complain(struct trainer_queue *queue, const char *name,
			   const char *what, const char *why)
{
	/* both may be words of whoever has put it there */
	const char *error = t_strdup_printf(
		"%s/%s %s: %s", queue->dir, str_sanitize(name, NAME_SHOWN),
		what, str_sanitize(why, WHY_SHOWN));

	if (++queue->scan_errors > SCAN_MAX_ERRORS)
		e_debug(queue->event, "%s", error);
	else
		e_error(queue->event, "%s", error);
}

static void
queue_set_aside(struct trainer_queue *queue, const char *name, const char *why)
{
	const char *new_name;

	new_name = antispam_queue_entry_rename(queue->fd, name,
					       ANTISPAM_QUEUE_PREFIX_FAILED);
	if (new_name == NULL && errno == ENOENT)
		return;
	if (new_name == NULL) {
		queue_complain(queue, name, "can't be put aside",
			       t_strdup_printf("%s (rename() failed: %m)",
					       why));
		return;
	}
	queue_complain(queue, name,
		       t_strdup_printf("is put aside as %s, and nothing is "
				       "learned from it",
				       str_sanitize(new_name, NAME_SHOWN)),
		       why);
}

void trainer_queue_set_aside(struct trainer_queue *queue,
			     struct trainer_tx *tx, const char *why)
{
	tx->gone = TRUE;
	queue_set_aside(queue, tx->name, why);
}

/* Transactions */

static void
queue_add(struct trainer_queue *queue, const char *username,
	  struct trainer_tx *tx)
{
	struct trainer_user *user = user_get(queue, username, tx->uid);
	const char *name = tx->name;

	user->owner->jobs += tx->count;
	queue->jobs += tx->count;
	hash_table_insert(queue->txs, name, tx);
	user_add(user, tx);
	user->due = I_MIN(user->due, tx->born + queue->delay_usecs);
}

static bool queue_has_room(struct trainer_queue *queue,
			   const struct antispam_queue_entry *entry)
{
	const struct trainer_owner *owner =
		trainer_owner_get(queue->owners, entry->uid);
	const unsigned int count = entry->end.count, mine = owner->jobs;
	const bool room = queue->jobs + count <= ALL_MAX_JOBS;

	/* reading much in vain takes time from others: once a scan will do */
	if (owner->vain && count > USER_FREE_JOBS)
		return FALSE;
	/* who has put little there does not wait for those who have put very
	   much */
	if (mine + count <= USER_FREE_JOBS ||
	    (mine + count <= USER_MAX_JOBS && room) ||
	    /* it is bigger than that, and can't be divided */
	    (mine == 0 && (queue->jobs == 0 || room)))
		return TRUE;
	if (!queue->left_out_logged) {
		queue->left_out_logged = TRUE;
		e_warning(queue->event,
			  "uid %ld has put very many lessons into %s: some "
			  "are looked at when others are done",
			  (long)entry->uid, queue->dir);
	}
	return FALSE;
}

static void
queue_load(struct trainer_queue *queue,
	   const struct antispam_queue_entry *entry)
{
	struct trainer_tx *tx;
	const char *username, *error;

	if (!queue_has_room(queue, entry))
		return;
	tx = trainer_load_tx(entry, &username, &error);
	if (tx == NULL) {
		trainer_owner_get(queue->owners, entry->uid)->vain = TRUE;
		queue_set_aside(queue, entry->name, error);
		return;
	}
	queue_add(queue, username, tx);
}

/* One that is visible has had it. */
static bool has_job_file(const struct trainer_queue *queue, const char *name)
{
	name = t_strconcat(name, "/" ANTISPAM_QUEUE_JOBS_FILE, NULL);
	return faccessat(queue->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Somebody may be about to write it, or remove it. If not, remove it after a
   while: before the job file was finished nothing was promised, and without it
   nothing is left to do. */
static void queue_note_unfinished(struct trainer_queue *queue, const char *name,
				  const char *why)
{
	if (trainer_unfinished_see(queue->unfinished, name,
				   trainer_queue_clock()) < UNFINISHED_USECS)
		return;
	if (antispam_queue_name_is_visible(name) && has_job_file(queue, name))
		queue_set_aside(queue, name, why);
	else {
		(void)antispam_queue_entry_remove(queue->fd, name,
						  RUBBISH_MAX_FILES);
	}
}

/* Its writer is alive. That may take as long as a client likes to send a
   message; and until it has finished, the end of its file is what somebody has
   written into a message. */
static bool is_being_written(const struct trainer_queue *queue,
			     const char *name)
{
	return antispam_queue_name_is_hidden(name) &&
		antispam_queue_entry_is_locked(queue->fd, name);
}

static void
queue_look_at_other(struct trainer_queue *queue, const char *name,
		    enum antispam_queue_found found, const char *why)
{
	switch (found) {
	case ANTISPAM_QUEUE_FOUND:
	case ANTISPAM_QUEUE_GONE:
		break;
	case ANTISPAM_QUEUE_UNFINISHED:
		queue_note_unfinished(queue, name, why);
		break;
	case ANTISPAM_QUEUE_INVALID:
		queue_set_aside(queue, name, why);
		break;
	case ANTISPAM_QUEUE_UNREADABLE:
		queue_complain(queue, name, "can't be read", why);
		break;
	}
}

static void queue_look_at(struct trainer_queue *queue, const char *name)
{
	struct antispam_queue_entry entry;
	enum antispam_queue_found found;
	const char *error;

	found = antispam_queue_entry_open(queue->fd, name, &entry, &error);
	if (found != ANTISPAM_QUEUE_FOUND) {
		if (is_being_written(queue, name))
			queue->hidden++;
		else
			queue_look_at_other(queue, name, found, error);
		return;
	}
	/* its writer lives, or somebody else works on it */
	if (antispam_queue_name_is_hidden(name) &&
	    !antispam_queue_entry_lock(&entry))
		queue->hidden++;
	else
		queue_load(queue, &entry);
	antispam_queue_entry_close(&entry);
}

bool trainer_queue_look(struct trainer_queue *queue, const char *name)
{
	const struct trainer_tx *tx;
	const char *error;

	/* it may be another directory than it was */
	if (!antispam_queue_name_is_visible(name) ||
	    strlen(name) > ANTISPAM_QUEUE_NAME_MAX ||
	    strchr(name, '/') != NULL ||
	    hash_table_lookup(queue->txs, name) != NULL ||
	    trainer_queue_fd(queue, &error) < 0)
		return FALSE;
	T_BEGIN {
		queue_look_at(queue, name);
	} T_END;
	tx = hash_table_lookup(queue->txs, name);
	return tx != NULL && queue->delay_usecs > 0 &&
		tx->born + queue->delay_usecs <= trainer_queue_clock();
}

static bool scan_begin(struct trainer_queue *queue)
{
	const char *error;
	int fd = -1;

	if (trainer_queue_fd(queue, &error) >= 0) {
		fd = openat(queue->fd, ".",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd != -1)
			queue->scan = fdopendir(fd);
		if (queue->scan == NULL) {
			error = t_strdup_printf("open(%s) failed: %m",
						queue->dir);
		}
	}
	if (queue->scan == NULL) {
		i_close_fd(&fd);
		e_error(queue->event, "the queue can't be read: %s", error);
		return FALSE;
	}
	queue->hidden = 0;
	trainer_owners_scan(queue->owners);
	return TRUE;
}

static void scan_end(struct trainer_queue *queue)
{
	(void)closedir(queue->scan);
	queue->scan = NULL;
	queue->last_hidden = queue->hidden;
	if (queue->scan_errors > SCAN_MAX_ERRORS) {
		e_error(queue->event, "%s: %u more like that", queue->dir,
			queue->scan_errors - SCAN_MAX_ERRORS);
	}
	queue->scan_errors = 0;
	trainer_unfinished_seen_all(queue->unfinished);
}

bool trainer_queue_scan(struct trainer_queue *queue)
{
	const struct dirent *d;
	const char *name;
	unsigned int i;

	if (queue->scan == NULL && !scan_begin(queue))
		return TRUE;
	for (i = 0; i < SCAN_ENTRIES; i++) {
		d = readdir(queue->scan);
		if (d == NULL) {
			scan_end(queue);
			return TRUE;
		}
		name = d->d_name;
		if ((antispam_queue_name_is_visible(name) ||
		     antispam_queue_name_is_hidden(name)) &&
		    hash_table_lookup(queue->txs, name) == NULL) {
			T_BEGIN {
				queue_look_at(queue, name);
			} T_END;
		}
	}
	return FALSE;
}

bool trainer_queue_is_scanning(const struct trainer_queue *queue)
{
	return queue->scan != NULL;
}
