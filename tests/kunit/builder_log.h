/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes log entries for tests (MS-VHDX 2.3), right ones and wrong ones.
 */
#ifndef TESTS_KUNIT_BUILDER_LOG_H
#define TESTS_KUNIT_BUILDER_LOG_H

#include "builder.h"

/**
 * struct log_update - one descriptor
 * @file_offset: bytes
 * @zero_length: bytes to zero; 0 when this is a data descriptor
 * @data: its 4 KiB
 */
struct log_update {
	u64 file_offset;
	u64 zero_length;
	const void *data;
};

/**
 * struct log_spec - one entry
 * @guid: LogGuid
 * @sequence_number: of it
 * @offset: bytes from the start of the log; it wraps when it does not fit
 * @tail: bytes from the start of the log
 * @flushed_file_offset: bytes
 * @last_file_offset: bytes
 * @update: its descriptors
 * @updates: how many
 */
struct log_spec {
	guid_t guid;
	u64 sequence_number;
	u32 offset;
	u32 tail;
	u64 flushed_file_offset;
	u64 last_file_offset;
	const struct log_update *update;
	u32 updates;
};

extern const guid_t builder_log_guid;

u32 log_spec_length(const struct log_spec *spec);
void *log_spec_encode(const struct log_spec *spec);
int log_entry_write(const struct builder_sink *sink,
		    const struct builder_layout *layout, const void *entry,
		    u32 length, u32 offset);
int log_spec_write(const struct builder_sink *sink,
		   const struct builder_layout *layout,
		   const struct log_spec *spec);

#endif
