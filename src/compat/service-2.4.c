/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Declares antispam-trainer to Dovecot 2.4, in the module that its config
   process loads, so that no admin needs to. */

#include "lib.h"
#include "settings-parser.h"
#include "service-settings.h"

/* What Dovecot's config process looks for, by the name of the .so file. */
extern struct service_settings antispam_settings_service_settings;
extern const struct setting_keyvalue
	antispam_settings_service_settings_defaults[];

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
	.chroot = "",
	/* one process owns the queue */
	.process_limit = 1,
	.client_limit = 1000,
	/* unlimited, which each child is not: antispam_trainer_vsz_limit */
	.vsz_limit = SET_SIZE_UNLIMITED,
	.extra_groups = ARRAY_INIT,
	.unix_listeners = ARRAY_INIT,
	.fifo_listeners = ARRAY_INIT,
	.inet_listeners = ARRAY_INIT,
};

/* Users may have any uid; whoever connects can do no more than have the
   trainer look. */
const struct setting_keyvalue antispam_settings_service_settings_defaults[] = {
	{ "unix_listener", "antispam-trainer" },
	{ "unix_listener/antispam-trainer/path", "antispam-trainer" },
	{ "unix_listener/antispam-trainer/mode", "0666" },
	{ NULL, NULL }
};
