// SPDX-License-Identifier: GPL-2.0
/*
 * Replay of a dirty log (MS-VHDX 2.3.3): in memory, which is how an image is read
 * and checked, and from there into the file of one that is to be written.
 */
#include "internal.h"
#include "journal.h"

/**
 * vhdx_update_fail() - refuse an update that cannot be refused by itself
 * @img: whose log it came from
 * @piece: a piece of the overlay
 * @err: filled in
 * @reason: constant string, what is wrong with its target
 *
 * Context: any.
 * Return: -EUCLEAN.
 */
int vhdx_update_fail(const struct vhdx_image *img,
		     const struct vhdx_overlay_piece *piece,
		     struct vhdx_error *err, const char *reason)
{
	return vhdx_fail_value(err, -EUCLEAN, "log descriptor", "FileOffset",
			       vhdx_image_header(img)->log_offset +
			       piece->update.descriptor +
			       offsetof(struct vhdx_disk_log_descriptor,
					file_offset),
			       piece->update.file_offset, reason);
}

/**
 * vhdx_replay_check_flushed() - is the file as long as its log says
 * @img: with file_size in place
 * @log: its log
 * @head: the last entry of the active sequence
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0; -EUCLEAN: it has been truncated. MS-VHDX 2.3.3.
 */
int vhdx_replay_check_flushed(const struct vhdx_image *img,
			      const struct vhdx_log *log,
			      const struct vhdx_log_entry *head,
			      struct vhdx_error *err)
{
	if (head->flushed_file_offset <= img->file_size)
		return 0;
	return vhdx_fail_value(err, -EUCLEAN, "log entry", "FlushedFileOffset",
			       log->file_offset + head->offset +
			       offsetof(struct vhdx_disk_log_entry_header,
					flushed_file_offset),
			       head->flushed_file_offset,
			       "the file is shorter than this: it has been truncated");
}

/**
 * vhdx_replay_check_last() - can the file become as long as its log wants
 * @log: the log
 * @head: the last entry of the active sequence
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.3.3.
 */
int vhdx_replay_check_last(const struct vhdx_log *log,
			   const struct vhdx_log_entry *head,
			   struct vhdx_error *err)
{
	if (head->last_file_offset <= VHDX_MAX_FILE_OFFSET)
		return 0;
	return vhdx_fail_value(err, -EUCLEAN, "log entry", "LastFileOffset",
			       log->file_offset + head->offset +
			       offsetof(struct vhdx_disk_log_entry_header,
					last_file_offset),
			       head->last_file_offset,
			       "larger than any VHDX file");
}

/**
 * vhdx_replay_read_log() - read an image's log
 * @img: with file and headers in place
 * @log: filled in; its buffer is the caller's, who gives it back by kvfree()
 * @scratch: receives memory for vhdx_log_find_active_sequence(), likewise
 * @err: filled in on failure; nothing is to be given back then
 *
 * Context: process context, may sleep.
 * Return: 0, -ENOMEM or what the file's read answered.
 */
int vhdx_replay_read_log(const struct vhdx_image *img, struct vhdx_log *log,
			 struct vhdx_log_entry **scratch,
			 struct vhdx_error *err)
{
	const struct vhdx_header *header = vhdx_image_header(img);
	void *buf;
	int ret;

	buf = kvmalloc(header->log_length, VHDX_GFP_SIZED);
	*scratch = kvcalloc(header->log_length / VHDX_LOG_SECTOR_SIZE,
			    sizeof(**scratch), VHDX_GFP_SIZED);
	if (!buf || !*scratch) {
		ret = vhdx_no_memory(err, "log", header->log_offset);
		goto fail;
	}
	ret = vhdx_image_read(img, buf, header->log_length, header->log_offset);
	if (ret) {
		vhdx_fail(err, ret, "log", NULL, header->log_offset,
			  "cannot be read");
		goto fail;
	}
	log->buf = buf;
	log->length = header->log_length;
	log->file_offset = header->log_offset;
	log->log_guid = header->log_guid;
	return 0;

fail:
	kvfree(*scratch);
	kvfree(buf);
	return ret;
}

/**
 * vhdx_replay_lay() - lay a sequence of the log over the image
 * @img: with file, sizes and headers in place, and the active sequence in its
 *	log info; receives the rest of that, the overlay, and the size that
 *	structures are judged by (also on failure)
 * @log: its log, whose buffer is the overlay's where there is one after this
 * @err: filled in on failure
 *
 * Context: process context, may sleep.
 * Return: 0 or a negative errno, see vhdx_overlay_create(). MS-VHDX 2.3.3.
 */
int vhdx_replay_lay(struct vhdx_image *img, const struct vhdx_log *log,
		    struct vhdx_error *err)
{
	struct vhdx_log_info *info = &img->log;
	u64 end;
	int ret;

	ret = vhdx_overlay_create(log, &info->sequence, &img->overlay,
				  &info->descriptors, err);
	if (ret)
		return ret;

