// SPDX-License-Identifier: GPL-2.0
/*
 * Updates of the headers, the first change of an image among them (MS-VHDX 2.2.2).
 * Why they are in this order is argued at the head of journal.c.
 */
#include "internal.h"
#include "journal.h"

/* The next slot of a pair; @header without its sequence number. */
static int write_slot(struct vhdx_journal *j, const struct vhdx_header *header)
{
	struct vhdx_headers *headers = &j->img->headers;
	unsigned int slot = !headers->current_slot;
	struct vhdx_header next = *header;
	int ret;

	next.sequence_number = vhdx_image_header(j->img)->sequence_number + 1;
	/* Without a log it means nothing, and may have been anything. */
	next.log_version = VHDX_LOG_VERSION;
	vhdx_header_encode(&next, j->entry);
	ret = j->img->file->ops->write(j->img->file, j->entry, VHDX_HEADER_SIZE,
				       vhdx_header_offset(slot));
	if (ret)
		return ret;
	headers->slot[slot] = next;
	headers->valid[slot] = true;
	headers->current_slot = slot;
	return 0;
}

/*
 * Both slots, each stable before the next is touched. What came before must be
 * flushed already.
 */
static int update_headers(struct vhdx_journal *j,
			  const struct vhdx_header *header)
{
	struct vhdx_header next = *header;
	int ret;

	ret = write_slot(j, &next);
	if (!ret)
		ret = vhdx_journal_flush(j);
	if (!ret)
		ret = write_slot(j, &next);
	if (!ret)
		ret = vhdx_journal_flush(j);
	return ret;
}

/**
 * vhdx_journal_set_log_guid() - say in both headers what the log holds
 * @j: the journal
 * @log_guid: of a durable entry, or zero for a log that holds nothing
 *
 * Context: the worker, or before there is one; what came before is flushed.
 * Return: 0 or a negative errno. MS-VHDX 2.2.2.
 */
int vhdx_journal_set_log_guid(struct vhdx_journal *j, const guid_t *log_guid)
{
	struct vhdx_header header = *vhdx_image_header(j->img);

	header.log_guid = *log_guid;
	return update_headers(j, &header);
}

/**
 * vhdx_journal_change_guids() - say in both headers that the file changes
 * @j: the journal
 * @visible: a guest can see it: a new DataWriteGuid, beside the FileWriteGuid
 *
 * Context: the worker, or before there is one.
 * Return: 0 or a negative errno. MS-VHDX 2.2.2.
 */
int vhdx_journal_change_guids(struct vhdx_journal *j, bool visible)
{
	struct vhdx_header header = *vhdx_image_header(j->img);
	int ret;

	guid_gen(&header.file_write_guid);
	if (visible) {
		header.data_write_guid = j->img->next_data_write_guid;
		if (guid_is_null(&header.data_write_guid))
			guid_gen(&header.data_write_guid);
	}
	ret = vhdx_journal_flush(j);
	if (ret)
		return ret;
	ret = update_headers(j, &header);
	if (!ret && visible)
		j->data_guid_changed = true;
	return ret;
}

static int make_log(struct vhdx_journal *j)
{
	struct vhdx_header header = *vhdx_image_header(j->img);
	int ret;

	header.log_offset = j->img->file_size;
	header.log_length = VHDX_MIB;
	if (header.log_offset >= VHDX_MAX_FILE_OFFSET)
		return -EFBIG;
	ret = vhdx_journal_grow(j, VHDX_MIB);
	if (ret)
		return ret;
	vhdx_space_claim_free(j->img->space, header.log_offset,
			      header.log_length);
	ret = update_headers(j, &header);
	if (ret)
		vhdx_journal_latch(j, ret);
	return ret;
}

/**
 * vhdx_journal_move_log() - say in both headers that the log is elsewhere
 * @j: the journal; the first change is made, LogGuid is zero and that is stable
 * @offset: bytes from the start of the file
 *
 * Context: the worker's place.
 * Return: 0 or a negative errno, which is latched. MS-VHDX 2.2.2.
 */
int vhdx_journal_move_log(struct vhdx_journal *j, u64 offset)
{
	struct vhdx_header header = *vhdx_image_header(j->img);
	int ret;

	header.log_offset = offset;
	ret = vhdx_journal_flush(j);
	if (!ret)
		ret = update_headers(j, &header);
	if (ret)
		vhdx_journal_latch(j, ret);
	return ret;
}

/**
 * vhdx_journal_first_change() - what comes before any other change of the file
 * @j: the journal
 * @visible: a guest can see what follows
 *
 * The headers come first. Then the file gets what an entry relies on: a size of
 * whole MiB that covers every block, and a log that needs no more space.
 *
 * Context: the worker, or before there is one.
 * Return: 0, or a negative errno; what leaves nobody knowing is latched.
 * MS-VHDX 2.2.2, 2.3.
 */
int vhdx_journal_first_change(struct vhdx_journal *j, bool visible)
{
	struct vhdx_image *img = j->img;
	u64 end = ALIGN(max(img->file_size, vhdx_space_end(img->space)),
			VHDX_MIB);
	int ret;

	if (!j->guids_changed) {
		ret = vhdx_journal_change_guids(j, visible);
		if (ret) {
			/* A header may lie in a hole; the other slot is whole. */
			if (!vhdx_is_no_space(ret))
				vhdx_journal_latch(j, ret);
			return ret;
		}
		j->guids_changed = true;
	}
	if (end > img->file_size) {
		ret = vhdx_journal_grow(j, end - img->file_size);
		if (ret)
			return ret;
	}
	if (!vhdx_image_header(img)->log_length) {
		ret = make_log(j);
		if (ret)
			return ret;
	}
	ret = vhdx_journal_allocate(j, vhdx_image_header(img)->log_offset,
				    2 * j->half_length);
	if (ret)
		return ret;
	spin_lock(&j->lock);
	/* who sees it sees the size of the file; pairs with enter() */
	smp_store_release(&j->changed, true);
	spin_unlock(&j->lock);
	return 0;
}
