/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "istream.h"
#include "test-common.h"
#include "antispam-store.h"
#include "antispam-job.h"

static const struct antispam_job job_template = {
	.spam = TRUE,
	.folder = "SPAM",
	.origin = "UID 1 of INBOX",
};

static void
add(struct antispam_job_list *list, struct antispam_store *store,
    const char *message)
{
	struct istream *input =
		i_stream_create_from_data(message, strlen(message));
	uoff_t offset, size;
	const char *error;

	test_assert(antispam_store_add(store, input, 0, &offset, &size,
				       &error) == 1);
	antispam_job_list_add(list, &job_template, offset, size);
	i_stream_unref(&input);
}

static void test_job_facts(void)
{
	struct antispam_store *store = antispam_store_create(".");
	struct antispam_job_list *list = antispam_job_list_create(store);
	struct antispam_job src = job_template, *job;
	char folder[] = "SPAM";

	test_begin("job list: facts are copied");
	src.folder = folder;
	src.signature = "abc";
	src.spam = FALSE;
	antispam_job_list_add(list, &src, 0, 0);
	folder[0] = 'x';
	job = antispam_job_list_get(list, 0);
	test_assert_strcmp(job->folder, "SPAM");
	test_assert_strcmp(job->signature, "abc");
	test_assert_strcmp(job->origin, "UID 1 of INBOX");
	test_assert(!job->spam && job->message == NULL && job->size == 0);
	antispam_job_list_destroy(&list);
	test_assert(list == NULL);
	antispam_job_list_destroy(&list);
	antispam_store_destroy(&store);
	test_end();
}

/* The message of the job at idx is this. */
static bool
has(struct antispam_job_list *list, unsigned int idx, const char *message)
{
	struct antispam_job *job = antispam_job_list_get(list, idx);
	const unsigned char *data;
	size_t size;
	bool equal;

	antispam_job_list_open(list, job);
	(void)i_stream_read_more(job->message, &data, &size);
	equal = size == strlen(message) && memcmp(data, message, size) == 0;
	i_stream_seek(job->message, 0);
	antispam_job_list_close(job);
	return equal && job->message == NULL;
}

static void test_drop_last(void)
{
	struct antispam_store *store = antispam_store_create(".");
	struct antispam_job_list *list = antispam_job_list_create(store);

	test_begin("job list: the last job is taken back, and its message");
	add(list, store, "one");
	add(list, store, "two");
	antispam_job_list_drop_last(list);
	test_assert(antispam_store_size(store) == 3);
	add(list, store, "three");
	test_assert(antispam_job_list_count(list) == 2);
	test_assert(has(list, 0, "one"));
	test_assert(has(list, 1, "three"));
	antispam_job_list_drop_last(list);
	antispam_job_list_drop_last(list);
	test_assert(antispam_job_list_count(list) == 0);
	test_assert(antispam_store_size(store) == 0);
	antispam_job_list_destroy(&list);
	antispam_store_destroy(&store);
	test_end();
}

static void test_clear(void)
{
	struct antispam_store *store = antispam_store_create(".");
	struct antispam_job_list *list = antispam_job_list_create(store);

	test_begin("job list: all is forgotten");
	add(list, store, "one");
	antispam_job_list_clear(list);
	test_assert(antispam_job_list_count(list) == 0);
	test_assert(antispam_store_size(store) == 0);
	add(list, store, "two");
	test_assert(antispam_job_list_count(list) == 1);
	test_assert(has(list, 0, "two"));
	antispam_job_list_destroy(&list);
	antispam_store_destroy(&store);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_job_facts,
		test_drop_last,
		test_clear,
		NULL
	};

	return test_run(tests);
}
