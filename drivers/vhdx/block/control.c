// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/vhdx-control: the ioctls of include/uapi/linux/vhdx.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vhdx.h>

#include "block.h"

#define VHDX_ATTACH_FLAGS						\
	(VHDX_ATTACH_READ_ONLY | VHDX_ATTACH_AUTOCLEAR |		\
	 VHDX_ATTACH_DIRECT_IO | VHDX_ATTACH_BUFFERED_IO |		\
	 VHDX_ATTACH_NO_PART_SCAN | VHDX_ATTACH_NO_REPLAY |		\
	 VHDX_ATTACH_NO_DISCARD | VHDX_ATTACH_IGNORE_ID_MISMATCH)

/**
 * vhdx_refuse() - say why something is refused
 * @error: VHDX_ERROR_SIZE bytes, for the text
 * @errnum: negative errno
 * @fmt: the text, without a newline
 *
 * Context: any.
 * Return: @errnum.
 */
int vhdx_refuse(char *error, int errnum, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vscnprintf(error, VHDX_ERROR_SIZE, fmt, args);
	va_end(args);
	return errnum;
}

/*
 * Copies a structure in whose first field is its size. A caller that knows
 * another structure than this one is refused before the rest of it is touched.
 */
static void *vhdx_copy_arg(void __user *arg, u32 size)
{
	u32 user_size;

	if (get_user(user_size, (u32 __user *)arg))
		return ERR_PTR(-EFAULT);
	if (user_size != size)
		return ERR_PTR(-EINVAL);
	return memdup_user(arg, size);
}

static long vhdx_ctl_version(void __user *arg)
{
	struct vhdx_ctl_version *version;
	long ret = 0;

	version = vhdx_copy_arg(arg, sizeof(*version));
	if (IS_ERR(version))
		return PTR_ERR(version);
	if (version->reserved) {
		ret = -EINVAL;
		goto out;
	}

	version->abi = VHDX_ABI_VERSION;
	version->attach_flags = VHDX_ATTACH_FLAGS;
	strscpy_pad(version->driver, VHDX_DRIVER_VERSION,
		    sizeof(version->driver));
	if (copy_to_user(arg, version, sizeof(*version)))
		ret = -EFAULT;
out:
	kfree(version);
	return ret;
}

/*
 * From files to a disk. @uindex is where the caller wants the number of the
 * disk, and is written before there is one: an attach that fails leaves none.
 */
static int vhdx_attach_files(struct file **files,
			     const struct vhdx_ctl_attach *attach,
			     s32 __user *uindex, char *error)
{
	struct vhdx_device *device;
	struct vhdx_image *image;
	int ret;

	image = vhdx_chain_open(files, attach->nr_fds, attach->flags, error);
	if (IS_ERR(image))
		return PTR_ERR(image);

	device = vhdx_device_create(attach->index, attach->flags, image, error);
	if (IS_ERR(device)) {
		vhdx_chain_close(image);
		return PTR_ERR(device);
	}

	ret = put_user(device->index, uindex);
	if (!ret)
		ret = vhdx_device_add(device, error);
	if (ret)
		vhdx_device_destroy(device);
	return ret;
}

static void vhdx_attach_put_files(struct file **files, u32 count)
{
	while (count--)
		fput(files[count]);
	kfree(files);
}

/* A reference to the file behind each descriptor, or an ERR_PTR. */
static struct file **vhdx_attach_get_files(const struct vhdx_ctl_attach *attach,
					   char *error)
{
	s32 __user *ufds = u64_to_user_ptr(attach->fds);
	struct file **files;
	u32 i;
	s32 fd;
	int ret;

	files = kcalloc(attach->nr_fds, sizeof(*files), GFP_KERNEL);
	if (!files)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < attach->nr_fds; i++) {
		if (get_user(fd, ufds + i)) {
			ret = -EFAULT;
			goto out_put;
		}
		files[i] = fget(fd);
		if (!files[i]) {
			ret = i ? vhdx_refuse(error, -EBADF,
					      "parent %u: no open descriptor", i) :
				  -EBADF;
			goto out_put;
		}
	}
	return files;

out_put:
	vhdx_attach_put_files(files, i);
	return ERR_PTR(ret);
}

static int vhdx_attach_check(const struct vhdx_ctl_attach *attach, char *error)
{
	if (attach->flags & ~VHDX_ATTACH_FLAGS)
		return vhdx_refuse(error, -EINVAL, "unknown flags 0x%x",
				   attach->flags & ~VHDX_ATTACH_FLAGS);
	if (attach->flags & VHDX_ATTACH_DIRECT_IO &&
	    attach->flags & VHDX_ATTACH_BUFFERED_IO)
		return vhdx_refuse(error, -EINVAL,
				   "direct and buffered I/O at once");
	if (attach->flags & VHDX_ATTACH_IGNORE_ID_MISMATCH &&
	    !(attach->flags & VHDX_ATTACH_READ_ONLY))
		return vhdx_refuse(error, -EINVAL,
				   "a parent that does not match, and not read-only");
	if (memchr_inv(attach->reserved, 0, sizeof(attach->reserved)))
		return vhdx_refuse(error, -EINVAL,
				   "reserved fields are not zero");
	if (attach->index < -1)
		return vhdx_refuse(error, -EINVAL, "no such device number: %d",
				   attach->index);
	if (!attach->nr_fds || attach->nr_fds > VHDX_MAX_FDS)
		return vhdx_refuse(error, -EINVAL,
				   "%u descriptors, which is not 1 to %d",
				   attach->nr_fds, VHDX_MAX_FDS);
	return 0;
}

