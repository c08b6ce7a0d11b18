// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "open_image.h"
#include "parent.h"
#include "text.h"

static char *append(char *text, const char *more, size_t length)
{
	char *longer = text_printf("%s%.*s", text, (int)length, more);

	free(text);
	return longer;
}

/**
 * parent_relative_path - the way from a folder to a file, as Windows writes it
 * @folder: without symbolic links
 * @file: likewise
 *
 * Return: the path, which the caller frees.
 */
char *parent_relative_path(const char *folder, const char *file)
{
	char *path = text_memory(strdup("."));
	size_t common = 0;

	/* As far as whole names are the same. */
	for (size_t i = 0; ; i++) {
		if ((!folder[i] || folder[i] == '/') && file[i] == '/')
			common = i;
		if (!folder[i] || folder[i] != file[i])
			break;
	}
	for (const char *p = folder + common; *p; p++)
		if (*p == '/' && p[1])
			path = append(path, "\\..", 3);
	for (const char *p = file + common; *p; p++)
		path = append(path, *p == '/' ? "\\" : p, 1);
	return path;
}

/**
 * parent_check - make sure that an image can be the parent of another, and stays as it is
 * @parent: the image, open; its file is locked after this, and it was read again
 * @real: its path without symbolic links
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int parent_check(struct chain_image *parent, const char *real)
{
	int code;

	if (!S_ISREG(parent->file.stat.st_mode))
		return message_fail(EX_NOINPUT, parent->path,
				    "cannot be a parent: not a regular file");
	if (strchr(real, '\\')) {
		message_fail(EXIT_FAILURE, parent->path,
			     "cannot be a parent: there is a backslash in its path, which divides names in an image");
		return EXIT_FAILURE;
	}
	code = open_image_lock(parent->path, &parent->file,
			       "cannot be a parent");
	/* Who had it before may have changed what it is. */
	return code ? code : chain_reopen(parent, VHDX_OPEN_NO_BLOCKS);
}
