/* SPDX-License-Identifier: GPL-2.0 */
/*
 * JSON for other programs: numbers in bytes, keys in lower case, and a version
 * in "schema" that changes when a key changes its meaning or goes away.
 */
#ifndef VHDXCTL_DOCUMENT_H
#define VHDXCTL_DOCUMENT_H

#include <json-c/json.h>

#include "format/format.h"

struct json_object *document_new(int schema);
struct json_object *document_object(struct json_object *parent, const char *key);
struct json_object *document_array(struct json_object *parent, const char *key);
struct json_object *document_element(struct json_object *array);
void document_text_element(struct json_object *array, const char *s);
void document_text(struct json_object *parent, const char *key, const char *s);
void document_guid(struct json_object *parent, const char *key,
		   const guid_t *guid);
void document_utf16(struct json_object *parent, const char *key,
		    const void *utf16, u32 chars);
void document_number(struct json_object *parent, const char *key, u64 value);
void document_boolean(struct json_object *parent, const char *key, bool value);
void document_null(struct json_object *parent, const char *key);
void document_print(struct json_object *root);

struct json_object *document_new_element(void);
void document_print_begin(struct json_object *root);
void document_print_array(const char *key);
void document_print_element(struct json_object *object, bool first);
void document_print_array_end(void);
void document_print_end(void);

#endif
