// SPDX-License-Identifier: GPL-2.0
/*
 * Opening an image, in the order in which each structure can be trusted: the
 * file identifier, the headers, the log (with a dirty one laid over all that
 * follows), the region table, the metadata, the BAT.
 */
#include "bitmap.h"
#include "block_map.h"
#include "internal.h"
#include "journal.h"
#include "space.h"

/**
 * vhdx_no_memory() - report that memory ran out
 * @err: filled in
 * @structure: what it was for
 * @offset: where that lies, bytes from the start of the file
 *
 * Return: -ENOMEM.
 */
int vhdx_no_memory(struct vhdx_error *err, const char *structure, u64 offset)
{
	return vhdx_fail(err, -ENOMEM, structure, NULL, offset,
			 "no memory to read it");
}

/**
 * vhdx_image_read() - read metadata as it is after replay
 * @img: with file and overlay in place
 * @buf: receives the bytes
 * @len: bytes, a multiple of 4 KiB
 * @offset: bytes from the start of the file, a multiple of 4 KiB
 *
 * Context: process context, may sleep.
 * Return: 0 or what the file's read answered.
 */
int vhdx_image_read(const struct vhdx_image *img, void *buf, size_t len,
		    u64 offset)
{
	int ret;

	ret = img->file->ops->read(img->file, buf, len, offset);
	if (!ret)
		vhdx_overlay_apply(img->overlay, buf, len, offset);
	return ret;
}

/**
 * vhdx_image_next_data() - find the next bytes that may not be zero
 * @img: with file and overlay in place
 * @offset: bytes from the start of the file
 * @data: receives the first such offset >= @offset, or U64_MAX
 *
 * Context: process context, may sleep.
 * Return: 0 or what the file's next_data answered.
 */
int vhdx_image_next_data(const struct vhdx_image *img, u64 offset, u64 *data)
{
	const struct vhdx_overlay_piece *piece;
	int ret;

	ret = img->file->ops->next_data(img->file, offset, data);
	if (ret)
		return ret;
	piece = vhdx_overlay_next(img->overlay, offset);
	if (piece)
		*data = min(*data, max(piece->start, offset));
	return 0;
}

/**
 * vhdx_check_file_size() - is a file long enough for the header section
 * @img: with file_size in place
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.2.
 */
int vhdx_check_file_size(const struct vhdx_image *img, struct vhdx_error *err)
{
	if (img->file_size >= VHDX_HEADER_SECTION_SIZE)
		return 0;
	return vhdx_fail_value(err, -EUCLEAN, "file", NULL, img->file_size,
			       img->file_size,
			       "ends inside the header section");
}

/**
 * vhdx_check_sequence_number() - can the headers be updated
 * @img: with its headers in place
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0; -EUCLEAN: the image can only be read.
 */
int vhdx_check_sequence_number(const struct vhdx_image *img,
			       struct vhdx_error *err)
{
	if (vhdx_image_header(img)->sequence_number <= U64_MAX / 2)
		return 0;
	return vhdx_fail(err, -EUCLEAN, "header", "SequenceNumber",
			 vhdx_header_offset(img->headers.current_slot),
			 "too high to be counted on");
}

