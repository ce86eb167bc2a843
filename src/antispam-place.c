/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Storages whose files never change hold a message as one part of a file, if
   no plugin compresses or encrypts it. Which plugins do so needs not be known:
   they put themselves between the storage and the reader. mbox rewrites its
   files, and what it calls a GUID is the same for many messages (the digest of
   nothing, as long as a message's header has not been read). */

#include "lib.h"
#include "istream.h"
#include "mail-storage-private.h"
#include "maildir-storage.h"
#include "antispam-job.h"
#include "antispam-place.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

bool antispam_place_keeps_files(const struct mail_storage *storage)
{
	return strcmp(storage->name, "maildir") == 0 ||
		strcmp(storage->name, "sdbox") == 0 ||
		strcmp(storage->name, "mdbox") == 0;
}

/* Does a plugin change what is read? */
static bool is_filtered(struct mail *mail)
{
	const struct mail_private *pmail = (const struct mail_private *)mail;
	const struct mail_vfuncs *storage = mail->box->mail_vfuncs;

	return pmail->v.get_stream != storage->get_stream ||
		pmail->v.istream_opened != storage->istream_opened;
}

/* mdbox has it in its index, and would read its file otherwise. Returns NULL
   if it is not there. */
static const uint8_t *index_guid(struct mail *mail)
{
	uint32_t ext_id;
	const void *data;

	if (strcmp(mail->box->storage->name, "mdbox") != 0 ||
	    !mail_index_ext_lookup(mail->box->index, "guid", &ext_id))
		return NULL;
	mail_index_lookup_ext(mail->transaction->view, mail->seq, ext_id, &data,
			      NULL);
	return data == NULL || guid_128_is_empty(data) ? NULL : data;
}

const char *antispam_place_guid(struct mail *mail)
{
	const uint8_t *found;
	const char *guid;
	guid_128_t hash;

	if (!antispam_place_keeps_files(mail->box->storage))
		return NULL;
	found = index_guid(mail);
	if (found != NULL)
		return guid_128_to_string(found);
	if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0 || *guid == '\0')
		return NULL;
	/* as the index would have it: the storages' names for one message are
	   the same then */
	mail_generate_guid_128_hash(guid, hash);
	return guid_128_to_string(hash);
}

static bool
place_init(struct antispam_place *place, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid())
		return FALSE;
	place->dev = st->st_dev;
	place->ino = st->st_ino;
	place->file_size = st->st_size;
	return TRUE;
}

/* maildir_file_do() has a data stack frame of its own, which is gone when it
   returns, and the path with it. */
struct maildir_place {
	struct antispam_place *place;
	char path[PATH_MAX];
};

/* Returns as maildir_file_do_func. */
static int
maildir_find(struct maildir_mailbox *mbox ATTR_UNUSED, const char *path,
	     struct maildir_place *found)
{
	struct antispam_place *place = found->place;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!place_init(place, &st) ||
	    i_strocpy(found->path, path, sizeof(found->path)) < 0)
		return -1;
	place->fd = -1;
	place->offset = 0;
	place->size = place->file_size;
	return 1;
}

bool antispam_place_find_path(struct mail *mail,
			      struct antispam_place *place_r)
{
	struct maildir_place found;

	found.place = place_r;
	if (strcmp(mail->box->storage->name, "maildir") != 0 ||
	    is_filtered(mail) ||
	    maildir_file_do(MAILDIR_MAILBOX(mail->box), mail->uid,
			    maildir_find, &found) <= 0)
		return FALSE;
	place_r->path = t_strdup(found.path);
	return TRUE;
}

bool antispam_place_find(struct mail *mail, struct istream *input,
			 struct antispam_place *place_r)
{
	struct stat st;

	if (!antispam_place_keeps_files(mail->box->storage) ||
	    is_filtered(mail))
		return FALSE;
	place_r->fd = i_stream_get_fd(input);
	if (place_r->fd == -1 || fstat(place_r->fd, &st) < 0 ||
	    !place_init(place_r, &st) ||
	    i_stream_get_size(input, TRUE, &place_r->size) <= 0)
		return FALSE;
	place_r->path = NULL;
	place_r->offset = i_stream_get_absolute_offset(input);
	return place_r->offset + place_r->size <= place_r->file_size;
}
