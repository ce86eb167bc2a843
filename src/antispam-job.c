/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "antispam-store.h"
#include "antispam-job.h"

struct antispam_job_list {
	pool_t pool;
	struct antispam_store *store;
	ARRAY_TYPE(antispam_job) jobs;
};

struct antispam_job_list *
antispam_job_list_create(struct antispam_store *store)
{
	struct antispam_job_list *list;

	list = i_new(struct antispam_job_list, 1);
	list->pool = pool_alloconly_create("antispam jobs", 1024);
	list->store = store;
	i_array_init(&list->jobs, 16);
	return list;
}

void antispam_job_list_destroy(struct antispam_job_list **_list)
{
	struct antispam_job_list *list = *_list;

	if (list == NULL)
		return;
	*_list = NULL;
	array_free(&list->jobs);
	pool_unref(&list->pool);
	i_free(list);
}

void antispam_job_list_add(struct antispam_job_list *list,
			   const struct antispam_job *src, uoff_t offset,
			   uoff_t size)
{
	struct antispam_job *job = array_append_space(&list->jobs);

	job->spam = src->spam;
	job->folder = p_strdup(list->pool, src->folder);
	job->origin = p_strdup(list->pool, src->origin);
	job->signature = p_strdup(list->pool, src->signature);
	job->offset = offset;
	job->size = size;
}

void antispam_job_list_drop_last(struct antispam_job_list *list)
{
	const unsigned int last = array_count(&list->jobs) - 1;
	const struct antispam_job *job = array_idx(&list->jobs, last);

	antispam_store_truncate(list->store, job->offset);
	array_delete(&list->jobs, last, 1);
}

unsigned int antispam_job_list_count(const struct antispam_job_list *list)
{
	return array_count(&list->jobs);
}

struct antispam_job *
antispam_job_list_get(struct antispam_job_list *list, unsigned int idx)
{
	return array_idx_modifiable(&list->jobs, idx);
}

void antispam_job_list_open(struct antispam_job_list *list,
			    struct antispam_job *job)
{
	i_assert(job->message == NULL);

	job->message = antispam_store_open(list->store, job->offset,
					   job->size);
}

void antispam_job_list_close(struct antispam_job *job)
{
	i_stream_unref(&job->message);
}

void antispam_job_list_clear(struct antispam_job_list *list)
{
	array_clear(&list->jobs);
	p_clear(list->pool);
	antispam_store_clear(list->store);
}
