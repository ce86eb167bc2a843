/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* doveadm antispam queue: what is in the queue, whoever's it is. What is
   changed is changed as the uid that it belongs to: its owner may exchange what
   lies there at any time, and must not lead root astray. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "lib-event.h"
#include "str.h"
#include "strescape.h"
#include "net.h"
#include "write-full.h"
#include "doveadm.h"
#include "doveadm-cmd.h"
#include "doveadm-mail.h"
#include "doveadm-print.h"
#include "antispam-settings.h"
#include "antispam-queue.h"
#include "antispam-compat-doveadm.h"
#include "trainer-client.h"
#include "doveadm-child.h"
#include "doveadm-walk.h"
#include "doveadm-antispam.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of a transaction that are removed at once. */
#define QUEUE_REMOVE_MAX (ANTISPAM_QUEUE_JOBS_MAX + 10)

/* Bytes of a user's name that the trainer takes in a line. */
#define FLUSH_NAME_MAX 200

/* A transaction that was picked. */
struct queue_pick {
	const char *name, *username;
	uid_t uid;
};

struct queue_cmd {
	struct event *event;
	struct antispam_compat_imap *imap;
	pool_t pool;
	const struct antispam_settings *set;
	int fd;

	/* NULL = of all users, or by id. */
	const char *username;
	const char *const *ids;
	bool all;

	/* Only those that failed. */
	bool failed_only;
	ARRAY(struct queue_pick) picks;
	const char *last_name;
	bool troubled, not_found;
};

/* What a child does with one transaction. Returns 0, or -1 and *error_r. */
typedef int queue_change_t(int queue_fd, const char *name,
			   const char **error_r);

/* Returns FALSE if there is nothing to look at; the exit code is set. */
static bool queue_open(struct queue_cmd *cmd)
{
	const char *error;
	uid_t owner;
	int ret;

	/* a server's process is still the last command's user */
	if (getuid() == 0 && geteuid() != 0 && seteuid(0) < 0)
		i_fatal("seteuid(0) failed: %m");
	cmd->imap = antispam_compat_imap_init(cmd->pool, &error);
	if (antispam_compat_imap_global(cmd->imap, cmd->pool, &cmd->set,
					&error) < 0)
		ret = -1;
	else {
		ret = antispam_walk_open(cmd->set->queue_dir, &cmd->fd, &owner,
					 &error);
	}
	if (ret < 0) {
		e_error(cmd->event, "%s", error);
		doveadm_exit_code = EX_TEMPFAIL;
	} else if (ret == 0) {
		e_info(cmd->event,
		       "antispam_queue_dir = %s: there is no queue",
		       cmd->set->queue_dir);
	}
	return ret > 0;
}

static bool
queue_begin(struct queue_cmd *cmd, struct doveadm_cmd_context *cctx)
{
	i_zero(cmd);
	cmd->fd = -1;
	cmd->pool = pool_alloconly_create("antispam queue", 4096);
	cmd->event = event_create(NULL);
	event_set_append_log_prefix(cmd->event, "antispam: ");
	p_array_init(&cmd->picks, cmd->pool, 16);
	(void)doveadm_cmd_param_bool(cctx, "all-users", &cmd->all);
	(void)doveadm_cmd_param_str(cctx, "user", &cmd->username);
	(void)doveadm_cmd_param_array(cctx, "id", &cmd->ids);
	return queue_open(cmd);
}

static void queue_end(struct queue_cmd *cmd)
{
	if (cmd->troubled)
		doveadm_exit_code = EX_TEMPFAIL;
	else if (cmd->not_found)
		doveadm_exit_code = DOVEADM_EX_NOTFOUND;
	i_close_fd(&cmd->fd);
	antispam_compat_imap_deinit(&cmd->imap);
	event_unref(&cmd->event);
	pool_unref(&cmd->pool);
}

/* Look at what the command is about. */
static void
queue_walk(struct queue_cmd *cmd, antispam_walk_callback_t *callback,
	   void *context)
{
	const char *const *id, *error;

	if (cmd->ids == NULL) {
		if (antispam_walk(cmd->fd, callback, context, &error) < 0) {
			e_error(cmd->event, "antispam_queue_dir = %s: %s",
				cmd->set->queue_dir, error);
			doveadm_exit_code = EX_NOPERM;
		}
		return;
	}
	for (id = cmd->ids; *id != NULL; id++) {
		if (!antispam_walk_one(cmd->fd, *id, callback, context)) {
			e_error(cmd->event, "there is no transaction %s in %s",
				antispam_shown(*id), cmd->set->queue_dir);
			cmd->not_found = TRUE;
		}
	}
}

static bool
queue_wants(const struct queue_cmd *cmd, const struct antispam_walk_job *job)
{
	return cmd->username == NULL ||
		strcmp(cmd->username, job->username) == 0;
}

/* List */

