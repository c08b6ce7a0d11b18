// SPDX-License-Identifier: GPL-2.0
/*
 * Edits: changes of an image's structures by who has the image for itself, with no
 * guest and no worker (MS-VHDX 2.3).
 *
 * An edit is a set of pages of the file, outside of the header section's headers
 * and of the log. A power cut leaves all of them as they were, or all as they are
 * to be. Each commit is a generation of its own (see journal.c), and why its order
 * of writes holds that:
 *
 * First change. A new FileWriteGuid is stable in both headers before anything of
 * the file is touched, as in journal.c. Where a guest can see what changes, a new
 * DataWriteGuid is, before a header names the entries; and no sooner than when all
 * that may find no space has been done, since it takes the parent from all children.
 *
 * The entries, one or several, are flushed before a header has their LogGuid. So a
 * header that names them names all of them, and until then none counts: the whole
 * of the log is free for one edit, and it may have more pages than an entry. The
 * same flush makes stable what the pages name, a block that was copied or a table
 * in a new place: nothing is to be read there before a header names the entries.
 *
 * Only when both headers name the entries do the pages go to their places. A cut
 * in the middle of that leaves a log whose replay ends it.
 *
 * The pages in their places are flushed before LogGuid becomes zero.
 *
 * Only what no durable structure uses is written over outside of the log: a gap is
 * free in the image as it was last committed, and what a commit has freed is a gap
 * once that commit is over.
 */
#include "block_map.h"
#include "edit.h"
#include "internal.h"
#include "journal.h"

#define PAGE_BYTES	VHDX_LOG_SECTOR_SIZE

/**
 * struct vhdx_edit - see above
 * @img: open for writing
 * @entry_room: pages that fit an entry
 * @room: pages that fit all entries that fit the log
 * @count: of @page, data and zeros
 * @visible: a guest can see what they change
 * @page: sorted by offset and without overlap; the data is the edit's own
 * @placed: runs that were found since the last commit
 */
struct vhdx_edit {
	struct vhdx_image *img;
	u32 entry_room;
	u32 room;
	u32 count;
	bool visible;
	struct vhdx_log_page *page;
	struct list_head placed;
};

static struct vhdx_file *file_of(const struct vhdx_edit *edit)
{
	return edit->img->file;
}

/**
 * vhdx_edit_begin() - begin to edit an image
 * @img: open for writing, or with VHDX_OPEN_EDIT; nobody else uses it, and what
 *	guests have written is finished
 * @editp: receives the edit, with no page in it
 *
 * Context: process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int vhdx_edit_begin(struct vhdx_image *img, struct vhdx_edit **editp)
{
	struct vhdx_journal *j = img->journal;
	u32 log_length = vhdx_image_header(img)->log_length ? : VHDX_MIB;
	struct vhdx_edit *edit;

	edit = kzalloc(sizeof(*edit), GFP_KERNEL);
	if (!edit)
		return -ENOMEM;
	edit->img = img;
	INIT_LIST_HEAD(&edit->placed);
	edit->entry_room = j->max_pages;
	edit->room = log_length / j->half_length * j->max_pages;
	edit->page = kvcalloc(edit->room, sizeof(*edit->page), VHDX_GFP_SIZED);
	if (!edit->page) {
		kfree(edit);
		return -ENOMEM;
	}
	*editp = edit;
	return 0;
}

static void drop_pages(struct vhdx_edit *edit)
{
	while (edit->count)
		kfree(edit->page[--edit->count].data);
}

static void forget_places(struct vhdx_edit *edit, bool unclaim)
{
	struct vhdx_run *run, *next;

	list_for_each_entry_safe(run, next, &edit->placed, link) {
		if (unclaim)
			vhdx_space_unclaim(edit->img->space, run->offset,
					   run->length);
		list_del(&run->link);
		kfree(run);
	}
}

/**
 * vhdx_edit_free() - give an edit back
 * @edit: may be NULL; what was not committed is lost, places that were found since
 *	among it
 */
