#ifndef ANTISPAM_SPOOL2DIR_TEMPLATE_H
#define ANTISPAM_SPOOL2DIR_TEMPLATE_H

/* How a number of a file name is written: %lu, %5lu or %05lu. */
struct antispam_spool2dir_number {
	/* Digits at least; 0 = as many as it takes. */
	unsigned int width;
	/* Fill up with zeros; FALSE = with blanks. */
	bool zero;
};

/* A parsed template. The strings live in the pool that was given to the
   parser. */
struct antispam_spool2dir_template {
	/* Absolute, without "." and ".." components, doubled and trailing
	   slashes. */
	const char *dir;
	/* What stands before, between and behind the two numbers of the file
	   name; never NULL. */
	const char *text[3];
	/* The time and the counter. */
	struct antispam_spool2dir_number numbers[2];
};

/* Parse an expanded template. Pure. Returns 0, or -1 and *error_r (data
   stack), which names setting, value and remedy. A value of NULL or "" is such
   an error.

   A template that was parsed can only make names that stay within its
   directory, do not begin with a dot, and are short enough for a file system
   even with a dot before them. */
int antispam_spool2dir_template_parse(
	pool_t pool, const char *setting, const char *value,
	const struct antispam_spool2dir_template **template_r,
	const char **error_r);

/* Append the file name, without its directory. time_secs counts from the
   epoch. */
void antispam_spool2dir_template_append(
	string_t *dest, const struct antispam_spool2dir_template *template,
	uint64_t time_secs, uint64_t counter);

/* "/tmp" or "/var/tmp" if the directory is that or lies below it, else NULL;
   static. */
const char *antispam_spool2dir_template_tmp(
	const struct antispam_spool2dir_template *template);

#endif
