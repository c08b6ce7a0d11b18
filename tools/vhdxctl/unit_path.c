// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "format/format.h"
#include "text.h"
#include "unit_path.h"

/* As many as the kernel follows. */
#define MAX_LINKS	40

static bool is_text(const char *path)
{
	size_t n;
	u32 c;

	for (; *path; path += n) {
		n = vhdx_utf8_decode(path, &c);
		if (!n || c < ' ' || c == 0x7f)
			return false;
	}
	return true;
}

/**
 * unit_path_is_plain - whether a path can be in a unit
 * @path: absolute
 *
 * One with ".." is none of which systemd knows what it lies on, and text that is not
 * UTF-8 spoils what wants the unit too.
 */
bool unit_path_is_plain(const char *path)
{
	if (!is_text(path))
		return false;
	while (*path) {
		size_t length = strcspn(path += strspn(path, "/"), "/");

		if (length == 2 && !strncmp(path, "..", length))
			return false;
		path += length;
	}
	return true;
}

/**
 * unit_path_is_device - whether a path is that of a device's node
 * @path: absolute
 */
bool unit_path_is_device(const char *path)
{
	return !strncmp(path + strspn(path, "/"), "dev/", 4);
}

/* Adds a name to a path without links, which is the caller's. */
static char *step(char *path, const char *name)
{
	char *longer;

	if (!strcmp(name, "."))
		return path;
	if (!strcmp(name, "..")) {
		if (*path)
			*strrchr(path, '/') = '\0';
		return path;
	}
	longer = text_printf("%s/%s", path, name);
	free(path);
	return longer;
}

/**
 * unit_path_follow - where a path leads by symbolic links
 * @path: absolute
 *
 * What a link leads to need not be there yet, as where that is mounted later; what is
 * behind it is then taken as it is written.
 *
 * Return: a path for a unit, which the caller frees; NULL: there is no link, or it leads
 * to the root or nowhere.
 */
char *unit_path_follow(const char *path)
{
	char *rest = text_memory(strdup(path));
	char *done = text_memory(strdup(""));
	unsigned int links = 0;
	bool good;

	while (links <= MAX_LINKS) {
		char target[PATH_MAX];
		char *next = rest;
		char *name, *here, *longer;
		ssize_t n;

		do
			name = strsep(&next, "/");
		while (name && !*name);
		if (!name)
			break;
		here = text_printf("%s/%s", done, name);
		n = readlink(here, target, sizeof(target));
		free(here);
		if (n > 0 && *target == '/')
			*done = '\0';
		if (n <= 0)
			done = step(done, name);
		links += n > 0;
		longer = text_printf("%.*s/%s", n > 0 ? (int)n : 0, target,
				     next ?: "");
		free(rest);
		rest = longer;
	}
	good = links && links <= MAX_LINKS && *done &&
	       unit_path_is_plain(done);
	free(rest);
	if (good)
		return done;
	free(done);
	return NULL;
}

/**
 * unit_path_device - the unit of a device, as systemd-escape -p names it
 * @path: of its node
 *
 * Return: the name, which the caller frees.
 */
char *unit_path_device(const char *path)
{
	char *name = text_memory(malloc(4 * strlen(path) + sizeof(".device")));
	char *end = name;

	while (*(path += strspn(path, "/"))) {
		size_t length = strcspn(path, "/");

		if (length == 1 && *path == '.') {
			path++;
			continue;
		}
		if (end > name)
			*end++ = '-';
		for (; length; length--, path++)
			if (isalnum((u8)*path) || strchr(":_.", *path))
				*end++ = *path;
			else
				end += sprintf(end, "\\x%02x", (u8)*path);
	}
	memcpy(end, ".device", sizeof(".device"));
	return name;
}