static int open_headers(struct vhdx_image *img, struct vhdx_error *err)
{
	struct vhdx_disk_file_id *id;
	u8 *buf;
	int ret;

	buf = kmalloc(2 * VHDX_HEADER_SIZE, GFP_KERNEL);
	if (!buf)
		return vhdx_no_memory(err, "header section", 0);
	ret = vhdx_image_read(img, buf, VHDX_HEADER_SIZE, VHDX_FILE_ID_OFFSET);
	if (ret) {
		vhdx_fail(err, ret, "file identifier", NULL,
			  VHDX_FILE_ID_OFFSET, "cannot be read");
		goto out;
	}
	ret = vhdx_file_id_check(buf, err);
	if (ret)
		goto out;
	id = (struct vhdx_disk_file_id *)buf;
	memcpy(img->creator, id->creator, sizeof(img->creator));

	ret = vhdx_check_file_size(img, err);
	if (ret)
		goto out;
	ret = vhdx_image_read(img, buf, VHDX_HEADER_SIZE, VHDX_HEADER_1_OFFSET);
	if (!ret)
		ret = vhdx_image_read(img, buf + VHDX_HEADER_SIZE,
				      VHDX_HEADER_SIZE, VHDX_HEADER_2_OFFSET);
	if (ret) {
		vhdx_fail(err, ret, "header", NULL, VHDX_HEADER_1_OFFSET,
			  "cannot be read");
		goto out;
	}
	ret = vhdx_headers_decode(buf, buf + VHDX_HEADER_SIZE, &img->headers,
				  err);
	if (!ret)
		ret = vhdx_header_check(vhdx_image_header(img),
					vhdx_header_offset(img->headers.current_slot),
					img->size, err);
out:
	kfree(buf);
	return ret;
}

static int refuse_dirty_log(const struct vhdx_image *img,
			    struct vhdx_error *err)
{
	const struct vhdx_header *header = vhdx_image_header(img);

	if (guid_is_null(&header->log_guid))
		return 0;
	return vhdx_fail(err, -EUCLEAN, "log", NULL, header->log_offset,
			 "dirty: it must be replayed first");
}

static int open_regions(struct vhdx_image *img, struct vhdx_error *err)
{
	const struct vhdx_header *header = vhdx_image_header(img);
	u8 *buf;
	int ret;

	img->regions = kvzalloc(sizeof(*img->regions), GFP_KERNEL);
	buf = kvmalloc(2 * VHDX_REGION_TABLE_SIZE, GFP_KERNEL);
	if (!img->regions || !buf) {
		ret = vhdx_no_memory(err, "region table",
				     VHDX_REGION_TABLE_1_OFFSET);
		goto out;
	}
	/* The two copies lie side by side. */
	ret = vhdx_image_read(img, buf, 2 * VHDX_REGION_TABLE_SIZE,
			      VHDX_REGION_TABLE_1_OFFSET);
	if (ret) {
		vhdx_fail(err, ret, "region table", NULL,
			  VHDX_REGION_TABLE_1_OFFSET, "cannot be read");
		goto out;
	}
	ret = vhdx_region_tables_decode(buf, buf + VHDX_REGION_TABLE_SIZE,
					header->log_offset, header->log_length,
					img->size, img->regions, err);
	if (ret)
		goto out;
	img->bat_region = vhdx_region_find(img->regions, &vhdx_guid_bat_region);
	img->metadata_region = vhdx_region_find(img->regions,
						&vhdx_guid_metadata_region);
out:
	kvfree(buf);
	return ret;
}

/* The rules of the log and the regions keep these apart from each other. */
static int claim_structures(const struct vhdx_image *img,
			    struct vhdx_space *space)
{
	const struct vhdx_header *header = vhdx_image_header(img);
	u32 i;
	int ret;

	ret = vhdx_space_claim(space, 0, VHDX_HEADER_SECTION_SIZE,
			       GFP_KERNEL);
	if (!ret && header->log_length)
		ret = vhdx_space_claim(space, header->log_offset,
				       header->log_length, GFP_KERNEL);
	for (i = 0; !ret && i < img->regions->count; i++)
		ret = vhdx_space_claim(space,
				       img->regions->region[i].file_offset,
				       img->regions->region[i].length,
				       GFP_KERNEL);
	return ret;
}

/**
 * vhdx_image_create_space() - a map of an image's file, without its blocks
 * @img: with its headers and regions in place
 *
 * Context: process context, may sleep.
 * Return: the map, for vhdx_space_free(), or NULL without memory.
 */
