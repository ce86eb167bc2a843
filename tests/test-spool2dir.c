/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The backend spool2dir where nothing fails: what it writes, under which names,
   and what others see of it. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-spool2dir.h"

#include <malloc.h>
#include <sys/inotify.h>
#include <sys/wait.h>

#define BIG_SIZE (5 * 1024 * 1024)
#define P "\x01"

/* NULL contains NULL and nothing else. */
static bool contains(const char *text, const char *part)
{
	if (text == NULL || part == NULL)
		return text == part;
	return strstr(text, part) != NULL;
}

static void test_spool2dir_init(void)
{
	static const struct {
		const char *spam, *notspam, *error, *warning, *warning2;
	} tests[] = {
		{ "/s/%lu%lu", "/h/%lu%lu", NULL, NULL, NULL },
		{ NULL, "/h/%lu%lu", "antispam_spool2dir_spam is not set",
		  NULL, NULL },
		{ "/s/%lu%lu", NULL, "antispam_spool2dir_notspam is not set",
		  NULL, NULL },
		{ "/s/%lu%lu", "", "antispam_spool2dir_notspam is not set",
		  NULL, NULL },
		{ "/s/%lu", "/h/%lu%lu", "antispam_spool2dir_spam = /s/%lu: ",
		  NULL, NULL },
		{ "/s/%lu%lu", "h/%lu%lu",
		  "antispam_spool2dir_notspam = h/%lu%lu: ", NULL, NULL },
		{ "/tmp/s/%lu%lu", "/h/%lu%lu", NULL,
		  "antispam_spool2dir_spam: the directory /tmp/s lies below "
		  "/tmp",
		  NULL },
		{ "/s/%lu%lu", "/var/tmp/%lu%lu", NULL,
		  "antispam_spool2dir_notspam: the directory /var/tmp lies "
		  "below /var/tmp",
		  NULL },
		{ "/tmp/s/%lu%lu", "/tmp/h/%lu%lu", NULL,
		  "antispam_spool2dir_spam: ", "antispam_spool2dir_notspam: " },
	};
	const char *warning, *error;
	unsigned int i;
	void *ctx;

	begin("init");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		int ret = try_init(tests[i].spam, tests[i].notspam, &ctx,
				   &warning, &error);

		test_assert_idx(ret == (tests[i].error == NULL ? 0 : -1), i);
		test_assert_idx(contains(error, tests[i].error), i);
		test_assert_idx(contains(warning, tests[i].warning), i);
		test_assert_idx(tests[i].warning2 == NULL ||
					contains(warning, tests[i].warning2),
				i);
	}
	test_assert_strcmp(backend->name, "spool2dir");
	test_assert(backend->tmpdir == NULL);
	test_assert(backend->needs == ANTISPAM_NEED_MESSAGE);
	end();
}

/* A message in a file, read through a buffer of the given size. */
static struct istream *
file_stream(const void *data, size_t size, size_t buffer_size)
{
	int fd = open(root, O_TMPFILE | O_RDWR, 0600);

	if (fd == -1 || write_full(fd, data, size) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0)
		i_fatal("write(%s) failed: %m", root);
	return i_stream_create_fd_autoclose(&fd, buffer_size);
}

static void
check_bytes(void *ctx, struct istream *input, const unsigned char *data,
	    size_t size, unsigned int idx)
{
	void *undo = NULL;
	buffer_t *buf;

	/* where it stands is not where it begins */
	(void)i_stream_read(input);
	i_stream_skip(input, i_stream_get_data_size(input));
	test_assert_idx(learned(learn_stream(ctx, &undo, TRUE, input)), idx);
	test_assert_idx(commit(ctx, &undo) == 0, idx);
	buf = contents(t_strdup_printf("spam/" CLOCK "-%u-s", idx));
	test_assert_idx(buf->used == size, idx);
	test_assert_idx(memcmp(buf->data, data, I_MIN(buf->used, size)) == 0,
			idx);
	i_stream_unref(&input);
}

