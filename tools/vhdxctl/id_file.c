// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "id_file.h"
#include "message.h"
#include "text.h"

/**
 * id_file_write - say in a file which disk this is
 * @path: the file, which is made or written over
 * @id: the disk
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int id_file_write(const char *path, const struct disk_id *id)
{
	FILE *file = fopen(path, "we");
	char *device;
	bool failed;

	if (!file)
		return message_fail_errno(path, "cannot make", errno);
	device = device_path(id->index);
	failed = fprintf(file, "%s %llu\n", device, id->sequence) < 0;
	free(device);
	if (fclose(file) || failed)
		return message_fail_errno(path, "cannot write", errno);
	return 0;
}

/**
 * id_file_read - read which disk it was
 * @path: the file
 * @id: the disk
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int id_file_read(const char *path, struct disk_id *id)
{
	FILE *file = fopen(path, "re");
	char device[32];
	char end;
	bool good;

	if (!file)
		return message_fail_errno(path, "cannot open", errno);
	good = fscanf(file, "%31s %llu%c", device, &id->sequence, &end) == 3 &&
	       end == '\n' && device_parse(device, &id->index);
	fclose(file);
	return good ? 0 : message_fail(EX_DATAERR, path,
				       "not of attach --id-file");
}

/**
 * id_file_remove - remove a file that was written in vain
 * @path: the file; a pipe or a device stays
 */
void id_file_remove(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISREG(st.st_mode))
		unlink(path);
}
