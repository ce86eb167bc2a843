/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What doveadm antispam status says of the queue. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "antispam-place.h"
#include "antispam-settings.h"
#include "antispam-queue-dir.h"
#include "trainer-client.h"
#include "doveadm-stats.h"
#include "doveadm-status.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A lesson that has waited so much longer than it must, and was never tried,
   is not tried at all. */
#define STATUS_STUCK_SECS 300

static void show(struct antispam_status *status, const char *name,
		 const char *value, const char *text)
{
	antispam_status_add(status, ANTISPAM_STATUS_QUEUE, name, value, text);
}

/* Links */

/* On which mount does it lie? Returns FALSE if that can't be told. */
static bool mount_of(int dir_fd, const char *path, int flags, uint64_t *id_r)
{
	struct statx stx;

	if (statx(dir_fd, path, flags, STATX_MNT_ID, &stx) < 0)
		return FALSE;
	/* before Linux 5.8 file systems have to do */
	*id_r = (stx.stx_mask & STATX_MNT_ID) != 0 ?
		stx.stx_mnt_id :
		((uint64_t)stx.stx_dev_major << 32) | stx.stx_dev_minor;
	return TRUE;
}

/* Why are messages copied into the queue, rather than linked? NULL = they are
   not, or it can't be told before there is mail. */
static const char *copied_why(struct antispam_status *status, int queue_fd)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(status->user->namespaces);
	const char *path;
	uint64_t mail_id, queue_id;

	if (!antispam_place_keeps_files(mail_namespace_get_default_storage(ns)))
		return "mail of this format (mbox, for one) keeps no files "
		       "that could be linked";
	if (!mailbox_list_get_root_path(ns->list, MAILBOX_LIST_PATH_TYPE_DIR,
					&path) ||
	    !mount_of(AT_FDCWD, path, 0, &mail_id) ||
	    !mount_of(queue_fd, "", AT_EMPTY_PATH, &queue_id) ||
	    mail_id == queue_id)
		return NULL;
	return t_strdup_printf(
		"antispam_queue_dir = %s is on another mount than the mail in "
		"%s; one beside the mail would do with links",
		status->teacher.set->queue_dir, path);
}

/* The directory */

static void status_dir_fd(struct antispam_status *status, int fd)
{
	const char *path = status->teacher.set->queue_dir;
	const char *why = copied_why(status, fd);

	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		antispam_status_problem(
			status, "queue-dir",
			"antispam_queue_dir = %s: uid %ld can't write to it: "
			"%m; type: %s",
			path, (long)geteuid(),
			antispam_queue_dir_remedies(path, geteuid()));
	}
	if (why == NULL) {
		show(status, "messages", "linked", "");
		return;
	}
	show(status, "messages", "copied", why);
	antispam_status_add(status, ANTISPAM_STATUS_NOTE, "copied", "",
			    t_strconcat("messages are copied into the queue, "
					"since ",
					why, NULL));
}

static void status_dir(struct antispam_status *status)
{
	const char *error, *path = status->teacher.set->queue_dir;
	int fd, ret;

	ret = antispam_queue_dir_open(path, geteuid(), &fd, &error);
	if (ret < 0)
		antispam_status_problem(status, "queue-dir", "%s", error);
	else if (ret == 0) {
		antispam_status_problem(
			status, "queue-dir",
			"antispam_queue_dir = %s: it is missing; "
			"antispam-trainer makes it when Dovecot is restarted, "
			"unless its log says why not; or type: %s",
			path, antispam_queue_dir_remedies(path, geteuid()));
	} else {
		status_dir_fd(status, fd);
		i_close_fd(&fd);
	}
}

/* before: the number of problems without those of the directory. */
static void
status_trainer(struct antispam_status *status, unsigned int before)
{
	const char *error;
	int ret;

	ret = antispam_trainer_check(status->user->set->base_dir, &error);
	if (ret > 0)
		return;
	if (ret == 0) {
		/* what is wrong for both has been named already */
		if (status->problems > before)
			return;
		antispam_status_problem(
			status, "trainer",
			"antispam-trainer does not read the queue: %s", error);
		return;
	}
	antispam_status_problem(
		status, "trainer",
		"%s: nobody reads the queue; Dovecot starts antispam-trainer "
		"by itself, if settings/libantispam_settings.so is installed "
		"and Dovecot was restarted since",
		error);
}

/* Jobs */

static const char *shown_time(time_t t)
{
	const struct tm *tm = localtime(&t);
	char buf[64];

	if (t == 0 || tm == NULL ||
	    strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", tm) == 0)
		return "";
	return t_strdup(buf);
}

static void status_jobs(struct antispam_status *status,
			const struct antispam_user_stats *stats)
{
	show(status, "waiting", dec2str(stats->waiting), "");
	show(status, "oldest", dec2str(stats->oldest_secs), "seconds");
	show(status, "failed", dec2str(stats->failed), "");
	if (stats->why != NULL) {
		show(status, "last_error", shown_time(stats->why_time),
		     stats->why);
	}
}

static void status_job_problems(struct antispam_status *status,
				const struct antispam_user_stats *stats)
{
	const unsigned int delay =
		status->teacher.set->queue_delay_msecs / 1000;

	if (stats->failed > 0) {
		antispam_status_problem(
			status, "failed",
			"%u lessons failed for good, the last thing that went "
			"wrong: %s; see doveadm antispam queue list, then "
			"retry or remove them",
			stats->failed,
			stats->why == NULL ? "not known" : stats->why);
	}
	if (stats->retried > 0) {
		antispam_status_problem(
			status, "retried",
			"%u lessons came to nothing so far and are tried "
			"again, the last thing that went wrong: %s",
			stats->retried,
			stats->why == NULL ? "not known" : stats->why);
	}
	if (stats->oldest_new_secs > delay + STATUS_STUCK_SECS) {
		antispam_status_problem(
			status, "stuck",
			"a lesson has waited %" PRId64 " s and was not tried; "
			"does antispam-trainer run, and what is in its log?",
			stats->oldest_new_secs);
	}
}

void antispam_status_queue(struct antispam_status *status,
			   const struct antispam_stats *stats,
			   const char *stats_error)
{
	const struct antispam_teacher *teacher = &status->teacher;
	const struct antispam_user_stats *user =
		antispam_stats_get(stats, geteuid(), status->user->username);
	const bool queued = teacher->set != NULL && teacher->backend != NULL &&
		antispam_teacher_is_queued(teacher);
	const unsigned int before = status->problems;

	if (teacher->set == NULL ||
	    (!queued && user->waiting + user->failed == 0))
		return;
	show(status, "directory", teacher->set->queue_dir, "");
	if (queued)
		status_dir(status);
	status_trainer(status, before);
	/* an unsafe directory has been named already */
	if (stats_error != NULL && status->problems == 0) {
		antispam_status_add(status, ANTISPAM_STATUS_NOTE, "queue-list",
				    "", stats_error);
	}
	if (stats_error == NULL) {
		status_jobs(status, user);
		status_job_problems(status, user);
	}
}
