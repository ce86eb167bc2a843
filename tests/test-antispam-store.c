/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "test-common.h"
#include "antispam-store.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_KEPT 32

/* A store, and where its messages lie. */
struct keeper {
	struct antispam_store *store;
	unsigned int count;
	struct {
		uoff_t offset, size;
	} kept[MAX_KEPT];
};

static void keeper_init(struct keeper *keeper, const char *tmpdir)
{
	i_zero(keeper);
	keeper->store = antispam_store_create(tmpdir);
}

static void keeper_deinit(struct keeper *keeper)
{
	antispam_store_destroy(&keeper->store);
	test_assert(keeper->store == NULL);
}

static int
add_stream(struct keeper *keeper, struct istream *input, uoff_t max_size,
	   const char **error_r)
{
	uoff_t offset, size;
	int ret;

	i_assert(keeper->count < MAX_KEPT);
	ret = antispam_store_add(keeper->store, input, max_size, &offset,
				 &size, error_r);
	if (ret > 0) {
		keeper->kept[keeper->count].offset = offset;
		keeper->kept[keeper->count++].size = size;
	}
	return ret;
}

static int add(struct keeper *keeper, const void *data, size_t size,
	       uoff_t max_size, const char **error_r)
{
	struct istream *input = i_stream_create_from_data(data, size);
	int ret;

	ret = add_stream(keeper, input, max_size, error_r);
	i_stream_unref(&input);
	return ret;
}

static void drop_last(struct keeper *keeper)
{
	antispam_store_truncate(keeper->store,
				keeper->kept[--keeper->count].offset);
}

/* The message at idx has these bytes. */
static bool
has(struct keeper *keeper, unsigned int idx, const void *data, size_t size)
{
	struct istream *input =
		antispam_store_open(keeper->store, keeper->kept[idx].offset,
				    keeper->kept[idx].size);
	buffer_t *buf = t_buffer_create(1024);
	const unsigned char *read_data;
	size_t read_size;
	bool equal;

	while (i_stream_read_more(input, &read_data, &read_size) > 0) {
		buffer_append(buf, read_data, read_size);
		i_stream_skip(input, read_size);
	}
	equal = input->stream_errno == 0 && keeper->kept[idx].size == size &&
		buf->used == size && memcmp(buf->data, data, size) == 0;
	i_stream_unref(&input);
	return equal;
}

static unsigned int fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

#define BYTES(in, out) \
	{ \
		in, sizeof(in) - 1, out, sizeof(out) - 1 \
	}

static void test_from_line(void)
{
	static const struct {
		const char *in;
		size_t in_size;
		const char *out;
		size_t out_size;
	} tests[] = {
		BYTES("", ""),
		BYTES("F", "F"),
		BYTES("From", "From"),
		BYTES("From ", ""),
		BYTES("From me", ""),
		BYTES("From me\n", ""),
		BYTES("From me\nSubject: x\n\nFrom you\n",
		      "Subject: x\n\nFrom you\n"),
		BYTES("From me\r\nSubject: x\r\n", "Subject: x\r\n"),
		BYTES("From: me\n", "From: me\n"),
		BYTES("from me\n", "from me\n"),
		BYTES(" From me\n", " From me\n"),
		BYTES("From me\nFrom you\n", "From you\n"),
		BYTES("a\0b\xff", "a\0b\xff"),
	};
	struct keeper keeper;
	const char *error;
	unsigned int i;

	test_begin("store: a From_ line is dropped, all else kept");
	keeper_init(&keeper, ".");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(add(&keeper, tests[i].in, tests[i].in_size, 0,
				    &error) == 1,
				i);
	}
	test_assert(keeper.count == N_ELEMENTS(tests));
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		test_assert_idx(has(&keeper, i, tests[i].out,
				    tests[i].out_size),
				i);
	}
	keeper_deinit(&keeper);
	test_end();
}

