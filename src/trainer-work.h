#ifndef TRAINER_WORK_H
#define TRAINER_WORK_H

struct antispam_teacher;
struct trainer_child_task;
struct trainer_report;

typedef void trainer_work_callback_t(const struct trainer_report *report,
				     void *context);

/* Do a task as its user, which this process is. training: 1; 0 if the user has
   switched training off, -1 if that is impossible now, for the reason error;
   then teacher has no backend. The callback is called for each step once,
   after the queue has been told what became of it. */
void trainer_work(const struct trainer_child_task *task,
		  const struct antispam_teacher *teacher, int training,
		  const char *error, trainer_work_callback_t *callback,
		  void *context);

#endif
