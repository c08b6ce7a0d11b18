# SPDX-License-Identifier: GPL-2.0
#
# make              the tool and, for the running kernel, the module
# make check        what says most in little time (root: the VMs' file systems are made here)
# make check-long   all tests: what .ci/run runs
# make check-all    the same, VM tests on each kernel they can run on, long ones in full
# make demo         a real image in a throwaway VM
# make bench        speed against loop and qemu-nbd, in a VM, and against qemu-img
# make crash        every state that a power cut can leave, and the mutants
# make lint         checkpatch, sparse, W=1, shellcheck
# make matrix       the driver on the kernels of Debian's suites
# make deb          Debian packages; make deb-check tries them, and make install, out
# make vm-shell     a prompt in a VM with the driver  [KERNEL=6.12]
# make install      module through DKMS, tool, manual pages, udev rules
# make dkms-install the module alone
#
# Everything that is built goes to build/. The module is built there too, from
# a copy of the sources for each kernel, so that kernels do not mix.

VERSION	:= $(shell cat VERSION)
KERNEL	?= 6.12
KDIR	?= /lib/modules/$(shell uname -r)/build
PREFIX	?= /usr/local
DESTDIR	?=
B	:= build

CFLAGS	?= -O2 -g
USER_CFLAGS = $(CPPFLAGS) $(CFLAGS) -std=gnu11 -Wall -Wextra $(WERROR) \
	-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude/uapi -Idrivers/vhdx
LIB_SRC	:= $(wildcard drivers/vhdx/format/*.c drivers/vhdx/image/*.c)
TOOL_SRC := $(wildcard tools/vhdxctl/*.c)
UNIT_SRC := $(filter-out tests/kunit/module.c,$(wildcard tests/kunit/*.c)) \
	$(wildcard tests/image/unit*.c)
TEST_LIB_SRC := $(addprefix tests/kunit/,builder.c builder_chain.c \
	builder_log.c memfile.c bad_inputs.c bad_logs.c)
ASAN	:= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all
LIBS	:= -lisal
TOOL_PKGS := smartcols json-c libkmod mount blkid libudev
# Asked for when used, so that a machine that lacks them can still run setup.
TOOL_LIBS = $(LIBS) $(shell pkg-config --libs $(TOOL_PKGS))
TOOL_CFLAGS = $(USER_CFLAGS) -DVHDX_TOOL_VERSION='"$(VERSION)"' \
	$(shell pkg-config --cflags $(TOOL_PKGS))

all: $(B)/vhdxctl
	$(if $(wildcard $(KDIR)/Makefile),tests/vm/module $(KDIR) $(B)/host, \
	@echo "no headers of the running kernel: only vhdxctl was built")

tool: $(B)/vhdxctl

# --- userspace ---------------------------------------------------------------

obj = $(patsubst %.c,$(B)/$(1)/%.o,$(2))

LIB_OBJ	:= $(call obj,obj,$(LIB_SRC))
TOOL_OBJ := $(call obj,obj,$(TOOL_SRC))

$(B)/obj/tools/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(TOOL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) -MMD -MP -c -o $@ $<

# -O1 and the sanitizers come after the user's flags and win.
$(B)/asan/tools/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(TOOL_CFLAGS) $(ASAN) -MMD -MP -c -o $@ $<

$(B)/asan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) $(ASAN) -Itests/image -Itests/kunit \
		-Itools/vhdxctl -MMD -MP -c -o $@ $<

# A warning of a compiler newer than this is no reason not to install.
programs programs-quick: WERROR := -Werror
programs: programs-quick
programs: $(addprefix $(B)/,vhdxctl-asan powercut crash-mutants)
programs-quick: $(addprefix $(B)/,vhdxctl unit mkvhdx vhdxcat rawctl crash fuzz)

$(B)/vhdxctl: $(LIB_OBJ) $(TOOL_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS)

# The tests' own programs and the tool again, all under ASan and UBSan.
$(B)/vhdxctl-asan: $(call obj,asan,$(LIB_SRC) $(TOOL_SRC))
	$(CC) $(ASAN) -o $@ $^ $(TOOL_LIBS)

$(B)/unit: $(call obj,asan,$(LIB_SRC) $(UNIT_SRC) tests/image/main.c)
	$(CC) $(ASAN) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free -o $@ $^ $(LIBS)

# The tool's own code, but for its main().
$(B)/fuzz: $(call obj,asan,$(LIB_SRC) $(TOOL_SRC) $(TEST_LIB_SRC) \
		$(wildcard tests/fuzz/*.c))
	objcopy --weaken-symbol=main $(B)/asan/tools/vhdxctl/vhdxctl.o \
		$(B)/asan/vhdxctl-weak.o
	$(CC) $(ASAN) -o $@ $(filter-out %/vhdxctl.o,$^) \
		$(B)/asan/vhdxctl-weak.o $(TOOL_LIBS)

# Without sanitizers, since it runs in VMs too; build/unit has them.
$(B)/mkvhdx: $(call obj,obj,$(TEST_LIB_SRC) tests/image/mkvhdx.c)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/vhdxcat: $(call obj,asan,$(LIB_SRC) tests/image/vhdxcat.c \
		tests/kunit/guest.c tools/vhdxctl/posix_file.c)
	$(CC) $(ASAN) -o $@ $^ $(LIBS)

# The crash enumerator, and the same on layers with a barrier or a check taken
# out wherever a mutant asks for it: tests/image/crash_mutants.patch says where.
CRASH_SRC := $(wildcard tests/image/crash*.c) \
	$(addprefix tests/kunit/,builder.c builder_log.c)
CRASH_OBJ := $(call obj,obj-crash,$(CRASH_SRC))

$(B)/crash: $(LIB_OBJ) $(CRASH_OBJ)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/crash-mutants: $(patsubst %.c,$(B)/mutants/%.o,$(LIB_SRC)) $(CRASH_OBJ)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(B)/obj-crash/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(USER_CFLAGS) -Itests/image -Itests/kunit -MMD -MP -c -o $@ $<

$(B)/mutants/stamp: tests/image/crash_mutants.patch $(LIB_SRC) \
		$(wildcard drivers/vhdx/*.h drivers/vhdx/*/*.h)
	@rm -rf $(@D)/drivers && mkdir -p $(@D) && cp -r drivers $(@D)/
	patch -s -p1 -d $(@D) < $<
	@touch $@

