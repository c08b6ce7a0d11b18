// SPDX-License-Identifier: GPL-2.0
#include "builder_log.h"

/* Any value will do. */
const guid_t builder_log_guid =
	GUID_INIT(0x10610610, 0x1111, 0x4222,
		  0x83, 0x33, 0x44, 0x44, 0x55, 0x55, 0x66, 0x66);

static u32 descriptor_sectors(u32 updates)
{
	u32 n = 1;

	if (updates > 126)
		n += (updates - 126 + 127) / 128;
	return n;
}

/**
 * log_spec_length() - bytes of the entry
 * @spec: which
 */
u32 log_spec_length(const struct log_spec *spec)
{
	u32 sectors = descriptor_sectors(spec->updates);
	u32 i;

	for (i = 0; i < spec->updates; i++)
		sectors += !spec->update[i].zero_length;
	return 4096 * sectors;
}

/**
 * log_spec_encode() - make an entry
 * @spec: which
 *
 * Return: its log_spec_length() bytes, for kvfree(); NULL without memory.
 */
void *log_spec_encode(const struct log_spec *spec)
{
	u32 length = log_spec_length(spec);
	struct vhdx_disk_log_entry_header *header;
	struct vhdx_disk_log_descriptor *desc;
	struct vhdx_disk_log_data_sector *sector;
	u8 *buf = kvzalloc(length, GFP_KERNEL);
	u32 i;

	if (!buf)
		return NULL;
	header = (void *)buf;
	memcpy(header, "loge", 4);
	header->entry_length = cpu_to_le32(length);
	header->tail = cpu_to_le32(spec->tail);
	header->sequence_number = cpu_to_le64(spec->sequence_number);
	header->descriptor_count = cpu_to_le32(spec->updates);
	header->log_guid = spec->guid;
	header->flushed_file_offset = cpu_to_le64(spec->flushed_file_offset);
	header->last_file_offset = cpu_to_le64(spec->last_file_offset);

	desc = (void *)(header + 1);
	sector = (void *)(buf + 4096 * descriptor_sectors(spec->updates));
	for (i = 0; i < spec->updates; i++, desc++) {
		const struct log_update *update = &spec->update[i];

		desc->file_offset = cpu_to_le64(update->file_offset);
		desc->sequence_number = cpu_to_le64(spec->sequence_number);
		if (update->zero_length) {
			memcpy(desc, "zero", 4);
			desc->leading_bytes = cpu_to_le64(update->zero_length);
			continue;
		}
		memcpy(desc, "desc", 4);
		memcpy(&desc->leading_bytes, update->data, 8);
		memcpy(&desc->trailing_bytes, update->data + 4092, 4);
		memcpy(sector, "data", 4);
		sector->sequence_high = cpu_to_le32(spec->sequence_number >> 32);
		sector->sequence_low = cpu_to_le32(spec->sequence_number &
						   U32_MAX);
		memcpy(sector->data, update->data + 8, 4084);
		sector++;
	}
	builder_seal(buf, length);
	return buf;
}

/**
 * log_entry_write() - write an entry into the log
 * @sink: the image
 * @layout: of it
 * @entry: the bytes
 * @length: how many, a multiple of 4 KiB
 * @offset: bytes from the start of the log; wraps at its end
 *
 * Return: 0 or what the sink answered.
 */
int log_entry_write(const struct builder_sink *sink,
		    const struct builder_layout *layout, const void *entry,
		    u32 length, u32 offset)
{
	u32 pos;
	int ret = 0;

	for (pos = 0; !ret && pos < length; pos += 4096)
		ret = sink->write(sink->ctx, entry + pos, 4096,
				  layout->log_offset +
				  (offset + pos) % layout->log_length);
	return ret;
}

/**
 * log_spec_write() - make an entry and write it into the log
 * @sink: the image
 * @layout: of it
 * @spec: which
 *
 * Return: 0, -ENOMEM or what the sink answered.
 */
int log_spec_write(const struct builder_sink *sink,
		   const struct builder_layout *layout,
		   const struct log_spec *spec)
{
	void *entry = log_spec_encode(spec);
	int ret;

	if (!entry)
		return -ENOMEM;
	ret = log_entry_write(sink, layout, entry, log_spec_length(spec),
			      spec->offset);
	kvfree(entry);
	return ret;
}
