// SPDX-License-Identifier: GPL-2.0
/*
 * What metadata items hold, and where, when an image is made or changed
 * (MS-VHDX 2.6).
 */
#include "edit.h"
#include "internal.h"
#include "items.h"

#define LINKAGE_CHARS	(VHDX_GUID_CHARS + 2)

static void print_linkage(char *text, const guid_t *guid)
{
	text[0] = '{';
	vhdx_guid_print(text + 1, guid);
	text[LINKAGE_CHARS - 1] = '}';
	text[LINKAGE_CHARS] = '\0';
}

/**
 * vhdx_items_identity() - which DataWriteGuid an image has, and will have after a cut
 * @img: open
 * @guid: receives it
 *
 * Who wrote it may have been killed before the flush: a link to one that is in a
 * cache only would be broken by a power cut.
 *
 * Context: process context, may sleep; flushes the file.
 * Return: 0 or what flushing answered.
 */
int vhdx_items_identity(const struct vhdx_image *img, guid_t *guid)
{
	*guid = vhdx_image_header(img)->data_write_guid;
	return img->file->ops->flush(img->file);
}

/**
 * vhdx_items_locator() - the parent locator of an image
 * @parent: its parent, open
 * @relative_path: from the image's folder to @parent's file, as Windows writes it,
 *	UTF-8
 * @absolute_path: likewise, with its drive; NULL for none
 * @buf: receives VHDX_MAX_NEW_LOCATOR bytes at most
 *
 * Context: process context, may sleep; flushes @parent's file.
 * Return: bytes of the item; -EILSEQ: a path is not UTF-8; -ENAMETOOLONG; or what
 * flushing answered. MS-VHDX 2.6.2.6.
 */
int vhdx_items_locator(const struct vhdx_image *parent,
		       const char *relative_path, const char *absolute_path,
		       void *buf)
{
	char linkage[LINKAGE_CHARS + 1];
	const struct vhdx_locator_pair pair[3] = {
		{ "parent_linkage", linkage },
		{ "relative_path", relative_path },
		{ "absolute_win32_path", absolute_path },
	};
	guid_t guid;
	int ret;

	ret = vhdx_items_identity(parent, &guid);
	if (ret)
		return ret;
	print_linkage(linkage, &guid);
	return vhdx_locator_encode(pair, absolute_path ? 3 : 2, buf,
				   VHDX_MAX_NEW_LOCATOR);
}

/**
 * vhdx_items_reason() - why there is no new parent locator
 * @ret: what vhdx_items_locator() answered
 * @other: what to say when it was not for a path
 *
 * Context: any.
 * Return: a text for people.
 */
const char *vhdx_items_reason(int ret, const char *other)
{
	switch (ret) {
	case -EILSEQ:
		return "a path is not UTF-8";
	case -ENAMETOOLONG:
		return "a path is too long";
	default:
		return other;
	}
}

/**
 * struct locator_text - a parent locator as pairs of texts
 * @pair: of which @count
 * @count: keys
 * @length: bytes of all texts together, as UTF-8 with a NUL each
 * @text: those
 * @linkage: the value of parent_linkage
 * @linkage2: that of parent_linkage2
 */
struct locator_text {
	struct vhdx_locator_pair pair[VHDX_MAX_LOCATOR_KEYS + 1];
	u32 count;
	size_t length;
	char *text;
	char linkage[LINKAGE_CHARS + 1];
	char linkage2[LINKAGE_CHARS + 1];
};

static void add_pair(struct locator_text *text, const char *key,
		     const char *value)
{
	text->pair[text->count].key = key;
	text->pair[text->count].value = value;
	text->count++;
}

/* A text of the locator is valid UTF-16, and three bytes of UTF-8 at most each. */
static size_t text_room(const struct vhdx_locator *locator)
{
	struct vhdx_locator_entry entry;
	size_t room = 0;
	u32 i;

	for (i = 0; i < locator->count; i++) {
		vhdx_locator_entry(locator, i, &entry);
		room += 3 * (entry.key_chars + entry.value_chars) + 2;
	}
	return room;
}

static const char *take_text(struct locator_text *text, size_t room,
			     const void *utf16, u32 chars)
{
	const char *taken = text->text + text->length;

	text->length += vhdx_utf16_to_utf8(text->text + text->length,
					   room - text->length, utf16, chars,
					   true) + 1;
	return taken;
}

/* All but the linkages, in their order. */
static int take_others(struct locator_text *text,
		       const struct vhdx_locator *locator)
{
	size_t room = text_room(locator);
	struct vhdx_locator_entry entry;
	const char *key, *value;
	u32 i;

	text->text = kvmalloc(room, GFP_KERNEL);
	if (!text->text)
		return -ENOMEM;
	for (i = 0; i < locator->count; i++) {
		vhdx_locator_entry(locator, i, &entry);
		key = take_text(text, room, entry.key, entry.key_chars);
		value = take_text(text, room, entry.value, entry.value_chars);
		if (strcmp(key, "parent_linkage") &&
		    strcmp(key, "parent_linkage2"))
			add_pair(text, key, value);
	}
	return 0;
}

