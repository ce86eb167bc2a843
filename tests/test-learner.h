#ifndef TEST_LEARNER_H
#define TEST_LEARNER_H

/* What the tests of backends share: a fake program in a directory of its own, a
   user's settings, batches of jobs with signatures or messages. Include it
   after lib.h, once. */

#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "lib-event.h"
#include "unlink-directory.h"
#include "write-full.h"
#include "test-common.h"
#include "antispam-settings.h"
#include "antispam-job.h"
#include "antispam-runner.h"
#include "antispam-backend.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory of the running test, and where the fakes are. */
static char *learner_root;
static const char *learner_bin;
static pool_t learner_pool;
static struct event *learner_event;

/* The fakes are in the source tree, beside the directory of what is built.
   Before lib_init(). */
static inline void learner_init(const char *program)
{
	static char path[PATH_MAX];
	const char *build = getenv("ANTISPAM_BUILD");
	const char *slash = strrchr(program, '/');
	const int dir_size = slash == NULL ? 0 : slash - program + 1;

	learner_bin = "tests/bin";
	if (access(learner_bin, X_OK) == 0)
		return;
	learner_bin = path;
	(void)snprintf(path, sizeof(path), "%.*s../../tests/bin", dir_size,
		       program);
	if (access(path, X_OK) == 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/../tests/bin",
		       build == NULL ? "" : build);
}

/* Data stack. */
static inline const char *learner_path(const char *name)
{
	return t_strconcat(learner_root, "/", name, NULL);
}

static inline void
learner_write(const char *name, const void *data, size_t size, mode_t mode)
{
	const char *path = learner_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd == -1 || write_full(fd, data, size) < 0 || close(fd) < 0)
		i_fatal("can't write %s: %m", path);
}

static inline void learner_file(const char *name, const char *content)
{
	learner_write(name, content, strlen(content), 0644);
}

static inline void learner_mkdir(const char *name)
{
	if (mkdir(learner_path(name), 0755) < 0)
		i_fatal("mkdir(%s) failed: %m", learner_path(name));
}

static inline bool learner_has(const char *name)
{
	struct stat st;

	return stat(learner_path(name), &st) == 0;
}

/* A whole file, with '|' for each NUL; NULL = there is none. Data stack. */
static inline const char *learner_read_path(const char *path)
{
	struct istream *input = i_stream_create_file(path, 8192);
	const unsigned char *data;
	string_t *str = t_str_new(1024);
	size_t i, size;
	bool found;

	while (i_stream_read_more(input, &data, &size) > 0) {
		for (i = 0; i < size; i++)
			str_append_c(str, data[i] == '\0' ? '|' : data[i]);
		i_stream_skip(input, size);
	}
	found = input->stream_errno == 0;
	i_stream_unref(&input);
	return found ? str_c(str) : NULL;
}

static inline const char *learner_read(const char *name)
{
	return learner_read_path(learner_path(name));
}

/* A directory. */
static inline void learner_begin_dir(void)
{
	char root[] = "/tmp/antispam-learner.XXXXXX";

	if (mkdtemp(root) == NULL)
		i_fatal("mkdtemp(%s) failed: %m", root);
	learner_root = i_strdup(root);
	learner_pool = pool_alloconly_create("test learner", 4096);
	learner_event = event_create(NULL);
}

/* A directory with a copy of the fake. */
static inline void learner_begin(const char *fake, const char *copy)
{
	const char *source = t_strconcat(learner_bin, "/", fake, NULL);
	const char *script = learner_read_path(source);

	if (script == NULL) {
		i_fatal("can't read %s: start the test in the source tree, or "
			"set ANTISPAM_BUILD to a directory in it",
			source);
	}
	learner_begin_dir();
	learner_write(copy, script, strlen(script), 0755);
	learner_mkdir("calls");
}

