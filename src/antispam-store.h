#ifndef ANTISPAM_STORE_H
#define ANTISPAM_STORE_H

struct istream;

/* Messages one behind the other: up to ANTISPAM_STORE_MEMORY_MAX bytes in
   memory, above that all in one file, which takes one descriptor however many
   messages there are. */
#define ANTISPAM_STORE_MEMORY_MAX (256 * 1024)
struct antispam_store;

/* A store whose file, if it needs one, is an unlinked temporary file in
   tmpdir; copied. */
struct antispam_store *antispam_store_create(const char *tmpdir);
/* A store whose file is fd, which becomes the store's; name is for errors and
   copied. */
struct antispam_store *antispam_store_create_fd(int fd, const char *name);
/* Forget all. NULL is fine. */
void antispam_store_destroy(struct antispam_store **store);

/* A message comes in pieces: begin, append each, and either finish or cancel.
   What is more than max_size bytes (0 = no limit) is not kept. A failure to
   write is remembered for finish. */
void antispam_store_begin(struct antispam_store *store, uoff_t max_size);
void antispam_store_append(struct antispam_store *store, const void *data,
			   size_t size);
/* Forget the message that was begun. */
void antispam_store_cancel(struct antispam_store *store);
/* Returns 1 and where the message lies, without its From_ line; 0 if it is too
   big, -1 and *error_r (data stack) if it could not be kept: it is
   forgotten. */
int antispam_store_finish(struct antispam_store *store, uoff_t *offset_r,
			  uoff_t *size_r, const char **error_r);
/* All of that at once, for the message that input holds from its current
   offset to its end. input->stream_errno tells a failure to read from one to
   write. */
int antispam_store_add(struct antispam_store *store, struct istream *input,
		       uoff_t max_size, uoff_t *offset_r, uoff_t *size_r,
		       const char **error_r);

/* The same for the message that lies in a file. Returns 1; 0 if that can't be
   read, -1 and *error_r (data stack) if it could not be kept: it is
   forgotten. */
int antispam_store_add_fd(struct antispam_store *store, int fd, uoff_t offset,
			  uoff_t size, uoff_t *offset_r, uoff_t *size_r,
			  const char **error_r);

/* Bytes in the store. */
uoff_t antispam_store_size(const struct antispam_store *store);
/* And of them, those in memory. */
size_t antispam_store_memory(const struct antispam_store *store);
/* Forget what lies behind size. */
void antispam_store_truncate(struct antispam_store *store, uoff_t size);
/* Bring all of it into the file. Returns 0, or -1 and *error_r (data stack). */
int antispam_store_flush(struct antispam_store *store, const char **error_r);
/* Forget all, and close the file. */
void antispam_store_clear(struct antispam_store *store);

/* A part of the store, seekable and blocking; the store must not change
   meanwhile. Never NULL: what can't be read is the stream's error. */
struct istream *antispam_store_open(struct antispam_store *store,
				    uoff_t offset, uoff_t size);

#endif