static void list_job(const struct antispam_walk_job *job, void *context)
{
	const struct queue_cmd *cmd = context;

	if (!queue_wants(cmd, job))
		return;
	doveadm_print(antispam_shown(job->name));
	doveadm_print(antispam_shown(job->username));
	doveadm_print(job->job == NULL ? "" : job->job->spam ? "spam" :
							       "ham");
	doveadm_print(job->job == NULL ? "" : antispam_shown(job->job->folder));
	doveadm_print(antispam_walk_state_name(job->state));
	doveadm_print_num(job->age_secs);
	doveadm_print_num(job->attempts);
	doveadm_print_num(job->wait_secs);
	doveadm_print(job->job == NULL ? "" : antispam_shown(job->job->origin));
	doveadm_print(antispam_shown(job->why));
}

static void print_number_header(const char *name)
{
	doveadm_print_header(name, name,
			     DOVEADM_PRINT_HEADER_FLAG_NUMBER |
				     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
}

void antispam_cmd_queue_list(struct doveadm_cmd_context *cctx)
{
	struct queue_cmd cmd;

	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	doveadm_print_header_simple("id");
	doveadm_print_header_simple("user");
	doveadm_print_header_simple("class");
	doveadm_print_header_simple("folder");
	doveadm_print_header_simple("state");
	print_number_header("age");
	print_number_header("attempts");
	print_number_header("next_try");
	doveadm_print_header_simple("message");
	doveadm_print_header_simple("reason");
	if (queue_begin(&cmd, cctx))
		queue_walk(&cmd, list_job, &cmd);
	queue_end(&cmd);
}

/* Retry, remove */

static void pick_job(const struct antispam_walk_job *job, void *context)
{
	struct queue_cmd *cmd = context;
	struct queue_pick *pick;

	if (!queue_wants(cmd, job) ||
	    (cmd->failed_only && cmd->ids == NULL &&
	     !antispam_queue_name_is_failed(job->name)))
		return;
	/* jobs of one transaction come one behind the other */
	if (null_strcmp(cmd->last_name, job->name) == 0)
		return;
	pick = array_append_space(&cmd->picks);
	pick->name = cmd->last_name = p_strdup(cmd->pool, job->name);
	pick->username = p_strdup(cmd->pool, job->username);
	pick->uid = job->uid;
}

static int
pick_cmp(const struct queue_pick *a, const struct queue_pick *b)
{
	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return strcmp(a->name, b->name);
}

struct queue_work {
	int queue_fd;
	const struct queue_pick *picks;
	unsigned int count;
	queue_change_t *change;
};

/* In the child: a line a transaction, empty for success. */
static void queue_work(int report, void *context)
{
	const struct queue_work *work = context;
	const char *error;
	unsigned int i;

	for (i = 0; i < work->count; i++)
		T_BEGIN {
			if (work->change(work->queue_fd, work->picks[i].name,
					 &error) == 0)
				error = "";
			error = t_strconcat(str_tabescape(error), "\n", NULL);
			(void)write_full(report, error, strlen(error));
		} T_END;
}

static void
queue_print(struct queue_cmd *cmd, const struct queue_pick *pick,
	    const char *done, const char *error)
{
	if (*error != '\0')
		cmd->troubled = TRUE;
	doveadm_print(antispam_shown(pick->name));
	doveadm_print(antispam_shown(pick->username));
	doveadm_print(*error == '\0' ? done : "error");
	doveadm_print(antispam_shown(error));
}

/* Change what belongs to one uid. */
static void
queue_change_uid(struct queue_cmd *cmd, const struct queue_pick *picks,
		 unsigned int count, queue_change_t *change, const char *done)
{
	struct queue_work work = {
		.queue_fd = cmd->fd,
		.picks = picks,
		.count = count,
		.change = change,
	};
	const char *const *lines, *error = "it was not told why";
	string_t *output = t_str_new(256);
	unsigned int i;

	(void)antispam_child_run(picks[0].uid, cmd->fd, queue_work, &work,
				 output, &error);
	lines = t_strsplit(str_c(output), "\n");
	for (i = 0; i < count; i++) {
		/* the last one is what follows the last line feed */
		if (lines[0] == NULL || lines[1] == NULL)
			queue_print(cmd, &picks[i], done, error);
		else {
			queue_print(cmd, &picks[i], done,
				    t_str_tabunescape(*lines));
			lines++;
		}
	}
}

static void
queue_change(struct queue_cmd *cmd, queue_change_t *change, const char *done)
{
	const struct queue_pick *picks;
	unsigned int first, next, count;

	queue_walk(cmd, pick_job, cmd);
	array_sort(&cmd->picks, pick_cmp);
	picks = array_get(&cmd->picks, &count);
	for (first = 0; first < count; first = next) {
		next = first + 1;
		while (next < count && picks[next].uid == picks[first].uid)
			next++;
		T_BEGIN {
			queue_change_uid(cmd, picks + first, next - first,
					 change, done);
		} T_END;
	}
}

static void queue_tell(struct queue_cmd *cmd, const char *line)
{
	const char *error;

	if (antispam_trainer_wake(antispam_compat_base_dir(), line,
				  &error) < 0) {
		e_error(cmd->event,
			"%s: what is in the queue waits until antispam-trainer "
			"runs",
			error);
		cmd->troubled = TRUE;
	}
}

/* Returns FALSE if the command does not say what it is about. */
static bool
queue_change_begin(struct queue_cmd *cmd, struct doveadm_cmd_context *cctx)
{
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	doveadm_print_header_simple("id");
	doveadm_print_header_simple("user");
	doveadm_print_header_simple("result");
	doveadm_print_header_simple("reason");
	if (!queue_begin(cmd, cctx))
		return FALSE;
	if (cmd->all || cmd->username != NULL || cmd->ids != NULL)
		return TRUE;
	e_error(cmd->event, "say of what: -u <user>, ids of "
			    "transactions, or -A for all");
	doveadm_exit_code = EX_USAGE;
	return FALSE;
}

/* Open and lock it. Returns 1, 0 if it is no transaction, -1 if somebody works
   on it; *error_r. */
static int
entry_open(int queue_fd, const char *name, struct antispam_queue_entry *entry,
	   const char **error_r)
{
	if (antispam_queue_entry_open(queue_fd, name, entry, error_r) !=
	    ANTISPAM_QUEUE_FOUND)
		return 0;
	if (antispam_queue_entry_lock(entry))
		return 1;
	*error_r = "somebody works on it now";
	antispam_queue_entry_close(entry);
	return -1;
}

static int
entry_reset(const struct antispam_queue_entry *entry, const char **error_r)
{
	struct antispam_queue_state *states =
		i_new(struct antispam_queue_state, entry->end.count);
	unsigned int i;
	pool_t pool = pool_alloconly_create("antispam retry", 1024);
	int ret;

	antispam_queue_entry_read_state(entry, pool, states);
	for (i = 0; i < entry->end.count; i++) {
		if (states[i].status != ANTISPAM_QUEUE_DONE)
			i_zero(&states[i]);
	}
	ret = antispam_queue_entry_write_state(entry, states, error_r);
	pool_unref(&pool);
	i_free(states);
	return ret;
}

static int retry_one(int queue_fd, const char *name, const char **error_r)
{
	static const char *const prefix = ANTISPAM_QUEUE_PREFIX_VISIBLE;
	struct antispam_queue_entry entry;
	int ret;

	if (!antispam_queue_name_is_failed(name)) {
		*error_r = "it has not failed; try flush";
		return -1;
	}
	if (entry_open(queue_fd, name, &entry, error_r) <= 0)
		return -1;
	ret = entry_reset(&entry, error_r);
	if (ret == 0 &&
	    antispam_queue_entry_rename(queue_fd, name, prefix) == NULL) {
		*error_r = t_strdup_printf("rename() failed: %m");
		ret = -1;
	}
	antispam_queue_entry_close(&entry);
	return ret;
}

void antispam_cmd_queue_retry(struct doveadm_cmd_context *cctx)
{
	struct queue_cmd cmd;

	if (queue_change_begin(&cmd, cctx)) {
		cmd.failed_only = TRUE;
		queue_change(&cmd, retry_one, "retried");
		if (array_count(&cmd.picks) > 0)
			queue_tell(&cmd, ANTISPAM_TRAINER_LINE_SCAN);
	}
	queue_end(&cmd);
}

static int
remove_dir(int queue_fd, const char *name, const char **error_r)
{
	struct antispam_queue_entry entry;
	bool removed;
	int ret;

	ret = entry_open(queue_fd, name, &entry, error_r);
	if (ret < 0)
		return -1;
	removed = antispam_queue_entry_remove(queue_fd, name, QUEUE_REMOVE_MAX);
	if (!removed)
		*error_r = t_strdup_printf("it can't be removed: %m");
	if (ret > 0)
		antispam_queue_entry_close(&entry);
	return removed ? 0 : -1;
}

static int remove_one(int queue_fd, const char *name, const char **error_r)
{
	struct stat st;

	if (fstatat(queue_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		return remove_dir(queue_fd, name, error_r);
	if (unlinkat(queue_fd, name, 0) == 0)
		return 0;
	*error_r = t_strdup_printf("it can't be removed: %m");
	return -1;
}

void antispam_cmd_queue_remove(struct doveadm_cmd_context *cctx)
{
	struct queue_cmd cmd;

	if (queue_change_begin(&cmd, cctx))
		queue_change(&cmd, remove_one, "removed");
	queue_end(&cmd);
}

/* Flush */

void antispam_cmd_queue_flush(struct doveadm_cmd_context *cctx)
{
	struct queue_cmd cmd;
	const char *line = ANTISPAM_TRAINER_LINE_FLUSH;

	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	if (queue_begin(&cmd, cctx)) {
		/* for a name that fits into no line, to try all does no harm */
		if (cmd.username != NULL &&
		    strchr(cmd.username, '\n') == NULL &&
		    strlen(cmd.username) <= FLUSH_NAME_MAX)
			line = t_strconcat(line, " ", cmd.username, NULL);
		queue_tell(&cmd, line);
	}
	queue_end(&cmd);
}
