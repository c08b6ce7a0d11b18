// SPDX-License-Identifier: GPL-2.0
/*
 * The log: its entries, the active sequence, what replay writes (MS-VHDX 2.3).
 *
 * A log is a ring of 4 KiB sectors that anyone may have filled. Reading it
 * stays linear in its length, whatever it holds: a sector begins with the
 * signature of an entry, a descriptor or a data sector, and an entry is given
 * up at the first sector that is not what its header announces. So no sector
 * is looked at for more than one entry, valid entries never overlap, and the
 * checksum, the dear part, is computed once for each sector at most.
 */
#include "format.h"
#include "internal.h"

#define LOG_NAME	"log"
#define DESCRIPTOR_NAME	"log descriptor"

/* The log must not write the file identifier and the headers. */
#define FIRST_TARGET	VHDX_REGION_TABLE_1_OFFSET

/*
 * Wraps bytes behind the start of the log, less than twice its length; that is
 * at most 1 GiB, so 32 bits are enough.
 */
static u32 log_wrap(const struct vhdx_log *log, u32 offset)
{
	return offset < log->length ? offset : offset - log->length;
}

static const void *log_at(const struct vhdx_log *log, u32 offset)
{
	return (const u8 *)log->buf + log_wrap(log, offset);
}

/*
 * Where descriptor i is, bytes from the start of its entry. The first sector
 * holds the header and 126 of them, each further one 128: without a gap.
 */
static u64 descriptor_position(u64 i)
{
	return sizeof(struct vhdx_disk_log_entry_header) +
	       i * sizeof(struct vhdx_disk_log_descriptor);
}

/* Bytes of an entry's descriptor sectors, which its data sectors follow. */
static u64 descriptors_length(u32 count)
{
	return ALIGN(descriptor_position(count), VHDX_LOG_SECTOR_SIZE);
}

static void read_entry_header(const struct vhdx_log *log, u32 offset,
			      struct vhdx_log_entry *entry)
{
	const struct vhdx_disk_log_entry_header *disk = log_at(log, offset);

	entry->offset = log_wrap(log, offset);
	entry->entry_length = le32_to_cpu(disk->entry_length);
	entry->tail = le32_to_cpu(disk->tail);
	entry->descriptor_count = le32_to_cpu(disk->descriptor_count);
	entry->sequence_number = le64_to_cpu(disk->sequence_number);
	entry->flushed_file_offset = le64_to_cpu(disk->flushed_file_offset);
	entry->last_file_offset = le64_to_cpu(disk->last_file_offset);
}

/*
 * Reserved is covered by the checksum and does not tell a torn entry: ignored.
 * So are the 4 KiB-rules on the targets: they are replay's to refuse, out loud.
 */
static bool entry_header_valid(const struct vhdx_log *log,
			       const struct vhdx_log_entry *entry)
{
	const struct vhdx_disk_log_entry_header *disk = log_at(log, entry->offset);

	return le32_to_cpu(disk->signature) == VHDX_LOG_ENTRY_SIGNATURE &&
	       guid_equal(&disk->log_guid, &log->log_guid) &&
	       entry->sequence_number &&
	       IS_ALIGNED(entry->entry_length, VHDX_LOG_SECTOR_SIZE) &&
	       entry->entry_length <= log->length &&
	       IS_ALIGNED(entry->tail, VHDX_LOG_SECTOR_SIZE) &&
	       entry->tail < log->length &&
	       descriptors_length(entry->descriptor_count) <= entry->entry_length;
}

static bool descriptors_valid(const struct vhdx_log *log,
			      const struct vhdx_log_entry *entry, u32 *data_sectors)
{
	u32 i, position = entry->offset + descriptor_position(0);

	*data_sectors = 0;
	for (i = 0; i < entry->descriptor_count; i++) {
		const struct vhdx_disk_log_descriptor *disk = log_at(log, position);
		u32 signature = le32_to_cpu(disk->signature);

		if (signature != VHDX_ZERO_DESCRIPTOR_SIGNATURE &&
		    signature != VHDX_DATA_DESCRIPTOR_SIGNATURE)
			return false;
		if (le64_to_cpu(disk->sequence_number) != entry->sequence_number)
			return false;
		*data_sectors += signature == VHDX_DATA_DESCRIPTOR_SIGNATURE;
		position += sizeof(*disk);
	}
	return true;
}

