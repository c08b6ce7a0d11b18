/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is wrong with an image: one type that the kernel log, the ioctl and the
 * tool all print in the same words.
 */
#ifndef VHDX_FORMAT_ERROR_H
#define VHDX_FORMAT_ERROR_H

#include "../port.h"

/* Enough for every message of vhdx_error_print(), its NUL included. */
#define VHDX_ERROR_LENGTH	256

/**
 * struct vhdx_error - what is wrong, and where
 * @errnum: negative errno; 0 when nothing was reported.
 *	-EMEDIUMTYPE: not a VHDX file at all. -EUCLEAN: the image is damaged or
 *	breaks a rule. -EOPNOTSUPP: valid, but needs what this code lacks.
 *	-ESTALE: the parent is not the one that the image was made from.
 *	Others: what reading the file or getting memory answered.
 * @structure: the structure in the specification's words ("header 1"), or
 *	"file" where no structure is meant. A constant string.
 * @field: the field in the specification's words ("LogOffset"), or NULL where
 *	the structure as a whole is meant. A constant string.
 * @reason: what is wrong with it. A constant string.
 * @offset: where the structure (the field, if there is one) lies: bytes from
 *	the start of the file
 * @value: the offending value, shown when @has_value
 * @has_value: @value means something
 * @guid: a GUID that @field holds, and the one that @reason speaks of; shown when
 *	@has_guids
 * @has_guids: @guid means something
 */
struct vhdx_error {
	int errnum;
	const char *structure;
	const char *field;
	const char *reason;
	u64 offset;
	u64 value;
	bool has_value;
	guid_t guid[2];
	bool has_guids;
};

int vhdx_fail(struct vhdx_error *err, int errnum, const char *structure,
	      const char *field, u64 offset, const char *reason);
int vhdx_fail_value(struct vhdx_error *err, int errnum, const char *structure,
		    const char *field, u64 offset, u64 value,
		    const char *reason);
int vhdx_fail_guids(struct vhdx_error *err, int errnum, const char *structure,
		    const char *field, u64 offset, const guid_t *value,
		    const char *reason, const guid_t *other);
int vhdx_error_print(char *buf, size_t size, const struct vhdx_error *err);

#endif