static void test_spool2dir_bytes(void)
{
	static const size_t sizes[] = {
		0, 1, 4, 255, 8192, 32767, 32768, 32769, 200000, BIG_SIZE
	};
	unsigned char *data = i_malloc(BIG_SIZE);
	unsigned int i, idx = 0;
	void *ctx;
	size_t pos;

	begin("byte for byte");
	ctx = init();
	/* all 256 values, in no period that a buffer has */
	for (pos = 0; pos < BIG_SIZE; pos++)
		data[pos] = (pos * 7 + pos / 251) & 0xff;
	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		T_BEGIN {
			size_t size = sizes[i];

			check_bytes(ctx, i_stream_create_from_data(data, size),
				    data, size, idx++);
			check_bytes(ctx, file_stream(data, size, 512), data,
				    size, idx++);
			check_bytes(ctx, file_stream(data, size, 1024 * 1024),
				    data, size, idx++);
		} T_END;
	}
	i_free(data);
	end();
}

static void test_spool2dir_names(void)
{
	void *ctx, *undo = NULL, *undo2 = NULL;

	begin("names, two directories, two transactions");
	ctx = init();
	test_assert(learned(learn(ctx, &undo, TRUE, "one")));
	test_assert(learned(learn(ctx, &undo, FALSE, "two")));
	test_assert(learned(learn(ctx, &undo2, TRUE, "three")));
	clock_secs++;
	test_assert(learned(learn(ctx, &undo, TRUE, "four")));
	test_assert_strcmp(list("spam"), "." CLOCK "-0-s ." CLOCK "-1-s "
					 ".1700000001-0-s");
	test_assert_strcmp(list("ham"), "." CLOCK "-0-h");
	test_assert(commit(ctx, &undo) == 0);
	test_assert_strcmp(list("spam"), "." CLOCK "-1-s " CLOCK "-0-s "
					 "1700000001-0-s");
	test_assert_strcmp(list("ham"), CLOCK "-0-h");
	backend->rollback(ctx, &undo2);
	test_assert(undo2 == NULL);
	test_assert_strcmp(list("spam"), CLOCK "-0-s 1700000001-0-s");
	test_assert(has("spam/" CLOCK "-0-s", "one"));
	test_assert(has("ham/" CLOCK "-0-h", "two"));
	test_assert(has("spam/1700000001-0-s", "four"));
	end();
}

static void test_spool2dir_directory_moved(void)
{
	void *ctx, *undo = NULL;

	begin("directory replaced in the middle");
	ctx = init();
	test_assert(learned(learn(ctx, &undo, TRUE, "one")));
	test_assert(rename(path_of("spam"), path_of("moved")) == 0);
	make_dir("spam", 0700);
	test_assert(learned(learn(ctx, &undo, TRUE, "two")));
	test_assert(commit(ctx, &undo) == 0);
	test_assert_strcmp(list("moved"), CLOCK "-0-s " CLOCK "-1-s");
	test_assert_strcmp(list("spam"), "");
	end();
}

/* Read what happened to visible names: count of IN_MOVED_TO, and of others. */
static void
read_events(int fd, unsigned int *moved_r, unsigned int *other_r)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t ret, pos;

	*moved_r = *other_r = 0;
	while ((ret = read(fd, buf, sizeof(buf))) > 0) {
		for (pos = 0; pos < ret;) {
			const struct inotify_event *ev =
				CONST_PTR_OFFSET(buf, pos);

			if (ev->len == 0 || ev->name[0] == '.')
				;
			else if (ev->mask == IN_MOVED_TO)
				*moved_r += 1;
			else
				*other_r += 1;
			pos += sizeof(*ev) + ev->len;
		}
	}
}

static void test_spool2dir_watched(void)
{
	void *ctx, *undo = NULL;
	unsigned int i, moved, other;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	const char *error;

	begin("what a watcher sees");
	ctx = init();
	if (fd == -1 ||
	    inotify_add_watch(fd, path_of("spam"), IN_ALL_EVENTS) < 0)
		i_fatal("inotify failed: %m");
	for (i = 0; i < 5; i++)
		test_assert_idx(learned(learn(ctx, &undo, TRUE, "text")), i);
	test_assert(backend->prepare(ctx, &undo, &error) == 0);
	read_events(fd, &moved, &other);
	test_assert(moved == 0 && other == 0);
	test_assert(backend->commit(ctx, &undo, &error) == 0);
	read_events(fd, &moved, &other);
	test_assert(moved == 5 && other == 0);

	for (i = 0; i < 5; i++)
		test_assert_idx(learned(learn(ctx, &undo, TRUE, "text")), i);
	test_assert(backend->prepare(ctx, &undo, &error) == 0);
	backend->rollback(ctx, &undo);
	read_events(fd, &moved, &other);
	test_assert(moved == 0 && other == 0);
	i_close_fd(&fd);
	end();
}

