// SPDX-License-Identifier: GPL-2.0
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "image/sync.h"
#include "image_lock.h"
#include "message.h"
#include "open_image.h"
#include "source.h"

#define DEFAULT_SECTOR	512U

const char *const source_formats[] = {
	[SOURCE_PROBE] = NULL,
	[SOURCE_RAW] = "raw",
	[SOURCE_VHD] = "vhd",
	[SOURCE_VHDX] = "vhdx",
};

/**
 * source_parse_format - a format as the user names it
 * @command: whose option it is
 * @name: what the user says; "vpc" is QEMU's word for VHD
 * @format: receives it
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int source_parse_format(const char *command, const char *name,
			enum source_format *format)
{
	if (!strcmp(name, "vpc"))
		name = "vhd";
	for (size_t i = SOURCE_RAW; i < ARRAY_SIZE(source_formats); i++) {
		if (strcmp(name, source_formats[i]))
			continue;
		*format = (enum source_format)i;
		return 0;
	}
	return message_fail(EX_USAGE, NULL,
			    "%s: unknown format '%s': raw, vhd or vhdx", command,
			    name);
}

/* --- opening ------------------------------------------------------------------- */

static struct posix_file *file_of(struct source *source)
{
	return &source->chain.image[0]->file;
}

static int fail(const struct source *source, int ret)
{
	return message_fail_errno(source->path, "cannot read", -ret);
}

static int fail_image(const char *path, const struct vhdx_error *err)
{
	char *text = open_image_error(err);
	int code = message_fail(message_exit_code(-err->errnum), path, "%s",
				text);

	free(text);
	return code;
}

/* What the user did not mean to have copied as it lies. */
static int refuse(const struct source *source,
		  const struct source_options *options, const char *format)
{
	const char *option = options->format_option ? : "-f";

	if (source->format == SOURCE_RAW) {
		message_fail(EXIT_FAILURE, source->path,
			     "cannot read: it looks like %s", format);
		message_hint("%s raw takes the file as it lies", option);
	} else {
		message_fail(EXIT_FAILURE, source->path,
			     "cannot read as a raw disk: it looks like %s",
			     format);
		message_hint("'vhdxctl convert' copies its disk, %s raw takes the file as it lies",
			     option);
	}
	return EXIT_FAILURE;
}

/*
 * What is taken for raw as nothing else was found, and is none by what lies in it.
 * *@format: receives what it is, or NULL.
 */
static int find_foreign(struct source *source, u64 file_size,
			const char **format)
{
	static const struct {
		u64 offset;
		const char *bytes;
		size_t length;
		const char *format;
	} known[] = {
		{ 0, "QFI\xfb", 4, "qcow2" },
		{ 0, "QED", 4, "qed" },
		{ 0, "KDMV", 4, "vmdk" },
		{ 0, "COWD", 4, "vmdk" },
		{ 0, "# Disk DescriptorFile", 21, "vmdk" },
		{ 64, "\x7f\x10\xda\xbe", 4, "vdi" },
		{ 0, "WithoutFreeSpace", 16, "parallels" },
		{ 0, "WithouFreSpacExt", 16, "parallels" },
		{ 0, "conectix", 8, "vhd, damaged" },
		{ VHD_FOOTER_SIZE, "cxsparse", 8, "vhd, damaged" },
		{ VHDX_HEADER_1_OFFSET, "head", 4, "vhdx, damaged" },
		{ VHDX_HEADER_2_OFFSET, "head", 4, "vhdx, damaged" },
		{ VHDX_REGION_TABLE_1_OFFSET, "regi", 4, "vhdx, damaged" },
		{ VHDX_REGION_TABLE_2_OFFSET, "regi", 4, "vhdx, damaged" },
	};
	struct posix_file *pf = file_of(source);
	bool found;
	char buf[32];
	int ret;

	ret = vhd_find_footer(&pf->file, file_size, &found);
	if (ret)
		return ret;
	*format = found ? "vhd, damaged" : NULL;
	for (size_t i = 0; !*format && i < ARRAY_SIZE(known); i++) {
		ret = pf->file.ops->read(&pf->file, buf, known[i].length,
					 known[i].offset);
		if (ret)
			return ret;
		if (!memcmp(buf, known[i].bytes, known[i].length))
			*format = known[i].format;
	}
	return 0;
}

