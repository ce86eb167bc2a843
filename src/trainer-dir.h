#ifndef TRAINER_DIR_H
#define TRAINER_DIR_H

/* The queue's directory, for the trainer: it makes it when it is wanted, and
   uses none that is unsafe. */

struct event;
struct trainer_dir;

/* path must outlive it. */
struct trainer_dir *trainer_dir_init(struct event *event, const char *path);
void trainer_dir_deinit(struct trainer_dir **dir);

/* Users want to write there: from now on it is made if it is missing. */
void trainer_dir_want(struct trainer_dir *dir);
/* Is it there, and may be used? Asked anew each time, and made if wanted. With
   log_error, why not is logged, once for each cause. */
bool trainer_dir_is_ready(struct trainer_dir *dir, bool log_error);

/* What keeps it from being used now, on the data stack; NULL = nothing, or
   nobody wants it. Makes it as the former does. */
const char *trainer_dir_problem(struct trainer_dir *dir);

#endif
