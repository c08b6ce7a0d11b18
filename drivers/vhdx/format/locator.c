// SPDX-License-Identifier: GPL-2.0
/*
 * The parent locator (MS-VHDX 2.6.2.6).
 */
#include "format.h"
#include "internal.h"

#define LOCATOR_NAME	"parent locator"
#define ENTRY_NAME	"parent locator entry"

/* Bytes from the start of the item. */
static u32 entry_offset(u32 i)
{
	return sizeof(struct vhdx_disk_parent_locator_header) +
	       i * sizeof(struct vhdx_disk_parent_locator_entry);
}

static void read_entry(const void *buf, u32 i,
		       struct vhdx_disk_parent_locator_entry *disk)
{
	memcpy(disk, (const u8 *)buf + entry_offset(i), sizeof(*disk));
}

/* One key or value; the fields lie at file offset @offset_field, @length_field. */
static int check_string(const void *buf, u32 item_length, u32 offset, u32 length,
			const char *offset_name, u64 offset_field,
			const char *length_name, u64 length_field,
			struct vhdx_error *err)
{
	const u8 *text = (const u8 *)buf + offset;
	u32 i;

	if (!length || length % 2)
		return vhdx_fail_value(err, -EUCLEAN, ENTRY_NAME, length_name,
				       length_field, length,
				       "zero or not a multiple of 2");
	if (!offset || (u64)offset + length > item_length)
		return vhdx_fail_value(err, -EUCLEAN, ENTRY_NAME, offset_name,
				       offset_field, offset,
				       "zero, or the string ends past the end of the item");
	for (i = 0; i < length / 2; i++)
		if (!vhdx_utf16_unit(text, i))
			return vhdx_fail_value(err, -EUCLEAN, ENTRY_NAME, offset_name,
					       offset_field, offset,
					       "there is a NUL in the string");
	if (vhdx_utf16_to_utf8(NULL, 0, text, length / 2, false) < 0)
		return vhdx_fail_value(err, -EUCLEAN, ENTRY_NAME, offset_name,
				       offset_field, offset, "not valid UTF-16");
	return 0;
}

static int check_strings(const struct vhdx_locator *locator, u32 i,
			 u64 item_offset, struct vhdx_error *err)
{
	const u64 offset = item_offset + entry_offset(i);
	const u32 length = locator->length;
	const void *buf = locator->buf;
	struct vhdx_disk_parent_locator_entry disk;
	int ret;

	read_entry(buf, i, &disk);
	ret = check_string(buf, length, le32_to_cpu(disk.key_offset),
			   le16_to_cpu(disk.key_length),
			   "KeyOffset", offset + offsetof(typeof(disk), key_offset),
			   "KeyLength", offset + offsetof(typeof(disk), key_length), err);
	if (ret)
		return ret;
	return check_string(buf, length, le32_to_cpu(disk.value_offset),
			    le16_to_cpu(disk.value_length),
			    "ValueOffset", offset + offsetof(typeof(disk), value_offset),
			    "ValueLength", offset + offsetof(typeof(disk), value_length), err);
}

static bool key_is_inside(const struct vhdx_locator *locator, u32 i)
{
	struct vhdx_disk_parent_locator_entry disk;

	read_entry(locator->buf, i, &disk);
	return (u64)le32_to_cpu(disk.key_offset) + le16_to_cpu(disk.key_length) <=
	       locator->length;
}

/* Entry i against those before it; VHDX_MAX_LOCATOR_KEYS bounds the work. */
static int check_unique(const struct vhdx_locator *locator, u32 i,
			u64 item_offset, struct vhdx_error *err)
{
	struct vhdx_locator_entry entry, other;
	u32 j;

	vhdx_locator_entry(locator, i, &entry);
	for (j = 0; j < i; j++) {
		if (!key_is_inside(locator, j))
			continue;
		vhdx_locator_entry(locator, j, &other);
		if (entry.key_chars == other.key_chars &&
		    !memcmp(entry.key, other.key, 2 * entry.key_chars))
			return vhdx_fail(err, -EUCLEAN, ENTRY_NAME, NULL,
					 item_offset + entry_offset(i),
					 "the same key as that of an entry before");
	}
	return 0;
}

/**
 * vhdx_locator_check_entry - the rules for one entry (MS-VHDX 2.6.2.6.2)
 * @locator: from vhdx_locator_read()
 * @i: less than @locator->count
 * @item_offset: where the item lies, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN: a string of it is not one, or its key is not new.
 */
int vhdx_locator_check_entry(const struct vhdx_locator *locator, u32 i,
			     u64 item_offset, struct vhdx_error *err)
{
	int ret = check_strings(locator, i, item_offset, err);

	return ret ? ret : check_unique(locator, i, item_offset, err);
}