void vhdx_edit_free(struct vhdx_edit *edit)
{
	if (!edit)
		return;
	drop_pages(edit);
	forget_places(edit, true);
	kvfree(edit->page);
	kfree(edit);
}

/**
 * vhdx_edit_first_change() - make sure that the file may be changed
 * @edit: of the image
 * @visible: a guest can see what follows: DataWriteGuid changes too
 *
 * Before anything is written to the file by hand. vhdx_edit_place() and
 * vhdx_edit_commit() see to it by themselves where no guest can see what follows.
 * Of an open image only the first call does anything, and the first with @visible.
 *
 * A new DataWriteGuid is the end of all children. So who can do so asks with
 * vhdx_edit_set_visible() instead, which has it come when nothing that can fail for
 * want of space is left.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 or a negative errno. MS-VHDX 2.2.2.
 */
int vhdx_edit_first_change(struct vhdx_edit *edit, bool visible)
{
	struct vhdx_journal *j = edit->img->journal;
	int ret = j->failed;

	if (!ret && !j->changed)
		ret = vhdx_journal_first_change(j, false);
	if (ret || !visible || j->data_guid_changed)
		return ret;
	ret = vhdx_journal_change_guids(j, true);
	/* A header may lie in a hole; the other slot is whole. */
	if (ret && !vhdx_is_no_space(ret))
		vhdx_journal_latch(j, ret);
	return ret;
}

/**
 * vhdx_edit_set_visible() - say that a guest can see what an edit changes
 * @edit: the edit; until its next commit
 *
 * That commit gives the image a new DataWriteGuid.
 *
 * Context: any.
 */
void vhdx_edit_set_visible(struct vhdx_edit *edit)
{
	edit->visible = true;
}

/**
 * vhdx_edit_place() - find room in the file
 * @edit: the edit
 * @length: bytes, a multiple of 1 MiB
 * @offset: receives where, bytes from the start of the file
 *
 * The first gap that is long enough, or the end of the file, which then grows. What
 * an image with LeaveBlocksAllocated has free is for the blocks that it lacks, if it
 * lacks any. Anything may be in it. It stays claimed when a commit follows.
 *
 * Context: process context, may sleep; may resize and flush the file.
 * Return: 0; -EFBIG: no file may be so long; or what growing answered.
 */
int vhdx_edit_place(struct vhdx_edit *edit, u64 length, u64 *offset)
{
	struct vhdx_image *img = edit->img;
	struct vhdx_run *run;
	bool reserved;
	u64 end;
	int ret;

	ret = vhdx_edit_first_change(edit, false);
	if (ret)
		return ret;
	reserved = img->metadata.leave_blocks_allocated &&
		   vhdx_image_allocated(img) <
		   img->geometry.payload_blocks << img->geometry.block_shift;
	*offset = U64_MAX;
	if (!reserved)
		*offset = vhdx_space_find_gap(img->space, 0, img->file_size,
					      length);
	if (*offset == U64_MAX) {
		/* The file's last gap may be a part of it. */
		end = vhdx_space_end(img->space);
		if (reserved)
			end = max(end, img->journal->cut_limit);
		*offset = ALIGN(end, VHDX_MIB);
		end = *offset + length;
		if (end > VHDX_MAX_FILE_OFFSET)
			return -EFBIG;
		/* A file that could not be cut has it already. */
		if (end > img->file_size)
			ret = vhdx_journal_grow(img->journal,
						end - img->file_size);
		if (ret)
			return ret;
	}
	run = kmalloc(sizeof(*run), GFP_KERNEL);
	if (!run)
		return -ENOMEM;
	ret = vhdx_space_claim(img->space, *offset, length, GFP_KERNEL);
	if (ret) {
		kfree(run);
		return ret;
	}
	run->offset = *offset;
	run->length = length;
	list_add_tail(&run->link, &edit->placed);
	return 0;
}

