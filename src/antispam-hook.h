#ifndef ANTISPAM_HOOK_H
#define ANTISPAM_HOOK_H

struct mailbox;

/* Hook mailbox_allocated: watch what is copied, moved and appended to this
   folder, if training is on for its user. */
void antispam_mailbox_allocated(struct mailbox *box);

#endif
