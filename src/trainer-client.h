#ifndef TRAINER_CLIENT_H
#define TRAINER_CLIENT_H

/* The name of the trainer's socket in base_dir. */
#define ANTISPAM_TRAINER_SOCKET "antispam-trainer"

/* What can be said to it besides the name of a transaction's directory. */
#define ANTISPAM_TRAINER_LINE_SCAN "scan"
/* Make the queue's directory. */
#define ANTISPAM_TRAINER_LINE_DIR "dir"
/* Try now what waits because it came to nothing: of all users, or, with a blank
   and a name behind it, of one. Only root and the trainer's own uid may say
   so. */
#define ANTISPAM_TRAINER_LINE_FLUSH "flush"

/* Does it read the queue? It answers with the line below, or why not. */
#define ANTISPAM_TRAINER_LINE_STATUS "status"
#define ANTISPAM_TRAINER_ANSWER_READY "ready"

/* Wake the trainer: tell it the name of a transaction's directory that was just
   released, or one of the lines above. Never waits; it is a hint alone, since
   the trainer also looks by itself. Returns 0 if it was said, -1 and *error_r
   (data stack) if there is nobody to say it to. */
int antispam_trainer_wake(const char *base_dir, const char *line,
			  const char **error_r);
/* Ask it whether it reads the queue; waits up to some seconds. Returns 1; 0 if it
   does not, and -1 if there is nobody to ask: *error_r (data stack). */
int antispam_trainer_check(const char *base_dir, const char **error_r);

#endif
