// SPDX-License-Identifier: GPL-2.0
/*
 * What is wrong with an image, in words.
 */
#include "format.h"

/**
 * vhdx_fail - report what is wrong with a structure
 * @err: filled in
 * @errnum: negative errno, see struct vhdx_error
 * @structure: constant string, the structure in the specification's words
 * @field: constant string, the field in the specification's words, or NULL
 * @offset: of the field (of the structure, without one), bytes from the start
 *	of the file
 * @reason: constant string, what is wrong
 *
 * Context: any.
 * Return: @errnum, so that a caller can return what this returns.
 */
int vhdx_fail(struct vhdx_error *err, int errnum, const char *structure,
	      const char *field, u64 offset, const char *reason)
{
	*err = (struct vhdx_error){
		.errnum = errnum,
		.structure = structure,
		.field = field,
		.reason = reason,
		.offset = offset,
	};
	return errnum;
}

/**
 * vhdx_fail_value - report a field with an offending value
 * @err: filled in
 * @errnum: negative errno, see struct vhdx_error
 * @structure: constant string, the structure in the specification's words
 * @field: constant string, the field in the specification's words
 * @offset: of the field, bytes from the start of the file
 * @value: what the field holds
 * @reason: constant string, what is wrong with the value
 *
 * Context: any.
 * Return: @errnum, so that a caller can return what this returns.
 */
int vhdx_fail_value(struct vhdx_error *err, int errnum, const char *structure,
		    const char *field, u64 offset, u64 value,
		    const char *reason)
{
	vhdx_fail(err, errnum, structure, field, offset, reason);
	err->value = value;
	err->has_value = true;
	return errnum;
}

/**
 * vhdx_fail_guids - report a GUID that is not another
 * @err: filled in
 * @errnum: negative errno, see struct vhdx_error
 * @structure: constant string, the structure in the specification's words
 * @field: constant string, the field in the specification's words
 * @offset: of the field, bytes from the start of the file
 * @value: what the field holds
 * @reason: constant string that @other can follow
 * @other: the other GUID
 *
 * Context: any.
 * Return: @errnum, so that a caller can return what this returns.
 */
int vhdx_fail_guids(struct vhdx_error *err, int errnum, const char *structure,
		    const char *field, u64 offset, const guid_t *value,
		    const char *reason, const guid_t *other)
{
	vhdx_fail(err, errnum, structure, field, offset, reason);
	err->guid[0] = *value;
	err->guid[1] = *other;
	err->has_guids = true;
	return errnum;
}

static int print_guids(char *buf, size_t size, const struct vhdx_error *err)
{
	char value[VHDX_GUID_CHARS + 1], other[VHDX_GUID_CHARS + 1];

	vhdx_guid_print(value, &err->guid[0]);
	vhdx_guid_print(other, &err->guid[1]);
	return scnprintf(buf, size, "%s, %s %s at offset 0x%llx: %s %s",
			 err->structure, err->field, value, err->offset,
			 err->reason, other);
}

/**
 * vhdx_error_print - an error as one line of text
 * @buf: where to
 * @size: bytes of @buf, VHDX_ERROR_LENGTH is always enough
 * @err: with @err->errnum not 0
 *
 * The form is "STRUCTURE[, FIELD [VALUE]] at offset OFFSET: REASON", without a
 * newline; numbers are hexadecimal. VALUE may be a GUID, and another one then ends
 * the line.
 *
 * Context: any.
 * Return: characters written, the NUL not counted.
 */
int vhdx_error_print(char *buf, size_t size, const struct vhdx_error *err)
{
	if (!err->field)
		return scnprintf(buf, size, "%s at offset 0x%llx: %s",
				 err->structure, err->offset, err->reason);
	if (err->has_guids)
		return print_guids(buf, size, err);
	if (!err->has_value)
		return scnprintf(buf, size, "%s, %s at offset 0x%llx: %s",
				 err->structure, err->field, err->offset,
				 err->reason);
	return scnprintf(buf, size, "%s, %s 0x%llx at offset 0x%llx: %s",
			 err->structure, err->field, err->value, err->offset,
			 err->reason);
}