/* Sizes around the limit of what is kept in memory. */
static void test_overflow(void)
{
	static const size_t sizes[] = {
		100,
		ANTISPAM_STORE_MEMORY_MAX - 100,
		0,
		1,
		70000,
		1,
		ANTISPAM_STORE_MEMORY_MAX,
		ANTISPAM_STORE_MEMORY_MAX + 1,
		3 * ANTISPAM_STORE_MEMORY_MAX,
		5,
	};
	struct keeper keeper;
	unsigned char *data = i_malloc(4 * ANTISPAM_STORE_MEMORY_MAX);
	unsigned int i, fds = fd_count();
	const char *error;

	test_begin("store: more than memory holds goes to one file");
	keeper_init(&keeper, ".");
	for (i = 0; i < 4 * ANTISPAM_STORE_MEMORY_MAX; i++)
		data[i] = i_rand_limit(256);
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		test_assert_idx(add(&keeper, data + i, sizes[i], 0,
				    &error) == 1,
				i);
		test_assert_idx(antispam_store_memory(keeper.store) <=
					ANTISPAM_STORE_MEMORY_MAX,
				i);
		test_assert_idx(fd_count() == fds + (i < 3 ? 0 : 1), i);
	}
	for (i = N_ELEMENTS(sizes); i-- > 0;)
		test_assert_idx(has(&keeper, i, data + i, sizes[i]), i);
	/* and on after having been read */
	test_assert(add(&keeper, data, 1000, 0, &error) == 1);
	test_assert(has(&keeper, N_ELEMENTS(sizes), data, 1000));
	test_assert(has(&keeper, 1, data + 1, sizes[1]));

	antispam_store_clear(keeper.store);
	keeper.count = 0;
	test_assert(antispam_store_size(keeper.store) == 0);
	test_assert(antispam_store_memory(keeper.store) == 0);
	test_assert(fd_count() == fds);
	test_assert(add(&keeper, data, 10, 0, &error) == 1);
	test_assert(has(&keeper, 0, data, 10));
	keeper_deinit(&keeper);
	test_assert(fd_count() == fds);
	i_free(data);
	test_end();
}

static void test_max_size(void)
{
	struct keeper keeper;
	size_t size = 2 * ANTISPAM_STORE_MEMORY_MAX;
	unsigned char *data = i_malloc(size);
	const char *error, *from;

	test_begin("store: limit on size");
	keeper_init(&keeper, ".");
	test_assert(add(&keeper, "0123456789", 10, 10, &error) == 1);
	test_assert(add(&keeper, "0123456789a", 11, 10, &error) == 0);
	test_assert(add(&keeper, "From me\n0123456789", 18, 10, &error) == 1);
	test_assert(add(&keeper, data, size, 10, &error) == 0);
	/* however long its From_ line is */
	from = t_strdup_printf("From %03000d\n%09500d", 1, 2);
	test_assert(add(&keeper, from, strlen(from), 9000, &error) == 0);
	test_assert(add(&keeper, from, strlen(from), 9499, &error) == 0);
	test_assert(add(&keeper, data, size, size - 1, &error) == 0);
	test_assert(add(&keeper, data, size, size, &error) == 1);
	test_assert(keeper.count == 3);
	test_assert(has(&keeper, 0, "0123456789", 10));
	test_assert(has(&keeper, 1, "0123456789", 10));
	test_assert(has(&keeper, 2, data, size));
	keeper_deinit(&keeper);
	i_free(data);
	test_end();
}

static void test_drop_last(void)
{
	const size_t size = ANTISPAM_STORE_MEMORY_MAX + 17;
	struct keeper keeper;
	unsigned char *data = i_malloc(size);
	const char *error;

	test_begin("store: the last message is taken back");
	keeper_init(&keeper, ".");
	test_assert(add(&keeper, "one", 3, 0, &error) == 1);
	test_assert(add(&keeper, "two", 3, 0, &error) == 1);
	drop_last(&keeper);
	test_assert(add(&keeper, data, size, 0, &error) == 1);
	drop_last(&keeper);
	test_assert(add(&keeper, "three", 5, 0, &error) == 1);
	test_assert(keeper.count == 2);
	test_assert(has(&keeper, 0, "one", 3));
	test_assert(has(&keeper, 1, "three", 5));
	drop_last(&keeper);
	drop_last(&keeper);
	test_assert(keeper.count == 0);
	keeper_deinit(&keeper);
	i_free(data);
	test_end();
}

static void test_errors(void)
{
	struct keeper keeper;
	const size_t size = 2 * ANTISPAM_STORE_MEMORY_MAX;
	unsigned char *data = i_malloc(size);
	struct istream *input;
	const char *error = "";

	test_begin("store: errors");
	keeper_init(&keeper, "/nonexistent/dir");
	test_assert(add(&keeper, "one", 3, 0, &error) == 1);
	test_assert(add(&keeper, data, size, 0, &error) == -1);
	test_assert(strstr(error, "/nonexistent/dir") != NULL);
	test_assert(strstr(error, "No such file") != NULL);
	test_assert(has(&keeper, 0, "one", 3));

	input = i_stream_create_error_str(EIO, "broken disk");
	test_assert(add_stream(&keeper, input, 0, &error) == -1);
	test_assert(strstr(error, "broken disk") != NULL);
	test_assert(input->stream_errno == EIO);
	i_stream_unref(&input);
	test_assert(keeper.count == 1);
	test_assert(has(&keeper, 0, "one", 3));
	keeper_deinit(&keeper);
	i_free(data);
	test_end();
}

