/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What others may have put into the queue. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "test-queue.h"

#include <sys/socket.h>
#include <sys/un.h>

static void test_directory(void)
{
	test_begin("queue entry: what is no directory of a user's own");
	tx_check_open("job.1", ANTISPAM_QUEUE_GONE, "No such file");

	tx_make("job.1");
	tx_check_open("job.1", ANTISPAM_QUEUE_FOUND, "");
	test_assert(symlink("job.1", queue_test_path("job.2")) == 0);
	tx_check_open("job.2", ANTISPAM_QUEUE_INVALID, "");
	test_assert(chmod(queue_test_path("job.1"), 0720) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "others than its owner");
	test_assert(chmod(queue_test_path("job.1"), 0702) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "others than its owner");
	test_assert(chmod(queue_test_path("job.1"), 0755) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_FOUND, "");
	if (geteuid() != 0) {
		test_assert(chmod(queue_test_path("job.1"), 0) == 0);
		tx_check_open("job.1", ANTISPAM_QUEUE_UNREADABLE,
			      "Permission denied");
	}
	i_unlink(queue_test_path("job.2"));
	tx_remove("job.1");

	queue_test_write(queue_test_path("job.1"), "x", 1);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "Not a directory");
	i_unlink(queue_test_path("job.1"));
	test_assert(mkfifo(queue_test_path("job.1"), 0600) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "Not a directory");
	i_unlink(queue_test_path("job.1"));

	if (queue_test_become_root()) {
		tx_make("job.1");
		tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "belongs to root");
		tx_remove("job.1");
		queue_test_user();
	}
	test_end();
}

static void make_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (bind(fd, (const void *)&addr, sizeof(addr)) < 0)
		i_fatal("bind(%s) failed: %m", path);
	i_close_fd(&fd);
}

/* jobs is something else. */
static void test_jobs_file(void)
{
	const char *jobs = tx_path("job.1", "jobs");

	test_begin("queue entry: what is no job file");
	tx_mkdir("job.1");
	tx_check_open("job.1", ANTISPAM_QUEUE_UNFINISHED, "open(jobs) failed");
	test_assert(symlink("m0", jobs) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "open(jobs) failed");
	i_unlink(jobs);
	test_assert(mkfifo(jobs, 0600) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "no regular file");
	i_unlink(jobs);
	test_assert(mkdir(jobs, 0700) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "no regular file");
	test_assert(rmdir(jobs) == 0);
	make_socket(jobs);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "open(jobs) failed");
	i_unlink(jobs);
	tx_write_jobs("job.1", TX_HEAD TX_JOB, 1);
	tx_check_open("job.1", ANTISPAM_QUEUE_FOUND, "");
	test_assert(chmod(jobs, 0) == 0);
	if (geteuid() != 0) {
		tx_check_open("job.1", ANTISPAM_QUEUE_UNREADABLE,
			      "Permission denied");
	}
	test_assert(chmod(jobs, 0600) == 0);
	if (queue_test_become_root()) {
		tx_check_open("job.1", ANTISPAM_QUEUE_FOUND, "");
		test_assert(chown(jobs, QUEUE_TEST_OTHER_UID, 0) == 0);
		tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "no regular file");
		test_assert(chown(jobs, 0, 0) == 0);
		tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "no regular file");
		queue_test_user();
	}
	tx_remove("job.1");
	test_end();
}

/* Whatever its end is cut to, it was never finished. */
static void test_truncated(void)
{
	const string_t *str = tx_jobs_text(TX_HEAD TX_JOB, 1);
	size_t size;

	test_begin("queue entry: a job file that is not finished");
	tx_mkdir("job.1");
	for (size = 0; size < str_len(str); size++) {
		T_BEGIN {
			queue_test_write(tx_path("job.1", "jobs"), str_data(str), size);
			tx_check_open("job.1", ANTISPAM_QUEUE_UNFINISHED,
				      "it was never finished");
		} T_END;
	}
	queue_test_write(tx_path("job.1", "jobs"), str_data(str), size);
	tx_check_open("job.1", ANTISPAM_QUEUE_FOUND, "");
	tx_remove("job.1");
	test_end();
}