static void test_spool2dir_hostile_users(void)
{
	/* users ../../etc/passwd, .., $(id>x), lu and %lu, each encoded */
	static const struct {
		const char *user, *name;
	} tests[] = {
		{ P "2E." P "2F.." P "2Fetc" P "2Fpasswd",
		  "%2E.%2F..%2Fetc%2Fpasswd" },
		{ P "2E.", "%2E." },
		{ P "24" P "28id" P "3Ex" P "29", "%24%28id%3Ex%29" },
		{ "lu", "lu" },
		{ P "25lu", "%25lu" },
	};
	unsigned int i;

	begin("hostile user names");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		void *ctx, *undo = NULL;
		const char *name = t_strconcat(tests[i].name, "-" CLOCK "-0",
					       NULL);

		ctx = init_with(t_strconcat("spam/", tests[i].user, "-%lu-%lu",
					    NULL),
				"ham/%lu%lu");
		test_assert_idx(learned(learn(ctx, &undo, TRUE, "text")), i);
		test_assert_idx(commit(ctx, &undo) == 0, i);
		test_assert_strcmp_idx(list("spam"), name, i);
		test_assert_idx(unlink(path_of(t_strconcat("spam/", name,
							   NULL))) == 0,
				i);
		test_assert_strcmp_idx(list(""), "ham spam", i);
	}
	end();
}

static void test_spool2dir_collisions(void)
{
	static const char *const taken[] = {
		"spam/" CLOCK "-0-s", "spam/." CLOCK "-1-s",
		"spam/." CLOCK "-2-s", "spam/" CLOCK "-2-s"
	};
	static const char *const links[] = {
		"ham/1700000001-0-h", "ham/.1700000002-0-h"
	};
	void *ctx, *undo = NULL;
	unsigned int i, fds;

	begin("names that are taken");
	ctx = init();
	for (i = 0; i < N_ELEMENTS(taken); i++)
		put(taken[i], "old");
	fds = open_fds();
	for (i = 0; i < 20; i++)
		test_assert_idx(learned(learn(ctx, &undo, TRUE, "new")), i);
	test_assert(commit(ctx, &undo) == 0);
	test_assert(open_fds() == fds);
	for (i = 0; i < N_ELEMENTS(taken); i++)
		test_assert_idx(has(taken[i], "old"), i);
	test_assert(count_files("spam") == N_ELEMENTS(taken) + 20);

	/* a link that leads nowhere is a name, too, and is not followed */
	for (i = 0; i < N_ELEMENTS(links); i++) {
		test_assert_idx(symlink("../trap", path_of(links[i])) == 0, i);
		clock_secs++;
		test_assert_idx(learned(learn(ctx, &undo, FALSE, "new")), i);
		test_assert_idx(commit(ctx, &undo) == 0, i);
	}
	test_assert_strcmp(list("ham"), ".1700000002-0-h 1700000001-0-h "
					"1700000001-1-h 1700000002-1-h");
	test_assert_strcmp(list(""), "ham spam");
	end();
}

/* A program that knows no rules takes a name that we hold. */
static void test_spool2dir_foreign_file(void)
{
	void *ctx, *undo = NULL;
	const char *error;

	begin("a name that is taken meanwhile");
	ctx = init();
	test_assert(learned(learn(ctx, &undo, FALSE, "first")));
	test_assert(learned(learn(ctx, &undo, FALSE, "second")));
	test_assert(learned(learn(ctx, &undo, FALSE, "third")));
	put("ham/" CLOCK "-1-h", "foreign");
	test_assert(backend->prepare(ctx, &undo, &error) == 0);
	test_assert(backend->commit(ctx, &undo, &error) == 1);
	test_assert(strstr(error, "antispam_spool2dir_notspam: ") == error);
	test_assert(strstr(error, "/ham/." CLOCK "-1-h) failed: ") != NULL);
	test_assert_strcmp(list("ham"), "." CLOCK "-1-h " CLOCK "-0-h "
					"" CLOCK "-1-h " CLOCK "-2-h");
	test_assert(has("ham/" CLOCK "-1-h", "foreign"));
	test_assert(has("ham/." CLOCK "-1-h", "second"));
	end();
}