static bool data_sectors_valid(const struct vhdx_log *log,
			       const struct vhdx_log_entry *entry, u32 offset)
{
	for (; offset < entry->entry_length; offset += VHDX_LOG_SECTOR_SIZE) {
		const struct vhdx_disk_log_data_sector *disk =
			log_at(log, entry->offset + offset);

		if (le32_to_cpu(disk->signature) != VHDX_DATA_SECTOR_SIGNATURE ||
		    le32_to_cpu(disk->sequence_high) != entry->sequence_number >> 32 ||
		    le32_to_cpu(disk->sequence_low) != (u32)entry->sequence_number)
			return false;
	}
	return true;
}

static bool checksum_valid(const struct vhdx_log *log,
			   const struct vhdx_log_entry *entry)
{
	const struct vhdx_disk_log_entry_header *disk = log_at(log, entry->offset);
	u32 to_end = min(entry->entry_length, log->length - entry->offset);

	return le32_to_cpu(disk->checksum) ==
	       vhdx_checksum2(disk, to_end, log->buf, entry->entry_length - to_end);
}

/**
 * vhdx_log_entry_decode - decode and check the log entry at an offset
 * @log: the log in memory
 * @offset: bytes from the start of the log, a multiple of 4 KiB
 * @entry: filled in, with what lies there where it is not valid
 *
 * MS-VHDX 2.3.1: every field of the header, every descriptor, every data
 * sector, the checksum. The entry may wrap. What is wrong is not told, since
 * an entry that is not valid was torn or is old: no error.
 *
 * Context: any. Time is linear in the sectors up to the first that does not
 * fit, and over all offsets of a log linear in its length.
 * Return: true when there is a valid entry with the log's LogGuid.
 */
bool vhdx_log_entry_decode(const struct vhdx_log *log, u32 offset,
			   struct vhdx_log_entry *entry)
{
	u32 descriptors, data_sectors;

	read_entry_header(log, offset, entry);
	if (!entry_header_valid(log, entry) ||
	    !descriptors_valid(log, entry, &data_sectors))
		return false;

	descriptors = descriptors_length(entry->descriptor_count);
	return (u64)data_sectors * VHDX_LOG_SECTOR_SIZE ==
			entry->entry_length - descriptors &&
	       data_sectors_valid(log, entry, descriptors) &&
	       checksum_valid(log, entry);
}

/**
 * vhdx_log_find_entry - find the next valid entry
 * @log: the log in memory
 * @offset: where to begin, bytes from the start of the log, a multiple of
 *	4 KiB; receives where it is
 * @entry: filled in when there is one
 *
 * Context: may sleep. Time is linear in the length of the log, for all of its
 * entries.
 * Return: whether there is one up to the end of the log.
 */
bool vhdx_log_find_entry(const struct vhdx_log *log, u32 *offset,
			 struct vhdx_log_entry *entry)
{
	for (; *offset < log->length; *offset += VHDX_LOG_SECTOR_SIZE) {
		if (vhdx_log_entry_decode(log, *offset, entry))
			return true;
		cond_resched();
	}
	return false;
}

/**
 * vhdx_log_entry_guid - whose entry begins at an offset, if one does
 * @log: the log in memory
 * @offset: bytes from the start of the log, a multiple of 4 KiB
 * @guid: receives its LogGuid, which may not be the log's
 *
 * Context: any.
 * Return: whether there is the signature of an entry, which may be torn.
 */
bool vhdx_log_entry_guid(const struct vhdx_log *log, u32 offset, guid_t *guid)
{
	const struct vhdx_disk_log_entry_header *disk = log_at(log, offset);

	*guid = disk->log_guid;
	return le32_to_cpu(disk->signature) == VHDX_LOG_ENTRY_SIGNATURE;
}

