// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "posix_file.h"

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

static const struct vhdx_file_ops posix_file_ops = {
	.read = posix_file_read,
	.size = posix_file_size,
	.next_data = posix_file_next_data,
};

static bool can_hold_image(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

/**
 * posix_file_open - open an image file
 * @pf: to fill in; closed by posix_file_close()
 * @path: a regular file or a block device, or a symbolic link to one
 * @writable: the descriptor is open for writing too; the operations of image/
 *	only read all the same
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
	if (ret)
		close(pf->fd);
	pf->file.ops = &posix_file_ops;
	return ret;
}

/**
 * posix_file_close - close what posix_file_open() opened
 * @pf: the file
 */
void posix_file_close(struct posix_file *pf)
{
	close(pf->fd);
}