static void test_end_of_jobs(void)
{
	static const struct {
		const char *end;
		enum antispam_queue_found found;
		const char *why;
	} rows[] = {
		{ "end\t00000000000000000000\t0000000001\t00000000\n",
		  ANTISPAM_QUEUE_FOUND, "" },
		{ "end\t00000000000000000000\t0000000002\t00000000\n",
		  ANTISPAM_QUEUE_INVALID, "more jobs than it has" },
		{ "end\t00000000000000000001\t0000000001\t00000000\n",
		  ANTISPAM_QUEUE_INVALID, "more jobs than it has" },
		{ "end\t00000000000000000045\t0000000001\t00000000\n",
		  ANTISPAM_QUEUE_INVALID, "impossible size" },
		{ "end\t02000000000000000000\t0000000001\t00000000\n",
		  ANTISPAM_QUEUE_INVALID, "impossible size" },
		{ "end\t18446744073709551615\t0000000001\t00000000\n",
		  ANTISPAM_QUEUE_UNFINISHED, "impossible size" },
		{ "end\t00000000000000000000\t0000000000\t00000000\n",
		  ANTISPAM_QUEUE_UNFINISHED, "impossible size" },
		{ "end\t00000000000000000000\t0000000001\t00000000 ",
		  ANTISPAM_QUEUE_UNFINISHED, "never finished" },
		{ "End\t00000000000000000000\t0000000001\t00000000\n",
		  ANTISPAM_QUEUE_UNFINISHED, "never finished" },
		{ "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
		  "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
		  ANTISPAM_QUEUE_UNFINISHED, "never finished" },
	};
	const char *text;
	unsigned int i;

	test_begin("queue entry: ends of a job file");
	tx_mkdir("job.1");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_assert_idx(strlen(rows[i].end) == ANTISPAM_QUEUE_END_SIZE,
				i);
		/* after as many bytes as a job has at least */
		text = t_strconcat("12345678901234567890", rows[i].end, NULL);
		queue_test_write(tx_path("job.1", "jobs"), text, strlen(text));
		tx_check_open("job.1", rows[i].found, rows[i].why);
	}
	tx_remove("job.1");
	/* more lines than anybody reads; the file is sparse */
	tx_mkdir("job.1");
	queue_test_write(tx_path("job.1", "jobs"), "", 0);
	test_assert(truncate(tx_path("job.1", "jobs"), 1024 * 1024 * 1024) ==
		    0);
	queue_test_write(tx_path("job.1", "end"), rows[0].end, 45);
	i = open(tx_path("job.1", "jobs"), O_WRONLY | O_APPEND);
	test_assert(write_full(i, rows[0].end, 45) == 0 && close(i) == 0);
	tx_check_open("job.1", ANTISPAM_QUEUE_INVALID, "impossible size");
	tx_remove("job.1");
	test_end();
}

static void
check_read(const char *lines, unsigned int count, const char *why)
{
	struct queue_test_reader reader;
	const char *error = "";

	tx_write_jobs("job.1", lines, count);
	if (queue_test_read(&reader, "job.1", &error)) {
		queue_test_close(&reader);
		test_assert_strcmp("", why);
	} else if (*why == '\0' || strstr(error, why) == NULL) {
		test_assert_strcmp(error, why);
	}
}

