/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* fuzz-sources: src/antispam-signature.c src/antispam-regex.c */

/* Whatever a message's headers hold: what is chosen has no byte that could be
   harmful, and stands in the last header; what is refused gets one printable
   line. The first byte chooses a regex, NULs part the headers. */

#include "lib.h"
#include "array.h"
#include "fuzzer.h"
#include "antispam-settings.h"
#include "antispam-backend.h"
#include "antispam-signature.h"

static const char *const regexes[] = {
	/* the default */
	NULL,
	/* crm114's */
	"^sfid-[0-9]{8}_[0-9]{6}_[0-9]+_[0-9A-F]{1,16}$",
	/* an admin's who is careless */
	".*",
	"(?s).*",
	"([^;]+;?)+x",
	"(a|b|ab)*c",
	"(?:(\\w+)[.,]?)*\\1",
};

static struct antispam_signature_rule *
rule_create(pool_t pool, const char *regex)
{
	static const struct antispam_backend backend = {
		.name = "fuzz",
		.needs = ANTISPAM_NEED_SIGNATURE,
		.signature_header = "X-Signature",
	};
	const struct antispam_settings set = { .signature_regex = regex };
	struct antispam_signature_rule *rule;
	const char *error;

	if (antispam_signature_rule_init(pool, &set, &backend, &rule,
					 &error) < 0)
		i_fatal("%s", error);
	return rule;
}

static void check_line(const char *line, size_t max)
{
	i_assert(*line != '\0' && strlen(line) <= max);
	for (; *line != '\0'; line++)
		i_assert(*line >= ' ' && *line < 0x7f);
}

static void
check_signature(const char *signature, const char *last, bool strict)
{
	const char *p = strstr(last, signature);
	const char *const blanks = " \t\r\n";

	check_line(signature, 512);
	i_assert(strchr(signature, ' ') == NULL);
	i_assert(strstr(signature, "..") == NULL);
	/* nothing but blanks around it */
	i_assert(p != NULL);
	i_assert(strspn(last, blanks) == (size_t)(p - last));
	p += strlen(signature);
	i_assert(p[strspn(p, blanks)] == '\0');
	if (strict) {
		i_assert(strlen(signature) <= 255 && *signature != '-');
		i_assert(strpbrk(signature, ";$`|&<>(){}[]*?~!#'\"\\/%=") ==
			 NULL);
	}
}

/* The first byte is none of them. */
static const char *const *split_headers(const uint8_t *data, size_t size)
{
	ARRAY_TYPE(const_string) values;
	const uint8_t *end;
	const char *value;

	t_array_init(&values, 8);
	if (size > 0) {
		data++;
		size--;
	}
	while (size > 0) {
		end = memchr(data, '\0', size);
		if (end == NULL)
			end = data + size;
		value = t_strndup(data, end - data);
		array_push_back(&values, &value);
		size -= end - data;
		data = end;
		if (size > 0) {
			data++;
			size--;
		}
	}
	array_append_zero(&values);
	return array_front(&values);
}

FUZZ_BEGIN_DATA(const uint8_t *data, size_t size)
{
	pool_t pool = pool_alloconly_create("fuzz", 4096);
	const unsigned int which =
		size == 0 ? 0 : data[0] % N_ELEMENTS(regexes);
	struct antispam_signature_rule *rule =
		rule_create(pool, regexes[which]);
	const char *const *values = split_headers(data, size);
	const char *signature = NULL, *why = NULL, *last = NULL;

	if (*values != NULL)
		last = values[str_array_length(values) - 1];
	switch (antispam_signature_choose(rule, values, &signature, &why)) {
	case ANTISPAM_SIGNATURE_FOUND:
		i_assert(last != NULL && why == NULL);
		check_signature(signature, last, which <= 1);
		break;
	case ANTISPAM_SIGNATURE_MISSING:
		i_assert(last == NULL && signature == NULL && why == NULL);
		break;
	case ANTISPAM_SIGNATURE_INVALID:
		i_assert(last != NULL && signature == NULL);
		check_line(why, 80 + 100);
		break;
	}
	pool_unref(&pool);
}
FUZZ_END
