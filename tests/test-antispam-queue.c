/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What is written into the queue, and what is read from it. */

/* memfd_create() */
#define _GNU_SOURCE 1
#include "lib.h"
#include "test-queue.h"

#include <sys/mman.h>

#define BYTES(data) data, sizeof(data) - 1

static void test_kinds(void)
{
	const struct antispam_job spam = queue_test_job(TRUE, "guid", NULL);
	const struct antispam_job ham = queue_test_job(FALSE, NULL, "sig");
	struct antispam_job append = spam;
	struct antispam_queue *queue = queue_test_begin("u\tser");
	const unsigned int fds = queue_test_fds();
	struct queue_test_reader reader;
	const struct antispam_queue_job *jobs;
	struct antispam_queue_head now;
	const char *name, *error;

	test_begin("queue: a link, a copy, and no message");
	append.change.append = TRUE;
	append.origin = "APPEND";
	queue_test_write("mail", BYTES("Subject: link\n\n\0\xff\r\n"));
	test_assert(queue_test_link(queue, &spam, "mail"));
	test_assert(queue_test_copy(queue, &append, BYTES("copy\n\0\xff")) > 0);
	antispam_queue_add(queue, &ham, FALSE);
	test_assert(antispam_queue_count(queue) == 3);
	test_assert(antispam_queue_link_error(queue) == NULL);
	name = queue_test_release(&queue);
	test_assert(queue == NULL && antispam_queue_name_is_visible(name));
	test_assert(strlen(name) <= ANTISPAM_QUEUE_NAME_MAX);
	test_assert(queue_test_fds() == fds - 4);
	test_assert_strcmp(queue_test_list(queue_test_dir), name);
	test_assert_strcmp(queue_test_list(queue_test_path(name)), "jobs m0");

	if (!queue_test_read(&reader, name, &error))
		i_fatal("%s", error);
	antispam_queue_now(&now);
	test_assert_strcmp(reader.head.username, "u\tser");
	test_assert_strcmp(reader.head.boot_id, now.boot_id);
	test_assert(reader.head.wall_usecs <= now.wall_usecs &&
		    reader.head.wall_usecs + 60000000 > now.wall_usecs);
	test_assert(reader.head.boot_usecs <= now.boot_usecs &&
		    reader.head.boot_usecs + 60000000 > now.boot_usecs);
	test_assert(array_count(&reader.jobs) == 3);
	jobs = array_front(&reader.jobs);
	test_assert(jobs[0].spam && jobs[1].spam && !jobs[2].spam);
	test_assert(jobs[0].has_message && jobs[1].has_message &&
		    !jobs[2].has_message);
	test_assert(!jobs[0].change.append && jobs[1].change.append);
	test_assert_strcmp(jobs[0].file, "m0");
	test_assert(jobs[1].file == NULL && jobs[2].file == NULL);
	test_assert_strcmp(jobs[0].guid, "guid");
	test_assert(jobs[2].guid == NULL);
	test_assert_strcmp(jobs[2].signature, "sig");
	test_assert_strcmp(jobs[1].origin, "APPEND");
	test_assert_strcmp(jobs[2].folder, "INBOX");
	test_assert(queue_test_has(&reader, 0,
				   BYTES("Subject: link\n\n\0\xff\r\n"), TRUE));
	test_assert(queue_test_has(&reader, 1, BYTES("copy\n\0\xff"), FALSE));
	/* whoever has it open may remove it */
	test_assert(antispam_queue_entry_lock(&reader.entry));
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 10));
	queue_test_close(&reader);
	test_assert(queue_test_is_empty());
	i_unlink("mail");
	test_end();
}