static void test_lines(void)
{
	string_t *str;
	struct queue_test_reader reader;
	const char *error, *name;
	size_t pos;
	char *data;

	test_begin("queue entry: lines of a job file");
	tx_mkdir("job.1");
	check_read(TX_HEAD TX_JOB, 1, "");
	check_read(TX_HEAD TX_JOB TX_JOB, 2, "");
	check_read(TX_HEAD TX_JOB, 2, "too few lines");
	check_read(TX_HEAD, 1, "too few lines");
	check_read(TX_HEAD "job", 1, "too few lines");
	check_read(TX_HEAD TX_JOB TX_JOB, 1, "its checksum is wrong");
	check_read(TX_JOB TX_HEAD, 1, "no head");
	check_read(TX_HEAD TX_HEAD, 1, "no job");
	check_read(TX_HEAD "\n", 1, "no job");
	/* as long as a line may be, and longer */
	name = queue_test_text(32000);
	check_read(t_strconcat(TX_HEAD "job\tspam\tother\tspam\t.\t0\t4\t\t\t",
			       name, "\t\n", NULL),
		   1, "");
	name = queue_test_text(40000);
	check_read(t_strconcat(TX_HEAD "job\tspam\tother\tspam\t.\t0\t4\t\t\t",
			       name, "\t\n", NULL),
		   1, "too long");
	/* any byte that is another one */
	str = tx_jobs_text(TX_HEAD TX_JOB, 1);
	data = str_c_modifiable(str);
	for (pos = 4; pos < str_len(str); pos += 3) {
		T_BEGIN {
			data[pos] ^= 0x01;
			queue_test_write(tx_path("job.1", "jobs"), data, str_len(str));
			test_assert_idx(!queue_test_read(&reader, "job.1", &error),
					pos);
			data[pos] ^= 0x01;
		} T_END;
	}
	tx_remove("job.1");
	test_end();
}

/* The message of the second job, in m0: ret is as that of
   antispam_queue_entry_message(). */
static void check_message(struct queue_test_reader *reader, int wanted)
{
	const unsigned int fds = queue_test_fds();
	struct istream *input = NULL;
	const char *path = "x", *error = NULL;
	int ret;

	ret = antispam_queue_entry_message(&reader->entry,
					   array_idx(&reader->jobs, 1), &input,
					   &path, &error);
	test_assert_idx(ret == wanted, wanted);
	test_assert(ret > 0 || error != NULL);
	test_assert((path != NULL) == (wanted > 0));
	i_stream_unref(&input);
	test_assert(queue_test_fds() == fds);
}

static void test_message(void)
{
	struct queue_test_reader reader;
	const char *m0 = tx_path("job.1", "m0"), *error;

	test_begin("queue entry: what is no message");
	tx_make("job.1");
	if (!queue_test_read(&reader, "job.1", &error))
		i_fatal("%s", error);
	test_assert(queue_test_has(&reader, 0, "copy", 4, FALSE));
	test_assert(queue_test_has(&reader, 1, "link", 4, TRUE));
	check_message(&reader, 1);
	/* it may hold more than that */
	queue_test_write(m0, "linked", 6);
	test_assert(queue_test_has(&reader, 1, "link", 4, FALSE));
	queue_test_write(m0, "lin", 3);
	check_message(&reader, -1);
	i_unlink(m0);
	check_message(&reader, -1);
	test_assert(symlink("jobs", m0) == 0);
	check_message(&reader, -1);
	i_unlink(m0);
	test_assert(mkfifo(m0, 0600) == 0);
	check_message(&reader, -1);
	i_unlink(m0);
	test_assert(mkdir(m0, 0700) == 0);
	check_message(&reader, -1);
	test_assert(rmdir(m0) == 0);
	make_socket(m0);
	check_message(&reader, -1);
	i_unlink(m0);
	/* another's: whoever made the link may not read it */
	if (queue_test_become_root()) {
		queue_test_write("secret", "secret", 6);
		test_assert(chmod("secret", 0644) == 0);
		test_assert(link("secret", m0) == 0);
		check_message(&reader, -1);
		test_assert(chown("secret", QUEUE_TEST_OTHER_UID, 0) == 0);
		check_message(&reader, -1);
		queue_test_user();
		check_message(&reader, -1);
		i_unlink(m0);
		i_unlink("secret");
	}
	queue_test_write(m0, "link", 4);
	test_assert(chmod(m0, 0) == 0);
	check_message(&reader, 0);
	queue_test_close(&reader);
	tx_remove("job.1");
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_directory,
		test_jobs_file,
		test_truncated,
		test_end_of_jobs,
		test_lines,
		test_message,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