	info->dirty = true;
	end = vhdx_overlay_end(img->overlay);
	if (end > VHDX_MAX_FILE_OFFSET)
		return vhdx_update_fail(img, vhdx_overlay_next(img->overlay,
							       end - 1), err,
					"the target ends past any VHDX file's end");
	img->size = max(img->size, info->sequence.head.last_file_offset);
	img->size = max(img->size, end);
	return 0;
}

static int find_and_lay(struct vhdx_image *img, const struct vhdx_log *log,
			struct vhdx_log_entry *scratch, struct vhdx_error *err)
{
	struct vhdx_log_sequence *sequence = &img->log.sequence;
	int ret;

	ret = vhdx_log_find_active_sequence(log, scratch, sequence, err);
	if (!ret)
		ret = vhdx_replay_check_flushed(img, log, &sequence->head, err);
	if (!ret)
		ret = vhdx_replay_check_last(log, &sequence->head, err);
	if (!ret)
		ret = vhdx_replay_lay(img, log, err);
	return ret;
}

/*
 * Whether LogGuid was set before the first entry was written, as QEMU does it,
 * and nothing came after that. Then nothing is lost. Whereas an entry that is
 * damaged may have been whole once, with a change that has reached the file in
 * part; and so may one of the LogGuid that the other header has.
 */
static bool is_unused(const struct vhdx_image *img, const struct vhdx_log *log)
{
	const struct vhdx_headers *headers = &img->headers;
	const unsigned int other = !headers->current_slot;
	const guid_t *other_guid = &headers->slot[other].log_guid;
	guid_t guid;
	u32 offset;

	if (headers->valid[other] && !guid_is_null(other_guid) &&
	    !guid_equal(other_guid, &log->log_guid))
		return false;
	for (offset = 0; offset < log->length; offset += VHDX_LOG_SECTOR_SIZE) {
		if (vhdx_log_entry_guid(log, offset, &guid) &&
		    guid_equal(&guid, &log->log_guid))
			return false;
		cond_resched();
	}
	return true;
}

/**
 * vhdx_replay_in_memory() - lay a dirty log over the image
 * @img: with file, sizes and headers in place; receives log info, overlay and
 *	the size that structures are judged by (also on failure:
 *	vhdx_image_close() gives all of it back)
 * @flags: of vhdx_image_open()
 * @err: filled in on failure
 *
 * A clean log (LogGuid zero) leaves everything as it is. The file is only read.
 *
 * Context: process context, may sleep.
 * Return: 0 or a negative errno. MS-VHDX 2.3.3 and its note <5>.
 */
int vhdx_replay_in_memory(struct vhdx_image *img, unsigned int flags,
			  struct vhdx_error *err)
{
	struct vhdx_log_entry *scratch;
	struct vhdx_log log;
	int ret;

	if (guid_is_null(&vhdx_image_header(img)->log_guid))
		return 0;
	ret = vhdx_replay_read_log(img, &log, &scratch, err);
	if (ret)
		return ret;
	if (!(flags & VHDX_OPEN_FORGET_LOG) || !is_unused(img, &log))
		ret = find_and_lay(img, &log, scratch, err);
	kvfree(scratch);
	if (!img->overlay)
		kvfree(log.buf);
	return ret;
}

static int apply_overlay(struct vhdx_image *img)
{
	struct vhdx_file *file = img->file;
	const struct vhdx_overlay_piece *piece;
	void *page = img->journal->entry;
	u64 pos = 0;
	int ret;

	if (img->size > img->file_size) {
		ret = file->ops->resize(file, img->size);
		if (ret)
			return ret;
		img->file_size = img->size;
	}
	while ((piece = vhdx_overlay_next(img->overlay, pos))) {
		if (piece->update.is_zero) {
			ret = file->ops->zero(file, piece->start,
					      piece->end - piece->start, true);
		} else {
			memset(page, 0, VHDX_LOG_SECTOR_SIZE);
			vhdx_overlay_apply(img->overlay, page,
					   VHDX_LOG_SECTOR_SIZE, piece->start);
			ret = file->ops->write(file, page, VHDX_LOG_SECTOR_SIZE,
					       piece->start);
		}
		if (ret)
			return ret;
		pos = piece->end;
	}
	return 0;
}

/**
 * vhdx_journal_replay() - replay a dirty log into the file
 * @img: with its journal, and the overlay of the log; without one there is nothing
 *	to replay, and only LogGuid becomes zero
 * @err: filled in on failure
 *
 * DataWriteGuid stays: a guest reads the same before and after.
 *
 * Context: process context, may sleep.
 * Return: 0 or a negative errno. MS-VHDX 2.3.3.
 */
int vhdx_journal_replay(struct vhdx_image *img, struct vhdx_error *err)
{
	static const guid_t null;
	struct vhdx_journal *j = img->journal;
	int ret;

	ret = vhdx_journal_change_guids(j, false);
	if (!ret)
		ret = apply_overlay(img);
	if (!ret)
		ret = img->file->ops->flush(img->file);
	if (!ret)
		ret = vhdx_journal_set_log_guid(j, &null);
	if (ret)
		return vhdx_fail(err, ret, "log", NULL,
				 vhdx_image_header(img)->log_offset,
				 "cannot be replayed");
	vhdx_overlay_free(img->overlay);
	img->overlay = NULL;
	return 0;
}
