// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "format/format.h"
#include "posix_file.h"

/* linux/magic.h has none of them */
#define NTFS3_SUPER_MAGIC	0x7366746EU
#define NTFS_SUPER_MAGIC	0x5346544EU

static struct posix_file *to_posix_file(struct vhdx_file *file)
{
	return container_of(file, struct posix_file, file);
}

static int posix_file_read(struct vhdx_file *file, void *buf, size_t len,
			   u64 offset)
{
	int fd = to_posix_file(file)->fd;
	u8 *p = buf;

	while (len && offset <= S64_MAX) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		p += n;
		len -= (size_t)n;
		offset += (u64)n;
	}
	memset(p, 0, len);
	return 0;
}

static int posix_file_size(struct vhdx_file *file, u64 *size)
{
	int fd = to_posix_file(file)->fd;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, size))
			return -errno;
		if (to_posix_file(file)->whole_mib)
			*size = ALIGN_DOWN(*size, VHDX_MIB);
	} else {
		*size = (u64)st.st_size;
	}
	return 0;
}

static int posix_file_next_data(struct vhdx_file *file, u64 offset, u64 *data)
{
	off_t found = -1;

	errno = ENXIO;
	if (offset <= S64_MAX)
		found = lseek(to_posix_file(file)->fd, (off_t)offset,
			      SEEK_DATA);
	if (found >= 0)
		*data = (u64)found;
	else if (errno == ENXIO)
		*data = U64_MAX;
	else if (errno == EINVAL || errno == EOPNOTSUPP)
		*data = offset;
	else
		return -errno;
	return 0;
}

/**
 * posix_file_next_extent - how far data, or a hole, goes
 * @pf: open
 * @offset: bytes
 * @length: bytes, more than 0; receives how much of that is alike
 * @data: receives whether it may hold data; what lies past the end of the file is
 *	a hole
 *
 * Return: 0 or a negative errno.
 */
int posix_file_next_extent(struct posix_file *pf, u64 offset, u64 *length,
			   bool *data)
{
	off_t end;
	u64 next = offset;
	int ret;

	ret = posix_file_next_data(&pf->file, offset, &next);
	if (ret)
		return ret;
	*data = next == offset;
	if (!*data) {
		*length = min(*length, next - offset);
		return 0;
	}
	end = lseek(pf->fd, (off_t)offset, SEEK_HOLE);
	/* Without SEEK_HOLE all of it is data. */
	if (end > (off_t)offset)
		*length = min(*length, (u64)end - offset);
	return 0;
}

static int posix_file_write(struct vhdx_file *file, const void *buf, size_t len,
			    u64 offset)
{
	int fd = to_posix_file(file)->fd;
	const u8 *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
		offset += (u64)n;
	}
	return 0;
}

static int posix_file_flush(struct vhdx_file *file)
{
	return fsync(to_posix_file(file)->fd) ? -errno : 0;
}

static int write_zeros(struct vhdx_file *file, u64 offset, u64 len)
{
	static const u8 zeros[1 << 16];
	int ret = 0;

	while (!ret && len) {
		size_t n = min_t(u64, len, sizeof(zeros));

		ret = posix_file_write(file, zeros, n, offset);
		offset += n;
		len -= n;
	}
	return ret;
}

static int do_fallocate(struct vhdx_file *file, int mode, u64 offset, u64 len)
{
	int ret;

	do
		ret = fallocate(to_posix_file(file)->fd, mode, (off_t)offset,
				(off_t)len) ? -errno : 0;
	while (ret == -EINTR);
	return ret;
}

static int posix_file_punch(struct vhdx_file *file, u64 offset, u64 len)
{
	if (to_posix_file(file)->never_sparse)
		return -EOPNOTSUPP;
	return do_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    offset, len);
}

/* Both: what a file system or a device can do of it differs. */
static int posix_file_zero(struct vhdx_file *file, u64 offset, u64 len,
			   bool unmap)
{
	int ret;

	if (unmap && !to_posix_file(file)->never_sparse)
		ret = posix_file_punch(file, offset, len);
	else
		ret = do_fallocate(file, FALLOC_FL_ZERO_RANGE |
				   FALLOC_FL_KEEP_SIZE, offset, len);
	/* EINVAL: not aligned to the sectors of the device. */
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		ret = write_zeros(file, offset, len);
	return ret;
}

static int set_size(int fd, off_t size)
{
	return ftruncate(fd, size) ? -errno : 0;
}

