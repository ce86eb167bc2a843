#ifndef TEST_TRAINER_PLAN_H
#define TEST_TRAINER_PLAN_H

/* A queue for test-trainer-plan*.c. Include it after lib.h, once. */

#include "array.h"
#include "str.h"
#include "strnum.h"
#include "antispam-transition.h"
#include "trainer-plan.h"

/* The window in which a move can be taken back; times have no unit here. */
#define DELAY 10
/* No limits. */
#define MANY 100000
#define NEVER INT64_MAX

static const struct trainer_plan_limits unlimited = {
	.delay_usecs = DELAY,
	.max_steps = MANY,
	.max_txs = MANY,
};

/* A queue, from text:

   0:aos 5:aso,-us 7!:bos 9:bos*,bso@30

   is four transactions, born at 0, 5, 7 and 9. The first one's only job is of
   message "a" and a move from other ("o") to spam ("s"); so is "u" unsure, and
   "+" an append. "-" is a message without a GUID. The third one is gone, the
   last one's first job is settled, and its second one, which was tried before,
   is to be tried at 30. */
static ARRAY_TYPE(trainer_tx) queue;

static inline enum antispam_class class_of(char letter)
{
	switch (letter) {
	case 's':
		return ANTISPAM_CLASS_SPAM;
	case 'u':
		return ANTISPAM_CLASS_UNSURE;
	case 'o':
	case '+':
		return ANTISPAM_CLASS_OTHER;
	}
	i_unreached();
}

static inline void job_init(struct trainer_job *job, const char *text)
{
	const char letter[] = { text[0], '\0' };
	const char *reason;

	i_zero(job);
	trainer_plan_key(text[0] == '-' ? NULL : letter, job->key);
	job->change.from = class_of(text[1]);
	job->change.append = text[1] == '+';
	job->change.to = class_of(text[2]);
	job->spam = antispam_transition_judge(&job->change,
					      ANTISPAM_APPEND_YES, &reason) ==
		ANTISPAM_VERDICT_SPAM;
	if (text[3] == '*')
		job->settled = TRUE;
	else if (text[3] == '@' &&
		 str_to_int64(text + 4, &job->next_try) < 0)
		i_unreached();
	job->attempts = job->next_try == 0 ? 0 : 1;
}

static inline struct trainer_tx *tx_create(int64_t born, unsigned int count)
{
	struct trainer_tx *tx;

	tx = i_malloc(sizeof(*tx) + count * sizeof(tx->jobs[0]));
	tx->born = born;
	tx->count = tx->waiting = count;
	array_push_back(&queue, &tx);
	return tx;
}

static inline void queue_add(const char *text)
{
	const char *colon = strchr(text, ':');
	const char *const *jobs = t_strsplit(colon + 1, ",");
	const char *born = t_strcut(t_strdup_until(text, colon), '!');
	struct trainer_tx *tx;
	int64_t born_at;
	unsigned int i;

	if (str_to_int64(born, &born_at) < 0)
		i_unreached();
	tx = tx_create(born_at, str_array_length(jobs));
	tx->gone = colon[-1] == '!';
	for (i = 0; i < tx->count; i++)
		job_init(&tx->jobs[i], jobs[i]);
}

static inline void queue_clear(void)
{
	struct trainer_tx *tx;

	array_foreach_elem(&queue, tx)
		i_free(tx);
	array_clear(&queue);
}

static inline unsigned int tx_number(const struct trainer_tx *tx)
{
	struct trainer_tx *other;
	unsigned int i = 0;

	array_foreach_elem(&queue, other) {
		if (other == tx)
			return i;
		i++;
	}
	i_unreached();
}

/* "T0 C1.2": teach the first transaction's first job, cancel the second's
   third. */
static inline const char *steps_text(const struct trainer_plan *plan)
{
	string_t *str = t_str_new(256);
	const struct trainer_step *step;

	array_foreach(&plan->steps, step) {
		if (str_len(str) > 0)
			str_append_c(str, ' ');
		str_printfa(str, "%c%u",
			    step->action == TRAINER_TEACH ? 'T' : 'C',
			    tx_number(step->tx));
		if (step->job > 0)
			str_printfa(str, ".%u", step->job);
	}
	return str_c(str);
}

#endif
