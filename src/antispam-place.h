#ifndef ANTISPAM_PLACE_H
#define ANTISPAM_PLACE_H

struct mail;
struct mail_storage;
struct istream;
struct antispam_place;

/* Does a mail storage of this kind hold messages in files that never change? */
bool antispam_place_keeps_files(const struct mail_storage *storage);

/* Find the file of the mail storage that holds the message as it is, and will
   hold it for as long as it exists. Returns FALSE if there is no such file: the
   message must be read.

   The one opens nothing, and knows the file by its path, which is on the data
   stack. The other has the mail's stream, input, of which nothing is read:
   place_r->fd is the stream's. */
bool antispam_place_find_path(struct mail *mail,
			      struct antispam_place *place_r);
bool antispam_place_find(struct mail *mail, struct istream *input,
			 struct antispam_place *place_r);

/* The storage's name for the message, which survives COPY and MOVE; NULL = it
   has none that can be relied on. It lives as long as the mail is not set to
   another message. Not for one that is being saved: it has no name yet, and
   maildir breaks if it is asked (2.3.19). */
const char *antispam_place_guid(struct mail *mail);

#endif
