// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <fcntl.h>
#include <libkmod.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <syslog.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "device.h"
#include "doctor.h"
#include "holders.h"
#include "text.h"

#define MODULE		"vhdx"
#define EFIVARS		"/sys/firmware/efi/efivars/"
/* Of the EFI's own variables, of its keys, and of those of shim. */
#define SECURE_BOOT	EFIVARS "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define DB		EFIVARS "db-d719b2cb-3d3a-4596-a3bc-dad00e67656f"
#define MOK_LIST	EFIVARS "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
/* EFI variables begin with their attributes. */
#define EFIVAR_HEADER	4
#define DKMS_CONFIG	"/etc/dkms/framework.conf"
#define DKMS_KEY	"/var/lib/dkms/mok.pub"
/* Where Ubuntu's DKMS has it. */
#define SHIM_KEY	"/var/lib/shim-signed/mok/MOK.der"
#define MAX_FILE	0x100000

/**
 * struct examination - one look at a system
 * @findings: what was found
 * @root: where the system's files are; "" is where this runs
 * @release: of its kernel
 * @signer: who signed the module, or NULL
 * @has_module: there is a module for that kernel
 * @is_loaded: the driver is in the kernel
 */
struct examination {
	struct findings *findings;
	const char *root;
	const char *release;
	char *signer;
	bool has_module;
	bool is_loaded;
};

/* command: what to do about it, or NULL; given away */
__printf(5, 6)
static void found(struct examination *exam, enum finding_kind kind,
		  const char *name, char *command, const char *fmt, ...)
{
	struct findings *findings = exam->findings;
	struct finding *new;
	va_list args;

	findings->of = text_memory(realloc(findings->of,
					   (findings->count + 1) *
					   sizeof(*findings->of)));
	new = &findings->of[findings->count++];
	va_start(args, fmt);
	*new = (struct finding){
		.kind = kind,
		.name = name,
		.text = text_vprintf(fmt, args),
		.command = command,
	};
	va_end(args);
	findings->problems += kind == FINDING_PROBLEM;
}

static bool exists(const struct examination *exam, const char *path)
{
	char *full = text_printf("%s%s", exam->root, path);
	struct stat st;
	/* Links lead to where they are meant when that system runs. */
	bool found = !lstat(full, &st);

	free(full);
	return found;
}

/* All of a file, and how much it is; NULL: it cannot be read. */
static char *read_file(const struct examination *exam, const char *path,
		       size_t *length)
{
	char *full = text_printf("%s%s", exam->root, path);
	int fd = open(full, O_RDONLY | O_CLOEXEC);
	char *data;
	ssize_t n;

	free(full);
	*length = 0;
	if (fd < 0)
		return NULL;
	data = text_memory(malloc(MAX_FILE + 1));
	while ((n = read(fd, data + *length, MAX_FILE - *length)) > 0)
		*length += (size_t)n;
	close(fd);
	data[*length] = '\0';
	return data;
}

