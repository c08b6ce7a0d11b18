// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "document.h"
#include "text.h"

static void add(struct json_object *parent, const char *key,
		struct json_object *value)
{
	if (json_object_object_add(parent, key, value))
		text_memory(NULL);
}

/**
 * document_new - begin a document
 * @schema: the version of what is in it
 *
 * Return: its root, which document_print() frees.
 */
struct json_object *document_new(int schema)
{
	struct json_object *root = text_memory(json_object_new_object());

	document_number(root, "schema", (u64)schema);
	return root;
}

/**
 * document_new_element - begin an element for document_print_element()
 *
 * Return: the object.
 */
struct json_object *document_new_element(void)
{
	return text_memory(json_object_new_object());
}

/**
 * document_object - add an object
 * @parent: the object it goes into
 * @key: its key
 *
 * Return: the new object, which is its parent's.
 */
struct json_object *document_object(struct json_object *parent, const char *key)
{
	struct json_object *object = text_memory(json_object_new_object());

	add(parent, key, object);
	return object;
}

/**
 * document_array - add an array
 * @parent: the object it goes into
 * @key: its key
 *
 * Return: the new array, which is its parent's.
 */
struct json_object *document_array(struct json_object *parent, const char *key)
{
	struct json_object *array = text_memory(json_object_new_array());

	add(parent, key, array);
	return array;
}

/**
 * document_element - add an object to an array
 * @array: the array
 *
 * Return: the new object, which is the array's.
 */
struct json_object *document_element(struct json_object *array)
{
	struct json_object *object = text_memory(json_object_new_object());

	if (json_object_array_add(array, object))
		text_memory(NULL);
	return object;
}

/**
 * document_text_element - add a string to an array
 * @array: the array
 * @s: as for document_text()
 */
void document_text_element(struct json_object *array, const char *s)
{
	char *utf8 = text_utf8(s);

	if (json_object_array_add(array,
				  text_memory(json_object_new_string(utf8))))
		text_memory(NULL);
	free(utf8);
}

/**
 * document_text - add a string
 * @parent: the object it goes into
 * @key: its key
 * @s: the string, of any bytes: JSON must be UTF-8, so what is not becomes
 *	U+FFFD
 */
void document_text(struct json_object *parent, const char *key, const char *s)
{
	char *utf8 = text_utf8(s);

	add(parent, key, text_memory(json_object_new_string(utf8)));
	free(utf8);
}

/**
 * document_guid - add a GUID
 * @parent: the object it goes into
 * @key: its key
 * @guid: the GUID
 */
void document_guid(struct json_object *parent, const char *key,
		   const guid_t *guid)
{
	char text[VHDX_GUID_CHARS + 1];

	vhdx_guid_print(text, guid);
	document_text(parent, key, text);
}

/**
 * document_utf16 - add a text of an image, which may be anything
 * @parent: the object it goes into
 * @key: its key
 * @utf16: UTF-16LE
 * @chars: units of that
 */
void document_utf16(struct json_object *parent, const char *key,
		    const void *utf16, u32 chars)
{
	char *text = text_utf16(utf16, chars);

	document_text(parent, key, text);
	free(text);
}

/**
 * document_number - add a number
 * @parent: the object it goes into
 * @key: its key
 * @value: the number
 */
void document_number(struct json_object *parent, const char *key, u64 value)
{
	add(parent, key, text_memory(json_object_new_uint64(value)));
}

/**
 * document_boolean - add true or false
 * @parent: the object it goes into
 * @key: its key
 * @value: which
 */
void document_boolean(struct json_object *parent, const char *key, bool value)
{
	add(parent, key, text_memory(json_object_new_boolean(value)));
}

/**
 * document_null - add a null: there is no such value
 * @parent: the object it goes into
 * @key: its key
 */
void document_null(struct json_object *parent, const char *key)
{
	add(parent, key, NULL);
}

/*
 * json-c escapes the control characters of ASCII but DEL; that one, and those
 * of Latin-1, which a terminal obeys too, are escaped here. They can only be
 * inside of strings.
 */
static void print_value(struct json_object *value, int flags)
{
	const char *s = json_object_to_json_string_ext(value, flags |
					JSON_C_TO_STRING_SPACED |
					JSON_C_TO_STRING_NOSLASHESCAPE);
	const u8 *p = text_memory((void *)s);

	for (; *p; p++) {
		if (*p == 0x7f) {
			fputs("\\u007f", stdout);
		} else if (*p == 0xc2 && p[1] < 0xa0) {
			p++;
			printf("\\u%04x", *p);
		} else {
			putchar(*p);
		}
	}
}

/**
 * document_print - print a document to stdout and free it
 * @root: the document
 */
void document_print(struct json_object *root)
{
	print_value(root, JSON_C_TO_STRING_PRETTY);
	putchar('\n');
	json_object_put(root);
}

/**
 * document_print_begin - print the beginning of a document that goes on
 * @root: an object with members, which is freed
 *
 * For arrays that may be too long to be held in memory: each is printed as it
 * comes, behind what @root has.
 */
void document_print_begin(struct json_object *root)
{
	bool first = true;

	putchar('{');
	json_object_object_foreach(root, key, value) {
		printf("%s\n  \"%s\": ", first ? "" : ",", key);
		print_value(value, 0);
		first = false;
	}
	json_object_put(root);
}

/**
 * document_print_array - print the beginning of an array, as the next member
 * @key: its key
 */
void document_print_array(const char *key)
{
	printf(",\n  \"%s\": [", key);
}

/**
 * document_print_element - print an element of the array that was begun
 * @object: the element, which is freed
 * @first: it is the array's first
 */
void document_print_element(struct json_object *object, bool first)
{
	fputs(first ? "\n    " : ",\n    ", stdout);
	print_value(object, 0);
	json_object_put(object);
}

/**
 * document_print_array_end - print the end of an array
 */
void document_print_array_end(void)
{
	fputs("\n  ]", stdout);
}

/**
 * document_print_end - print the end of a document
 */
void document_print_end(void)
{
	puts("\n}");
}
