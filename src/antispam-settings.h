#ifndef ANTISPAM_SETTINGS_H
#define ANTISPAM_SETTINGS_H

/* Every antispam_* setting, declared once: X(TYPE, name without "antispam_",
   default, argument), where "" is none. Everything else that must know the
   settings (the parser, the check for unknown names, 2.4's settings module)
   expands this list.

   STR       one value; blanks around it trimmed, then %-expanded
   LIST      entries separated by ';', each trimmed, then %-expanded
   TEMPLATE  one value whose parts that come from a user name are encoded, see
             ANTISPAM_EXPAND_TEMPLATE
   ENUM      one of the argument's words ("a:b:c"), in any case
   BOOL      yes or no
   TIME      a time with its unit ("60 s"), kept in milliseconds
   SIZE      bytes, with an optional unit ("10 M")
   UINT      a whole number, at least 1
   IGNORED   accepted from old configurations, without effect */
#define ANTISPAM_SETTINGS(X) \
	ANTISPAM_GLOBAL_SETTINGS(X) \
	X(ENUM, backend, "", ANTISPAM_BACKEND_NAMES) \
	X(LIST, spam, "", "") \
	X(LIST, spam_pattern, "", "") \
	X(LIST, spam_pattern_ignorecase, "", "") \
	X(STR, spam_regex, "", "") \
	X(LIST, trash, "", "") \
	X(LIST, trash_pattern, "", "") \
	X(LIST, trash_pattern_ignorecase, "", "") \
	X(STR, trash_regex, "", "") \
	X(LIST, unsure, "", "") \
	X(LIST, unsure_pattern, "", "") \
	X(LIST, unsure_pattern_ignorecase, "", "") \
	X(STR, unsure_regex, "", "") \
	X(ENUM, allow_append_to_spam, "no", "no:yes:quiet") \
	X(STR, signature, "", "") \
	X(ENUM, signature_missing, "error", "error:move") \
	X(STR, signature_regex, "", "") \
	X(ENUM, training, "inline", "inline:queued") \
	X(TIME, timeout, "60 s", "") \
	X(UINT, max_parallel, "4", "") \
	X(SIZE, max_size, "0", "") \
	X(BOOL, log_lessons, "yes", "") \
	X(STR, dspam_binary, "/usr/bin/dspam", "") \
	X(LIST, dspam_args, "", "") \
	X(LIST, dspam_env, "", "") \
	X(STR, dspam_spam, "--class=spam", "") \
	X(STR, dspam_notspam, "--class=innocent", "") \
	X(STR, dspam_result_header, "", "") \
	X(LIST, dspam_result_blacklist, "", "") \
	X(STR, crm_binary, "/bin/false", "") \
	X(LIST, crm_args, "", "") \
	X(LIST, crm_env, "", "") \
	X(STR, crm_spam, "--spam", "") \
	X(STR, crm_notspam, "--good", "") \
	X(STR, pipe_program, "/usr/sbin/sendmail", "") \
	X(LIST, pipe_program_args, "", "") \
	X(STR, pipe_program_spam_arg, "", "") \
	X(STR, pipe_program_notspam_arg, "", "") \
	X(LIST, pipe_program_spam_args, "", "") \
	X(LIST, pipe_program_notspam_args, "", "") \
	X(LIST, pipe_env, "", "") \
	X(STR, pipe_tmpdir, "/tmp", "") \
	X(ENUM, pipe_batch, "no", "no:mbox:files") \
	X(TEMPLATE, spool2dir_spam, "", "") \
	X(TEMPLATE, spool2dir_notspam, "", "") \
	X(STR, spamd_socket, "localhost:783", "") \
	X(STR, spamd_user, "", "") \
	X(ENUM, spamd_set, "local", "local:local,remote") \
	X(STR, rspamd_url, "http://localhost:11334", "") \
	X(STR, rspamd_password_file, "", "") \
	X(STR, rspamd_deliver_to, "", "") \
	X(LIST, rspamd_headers, "", "") \
	X(STR, rspamd_classifier, "", "") \
	X(BOOL, rspamd_bulk, "no", "") \
	X(IGNORED, debug_target, "", "") \
	X(IGNORED, verbose_debug, "", "") \
	X(IGNORED, debug_prefix, "", "") \
	X(IGNORED, skip_from_line, "", "") \
	X(IGNORED, spam_keywords, "", "")

/* Those of them that are the same for all users: one process reads the queue,
   and it knows no user yet when it starts. */
#define ANTISPAM_GLOBAL_SETTINGS(X) \
	X(STR, queue_dir, "/var/lib/dovecot/antispam", "") \
	X(TIME, queue_delay, "10 s", "") \
	X(TIME, queue_lifetime, "5 days", "") \
	X(UINT, trainer_max_children, "2", "") \
	X(SIZE, trainer_vsz_limit, "1 G", "")

/* Names that dovecot-antispam gave settings before: X(old, new). */
#define ANTISPAM_OLD_SETTINGS(X) \
	X(mail_sendmail, pipe_program) \
	X(mail_sendmail_args, pipe_program_args) \
	X(mail_spam, pipe_program_spam_arg) \
	X(mail_notspam, pipe_program_notspam_arg) \
	X(mail_tmpdir, pipe_tmpdir)