static long vhdx_ctl_attach(struct vhdx_ctl_attach __user *arg)
{
	struct vhdx_ctl_attach *attach;
	struct file **files;
	char *error;
	int ret;

	attach = vhdx_copy_arg(arg, sizeof(*attach));
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	error = attach->error;
	memset(error, 0, VHDX_ERROR_SIZE);
	if (copy_to_user(arg->error, error, VHDX_ERROR_SIZE)) {
		ret = -EFAULT;
		goto out;
	}

	ret = vhdx_attach_check(attach, error);
	if (ret)
		goto out_error;
	files = vhdx_attach_get_files(attach, error);
	if (IS_ERR(files)) {
		ret = PTR_ERR(files);
		goto out_error;
	}
	ret = vhdx_attach_files(files, attach, &arg->index, error);
	if (ret && *error)
		pr_err("%pD4: %s\n", files[0], error);
	vhdx_attach_put_files(files, attach->nr_fds);
out_error:
	/* Should the text get lost, the errno still tells. */
	if (*error && copy_to_user(arg->error, error, VHDX_ERROR_SIZE))
		pr_debug("no place for: %s\n", error);
out:
	kfree(attach);
	return ret;
}

static long vhdx_ctl_detach(struct vhdx_ctl_detach __user *arg)
{
	struct vhdx_ctl_detach *detach;
	long ret = -EINVAL;
	int unclean = 0;

	detach = vhdx_copy_arg(arg, sizeof(*detach));
	if (IS_ERR(detach))
		return PTR_ERR(detach);
	if (!(detach->flags & ~VHDX_DETACH_LAZY) && !detach->unclean)
		ret = vhdx_device_detach(detach->index,
					 detach->flags & VHDX_DETACH_LAZY,
					 &unclean);
	/* Should this get lost, the kernel log still tells. */
	if (unclean && put_user(-unclean, &arg->unclean))
		pr_debug("no place for errno %d\n", -unclean);
	kfree(detach);
	return ret;
}

static int vhdx_change_check(const struct vhdx_ctl_change *change,
			     bool resize, char *error)
{
	if (change->flags)
		return vhdx_refuse(error, -EINVAL, "unknown flags 0x%x",
				   change->flags);
	if (change->reserved || change->freed ||
	    memchr_inv(change->reserved2, 0, sizeof(change->reserved2)) ||
	    (change->disk_size && !resize))
		return vhdx_refuse(error, -EINVAL,
				   "reserved fields are not zero");
	return 0;
}

static long vhdx_ctl_change(struct vhdx_ctl_change __user *arg, bool resize)
{
	struct vhdx_ctl_change *change;
	long ret;

	change = vhdx_copy_arg(arg, sizeof(*change));
	if (IS_ERR(change))
		return PTR_ERR(change);
	memset(change->error, 0, VHDX_ERROR_SIZE);
	if (copy_to_user(arg->error, change->error, VHDX_ERROR_SIZE)) {
		ret = -EFAULT;
		goto out;
	}
	ret = vhdx_change_check(change, resize, change->error);
	if (!ret && resize)
		ret = vhdx_device_resize(change->index, change->disk_size,
					 change->error);
	else if (!ret)
		ret = vhdx_device_compact(change->index, &change->freed,
					  change->error);
	if (ret && *change->error)
		pr_err("vhdx%d: %s\n", change->index, change->error);
	/* Should this get lost, the errno still tells, and so does the disk. */
	if (copy_to_user(arg, change, sizeof(*change)))
		pr_debug("no place for: %s\n", change->error);
out:
	kfree(change);
	return ret;
}

static long vhdx_control_ioctl(struct file *file, unsigned int cmd,
			       unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	switch (cmd) {
	case VHDX_CTL_VERSION:
		return vhdx_ctl_version(uarg);
	case VHDX_CTL_ATTACH:
		return vhdx_ctl_attach(uarg);
	case VHDX_CTL_DETACH:
		return vhdx_ctl_detach(uarg);
	case VHDX_CTL_RESIZE:
		return vhdx_ctl_change(uarg, true);
	case VHDX_CTL_COMPACT:
		return vhdx_ctl_change(uarg, false);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations vhdx_control_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = vhdx_control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice vhdx_control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = VHDX_CONTROL_NAME,
	.mode = 0600,
	.fops = &vhdx_control_fops,
};

/**
 * vhdx_control_register() - make /dev/vhdx-control
 *
 * Context: process context, once, when the module is loaded.
 * Return: 0 or a negative errno.
 */
int __init vhdx_control_register(void)
{
	return misc_register(&vhdx_control);
}

/**
 * vhdx_control_unregister() - remove /dev/vhdx-control
 *
 * Context: process context, when the module is unloaded.
 */
void vhdx_control_unregister(void)
{
	misc_deregister(&vhdx_control);
}
