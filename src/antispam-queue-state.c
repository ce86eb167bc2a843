/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "strescape.h"
#include "strnum.h"
#include "antispam-queue-state.h"

#define STATE_FIELDS 6
/* More tries than anybody makes. */
#define STATE_ATTEMPTS_MAX 1000000
/* Of a reason, in bytes. */
#define STATE_WHY_MAX 1000

static const char *const status_names[] = {
	[ANTISPAM_QUEUE_WAITING] = "waiting",
	[ANTISPAM_QUEUE_DONE] = "done",
	[ANTISPAM_QUEUE_FAILED] = "failed",
};

static bool
state_equals(const struct antispam_queue_state *a,
	     const struct antispam_queue_state *b)
{
	return a->status == b->status && a->attempts == b->attempts &&
		a->next_try == b->next_try &&
		null_strcmp(a->why, b->why) == 0;
}

static bool state_is_new(const struct antispam_queue_state *state)
{
	return state->status == ANTISPAM_QUEUE_WAITING &&
		state->attempts == 0 && state->next_try == 0 &&
		state->why == NULL;
}

/* No line may be so long that it could not be read. */
static void write_why(string_t *str, const char *why)
{
	str_append_tabescaped_n(str, (const unsigned char *)why,
				I_MIN(strlen(why), STATE_WHY_MAX));
}

void antispam_queue_state_write(string_t *str,
				const struct antispam_queue_state *states,
				unsigned int count)
{
	const struct antispam_queue_state *state;
	unsigned int first, next;

	for (first = 0; first < count; first = next) {
		state = &states[first];
		next = first + 1;
		while (next < count && state_equals(&states[next], state))
			next++;
		if (state_is_new(state))
			continue;
		str_printfa(str, "%u\t%u\t%s\t%u\t%" PRId64 "\t", first,
			    next - 1, status_names[state->status],
			    state->attempts, state->next_try);
		if (state->why != NULL)
			write_why(str, state->why);
		str_append_c(str, '\n');
	}
}

static bool
parse_status(const char *word, enum antispam_queue_status *status_r)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(status_names); i++) {
		if (strcmp(status_names[i], word) == 0) {
			*status_r = i;
			return TRUE;
		}
	}
	return FALSE;
}

int antispam_queue_state_parse(const char *line, pool_t pool,
			       struct antispam_queue_state *states,
			       unsigned int count)
{
	const char *const *fields = t_strsplit_tabescaped(line);
	struct antispam_queue_state state;
	unsigned int i, first, last;
	intmax_t next_try;

	i_zero(&state);
	if (str_array_length(fields) != STATE_FIELDS ||
	    str_to_uint(fields[0], &first) < 0 ||
	    str_to_uint(fields[1], &last) < 0 ||
	    !parse_status(fields[2], &state.status) ||
	    str_to_uint(fields[3], &state.attempts) < 0 ||
	    str_to_intmax(fields[4], &next_try) < 0 || first > last ||
	    last >= count || state.attempts > STATE_ATTEMPTS_MAX ||
	    next_try < 0 || next_try > INT64_MAX / 1000000 / 4)
		return -1;
	state.next_try = next_try;
	if (*fields[5] != '\0')
		state.why = p_strndup(pool, fields[5], STATE_WHY_MAX);
	for (i = first; i <= last; i++)
		states[i] = state;
	return 0;
}
