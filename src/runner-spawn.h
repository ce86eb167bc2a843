#ifndef RUNNER_SPAWN_H
#define RUNNER_SPAWN_H

struct antispam_run;

/* Start run's program with fds as its 0, 1 and 2 (fds[0] = -1: /dev/null) in
   a session of its own, so that *pid_r is a process group too, which the
   program can't leave. The caller keeps fds, none of which is below 3. Returns
   0, or -1 and *error_r (data stack): nothing runs. */
int antispam_runner_spawn(const struct antispam_run *run, const int fds[3],
			  pid_t *pid_r, const char **error_r);

#endif
