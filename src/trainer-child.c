/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A child of the trainer: it becomes the user, looks at the settings of today,
   and hands the user's messages to the filter. What it learns of a lesson it
   first writes into the queue, then tells its parent. Whatever it has of its
   parent's connections is cut off, or both would write to them. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "ioloop.h"
#include "lib-event.h"
#include "str.h"
#include "str-sanitize.h"
#include "write-full.h"
#include "mail-user.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-child.h"
#include "antispam-teacher.h"
#include "antispam-compat-trainer.h"
#include "trainer-log.h"
#include "trainer-report.h"
#include "trainer-teach.h"
#include "trainer-work.h"
#include "trainer-child.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* A user's name in the log is cut here, in bytes. */
#define CHILD_NAME_MAX 200

static struct {
	int report_fd;
	/* Lines that are not sent yet. */
	string_t *lines;
} child;

static void child_send(void)
{
	if (str_len(child.lines) > 0 &&
	    write_full(child.report_fd, str_data(child.lines),
		       str_len(child.lines)) < 0) {
		/* our parent is gone: what the queue says is enough */
	}
	str_truncate(child.lines, 0);
}

static void child_report(const struct trainer_report *report,
			 void *context ATTR_UNUSED)
{
	/* at once: if this process is killed, it is known how far it came */
	trainer_report_write(child.lines, report);
	child_send();
}

static void child_limit(uoff_t vsz_limit)
{
	struct rlimit limit = {
		.rlim_cur = vsz_limit,
		.rlim_max = vsz_limit,
	};

	if (vsz_limit > 0)
		(void)setrlimit(RLIMIT_AS, &limit);
}

/* Become the user. Returns 1; 0 if there is no such user; -1 and *error_r. */
static int
child_become(const struct trainer_child_task *task, struct mail_user **user_r,
	     const char **error_r)
{
	struct mail_storage_service_user *suser;
	int ret;

	ret = antispam_compat_trainer_lookup(task->username, &suser, error_r);
	if (ret <= 0)
		return ret;
	if (antispam_compat_trainer_become(suser, user_r, error_r) < 0)
		return -1;
	return 1;
}

/* Nothing can be done for this user now, or ever. */
static void child_fail_all(const struct trainer_child_task *task,
			   enum trainer_result result, const char *why)
{
	struct trainer_report report = {
		.result = result,
		.folder = "",
		.origin = "",
		.why = why,
	};

	for (; report.step < task->steps_count; report.step++)
		child_report(&report, NULL);
}

static void child_work(const struct trainer_child_task *task,
		       struct mail_user *user)
{
	struct antispam_teacher teacher;
	const char *error = NULL;
	pool_t pool = pool_alloconly_create("antispam trainer child", 8192);
	int ret;

	i_zero(&teacher);
	teacher.event = event_create(user->event);
	event_set_append_log_prefix(teacher.event, "antispam: ");
	ret = antispam_teacher_init(&teacher, user, pool, &error);
	if (ret > 0) {
		antispam_teacher_lookup_home(&teacher, user);
		trainer_report_write_backend(child.lines,
					     teacher.backend->name,
					     teacher.set->log_lessons);
		trainer_report_write_patience(
			child.lines, trainer_teach_silence_msecs(&teacher));
		child_send();
	}
	trainer_work(task, &teacher, ret, error, child_report, NULL);
	event_unref(&teacher.event);
	pool_unref(&pool);
}

static void child_run(const struct trainer_child_task *task)
{
	struct mail_user *user;
	const char *error;
	int ret;

	ret = child_become(task, &user, &error);
	if (ret == 0) {
		error = t_strdup_printf("userdb knows no user %s",
					task->username);
		child_fail_all(task, TRAINER_FOREIGN, error);
	} else if (ret < 0) {
		child_fail_all(task, TRAINER_LATER, error);
	} else if (getuid() != task->uid || geteuid() != task->uid) {
		/* nothing was looked at yet */
		error = t_strdup_printf(
			"it was put there by uid %ld, but user %s has uid %ld",
			(long)task->uid, task->username, (long)getuid());
		child_fail_all(task, TRAINER_FOREIGN, error);
	} else {
		child_work(task, user);
	}
	child_send();
}

pid_t trainer_child_start(const struct trainer_child_task *task, int *fd_r,
			  const char **error_r)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		*error_r = t_strdup_printf("pipe2() failed: %m");
		return -1;
	}
	pid = fork();
	if (pid < 0) {
		*error_r = t_strdup_printf("fork() failed: %m");
		i_close_fd(&fds[0]);
		i_close_fd(&fds[1]);
		return -1;
	}
	if (pid > 0) {
		/* others must not wait until this one has more to tell */
		fd_set_nonblock(fds[0], TRUE);
		i_close_fd(&fds[1]);
		*fd_r = fds[0];
		return pid;
	}
	child.report_fd = fds[1];
	child.lines = str_new(default_pool, 8192);
	antispam_child_reset_signals();
	(void)signal(SIGPIPE, SIG_IGN);
	trainer_log_init_child(i_strdup_printf(
		"antispam-trainer(%s): ",
		str_sanitize(task->username, CHILD_NAME_MAX)));
	antispam_child_cut_off(task->queue_fd, child.report_fd);
	child_limit(task->vsz_limit);
	(void)io_loop_create();
	child_run(task);
	/* what is ours goes with us, what is our parent's is not ours to end */
	_exit(0);
}
