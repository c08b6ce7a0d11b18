// SPDX-License-Identifier: GPL-2.0
#include "checking.h"
#include "document.h"
#include "info.h"

#define SCHEMA	1

static void add_finding(struct json_object *array,
			const struct checking_finding *finding)
{
	struct json_object *object = document_element(array);
	const struct vhdx_error *err = &finding->err;
	char text[VHDX_ERROR_LENGTH];

	vhdx_error_print(text, sizeof(text), err);
	document_text(object, "name", vhdx_finding_text(finding->name));
	document_text(object, "kind", checking_kinds[finding->kind]);
	document_text(object, "structure", err->structure);
	if (err->field)
		document_text(object, "field", err->field);
	else
		document_null(object, "field");
	document_number(object, "offset", err->offset);
	if (err->has_value)
		document_number(object, "value", err->value);
	if (err->has_guids) {
		document_guid(object, "guid", &err->guid[0]);
		document_guid(object, "other-guid", &err->guid[1]);
	}
	document_text(object, "text", text);
}

static void add_counts(struct json_object *root, const struct vhdx_check *check)
{
	struct json_object *object = document_object(root, "counts");

	for (size_t i = 0; i < VHDX_KINDS; i++)
		document_number(object, checking_kinds[i], check->kind_count[i]);
	object = document_object(root, "not-shown");
	for (size_t i = 0; i < VHDX_FINDINGS; i++)
		if (check->name_count[i] > VHDX_CHECK_SHOWN)
			document_number(object, vhdx_finding_text(i),
					check->name_count[i] - VHDX_CHECK_SHOWN);
}

static void add_blocks(struct json_object *root, const struct vhdx_check *check)
{
	document_number(root, "file-size", check->file_size);
	if (!check->has_blocks) {
		document_null(root, "blocks");
		return;
	}
	document_number(root, "image-end-offset", check->end);
	document_number(root, "leaked", check->leaked);
	root = document_object(root, "blocks");
	document_number(root, "total", check->payload_blocks);
	document_number(root, "present", check->present_blocks);
	document_number(root, "block-size", check->block_size);
	document_number(root, "allocated",
			check->present_blocks * check->block_size);
}

static void add_link(struct json_object *root, const struct checking *checking)
{
	const char *link = info_links[checking->verdict];

	if (!checking->linked)
		return;
	if (!link) {
		document_null(root, "parent");
		return;
	}
	root = document_object(root, "parent");
	document_text(root, "link", link);
	if (checking->problem)
		document_text(root, "problem", checking->problem);
	else
		document_null(root, "problem");
}

static void add_repair(struct json_object *root,
		       const struct vhdx_repair *repair)
{
	struct json_object *array;

	root = document_object(root, "repair");
	document_boolean(root, "dry-run", repair->only_show);
	array = document_array(root, "repaired");
	for (size_t i = 0; i < VHDX_REPAIRS; i++)
		if (repair->done & 1U << i)
			document_text_element(array, vhdx_repair_text(i));
	document_number(root, "freed", repair->freed);
}

static void add_image(struct json_object *root, const struct checking *checking)
{
	struct json_object *array;

	document_text(root, "file", checking->path);
	if (checking->repair)
		add_repair(root, checking->repair);
	array = document_array(root, "findings");
	for (size_t i = 0; i < checking->findings; i++)
		add_finding(array, &checking->finding[i]);
	add_counts(root, &checking->check);
	add_blocks(root, &checking->check);
	add_link(root, checking);
}

/**
 * checking_print_json - show what was checked as JSON
 * @checking: the image, and its parents where the chain was asked for
 * @count: how many they are
 * @code: what came out of all
 */
void checking_print_json(const struct checking *const *checking, size_t count,
			 enum checking_code code)
{
	struct json_object *root = document_new(SCHEMA);

	document_text(root, "result", checking_result(code));
	add_image(root, checking[0]);
	if (checking[0]->linked) {
		struct json_object *array = document_array(root, "parents");

		for (size_t i = 1; i < count; i++)
			add_image(document_element(array), checking[i]);
	}
	document_print(root);
}