/* A file that may not grow stands for a full disk. */
static void test_disk_full(void)
{
	struct keeper keeper;
	const size_t size = 4 * ANTISPAM_STORE_MEMORY_MAX;
	unsigned char *data = i_malloc(size);
	struct rlimit old, small;
	const char *error = "";

	test_begin("store: full disk");
	keeper_init(&keeper, ".");
	signal(SIGXFSZ, SIG_IGN);
	test_assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small = old;
	small.rlim_cur = ANTISPAM_STORE_MEMORY_MAX + 1000;
	test_assert(add(&keeper, "one", 3, 0, &error) == 1);
	test_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
	test_assert(add(&keeper, data, size, 0, &error) == -1);
	test_assert(strstr(error, "can't write") != NULL);
	test_assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
	test_assert(keeper.count == 1);
	test_assert(has(&keeper, 0, "one", 3));
	test_assert(add(&keeper, data, size, 0, &error) == 1);
	test_assert(has(&keeper, 1, data, size));
	keeper_deinit(&keeper);
	i_free(data);
	test_end();
}

static void append_all(struct antispam_store *store, const char *text)
{
	for (; *text != '\0'; text++)
		antispam_store_append(store, text, 1);
}

static void test_pieces(void)
{
	struct keeper keeper;
	const char *error;
	uoff_t offset, size;

	test_begin("store: a message in pieces");
	keeper_init(&keeper, ".");
	test_assert(add(&keeper, "one", 3, 0, &error) == 1);

	antispam_store_begin(keeper.store, 0);
	append_all(keeper.store, "From me\ntwo");
	antispam_store_cancel(keeper.store);
	test_assert(antispam_store_size(keeper.store) == 3);

	antispam_store_begin(keeper.store, 5);
	append_all(keeper.store, "From me\nthree");
	test_assert(antispam_store_finish(keeper.store, &offset, &size,
					  &error) == 1);
	keeper.kept[1].offset = offset;
	keeper.kept[1].size = size;
	test_assert(has(&keeper, 1, "three", 5));

	antispam_store_begin(keeper.store, 5);
	append_all(keeper.store, "From me\n123456");
	test_assert(antispam_store_finish(keeper.store, &offset, &size,
					  &error) == 0);
	/* nothing at all */
	antispam_store_begin(keeper.store, 5);
	test_assert(antispam_store_finish(keeper.store, &offset, &size,
					  &error) == 1 &&
		    size == 0);
	test_assert(has(&keeper, 0, "one", 3));
	test_assert(has(&keeper, 1, "three", 5));
	keeper_deinit(&keeper);
	test_end();
}

/* Of a file that is given, the store is the owner, and writes it from its
   beginning. */
static void test_given_file(void)
{
	const size_t size = ANTISPAM_STORE_MEMORY_MAX + 10;
	const unsigned int fds = fd_count();
	unsigned char *data = i_malloc(size);
	struct keeper keeper;
	const char *error;
	char read_back[5];
	int fd = open("given", O_RDWR | O_CREAT | O_TRUNC, 0600);

	test_begin("store: a file that is given");
	memset(data, 'x', size);
	i_zero(&keeper);
	keeper.store = antispam_store_create_fd(fd, "the file");
	test_assert(add(&keeper, "one", 3, 0, &error) == 1);
	test_assert(lseek(fd, 0, SEEK_END) == 0);
	test_assert(has(&keeper, 0, "one", 3));
	test_assert(add(&keeper, "two", 3, 0, &error) == 1);
	test_assert(antispam_store_flush(keeper.store, &error) == 0);
	test_assert(lseek(fd, 0, SEEK_END) == 6);
	test_assert(antispam_store_memory(keeper.store) == 0);
	drop_last(&keeper);
	test_assert(add(&keeper, "xy", 2, 0, &error) == 1);
	test_assert(antispam_store_flush(keeper.store, &error) == 0);
	test_assert(pread(fd, read_back, 5, 0) == 5 &&
		    memcmp(read_back, "onexy", 5) == 0);
	test_assert(add(&keeper, data, size, 0, &error) == 1);
	test_assert(has(&keeper, 2, data, size));
	keeper_deinit(&keeper);
	test_assert(fd_count() == fds);

	fd = open("given", O_RDONLY);
	keeper.count = 0;
	keeper.store = antispam_store_create_fd(fd, "the file");
	test_assert(add(&keeper, "one", 3, 0, &error) == 1);
	test_assert(antispam_store_flush(keeper.store, &error) == -1);
	test_assert(strstr(error, "can't write to the file: ") != NULL);
	keeper_deinit(&keeper);
	i_unlink("given");
	i_free(data);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_from_line,
		test_overflow,
		test_max_size,
		test_drop_last,
		test_errors,
		test_disk_full,
		test_pieces,
		test_given_file,
		NULL
	};

	return test_run(tests);
}
