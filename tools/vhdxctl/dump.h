/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The dump command: what its two forms of output share.
 */
#ifndef VHDXCTL_DUMP_H
#define VHDXCTL_DUMP_H

#include "image/look.h"

/* In the order in which they are shown; see dump_sections. */
enum dump_section {
	DUMP_HEADERS,
	DUMP_REGIONS,
	DUMP_METADATA,
	DUMP_LOCATOR,
	DUMP_BAT,
	DUMP_LOG,
	DUMP_SECTIONS
};

/* Bytes of a metadata item whose value is not known that are shown. */
#define DUMP_RAW_BYTES	64U

/**
 * struct dump - what there is to show
 * @path: of the image
 * @sections: which, a mask
 * @look: the image
 * @locator_item: the parent locator's bytes, at least one; NULL: there is none
 * @locator_length: bytes
 * @locator_offset: where it lies, bytes from the start of the file
 */
struct dump {
	const char *path;
	unsigned int sections;
	struct vhdx_look *look;
	u8 *locator_item;
	u32 locator_length;
	u64 locator_offset;
};

static inline bool dump_wants(const struct dump *dump, enum dump_section section)
{
	return dump->sections & 1U << section;
}

char *dump_hex(const void *buf, size_t length);
char *dump_problem(const struct vhdx_error *err);
int dump_read_item(const struct dump *dump, u32 i, u8 buf[DUMP_RAW_BYTES],
		   struct vhdx_metadata *value, struct vhdx_error *rule,
		   struct vhdx_error *err);

int dump_show(struct vhdx_file *file, const char *path, unsigned int sections,
	      bool json, struct vhdx_error *err);
int dump_print_json(const struct dump *dump, struct vhdx_error *err);
int dump_print_text(const struct dump *dump, struct vhdx_error *err);

#endif
