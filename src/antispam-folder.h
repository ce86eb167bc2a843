#ifndef ANTISPAM_FOLDER_H
#define ANTISPAM_FOLDER_H

#include "antispam-transition.h"

struct antispam_settings;
struct antispam_folder_map;

/* A folder as its user sees it. The caller owns all of it. */
struct antispam_folder {
	/* Whole name, UTF-8, the namespace's prefix included. */
	const char *vname;
	/* The namespace's prefix, "" if it has none. */
	const char *ns_prefix;
	/* Has the folder this RFC 6154 attribute ("\\Junk")? */
	bool (*has_special_use)(void *context, const char *special_use);
	void *context;
};

/* Why a folder is what it is. The strings live as long as the map. */
struct antispam_folder_match {
	/* Trash before spam before unsure. */
	enum antispam_class class;
	/* The setting's whole name ("antispam_spam_pattern") and the entry in
	   it that matched; NULL for ANTISPAM_CLASS_OTHER. */
	const char *setting, *entry;
	/* The next class that would have taken it too, or
	   ANTISPAM_CLASS_OTHER; with its setting. */
	enum antispam_class also_class;
	const char *also_setting;
	/* antispam_X_regex that gave up on this name (it takes too long), or
	   NULL; taken as no match. */
	const char *failed_setting;
};

/* Compile a user's folder settings; the defaults of unset classes are filled
   in here. Returns 0, or -1 and *error_r (data stack), which names setting,
   value and remedy. The map keeps no pointer into set beyond its strings. */
int antispam_folder_map_init(const struct antispam_settings *set,
			     struct antispam_folder_map **map_r,
			     const char **error_r);
/* NULL is fine. */
void antispam_folder_map_deinit(struct antispam_folder_map **map);

/* Classify one folder. Cannot fail; time is linear in the name's length but
   for antispam_X_regex, which is given a limit. Allocates nothing. */
void antispam_folder_classify(const struct antispam_folder_map *map,
			      const struct antispam_folder *folder,
			      struct antispam_folder_match *match_r);

#endif