struct vhdx_space *vhdx_image_create_space(const struct vhdx_image *img)
{
	struct vhdx_space *space;

	/* The last block may end past the end of the file, which may grow. */
	space = vhdx_space_create(VHDX_MAX_FILE_OFFSET + VHDX_MAX_BLOCK_SIZE);
	if (space && claim_structures(img, space)) {
		vhdx_space_free(space);
		space = NULL;
	}
	return space;
}

static int open_blocks(struct vhdx_image *img, struct vhdx_error *err)
{
	img->space = vhdx_image_create_space(img);
	if (!img->space)
		return vhdx_no_memory(err, "BAT", img->bat_region->file_offset);
	return vhdx_block_map_load(img, img->space, NULL, err);
}

static int open_for_writing(struct vhdx_image *img, unsigned int flags,
			    struct vhdx_error *err)
{
	u64 end = max(img->file_size, vhdx_space_end(img->space));
	int ret;

	if (img->metadata.has_parent && !img->parent &&
	    !(flags & VHDX_OPEN_EDIT))
		return vhdx_fail(err, -ENOLINK, "file", NULL, 0,
				 "a differencing image cannot be written to without its parent");
	/* Our own log entries would be refused for it. */
	if (end > VHDX_MAX_FILE_OFFSET)
		return vhdx_fail_value(err, -EFBIG, "file", NULL, 0, end,
				       "too long to be written to");
	ret = vhdx_check_sequence_number(img, err);
	if (!ret)
		ret = vhdx_journal_create(img, err);
	if (!ret && !guid_is_null(&vhdx_image_header(img)->log_guid))
		ret = vhdx_journal_replay(img, err);
	return ret;
}

static int open_image(struct vhdx_image *img, struct vhdx_image *parent,
		      unsigned int flags, struct vhdx_error *err)
{
	int ret;

	ret = img->file->ops->size(img->file, &img->file_size);
	if (ret)
		return vhdx_fail(err, ret, "file", NULL, 0,
				 "its size cannot be found");
	img->size = min_t(u64, img->file_size, VHDX_MAX_FILE_OFFSET);

	ret = open_headers(img, err);
	if (!ret && flags & VHDX_OPEN_NO_REPLAY)
		ret = refuse_dirty_log(img, err);
	if (!ret)
		ret = vhdx_replay_in_memory(img, flags, err);
	if (!ret)
		ret = open_regions(img, err);
	if (!ret)
		ret = vhdx_metadata_load(img, err);
	if (ret)
		return ret;
	vhdx_geometry_init(&img->geometry, &img->metadata);
	if (parent)
		ret = vhdx_chain_link(img, parent, flags, err);
	if (ret || flags & VHDX_OPEN_NO_BLOCKS)
		return ret;
	if (img->metadata.has_parent)
		ret = vhdx_bitmaps_create(img, err);
	if (!ret)
		ret = open_blocks(img, err);
	if (ret)
		return ret;
	if (flags & (VHDX_OPEN_WRITE | VHDX_OPEN_EDIT)) {
		ret = open_for_writing(img, flags, err);
	} else {
		vhdx_space_free(img->space);
		img->space = NULL;
	}
	return ret;
}

