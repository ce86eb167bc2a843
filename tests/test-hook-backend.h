#ifndef TEST_HOOK_BACKEND_H
#define TEST_HOOK_BACKEND_H

/* Two backends that keep what they are taught: one can take it back, as
   spool2dir, the other can't, as pipe. Select them by these names. */

#include "test-hook.h"

struct lesson {
	bool spam;
	const char *folder;
	buffer_t *message;
};

/* What the backend has been taught, and how it behaves. */
static struct {
	pool_t pool;
	ARRAY(struct lesson) lessons;
	/* Fail the lesson at this position, or prepare(). */
	unsigned int fail_at;
	/* No lesson will ever succeed. */
	bool broken;
	bool fail_prepare;
	unsigned int prepared, committed, rolled_back;
} backend;

static void backend_reset(void)
{
	if (backend.pool != NULL)
		pool_unref(&backend.pool);
	i_zero(&backend);
	backend.pool = pool_alloconly_create("test backend", 1024 * 16);
	p_array_init(&backend.lessons, backend.pool, 16);
	backend.fail_at = UINT_MAX;
}

static int
backend_init(pool_t pool, const struct antispam_settings *set ATTR_UNUSED,
	     void **context_r, const char **warning_r ATTR_UNUSED,
	     const char **error_r ATTR_UNUSED)
{
	*context_r = p_strdup(pool, "test");
	return 0;
}

static const char *backend_tmpdir(void *context ATTR_UNUSED)
{
	return ".";
}

static void learn_one(const struct antispam_job *job)
{
	struct lesson *lesson = array_append_space(&backend.lessons);
	const unsigned char *data;
	size_t size;

	lesson->spam = job->spam;
	lesson->folder = p_strdup(backend.pool, job->folder);
	lesson->message = buffer_create_dynamic(backend.pool, 1024);
	i_stream_seek(job->message, 0);
	while (i_stream_read_more(job->message, &data, &size) > 0) {
		buffer_append(lesson->message, data, size);
		i_stream_skip(job->message, size);
	}
	test_assert(job->message->stream_errno == 0);
	test_assert(lesson->message->used == job->size);
}

static void
backend_learn(void *context, const struct antispam_batch *batch, void **undo)
{
	unsigned int i;

	test_assert_strcmp(context, "test");
	*undo = &backend;
	for (i = 0; i < batch->count; i++) {
		struct antispam_outcome *outcome = &batch->outcomes[i];

		if (array_count(&backend.lessons) >= backend.fail_at) {
			outcome->result = ANTISPAM_LATER;
			outcome->why = "told to fail";
			outcome->skipped = i > 0;
			continue;
		}
		if (backend.broken) {
			outcome->result = ANTISPAM_BROKEN;
			outcome->why = "told to be broken";
			continue;
		}
		outcome->result = ANTISPAM_LEARNED;
		learn_one(batch->jobs[i]);
	}
}

static void
backend_learn_only(void *context, const struct antispam_batch *batch,
		   void **undo)
{
	void *dummy = NULL;

	test_assert(*undo == NULL);
	backend_learn(context, batch, &dummy);
}

static int
backend_prepare(void *context ATTR_UNUSED, void **undo, const char **error_r)
{
	test_assert(*undo == &backend);
	backend.prepared++;
	*error_r = "told to fail to prepare";
	return backend.fail_prepare ? -1 : 0;
}

static unsigned int
backend_commit(void *context ATTR_UNUSED, void **undo,
	       const char **error_r ATTR_UNUSED)
{
	test_assert(*undo == &backend);
	*undo = NULL;
	backend.committed++;
	return 0;
}

static void backend_rollback(void *context ATTR_UNUSED, void **undo)
{
	test_assert(*undo == &backend);
	*undo = NULL;
	backend.rolled_back++;
	array_clear(&backend.lessons);
}

/* Like pipe: what is learned stays learned. */
static const struct antispam_backend backend_final = {
	.name = "pipe",
	.needs = ANTISPAM_NEED_MESSAGE,
	.max_batch = 3,
	.init = backend_init,
	.tmpdir = backend_tmpdir,
	.learn = backend_learn_only,
};

/* Like spool2dir: it can be taken back. */
static const struct antispam_backend backend_undoable = {
	.name = "spool2dir",
	.needs = ANTISPAM_NEED_MESSAGE,
	.max_batch = 3,
	.init = backend_init,
	.tmpdir = backend_tmpdir,
	.learn = backend_learn,
	.prepare = backend_prepare,
	.commit = backend_commit,
	.rollback = backend_rollback,
};

const struct antispam_backend *const antispam_backends[] = {
	&backend_final, &backend_undoable, NULL
};

const struct antispam_backend *antispam_backend_find(const char *name)
{
	return strcmp(name, "pipe") == 0 ? &backend_final : &backend_undoable;
}

const char *antispam_backend_names(void)
{
	return "pipe, spool2dir";
}

/* A user whose folders SPAM, Trash and Unsure are what they are called. */
static inline void
user_init(const char *driver, const char *backend_name,
	  const char *allow_append, const char *max_size)
{
	static const char *settings[16];
	const char *const values[] = {
		"antispam_backend", backend_name,
		"antispam_spam", "SPAM",
		"antispam_trash", "Trash",
		"antispam_unsure", "Unsure",
		"antispam_allow_append_to_spam", allow_append,
		"antispam_max_size", max_size,
		"antispam_log_lessons", "no",
		NULL
	};

	memcpy(settings, values, sizeof(values));
	backend_reset();
	test_user_init(driver, settings);
}

static inline void user_deinit(void)
{
	test_user_deinit();
	pool_unref(&backend.pool);
}

static const char message[] = "Subject: x\n\nbody\n";

/* Put messages into a folder as nobody's IMAP command. */
static inline void fill_box(struct mailbox *box, unsigned int count)
{
	test_assert(append_mails(box, EXTERNAL, message, strlen(message),
				 count) == 0);
	test_assert(mailbox_sync(box, 0) == 0);
}

#endif
