/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Tells a filter's signature from what a sender has put in its place. Whatever
   a filter does with a signature (dspam makes it a file name, mailreaver.crm a
   part of a shell's command), only what the rule lets through reaches it. */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "message-header-parser.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-regex.h"
#include "antispam-signature.h"

#define SIGNATURE_REGEX "^[A-Za-z0-9][A-Za-z0-9._,:@+-]{0,254}$"
/* Bytes; no regex is asked about more. */
#define SIGNATURE_MAX 512

/* The whole signature must match. */
#define REGEX_OPTIONS \
	(PCRE2_ANCHORED | PCRE2_ENDANCHORED | ANTISPAM_REGEX_OPTIONS | \
	 PCRE2_NEVER_UTF)
/* Memory for backtracking, kB. */
#define REGEX_HEAP_LIMIT 256

/* Bytes of a wrong setting, and of a wrong signature, that a message quotes. */
#define ERROR_MAX_VALUE 200
#define EXCERPT_MAX 80

/* What surrounds a header's value, folded or not. */
#define BLANKS " \t\r\n"

struct antispam_signature_rule {
	const char *header;
	pcre2_code *code;
};

static void *rule_malloc(PCRE2_SIZE size, void *context)
{
	return p_malloc(context, size);
}

static void rule_free(void *mem, void *context)
{
	pool_t pool = context;

	p_free(pool, mem);
}

static int
regex_error(const char *regex, int code, size_t offset, const char **error_r)
{
	PCRE2_UCHAR message[256];

	if (pcre2_get_error_message(code, message, sizeof(message)) < 0)
		message[0] = '\0';
	*error_r = t_strdup_printf(
		"antispam_signature_regex = %s: %s at offset %zu; "
		"write it as pcre2pattern(3) says",
		str_sanitize(regex, ERROR_MAX_VALUE), (const char *)message,
		offset);
	return -1;
}

static int
rule_compile(pool_t pool, struct antispam_signature_rule *rule,
	     const char *regex, const char **error_r)
{
	pcre2_general_context *memory =
		pcre2_general_context_create(rule_malloc, rule_free, pool);
	pcre2_compile_context *context = pcre2_compile_context_create(memory);
	PCRE2_SIZE offset;
	int code;

	rule->code = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED,
				   REGEX_OPTIONS, &code, &offset, context);
	pcre2_compile_context_free(context);
	pcre2_general_context_free(memory);
	if (rule->code == NULL)
		return regex_error(regex, code, offset, error_r);
	return 0;
}

int antispam_signature_rule_init(pool_t pool,
				 const struct antispam_settings *set,
				 const struct antispam_backend *backend,
				 struct antispam_signature_rule **rule_r,
				 const char **error_r)
{
	struct antispam_signature_rule *rule =
		p_new(pool, struct antispam_signature_rule, 1);
	const char *regex = set->signature_regex;

	i_assert(backend->signature_header != NULL);

	rule->header = backend->signature_header;
	if (set->signature != NULL)
		rule->header = set->signature;
	if (!message_header_name_is_valid(rule->header)) {
		*error_r = t_strdup_printf(
			"antispam_signature = %s: not the name of a header; "
			"write it without blanks and ':', as %s",
			str_sanitize(rule->header, ERROR_MAX_VALUE),
			backend->signature_header);
		return -1;
	}
	if (regex == NULL)
		regex = backend->signature_regex;
	if (regex == NULL)
		regex = SIGNATURE_REGEX;
	if (rule_compile(pool, rule, regex, error_r) < 0)
		return -1;
	*rule_r = rule;
	return 0;
}

const char *
antispam_signature_rule_header(const struct antispam_signature_rule *rule)
{
	return rule->header;
}

/* As pcre2_match(). */
static int
rule_match(const struct antispam_signature_rule *rule, const char *value,
	   size_t size)
{
	pcre2_general_context *memory = pcre2_general_context_create(
		rule_malloc, rule_free, default_pool);
	pcre2_match_data *match = pcre2_match_data_create(1, memory);
	pcre2_match_context *limits = pcre2_match_context_create(memory);
	unsigned int steps = 0;
	int ret;

	antispam_regex_limit(limits, &steps, REGEX_HEAP_LIMIT);
	ret = pcre2_match(rule->code, (PCRE2_SPTR)value, size, 0, 0, match,
			  limits);
	pcre2_match_context_free(limits);
	pcre2_match_data_free(match);
	pcre2_general_context_free(memory);
	return ret;
}

static bool is_graphic(char c)
{
	return c > ' ' && c < 0x7f;
}

/* No character that means something to a shell or to a file system, whatever
   antispam_signature_regex says. */
static bool is_safe(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') ||
		(c != '\0' && strchr("._,:@+-", c) != NULL);
}

/* Returns NULL if it is a signature, or why not. */
static const char *
value_refuse(const struct antispam_signature_rule *rule, const char *value,
	     size_t size)
{
	size_t i;
	int ret;

	if (size == 0)
		return "it is empty";
	if (size > SIGNATURE_MAX) {
		return t_strdup_printf("it has %zu bytes, at most %u are taken",
				       size, SIGNATURE_MAX);
	}
	for (i = 0; i < size; i++) {
		if (!is_safe(value[i])) {
			return "it holds other characters than letters, digits "
			       "and ._,:@+-";
		}
	}
	for (i = 0; i + 1 < size; i++) {
		if (value[i] == '.' && value[i + 1] == '.')
			return "it holds \"..\"";
	}
	ret = rule_match(rule, value, size);
	if (ret >= 0)
		return NULL;
	if (ret != PCRE2_ERROR_NOMATCH)
		return "antispam_signature_regex takes too long on it";
	return "antispam_signature_regex does not match it";
}

/* What a log may show of a value. */
static const char *value_excerpt(const char *value, size_t size)
{
	string_t *str = t_str_new(EXCERPT_MAX + 8);
	size_t i, shown = I_MIN(size, EXCERPT_MAX);

	str_append_c(str, '"');
	for (i = 0; i < shown; i++)
		str_append_c(str, is_graphic(value[i]) ? value[i] : '?');
	str_append(str, shown < size ? "...\"" : "\"");
	return str_c(str);
}

enum antispam_signature_result
antispam_signature_choose(const struct antispam_signature_rule *rule,
			  const char *const *values, const char **signature_r,
			  const char **why_r)
{
	const char *value, *why;
	size_t size;

	if (*values == NULL)
		return ANTISPAM_SIGNATURE_MISSING;
	while (values[1] != NULL)
		values++;
	value = *values + strspn(*values, BLANKS);
	size = strlen(value);
	while (size > 0 && strchr(BLANKS, value[size - 1]) != NULL)
		size--;

	why = value_refuse(rule, value, size);
	if (why != NULL) {
		*why_r = t_strconcat(why, ": ", value_excerpt(value, size),
				     NULL);
		return ANTISPAM_SIGNATURE_INVALID;
	}
	*signature_r = t_strndup(value, size);
	return ANTISPAM_SIGNATURE_FOUND;
}