/* The first page that ends behind @offset. */
static u32 find_page(const struct vhdx_edit *edit, u64 offset)
{
	u32 low = 0, high = edit->count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;
		const struct vhdx_log_page *page = &edit->page[middle];

		if (page->file_offset + (page->zero_length ? : PAGE_BYTES) <=
		    offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert_page(struct vhdx_edit *edit, u32 i, u64 offset,
			const void *data, u64 zero_length)
{
	struct vhdx_log_page *page = &edit->page[i];

	memmove(page + 1, page, (edit->count - i) * sizeof(*page));
	edit->count++;
	page->file_offset = offset;
	page->data = data;
	page->zero_length = zero_length;
}

static int take_page(struct vhdx_edit *edit, u64 offset, void **data)
{
	u32 i = find_page(edit, offset);
	int ret;

	if (i < edit->count && edit->page[i].file_offset <= offset) {
		*data = (void *)edit->page[i].data;
		return *data ? 0 : -EINVAL;
	}
	if (edit->count == edit->room)
		return -E2BIG;
	*data = kmalloc(PAGE_BYTES, GFP_KERNEL);
	if (!*data)
		return -ENOMEM;
	ret = vhdx_image_read(edit->img, *data, PAGE_BYTES, offset);
	if (ret)
		kfree(*data);
	else
		insert_page(edit, i, offset, *data, 0);
	return ret;
}

/**
 * vhdx_edit_write() - put bytes into an edit
 * @edit: the edit
 * @offset: bytes from the start of the file; not of a header or the log
 * @buf: the bytes
 * @length: bytes
 *
 * The file is only read. Later bytes replace earlier ones. After a failure the edit
 * has none of them.
 *
 * Context: process context, may sleep.
 * Return: 0; -E2BIG: too many pages, see vhdx_edit_room(); -EINVAL: they are
 * zeroed by the same edit; -ENOMEM or what reading answered.
 */
int vhdx_edit_write(struct vhdx_edit *edit, u64 offset, const void *buf,
		    size_t length)
{
	u64 end = offset + length, at;
	const u8 *from = buf;
	void *data;
	int ret;

	for (at = offset; at < end; at = ALIGN_DOWN(at, PAGE_BYTES) + PAGE_BYTES) {
		ret = take_page(edit, ALIGN_DOWN(at, PAGE_BYTES), &data);
		if (ret)
			return ret;
	}
	while (offset < end) {
		u32 in_page = offset & (PAGE_BYTES - 1);
		size_t n = min_t(u64, end - offset, PAGE_BYTES - in_page);

		take_page(edit, offset - in_page, &data);
		memcpy((u8 *)data + in_page, from, n);
		from += n;
		offset += n;
	}
	return 0;
}

/**
 * vhdx_edit_zero() - have an edit zero a range
 * @edit: the edit, which has none of the range yet
 * @offset: bytes from the start of the file, a multiple of 4 KiB
 * @length: bytes, a multiple of 4 KiB, more than 0
 *
 * Takes the room of one page, however long it is.
 *
 * Context: process context.
 * Return: 0; -E2BIG: too many pages; -EINVAL: the edit has some of it already.
 */
int vhdx_edit_zero(struct vhdx_edit *edit, u64 offset, u64 length)
{
	u32 i = find_page(edit, offset);

	if (i < edit->count && edit->page[i].file_offset < offset + length)
		return -EINVAL;
	if (edit->count == edit->room)
		return -E2BIG;
	insert_page(edit, i, offset, NULL, length);
	return 0;
}

/**
 * vhdx_edit_bat() - put an entry of the BAT into an edit
 * @edit: the edit
 * @index: into the BAT
 * @entry: in the CPU's byte order
 *
 * The open image has it from now on, whatever becomes of the edit.
 *
 * Context: process context, may sleep.
 * Return: as vhdx_edit_write(). MS-VHDX 2.5.
 */
int vhdx_edit_bat(struct vhdx_edit *edit, u64 index, u64 entry)
{
	struct vhdx_image *img = edit->img;
	__le64 disk = cpu_to_le64(entry);
	int ret;

	ret = vhdx_edit_write(edit, img->bat_region->file_offset +
			      index * sizeof(disk), &disk, sizeof(disk));
	if (ret)
		return ret;
	vhdx_block_map_reserve(img->map, index / (PAGE_BYTES / sizeof(disk)));
	vhdx_block_map_set(img->map, index, entry);
	return 0;
}

/**
 * vhdx_edit_region() - put another place of a region into an edit
 * @edit: the edit
 * @region: of the image; it has its old place until the edit was committed, and for
 *	the open image after that
 * @offset: bytes from the start of the file
 * @length: bytes
 *
 * In both region tables; what is to be there is the caller's to write.
 *
 * Context: process context, may sleep.
 * Return: as vhdx_edit_write(). MS-VHDX 2.2.3.
 */
int vhdx_edit_region(struct vhdx_edit *edit, const struct vhdx_region *region,
		     u64 offset, u32 length)
{
	const struct vhdx_region_table *old = edit->img->regions;
	struct vhdx_region *new;
	int ret = -ENOMEM;
	u8 *buf;
	u32 i;

	new = kvmalloc_array(old->count, sizeof(*new), GFP_KERNEL);
	buf = kvmalloc(2 * VHDX_REGION_TABLE_SIZE, GFP_KERNEL);
	if (!new || !buf)
		goto out;
	for (i = 0; i < old->count; i++) {
		new[i] = old->region[i];
		if (&old->region[i] != region)
			continue;
		new[i].file_offset = offset;
		new[i].length = length;
	}
	vhdx_region_table_encode(new, old->count, buf);
	memcpy(buf + VHDX_REGION_TABLE_SIZE, buf, VHDX_REGION_TABLE_SIZE);
	/* The two copies lie side by side. */
	ret = vhdx_edit_write(edit, VHDX_REGION_TABLE_1_OFFSET, buf,
			      2 * VHDX_REGION_TABLE_SIZE);
out:
	kvfree(buf);
	kvfree(new);
	return ret;
}

/**
 * vhdx_edit_move_log() - give the log another place
 * @edit: of an image whose log is empty; has no page in it
 * @offset: bytes from the start of the file, where nothing is in use
 *
 * At once, and not with the edit. The open image goes on with it.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 and it is durable, or a negative errno. MS-VHDX 2.2.2.
 */
int vhdx_edit_move_log(struct vhdx_edit *edit, u64 offset)
{
	struct vhdx_journal *j = edit->img->journal;
	int ret;

	ret = vhdx_edit_first_change(edit, false);
	if (!ret)
		ret = vhdx_journal_allocate(j, offset, 2 * j->half_length);
	return ret ? : vhdx_journal_move_log(j, offset);
}

/**
 * vhdx_edit_room() - how much more an edit can take
 * @edit: the edit
 *
 * Context: any.
 * Return: pages of 4 KiB.
 */
u32 vhdx_edit_room(const struct vhdx_edit *edit)
{
	return edit->room - edit->count;
}

/* One entry, of pages from @first on. */
static int write_entry(struct vhdx_edit *edit, u32 first, u32 n, u32 offset,
		       const guid_t *log_guid, u32 *length)
{
	const struct vhdx_log_page *page = edit->page + first;
	struct vhdx_image *img = edit->img;
	struct vhdx_journal *j = img->journal;
	struct vhdx_log_entry entry = {
		.offset = offset,
		.entry_length = vhdx_log_entry_length(n),
		.descriptor_count = n,
		.sequence_number = j->sequence_number + 1,
		.flushed_file_offset = img->file_size,
		.last_file_offset = img->file_size,
	};
	u32 i;
	int ret;

	for (i = 0; i < n; i++)
		if (!page[i].data)
			entry.entry_length -= PAGE_BYTES;
	vhdx_log_entry_encode(&entry, log_guid, page, j->entry);
	ret = file_of(edit)->ops->write(file_of(edit), j->entry,
					entry.entry_length,
					vhdx_image_header(img)->log_offset +
					offset);
	if (ret)
		return ret;
	j->sequence_number++;
	*length = entry.entry_length;
	return 0;
}

static int write_entries(struct vhdx_edit *edit, const guid_t *log_guid)
{
	u32 first, n, length, offset = 0;
	int ret;

	for (first = 0; first < edit->count; first += n) {
		n = min(edit->count - first, edit->entry_room);
		ret = write_entry(edit, first, n, offset, log_guid, &length);
		if (ret)
			return ret;
		offset += length;
	}
	return 0;
}

/* A full host is to fail before a header names the entries, and not after it. */
static int allocate_in_place(struct vhdx_edit *edit)
{
	struct vhdx_journal *j = edit->img->journal;
	u64 start, end;
	u32 i = 0;
	int ret;

	while (i < edit->count) {
		start = edit->page[i].file_offset;
		end = start;
		while (i < edit->count && edit->page[i].data &&
		       edit->page[i].file_offset == end) {
			end += PAGE_BYTES;
			i++;
		}
		if (start == end) {
			i++;
			continue;
		}
		ret = vhdx_journal_allocate(j, start, end - start);
		if (ret)
			return ret;
	}
	return 0;
}

static int put_in_place(struct vhdx_edit *edit)
{
	struct vhdx_file *file = file_of(edit);
	u32 i;
	int ret;

	for (i = 0; i < edit->count; i++) {
		const struct vhdx_log_page *page = &edit->page[i];

		if (page->data)
			ret = file->ops->write(file, page->data, PAGE_BYTES,
					       page->file_offset);
		else
			ret = file->ops->zero(file, page->file_offset,
					      page->zero_length, true);
		if (ret)
			return ret;
	}
	return 0;
}

static int commit(struct vhdx_edit *edit)
{
	static const guid_t null;
	struct vhdx_journal *j = edit->img->journal;
	guid_t log_guid;
	int ret;

	guid_gen(&log_guid);
	ret = allocate_in_place(edit);
	if (!ret)
		ret = write_entries(edit, &log_guid);
	/* No header names them. */
	if (vhdx_is_no_space(ret))
		return ret;
	if (!ret && edit->visible) {
		ret = vhdx_edit_first_change(edit, true);
		if (vhdx_is_no_space(ret))
			return ret;
	}
	if (!ret)
		ret = vhdx_journal_flush(j);
	if (!ret)
		ret = vhdx_journal_set_log_guid(j, &log_guid);
	if (!ret)
		ret = put_in_place(edit);
	if (!ret)
		ret = vhdx_journal_flush(j);
	if (!ret)
		ret = vhdx_journal_set_log_guid(j, &null);
	if (ret)
		vhdx_journal_latch(j, ret);
	return ret;
}

/**
 * vhdx_edit_commit() - carry an edit out
 * @edit: the edit; has no page afterwards
 *
 * What was written to the file before is stable first. What the edit changes of
 * the region table, the metadata or the geometry the open image does not know: it
 * is to be closed and opened again.
 *
 * Context: process context, may sleep; writes and flushes the file.
 * Return: 0 and it is durable; -ENOSPC, -EDQUOT: it is not; or another negative
 * errno: it is, or is not, once the image has been opened again, and nothing is
 * written to this one any more. After a failure the image is only to be finished
 * and closed. MS-VHDX 2.3.
 */
int vhdx_edit_commit(struct vhdx_edit *edit)
{
	struct vhdx_image *img = edit->img;
	int ret = 0;

	if (edit->count)
		ret = vhdx_edit_first_change(edit, false);
	if (!ret && edit->count)
		ret = commit(edit);
	if (!ret)
		forget_places(edit, false);
	else
		/* What the caller has let go of is still in use in the file. */
		img->journal->cut_limit = max(img->journal->cut_limit,
					      img->file_size);
	drop_pages(edit);
	edit->visible = false;
	return ret;
}