/* What fork()ed writers and their parent do: count messages, in transactions
   of ten, each message the number of its writer. */
static void write_many(unsigned int writer, unsigned int count)
{
	void *ctx = init(), *undo = NULL;
	unsigned int i;

	for (i = 0; i < count; i++) {
		test_assert_idx(learned(learn(ctx, &undo, TRUE,
					      dec2str(writer))),
				i);
		if (i % 10 == 9)
			test_assert_idx(commit(ctx, &undo) == 0, i);
	}
}

static void test_spool2dir_processes(void)
{
	unsigned int i, j, found[4] = { 0, 0, 0, 0 };
	const char *const *names;
	pid_t pids[4];
	int status;

	begin("four processes at once");
	for (i = 0; i < N_ELEMENTS(pids); i++) {
		if ((pids[i] = fork()) < 0)
			i_fatal("fork() failed: %m");
		if (pids[i] == 0) {
			write_many(i, 100);
			event_unref(&event);
			pool_unref(&pool);
			i_free(root);
			test_exit(test_has_failed() ? 1 : 0);
		}
	}
	for (i = 0; i < N_ELEMENTS(pids); i++) {
		test_assert_idx(waitpid(pids[i], &status, 0) == pids[i], i);
		test_assert_idx(status == 0, i);
	}
	for (names = t_strsplit(list("spam"), " "); *names != NULL; names++) {
		test_assert((*names)[0] != '.');
		for (j = 0; j < N_ELEMENTS(found); j++) {
			if (has(t_strconcat("spam/", *names, NULL), dec2str(j)))
				found[j]++;
		}
	}
	for (j = 0; j < N_ELEMENTS(found); j++)
		test_assert_idx(found[j] == 100, j);
	end();
}

static void test_spool2dir_many_users(void)
{
	void *ctx, *undo[300];
	const char *const *names;
	unsigned int i, counter;

	begin("three hundred users in one second");
	memset(undo, 0, sizeof(undo));
	for (i = 0; i < N_ELEMENTS(undo); i++) {
		ctx = init();
		test_assert_idx(learned(learn(ctx, &undo[i], TRUE, "text")), i);
		test_assert_idx(i % 2 == 0 || commit(ctx, &undo[i]) == 0, i);
	}
	for (i = 0; i < N_ELEMENTS(undo); i += 2)
		test_assert_idx(commit(ctx, &undo[i]) == 0, i);
	names = t_strsplit(list("spam"), " ");
	test_assert(str_array_length(names) == N_ELEMENTS(undo));
	for (; *names != NULL; names++) {
		/* the counter does not run away */
		test_assert(sscanf(*names, CLOCK "-%u-s", &counter) == 1 &&
			    counter < 20 * N_ELEMENTS(undo));
	}
	end();
}

static void test_spool2dir_modes(void)
{
	static const struct {
		mode_t dir, umask, file;
	} tests[] = {
		{ 0700, 022, 0600 },
		{ 0777, 0, 0600 },
		{ 01777, 0277, 0600 },
		{ 02770, 022, 0640 },
		{ 03777, 0, 0640 },
		{ 02770, 0777, 0640 },
	};
	const char *const name = "spam/" CLOCK "-0-s";
	unsigned int i;

	begin("modes");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		void *ctx = init(), *undo = NULL;
		mode_t old_umask;
		struct stat st;

		test_assert_idx(chmod(path_of("spam"), tests[i].dir) == 0, i);
		old_umask = umask(tests[i].umask);
		test_assert_idx(learned(learn(ctx, &undo, TRUE, "text")), i);
		(void)umask(old_umask);
		test_assert_idx(commit(ctx, &undo) == 0, i);
		test_assert_idx(stat(path_of(name), &st) == 0, i);
		test_assert_idx((st.st_mode & 07777) == tests[i].file, i);
		test_assert_idx(unlink(path_of(name)) == 0, i);
	}
	end();
}

