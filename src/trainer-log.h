#ifndef TRAINER_LOG_H
#define TRAINER_LOG_H

/* Dovecot's log process keeps one prefix for each service process, and its
   library tells it of a change: a child that has forked off would change its
   parent's prefix, too (and mail storage does when it looks up a user).

   For the rest of a child's life, give each of its lines this prefix of its
   own, and tell of none. prefix must stay. */
void trainer_log_init_child(const char *prefix);

#endif