/* Messages as they are written, and what is read of them. */
static void test_bytes(void)
{
	const char *long_line =
		t_strdup_printf("From %03000d\nSubject: x\n", 1);
	const char *endless = t_strdup_printf("From %03000d", 1);
	const struct {
		const char *in;
		size_t in_size;
		const char *out;
		size_t out_size;
	} rows[] = {
		{ BYTES(""), BYTES("") },
		{ BYTES("\0"), BYTES("\0") },
		{ BYTES("\n"), BYTES("\n") },
		{ BYTES("Subject: x\r\n\r\n\0\0\xff"),
		  BYTES("Subject: x\r\n\r\n\0\0\xff") },
		{ BYTES("antispam-queue\t1\t1\t1\tb\tother\njob\n"),
		  BYTES("antispam-queue\t1\t1\t1\tb\tother\njob\n") },
		{ BYTES("From"), BYTES("From") },
		{ BYTES("From "), BYTES("") },
		{ BYTES("From me"), BYTES("") },
		{ BYTES("From me\n"), BYTES("") },
		{ BYTES("From me\r\nSubject: x\n"), BYTES("Subject: x\n") },
		{ BYTES("From me\nFrom you\n"), BYTES("From you\n") },
		{ BYTES("From: me\n"), BYTES("From: me\n") },
		{ long_line, strlen(long_line), BYTES("Subject: x\n") },
		{ endless, strlen(endless), BYTES("") },
	};
	const struct antispam_job job = queue_test_job(TRUE, NULL, NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	struct queue_test_reader reader;
	const char *name, *error;
	unsigned int i;
	bool whole;

	test_begin("queue: messages byte for byte");
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		queue_test_write("mail", rows[i].in, rows[i].in_size);
		test_assert_idx(queue_test_link(queue, &job, "mail"), i);
		i_unlink("mail");
		test_assert_idx(queue_test_copy(queue, &job, rows[i].in,
						rows[i].in_size) > 0,
				i);
	}
	name = queue_test_release(&queue);
	if (!queue_test_read(&reader, name, &error))
		i_fatal("%s", error);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		whole = rows[i].in_size == rows[i].out_size;
		test_assert_idx(queue_test_has(&reader, i * 2, rows[i].out,
					       rows[i].out_size, whole),
				i);
		test_assert_idx(queue_test_has(&reader, i * 2 + 1, rows[i].out,
					       rows[i].out_size, FALSE),
				i);
	}
	queue_test_close(&reader);
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 100));
	test_end();
}

/* A file of another file system stands for a queue on another one. */
static void test_other_file_system(void)
{
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	struct queue_test_reader reader;
	const char *name, *error;
	int fd = memfd_create("mail", MFD_CLOEXEC);

	test_begin("queue: what can't be linked is copied");
	test_assert(write_full(fd, "mail", 4) == 0);
	test_assert(!queue_test_link_fd(queue, &job, fd, 0, 4));
	test_assert(strstr(antispam_queue_link_error(queue),
			   "Invalid cross-device link") != NULL);
	test_assert(antispam_queue_count(queue) == 0);
	test_assert(queue_test_copy(queue, &job, "mail", 4) > 0);
	/* none of the next ones is tried */
	queue_test_write("mail", "more", 4);
	test_assert(!queue_test_link(queue, &job, "mail"));
	name = queue_test_release(&queue);
	test_assert_strcmp(queue_test_list(queue_test_path(name)), "jobs");
	if (!queue_test_read(&reader, name, &error))
		i_fatal("%s", error);
	test_assert(queue_test_has(&reader, 0, "mail", 4, FALSE));
	queue_test_close(&reader);
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 100));
	i_close_fd(&fd);
	i_unlink("mail");
	test_end();
}

/* A file that is gone can't be linked, but the next one can. */
static void test_gone_file(void)
{
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	int fd;

	test_begin("queue: a file that is gone keeps none else from a link");
	queue_test_write("mail", "gone", 4);
	fd = open("mail", O_RDONLY | O_CLOEXEC);
	i_unlink("mail");
	test_assert(!queue_test_link_fd(queue, &job, fd, 0, 4));
	test_assert(antispam_queue_link_error(queue) == NULL);
	queue_test_write("mail", "mail", 4);
	test_assert(queue_test_link(queue, &job, "mail"));
	antispam_queue_rollback(&queue);
	test_assert(queue_test_is_empty());
	i_close_fd(&fd);
	i_unlink("mail");
	test_end();
}