/* 0, -ENOENT where there is no such key, -EINVAL where it is no GUID */
static int find_guid(const struct vhdx_locator *locator, const char *key, guid_t *guid)
{
	/* One character more than a GUID in braces: a longer text gets cut. */
	char text[VHDX_GUID_CHARS + 4];
	struct vhdx_locator_entry entry;
	int length;

	if (!vhdx_locator_find(locator, key, &entry))
		return -ENOENT;
	length = vhdx_utf16_to_utf8(text, sizeof(text), entry.value,
				    min_t(u32, entry.value_chars, VHDX_GUID_CHARS + 3), true);
	if (length >= (int)sizeof(text))
		return -EINVAL;
	return vhdx_guid_parse(text, length, guid);
}

/**
 * vhdx_locator_check_linkage - decode and check who the parent is
 * @locator: with entries that are all right; receives parent_linkage,
 *	parent_linkage2 and has_parent_linkage2
 * @item_offset: where the item lies, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.6.2.6.3.
 */
int vhdx_locator_check_linkage(struct vhdx_locator *locator, u64 item_offset,
			       struct vhdx_error *err)
{
	int ret;

	ret = find_guid(locator, "parent_linkage", &locator->parent_linkage);
	if (ret)
		return vhdx_fail(err, -EUCLEAN, LOCATOR_NAME, "parent_linkage", item_offset,
				 ret == -ENOENT ? "the key is missing" : "not a GUID");

	ret = find_guid(locator, "parent_linkage2", &locator->parent_linkage2);
	if (ret == -EINVAL)
		return vhdx_fail(err, -EUCLEAN, LOCATOR_NAME, "parent_linkage2", item_offset,
				 "not a GUID");
	locator->has_parent_linkage2 = !ret;
	return 0;
}

/**
 * vhdx_locator_check_paths - is there a path to the parent
 * @locator: with entries that are all right
 * @item_offset: where the item lies, bytes from the start of the file
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0 or -EUCLEAN. MS-VHDX 2.6.2.6.3.
 */
int vhdx_locator_check_paths(const struct vhdx_locator *locator,
			     u64 item_offset, struct vhdx_error *err)
{
	static const char * const paths[] = {
		"relative_path", "volume_path", "absolute_win32_path"
	};
	struct vhdx_locator_entry entry;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (vhdx_locator_find(locator, paths[i], &entry))
			return 0;
	return vhdx_fail(err, -EUCLEAN, LOCATOR_NAME, NULL, item_offset,
			 "there is no path to the parent");
}

/**
 * vhdx_locator_read - read the head of a parent locator (MS-VHDX 2.6.2.6.1)
 * @buf: the item, of any alignment; must outlive @locator
 * @length: bytes of the item
 * @item_offset: where the item lies, bytes from the start of the file
 * @locator: receives buf, length and count, the rest is zero
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0, and the entries can be looked at by vhdx_locator_check_entry();
 * -EOPNOTSUPP for another type of locator or more than VHDX_MAX_LOCATOR_KEYS
 * keys; -EUCLEAN.
 */
int vhdx_locator_read(const void *buf, u32 length, u64 item_offset,
		      struct vhdx_locator *locator, struct vhdx_error *err)
{
	struct vhdx_disk_parent_locator_header header;
	const u64 count_field = item_offset + offsetof(typeof(header), key_value_count);
	u32 count;

	memset(locator, 0, sizeof(*locator));
	if (length < sizeof(header))
		return vhdx_fail_value(err, -EUCLEAN, LOCATOR_NAME, "Length", item_offset,
				       length, "too short for its header");
	memcpy(&header, buf, sizeof(header));
	if (!guid_equal(&header.locator_type, &vhdx_guid_vhdx_parent_locator))
		return vhdx_fail(err, -EOPNOTSUPP, LOCATOR_NAME, "LocatorType", item_offset,
				 "the parent is not a VHDX file");

	count = le16_to_cpu(header.key_value_count);
	if (entry_offset(count) > length)
		return vhdx_fail_value(err, -EUCLEAN, LOCATOR_NAME, "KeyValueCount",
				       count_field, count,
				       "the entries end past the end of the item");
	if (count > VHDX_MAX_LOCATOR_KEYS)
		return vhdx_fail_value(err, -EOPNOTSUPP, LOCATOR_NAME, "KeyValueCount",
				       count_field, count,
				       "more than 64 keys are not supported");
	locator->buf = buf;
	locator->length = length;
	locator->count = count;
	return 0;
}