/**
 * vhdx_image_open() - open an image
 * @file: the image; stays the caller's, who keeps it until vhdx_image_close()
 * @flags: VHDX_OPEN_WRITE: for writing; a dirty log is replayed into the file.
 *	VHDX_OPEN_EDIT: to change structures, see edit.h, and nothing of what a
 *	guest sees where its parent is not there; otherwise the same.
 *	VHDX_OPEN_NO_REPLAY: a dirty log is refused, -EUCLEAN.
 *	VHDX_OPEN_FORGET_LOG: a LogGuid that was set before the log had any entry
 *	of it, and never got one, is as good as none; and becomes none when the
 *	image is opened for changes
 *	VHDX_OPEN_NO_BLOCKS, not with VHDX_OPEN_WRITE: for who wants to know what
 *	the image says of itself; the BAT is not read, and nothing of the disk can be
 * @imgp: receives the open image
 * @err: filled in on failure
 *
 * Reads and checks everything but payload blocks. Without VHDX_OPEN_WRITE a
 * dirty log is replayed in memory and the file is never written; with it and a
 * clean log nothing is written before the first change. A differencing image
 * opens for reading only: what its own file holds is there, and zeros where its
 * parent's data would be.
 *
 * Context: process context, may sleep; takes no locks. Seconds for a BAT of
 * hundreds of MiB, and a fatal signal ends that.
 * Return: 0; -EMEDIUMTYPE: no VHDX file; -EUCLEAN: damaged; -EOPNOTSUPP: needs
 * what is not supported; -ENOLINK: to be written to, and has a parent; -EFBIG:
 * too long to be written to; -E2BIG, -EINTR, -ENOMEM, or what the file's
 * operations answered.
 */
int vhdx_image_open(struct vhdx_file *file, unsigned int flags,
		    struct vhdx_image **imgp, struct vhdx_error *err)
{
	return vhdx_image_open_child(file, NULL, flags, imgp, err);
}

/**
 * vhdx_image_open_child() - open an image above its parent
 * @file: as for vhdx_image_open()
 * @parent: open for reading, with all of its own parents; stays the caller's,
 *	who keeps it until vhdx_image_close(). NULL: as vhdx_image_open()
 * @flags: as for vhdx_image_open(), and VHDX_OPEN_IGNORE_ID_MISMATCH: @parent
 *	need not be the one that the image was made from; not for writing
 * @imgp: receives the open image
 * @err: filled in on failure
 *
 * Nothing is written, replay of a dirty log included, before the link is checked.
 *
 * Context: as vhdx_image_open().
 * Return: as vhdx_image_open(); and -ESTALE: not its parent; -ELOOP: its own
 * parent, or too many of them; -EINVAL: it has none. MS-VHDX 2.6.2.6.3.
 */
int vhdx_image_open_child(struct vhdx_file *file, struct vhdx_image *parent,
			  unsigned int flags, struct vhdx_image **imgp,
			  struct vhdx_error *err)
{
	struct vhdx_image *img;
	int ret;

	memset(err, 0, sizeof(*err));
	if (flags & VHDX_OPEN_IGNORE_ID_MISMATCH && flags & VHDX_OPEN_WRITE)
		return vhdx_fail(err, -EINVAL, "file", NULL, 0,
				 "cannot be written to above a parent that does not match");
	img = kzalloc(sizeof(*img), GFP_KERNEL);
	if (!img)
		return vhdx_no_memory(err, "file", 0);
	img->file = file;
	ret = open_image(img, parent, flags, err);
	if (ret) {
		vhdx_image_close(img);
		return ret;
	}
	*imgp = img;
	return 0;
}

/**
 * vhdx_image_end() - where the last structure or block of an image ends
 * @img: open for writing, and nothing written yet
 *
 * Context: process context.
 * Return: bytes from the start of the file, a multiple of 1 MiB.
 */
u64 vhdx_image_end(const struct vhdx_image *img)
{
	return vhdx_space_end(img->space);
}

/**
 * vhdx_image_close() - give an image back
 * @img: may be NULL
 *
 * Its parent stays the caller's.
 *
 * Context: process context, may sleep. Nobody uses @img any more.
 */
void vhdx_image_close(struct vhdx_image *img)
{
	if (!img)
		return;
	vhdx_journal_free(img->journal);
	vhdx_space_free(img->space);
	vhdx_bitmaps_free(img->bitmaps);
	vhdx_block_map_free(img->map);
	vhdx_overlay_free(img->overlay);
	kvfree(img->locator_item);
	kvfree(img->metadata_table);
	kvfree(img->regions);
	kfree(img);
}
