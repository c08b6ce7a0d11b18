// SPDX-License-Identifier: GPL-2.0
/*
 * The file of an image: struct vhdx_file_ops on a struct file, what direct I/O
 * on it asks for, and who else may use it.
 *
 * The list of all backings keeps a file that is written from being attached a
 * second time, by whatever name: a file system and the disk below it may both be
 * named here, but one inode stays one inode. What is only read may be read by many,
 * as an image and as a parent of others.
 */
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/stat.h>

#include "block.h"

/* Their file systems keep them to themselves. */
#define NTFS3_MAGIC		0x7366746e
#define NTFS_MAGIC		0x5346544e

static LIST_HEAD(vhdx_backings);
static DEFINE_MUTEX(vhdx_backings_mutex);

static bool zeroed_growth;
module_param(zeroed_growth, bool, 0644);
MODULE_PARM_DESC(zeroed_growth, "Write zeros where a file grows, so that first writes find written extents");

static struct vhdx_backing *to_backing(struct vhdx_file *file)
{
	return container_of(file, struct vhdx_backing, file);
}

static struct file *backing_io(struct vhdx_file *file)
{
	return to_backing(file)->io;
}

static struct inode *io_inode(const struct file *io)
{
	return io->f_mapping->host;
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
	struct inode *inode = io_inode(backing_io(file));