/**
 * vhdx_items_relink() - the parent locator of an image, with other linkages
 * @img: a differencing image
 * @linkage: its parent has this DataWriteGuid
 * @linkage2: or this; NULL: nothing else
 * @buf: receives VHDX_MAX_METADATA_ITEM_SIZE bytes at most
 *
 * Context: process context, may sleep.
 * Return: bytes of the item; -E2BIG, -ENAMETOOLONG: too many keys, too long;
 * -ENOMEM. MS-VHDX 2.6.2.6.3.
 */
int vhdx_items_relink(const struct vhdx_image *img, const guid_t *linkage,
		      const guid_t *linkage2, void *buf)
{
	struct locator_text *text = kvzalloc(sizeof(*text), GFP_KERNEL);
	int ret;

	if (!text)
		return -ENOMEM;
	print_linkage(text->linkage, linkage);
	add_pair(text, "parent_linkage", text->linkage);
	if (linkage2) {
		print_linkage(text->linkage2, linkage2);
		add_pair(text, "parent_linkage2", text->linkage2);
	}
	ret = take_others(text, &img->locator);
	if (!ret && text->count > VHDX_MAX_LOCATOR_KEYS)
		ret = -E2BIG;
	if (!ret)
		ret = vhdx_locator_encode(text->pair, text->count, buf,
					  VHDX_MAX_METADATA_ITEM_SIZE);
	kvfree(text->text);
	kvfree(text);
	return ret;
}

/*
 * The first place in the region that is long enough; what @item has now is free.
 * U32_MAX: there is none. A place moves up past one item after the other.
 */
static u32 find_room(const struct vhdx_image *img,
		     const struct vhdx_metadata_item *item, u32 length)
{
	const struct vhdx_metadata_table *table = img->metadata_table;
	u64 place = VHDX_METADATA_TABLE_SIZE;
	u32 i;

	for (i = 0; i < table->count; i++) {
		const struct vhdx_metadata_item *other = &table->item[i];
		const u64 end = (u64)other->offset + other->length;

		if (other == item || !other->length || end <= place ||
		    other->offset >= place + length)
			continue;
		place = ALIGN(end, VHDX_ITEM_ALIGNMENT);
		if (place + length > img->metadata_region->length)
			return U32_MAX;
		/* One before may be in the way now. */
		i = U32_MAX;
	}
	return place + length > img->metadata_region->length ? U32_MAX : place;
}

static u32 entry_at(u32 i)
{
	return sizeof(struct vhdx_disk_metadata_table_header) +
	       i * sizeof(struct vhdx_disk_metadata_table_entry);
}

/* Without an edit it is only looked whether it could be done. */
static int write_item(const struct vhdx_image *img, struct vhdx_edit *edit,
		      u32 offset, const void *buf, u32 length)
{
	if (!edit)
		return 0;
	return vhdx_edit_write(edit, img->metadata_region->file_offset + offset,
			       buf, length);
}

/* Bytes of the table, from its start. */
static int write_table(const struct vhdx_image *img, struct vhdx_edit *edit,
		       u32 from, u32 to)
{
	u8 *buf = kvmalloc(VHDX_METADATA_TABLE_SIZE, GFP_KERNEL);
	int ret;

	if (!buf)
		return -ENOMEM;
	vhdx_metadata_table_encode(img->metadata_table, buf);
	ret = write_item(img, edit, from, buf + from, to - from);
	kvfree(buf);
	return ret;
}

/* Its content goes where there is room for it; its entry knows afterwards. */
static int write_content(const struct vhdx_image *img, struct vhdx_edit *edit,
			 struct vhdx_metadata_item *item, const void *buf,
			 u32 length)
{
	u32 offset = 0;
	int ret;

	if (length)
		offset = length <= item->length ? item->offset :
						  find_room(img, item, length);
	if (offset == U32_MAX)
		return -ENOSPC;
	ret = write_item(img, edit, offset, buf, length);
	if (!ret) {
		item->offset = offset;
		item->length = length;
	}
	return ret;
}

/**
 * vhdx_items_replace() - put another content of a system item into an edit
 * @img: open; its table has the item's new place from now on, whatever becomes of
 *	the edit
 * @edit: of it
 * @id: of the item
 * @buf: the content
 * @length: bytes, more than 0
 *
 * Where the item is too short it gets another place in the metadata region.
 *
 * Context: process context, may sleep.
 * Return: 0; -ENOENT: there is no such item; -ENOSPC: no place in the region is
 * long enough; or as vhdx_edit_write(). MS-VHDX 2.6.1.
 */