static int probe(struct source *source, u64 file_size)
{
	struct posix_file *pf = file_of(source);
	__le64 signature;
	bool is_vhd;
	int ret;

	ret = pf->file.ops->read(&pf->file, &signature, sizeof(signature), 0);
	if (ret)
		return ret;
	if (le64_to_cpu(signature) == VHDX_FILE_ID_SIGNATURE) {
		source->format = SOURCE_VHDX;
		return 0;
	}
	ret = vhd_probe(&pf->file, file_size, &is_vhd);
	source->format = is_vhd ? SOURCE_VHD : SOURCE_RAW;
	return ret;
}

static int open_raw(struct source *source, u64 file_size)
{
	int fd = file_of(source)->fd;
	unsigned int physical;
	int logical;

	source->size = file_size;
	source->logical_sector = DEFAULT_SECTOR;
	if (!S_ISBLK(file_of(source)->stat.st_mode))
		return 0;
	/* What counts sectors on the disk counts these. */
	if (ioctl(fd, BLKSSZGET, &logical) || ioctl(fd, BLKPBSZGET, &physical))
		return fail(source, -errno);
	source->logical_sector = (u32)logical;
	source->physical_sector = physical;
	return 0;
}

static int open_vhd(struct source *source, u64 file_size)
{
	struct vhdx_error err;

	if (vhd_open(&source->vhd, &file_of(source)->file, file_size, &err))
		return fail_image(source->path, &err);
	source->size = source->vhd.size;
	source->logical_sector = VHD_SECTOR_SIZE;
	return 0;
}

static int open_vhdx(struct source *source,
		     const struct source_options *options)
{
	struct chain *chain = &source->chain;
	struct chain_image *image = chain->image[0];
	const struct vhdx_metadata *metadata;
	struct vhdx_error err;
	int code = 0;

	if (vhdx_image_open(&image->file.file, VHDX_OPEN_NO_BLOCKS, &image->img,
			    &err))
		return open_image_fail(source->path, &image->file.stat, &err);
	if (!options->alone) {
		chain_find(chain, &options->parents, VHDX_OPEN_NO_BLOCKS);
		code = chain_check(chain, &options->parents, "cannot read",
				   false);
	}
	for (size_t i = 1; !code && !options->unlocked && i < chain->count; i++)
		code = open_image_lock(chain->image[i]->path,
				       &chain->image[i]->file, "cannot read");
	if (!code)
		code = chain_link(chain);
	if (code)
		return code;
	chain_warn(chain);
	metadata = &image->img->metadata;
	source->size = metadata->virtual_disk_size;
	source->logical_sector = metadata->logical_sector_size;
	source->physical_sector = metadata->physical_sector_size;
	return 0;
}

static int open_as(struct source *source, const struct source_options *options)
{
	struct posix_file *pf = file_of(source);
	const char *other = NULL;
	u64 size;
	int ret;

	source->format = options->format;
	ret = pf->file.ops->size(&pf->file, &size);
	if (!ret && !source->format) {
		ret = probe(source, size);
		if (!ret && source->format == SOURCE_RAW)
			ret = find_foreign(source, size, &other);
		else if (options->only_raw)
			other = source_formats[source->format];
	}
	if (ret)
		return fail(source, ret);
	if (other)
		return refuse(source, options, other);
	if (source->format == SOURCE_VHDX)
		return open_vhdx(source, options);
	if (options->parents.parents)
		return message_fail(EX_USAGE, options->parents.parent[0],
				    "--parent: %s has no parent", source->path);
	return source->format == SOURCE_VHD ? open_vhd(source, size) :
					      open_raw(source, size);
}

/**
 * source_open - open a disk for reading
 * @source: filled in; closed by source_close(), on failure too
 * @path: of it; kept
 * @options: how
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int source_open(struct source *source, const char *path,
		const struct source_options *options)
{
	struct posix_file *pf;
	int code;

	memset(source, 0, sizeof(*source));
	source->path = path;
	pf = &chain_begin(&source->chain, path)->file;
	code = open_image_file(pf, path, OPEN_IMAGE_READ);
	if (!code && !options->unlocked)
		code = open_image_lock(path, pf, "cannot read");
	return code ? code : open_as(source, options);
}

/**
 * source_close - close a disk
 * @source: from source_open(), once
 */
