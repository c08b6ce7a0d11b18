/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * VHDX block driver: the ioctls of /dev/vhdx-control.
 *
 * Every structure has a fixed size, which the caller writes into its size
 * field. Flags that the driver does not know and reserved fields that are not
 * zero are refused with EINVAL. All of it needs CAP_SYS_ADMIN.
 */
#ifndef _UAPI_LINUX_VHDX_H
#define _UAPI_LINUX_VHDX_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VHDX_CONTROL_NAME	"vhdx-control"
#define VHDX_ABI_VERSION	2

#define VHDX_ERROR_SIZE		256
#define VHDX_MAX_FDS		65	/* an image and 64 parents */

/**
 * struct vhdx_ctl_version - what the driver is
 * @size: sizeof this structure (in)
 * @abi: VHDX_ABI_VERSION of the driver (out)
 * @attach_flags: the VHDX_ATTACH_* it knows (out)
 * @reserved: zero
 * @driver: its version, a string (out)
 */
struct vhdx_ctl_version {
	__u32 size;
	__u32 abi;
	__u32 attach_flags;
	__u32 reserved;
	char driver[48];
};

/*
 * The descriptor of an image to be written must be open for writing; nobody may
 * have a file that is only read, as every parent is, open for writing. At most one
 * of DIRECT_IO and BUFFERED_IO; without either the driver chooses, for each file.
 */
#define VHDX_ATTACH_READ_ONLY	(1U << 0)
/* detach at the last close, once somebody has claimed the disk (mounted it, ...) */
#define VHDX_ATTACH_AUTOCLEAR	(1U << 1)
#define VHDX_ATTACH_DIRECT_IO	(1U << 2)	/* or fail */
#define VHDX_ATTACH_BUFFERED_IO	(1U << 3)
#define VHDX_ATTACH_NO_PART_SCAN (1U << 4)	/* no partitions, now or later */
#define VHDX_ATTACH_NO_REPLAY	(1U << 5)	/* refuse a dirty log */
#define VHDX_ATTACH_NO_DISCARD	(1U << 6)	/* the disk cannot discard */
/* read-only: parents need not be those that the images were made from */
#define VHDX_ATTACH_IGNORE_ID_MISMATCH (1U << 7)

/**
 * struct vhdx_ctl_attach - attach an image
 * @size: sizeof this structure (in)
 * @flags: VHDX_ATTACH_* (in)
 * @index: N of the /dev/vhdxN wanted, or -1 for the first free one (in); the
 *	one given (out)
 * @nr_fds: how many descriptors @fds points to (in)
 * @fds: address of an array of __s32: the image, then its parent, then that
 *	one's parent and so on (in)
 * @reserved: zero
 * @error: why it failed, a string; empty where errno says all (out)
 */
struct vhdx_ctl_attach {
	__u32 size;
	__u32 flags;
	__s32 index;
	__u32 nr_fds;
	__aligned_u64 fds;
	__u64 reserved[4];
	char error[VHDX_ERROR_SIZE];
};

#define VHDX_DETACH_LAZY	(1U << 0)	/* when its last opener closes it */

/**
 * struct vhdx_ctl_detach - detach a disk
 * @size: sizeof this structure (in)
 * @flags: VHDX_DETACH_* (in)
 * @index: N of /dev/vhdxN (in)
 * @unclean: zero (in); when the disk is gone but its log could not be emptied,
 *	the errno of why: the next attach replays it (out)
 */
struct vhdx_ctl_detach {
	__u32 size;
	__u32 flags;
	__s32 index;
	__u32 unclean;
};

/**
 * struct vhdx_ctl_change - change the image of a disk, which may be in use
 * @size: sizeof this structure (in)
 * @flags: zero
 * @index: N of /dev/vhdxN (in)
 * @reserved: zero
 * @disk_size: of RESIZE, the new size in bytes, not less than the old one;
 *	otherwise zero
 * @freed: zero (in); how many bytes the file takes less of its file system (out)
 * @reserved2: zero
 * @error: why it failed, a string; empty where errno says all (out)
 */
struct vhdx_ctl_change {
	__u32 size;
	__u32 flags;
	__s32 index;
	__u32 reserved;
	__aligned_u64 disk_size;
	__aligned_u64 freed;
	__u64 reserved2[2];
	char error[VHDX_ERROR_SIZE];
};

#define VHDX_CTL_MAGIC		0xD5

/* VERSION and DETACH are the same in all versions of the ABI. */
#define VHDX_CTL_VERSION	_IOWR(VHDX_CTL_MAGIC, 0, struct vhdx_ctl_version)
#define VHDX_CTL_ATTACH		_IOWR(VHDX_CTL_MAGIC, 1, struct vhdx_ctl_attach)
#define VHDX_CTL_DETACH		_IOWR(VHDX_CTL_MAGIC, 2, struct vhdx_ctl_detach)
#define VHDX_CTL_RESIZE		_IOWR(VHDX_CTL_MAGIC, 3, struct vhdx_ctl_change)
#define VHDX_CTL_COMPACT	_IOWR(VHDX_CTL_MAGIC, 4, struct vhdx_ctl_change)

#endif
