# GNU make; no configure. "make help" names the targets, defconfig the switches.

-include $(firstword $(wildcard .config defconfig))

BUILD = build
MANDIR = /usr/share/man
DESTDIR =
FUZZ_SECS = 60
V = 0
# As many jobs as processors, unless make was told how many.
jobs = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
MAKEFLAGS += --no-builtin-rules
ifeq ($(origin CC),default)
CC = gcc
endif

# Dovecot. Nothing of it needs to be there yet for "make deps".

DOVECOT_CONFIG = $(firstword $(wildcard \
	/usr/lib/dovecot/dovecot-config \
	/usr/lib64/dovecot/dovecot-config \
	/usr/lib/*/dovecot/dovecot-config \
	/usr/local/lib/dovecot/dovecot-config))

# Its values are quoted for sh. DOVECOT_CFLAGS are the distribution's own and
# of no use here.
dovecot_value = $(if $(DOVECOT_CONFIG),$(shell \
	. $(DOVECOT_CONFIG) && printf %s "$$$(1)"))
dovecot_pkgincludedir := $(call dovecot_value,dovecot_pkgincludedir)
dovecot_pkglibdir := $(call dovecot_value,dovecot_pkglibdir)
dovecot_pkglibexecdir := $(call dovecot_value,dovecot_pkglibexecdir)
dovecot_moduledir := $(call dovecot_value,dovecot_moduledir)

dovecot_define = $(if $(wildcard $(dovecot_pkgincludedir)/config.h),$(shell \
	sed -n 's/^\#define $(1)  *"*\([^"]*\)"*$$/\1/p' \
	$(dovecot_pkgincludedir)/config.h))
# "2.3" or "2.4"; empty without dovecot-dev
DOVECOT_VERSION := $(subst $() ,.,$(strip \
	$(call dovecot_define,DOVECOT_VERSION_MAJOR) \
	$(call dovecot_define,DOVECOT_VERSION_MINOR)))
DOVECOT_ABI := $(call dovecot_define,DOVECOT_ABI_VERSION)

INSTALLDIR = $(dovecot_moduledir)

# What belongs to what

BACKENDS := $(sort $(foreach v,$(filter CONFIG_BACKEND_%,$(.VARIABLES)), \
	$(if $(filter y,$($v)),$(v:CONFIG_BACKEND_%=%))))
backend_files := $(shell echo $(BACKENDS) | tr A-Z a-z)

# Main programs: each is linked by itself and belongs to nothing else.
MAINS = src/trainer-main.c src/doveadm-antispam.c
# What Dovecot's config process alone loads.
SERVICE_SRCS := $(wildcard src/compat/service-$(DOVECOT_VERSION).c)

SRCS := $(filter-out $(MAINS),$(sort $(wildcard src/*.c))) \
	$(filter-out $(SERVICE_SRCS), $(sort $(wildcard \
		src/compat/*-$(or $(DOVECOT_VERSION),none).c))) \
	$(wildcard backends/backends.c) \
	$(foreach b,$(backend_files), \
		$(or $(wildcard backends/$b.c),$(error no backends/$b.c: see \
			CONFIG_BACKEND_ in .config or defconfig)) \
		$(wildcard backends/$b-*.c))
OBJS := $(SRCS:%.c=$(BUILD)/%.o)
# The trainer's own files are not in the plugin, but for how to wake it; nor are
# doveadm's.
PLUGIN_OBJS := $(filter-out $(BUILD)/src/compat/trainer-% \
	$(BUILD)/src/compat/doveadm-% $(BUILD)/src/doveadm-% \
	$(BUILD)/src/antispam-child.o, \
	$(filter $(BUILD)/src/trainer-client.o,$(OBJS)) \
	$(filter-out $(BUILD)/src/trainer-%,$(OBJS)))
PLUGIN = $(BUILD)/lib90_antispam_plugin.so
LIBRARY = $(BUILD)/antispam.a

# What is built and where it goes, a line each: file:directory:mode
PRODUCTS = $(PLUGIN):$(INSTALLDIR):644

# The module that tells Dovecot's config process of our service, and on 2.4 of
# our settings, has libdovecot alone.
SETTINGS_SRCS := $(wildcard src/compat/settings-$(DOVECOT_VERSION).c)
ifneq ($(SERVICE_SRCS),)
SETTINGS_MODULE = $(BUILD)/libantispam_settings.so
$(SETTINGS_MODULE): $(patsubst %.c,$(BUILD)/%.o,$(SERVICE_SRCS) \
	$(if $(SETTINGS_SRCS),$(SETTINGS_SRCS) src/antispam-settings.c))
PRODUCTS += $(SETTINGS_MODULE):$(dovecot_moduledir)/settings:644
endif

# The queue's reader, which Dovecot's master starts.
TRAINER = $(BUILD)/antispam-trainer
PRODUCTS += $(TRAINER):$(dovecot_pkglibexecdir):755

# What doveadm loads, beside which a process may have the plugin: neither may
# find the other's functions, so it shows none but what doveadm asks for.
DOVEADM = $(BUILD)/lib10_doveadm_antispam_plugin.so
PRODUCTS += $(DOVEADM):$(dovecot_moduledir)/doveadm:644

MAN_PAGES := $(wildcard antispam.7 doveadm-antispam.1)
PRODUCTS += $(foreach page,$(MAN_PAGES), \
	$(page):$(MANDIR)/man$(patsubst .%,%,$(suffix $(page))):644)

product_file = $(word 1,$(subst :, ,$(1)))
product_dir = $(word 2,$(subst :, ,$(1)))
product_mode = $(word 3,$(subst :, ,$(1)))
product_path = $(call product_dir,$(1))/$(notdir $(call product_file,$(1)))

# Tests: a program each; what else lies there as .c is linked into all.
TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/test-*.c)))
TEST_HELPERS := $(patsubst %.c,$(BUILD)/%.o, \
	$(filter-out tests/test-%.c tests/fuzz-%.c tests/bench-%.c, \
	$(sort $(wildcard tests/*.c))))
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz-*.c)))

# Flags

WARNINGS = -Wall -Wextra -Wformat=2 -Wmissing-prototypes \
	-Wmissing-declarations -Wpointer-arith -Wchar-subscripts \
	-Wstrict-aliasing=2
HARDENING = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
ALL_CPPFLAGS = -DHAVE_CONFIG_H $(BACKENDS:%=-DANTISPAM_BACKEND_%) \
	-Isrc -Isrc/compat -isystem $(dovecot_pkgincludedir) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 -fPIC $(WARNINGS) $(HARDENING) $(CFLAGS) $(EXTRA_CFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
LIBS = -lpcre2-8
DOVECOT_LIBS = -L$(dovecot_pkglibdir) -Wl,-rpath,$(dovecot_pkglibdir) \
	-ldovecot-storage -ldovecot

CLANG = clang
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer,address,undefined -fno-sanitize=function \
	-fno-sanitize-recover=all

ifeq ($(V),0)
Q = @
say = @echo "  $(1)	$(2)"
endif

# Build

.DEFAULT_GOAL = all

.PHONY: all tools install uninstall clean deps lint format demo check bench \
	bench-accuracy bench-daemons fuzz help unit-tests fuzzers lint-vars FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(foreach p,$(PRODUCTS),$(call product_file,$p)) $(LIBRARY)

tools:
	@sh tests/deps.sh compiler "$(CC)" "$(dovecot_pkgincludedir)"

# Holds all that an object depends on besides its sources: a changed .config or
# Dovecot compiles everything anew.
FLAGS = $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(DOVECOT_ABI)
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@printf '%s\n' '$(FLAGS)' | cmp -s - $@ || printf '%s\n' '$(FLAGS)' >$@
# The same for what is linked: a source that went away.
$(BUILD)/objects: FORCE
	@mkdir -p $(BUILD)
	@echo '$(OBJS)' | cmp -s - $@ || echo '$(OBJS)' >$@

$(BUILD)/%.o: %.c $(BUILD)/flags | tools
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Nothing of Dovecot is linked: the process that loads a module has it.
$(PLUGIN): $(PLUGIN_OBJS) $(BUILD)/objects
$(BUILD)/%.so:
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS)

$(DOVEADM): $(BUILD)/src/doveadm-antispam.o $(LIBRARY) src/doveadm.map
	$(call say,LINK,$@)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $< $(LIBRARY) $(LIBS) \
		-Wl,--version-script=src/doveadm.map

# antispam-trainer is src/trainer-main.c and what it calls.
$(BUILD)/antispam-%: $(BUILD)/src/%-main.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DOVECOT_LIBS) $(LIBS)

$(LIBRARY): $(OBJS) $(BUILD)/objects
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(OBJS)

# Tests

unit-tests: $(TESTS)
fuzzers: $(FUZZERS)

$(BUILD)/tests/%.o: private ALL_CPPFLAGS += -Ibackends -Itests
$(BUILD)/tests/test-%: $(BUILD)/tests/test-%.o $(TEST_HELPERS) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(TEST_HELPERS) $(LIBRARY) \
		$(DOVECOT_LIBS) $(LIBS)

# A fuzzer compiles the files that it names anew, with sanitizers.
fuzz_sources = $(foreach s, \
	$(shell sed -n 's,^/\* fuzz-sources: \(.*\) \*/$$,\1,p' $(1)), \
	$(firstword $(wildcard $s src/$s src/compat/$s backends/$s tests/$s) $s))
$(BUILD)/tests/fuzz-%: tests/fuzz-%.c $(BUILD)/flags \
		$(wildcard src/*.[ch] src/compat/*.[ch] backends/*.[ch]) | tools
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) $(ALL_CPPFLAGS) -Ibackends -Itests -o $@ \
		$< $(call fuzz_sources,$<) $(DOVECOT_LIBS) $(LIBS)

-include $(wildcard $(foreach d,src src/compat backends tests,$(BUILD)/$d/*.d))

# Make reads this file before a compiler is there: these start again after
# they have installed what is missing.
check:
	@sh tests/deps.sh check
	@sh tests/run.sh

demo:
	@sh tests/deps.sh demo
	@$(MAKE) $(jobs) all
	@sh tests/demo.sh

bench:
	@sh tests/deps.sh bench
	@$(MAKE) $(jobs) all
	@sh tests/bench.sh

bench-daemons:
	@sh tests/deps.sh demo rspamd spamd
	@$(MAKE) $(jobs) all
	@ANTISPAM_BUILD="$(abspath $(BUILD))" \
		python3 -B tests/bench/protocols.py $(FILTER)

bench-accuracy:
	@sh tests/deps.sh demo crm114 rspamd spamd
	@$(MAKE) $(jobs) all
	@ANTISPAM_BUILD="$(abspath $(BUILD))" MESSAGES="$(MESSAGES)" \
		python3 -B tests/bench/accuracy.py "$(CORPUS)" $(FILTER)

deps:
	@sh tests/deps.sh check

lint:
	@sh tests/lint.sh

# What lint.sh wants to know, for sh.
lint-vars:
	@echo "dovecot_include='$(dovecot_pkgincludedir)'"
	@echo "dovecot_ldflags='-L$(dovecot_pkglibdir) -Wl,-rpath-link,$(dovecot_pkglibdir)'"
	@echo "cppflags='$(BACKENDS:%=-DANTISPAM_BACKEND_%)'"

fuzz:
	@FUZZ_SECS=$(FUZZ_SECS) sh tests/run.sh fuzz

format:
	clang-format -i $$(git ls-files '*.c' '*.h')
	perl -0pi -e 's/\}\n\s*T_END\s*;/} T_END;/g' $$(git ls-files '*.c')

# Install

install: all
ifeq ($(DESTDIR),)
	@sh tests/deps.sh unowned $(foreach p,$(PRODUCTS),$(call product_path,$p))
endif
	@$(foreach p,$(PRODUCTS), \
		echo "  INSTALL	$(DESTDIR)$(call product_path,$p)" && \
		install -D -m $(call product_mode,$p) $(call product_file,$p) \
			$(DESTDIR)$(call product_path,$p) &&) :
ifeq ($(DESTDIR),)
	@echo "Dovecot takes it up when it is restarted; a reload is not enough."
endif

uninstall:
ifeq ($(DESTDIR),)
	@sh tests/deps.sh unowned $(foreach p,$(PRODUCTS),$(call product_path,$p))
endif
	@$(foreach p,$(PRODUCTS), \
		echo "  REMOVE	$(DESTDIR)$(call product_path,$p)" && \
		rm -f $(DESTDIR)$(call product_path,$p) &&) :

clean:
	rm -rf $(BUILD)

help:
	@echo "make            build the plugin, with what .config or defconfig says"
	@echo "make install    install it (DESTDIR=... is put before each path)"
	@echo "make uninstall  remove what install installed"
	@echo "make deps       install what building and testing need (Debian, root)"
	@echo "make demo       a private Dovecot, a learner, a message that is dragged"
	@echo "make check      all tests; installs what they need"
	@echo "make lint       how the code looks, and what tools say of it"
	@echo "make format     clang-format all C files"
	@echo "make bench      what the plugin costs (BENCH=queue: a part, tests/bench.sh)"
	@echo "make bench-daemons               what spamd and rspamd cost, queued"
	@echo "make bench-accuracy CORPUS=DIR   does it teach as well as the"
	@echo "                filter's own tool? (MESSAGES=1000, FILTER=...)"
	@echo "make fuzz       fuzz each parser for FUZZ_SECS seconds (60)"
	@echo "make clean      remove $(BUILD)/"
	@echo "make V=1        show the commands"