/* Files that hold several messages, as mdbox's do. */
static void test_shared_files(void)
{
	enum {
		FILES = 100
	};
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	struct queue_test_reader reader;
	const char *name, *error, *text;
	int fds[FILES];
	unsigned int i;

	test_begin("queue: messages that share a file share a link");
	for (i = 0; i < FILES; i++) {
		text = t_strdup_printf("<one%02u><two%02u>", i, i);
		queue_test_write("mail", text, strlen(text));
		fds[i] = open("mail", O_RDONLY | O_CLOEXEC);
		/* the name is in the queue alone, from now on */
		test_assert_idx(queue_test_link_fd(queue, &job, fds[i], 1, 5),
				i);
		test_assert_idx(queue_test_link_fd(queue, &job, fds[i], 8, 5),
				i);
		i_unlink("mail");
	}
	/* one that is remembered, and one that is not */
	test_assert(queue_test_link_fd(queue, &job, fds[FILES - 1], 1, 5));
	test_assert(queue_test_link_fd(queue, &job, fds[0], 1, 5));
	name = queue_test_release(&queue);
	test_assert(str_array_length(t_strsplit(
			    queue_test_list(queue_test_path(name)), " ")) ==
		    1 + FILES + 1);
	if (!queue_test_read(&reader, name, &error))
		i_fatal("%s", error);
	for (i = 0; i < FILES; i++) {
		text = t_strdup_printf("one%02u", i);
		test_assert_idx(queue_test_has(&reader, i * 2, text, 5, FALSE),
				i);
		text = t_strdup_printf("two%02u", i);
		test_assert_idx(queue_test_has(&reader, i * 2 + 1, text, 5,
					       FALSE),
				i);
	}
	test_assert(queue_test_has(&reader, FILES * 2, "one99", 5, FALSE));
	test_assert(queue_test_has(&reader, FILES * 2 + 1, "one00", 5, FALSE));
	queue_test_close(&reader);
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 1000));
	for (i = 0; i < FILES; i++)
		i_close_fd(&fds[i]);
	test_end();
}

/* A file's number is its own only within its file system. */
static void test_same_number(void)
{
	struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	struct antispam_place place;
	struct stat st;
	const char *name;

	test_begin("queue: files of one number on two file systems");
	queue_test_write("mail", "<one>", 5);
	i_zero(&place);
	place.fd = open("mail", O_RDONLY | O_CLOEXEC);
	test_assert(fstat(place.fd, &st) == 0);
	place.dev = st.st_dev;
	place.ino = st.st_ino;
	place.file_size = 5;
	place.offset = 1;
	place.size = 3;
	job.place = &place;
	test_assert(antispam_queue_link(queue, &job));
	place.dev++;
	test_assert(antispam_queue_link(queue, &job));
	name = queue_test_release(&queue);
	test_assert_strcmp(queue_test_list(queue_test_path(name)),
			   "jobs m0 m1");
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 1000));
	i_close_fd(&place.fd);
	i_unlink("mail");
	test_end();
}

static void test_drop_last(void)
{
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	struct antispam_queue *queue = queue_test_begin("user");
	struct queue_test_reader reader;
	const char *name, *error;

	test_begin("queue: the last job is taken back");
	queue_test_write("mail", "link", 4);
	test_assert(queue_test_copy(queue, &job, "one", 3) > 0);
	/* a copy */
	test_assert(queue_test_copy(queue, &job, "no", 2) > 0);
	antispam_queue_drop_last(queue);
	test_assert(queue_test_copy(queue, &job, "two", 3) > 0);
	/* a copy without its From_ line */
	test_assert(queue_test_copy(queue, &job, BYTES("From me\nno")) > 0);
	antispam_queue_drop_last(queue);
	/* a link */
	test_assert(queue_test_link(queue, &job, "mail"));
	antispam_queue_drop_last(queue);
	/* one that has no message */
	antispam_queue_add(queue, &job, FALSE);
	antispam_queue_drop_last(queue);
	test_assert(antispam_queue_count(queue) == 2);
	test_assert(queue_test_copy(queue, &job, "three", 5) > 0);
	test_assert(queue_test_link(queue, &job, "mail"));

	name = queue_test_release(&queue);
	if (!queue_test_read(&reader, name, &error))
		i_fatal("%s", error);
	test_assert(array_count(&reader.jobs) == 4);
	test_assert(queue_test_has(&reader, 0, "one", 3, FALSE));
	test_assert(queue_test_has(&reader, 1, "two", 3, FALSE));
	test_assert(queue_test_has(&reader, 2, "three", 5, FALSE));
	test_assert(queue_test_has(&reader, 3, "link", 4, TRUE));
	queue_test_close(&reader);
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, 100));
	i_unlink("mail");
	test_end();
}

