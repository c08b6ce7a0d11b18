// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <libkmod.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "control.h"
#include "message.h"

#define MODULE_NAME	"vhdx"
#define CONTROL_PATH	"/dev/" VHDX_CONTROL_NAME

static void quiet(void *data, int priority, const char *file, int line,
		  const char *fn, const char *format, va_list args)
{
	(void)data;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

/* As modprobe does it. 0 or a negative errno; -ENOENT: no such module. */
static int insert_module(void)
{
	struct kmod_list *list = NULL, *item;
	struct kmod_ctx *ctx = kmod_new(NULL, NULL);
	int ret;

	if (!ctx)
		return -ENOMEM;
	/* What it would print about a missing module is said below. */
	kmod_set_log_fn(ctx, quiet, NULL);
	ret = kmod_module_new_from_lookup(ctx, MODULE_NAME, &list);
	if (!ret && !list)
		ret = -ENOENT;
	kmod_list_foreach(item, list) {
		struct kmod_module *mod = kmod_module_get_module(item);

		ret = kmod_module_probe_insert_module(mod, 0, NULL, NULL, NULL,
						      NULL);
		kmod_module_unref(mod);
		if (ret)
			break;
	}
	kmod_module_unref_list(list);
	kmod_unref(ctx);
	/* A configured "install" command that failed: its status. */
	return ret > 0 ? -EIO : ret;
}

static int fail_signature(const char *file)
{
	message_fail(EX_UNAVAILABLE, file,
		     "cannot load the driver: the kernel takes only signed modules");
	message_hint("Secure Boot: 'vhdxctl doctor' says what comes next");
	return EX_UNAVAILABLE;
}

static int load_module(const char *file)
{
	struct utsname uts;
	int ret = insert_module();

	switch (ret) {
	case 0:
		return 0;
	case -ENOENT:
		uname(&uts);
		message_fail(EX_UNAVAILABLE, file,
			     "cannot load the driver: no module " MODULE_NAME " for kernel %s",
			     uts.release);
		message_hint("'vhdxctl doctor' says what is missing");
		return EX_UNAVAILABLE;
	case -EKEYREJECTED:
		return fail_signature(file);
	case -EPERM:
		/* Root may, unless lockdown asks for a signature. */
		if (!geteuid())
			return fail_signature(file);
		fallthrough;
	case -EACCES:
		message_fail_errno(file, "cannot load the driver", -ret);
		message_hint("run it as root");
		return EX_NOPERM;
	default:
		message_fail(EX_UNAVAILABLE, file,
			     "cannot load the driver: %s", strerror(-ret));
		message_hint("'vhdxctl doctor' and 'dmesg | tail' may say why");
		return EX_UNAVAILABLE;
	}
}

/**
 * control_open - open the driver's control device
 * @file: the image or disk that messages are about
 * @load: load the module where the device is missing
 * @fd: the descriptor
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int control_open(const char *file, bool load, int *fd)
{
	int errnum;

	*fd = open(CONTROL_PATH, O_RDWR | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT && load) {
		int code = load_module(file);

		if (code)
			return code;
		*fd = open(CONTROL_PATH, O_RDWR | O_CLOEXEC);
	}
	if (*fd >= 0)
		return 0;
	errnum = errno;
	if (errnum == EACCES || errnum == EPERM) {
		message_fail_errno(file, "cannot open " CONTROL_PATH, errnum);
		message_hint("run it as root");
		return EX_NOPERM;
	}
	/* Whatever it is, the driver cannot be reached. */
	message_fail(EX_UNAVAILABLE, file, "cannot open " CONTROL_PATH ": %s",
		     strerror(errnum));
	if (errnum == ENOENT && load)
		message_hint("is devtmpfs mounted on /dev? 'vhdxctl doctor' looks");
	else if (errnum == ENOENT)
		message_hint("not loaded, so nothing is attached; see 'vhdxctl doctor'");
	return EX_UNAVAILABLE;
}

/**
 * control_check - make sure that driver and tool understand each other
 * @fd: the control device
 * @file: the image or disk that messages are about
 * @attach_flags: the VHDX_ATTACH_* that will be used
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int control_check(int fd, const char *file, u32 attach_flags)
{
	struct vhdx_ctl_version version = { .size = sizeof(version) };

	if (ioctl(fd, VHDX_CTL_VERSION, &version)) {
		int errnum = errno;

		if (errnum == EPERM || errnum == EACCES) {
			message_fail_errno(file, "cannot ask the driver",
					   errnum);
			message_hint("run it as root");
			return EX_NOPERM;
		}
		return message_fail(EX_UNAVAILABLE, file,
				    "cannot ask the driver for its version: %s",
				    strerror(errnum));
	}
	if (version.abi != VHDX_ABI_VERSION)
		message_fail(EX_UNAVAILABLE, file,
			     "driver and tool do not fit: driver %.*s (ABI %u), tool %s (ABI %u)",
			     (int)sizeof(version.driver), version.driver,
			     version.abi, VHDX_TOOL_VERSION, VHDX_ABI_VERSION);
	else if (attach_flags & ~version.attach_flags)
		message_fail(EX_UNAVAILABLE, file,
			     "driver and tool do not fit: driver %.*s does not know attach flags 0x%x",
			     (int)sizeof(version.driver), version.driver,
			     attach_flags & ~version.attach_flags);
	else
		return 0;
	message_hint("install both from one version, then '%s'; see '%s'",
		     "modprobe -r " MODULE_NAME, "vhdxctl doctor");
	return EX_UNAVAILABLE;
}
