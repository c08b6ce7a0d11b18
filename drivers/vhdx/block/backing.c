// SPDX-License-Identifier: GPL-2.0
/*
 * The file of an image: struct vhdx_file_ops on a struct file, and what direct
 * I/O on it asks for.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/stat.h>

#include "block.h"

static struct file *backing_io(struct vhdx_file *file)
{
	return container_of(file, struct vhdx_backing, file)->io;
}

static int backing_read(struct vhdx_file *file, void *buf, size_t len,
			u64 offset)
{
	loff_t pos = offset;
	ssize_t n;

	while (len) {
		n = kernel_read(backing_io(file), buf, len, &pos);
		if (n < 0) {
			/* The codes of a system call to be restarted. */
			return n <= -ERESTARTSYS ? -EINTR : n;
		}
		if (!n) {
			memset(buf, 0, len);
			break;
		}
		buf += n;
		len -= n;
	}
	return 0;
}

static int backing_size(struct vhdx_file *file, u64 *size)
{
	*size = i_size_read(backing_io(file)->f_mapping->host);
	return 0;
}

static int backing_next_data(struct vhdx_file *file, u64 offset, u64 *data)
{
	loff_t pos = vfs_llseek(backing_io(file), offset, SEEK_DATA);

	if (pos == -ENXIO)
		*data = U64_MAX;
	else if (pos < 0)
		*data = offset;		/* cannot tell: may be data */
	else
		*data = pos;
	return 0;
}

static const struct vhdx_file_ops backing_ops = {
	.read = backing_read,
	.size = backing_size,
	.next_data = backing_next_data,
};

/* Finds out what direct I/O on the file takes, if it can be done at all. */
static void backing_probe_dio(struct vhdx_backing *backing,
			      const struct kstat *stat)
{
	struct inode *inode = backing->io->f_mapping->host;
	struct block_device *bdev;

	if (!(backing->io->f_mode & FMODE_CAN_ODIRECT))
		return;

	/* Only statx() itself fills the alignment in for a block device. */
	if (!S_ISBLK(inode->i_mode) && (stat->result_mask & STATX_DIOALIGN)) {
		backing->dio_mem_align = stat->dio_mem_align;
		backing->dio_offset_align = stat->dio_offset_align;
		return;
	}

	bdev = S_ISBLK(inode->i_mode) ? I_BDEV(inode) : inode->i_sb->s_bdev;
	if (bdev) {
		backing->dio_mem_align = bdev_dma_alignment(bdev) + 1;
		backing->dio_offset_align = bdev_logical_block_size(bdev);
	} else {
		/* Network and memory file systems take what they are given. */
		backing->dio_mem_align = 1;
		backing->dio_offset_align = 1;
	}
}

/**
 * vhdx_backing_open() - take a file as the backing of a read-only image
 * @handed: the file the caller handed over; a reference is taken
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * All I/O is done on a description of our own. The one handed over is shared
 * with whoever holds the descriptor: SEEK_DATA would move its position, and its
 * flags can change at any time (reads into kernel memory fail with O_DIRECT).
 *
 * While the image is attached nobody may open a regular file for writing: what
 * was checked at attach is relied on afterwards. A block device has no such
 * guard; there it is up to the administrator, as it is for loop.
 *
 * Context: process context, may sleep.
 * Return: the backing, or an ERR_PTR: -EBADF (not opened for reading), -EINVAL
 * (neither a regular file nor a block device), -ETXTBSY (swap, or open for
 * writing), or what opening it answered.
 */
struct vhdx_backing *vhdx_backing_open(struct file *handed, char *error)
{
	struct inode *inode = handed->f_mapping->host;
	struct vhdx_backing *backing;
	struct kstat stat;
	int ret;

	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return ERR_PTR(vhdx_refuse(error, -EINVAL,
					   "neither a regular file nor a block device"));
	if (!(handed->f_mode & FMODE_READ))
		return ERR_PTR(vhdx_refuse(error, -EBADF,
					   "not opened for reading"));
	if (IS_SWAPFILE(inode))
		return ERR_PTR(vhdx_refuse(error, -ETXTBSY,
					   "in use as swap space"));

	backing = kzalloc(sizeof(*backing), GFP_KERNEL);
	if (!backing)
		return ERR_PTR(-ENOMEM);
	backing->file.ops = &backing_ops;

	if (S_ISREG(inode->i_mode)) {
		ret = deny_write_access(handed);
		if (ret) {
			vhdx_refuse(error, ret, "open for writing");
			goto out_free;
		}
	}

	/*
	 * Reads for a request must not start a transaction of the file system
	 * for the time of the last access.
	 */
	backing->io = dentry_open(&handed->f_path,
				  O_RDONLY | O_LARGEFILE | O_NOATIME,
				  current_cred());
	if (IS_ERR(backing->io)) {
		ret = PTR_ERR(backing->io);
		goto out_allow_write;
	}
	if (!backing->io->f_op->read_iter) {
		ret = vhdx_refuse(error, -EINVAL, "cannot be read by a driver");
		goto out_fput;
	}

	ret = vfs_getattr(&backing->io->f_path, &stat,
			  STATX_BASIC_STATS | STATX_DIOALIGN,
			  AT_STATX_SYNC_AS_STAT);
	if (ret)
		goto out_fput;
	backing->dev = stat.dev;
	backing->ino = stat.ino;
	backing_probe_dio(backing, &stat);

	/*
	 * What is checked must be what is on disk: after a failed write-back
	 * the cache may show what the disk never got. Pages that are in use
	 * stay; there is no more to be had then, and nothing to refuse.
	 */
	filemap_write_and_wait(backing->io->f_mapping);
	invalidate_inode_pages2(backing->io->f_mapping);

	backing->handed = get_file(handed);
	return backing;

out_fput:
	fput(backing->io);
out_allow_write:
	if (S_ISREG(inode->i_mode))
		allow_write_access(handed);
out_free:
	kfree(backing);
	return ERR_PTR(ret);
}

/**
 * vhdx_backing_close() - release a file
 * @backing: from vhdx_backing_open(); no I/O is in flight, and its image is
 *	closed
 *
 * In a system call the last reference goes before that returns to user mode,
 * so the caller can attach the file again at once.
 *
 * Context: process context of a user's task, may sleep.
 */
void vhdx_backing_close(struct vhdx_backing *backing)
{
	fput(backing->io);
	if (S_ISREG(backing->handed->f_mapping->host->i_mode))
		allow_write_access(backing->handed);
	fput(backing->handed);
	kfree(backing);
}
