// SPDX-License-Identifier: GPL-2.0
/*
 * The file identifier and the two headers (MS-VHDX 2.2.1, 2.2.2).
 */
#include "format.h"
#include "internal.h"

static const u32 slot_offset[2] = { VHDX_HEADER_1_OFFSET, VHDX_HEADER_2_OFFSET };
static const char * const slot_name[2] = { "header 1", "header 2" };

/**
 * vhdx_file_id_check - is this a VHDX file at all (MS-VHDX 2.2.1)
 * @buf: VHDX_FILE_ID_SIZE bytes from file offset 0
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0, or -EMEDIUMTYPE.
 */
int vhdx_file_id_check(const void *buf, struct vhdx_error *err)
{
	const struct vhdx_disk_file_id *disk = buf;

	if (le64_to_cpu(disk->signature) != VHDX_FILE_ID_SIGNATURE)
		return vhdx_fail(err, -EMEDIUMTYPE, "file identifier", "Signature",
				 VHDX_FILE_ID_OFFSET, "not a VHDX file");
	return 0;
}

/**
 * vhdx_file_id_encode - a file identifier as it lies on disk (MS-VHDX 2.2.1)
 * @creator: who wrote the file, UTF-8; what is longer than VHDX_CREATOR_CHARS
 *	is cut
 * @buf: receives VHDX_FILE_ID_SIZE bytes
 *
 * Context: any.
 */
void vhdx_file_id_encode(const char *creator, void *buf)
{
	struct vhdx_disk_file_id *disk = buf;

	memset(disk, 0, sizeof(*disk));
	disk->signature = cpu_to_le64(VHDX_FILE_ID_SIGNATURE);
	vhdx_utf8_to_utf16(disk->creator, VHDX_CREATOR_CHARS, creator);
}

/**
 * vhdx_header_offset - where a header lies
 * @slot: 0 or 1
 *
 * Context: any.
 * Return: bytes from the start of the file.
 */
u64 vhdx_header_offset(unsigned int slot)
{
	return slot_offset[slot];
}

/**
 * vhdx_header_decode - decode one header (MS-VHDX 2.2.2)
 * @buf: VHDX_HEADER_SIZE bytes
 * @header: filled in, with what lies there where it is not valid
 *
 * Context: any.
 * Return: true when signature and checksum are right, which is all that makes
 * a header valid; the rules on its fields are vhdx_header_check()'s.
 */
bool vhdx_header_decode(const void *buf, struct vhdx_header *header)
{
	const struct vhdx_disk_header *disk = buf;

	header->sequence_number = le64_to_cpu(disk->sequence_number);
	header->file_write_guid = disk->file_write_guid;
	header->data_write_guid = disk->data_write_guid;
	header->log_guid = disk->log_guid;
	header->log_version = le16_to_cpu(disk->log_version);
	header->version = le16_to_cpu(disk->version);
	header->log_length = le32_to_cpu(disk->log_length);
	header->log_offset = le64_to_cpu(disk->log_offset);

	return le32_to_cpu(disk->signature) == VHDX_HEADER_SIGNATURE &&
	       le32_to_cpu(disk->checksum) == vhdx_checksum(buf, VHDX_HEADER_SIZE);
}

/**
 * vhdx_header_check_slot - is what lies in a slot a header
 * @headers: from vhdx_headers_decode()
 * @slot: 0 or 1
 * @err: filled in on failure
 *
 * An image needs one that is.
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_header_check_slot(const struct vhdx_headers *headers,
			   unsigned int slot, struct vhdx_error *err)
{
	return headers->valid[slot] ? 0 :
		vhdx_fail(err, -EUCLEAN, slot_name[slot], NULL,
			  slot_offset[slot], "signature or checksum is wrong");
}

/**
 * vhdx_headers_decode - decode both headers and choose the current one
 * @buf1: VHDX_HEADER_SIZE bytes of slot 0
 * @buf2: VHDX_HEADER_SIZE bytes of slot 1
 * @headers: filled in
 * @err: filled in on failure
 *
 * Current is the only valid one, or the one with the higher SequenceNumber
 * (MS-VHDX 2.2.2). Two headers that are the same to the byte are no
 * contradiction: Disk2vhd writes such.
 *
 * Context: any.
 * Return: 0, or -EUCLEAN when there is no current header.
 */
int vhdx_headers_decode(const void *buf1, const void *buf2,
			struct vhdx_headers *headers, struct vhdx_error *err)
{
	const struct vhdx_header *slot = headers->slot;

	memset(headers, 0, sizeof(*headers));
	headers->valid[0] = vhdx_header_decode(buf1, &headers->slot[0]);
	headers->valid[1] = vhdx_header_decode(buf2, &headers->slot[1]);

	if (!headers->valid[0] && !headers->valid[1])
		return vhdx_fail(err, -EUCLEAN, slot_name[0], NULL, slot_offset[0],
				 "signature or checksum is wrong, in header 2 too");

	if (!headers->valid[0] || !headers->valid[1]) {
		headers->current_slot = headers->valid[0] ? 0 : 1;
		return 0;
	}
	if (slot[0].sequence_number == slot[1].sequence_number &&
	    memcmp(buf1, buf2, VHDX_HEADER_SIZE))
		return vhdx_fail_value(err, -EUCLEAN, slot_name[1], "SequenceNumber",
				       slot_offset[1] + offsetof(struct vhdx_disk_header,
								 sequence_number),
				       slot[1].sequence_number,
				       "the same as in header 1, which differs");

