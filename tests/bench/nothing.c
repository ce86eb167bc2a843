/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What the bench teaches: a program that reads its message and does nothing, so
   that only what the plugins do is measured. (IMAPSieve takes a program that
   does not read for a broken one.) One byte into a FIFO, COUNTER, is there to
   count the lessons. With SLOW it takes 5 s, unless there is a file of that
   name. Else it has no start-up code of libc: that asks for the processor's
   features, which costs more than all the rest on a virtual machine. */

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char message[64 * 1024];

#ifdef SLOW
static void linger(void)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	int i;

	for (i = 0; i < 50 && syscall(SYS_faccessat, AT_FDCWD, SLOW, F_OK) < 0;
	     i++)
		(void)syscall(SYS_nanosleep, &pause, 0);
}
#else
static void linger(void)
{
}
#endif

static int run(void)
{
	long ret, fd;

	do {
		ret = syscall(SYS_read, 0, message, sizeof(message));
	} while (ret > 0);
	linger();
	fd = syscall(SYS_openat, AT_FDCWD, COUNTER, O_WRONLY | O_NONBLOCK);
	return ret < 0 || fd < 0 || syscall(SYS_write, fd, "", 1) != 1 ? 1 : 0;
}

#ifdef SLOW
int main(void)
{
	return run();
}
#else
#ifdef __x86_64__
/* It is jumped to, not called: the stack may be aligned otherwise. */
void _start(void) __attribute__((force_align_arg_pointer));
#else
void _start(void);
#endif

void _start(void)
{
	syscall(SYS_exit_group, run());
}
#endif
