/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "trainer-manager.h"

struct trainer_manager {
	struct trainer_manager_settings set;
};

struct trainer_manager *
trainer_manager_init(const struct trainer_manager_settings *set,
		     trainer_manager_busy_callback_t *callback ATTR_UNUSED)
{
	struct trainer_manager *manager = i_new(struct trainer_manager, 1);

	manager->set = *set;
	manager->set.queue_dir = i_strdup(set->queue_dir);
	return manager;
}

void trainer_manager_wake(struct trainer_manager *manager ATTR_UNUSED,
			  const char *name ATTR_UNUSED)
{
}

void trainer_manager_stop(struct trainer_manager *manager ATTR_UNUSED,
			  void (*callback)(void))
{
	callback();
}

void trainer_manager_deinit(struct trainer_manager **_manager)
{
	struct trainer_manager *manager = *_manager;
	char *queue_dir = (char *)manager->set.queue_dir;

	*_manager = NULL;
	i_free(queue_dir);
	i_free(manager);
}