	*size = i_size_read(inode);
	/* What is left at the end of a device is never part of an image. */
	if (to_backing(file)->writable && S_ISBLK(inode->i_mode))
		*size = ALIGN_DOWN(*size, VHDX_MIB);
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

static int backing_write(struct vhdx_file *file, const void *buf, size_t len,
			 u64 offset)
{
	loff_t pos = offset;
	ssize_t n;

	while (len) {
		n = kernel_write(backing_io(file), buf, len, &pos);
		if (n <= 0)
			return n ? n : -EIO;
		buf += n;
		len -= n;
	}
	return 0;
}

/*
 * The data that goes with a size or an allocation is what fdatasync() promises;
 * time stamps are worth no commit of the file system's.
 */
static int backing_flush(struct vhdx_file *file)
{
	struct file *io = backing_io(file);
	int ret = vfs_fsync(io, 1);

	/* A FUA write syncs too, and may have been told instead of us. */
	return ret ? : filemap_check_wb_err(io->f_mapping,
					    to_backing(file)->wb_err);
}

/*
 * A work has the rights of the kernel: a file system over the network knows them
 * as nobody's, and a local one gives them the space that is kept for root. So
 * what changes size or space of the file, or asks for it, is done with those of who
 * attached it.
 */
static int backing_truncate(struct file *io, u64 size)
{
	const struct cred *saved = override_creds(io->f_cred);
	int ret = vfs_truncate(&io->f_path, size);

	revert_creds(saved);
	return ret;
}

static int backing_fallocate(struct file *io, int mode, u64 offset, u64 len)
{
	const struct cred *saved = override_creds(io->f_cred);
	int ret = vfs_fallocate(io, mode, offset, len);

	revert_creds(saved);
	return ret;
}

/*
 * Past the page cache, which knows nothing of a direct write that is under way to
 * another sector of the same page: its old data would come after it.
 */
static int write_zeros_directly(struct file *io, u64 offset, u64 len)
{
	unsigned int nr = DIV_ROUND_UP(min_t(u64, len, SZ_1M), PAGE_SIZE), i;
	struct iov_iter iter;
	struct bio_vec *bvec;
	struct kiocb iocb;
	ssize_t n = 0;

	bvec = kmalloc_array(nr, sizeof(*bvec), GFP_NOIO | __GFP_NOFAIL);
	for (i = 0; i < nr; i++)
		bvec[i] = (struct bio_vec) {
			.bv_page = ZERO_PAGE(0),
			.bv_len = PAGE_SIZE,
		};
	init_sync_kiocb(&iocb, io);
	iocb.ki_flags |= IOCB_DIRECT | IOCB_WRITE;
	iocb.ki_pos = offset;
	for (; len; len -= n) {
		iov_iter_bvec(&iter, ITER_SOURCE, bvec, nr,
			      min_t(u64, len, nr * PAGE_SIZE));
		file_start_write(io);
		n = io->f_op->write_iter(&iocb, &iter);
		file_end_write(io);
		if (n <= 0)
			break;
	}
	kfree(bvec);
	return !len ? 0 : n ? n : -EIO;
}

static int write_zeros(struct vhdx_file *file, u64 offset, u64 len)
{
	const void *zeros = page_address(ZERO_PAGE(0));
	int ret = -EOPNOTSUPP;
	size_t n;

	if (to_backing(file)->dio)
		ret = write_zeros_directly(backing_io(file), offset, len);
	if (!vhdx_backing_refuses_dio(ret))
		return ret;
	for (; len; offset += n, len -= n) {
		n = min_t(u64, len, PAGE_SIZE - offset_in_page(offset));
		ret = backing_write(file, zeros, n, offset);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int backing_allocate(struct vhdx_file *file, u64 offset, u64 len)
{
	struct file *io = backing_io(file);
	u64 size = i_size_read(io_inode(io));
	int ret = -EOPNOTSUPP;

	if (S_ISBLK(io_inode(io)->i_mode))
		return ret;
	/* What a clone of the file shares would need space when written to. */
	if (offset + len <= size)
		ret = backing_fallocate(io, FALLOC_FL_UNSHARE_RANGE, offset,
					len);
	if (ret == -EOPNOTSUPP)
		ret = backing_fallocate(io, 0, offset, len);
	if (!ret && offset + len > size && READ_ONCE(zeroed_growth))
		ret = write_zeros(file, max(offset, size),
				  offset + len - max(offset, size));
	/* What ran out of space half way has made the file longer, and keeps it. */
	if (ret && i_size_read(io_inode(io)) > size)
		backing_truncate(io, size);
	return ret;
}

/* Some file systems where holes are unwelcome make one of what a file becomes longer by. */
static int backing_resize(struct vhdx_file *file, u64 size)
{
	struct file *io = backing_io(file);
	u64 old = i_size_read(io_inode(io));
	int ret = -EOPNOTSUPP;

	if (S_ISBLK(io_inode(io)->i_mode))
		return size > old ? -ENOSPC : -EOPNOTSUPP;
	if (size > old && !to_backing(file)->can_punch)
		ret = backing_allocate(file, old, size - old);
	return ret == -EOPNOTSUPP ? backing_truncate(io, size) : ret;
}

static int backing_punch(struct vhdx_file *file, u64 offset, u64 len)
{
	if (!to_backing(file)->can_punch)
		return -EOPNOTSUPP;
	return backing_fallocate(backing_io(file), FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, offset, len);
}

static int backing_zero(struct vhdx_file *file, u64 offset, u64 len, bool unmap)
{
	struct file *io = backing_io(file);
	int ret = -EOPNOTSUPP;

	if (unmap)
		ret = backing_punch(file, offset, len);
	if (ret == -EOPNOTSUPP)
		ret = backing_fallocate(io, FALLOC_FL_ZERO_RANGE |
					FALLOC_FL_KEEP_SIZE, offset, len);
	/* EINVAL: not aligned to the sectors of the device. */
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		ret = write_zeros(file, offset, len);
	return ret;
}

static const struct vhdx_file_ops backing_ops = {
	.read = backing_read,
	.size = backing_size,
	.next_data = backing_next_data,
	.write = backing_write,
	.flush = backing_flush,
	.resize = backing_resize,
	.allocate = backing_allocate,
	.zero = backing_zero,
	.punch = backing_punch,
};

/* Windows refuses an image that is a sparse file. */
static bool holes_are_welcome(const struct inode *inode)
{
	switch (inode->i_sb->s_magic) {
	case NTFS3_MAGIC:
	case NTFS_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
		return false;
	default:
		return true;
	}
}

/*
 * May what is being written not change? Checksums are made of it on its way. btrfs has
 * them and says so to nobody.
 */
static bool wants_stable_pages(struct inode *inode)
{
	struct super_block *sb = inode->i_sb;

	if (S_ISBLK(inode->i_mode))
		return bdev_stable_writes(I_BDEV(inode));
	return sb->s_iflags & SB_I_STABLE_WRITES ||
	       sb->s_magic == BTRFS_SUPER_MAGIC ||
	       (sb->s_bdev && bdev_stable_writes(sb->s_bdev));
}

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

/* Under vhdx_backings_mutex. */
static int refuse_user(const struct vhdx_backing *other, char *error)
{
	const char *how = other->writable ? "for writing" : "read-only";

	if (other->index < 0)
		return vhdx_refuse(error, -EBUSY, "already attached %s", how);
	if (other->is_parent)
		return vhdx_refuse(error, -EBUSY,
				   "in use as a parent of vhdx%d", other->index);
	return vhdx_refuse(error, -EBUSY, "already attached %s as vhdx%d", how,
			   other->index);
}

static int backing_register(struct vhdx_backing *backing, char *error)
{
	struct inode *inode = io_inode(backing->handed);
	struct vhdx_backing *other;
	int ret = 0;

	mutex_lock(&vhdx_backings_mutex);
	list_for_each_entry(other, &vhdx_backings, link) {
		if (io_inode(other->handed) != inode ||
		    (!other->writable && !backing->writable))
			continue;
		ret = refuse_user(other, error);
		break;
	}
	if (!ret)
		list_add(&backing->link, &vhdx_backings);
	mutex_unlock(&vhdx_backings_mutex);
	return ret;
}

static void backing_unregister(struct vhdx_backing *backing)
{
	mutex_lock(&vhdx_backings_mutex);
	list_del(&backing->link);
	mutex_unlock(&vhdx_backings_mutex);
}

/* A file that is only read must not change; a file has no writers then. */
static bool denies_write(const struct vhdx_backing *backing)
{
	return !backing->writable &&
	       S_ISREG(io_inode(backing->handed)->i_mode);
}

/* Our own description of the file, for all I/O. */
static int backing_open_io(struct vhdx_backing *backing, char *error)
{
	/*
	 * Reads for a request must not start a transaction of the file system
	 * for the time of the last access. O_EXCL claims a block device, so
	 * that nobody mounts it.
	 */
	int flags = O_LARGEFILE | O_NOATIME;

	if (backing->writable) {
		flags |= O_RDWR;
		if (S_ISBLK(io_inode(backing->handed)->i_mode))
			flags |= O_EXCL;
	}
	backing->io = dentry_open(&backing->handed->f_path, flags,
				  current_cred());
	if (IS_ERR(backing->io))
		return PTR_ERR(backing->io);
	backing->wb_err = filemap_sample_wb_err(backing->io->f_mapping);
	if (!backing->io->f_op->read_iter ||
	    (backing->writable && (!backing->io->f_op->write_iter ||
				   !backing->io->f_op->fsync))) {
		fput(backing->io);
		return vhdx_refuse(error, -EINVAL,
				   "cannot be used by a driver");
	}
	return 0;
}

static int backing_check(struct file *handed, bool writable, char *error)
{
	struct inode *inode = io_inode(handed);

	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return vhdx_refuse(error, -EINVAL,
				   "neither a regular file nor a block device");
	if (!(handed->f_mode & FMODE_READ))
		return vhdx_refuse(error, -EBADF, "not opened for reading");
	if (writable && !(handed->f_mode & FMODE_WRITE))
		return vhdx_refuse(error, -EBADF, "not opened for writing");
	if (IS_SWAPFILE(inode))
		return vhdx_refuse(error, -ETXTBSY, "in use as swap space");
	/* open() lets a device through that blockdev made read-only. */
	if (writable && S_ISBLK(inode->i_mode) && bdev_read_only(I_BDEV(inode)))
		return vhdx_refuse(error, -EROFS, "the device is read-only");
	return 0;
}

/* Nobody writes to the file now; where it is only read, nobody will. */
static int refuse_writers(const struct vhdx_backing *backing, char *error)
{
	struct file *handed = backing->handed;
	int ret = 0;

	if (denies_write(backing))
		ret = deny_write_access(handed);
	else if (S_ISREG(io_inode(handed)->i_mode) &&
		 atomic_read(&file_inode(handed)->i_writecount) > 1)
		ret = -ETXTBSY;		/* one is @handed itself */
	return ret ? vhdx_refuse(error, ret, "open for writing") : 0;
}

/**
 * vhdx_backing_open() - take a file as the backing of an image
 * @handed: the file the caller handed over; a reference is taken
 * @writable: the image is to be written
 * @error: VHDX_ERROR_SIZE bytes, for a text that says what is wrong
 *
 * All I/O is done on a description of our own. The one handed over is shared
 * with whoever holds the descriptor: SEEK_DATA would move its position, its
 * flags can change at any time (O_APPEND would send every write to the end), and
 * an error of write-back is told only once to each description.
 *
 * While an image is attached read-only nobody may open a regular file for
 * writing: what was checked at attach is relied on afterwards. One that is
 * written is guarded by the locks on @handed, and a block device by O_EXCL;
 * other writers of a block device that is only read are up to the
 * administrator, as they are for loop.
 *
 * Context: process context, may sleep.
 * Return: the backing, or an ERR_PTR: -EBADF (not opened for what is wanted),
 * -EINVAL (neither a regular file nor a block device), -ETXTBSY (swap, or open
 * for writing), -EROFS (a read-only device), -EBUSY (attached already), -ENOMEM,
 * or what opening it answered.
 */
struct vhdx_backing *vhdx_backing_open(struct file *handed, bool writable,
				       char *error)
{
	struct vhdx_backing *backing;
	struct kstat stat;
	int ret;

	ret = backing_check(handed, writable, error);
	if (ret)
		return ERR_PTR(ret);

	backing = kzalloc(sizeof(*backing), GFP_KERNEL);
	if (!backing)
		return ERR_PTR(-ENOMEM);
	backing->file.ops = &backing_ops;
	backing->writable = writable;
	backing->index = -1;
	backing->handed = handed;

	ret = backing_register(backing, error);
	if (ret)
		goto out_free;
	ret = refuse_writers(backing, error);
	if (ret)
		goto out_unregister;
	ret = backing_open_io(backing, error);
	if (ret)
		goto out_allow_write;

	ret = vfs_getattr(&backing->io->f_path, &stat,
			  STATX_BASIC_STATS | STATX_DIOALIGN,
			  AT_STATX_SYNC_AS_STAT);
	if (ret)
		goto out_fput;
	backing->dev = stat.dev;
	backing->ino = stat.ino;
	backing->can_punch = holes_are_welcome(file_inode(backing->io));
	/* A server may carry out later what it was given up on. */
	backing->may_pad = io_inode(backing->io)->i_sb->s_type->fs_flags &
			   FS_REQUIRES_DEV;
	backing->stable_pages = wants_stable_pages(io_inode(backing->io));
	backing_probe_dio(backing, &stat);

	/*
	 * What is checked must be what is on disk: after a failed write-back
	 * the cache may show what the disk never got. Pages that are in use
	 * stay; there is no more to be had then, and nothing to refuse.
	 */
	filemap_write_and_wait(backing->io->f_mapping);
	invalidate_inode_pages2(backing->io->f_mapping);

	get_file(handed);
	return backing;

out_fput:
	fput(backing->io);
out_allow_write:
	if (denies_write(backing))
		allow_write_access(handed);
out_unregister:
	backing_unregister(backing);
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
 * Context: process context, may sleep.
 */
void vhdx_backing_close(struct vhdx_backing *backing)
{
	fput(backing->io);
	if (denies_write(backing))
		allow_write_access(backing->handed);
	backing_unregister(backing);
	fput(backing->handed);
	/* A kernel thread has no return to user mode. */
	if (current->flags & PF_KTHREAD)
		flush_delayed_fput();
	kfree(backing);
}

/**
 * vhdx_backing_set_user() - remember what for a file is in use
 * @backing: the file
 * @index: N of /dev/vhdxN
 * @is_parent: of an image that is attached, not that image itself
 *
 * Context: process context, may sleep.
 */
void vhdx_backing_set_user(struct vhdx_backing *backing, int index,
			   bool is_parent)
{
	mutex_lock(&vhdx_backings_mutex);
	backing->index = index;
	backing->is_parent = is_parent;
	mutex_unlock(&vhdx_backings_mutex);
}

/**
 * vhdx_backing_granularity() - what the file can give back at least
 * @backing: the file
 *
 * Context: any.
 * Return: bytes, a power of two; 0 when it gives nothing back.
 */
unsigned int vhdx_backing_granularity(const struct vhdx_backing *backing)
{
	struct inode *inode = io_inode(backing->io);

	if (!backing->can_punch)
		return 0;
	if (S_ISBLK(inode->i_mode))
		return max(bdev_discard_granularity(I_BDEV(inode)),
			   bdev_logical_block_size(I_BDEV(inode)));
	return i_blocksize(inode);
}

/**
 * vhdx_backing_used() - what the file takes of its file system
 * @backing: the file
 *
 * Context: process context, may sleep.
 * Return: bytes; 0 for a device, and where the file system does not say.
 */
u64 vhdx_backing_used(const struct vhdx_backing *backing)
{
	const struct cred *saved = override_creds(backing->io->f_cred);
	struct kstat stat;
	int ret = vfs_getattr(&backing->io->f_path, &stat, STATX_BLOCKS,
			      AT_STATX_SYNC_AS_STAT);

	revert_creds(saved);
	return ret ? 0 : stat.blocks << SECTOR_SHIFT;
}

/**
 * vhdx_backing_start_write() - before an asynchronous write
 * @iocb: of the write
 * @wait: while the file system is frozen
 *
 * Context: process context.
 * Return: false when the file system is frozen, and never with @wait.
 */
bool vhdx_backing_start_write(struct kiocb *iocb, bool wait)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	if (!S_ISREG(inode->i_mode))
		return true;
	if (wait) {
		kiocb_start_write(iocb);
		return true;
	}
	if (!sb_start_write_trylock(inode->i_sb))
		return false;
	/* Another task may end it, as with kiocb_start_write(). */
	__sb_writers_release(inode->i_sb, SB_FREEZE_WRITE);
	return true;
}

/**
 * vhdx_backing_may_pad() - may zeros be written around data, and is it worth it?
 * @backing: open for writing
 *
 * Context: any.
 * Return: true when first writes to what the file grew by may gain by that.
 */
bool vhdx_backing_may_pad(const struct vhdx_backing *backing)
{
	return READ_ONCE(backing->may_pad) && !READ_ONCE(zeroed_growth);
}

/**
 * vhdx_backing_end_write() - after an asynchronous write
 * @iocb: of the write, that vhdx_backing_start_write() said true to
 *
 * Context: any.
 */
void vhdx_backing_end_write(struct kiocb *iocb)
{
	if (S_ISREG(file_inode(iocb->ki_filp)->i_mode))
		kiocb_end_write(iocb);
}