/* The first line of one of the kernel's small files. */
static char *read_line(const struct examination *exam, const char *path)
{
	size_t length;
	char *text = read_file(exam, path, &length);

	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

static void compare_version(struct examination *exam, const char *name,
			    const char *what, const char *version,
			    const char *command)
{
	if (!strcmp(version, VHDX_TOOL_VERSION))
		found(exam, FINDING_OK, name, NULL, "%s has version %s, as vhdxctl",
		      what, version);
	else
		found(exam, FINDING_PROBLEM, name, text_printf("%s", command),
		      "%s has version %s, vhdxctl " VHDX_TOOL_VERSION, what,
		      version);
}

/* The driver that runs, by what it says itself. */
static void examine_driver(struct examination *exam)
{
	struct vhdx_ctl_version version = { .size = sizeof(version) };
	int fd;

	exam->is_loaded = exists(exam, "/sys/module/" MODULE);
	if (!exam->is_loaded) {
		found(exam, FINDING_OK, "driver", NULL,
		      "not loaded, so nothing is attached; attach loads it");
		return;
	}
	if (*exam->root) {
		found(exam, FINDING_OK, "driver", NULL, "loaded");
		return;
	}
	fd = open("/dev/" VHDX_CONTROL_NAME, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		found(exam, FINDING_PROBLEM, "driver",
		      text_printf("mount -t devtmpfs none /dev"),
		      "loaded, but there is no /dev/" VHDX_CONTROL_NAME);
	else if (fd < 0)
		found(exam, FINDING_NOTE, "driver", NULL,
		      "loaded, but it cannot be asked: %s", strerror(errno));
	else if (ioctl(fd, VHDX_CTL_VERSION, &version))
		found(exam, FINDING_NOTE, "driver", NULL,
		      "loaded, but it cannot be asked: %s", strerror(errno));
	else if (version.abi != VHDX_ABI_VERSION)
		found(exam, FINDING_PROBLEM, "driver",
		      text_printf("vhdxctl detach --all && modprobe -r " MODULE),
		      "loaded, but it does not fit: its ABI is %u, that of vhdxctl %u",
		      version.abi, VHDX_ABI_VERSION);
	else
		compare_version(exam, "driver", "the loaded driver",
				version.driver,
				"vhdxctl detach --all && modprobe -r " MODULE);
	if (fd >= 0)
		close(fd);
}

static char *info_value(const struct kmod_list *info, const char *key)
{
	const struct kmod_list *item;

	kmod_list_foreach(item, info) {
		const char *value = kmod_module_info_get_value(item);

		if (!strcmp(kmod_module_info_get_key(item), key) && *value)
			return text_printf("%s", value);
	}
	return NULL;
}

static void examine_module_file(struct examination *exam,
				struct kmod_module *module)
{
	const char *path = kmod_module_get_path(module);
	struct kmod_list *info = NULL;
	char *magic, *version;

	/* One that is built in has no path. */
	if (!path) {
		exam->has_module = true;
		return;
	}
	if (kmod_module_get_info(module, &info) < 0) {
		found(exam, FINDING_PROBLEM, "module",
		      text_printf("depmod %s", exam->release),
		      "%s cannot be read", path);
		return;
	}
	exam->has_module = true;
	exam->signer = info_value(info, "signer");
	magic = info_value(info, "vermagic");
	version = info_value(info, "version");
	if (magic && strncmp(magic, exam->release, strcspn(magic, " ")))
		found(exam, FINDING_PROBLEM, "module",
		      text_printf("dkms install vhdx/" VHDX_TOOL_VERSION " -k %s --force",
				  exam->release),
		      "%s is for another kernel: %s", path, magic);
	else
		compare_version(exam, "module", path, version ?: "none",
				"make install, or install the packages of one version");
	free(version);
	free(magic);
	kmod_module_info_free_list(info);
}

static void examine_module(struct examination *exam)
{
	char *folder = text_printf("%s/lib/modules/%s", exam->root,
				   exam->release);
	struct kmod_list *list = NULL, *item;
	const char *config = NULL;
	struct kmod_ctx *kmod = text_memory(kmod_new(folder, &config));

	/* What it says of missing indices is said below, in other words. */
	kmod_set_log_priority(kmod, LOG_EMERG);
	kmod_module_new_from_lookup(kmod, MODULE, &list);
	kmod_list_foreach(item, list) {
		struct kmod_module *module = kmod_module_get_module(item);

		examine_module_file(exam, module);
		kmod_module_unref(module);
	}
	if (!list)
		found(exam, FINDING_PROBLEM, "module",
		      text_printf("dkms install vhdx/" VHDX_TOOL_VERSION " -k %s",
				  exam->release),
		      "there is none for kernel %s", exam->release);
	kmod_module_unref_list(list);
	kmod_unref(kmod);
	free(folder);
}

static void examine_headers(struct examination *exam)
{
	char *path = text_printf("/lib/modules/%s/build/Makefile",
				 exam->release);

	if (exists(exam, path))
		found(exam, FINDING_OK, "headers", NULL,
		      "those of kernel %s are there", exam->release);
	else
		found(exam, exam->has_module ? FINDING_NOTE : FINDING_PROBLEM,
		      "headers",
		      text_printf("apt-get install linux-headers-%s",
				  exam->release),
		      "those of kernel %s are missing: no module can be built",
		      exam->release);
	free(path);
}

/* Whether the kernel takes signed modules only; how is the reason. */
static bool is_strict(const struct examination *exam, const char **how)
{
	size_t length;
	char *boot = read_file(exam, SECURE_BOOT, &length);
	char *enforce = read_line(exam, "/sys/module/module/parameters/sig_enforce");
	char *lockdown = read_line(exam, "/sys/kernel/security/lockdown");

	*how = NULL;
	if (boot && length > EFIVAR_HEADER && boot[EFIVAR_HEADER] == 1)
		*how = "Secure Boot is on";
	else if (enforce && *enforce == 'Y')
		*how = "module.sig_enforce is on";
	else if (lockdown && !strstr(lockdown, "[none]"))
		*how = "the kernel is locked down";
	free(boot);
	free(enforce);
	free(lockdown);
	return *how;
}

/**
 * struct key - the one that the module is signed with
 * @signer: who has it
 * @certificate: its file, as far as one is known that is not enrolled; or NULL
 * @enrolled: the firmware has it
 */
struct key {
	const char *signer;
	char *certificate;
	bool enrolled;
};

static bool has_certificate(const struct examination *exam, const char *variable,
			    const char *certificate, size_t length)
{
	size_t list_length;
	char *list = read_file(exam, variable, &list_length);
	bool found = list && memmem(list, list_length, certificate, length);

	free(list);
	return found;
}

/* Looks whether a file is the certificate of the key: it has the signer's name in it. */
static void try_certificate(const struct examination *exam, struct key *key,
			    const char *path)
{
	size_t length;
	char *certificate = read_file(exam, path, &length);

	if (certificate && memmem(certificate, length, key->signer,
				  strlen(key->signer))) {
		if (has_certificate(exam, MOK_LIST, certificate, length) ||
		    has_certificate(exam, DB, certificate, length))
			key->enrolled = true;
		else if (!key->certificate)
			key->certificate = text_printf("%s", path);
	}
	free(certificate);
}

/* A line of a script that a shell reads, in as far as it says just that. */
static void try_line(const struct examination *exam, struct key *key, char *line)
{
	static const char name[] = "mok_certificate=";
	char *value = line + strspn(line, " \t");

	if (strncmp(value, name, strlen(name)))
		return;
	value += strlen(name);
	if (*value == '"' || *value == '\'')
		value++;
	value[strcspn(value, "\"' \t;#")] = '\0';
	if (*value == '/')
		try_certificate(exam, key, value);
}

static void try_config(const struct examination *exam, struct key *key,
		       const char *path)
{
	size_t length;
	char *text = read_file(exam, path, &length);
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		try_line(exam, key, line);
	free(text);
}

static void try_configs(const struct examination *exam, struct key *key)
{
	char *folder = text_printf("%s" DKMS_CONFIG ".d", exam->root);
	DIR *dir = opendir(folder);
	struct dirent *entry;

	try_config(exam, key, DKMS_CONFIG);
	while (dir && (entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');
		char *path;

		if (!dot || strcmp(dot, ".conf"))
			continue;
		path = text_printf(DKMS_CONFIG ".d/%s", entry->d_name);
		try_config(exam, key, path);
		free(path);
	}
	if (dir)
		closedir(dir);
	free(folder);
}

static void examine_key(struct examination *exam, const char *how)
{
	struct key key = { .signer = exam->signer };

	try_configs(exam, &key);
	try_certificate(exam, &key, DKMS_KEY);
	try_certificate(exam, &key, SHIM_KEY);
	if (key.enrolled)
		found(exam, FINDING_OK, "signature", NULL,
		      "%s; %s signed the module, and that key is enrolled",
		      how, exam->signer);
	else if (key.certificate)
		found(exam, FINDING_PROBLEM, "signature",
		      text_printf("mokutil --import %s, then reboot and choose Enroll MOK",
				  key.certificate),
		      "%s, and the key of %s is not enrolled", how,
		      exam->signer);
	else
		/* Such as the kernel's own; or one that is not kept here. */
		found(exam, FINDING_NOTE, "signature",
		      text_printf("modprobe " MODULE),
		      "%s; %s signed the module, whose certificate is not found: the kernel may not take it",
		      how, exam->signer);
	free(key.certificate);
}

static void examine_signature(struct examination *exam)
{
	const char *how;

	if (!is_strict(exam, &how)) {
		found(exam, FINDING_OK, "signature", NULL,
		      "Secure Boot is off: modules need none");
	} else if (exam->is_loaded) {
		found(exam, FINDING_OK, "signature", NULL,
		      "%s, and the kernel took the module", how);
	} else if (!exam->has_module) {
		found(exam, FINDING_NOTE, "signature", NULL,
		      "%s: the module will need one", how);
	} else if (exam->signer) {
		examine_key(exam, how);
	} else {
		/* DKMS makes a key where it has none. */
		found(exam, FINDING_PROBLEM, "signature",
		      text_printf("dkms install vhdx/" VHDX_TOOL_VERSION " -k %s --force",
				  exam->release),
		      "%s, and the module is not signed", how);
	}
}

static void examine_rules(struct examination *exam)
{
	static const char *const folders[] = {
		"/etc/udev", "/run/udev", "/usr/local/lib/udev",
		"/usr/lib/udev", "/lib/udev",
	};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char *path = text_printf("%s/rules.d/60-vhdx.rules", folders[i]);

		if (exists(exam, path)) {
			found(exam, FINDING_OK, "udev", NULL, "%s is there",
			      path);
			free(path);
			return;
		}
		free(path);
	}
	found(exam, FINDING_NOTE, "udev", text_printf("make install"),
	      "60-vhdx.rules is missing: no links in /dev/disk");
}

static void examine_helpers(struct examination *exam)
{
	static const char *const helpers[] = { "mount.vhdx", "umount.vhdx" };

	for (size_t i = 0; i < ARRAY_SIZE(helpers); i++) {
		char *path = text_printf("/sbin/%s", helpers[i]);
		bool found_one = exists(exam, path);

		free(path);
		if (found_one)
			continue;
		found(exam, FINDING_NOTE, "mount", text_printf("make install"),
		      "/sbin/%s is missing: no type vhdx in fstab", helpers[i]);
		return;
	}
	found(exam, FINDING_OK, "mount", NULL,
	      "mount knows the type vhdx");
}

/* Whether the file of a disk is where its path says. */
static bool is_in_place(unsigned int index, const char *path)
{
	struct stat st;
	dev_t dev;
	u64 ino;

	return !stat(path, &st) &&
	       device_attr_dev(index, "vhdx/backing_dev", &dev) &&
	       device_attr_u64(index, "vhdx/backing_ino", &ino) &&
	       st.st_dev == dev && st.st_ino == ino;
}

/* One that goes with its last user, and none that lasts is left. */
static char *find_straggler(unsigned int index)
{
	struct holders holders;
	char *text = NULL;
	u64 autoclear;

	if (!device_attr_u64(index, "vhdx/autoclear", &autoclear) || !autoclear)
		return NULL;
	if (!holders_find_lasting(&holders, index)) {
		holders_free(&holders);
		holders = (struct holders){ };
		holders_find_processes(&holders, index);
		text = text_printf("%s", holders.text ?: "nobody uses it yet");
	}
	holders_free(&holders);
	return text;
}

static void examine_disk(struct examination *exam, unsigned int index)
{
	char *device = device_path(index);
	char *path = device_attr(index, "vhdx/backing_file");
	char *state = device_attr(index, "vhdx/log_state");
	char *straggler = find_straggler(index);

	if (state && !strcmp(state, "failed"))
		found(exam, FINDING_PROBLEM, "disk",
		      text_printf("vhdxctl detach %s", device),
		      "%s: writing to %s failed, the disk is read-only; what was written last may be there no more when it is detached",
		      device, path ?: "its image");
	else if (path && !is_in_place(index, path))
		found(exam, FINDING_PROBLEM, "disk",
		      text_printf("vhdxctl create --from %s FILE", device),
		      "%s: its image %s was deleted, replaced, or is out of sight; what was deleted is lost when the disk is detached",
		      device, path);
	else if (straggler)
		found(exam, FINDING_NOTE, "disk",
		      text_printf("vhdxctl detach %s", device),
		      "%s: it goes with its last user: %s", device, straggler);
	else if (path)
		found(exam, FINDING_OK, "disk", NULL, "%s: %s", device, path);
	free(straggler);
	free(state);
	free(path);
	free(device);
}

static void examine_disks(struct examination *exam)
{
	struct device_list disks;

	device_list_attached(&disks);
	for (size_t i = 0; i < disks.count; i++)
		examine_disk(exam, disks.index[i]);
	device_list_free(&disks);
}

/**
 * doctor_examine - find out what keeps the driver from working
 * @findings: to be freed by doctor_free()
 * @root: where the system's files are; "" is where this runs: then its disks are
 *	looked at, too
 */
void doctor_examine(struct findings *findings, const char *root)
{
	struct utsname uts;
	struct examination exam = {
		.findings = findings,
		.root = root,
		.release = uts.release,
	};

	*findings = (struct findings){ };
	uname(&uts);
	examine_driver(&exam);
	examine_module(&exam);
	examine_headers(&exam);
	examine_signature(&exam);
	examine_rules(&exam);
	examine_helpers(&exam);
	if (!*root)
		examine_disks(&exam);
	free(exam.signer);
}

/**
 * doctor_free - free what was found
 * @findings: it
 */
void doctor_free(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->of[i].text);
		free(findings->of[i].command);
	}
	free(findings->of);
}
