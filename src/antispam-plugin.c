/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "mail-storage-hooks.h"
#include "antispam-user.h"
#include "antispam-hook.h"
#include "antispam-plugin.h"

static const struct mail_storage_hooks antispam_hooks = {
	.mail_user_created = antispam_user_created,
	.mailbox_allocated = antispam_mailbox_allocated,
};

const char *antispam_plugin_version = DOVECOT_ABI_VERSION;
const char *antispam_plugin_dependencies[] = { NULL };

void antispam_plugin_init(struct module *module)
{
	mail_storage_hooks_add(module, &antispam_hooks);
}

void antispam_plugin_deinit(void)
{
	mail_storage_hooks_remove(&antispam_hooks);
}
