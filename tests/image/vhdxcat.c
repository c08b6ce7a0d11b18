// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the virtual disk of an image through the image layer.
 *
 * vhdxcat IMAGE                   prints its size in bytes
 * vhdxcat IMAGE OFFSET LENGTH     writes that part of it to stdout
 * vhdxcat IMAGE FILE              writes all of it to FILE, what is zero as holes
 *
 * -p PARENT, once for each parent, the image's own first
 */
#include <err.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../drivers/vhdx/image/image.h"
#include "../../tools/vhdxctl/posix_file.h"
#include "../kunit/guest.h"

#define PIECE	0x100000U
#define MAX_IMAGES	(VHDX_MAX_PARENTS + 2)

static u8 buf[PIECE];

static void must(int ret, u64 pos)
{
	if (ret) {
		errno = -ret;
		err(1, "at %llu", pos);
	}
}

static void read_piece(const struct vhdx_image *img, size_t len, u64 pos)
{
	must(guest_read(img, buf, len, pos), pos);
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
		must(guest_map(img, pos, min_t(u64, size - pos, PIECE),
			       &extent), pos);
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

static struct vhdx_image *open_image(const char *path, struct posix_file *pf,
				     struct vhdx_image *parent)
{
	char text[VHDX_ERROR_LENGTH];
	struct vhdx_image *img;
	struct vhdx_error error;
	int ret;

	ret = posix_file_open(pf, path, false);
	if (ret) {
		errno = -ret;
		err(1, "%s", path);
	}
	if (parent)
		ret = vhdx_image_open_child(&pf->file, parent, 0, &img, &error);
	else
		ret = vhdx_image_open(&pf->file, 0, &img, &error);
	if (ret) {
		vhdx_error_print(text, sizeof(text), &error);
		errx(1, "%s: %s", path, text);
	}
	return img;
}

int main(int argc, char **argv)
{
	static struct posix_file file[MAX_IMAGES];
	struct vhdx_image *img = NULL, *opened[MAX_IMAGES];
	const char *path[MAX_IMAGES];
	u32 parents = 0, n = 0;
	int opt;

	while ((opt = getopt(argc, argv, "p:")) != -1) {
		if (opt != 'p' || parents + 2 == MAX_IMAGES)
			errx(64, "at most %u times -p PARENT", MAX_IMAGES - 2);
		path[++parents] = optarg;
	}
	argc -= optind;
	argv += optind;
	if (argc < 1 || argc > 3)
		errx(64, "usage: vhdxcat [-p PARENT]... IMAGE [FILE | OFFSET LENGTH]");
	path[0] = argv[0];
	while (n <= parents) {
		img = open_image(path[parents - n], &file[n], img);
		opened[n++] = img;
	}
	if (img->metadata.has_parent && !img->parent && argc > 1)
		errx(1, "%s: has a parent", argv[0]);
	if (argc == 1)
		printf("%llu\n", img->metadata.virtual_disk_size);
	else if (argc == 2)
		to_file(img, argv[1]);
	else
		to_stdout(img, strtoull(argv[1], NULL, 0),
			  strtoull(argv[2], NULL, 0));
	while (n--) {
		vhdx_image_close(opened[n]);
		posix_file_close(&file[n]);
	}
	return 0;
}