static void test_spool2dir_durability(void)
{
	static const struct {
		enum fsync_mode mode;
		unsigned int spam, ham;
		unsigned int prepare_fsync, prepare_syncfs, commit_fsync;
	} tests[] = {
		{ FSYNC_MODE_NEVER, 1, 0, 0, 0, 0 },
		{ FSYNC_MODE_NEVER, 10, 10, 0, 0, 0 },
		{ FSYNC_MODE_OPTIMIZED, 1, 0, 1, 0, 1 },
		{ FSYNC_MODE_OPTIMIZED, 2, 0, 2, 0, 1 },
		{ FSYNC_MODE_OPTIMIZED, 1, 1, 2, 0, 2 },
		{ FSYNC_MODE_OPTIMIZED, 3, 0, 0, 1, 1 },
		{ FSYNC_MODE_ALWAYS, 0, 20, 0, 1, 1 },
		{ FSYNC_MODE_ALWAYS, 2, 1, 0, 2, 2 },
	};
	struct antispam_outcome outcomes[20];
	struct istream *inputs[20];
	unsigned int i, j;

	begin("durability");
	for (j = 0; j < N_ELEMENTS(inputs); j++)
		inputs[j] = i_stream_create_from_data("text", 4);
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		void *ctx = init(), *undo = NULL;
		const char *error;

		fsync_calls = syncfs_calls = 0;
		learn_batch(ctx, &undo, TRUE, inputs, tests[i].spam, TRUE,
			    tests[i].mode, outcomes);
		learn_batch(ctx, &undo, FALSE, inputs, tests[i].ham, TRUE,
			    tests[i].mode, outcomes);
		test_assert_idx(fsync_calls == 0 && syncfs_calls == 0, i);
		test_assert_idx(backend->prepare(ctx, &undo, &error) == 0, i);
		test_assert_idx(fsync_calls == tests[i].prepare_fsync, i);
		test_assert_idx(syncfs_calls == tests[i].prepare_syncfs, i);
		fsync_calls = syncfs_calls = 0;
		test_assert_idx(backend->commit(ctx, &undo, &error) == 0, i);
		test_assert_idx(fsync_calls == tests[i].commit_fsync, i);
		test_assert_idx(syncfs_calls == 0, i);
	}
	for (j = 0; j < N_ELEMENTS(inputs); j++)
		i_stream_unref(&inputs[j]);
	end();
}

static void test_spool2dir_big_transaction(void)
{
	const unsigned int count = 20000, batch = 64;
	struct antispam_outcome outcomes[64];
	struct istream *inputs[64];
	struct mallinfo2 before, after;
	void *ctx, *undo = NULL;
	unsigned int i, fds, failures = 0;

	begin("20000 messages in one transaction");
	ctx = init();
	for (i = 0; i < batch; i++)
		inputs[i] = i_stream_create_from_data("", 0);
	fds = open_fds();
	before = mallinfo2();
	for (i = 0; i < count; i += batch) {
		T_BEGIN {
			learn_batch(ctx, &undo, i % 128 == 0, inputs, batch,
				    TRUE, FSYNC_MODE_NEVER, outcomes);
			if (!learned(outcomes[batch - 1]))
				failures++;
		} T_END;
	}
	after = mallinfo2();
	test_assert(failures == 0);
	test_assert(after.uordblks + after.hblkhd <
		    before.uordblks + before.hblkhd + 1024 * 1024);
	test_assert(open_fds() == fds + 2);
	test_assert(commit(ctx, &undo) == 0);
	test_assert(open_fds() == fds);
	test_assert(fsync_calls == 0 && syncfs_calls == 0);
	T_BEGIN {
		test_assert(count_files("spam") + count_files("ham") ==
			    (count + batch - 1) / batch * batch);
	} T_END;
	for (i = 0; i < batch; i++)
		i_stream_unref(&inputs[i]);
	end();
}

int main(void)
{
	static void (*const test_functions[])(void) = {
		test_spool2dir_init,
		test_spool2dir_bytes,
		test_spool2dir_names,
		test_spool2dir_directory_moved,
		test_spool2dir_watched,
		test_spool2dir_hostile_users,
		test_spool2dir_collisions,
		test_spool2dir_foreign_file,
		test_spool2dir_processes,
		test_spool2dir_many_users,
		test_spool2dir_modes,
		test_spool2dir_durability,
		test_spool2dir_big_transaction,
		NULL
	};

	return test_run(test_functions);
}
