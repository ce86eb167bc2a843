/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The module that doveadm and doveadm-server load: commands and their
   parameters. What they do is in the other doveadm-*.c. */

#include "lib.h"
#include "net.h"
#include "str-sanitize.h"
#include "doveadm.h"
#include "doveadm-cmd.h"
#include "doveadm-mail.h"
#include "doveadm-antispam.h"

/* Characters of a field. */
#define SHOWN_MAX 2000

struct module;

extern const char *doveadm_antispam_plugin_version;
void doveadm_antispam_plugin_init(struct module *module);
void doveadm_antispam_plugin_deinit(void);

const char *doveadm_antispam_plugin_version = DOVECOT_ABI_VERSION;

/* clang-format off */
static struct doveadm_cmd_ver2 commands[] = { {
	.name = "antispam status",
	.mail_cmd = antispam_status_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAMS_END
}, {
	.name = "antispam test",
	.mail_cmd = antispam_test_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX "--spam|--ham [<file>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('s', "spam", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('h', "ham", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('\0', "file", CMD_PARAM_ISTREAM, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
}, {
	.name = "antispam queue list",
	.cmd = antispam_cmd_queue_list,
	.usage = "[-A|-u <user>] [<id> ...]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('A', "all-users", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('\0', "id", CMD_PARAM_ARRAY, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
}, {
	.name = "antispam queue retry",
	.cmd = antispam_cmd_queue_retry,
	.usage = "-A|-u <user>|<id> ...",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('A', "all-users", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('\0', "id", CMD_PARAM_ARRAY, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
}, {
	.name = "antispam queue remove",
	.cmd = antispam_cmd_queue_remove,
	.usage = "-A|-u <user>|<id> ...",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('A', "all-users", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('\0', "id", CMD_PARAM_ARRAY, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
}, {
	.name = "antispam queue flush",
	.cmd = antispam_cmd_queue_flush,
	.usage = "[-A|-u <user>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('A', "all-users", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
} };
/* clang-format on */

const char *antispam_shown(const char *text)
{
	return text == NULL ? "" : str_sanitize_utf8(text, SHOWN_MAX);
}

void doveadm_antispam_plugin_init(struct module *module ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(commands); i++)
		doveadm_cmd_register_ver2(&commands[i]);
}

void doveadm_antispam_plugin_deinit(void)
{
}
