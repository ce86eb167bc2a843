/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What the bench teaches: a program that reads its message and does nothing, so
   that only what the plugins do is measured. (IMAPSieve takes a program that
   does not read for a broken one.) One byte into a FIFO, COUNTER, is there to
   count the lessons. It has no start-up code of libc: that asks for the
   processor's features, which costs more than all the rest on a virtual
   machine. */

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char message[64 * 1024];

#ifdef __x86_64__
/* It is jumped to, not called: the stack may be aligned otherwise. */
void _start(void) __attribute__((force_align_arg_pointer));
#else
void _start(void);
#endif

static int run(void)
{
	long ret, fd;

	do {
		ret = syscall(SYS_read, 0, message, sizeof(message));
	} while (ret > 0);
	fd = syscall(SYS_openat, AT_FDCWD, COUNTER, O_WRONLY | O_NONBLOCK);
	return ret < 0 || fd < 0 || syscall(SYS_write, fd, "", 1) != 1 ? 1 : 0;
}

void _start(void)
{
	syscall(SYS_exit_group, run());
}