static void test_rollback(void)
{
	const struct antispam_job job = queue_test_job(TRUE, "g", NULL);
	const unsigned int fds = queue_test_fds();
	struct antispam_queue *queue;
	const char *error;
	unsigned int i;

	test_begin("queue: a rollback leaves nothing");
	queue_test_write("mail", "link", 4);
	for (i = 0; i < 4; i++) {
		queue = queue_test_begin("user");
		if (i > 0) {
			test_assert(queue_test_link(queue, &job, "mail"));
			test_assert(queue_test_link(queue, &job, "mail"));
			test_assert(queue_test_copy(queue, &job, "x", 1) > 0);
		}
		if (i > 1)
			antispam_queue_drop_last(queue);
		if (i > 2) {
			test_assert(antispam_queue_prepare(
					    queue, FSYNC_MODE_ALWAYS,
					    &error) == 0);
		}
		antispam_queue_rollback(&queue);
		test_assert_idx(queue == NULL && queue_test_is_empty(), i);
		test_assert_idx(queue_test_fds() == fds, i);
	}
	antispam_queue_rollback(&queue);
	i_unlink("mail");
	test_end();
}

static void test_many(void)
{
	enum {
		JOBS = 1000
	};
	const unsigned int fds = queue_test_fds();
	struct antispam_queue *queue = queue_test_begin("user");
	struct queue_test_reader reader;
	struct antispam_job job;
	const char *name, *error, *text;
	unsigned int i;

	test_begin("queue: a thousand jobs");
	for (i = 0; i < JOBS; i++)
		T_BEGIN {
			text = t_strdup_printf("%0500u", i);
			job = queue_test_job(TRUE, text + 490, NULL);
			if (i % 3 == 0) {
				queue_test_write("mail", text, 500);
				test_assert_idx(queue_test_link(queue, &job, "mail"),
						i);
				i_unlink("mail");
			} else {
				test_assert_idx(queue_test_copy(queue, &job, text,
								500) > 0,
						i);
			}
		} T_END;
	test_assert(queue_test_fds() == fds + 4);
	name = queue_test_release(&queue);
	test_assert(queue_test_fds() == fds);
	if (!queue_test_read(&reader, name, &error))
		i_fatal("%s", error);
	test_assert(array_count(&reader.jobs) == JOBS);
	for (i = 0; i < JOBS; i++)
		T_BEGIN {
			const struct antispam_queue_job *found =
				array_idx(&reader.jobs, i);

			text = t_strdup_printf("%0500u", i);
			test_assert_strcmp_idx(found->guid, text + 490, i);
			test_assert_idx(queue_test_has(&reader, i, text, 500,
						       i % 3 == 0),
					i);
		} T_END;
	queue_test_close(&reader);
	test_assert(queue_test_fds() == fds);
	test_assert(antispam_queue_entry_remove(queue_test_fd, name, JOBS));
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_kinds,
		test_bytes,
		test_other_file_system,
		test_gone_file,
		test_shared_files,
		test_same_number,
		test_drop_last,
		test_rollback,
		test_many,
		NULL
	};
	int ret;

	queue_test_init();
	ret = test_run(tests);
	queue_test_deinit();
	return ret;
}
