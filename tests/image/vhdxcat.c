// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the virtual disk of an image without a parent through the image layer.
 *
 * vhdxcat IMAGE                   prints its size in bytes
 * vhdxcat IMAGE OFFSET LENGTH     writes that part of it to stdout
 * vhdxcat IMAGE FILE              writes all of it to FILE, what is zero as holes
 */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../drivers/vhdx/image/image.h"
#include "../../tools/vhdxctl/posix_file.h"
#include "../kunit/guest.h"

#define PIECE	0x100000U

static u8 buf[PIECE];

static void read_piece(const struct vhdx_image *img, size_t len, u64 pos)
{
	int ret = guest_read(img, buf, len, pos);

	if (ret) {
		errno = -ret;
		err(1, "at %llu", pos);
	}
}

static void to_stdout(const struct vhdx_image *img, u64 pos, u64 len)
{
	if (pos > img->metadata.virtual_disk_size ||
	    len > img->metadata.virtual_disk_size - pos)
		errx(64, "outside of the disk");
	while (len) {
		size_t n = min_t(u64, len, PIECE);

		read_piece(img, n, pos);
		if (fwrite(buf, 1, n, stdout) != n)
			err(1, "stdout");
		pos += n;
		len -= n;
	}
	if (fflush(stdout))
		err(1, "stdout");
}

static void to_file(const struct vhdx_image *img, const char *path)
{
	const u64 size = img->metadata.virtual_disk_size;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct vhdx_extent extent;
	u64 pos;

	if (fd < 0 || ftruncate(fd, size))
		err(1, "%s", path);
	for (pos = 0; pos < size; pos += extent.length) {
		vhdx_image_map(img, pos, min_t(u64, size - pos, PIECE),
			       &extent);
		if (extent.type == VHDX_EXTENT_ZERO)
			continue;
		read_piece(img, extent.length, pos);
		if (pwrite(fd, buf, extent.length, pos) !=
		    (ssize_t)extent.length)
			err(1, "%s", path);
	}
	if (close(fd))
		err(1, "%s", path);
}

int main(int argc, char **argv)
{
	char text[VHDX_ERROR_LENGTH];
	struct vhdx_image *img;
	struct vhdx_error error;
	struct posix_file pf;
	int ret;

	if (argc < 2 || argc > 4)
		errx(64, "usage: vhdxcat IMAGE [FILE | OFFSET LENGTH]");
	ret = posix_file_open(&pf, argv[1], false);
	if (ret) {
		errno = -ret;
		err(1, "%s", argv[1]);
	}
	if (vhdx_image_open(&pf.file, 0, &img, &error)) {
		vhdx_error_print(text, sizeof(text), &error);
		errx(1, "%s: %s", argv[1], text);
	}
	if (img->metadata.has_parent && argc > 2)
		errx(1, "%s: has a parent", argv[1]);
	if (argc == 2)
		printf("%llu\n", img->metadata.virtual_disk_size);
	else if (argc == 3)
		to_file(img, argv[2]);
	else
		to_stdout(img, strtoull(argv[2], NULL, 0),
			  strtoull(argv[3], NULL, 0));
	vhdx_image_close(img);
	posix_file_close(&pf);
	return 0;
}
