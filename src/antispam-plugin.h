#ifndef ANTISPAM_PLUGIN_H
#define ANTISPAM_PLUGIN_H

struct module;

/* What Dovecot's module loader looks for, by the name of the .so file. */
extern const char *antispam_plugin_version;
extern const char *antispam_plugin_dependencies[];
void antispam_plugin_init(struct module *module);
void antispam_plugin_deinit(void);

#endif