/* Values of antispam_backend, old names included; whether one is built in is
   for antispam_backend_find() to say. */
#define ANTISPAM_BACKEND_NAMES \
	"dspam:crm114:pipe:spool2dir:spamd:rspamd:none:" \
	"dspam-exec:crm114-exec:mailtrain:sendmail"

/* Values of antispam_signature_missing, in the order of its enum. */
enum antispam_signature_missing {
	ANTISPAM_SIGNATURE_MISSING_ERROR = 0,
	ANTISPAM_SIGNATURE_MISSING_MOVE,
};

/* Values of antispam_pipe_batch, in the order of its enum. */
enum antispam_pipe_batch {
	ANTISPAM_PIPE_BATCH_NO = 0,
	ANTISPAM_PIPE_BATCH_MBOX,
	ANTISPAM_PIPE_BATCH_FILES,
};

/* Values of antispam_training, in the order of its enum. */
enum antispam_training {
	ANTISPAM_TRAINING_INLINE = 0,
	ANTISPAM_TRAINING_QUEUED,
};

/* Values of antispam_spamd_set, in the order of its enum. */
enum antispam_spamd_set {
	ANTISPAM_SPAMD_SET_LOCAL = 0,
	ANTISPAM_SPAMD_SET_LOCAL_REMOTE,
};

/* A field's C type, by the type of its setting. An ENUM is the index of the
   word in its list; antispam_backend alone, which has no default, is kept as
   its word by the field backend_name below. */
#define ANTISPAM_FIELD_STR(name) const char *name;
#define ANTISPAM_FIELD_LIST(name) const char *const *name;
#define ANTISPAM_FIELD_TEMPLATE(name) const char *name;
#define ANTISPAM_FIELD_ENUM(name) unsigned int name;
#define ANTISPAM_FIELD_BOOL(name) bool name;
#define ANTISPAM_FIELD_TIME(name) unsigned int name##_msecs;
#define ANTISPAM_FIELD_SIZE(name) uoff_t name;
#define ANTISPAM_FIELD_UINT(name) unsigned int name;
#define ANTISPAM_FIELD_IGNORED(name)
#define ANTISPAM_FIELD(type, name, def, arg) ANTISPAM_FIELD_##type(name)

/* A user's settings, checked. All of it lives in the pool given to
   antispam_settings_parse() and is read-only.

   STR, TEMPLATE: NULL = not set and no default. LIST: NULL-terminated; NULL =
   not set, an empty list = set, but to nothing. */
struct antispam_settings {
	ANTISPAM_SETTINGS(ANTISPAM_FIELD)
	/* The word given as antispam_backend, in lower case; NULL = unset. */
	const char *backend_name;
	/* NULL-terminated sentences for the log: it works, but the admin
	   should know. Never NULL. */
	const char *const *warnings;
};

enum antispam_expand {
	ANTISPAM_EXPAND_PLAIN,
	/* What comes from the user's name has each byte outside
	   [A-Za-z0-9@._+-], and a dot that leads it, replaced by
	   ANTISPAM_TEMPLATE_PERCENT and two hex digits. */
	ANTISPAM_EXPAND_TEMPLATE,
};
/* Stands in an expanded template for a '%' that is no conversion. */
#define ANTISPAM_TEMPLATE_PERCENT '\x01'

/* Where raw values come from. */
struct antispam_settings_source {
	/* The value as configured, unexpanded, for a whole name
	   ("antispam_spam"); NULL = not set. */
	const char *(*get)(void *context, const char *name);
	/* Expand the %variables of one entry. Returns 0, or -1 and *error_r;
	   both results on the data stack. *warning_r is set to a sentence or
	   left alone. */
	int (*expand)(void *context, enum antispam_expand how, const char *raw,
		      const char **value_r, const char **warning_r,
		      const char **error_r);
	void *context;
};

/* Read and check all settings but what a backend's init() checks. Pure.
   Returns 0, or -1 and *error_r (data stack), which names setting, value and
   remedy. */
int antispam_settings_parse(pool_t pool,
			    const struct antispam_settings_source *source,
			    const struct antispam_settings **set_r,
			    const char **error_r);

/* The same for a process that serves all users: of the settings it reads
   ANTISPAM_GLOBAL_SETTINGS alone, whatever else is wrong; the others have their
   defaults. get and context are those of a source. *queued_r, which is always
   set, says whether users learn by the queue who have no setting of their
   own. */
int antispam_settings_parse_global(pool_t pool,
				   const char *(*get)(void *context,
						      const char *name),
				   void *context, bool *queued_r,
				   const struct antispam_settings **set_r,
				   const char **error_r);

/* The name is one of ours, or an old one of them. */
bool antispam_settings_has(const char *name);
/* A sentence on a name that is not: "unknown setting ..., did you mean ...".
   Data stack. */
const char *antispam_settings_unknown(const char *name);

/* A user's fields, "name=value", as userdb gives them; NULL = none. Returns 0,
   or -1 and *error_r (data stack) if one of them sets what is the same for all
   users. */
int antispam_settings_check_fields(const char *const *fields,
				   const char **error_r);

/* Make the value that a user's name brings harmless as a part of a file name,
   as ANTISPAM_EXPAND_TEMPLATE says. Data stack. */
const char *antispam_settings_encode_user(const char *value);

#endif
