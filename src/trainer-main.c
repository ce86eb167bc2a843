/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* antispam-trainer, a service of Dovecot's master: it starts when Dovecot does,
   and whenever it is woken while it is not there; without work it stays only
   until the master finds it idle. */

#include "lib.h"
#include "ioloop.h"
#include "restrict-access.h"
#include "master-service.h"
#include "antispam-settings.h"
#include "antispam-compat-lib.h"
#include "antispam-compat-trainer.h"
#include "trainer-client.h"
#include "trainer-dir.h"
#include "trainer-manager.h"
#include "trainer-socket.h"

#define MAX_CLIENTS 32

static struct {
	struct event *event;
	pool_t pool;
	/* NULL with an error that is logged once, when it matters. */
	const struct antispam_settings *set;
	const char *set_error;
	struct trainer_dir *dir;
	/* NULL until there is a directory. */
	struct trainer_manager *manager;
	bool busy;
	/* To Dovecot, what is to be done is another client, or it would take
	   us for idle. */
	bool counted;
	bool stopping;
} trainer;

static void trainer_count(bool count)
{
	if (trainer.counted == count)
		return;
	trainer.counted = count;
	if (count)
		master_service_client_connection_created(master_service);
	else
		master_service_client_connection_destroyed(master_service);
}

static void trainer_busy(bool busy)
{
	trainer.busy = busy;
	/* with a limit of 1 there may be no room beside a client */
	if (!trainer.stopping &&
	    master_service_get_client_limit(master_service) > 1)
		trainer_count(busy);
}

/* What a limit of 1 leaves uncounted is busy, too. */
static bool trainer_may_die_idle(void)
{
	return !trainer.busy;
}

static void trainer_manager_start(void)
{
	const struct trainer_manager_settings set = {
		.queue_dir = trainer.set->queue_dir,
		.delay_msecs = trainer.set->queue_delay_msecs,
		.lifetime_msecs = trainer.set->queue_lifetime_msecs,
		.max_children = trainer.set->trainer_max_children,
		.vsz_limit = trainer.set->trainer_vsz_limit,
	};

	trainer.manager = trainer_manager_init(&set, trainer_busy);
}

/* name: as for trainer_manager_wake(). needed: somebody uses the queue, so it
   matters if something is wrong. */
static void trainer_look(const char *name, bool needed)
{
	if (trainer.stopping)
		return;
	if (trainer.set == NULL) {
		if (needed && trainer.set_error != NULL) {
			e_error(trainer.event, "the queue is not read: %s",
				trainer.set_error);
			trainer.set_error = NULL;
		}
		return;
	}
	if (!trainer_dir_is_ready(trainer.dir, needed))
		return;
	if (trainer.manager == NULL)
		trainer_manager_start();
	else
		trainer_manager_wake(trainer.manager, name);
}

/* Returns TRUE if the line says so. */
static bool trainer_line_flush(const char *line, bool trusted)
{
	const size_t len = strlen(ANTISPAM_TRAINER_LINE_FLUSH);
	const char *username = NULL;

	if (!antispam_compat_begins(line, ANTISPAM_TRAINER_LINE_FLUSH) ||
	    (line[len] != '\0' && line[len] != ' '))
		return FALSE;
	if (line[len] == ' ')
		username = line + len + 1;
	/* whoever has a filter that is dead could have it tried for ever */
	if (!trusted)
		return TRUE;
	trainer_look(NULL, TRUE);
	if (trainer.manager != NULL)
		trainer_manager_flush(trainer.manager, username);
	return TRUE;
}

/* Why nothing is read from the queue; for doveadm. */
static const char *trainer_status(void)
{
	const char *problem = NULL;

	if (trainer.set == NULL) {
		problem = trainer.set_error == NULL ?
			"a setting is wrong: see the log" :
			trainer.set_error;
	} else {
		problem = trainer_dir_problem(trainer.dir);
	}
	return problem == NULL ? ANTISPAM_TRAINER_ANSWER_READY : problem;
}

