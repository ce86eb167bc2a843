/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Storages whose files never change hold a message as one part of a file, if
   no plugin compresses or encrypts it. Which plugins do so needs not be known:
   they put themselves between the storage and the reader. mbox rewrites its
   files, and what it calls a GUID is the same for many messages (the digest of
   nothing, as long as a message's header has not been read). */

#include "lib.h"
#include "istream.h"
#include "mail-storage-private.h"
#include "antispam-job.h"
#include "antispam-place.h"

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

const char *antispam_place_guid(struct mail *mail)
{
	const char *guid;

	if (!antispam_place_keeps_files(mail->box->storage) ||
	    mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0 ||
	    *guid == '\0')
		return NULL;
	return guid;
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
	    !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    i_stream_get_size(input, TRUE, &place_r->size) <= 0)
		return FALSE;
	place_r->dev = st.st_dev;
	place_r->ino = st.st_ino;
	place_r->file_size = st.st_size;
	place_r->offset = i_stream_get_absolute_offset(input);
	return place_r->offset + place_r->size <= place_r->file_size;
}