/* Was b written right behind a? */
static bool entry_continues(const struct vhdx_log *log, const struct vhdx_log_entry *a,
			    const struct vhdx_log_entry *b)
{
	return log_wrap(log, a->offset + a->entry_length) == b->offset &&
	       a->sequence_number != U64_MAX &&
	       a->sequence_number + 1 == b->sequence_number;
}

/*
 * The @count entries from number @first of the ring of @n in @entries are a
 * whole run: is it a sequence, and a newer one than *sequence?
 */
static void consider_run(const struct vhdx_log_entry *entries, u32 n, u32 first,
			 u32 count, struct vhdx_log_sequence *sequence)
{
	const struct vhdx_log_entry *head = &entries[(first + count - 1) % n];
	u32 i;

	if (sequence->count && head->sequence_number <= sequence->head.sequence_number)
		return;
	for (i = 0; i < count; i++) {
		const struct vhdx_log_entry *tail = &entries[(first + i) % n];

		if (tail->offset != head->tail)
			continue;
		sequence->tail = *tail;
		sequence->head = *head;
		sequence->count = count - i;
		return;
	}
}

/**
 * vhdx_log_find_active_sequence - find what has to be replayed
 * @log: the log in memory, LogGuid not zero
 * @scratch: @log->length / 4096 entries for working in
 * @sequence: filled in
 * @err: filled in on failure
 *
 * MS-VHDX 2.3.3, steps 1 to 7. A run is a maximal row of valid entries, each
 * right behind the one before and one higher in number; it may wrap. It is a
 * sequence when its last entry's Tail is an entry of the run. The sequence with
 * the highest number at its end is the active one, the first such in the log.
 *
 * As in the specification a run whose last entry's Tail is outside is no
 * sequence, and is not cut back to a shorter one that would be: that last
 * entry may have been acknowledged as stable, so to replay without it is to
 * lose data in silence. Nor does a single entry with a higher number than the
 * active sequence matter: it is what a crash leaves when entries in flight
 * reach the disk out of order.
 *
 * FlushedFileOffset and LastFileOffset are the caller's to check.
 *
 * Context: may sleep. Time is linear in the length of the log.
 * Return: 0, or -EUCLEAN when there is no sequence.
 */
int vhdx_log_find_active_sequence(const struct vhdx_log *log,
				  struct vhdx_log_entry *scratch,
				  struct vhdx_log_sequence *sequence,
				  struct vhdx_error *err)
{
	u32 n = 0, offset = 0, first, start, count, i;

	while (vhdx_log_find_entry(log, &offset, &scratch[n]))
		offset += scratch[n++].entry_length;

	/*
	 * In @scratch they are in the order of the log and do not overlap: only
	 * the neighbour before, the last being before the first, can be what an
	 * entry continues. Numbers rise along a run, so some entry continues
	 * none, and from there the ring falls into whole runs.
	 */
	for (first = 0; first < n; first++)
		if (!entry_continues(log, &scratch[first ? first - 1 : n - 1],
				     &scratch[first]))
			break;

	sequence->count = 0;
	for (i = 0; i < n; i += count) {
		start = (first + i) % n;
		for (count = 1; i + count < n; count++)
			if (!entry_continues(log, &scratch[(start + count - 1) % n],
					     &scratch[(start + count) % n]))
				break;
		consider_run(scratch, n, start, count, sequence);
	}
	if (!sequence->count)
		return vhdx_fail(err, -EUCLEAN, LOG_NAME, NULL, log->file_offset,
				 "LogGuid is set, but there is no complete sequence of entries");
	return 0;
}

/**
 * vhdx_log_next_entry - the entry behind another in a sequence
 * @log: the log in memory, as it was when the sequence was found
 * @entry: an entry of the sequence, not its head
 * @next: filled in; may be the same as @entry
 *
 * Context: any.
 */
void vhdx_log_next_entry(const struct vhdx_log *log,
			 const struct vhdx_log_entry *entry,
			 struct vhdx_log_entry *next)
{
	read_entry_header(log, entry->offset + entry->entry_length, next);
}