static const char *trainer_line(const char *line, bool trusted)
{
	if (strcmp(line, ANTISPAM_TRAINER_LINE_STATUS) == 0)
		return trainer_status();
	if (trainer_line_flush(line, trusted))
		return NULL;
	if (strcmp(line, ANTISPAM_TRAINER_LINE_DIR) == 0) {
		if (trainer.dir != NULL)
			trainer_dir_want(trainer.dir);
		line = "";
	}
	if (*line == '\0' || strcmp(line, ANTISPAM_TRAINER_LINE_SCAN) == 0)
		trainer_look(NULL, TRUE);
	else
		trainer_look(line, TRUE);
	return NULL;
}

static void trainer_stopped(void)
{
	trainer_count(FALSE);
	master_service_stop(master_service);
}

/* Dovecot stops, or is reloaded and has started another trainer. Dovecot's
   library has closed the socket already, which that one shares; it stops us
   when there is nothing that it counts, or after half a minute. */
static void trainer_die(void)
{
	trainer.stopping = TRUE;
	trainer_socket_deinit();
	if (trainer.manager == NULL)
		trainer_stopped();
	else
		trainer_manager_stop(trainer.manager, trainer_stopped);
}

/* Dovecot checks plugins so, but of a service its own library alone. */
static void check_version(void)
{
	const char *version = master_service_get_version_string(master_service);

	if (version == NULL || strcmp(version, PACKAGE_VERSION) == 0)
		return;
	i_fatal("antispam-trainer was built for Dovecot %s, and this is "
		"Dovecot %s: build and install it again, then restart Dovecot",
		PACKAGE_VERSION, version);
}

static void trainer_init(void)
{
	const char *error;
	bool queued;

	trainer.event = event_create(NULL);
	trainer.pool = pool_alloconly_create("antispam trainer", 2048);
	if (antispam_compat_trainer_settings(trainer.pool, &queued,
					     &trainer.set, &error) < 0) {
		trainer.set = NULL;
		trainer.set_error = p_strdup(trainer.pool, error);
	} else {
		trainer.dir = trainer_dir_init(trainer.event,
					       trainer.set->queue_dir);
		if (queued)
			trainer_dir_want(trainer.dir);
	}
	trainer_look(NULL, queued);
}

static void trainer_deinit(void)
{
	if (trainer.manager != NULL)
		trainer_manager_deinit(&trainer.manager);
	trainer_dir_deinit(&trainer.dir);
	pool_unref(&trainer.pool);
	event_unref(&trainer.event);
}

static void trainer_run(void)
{
	const unsigned int limit =
		master_service_get_client_limit(master_service);

	trainer_socket_init(I_MAX(I_MIN(MAX_CLIENTS + 1, limit), 2) - 1,
			    trainer_line);
	master_service_set_die_with_master(master_service, TRUE);
	master_service_set_die_callback(master_service, trainer_die);
	master_service_set_idle_die_callback(master_service,
					     trainer_may_die_idle);
	trainer_init();
	master_service_init_finish(master_service);
	master_service_run(master_service, trainer_socket_connected);
	trainer_socket_deinit();
	trainer_deinit();
}

int main(int argc, char *argv[])
{
	const char *error;

	master_service = master_service_init("antispam-trainer", 0, &argc,
					     &argv, "");
	if (master_getopt(master_service) > 0)
		return FATAL_DEFAULT;
	check_version();
	if (antispam_compat_trainer_init(&error) < 0)
		i_fatal("%s", error);
	restrict_access_by_env(RESTRICT_ACCESS_FLAG_ALLOW_ROOT, NULL);
	master_service_init_log_with_pid(master_service);

	trainer_run();

	antispam_compat_trainer_deinit();
	master_service_deinit(&master_service);
	return 0;
}
