// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that writes, with the worker run by hand: a suite decides what comes
 * between the begin and the end of a write.
 */
#include "guest.h"

#define PIECE	0x10000U

/**
 * guest_resume() - what a parked write calls
 * @write: of a struct guest_write
 */
void guest_resume(struct vhdx_write *write)
{
	container_of(write, struct guest_write, write)->waits = false;
}

/**
 * guest_work() - let the worker run while somebody kicks it
 * @img: open for writing, by guest_open_writable()
 */
void guest_work(struct vhdx_image *img)
{
	while (img->owner) {
		img->owner = NULL;
		vhdx_image_work(img);
	}
}

/**
 * guest_begin() - begin a write, with the worker's help
 * @img: open for writing
 * @gw: with what it wants; zeroed before its first use
 *
 * Return: as vhdx_write_begin(); -EINPROGRESS when the worker can do nothing
 * for it as things are. It may be called again then.
 */
int guest_begin(struct vhdx_image *img, struct guest_write *gw)
{
	int ret = -EINPROGRESS;

	gw->write.resume = guest_resume;
	while (ret == -EINPROGRESS && !gw->waits) {
		ret = vhdx_write_begin(img, &gw->write);
		if (ret == -EINPROGRESS)
			gw->waits = true;
		if (gw->waits)
			guest_work(img);
	}
	return ret;
}

/**
 * guest_begin_at() - begin a plain write
 * @img: open for writing
 * @gw: overwritten
 * @pos: bytes on the virtual disk
 * @length: bytes
 *
 * Return: as guest_begin().
 */
int guest_begin_at(struct vhdx_image *img, struct guest_write *gw, u64 pos,
		   u64 length)
{
	memset(gw, 0, sizeof(*gw));
	gw->write.pos = pos;
	gw->write.length = length;
	gw->write.wait = true;
	return guest_begin(img, gw);
}

/**
 * guest_fill() - move the data of a write that has begun
 * @img: open for writing
 * @gw: whose extent is filled
 * @byte: with this
 *
 * Goes past the table of operations, as a driver's data does.
 *
 * Return: 0, -ENOMEM, or -EPROTO when the extent lies outside of the file.
 */
int guest_fill(struct vhdx_image *img, const struct guest_write *gw, u8 byte)
{
	struct memfile *mf = container_of(img->file, struct memfile, file);
	const struct vhdx_extent *extent = &gw->write.extent;
	u64 done = 0;
	int ret = 0;
	u8 *buf;

	if (extent->type != VHDX_EXTENT_FILE || extent->offset % VHDX_MIB !=
	    gw->write.pos % VHDX_MIB ||
	    extent->offset + extent->length > mf->size)
		return -EPROTO;
	if (!byte) {
		memfile_punch(mf, extent->offset, extent->length);
		return 0;
	}
	buf = kmalloc(PIECE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	memset(buf, byte, PIECE);
	while (!ret && done < extent->length) {
		size_t n = min_t(u64, PIECE, extent->length - done);

		ret = memfile_write(mf, buf, n, extent->offset + done);
		done += n;
	}
	kfree(buf);
	return ret;
}

/**
 * guest_end() - end a write
 * @img: open for writing
 * @gw: that has begun
 * @status: of its data
 */
void guest_end(struct vhdx_image *img, struct guest_write *gw, int status)
{
	vhdx_write_end(img, &gw->write, status);
}

static int write_all(struct vhdx_image *img, u64 pos, u64 length, u8 byte,
		     bool in_place, bool hint)
{
	struct guest_write gw;
	int ret = 0;

	while (!ret && length) {
		memset(&gw, 0, sizeof(gw));
		gw.write.pos = pos;
		gw.write.length = length;
		gw.write.in_place = in_place;
		gw.write.hint = hint;
		gw.write.wait = true;
		ret = guest_begin(img, &gw);
		if (ret)
			break;
		if (!in_place || gw.write.extent.type == VHDX_EXTENT_FILE)
			ret = guest_fill(img, &gw, byte);
		guest_end(img, &gw, ret);
		pos += gw.write.extent.length;
		length -= gw.write.extent.length;
	}
	return ret;
}

/**
 * guest_write() - write, from begin to end
 * @img: open for writing
 * @pos: bytes on the virtual disk
 * @length: bytes
 * @byte: that the range has from now on
 *
 * Return: 0, or what vhdx_write_begin() answered.
 */
int guest_write(struct vhdx_image *img, u64 pos, u64 length, u8 byte)
{
	return write_all(img, pos, length, byte, false, false);
}

/**
 * guest_zero() - zero in place, from begin to end
 * @img: open for writing
 * @pos: bytes on the virtual disk
 * @length: bytes
 *
 * Return: as guest_write().
 */
int guest_zero(struct vhdx_image *img, u64 pos, u64 length)
{
	return write_all(img, pos, length, 0, true, false);
}

/**
 * guest_discard() - discard parts of blocks, from begin to end
 * @img: open for writing
 * @pos: bytes on the virtual disk
 * @length: bytes
 *
 * Return: as guest_write().
 */
int guest_discard(struct vhdx_image *img, u64 pos, u64 length)
{
	return write_all(img, pos, length, 0, true, true);
}

/**
 * guest_clear() - clear a block
 * @img: open for writing
 * @block: payload block
 *
 * Return: as vhdx_clear_block(); the memory of a parked one is gone when this
 * returns -EINPROGRESS, which ends the test.
 */
int guest_clear(struct vhdx_image *img, u64 block)
{
	struct guest_write gw = {
		.write.pos = block << img->geometry.block_shift,
		.write.resume = guest_resume,
	};
	int ret = -EINPROGRESS;

	while (ret == -EINPROGRESS && !gw.waits) {
		ret = vhdx_clear_block(img, &gw.write);
		if (ret == -EINPROGRESS)
			gw.waits = true;
		if (gw.waits)
			guest_work(img);
	}
	return ret;
}

static void flushed(struct vhdx_flush *flush, int ret)
{
	struct guest_flush *gf = container_of(flush, struct guest_flush, flush);

	gf->answers++;
	gf->ret = ret;
}

/**
 * guest_begin_flush() - ask for a flush; the worker does not run yet
 * @img: open for writing
 * @gf: overwritten
 */
void guest_begin_flush(struct vhdx_image *img, struct guest_flush *gf)
{
	memset(gf, 0, sizeof(*gf));
	gf->flush.done = flushed;
	vhdx_flush(img, &gf->flush);
}

/**
 * guest_flush() - flush
 * @img: open for writing
 *
 * Return: what it was answered, or -EPROTO when not once.
 */
int guest_flush(struct vhdx_image *img)
{
	struct guest_flush gf;

	guest_begin_flush(img, &gf);
	guest_work(img);
	return gf.answers == 1 ? gf.ret : -EPROTO;
}