void source_close(struct source *source)
{
	vhd_close(&source->vhd);
	chain_end(&source->chain);
}

/* --- what is where ---------------------------------------------------------------- */

/*
 * What a file has there: holes read as zeros, and so does what is past its end. To
 * find where data ends a file system may have to walk over all of it, so that is
 * asked for once and not for each block.
 */
static int look_into_file(struct source *source, struct source_piece *piece)
{
	struct source_span *span = &source->span[piece->depth];
	u64 length = S64_MAX - piece->offset;
	int ret;

	if (piece->offset < span->start || piece->offset >= span->end) {
		ret = posix_file_next_extent(piece->file, piece->offset,
					     &length, &span->data);
		if (ret)
			return fail(source, ret);
		span->start = piece->offset;
		span->end = piece->offset + length;
	}
	piece->data = span->data;
	piece->length = min(piece->length, span->end - piece->offset);
	return 0;
}

static u32 depth_of(const struct source *source, const struct vhdx_image *img)
{
	u32 depth = 0;

	while (source->chain.image[depth]->img != img)
		depth++;
	return depth;
}

static int next_vhdx(const struct source *source, u64 pos, u64 length,
		     struct source_piece *piece)
{
	const struct vhdx_image *img = source->chain.image[0]->img;
	struct vhdx_extent extent;
	int ret;

	ret = vhdx_sync_locate(img, pos, length, &extent, &piece->state);
	if (ret)
		return fail(source, ret);
	piece->length = extent.length;
	piece->depth = depth_of(source, extent.image);
	piece->present = piece->state != VHDX_PAYLOAD_NOT_PRESENT;
	if (extent.type == VHDX_EXTENT_FILE) {
		piece->file = &source->chain.image[piece->depth]->file;
		piece->offset = extent.offset;
	} else if (piece->state == VHDX_PAYLOAD_PARTIALLY_PRESENT) {
		/* Of an image that was opened by itself. */
		piece->present = false;
	}
	return 0;
}

static int next_vhd(struct source *source, u64 pos, u64 length,
		    struct source_piece *piece)
{
	struct vhd_extent extent;
	struct vhdx_error err;

	if (vhd_map(&source->vhd, pos, length, &extent, &err))
		return fail_image(source->path, &err);
	piece->length = extent.length;
	/* There is nobody else who could have it. */
	piece->present = true;
	if (extent.present) {
		piece->file = file_of(source);
		piece->offset = extent.offset;
	}
	return 0;
}

/**
 * source_next - find out about a piece of the disk
 * @source: open
 * @pos: bytes from the start of the disk
 * @length: bytes, more than 0; @pos + @length lies inside the disk
 * @piece: receives the piece at @pos, at most @length bytes
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int source_next(struct source *source, u64 pos, u64 length,
		struct source_piece *piece)
{
	int code = 0;

	memset(piece, 0, sizeof(*piece));
	switch (source->format) {
	case SOURCE_VHDX:
		code = next_vhdx(source, pos, length, piece);
		break;
	case SOURCE_VHD:
		code = next_vhd(source, pos, length, piece);
		break;
	default:
		piece->length = length;
		piece->present = true;
		piece->file = file_of(source);
		piece->offset = pos;
		break;
	}
	if (!code && piece->file)
		code = look_into_file(source, piece);
	return code;
}

/**
 * source_read - read from a piece
 * @source: open
 * @piece: from source_next(), with data
 * @buf: receives the bytes
 * @skip: bytes from the start of the piece
 * @length: bytes; @skip + @length lies inside the piece
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int source_read(const struct source *source, const struct source_piece *piece,
		void *buf, u64 skip, size_t length)
{
	struct vhdx_file *file = &piece->file->file;
	int ret = file->ops->read(file, buf, length, piece->offset + skip);

	return ret ? fail(source, ret) : 0;
}

/**
 * source_sum - how much of the disk has to be read
 * @source: open
 * @bytes: receives it
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int source_sum(struct source *source, u64 *bytes)
{
	struct source_piece piece;

	*bytes = 0;
	for (u64 pos = 0; pos < source->size; pos += piece.length) {
		int code = source_next(source, pos, source->size - pos, &piece);

		if (code)
			return code;
		*bytes += piece.data ? piece.length : 0;
	}
	return 0;
}