static int posix_file_allocate(struct vhdx_file *file, u64 offset, u64 len)
{
	int fd = to_posix_file(file)->fd;
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	ret = do_fallocate(file, 0, offset, len);
	/* What ran out of space half way has made the file longer, and keeps it. */
	if (ret && offset + len > (u64)st.st_size)
		set_size(fd, st.st_size);
	return ret;
}

/* Some of these file systems make a sparse file of one that becomes longer. */
static int posix_file_resize(struct vhdx_file *file, u64 size)
{
	struct posix_file *pf = to_posix_file(file);
	struct stat st;
	int ret;

	if (pf->never_sparse && !fstat(pf->fd, &st) && size > (u64)st.st_size) {
		ret = posix_file_allocate(file, (u64)st.st_size,
					  size - (u64)st.st_size);
		if (ret != -EOPNOTSUPP)
			return ret;
	}
	return set_size(pf->fd, (off_t)size);
}

static const struct vhdx_file_ops posix_file_ops = {
	.read = posix_file_read,
	.size = posix_file_size,
	.next_data = posix_file_next_data,
	.flush = posix_file_flush,
};

static const struct vhdx_file_ops posix_file_write_ops = {
	.read = posix_file_read,
	.size = posix_file_size,
	.next_data = posix_file_next_data,
	.flush = posix_file_flush,
	.write = posix_file_write,
	.resize = posix_file_resize,
	.allocate = posix_file_allocate,
	.zero = posix_file_zero,
	.punch = posix_file_punch,
};

/* 0: not to be found out. Where f_type is a signed int the first bit of some is its sign. */
static u32 file_system(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) ? 0 : (u32)fs.f_type;
}

/*
 * Windows refuses an image that is a sparse file, so none is made one where it may
 * look.
 */
static bool is_never_sparse(int fd)
{
	switch (file_system(fd)) {
	case 0:
	case NTFS3_SUPER_MAGIC:
	case NTFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* It is open. */
static void begin(struct posix_file *pf, const struct vhdx_file_ops *ops)
{
	pf->file.ops = ops;
	pf->never_sparse = is_never_sparse(pf->fd);
	pf->whole_mib = false;
}

static bool can_hold_image(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

/**
 * posix_file_open - open an image file
 * @pf: to fill in; closed by posix_file_close()
 * @path: a regular file or a block device, or a symbolic link to one
 * @writable: the descriptor is open for writing too; the operations of image/
 *	only read all the same, until posix_file_allow_writes()
 *
 * Return: 0 or a negative errno: -EISDIR for a directory, -ENOTBLK for another
 * kind of file that cannot hold an image, or what the system call answered.
 */
int posix_file_open(struct posix_file *pf, const char *path, bool writable)
{
	int ret = -ENOTBLK;
	struct stat st;

	/* Before it is opened: a FIFO would wait, a tape would rewind. */
	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!can_hold_image(&st))
		return -ENOTBLK;
	pf->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC |
				    O_NOCTTY);
	if (pf->fd < 0)
		return -errno;
	if (fstat(pf->fd, &pf->stat))
		ret = -errno;
	else if (can_hold_image(&pf->stat))
		ret = 0;
	begin(pf, &posix_file_ops);
	if (ret)
		posix_file_close(pf);
	return ret;
}

/**
 * posix_file_allow_writes - let image/ change a file
 * @pf: opened by posix_file_open() for writing too, and locked
 *
 * An image is whole MiB, and a device cannot become so.
 */
void posix_file_allow_writes(struct posix_file *pf)
{
	pf->file.ops = &posix_file_write_ops;
	pf->whole_mib = true;
}

/**
 * posix_file_takes_holes - whether space can be taken out of the middle of a file
 * @pf: open
 *
 * A device has no holes.
 */
bool posix_file_takes_holes(const struct posix_file *pf)
{
	return S_ISREG(pf->stat.st_mode) && !pf->never_sparse;
}

/* There a lease is given to whom the server has given one, and refused to all others. */
static bool has_leases(int fd)
{
	switch (file_system(fd)) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
		return false;
	default:
		return true;
	}
}

/**
 * posix_file_has_others - whether a file is open elsewhere too
 * @pf: open for reading only
 * @writers: only who may write to it counts
 *
 * The kernel's own users, as a loop device, count as well. Only the owner of a file
 * and root can find that out, and not on every file system.
 *
 * Return: false where it cannot be found out.
 */