int vhdx_items_replace(struct vhdx_image *img, struct vhdx_edit *edit,
		       const guid_t *id, const void *buf, u32 length)
{
	struct vhdx_metadata_table *table = img->metadata_table;
	const struct vhdx_metadata_item *found = vhdx_metadata_find(table, id);
	u32 i, old_offset, old_length;
	int ret;

	if (!found)
		return -ENOENT;
	i = found - table->item;
	old_offset = found->offset;
	old_length = found->length;
	ret = write_content(img, edit, &table->item[i], buf, length);
	if (ret || (found->offset == old_offset && found->length == old_length))
		return ret;
	return write_table(img, edit, entry_at(i), entry_at(i + 1));
}

/**
 * vhdx_items_replace_value() - put another value of an item of fixed size into an edit
 * @img: as for vhdx_items_replace()
 * @edit: of it
 * @id: of the item
 * @metadata: with the value
 *
 * Context: process context, may sleep.
 * Return: as vhdx_items_replace().
 */
int vhdx_items_replace_value(struct vhdx_image *img, struct vhdx_edit *edit,
			     const guid_t *id,
			     const struct vhdx_metadata *metadata)
{
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];
	u32 length = vhdx_metadata_item_encode(id, metadata, buf);

	return vhdx_items_replace(img, edit, id, buf, length);
}

/* U32_MAX: there is none. */
static u32 find_item(const struct vhdx_metadata_table *table,
		     const struct vhdx_metadata_item *item)
{
	u32 i;

	for (i = 0; i < table->count; i++)
		if (table->item[i].is_user == item->is_user &&
		    guid_equal(&table->item[i].item_id, &item->item_id))
			return i;
	return U32_MAX;
}

/* As many as an image may be opened with. */
static bool is_full(const struct vhdx_metadata_table *table, bool is_user)
{
	u32 i, users = 0;

	for (i = 0; is_user && i < table->count; i++)
		users += table->item[i].is_user;
	return table->count == VHDX_MAX_METADATA_ITEMS ||
	       users == VHDX_MAX_USER_ITEMS;
}

static int is_same(const struct vhdx_image *img,
		   const struct vhdx_metadata_item *own,
		   const struct vhdx_metadata_item *item, const void *buf,
		   bool *same)
{
	struct vhdx_error ignored;
	void *old;
	int ret;

	*same = own->length == item->length &&
		own->is_virtual_disk == item->is_virtual_disk &&
		own->is_required == item->is_required;
	if (!*same || !item->length)
		return 0;
	old = kvmalloc(item->length, GFP_KERNEL);
	if (!old)
		return -ENOMEM;
	ret = vhdx_metadata_read_item(img, own, old, item->length, &ignored);
	*same = !ret && !memcmp(old, buf, item->length);
	kvfree(old);
	return ret;
}

/**
 * vhdx_items_put() - have an edit give an image an item, or another value of one
 * @img: as for vhdx_items_replace()
 * @edit: of it, which has nothing of the item yet; it has none afterwards where the
 *	image has the item as it is to be. NULL: just to see whether it can be done
 * @item: its id, length and flags
 * @buf: its bytes
 *
 * Context: process context, may sleep; reads the file.
 * Return: 0; -ENOSPC: no place in the region is long enough; -E2BIG: too many items,
 * or of users, or too much for an edit; -ENOMEM or what reading answered. MS-VHDX 2.6.1.2.
 */
int vhdx_items_put(struct vhdx_image *img, struct vhdx_edit *edit,
		   const struct vhdx_metadata_item *item, const void *buf)
{
	struct vhdx_metadata_table *table = img->metadata_table;
	u32 i = find_item(table, item);
	struct vhdx_metadata_item *own;
	bool same, new = i == U32_MAX;
	int ret;

	if (new) {
		if (is_full(table, item->is_user))
			return -E2BIG;
		i = table->count++;
		memset(&table->item[i], 0, sizeof(table->item[i]));
	} else {
		ret = is_same(img, &table->item[i], item, buf, &same);
		if (ret || same)
			return ret;
	}
	own = &table->item[i];
	own->item_id = item->item_id;
	own->is_user = item->is_user;
	own->is_virtual_disk = item->is_virtual_disk;
	own->is_required = item->is_required;
	ret = write_content(img, edit, own, buf, item->length);
	/* A new one counts in the table's header. */
	return ret ? : write_table(img, edit, new ? 0 : entry_at(i),
				   entry_at(i + 1));
}

/**
 * vhdx_items_drop() - have an edit take an item away from an image
 * @img: as for vhdx_items_replace()
 * @edit: of it, or NULL as for vhdx_items_put()
 * @i: which of its table
 *
 * Context: process context, may sleep.
 * Return: 0 or as vhdx_edit_write().
 */
int vhdx_items_drop(struct vhdx_image *img, struct vhdx_edit *edit, u32 i)
{
	struct vhdx_metadata_table *table = img->metadata_table;

	table->count--;
	memmove(&table->item[i], &table->item[i + 1],
		(table->count - i) * sizeof(table->item[0]));
	return write_table(img, edit, 0, entry_at(table->count + 1));
}
