#ifndef TRAINER_REPORT_H
#define TRAINER_REPORT_H

/* What a child tells the manager: a line a step, fields separated by tabs. */

enum trainer_result {
	TRAINER_LEARNED = 0,
	TRAINER_KNOWN,
	TRAINER_DECLINED,
	/* It came to nothing, and will be tried again. */
	TRAINER_LATER,
	/* It was not tried, since others came to nothing; likewise. */
	TRAINER_UNTRIED,
	/* It will not be tried again. */
	TRAINER_FAILED,
	/* It was taken back. */
	TRAINER_CANCELLED,
	/* It was settled before, or its transaction is gone. */
	TRAINER_GONE,
	/* Somebody else works on its transaction. */
	TRAINER_BUSY,
	/* Its transaction is not the user's. */
	TRAINER_FOREIGN,
};

struct trainer_report {
	/* Of the plan. */
	unsigned int step;
	enum trainer_result result;
	/* Tries that came to nothing, and how long to wait from now on. */
	unsigned int attempts, wait_msecs;
	unsigned int duration_msecs;
	/* For the log, as in struct antispam_job. */
	const char *folder, *origin;
	/* NULL = nothing to say. */
	const char *why;
};

/* Append one line. */
void trainer_report_write(string_t *str, const struct trainer_report *report);
/* Parse one line, without its line feed; strings on the data stack. Returns 0,
   or -1 if it is none. */
int trainer_report_parse(const char *line, struct trainer_report *report_r);

/* The backend of the user, and whether he wants lessons logged
   (antispam_log_lessons); comes before all steps. */
void trainer_report_write_backend(string_t *str, const char *name,
				  bool log_lessons);
/* Returns the name (data stack), NULL if the line does not tell one. */
const char *trainer_report_parse_backend(const char *line,
					 bool *log_lessons_r);

/* How long the child may say nothing, from now on. */
void trainer_report_write_patience(string_t *str, unsigned int msecs);
/* Returns FALSE if the line does not tell that. */
bool trainer_report_parse_patience(const char *line, unsigned int *msecs_r);

#endif