bool posix_file_has_others(const struct posix_file *pf, bool writers)
{
	if (!has_leases(pf->fd))
		return false;
	/* Of who opens it meanwhile a signal tells: one that does no harm. */
	if (fcntl(pf->fd, F_SETSIG, SIGURG))
		return false;
	/* Nobody is given a lease where there are others. */
	if (fcntl(pf->fd, F_SETLEASE, writers ? F_RDLCK : F_WRLCK))
		return errno == EAGAIN;
	fcntl(pf->fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* Nothing of these may be opened, or looked into, because an image says so. */
static bool is_off_limits(const char *path)
{
	static const char *const folders[] = { "/proc", "/sys", "/dev" };
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		size_t length = strlen(folders[i]);

		if (!strncmp(path, folders[i], length) &&
		    (!path[length] || path[length] == '/'))
			return true;
	}
	/* Mounted elsewhere they are no better. */
	return !statfs(path, &fs) && (fs.f_type == PROC_SUPER_MAGIC ||
				      fs.f_type == SYSFS_MAGIC);
}

/**
 * posix_file_resolve - the real path of what an image names
 * @path: as the image names it
 * @real: receives the path without symbolic links, which the caller frees
 *
 * Return: 0 or a negative errno; -EPERM: it lies below /proc, /sys or /dev,
 * where nothing is opened because an image says so.
 */
int posix_file_resolve(const char *path, char **real)
{
	*real = realpath(path, NULL);
	if (!*real)
		return -errno;
	if (!is_off_limits(*real))
		return 0;
	free(*real);
	*real = NULL;
	return -EPERM;
}

/**
 * posix_file_open_named - open a file that an image names, for reading
 * @pf: to fill in; closed by posix_file_close()
 * @real: from posix_file_resolve()
 *
 * Whoever writes images may also turn a folder into a symbolic link between
 * that and this; nothing is followed any more.
 *
 * Return: 0 or a negative errno; -ENOTBLK: not a regular file.
 */
int posix_file_open_named(struct posix_file *pf, const char *real)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		.resolve = RESOLVE_NO_SYMLINKS,
	};

	if (lstat(real, &pf->stat))
		return -errno;
	if (!S_ISREG(pf->stat.st_mode))
		return -ENOTBLK;
	pf->fd = (int)syscall(SYS_openat2, AT_FDCWD, real, &how, sizeof(how));
	if (pf->fd < 0)
		return -errno;
	begin(pf, &posix_file_ops);
	if (!fstat(pf->fd, &pf->stat) && S_ISREG(pf->stat.st_mode))
		return 0;
	posix_file_close(pf);
	return -ENOTBLK;
}

/**
 * posix_file_create - create a file for a new image
 * @pf: to fill in, with all operations that vhdx_image_create() needs; closed
 *	by posix_file_close()
 * @path: of the file, which must not exist
 * @mode: of it, less the umask
 *
 * Return: 0 or a negative errno.
 */
int posix_file_create(struct posix_file *pf, const char *path, mode_t mode)
{
	pf->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (pf->fd < 0)
		return -errno;
	begin(pf, &posix_file_write_ops);
	return 0;
}

/**
 * posix_file_open_device - open a block device that nobody else uses for writing
 * @pf: to fill in, with all operations; closed by posix_file_close()
 * @path: of the device
 *
 * Return: 0 or a negative errno; -EBUSY: it is mounted, or part of another device.
 */
int posix_file_open_device(struct posix_file *pf, const char *path)
{
	int ret = 0;

	pf->fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (pf->fd < 0)
		return -errno;
	begin(pf, &posix_file_write_ops);
	if (fstat(pf->fd, &pf->stat))
		ret = -errno;
	else if (!S_ISBLK(pf->stat.st_mode))
		ret = -ENOTBLK;
	if (ret)
		posix_file_close(pf);
	return ret;
}

/**
 * posix_file_push - have what was written go to the disk, and wait for none of it
 * @pf: open for writing
 *
 * Only a hint: what fails of it the next flush tells.
 */
void posix_file_push(const struct posix_file *pf)
{
	sync_file_range(pf->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/**
 * posix_file_close - close what posix_file_open() or one of its like opened
 * @pf: the file; it may be closed already
 */
void posix_file_close(struct posix_file *pf)
{
	if (pf->fd >= 0)
		close(pf->fd);
	pf->fd = -1;
}