$(B)/mutants/%.o: $(B)/mutants/stamp
	$(CC) $(subst -Idrivers/vhdx,-I$(B)/mutants/drivers/vhdx,$(USER_CFLAGS)) \
		-Itests/image -c -o $@ $(B)/mutants/$*.c

# What VM tests ask of the driver that the tool would not.
$(B)/rawctl: $(call obj,obj,tests/vm/rawctl.c)
	$(CC) $(CFLAGS) -o $@ $^

# Of x86 alone.
$(B)/tsc: $(call obj,obj,tests/vm/tsc.c)
	$(CC) $(CFLAGS) -o $@ $^

$(B)/powercut: $(call obj,obj,$(wildcard tests/vm/powercut/*.c) \
		tests/kunit/builder.c)
	$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

-include $(shell test -d $(B) && find $(B)/obj $(B)/obj-crash $(B)/asan -name '*.d' 2>/dev/null)

# --- the module, for a kernel of the test VMs ----------------------------------

$(B)/%/vhdx.ko: FORCE
	tests/vm/module $* $(B)/$*

$(B)/kunit/vhdx_kunit.ko: FORCE
	tests/vm/module -s tests/kunit debug $(B)/kunit

# --- what people call ----------------------------------------------------------

setup:
	tests/setup

check: setup
	tests/check

check-long: setup
	tests/check --long

check-all: setup
	tests/check -a

# As make check does, with more faults, more sequences and more files.
crash: setup $(B)/crash $(B)/crash-mutants
	tests/image/crash_replay.py --sample 2000 $(B)/crash --full
	tests/image/crash_replay.py $(B)/crash --full --child
	tests/image/crash_replay.py $(B)/crash --child=large
	tests/image/crash_replay.py $(B)/crash --child=4k
	$(B)/crash --tools
	tests/image/crash_replay.py --refused $(B)/crash-mutants --mutants

lint: setup
	tests/lint

demo: setup
	demo/run

bench: setup
	bench/run
	bench/convert

matrix: setup
	tests/matrix/run

deb:
	tools/deb

deb-check: setup
	tests/matrix/deb
	tests/matrix/booted/run
	tests/matrix/install

vm-shell: setup
	tests/vm/run -i -k $(KERNEL)

for-this-machine = $(if $(DESTDIR),$(error DESTDIR is for install-tool and uninstall-tool: DKMS has the modules of this machine))

# Both are asked before the first file is written. The module, which may not build,
# comes first: without one, the tool that is there stays.
install: $(B)/vhdxctl
	$(for-this-machine)
	$(refuse-packaged)
	tools/dkms check
	$(MAKE) dkms-install
	$(MAKE) install-tool

# mount and systemd look for these there alone.
HELPERS	:= $(addprefix $(DESTDIR)/usr/sbin/,mount.vhdx umount.vhdx)
SYSTEMD	:= $(DESTDIR)/usr/lib/systemd
GENERATOR := $(SYSTEMD)/system-generators/vhdx-generator
SHUTDOWN := $(SYSTEMD)/system-shutdown/vhdx.shutdown
MAN	:= $(DESTDIR)$(PREFIX)/share/man
MAN_SRC	:= $(wildcard tools/man/*.[1-9])
# PAGE.8 is man8/PAGE.8
MAN_PAGES := $(foreach page,$(notdir $(MAN_SRC)),\
	$(MAN)/man$(lastword $(subst ., ,$(page)))/$(page))
COMPLETION := $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vhdxctl
RULES	:= $(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-vhdx.rules
TOOL_FILES := $(DESTDIR)$(PREFIX)/sbin/vhdxctl $(HELPERS) $(GENERATOR) $(SHUTDOWN) \
	$(MAN_PAGES) $(MAN)/man8/umount.vhdx.8 $(COMPLETION) $(RULES)
# Those that are a Debian package's.
PACKAGED = $(if $(DESTDIR),,$(shell dpkg-query -S $(TOOL_FILES) 2>/dev/null | sed 's/.*: //'))

refuse-packaged = $(if $(PACKAGED),$(error the package vhdxctl has $(firstword $(PACKAGED)): apt-get purge vhdxctl))

install-tool: $(B)/vhdxctl
	$(refuse-packaged)
	install -D -m 0755 $(B)/vhdxctl $(DESTDIR)$(PREFIX)/sbin/vhdxctl
	install -d $(DESTDIR)/usr/sbin $(SYSTEMD)/system-generators
	for helper in $(HELPERS) $(GENERATOR); do \
		ln -sf $(PREFIX)/sbin/vhdxctl $$helper; \
	done
	install -D -m 0755 tools/systemd/vhdx.shutdown $(SHUTDOWN)
	for page in $(MAN_PAGES); do \
		install -D -m 0644 tools/man/$${page##*/} $$page || exit; \
	done
	ln -sf mount.vhdx.8 $(MAN)/man8/umount.vhdx.8
	install -D -m 0644 tools/vhdxctl/vhdxctl.bash $(COMPLETION)
	install -D -m 0644 tools/udev/60-vhdx.rules $(RULES)

dkms-install:
	tools/dkms install

uninstall:
	$(for-this-machine)
	$(MAKE) uninstall-tool
	tools/dkms remove

uninstall-tool:
	rm -f $(filter-out $(PACKAGED),$(TOOL_FILES))

clean:
	rm -rf $(B)

.PHONY: all tool programs programs-quick setup check check-long check-all crash lint demo bench matrix deb deb-check vm-shell \
	install install-tool dkms-install uninstall uninstall-tool clean FORCE
