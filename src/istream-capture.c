/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "istream-private.h"
#include "istream-capture.h"

struct capture_istream {
	struct istream_private istream;
	void (*callback)(void *context, const void *data, size_t size);
	void *context;
};

static ssize_t i_stream_capture_read(struct istream_private *stream)
{
	struct capture_istream *cstream =
		container_of(stream, struct capture_istream, istream);
	const unsigned char *data;
	size_t size, room;
	int ret;

	ret = i_stream_read_more(stream->parent, &data, &size);
	if (ret <= 0) {
		stream->istream.stream_errno = stream->parent->stream_errno;
		stream->istream.eof = stream->parent->eof;
		return ret;
	}
	if (!i_stream_try_alloc(stream, size, &room))
		return -2;
	size = I_MIN(size, room);
	memcpy(stream->w_buffer + stream->pos, data, size);
	cstream->callback(cstream->context, stream->w_buffer + stream->pos,
			  size);
	stream->pos += size;
	i_stream_skip(stream->parent, size);
	return size;
}

struct istream *
antispam_istream_create_capture(struct istream *input,
				void (*callback)(void *context,
						 const void *data, size_t size),
				void *context)
{
	struct capture_istream *cstream;

	cstream = i_new(struct capture_istream, 1);
	cstream->callback = callback;
	cstream->context = context;
	cstream->istream.max_buffer_size = input->real_stream->max_buffer_size;
	cstream->istream.read = i_stream_capture_read;
	cstream->istream.istream.readable_fd = FALSE;
	cstream->istream.istream.blocking = input->blocking;
	cstream->istream.istream.seekable = FALSE;
	return i_stream_create(&cstream->istream, input, -1, 0);
}