	headers->current_slot = slot[1].sequence_number > slot[0].sequence_number;
	return 0;
}

static const char *name_at(u64 header_offset)
{
	return slot_name[header_offset == slot_offset[1]];
}

static int fail_log_length(const struct vhdx_header *header, u64 header_offset,
			   const char *reason, struct vhdx_error *err)
{
	return vhdx_fail_value(err, -EUCLEAN, name_at(header_offset), "LogLength",
			       header_offset + offsetof(struct vhdx_disk_header, log_length),
			       header->log_length, reason);
}

static int fail_log_offset(const struct vhdx_header *header, u64 header_offset,
			   const char *reason, struct vhdx_error *err)
{
	return vhdx_fail_value(err, -EUCLEAN, name_at(header_offset), "LogOffset",
			       header_offset + offsetof(struct vhdx_disk_header, log_offset),
			       header->log_offset, reason);
}

/**
 * vhdx_header_check_version - the rules on the versions in a header
 * @header: a valid header
 * @header_offset: where it lies, bytes from the start of the file
 * @err: filled in on failure
 *
 * MS-VHDX 2.2.2. LogVersion means nothing while there is no log to replay.
 *
 * Context: any.
 * Return: 0 or -EOPNOTSUPP.
 */
int vhdx_header_check_version(const struct vhdx_header *header,
			      u64 header_offset, struct vhdx_error *err)
{
	if (header->version != VHDX_VERSION)
		return vhdx_fail_value(err, -EOPNOTSUPP, name_at(header_offset), "Version",
				       header_offset + offsetof(struct vhdx_disk_header, version),
				       header->version, "only version 1 is supported");
	if (!guid_is_null(&header->log_guid) &&
	    header->log_version != VHDX_LOG_VERSION)
		return vhdx_fail_value(err, -EOPNOTSUPP, name_at(header_offset), "LogVersion",
				       header_offset + offsetof(struct vhdx_disk_header,
								log_version),
				       header->log_version,
				       "only a log of version 0 can be replayed");
	return 0;
}

/**
 * vhdx_header_check_log - the rules on where a header says the log is
 * @header: a valid header
 * @header_offset: where it lies, bytes from the start of the file
 * @file_size: bytes
 * @err: filled in on failure
 *
 * MS-VHDX 2.2.2. Without a log (LogLength and LogGuid zero) LogOffset means
 * nothing. That the log overlaps no region is vhdx_region_check()'s.
 *
 * Context: any.
 * Return: 0 or -EUCLEAN.
 */
int vhdx_header_check_log(const struct vhdx_header *header, u64 header_offset,
			  u64 file_size, struct vhdx_error *err)
{
	u64 end;

	if (!header->log_length)
		return guid_is_null(&header->log_guid) ? 0 :
			fail_log_length(header, header_offset,
					"LogGuid is set, but there is no log", err);

	if (!IS_ALIGNED(header->log_length, VHDX_MIB))
		return fail_log_length(header, header_offset, "not a multiple of 1 MiB", err);
	if (header->log_length > VHDX_MAX_LOG_LENGTH)
		return fail_log_length(header, header_offset, "longer than 1 GiB", err);
	if (!IS_ALIGNED(header->log_offset, VHDX_MIB))
		return fail_log_offset(header, header_offset, "not a multiple of 1 MiB", err);
	if (header->log_offset < VHDX_HEADER_SECTION_SIZE)
		return fail_log_offset(header, header_offset,
				       "the log overlaps the header section", err);
	if (check_add_overflow(header->log_offset, (u64)header->log_length, &end) ||
	    end > file_size)
		return fail_log_offset(header, header_offset,
				       "the log ends past the end of the file", err);
	return 0;
}

/**
 * vhdx_header_check - the rules on the fields of the current header
 * @header: the current header
 * @header_offset: where it lies, bytes from the start of the file
 * @file_size: bytes
 * @err: filled in on failure
 *
 * Context: any.
 * Return: 0, -EOPNOTSUPP for another version of the format, -EUCLEAN.
 */
int vhdx_header_check(const struct vhdx_header *header, u64 header_offset,
		      u64 file_size, struct vhdx_error *err)
{
	int ret = vhdx_header_check_version(header, header_offset, err);

	return ret ? ret : vhdx_header_check_log(header, header_offset,
						 file_size, err);
}

/**
 * vhdx_header_encode - a header as it lies on disk (MS-VHDX 2.2.2)
 * @header: what it says
 * @buf: receives VHDX_HEADER_SIZE bytes, checksum included
 *
 * Context: any.
 */
void vhdx_header_encode(const struct vhdx_header *header, void *buf)
{
	struct vhdx_disk_header *disk = buf;

	memset(disk, 0, sizeof(*disk));
	disk->signature = cpu_to_le32(VHDX_HEADER_SIGNATURE);
	disk->sequence_number = cpu_to_le64(header->sequence_number);
	disk->file_write_guid = header->file_write_guid;
	disk->data_write_guid = header->data_write_guid;
	disk->log_guid = header->log_guid;
	disk->log_version = cpu_to_le16(header->log_version);
	disk->version = cpu_to_le16(header->version);
	disk->log_length = cpu_to_le32(header->log_length);
	disk->log_offset = cpu_to_le64(header->log_offset);
	disk->checksum = cpu_to_le32(vhdx_checksum(buf, VHDX_HEADER_SIZE));
}
