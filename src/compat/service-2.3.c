/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Declares antispam-trainer to Dovecot 2.3, in the module that its config
   process loads, so that no admin needs to. 2.3 has no settings modules for
   plugin { }, so this is all that the module does. */

#include "lib.h"
#include "buffer.h"
#include "settings-parser.h"
#include "service-settings.h"

/* What Dovecot's config process looks for, by the name of the .so file. */
extern const char *antispam_settings_version;
extern struct service_settings antispam_settings_service_settings;

/* Users may have any uid; whoever connects can do no more than have the
   trainer look. */
static struct file_listener_settings listener = {
	.path = "antispam-trainer",
	.mode = 0666,
	.user = "",
	.group = "",
};
static struct file_listener_settings *listeners[] = { &listener };
static buffer_t listeners_buf = {
	{ { listeners, sizeof(listeners) } }
};

struct service_settings antispam_settings_service_settings = {
	.name = "antispam-trainer",
	.protocol = "",
	/* what was left when Dovecot stopped is found when it starts */
	.type = "startup",
	.executable = "antispam-trainer",
	/* root, to become the user whose mail is learned */
	.user = "",
	.group = "",
	.privileged_group = "",
	.extra_groups = "",
	.chroot = "",
	/* one process owns the queue */
	.process_limit = 1,
	.client_limit = 1000,
	/* unlimited, which each child is not: antispam_trainer_vsz_limit */
	.vsz_limit = 0,
	.unix_listeners = { { &listeners_buf, sizeof(listeners[0]) } },
	.fifo_listeners = ARRAY_INIT,
	.inet_listeners = ARRAY_INIT,
};

const char *antispam_settings_version = DOVECOT_ABI_VERSION;
