/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

#include "lib.h"
#include "test-common.h"
#include "antispam-queue-dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARENT 0040755
/* Users that no system has a name for. */
#define ALICE 987001
#define BOB 987002

#define ROOT_REMEDY "type: chown root:root /q/d && chmod 1733 /q/d"

static const struct {
	uid_t uid;
	mode_t parent_mode;
	uid_t parent_uid;
	mode_t mode;
	uid_t owner;
	/* Of the error; NULL: it is safe. */
	const char *problem;
} check_rows[] = {
	{ 0, PARENT, 0, 0041733, 0, NULL },
	{ 0, PARENT, 0, 0040700, 0, NULL },
	{ 0, PARENT, 0, 0040755, 0, NULL },
	{ 0, 0041777, 0, 0041733, 0, NULL },
	{ ALICE, PARENT, 0, 0041733, 0, NULL },
	{ ALICE, PARENT, 0, 0040700, ALICE, NULL },
	{ ALICE, PARENT, ALICE, 0040750, ALICE, NULL },
	/* the directory above it */
	{ 0, 0040777, 0, 0041733, 0,
	  "the directory above it is writable for others (mode 0777), who "
	  "could replace it; type: chmod go-w /q" },
	{ 0, 0040775, 0, 0041733, 0, "(mode 0775)" },
	{ 0, PARENT, ALICE, 0041733, 0,
	  "the directory above it belongs to 987001, who could replace it; "
	  "if all mail is 987001's, write user = 987001 within service "
	  "antispam-trainer { }, otherwise type: chown root /q" },
	{ BOB, PARENT, ALICE, 0041733, 0, "above it belongs to 987001" },
	/* what it is */
	{ 0, PARENT, 0, 0120777, 0,
	  "it is a symbolic link, not a directory; write the path of a "
	  "directory, or type: rm /q/d" },
	{ 0, PARENT, 0, 0100600, 0, "it is a file, not a directory" },
	{ 0, PARENT, 0, 0010600, 0, "it is a file, not a directory" },
	/* whose it is */
	{ 0, PARENT, 0, 0041733, ALICE,
	  "it belongs to 987001, who could change what waits there; " ROOT_REMEDY },
	{ 0, PARENT, 0, 0040700, ALICE,
	  ROOT_REMEDY " (if all mail is 987001's: write user = 987001 within "
		      "service antispam-trainer { })" },
	{ BOB, PARENT, 0, 0041733, ALICE,
	  ROOT_REMEDY " (if 987002 is the user of service antispam-trainer "
		      "and of all mail: chown 987002 /q/d && chmod 0700 /q/d)" },
	/* its mode */
	{ 0, PARENT, 0, 0040733, 0,
	  "others may remove what waits there (mode 0733); type: chmod 1733 "
	  "/q/d" },
	{ 0, PARENT, 0, 0040777, 0, "type: chmod 1733 /q/d" },
	{ 0, PARENT, 0, 0042770, 0, "(mode 02770)" },
	{ BOB, PARENT, 0, 0040770, BOB, "type: chmod 0700 /q/d" },
	{ BOB, PARENT, 0, 0040733, 0, "type: chmod 1733 /q/d" },
};

static void check_row(unsigned int i)
{
	const struct stat parent_st = {
		.st_mode = check_rows[i].parent_mode,
		.st_uid = check_rows[i].parent_uid,
	};
	const struct stat st = {
		.st_mode = check_rows[i].mode,
		.st_uid = check_rows[i].owner,
	};
	const char *begin = "antispam_queue_dir = /q/d: ", *error = NULL;
	const bool safe = check_rows[i].problem == NULL;

	test_assert_idx(antispam_queue_dir_check("/q/d", check_rows[i].uid,
						 &parent_st, &st, &error) ==
				(safe ? 0 : -1),
			i);
	if (safe)
		return;
	test_assert_idx(strncmp(error, begin, strlen(begin)) == 0, i);
	test_assert_idx(strstr(error, check_rows[i].problem) != NULL, i);
}

static void test_antispam_queue_dir_check(void)
{
	unsigned int i;

	test_begin("antispam queue dir: what is safe");
	for (i = 0; i < N_ELEMENTS(check_rows); i++)
		check_row(i);
	test_end();
}

/* A path in the current directory, which nobody else uses. */
static const char *here(const char *name)
{
	char dir[PATH_MAX];

	if (getcwd(dir, sizeof(dir)) == NULL)
		i_fatal("getcwd() failed: %m");
	return t_strconcat(dir, "/", name, NULL);
}

