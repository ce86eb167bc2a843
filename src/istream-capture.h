#ifndef ISTREAM_CAPTURE_H
#define ISTREAM_CAPTURE_H

struct istream;

/* Read input, and show all that is read to callback too. Like Dovecot's own
   line end converters, and other than its hash stream, this never seeks its
   parent: imap reads from there by itself, between our reads. context must
   outlive the last read. */
struct istream *
antispam_istream_create_capture(struct istream *input,
				void (*callback)(void *context,
						 const void *data, size_t size),
				void *context);

#endif