/* The rules on the range of the file that an update writes. */
static int check_target(const struct vhdx_log *log, const struct vhdx_log_update *update,
			struct vhdx_error *err)
{
	const u64 offset = log->file_offset + update->descriptor +
			   offsetof(struct vhdx_disk_log_descriptor, file_offset);

	if (!IS_ALIGNED(update->file_offset, VHDX_LOG_SECTOR_SIZE))
		return vhdx_fail_value(err, -EUCLEAN, DESCRIPTOR_NAME, "FileOffset", offset,
				       update->file_offset, "not a multiple of 4 KiB");
	if (update->file_offset < FIRST_TARGET)
		return vhdx_fail_value(err, -EUCLEAN, DESCRIPTOR_NAME, "FileOffset", offset,
				       update->file_offset,
				       "the target is the file identifier or a header");
	if (!update->length || !IS_ALIGNED(update->length, VHDX_LOG_SECTOR_SIZE))
		return vhdx_fail_value(err, -EUCLEAN, DESCRIPTOR_NAME, "ZeroLength",
				       log->file_offset + update->descriptor +
				       offsetof(struct vhdx_disk_log_descriptor, leading_bytes),
				       update->length, "zero or not a multiple of 4 KiB");
	if (update->file_offset > S64_MAX || update->length > S64_MAX - update->file_offset)
		return vhdx_fail_value(err, -EUCLEAN, DESCRIPTOR_NAME, "FileOffset", offset,
				       update->file_offset, "the target ends past 2^63");
	if (vhdx_overlap(update->file_offset, update->length,
			 log->file_offset, log->length))
		return vhdx_fail_value(err, -EUCLEAN, DESCRIPTOR_NAME, "FileOffset", offset,
				       update->file_offset, "the target overlaps the log");
	return 0;
}

/**
 * vhdx_log_update - what one descriptor of an entry writes to the file
 * @log: the log in memory
 * @entry: a valid entry
 * @i: descriptor, less than @entry->descriptor_count
 * @update: in: as the call for @i - 1 left it, of no interest when @i is 0;
 *	out: filled in
 * @err: filled in on failure
 *
 * MS-VHDX 2.3.1.2, 2.3.1.3. To be called for 0, 1, 2 and on in this order with
 * one and the same *@update: which data sector belongs to a descriptor is the
 * number of data descriptors before it, and that is not counted again each
 * time. How far a target may lie past the end of the file, and how much may be
 * zeroed, is the caller's to bound.
 *
 * Context: any.
 * Return: 0, or -EUCLEAN for a target that must not be written: in the headers
 * or the log, not aligned, past 2^63.
 */
int vhdx_log_update(const struct vhdx_log *log,
		    const struct vhdx_log_entry *entry, u32 i,
		    struct vhdx_log_update *update, struct vhdx_error *err)
{
	const u32 position = entry->offset + descriptor_position(i);
	const struct vhdx_disk_log_descriptor *disk = log_at(log, position);

	/* A zero descriptor leaves the data sector for the next one. */
	if (!i)
		update->data_sector = log_wrap(log, entry->offset +
				descriptors_length(entry->descriptor_count));
	else if (!update->is_zero)
		update->data_sector = log_wrap(log, update->data_sector +
				VHDX_LOG_SECTOR_SIZE);

	update->descriptor = log_wrap(log, position);
	update->is_zero = le32_to_cpu(disk->signature) == VHDX_ZERO_DESCRIPTOR_SIGNATURE;
	update->file_offset = le64_to_cpu(disk->file_offset);
	update->length = update->is_zero ? le64_to_cpu(disk->leading_bytes) :
					   VHDX_LOG_SECTOR_SIZE;
	return check_target(log, update, err);
}

/**
 * vhdx_log_update_data - rebuild the bytes of a data update
 * @log: the log in memory
 * @update: from vhdx_log_update(), not @update->is_zero
 * @buf: VHDX_LOG_SECTOR_SIZE bytes
 *
 * MS-VHDX 2.3.1.4: the first eight bytes and the last four are in the
 * descriptor, where the data sector has its signature and numbers.
 *
 * Context: any.
 */
