#ifndef ISTREAM_CAPTURE_H
#define ISTREAM_CAPTURE_H

struct istream;
struct ostream;

/* Read input, and write all that is read to output too. Like Dovecot's own
   line end converters, and other than its hash stream, this never seeks its
   parent: imap reads from there by itself, between our reads. The caller owns
   output, which must outlive the last read; its errors are for the caller to
   look at. */
struct istream *
antispam_istream_create_capture(struct istream *input, struct ostream *output);

#endif
