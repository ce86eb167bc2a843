#ifndef DOVEADM_ANTISPAM_H
#define DOVEADM_ANTISPAM_H

struct doveadm_cmd_context;
struct doveadm_mail_cmd_context;
struct antispam_compat_imap;

/* Exit statuses of "status" and "test". They are among those that doveadm's
   protocol has names for, so they survive it. */
#define ANTISPAM_EX_DEGRADED EX_DATAERR
#define ANTISPAM_EX_OFF DOVEADM_EX_NOTFOUND

/* doveadm antispam status, test */
struct doveadm_mail_cmd_context *antispam_status_alloc(void);
struct doveadm_mail_cmd_context *antispam_test_alloc(void);
/* doveadm antispam queue list, retry, remove, flush */
void antispam_cmd_queue_list(struct doveadm_cmd_context *cctx);
void antispam_cmd_queue_retry(struct doveadm_cmd_context *cctx);
void antispam_cmd_queue_remove(struct doveadm_cmd_context *cctx);
void antispam_cmd_queue_flush(struct doveadm_cmd_context *cctx);

/* What comes from a mail, a filter or the queue, for one field of a row; NULL
   is "". Data stack. */
const char *antispam_shown(const char *text);

#endif