/**
 * vhdx_locator_decode - decode a parent locator (MS-VHDX 2.6.2.6)
 * @buf: the item, of any alignment; must outlive @locator
 * @length: bytes of the item
 * @item_offset: where the item lies, bytes from the start of the file
 * @locator: filled in
 * @err: filled in on failure
 *
 * parent_linkage2 may be all zero, as Windows writes it: that is no identity
 * of any parent, and the caller must not let it match one.
 *
 * Context: any.
 * Return: 0, -EOPNOTSUPP for another type of locator or more than
 * VHDX_MAX_LOCATOR_KEYS keys, -EUCLEAN.
 */
int vhdx_locator_decode(const void *buf, u32 length, u64 item_offset,
			struct vhdx_locator *locator, struct vhdx_error *err)
{
	u32 i;
	int ret;

	ret = vhdx_locator_read(buf, length, item_offset, locator, err);
	for (i = 0; !ret && i < locator->count; i++)
		ret = vhdx_locator_check_entry(locator, i, item_offset, err);
	if (!ret)
		ret = vhdx_locator_check_linkage(locator, item_offset, err);
	if (!ret)
		ret = vhdx_locator_check_paths(locator, item_offset, err);
	return ret;
}

/**
 * vhdx_locator_entry - one key and value
 * @locator: a decoded parent locator
 * @i: less than @locator->count
 * @entry: filled in; points into the item
 *
 * Context: any.
 */
void vhdx_locator_entry(const struct vhdx_locator *locator, u32 i,
			struct vhdx_locator_entry *entry)
{
	struct vhdx_disk_parent_locator_entry disk;
	const u8 *buf = locator->buf;

	read_entry(buf, i, &disk);
	entry->key = buf + le32_to_cpu(disk.key_offset);
	entry->value = buf + le32_to_cpu(disk.value_offset);
	entry->key_chars = le16_to_cpu(disk.key_length) / 2;
	entry->value_chars = le16_to_cpu(disk.value_length) / 2;
}

static bool key_equals(const struct vhdx_locator_entry *entry, const char *key)
{
	u32 i;

	for (i = 0; i < entry->key_chars; i++)
		if (!key[i] || vhdx_utf16_unit(entry->key, i) != (u8)key[i])
			return false;
	return !key[i];
}

/**
 * vhdx_locator_find - find an entry by its key
 * @locator: a decoded parent locator
 * @key: in ASCII; case counts
 * @entry: filled in when found; points into the item
 *
 * Context: any.
 * Return: true when there is one.
 */
bool vhdx_locator_find(const struct vhdx_locator *locator, const char *key,
		       struct vhdx_locator_entry *entry)
{
	u32 i;

	for (i = 0; i < locator->count; i++) {
		vhdx_locator_entry(locator, i, entry);
		if (key_equals(entry, key))
			return true;
	}
	return false;
}

/* One text at @at of the item; its length in bytes or a negative errno. */
static int put_text(void *buf, u32 size, u32 at, const char *text)
{
	const u32 room = min_t(u32, size - at, U16_MAX) / 2;
	int units = vhdx_utf8_to_utf16((u8 *)buf + at, room, text);

	if (units < 0)
		return units;
	return (u32)units > room ? -ENAMETOOLONG : 2 * units;
}

/**
 * vhdx_locator_encode - a parent locator as it lies on disk (MS-VHDX 2.6.2.6)
 * @pair: its keys and values
 * @count: how many, at most VHDX_MAX_LOCATOR_KEYS
 * @buf: receives the item
 * @size: bytes that @buf has, which is enough for all but the texts
 *
 * Context: any.
 * Return: bytes of the item; -EILSEQ: a text is not UTF-8; -ENAMETOOLONG: too
 * long for the field of its length, or for @buf.
 */
int vhdx_locator_encode(const struct vhdx_locator_pair *pair, u32 count,
			void *buf, u32 size)
{
	const struct vhdx_disk_parent_locator_header header = {
		.locator_type = vhdx_guid_vhdx_parent_locator,
		.key_value_count = cpu_to_le16(count),
	};
	u32 i, at = entry_offset(count);

	memcpy(buf, &header, sizeof(header));
	for (i = 0; i < count; i++) {
		struct vhdx_disk_parent_locator_entry disk;
		int length;

		length = put_text(buf, size, at, pair[i].key);
		if (length < 0)
			return length;
		disk.key_offset = cpu_to_le32(at);
		disk.key_length = cpu_to_le16(length);
		at += length;
		length = put_text(buf, size, at, pair[i].value);
		if (length < 0)
			return length;
		disk.value_offset = cpu_to_le32(at);
		disk.value_length = cpu_to_le16(length);
		at += length;
		memcpy((u8 *)buf + entry_offset(i), &disk, sizeof(disk));
	}
	return at;
}