static inline void learner_end(void)
{
	const char *error;

	if (unlink_directory(learner_root, UNLINK_DIRECTORY_FLAG_RMDIR,
			     &error) <= 0)
		i_error("unlink_directory(%s) failed: %s", learner_root, error);
	i_free(learner_root);
	pool_unref(&learner_pool);
	event_unref(&learner_event);
}

static inline unsigned int learner_calls(void)
{
	unsigned int n = 0;

	while (learner_has(t_strdup_printf("calls/%u", n + 1)))
		n++;
	return n;
}

/* A file that a call has left behind; NULL = there is none. Data stack. */
static inline const char *learner_call(unsigned int n, const char *name)
{
	return learner_read(t_strdup_printf("calls/%u/%s", n, name));
}

static inline const char *learner_get(void *context, const char *name)
{
	const char *const *pair = context;

	for (; *pair != NULL; pair += 2) {
		if (strcmp(t_strconcat("antispam_", *pair, NULL), name) == 0)
			return pair[1];
	}
	return NULL;
}

/* %R is the directory of the test. */
static inline int
learner_expand(void *context ATTR_UNUSED,
	       enum antispam_expand how ATTR_UNUSED, const char *raw,
	       const char **value_r, const char **warning_r ATTR_UNUSED,
	       const char **error_r ATTR_UNUSED)
{
	string_t *str = t_str_new(128);
	const char *p;

	for (p = raw; *p != '\0'; p++) {
		if (p[0] == '%' && p[1] == 'R') {
			str_append(str, learner_root);
			p++;
		} else {
			str_append_c(str, *p);
		}
	}
	*value_r = str_c(str);
	return 0;
}

/* pairs: names without "antispam_" and values, NULL-terminated. */
static inline const struct antispam_settings *
learner_settings(const char *const *pairs)
{
	const struct antispam_settings_source source = {
		.get = learner_get,
		.expand = learner_expand,
		.context = (void *)pairs,
	};
	const struct antispam_settings *set;
	const char *error;

	if (antispam_settings_parse(learner_pool, &source, &set, &error) < 0)
		i_fatal("settings: %s", error);
	return set;
}

static inline void *
learner_create(const struct antispam_backend *backend,
	       const char *const *pairs)
{
	const char *error, *warning = NULL;
	void *context = NULL;

	if (backend->init(learner_pool, learner_settings(pairs), &context,
			  &warning, &error) < 0)
		i_fatal("init: %s", error);
	return context;
}

/* Who the lessons are of. */
static const char *learner_username = "bob";

static inline void
learner_run(const struct antispam_backend *backend, void *context,
	    struct antispam_job *jobs, unsigned int count,
	    bool stop_on_failure, struct antispam_outcome *outcomes)
{
	const struct antispam_identity identity = {
		.username = learner_username,
		.home = learner_root,
	};
	struct antispam_job **list = t_new(struct antispam_job *, count);
	const struct antispam_batch batch = {
		.identity = &identity,
		.event = learner_event,
		.jobs = list,
		.count = count,
		.stop_on_failure = stop_on_failure,
		.outcomes = outcomes,
	};
	void *undo = NULL;
	unsigned int i;

	for (i = 0; i < count; i++) {
		list[i] = &jobs[i];
		/* what learn() does not fill in shows */
		memset(&outcomes[i], 0x55, sizeof(outcomes[i]));
	}
	backend->learn(context, &batch, &undo);
	test_assert(undo == NULL);
}

static inline void
learner_learn(const struct antispam_backend *backend, void *context, bool spam,
	      const char *const *signatures, unsigned int count,
	      bool stop_on_failure, struct antispam_outcome *outcomes)
{
	struct antispam_job *jobs = t_new(struct antispam_job, count);
	unsigned int i;

	for (i = 0; i < count; i++) {
		jobs[i].spam = spam;
		jobs[i].signature = signatures[i];
	}
	learner_run(backend, context, jobs, count, stop_on_failure, outcomes);
}

