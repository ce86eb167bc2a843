#ifndef ANTISPAM_CHILD_H
#define ANTISPAM_CHILD_H

/* What a process does first that was forked off one of Dovecot's, whose
   connections it has but must not use. */

/* Put /dev/null in the place of each descriptor but these, and 0 to 2: what a
   connection of our parent's writes must not arrive. A closed descriptor would
   be an error to whoever uses it, and its number might become a file's. */
void antispam_child_cut_off(int keep1, int keep2);
void antispam_child_reset_signals(void);

#endif