/* Returns what antispam_queue_dir_open() or _make() returns. */
static int open_dir(const char *path, bool make, const char **error_r)
{
	int fd = -1, ret;

	*error_r = "";
	if (make)
		ret = antispam_queue_dir_make(path, geteuid(), &fd, error_r);
	else
		ret = antispam_queue_dir_open(path, geteuid(), &fd, error_r);
	test_assert((fd >= 0) == (ret >= 0 && (make || ret == 1)));
	i_close_fd(&fd);
	return ret;
}

static void check_unsafe(const char *path, const char *problem)
{
	const char *error;

	test_assert(open_dir(path, FALSE, &error) == -1);
	test_assert(strstr(error, problem) != NULL);
	test_assert(open_dir(path, TRUE, &error) == -1);
	test_assert(strstr(error, problem) != NULL);
}

static void check_made(const char *path, mode_t mode)
{
	struct stat st;

	test_assert(lstat(path, &st) == 0);
	test_assert(st.st_uid == geteuid());
	test_assert((st.st_mode & 07777) == mode && S_ISDIR(st.st_mode));
	if (geteuid() == 0)
		test_assert(st.st_gid == 0);
}

static void test_antispam_queue_dir_make(void)
{
	const mode_t mode = geteuid() == 0 ? 01733 : 0700;
	const char *path = here("made"), *error;

	test_begin("antispam queue dir: make and open");
	test_assert(open_dir(path, FALSE, &error) == 0);
	test_assert(access(path, F_OK) < 0);
	test_assert(open_dir(path, TRUE, &error) == 0);
	check_made(path, mode);
	test_assert(open_dir(path, FALSE, &error) == 1);
	/* what is there stays as it is */
	test_assert(chmod(path, 0750) == 0);
	test_assert(open_dir(path, TRUE, &error) == 0);
	check_made(path, 0750);
	test_assert(chmod(path, 0777) == 0);
	check_unsafe(path, "type: chmod ");
	check_made(path, 0777);
	/* the directory above it must be safe before anything is made */
	path = here("made/below");
	test_assert(open_dir(path, FALSE, &error) == 0);
	test_assert(open_dir(path, TRUE, &error) == -1);
	test_assert(strstr(error, "the directory above it is") != NULL);
	test_assert(access(path, F_OK) < 0);
	path = here("made");
	test_assert(rmdir(path) == 0);
	/* no more than the last component is made */
	test_assert(open_dir(here("made/below"), FALSE, &error) == 0);
	test_assert(open_dir(here("made/below"), TRUE, &error) == -1);
	test_assert(strstr(error, "type: mkdir -p ") != NULL);
	test_assert(access(path, F_OK) < 0);
	test_end();
}

static void test_antispam_queue_dir_kind(void)
{
	const char *path = here("kind"), *real = here("real");
	int fd;

	test_begin("antispam queue dir: links and files");
	test_assert(mkdir(real, 0700) == 0);
	test_assert(symlink(real, path) == 0);
	check_unsafe(path, "it is a symbolic link");
	test_assert(rmdir(real) == 0);
	check_unsafe(path, "it is a symbolic link");
	test_assert(access(real, F_OK) < 0);
	test_assert(unlink(path) == 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	test_assert(fd >= 0);
	i_close_fd(&fd);
	check_unsafe(path, "it is a file");
	check_unsafe(t_strconcat(path, "/below", NULL), "Not a directory");
	test_assert(unlink(path) == 0);
	test_end();
}

static void test_antispam_queue_dir_remedy(void)
{
	test_begin("antispam queue dir: remedy");
	test_assert_strcmp(antispam_queue_dir_remedy("/q/d", 0),
			   "install -d -o root -g root -m 1733 /q/d");
	test_assert_strcmp(antispam_queue_dir_remedy("/q\n/d", ALICE),
			   "install -d -o 987001 -m 0700 /q?/d");
	test_assert_strcmp(antispam_queue_dir_remedies("/q/d", 0),
			   antispam_queue_dir_remedy("/q/d", 0));
	test_assert_strcmp(antispam_queue_dir_remedies("/q/d", ALICE),
			   "install -d -o root -g root -m 1733 /q/d (if 987001 "
			   "is the user of service antispam-trainer and of all "
			   "mail: install -d -o 987001 -m 0700 /q/d)");
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_antispam_queue_dir_check,
		test_antispam_queue_dir_make,
		test_antispam_queue_dir_kind,
		test_antispam_queue_dir_remedy,
		NULL
	};

	return test_run(tests);
}