/* The same with messages. */
static inline void
learner_teach(const struct antispam_backend *backend, void *context, bool spam,
	      const char *const *messages, unsigned int count,
	      bool stop_on_failure, struct antispam_outcome *outcomes)
{
	struct antispam_job *jobs = t_new(struct antispam_job, count);
	unsigned int i;

	for (i = 0; i < count; i++) {
		jobs[i].spam = spam;
		jobs[i].size = strlen(messages[i]);
		jobs[i].message = i_stream_create_from_data(messages[i],
							    jobs[i].size);
		/* it is for learn() to seek */
		i_stream_skip(jobs[i].message, jobs[i].size / 2);
	}
	learner_run(backend, context, jobs, count, stop_on_failure, outcomes);
	for (i = 0; i < count; i++)
		i_stream_unref(&jobs[i].message);
}

static inline struct antispam_outcome
learner_teach_one(const struct antispam_backend *backend, void *context,
		  bool spam, const char *message)
{
	struct antispam_outcome outcome;

	learner_teach(backend, context, spam, &message, 1, TRUE, &outcome);
	return outcome;
}

static inline struct antispam_outcome
learner_learn_one(const struct antispam_backend *backend, void *context,
		  bool spam, const char *signature)
{
	struct antispam_outcome outcome;

	learner_learn(backend, context, spam, &signature, 1, TRUE, &outcome);
	return outcome;
}

/* The outcome is as wanted; why is a part of its reason, NULL = there must be
   none. */
static inline void
learner_check(const struct antispam_outcome *outcome,
	      enum antispam_result result, const char *why, unsigned int row)
{
	test_assert_idx(outcome->result == result, row);
	test_assert_idx(!outcome->skipped, row);
	if (why == NULL)
		test_assert_idx(outcome->why == NULL, row);
	else if (outcome->why == NULL || strstr(outcome->why, why) == NULL) {
		test_assert_idx(FALSE, row);
		i_info("why: %s", outcome->why == NULL ? "-" : outcome->why);
	}
}

/* A job of a batch: its outcome where the batch stops at a failure, one
   program at a time; its outcome where it goes on, three side by side; and
   whether the former never started it. */
struct learner_row {
	const char *signature;
	enum antispam_result stopped, all;
	bool skipped;
};
#define LEARNER_MAX_ROWS 16

/* Let a batch be learned in both ways: one, several are the settings for each,
   stopped_calls and all_calls how often they call the filter. */
static inline void
learner_check_batch(const struct antispam_backend *backend,
		    const char *const *one, const char *const *several,
		    const struct learner_row *rows, unsigned int count,
		    unsigned int stopped_calls, unsigned int all_calls)
{
	const char *signatures[LEARNER_MAX_ROWS];
	struct antispam_outcome outcomes[LEARNER_MAX_ROWS];
	unsigned int i;

	i_assert(count <= LEARNER_MAX_ROWS);
	for (i = 0; i < count; i++)
		signatures[i] = rows[i].signature;

	learner_learn(backend, learner_create(backend, one), TRUE, signatures,
		      count, TRUE, outcomes);
	test_assert(learner_calls() == stopped_calls);
	for (i = 0; i < count; i++) {
		bool learned = outcomes[i].result == ANTISPAM_LEARNED;

		test_assert_idx(outcomes[i].result == rows[i].stopped, i);
		test_assert_idx(outcomes[i].skipped == rows[i].skipped, i);
		test_assert_idx((outcomes[i].why == NULL) == learned, i);
	}

	learner_learn(backend, learner_create(backend, several), TRUE,
		      signatures, count, FALSE, outcomes);
	test_assert(learner_calls() == stopped_calls + all_calls);
	for (i = 0; i < count; i++) {
		test_assert_idx(outcomes[i].result == rows[i].all, i);
		test_assert_idx(!outcomes[i].skipped, i);
	}
}

#endif