void vhdx_log_update_data(const struct vhdx_log *log,
			  const struct vhdx_log_update *update, void *buf)
{
	const struct vhdx_disk_log_descriptor *descriptor = log_at(log, update->descriptor);
	const struct vhdx_disk_log_data_sector *sector = log_at(log, update->data_sector);
	u8 *bytes = buf;

	memcpy(bytes, &descriptor->leading_bytes, sizeof(descriptor->leading_bytes));
	bytes += sizeof(descriptor->leading_bytes);
	memcpy(bytes, sector->data, sizeof(sector->data));
	bytes += sizeof(sector->data);
	memcpy(bytes, &descriptor->trailing_bytes, sizeof(descriptor->trailing_bytes));
}

/**
 * vhdx_log_entry_length - how long an entry with data is
 * @count: data descriptors
 *
 * Context: any.
 * Return: bytes, a multiple of 4 KiB.
 */
u32 vhdx_log_entry_length(u32 count)
{
	return descriptors_length(count) + count * VHDX_LOG_SECTOR_SIZE;
}

/**
 * vhdx_log_entry_encode - an entry as it lies on disk (MS-VHDX 2.3.1)
 * @entry: its header; entry_length is that of descriptor_count data descriptors,
 *	less the data sector of each that only zeroes
 * @log_guid: of its generation
 * @pages: descriptor_count pages
 * @buf: receives @entry->entry_length bytes, checksum included
 *
 * Context: any.
 */
void vhdx_log_entry_encode(const struct vhdx_log_entry *entry,
			   const guid_t *log_guid,
			   const struct vhdx_log_page *pages, void *buf)
{
	struct vhdx_disk_log_entry_header *disk = buf;
	struct vhdx_disk_log_descriptor *descriptor = buf + descriptor_position(0);
	struct vhdx_disk_log_data_sector *sector =
		buf + descriptors_length(entry->descriptor_count);
	u64 number = entry->sequence_number;
	u32 i;

	memset(buf, 0, descriptors_length(entry->descriptor_count));
	disk->signature = cpu_to_le32(VHDX_LOG_ENTRY_SIGNATURE);
	disk->entry_length = cpu_to_le32(entry->entry_length);
	disk->tail = cpu_to_le32(entry->tail);
	disk->sequence_number = cpu_to_le64(number);
	disk->descriptor_count = cpu_to_le32(entry->descriptor_count);
	disk->log_guid = *log_guid;
	disk->flushed_file_offset = cpu_to_le64(entry->flushed_file_offset);
	disk->last_file_offset = cpu_to_le64(entry->last_file_offset);

	for (i = 0; i < entry->descriptor_count; i++, descriptor++) {
		const u8 *data = pages[i].data;

		descriptor->file_offset = cpu_to_le64(pages[i].file_offset);
		descriptor->sequence_number = cpu_to_le64(number);
		if (!data) {
			descriptor->signature =
				cpu_to_le32(VHDX_ZERO_DESCRIPTOR_SIGNATURE);
			descriptor->leading_bytes =
				cpu_to_le64(pages[i].zero_length);
			continue;
		}
		descriptor->signature =
			cpu_to_le32(VHDX_DATA_DESCRIPTOR_SIGNATURE);
		memcpy(&descriptor->leading_bytes, data, 8);
		memcpy(sector->data, data + 8, VHDX_LOG_DATA_SIZE);
		memcpy(&descriptor->trailing_bytes,
		       data + 8 + VHDX_LOG_DATA_SIZE, 4);
		sector->signature = cpu_to_le32(VHDX_DATA_SECTOR_SIGNATURE);
		sector->sequence_high = cpu_to_le32(number >> 32);
		sector->sequence_low = cpu_to_le32((u32)number);
		sector++;
	}
	disk->checksum = cpu_to_le32(vhdx_checksum(buf, entry->entry_length));
}
