// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "message.h"
#include "new_image.h"
#include "text.h"

/* The finest there is, where its BAT is no larger than is read in a moment. */
#define LEAST_BLOCK_SIZE	VHDX_MIN_BLOCK_SIZE
#define DEFAULT_MAX_BAT		(8 * VHDX_MIB)
#define DEFAULT_LOGICAL_SECTOR	512
#define DEFAULT_PHYSICAL_SECTOR	4096

/**
 * new_image_bad_value - an option has a value that it cannot have
 * @command: whose option it is
 * @option: its long name
 * @value: what the user said
 * @expected: what was expected
 *
 * Return: the exit code; the error was printed.
 */
int new_image_bad_value(const struct vhdxctl_command *command,
			const char *option, const char *value,
			const char *expected)
{
	message_fail(EX_USAGE, NULL, "%s: --%s %s: not %s", command->name, option,
		     value, expected);
	return vhdxctl_usage(command);
}

static bool is_block_size(u64 size)
{
	return is_power_of_2(size) && size >= VHDX_MIN_BLOCK_SIZE &&
	       size <= VHDX_MAX_BLOCK_SIZE;
}

static bool is_log_size(u64 size)
{
	return size && IS_ALIGNED(size, VHDX_MIB) && size <= VHDX_MAX_LOG_LENGTH;
}

static bool is_sector(u64 size)
{
	return size == 512 || size == 4096;
}

static bool is_type(const char *type)
{
	return !strcmp(type, "dynamic") || !strcmp(type, "fixed");
}

/**
 * new_image_is_option - whether an option is one of those for new images
 * @option: from getopt_long()
 */
bool new_image_is_option(int option)
{
	return option == NEW_IMAGE_LOG_SIZE || (option > 0 && option < 256 &&
						strchr("bPSt", option));
}

/**
 * new_image_take - take such an option
 * @want: receives it
 * @command: whose option it is
 * @option: from getopt_long()
 * @value: what the user said
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int new_image_take(struct new_image *want, const struct vhdxctl_command *command,
		   int option, const char *value)
{
	switch (option) {
	case 'b':
		if (text_parse_size(value, &want->block_size) &&
		    is_block_size(want->block_size))
			return 0;
		return new_image_bad_value(command, "block-size", value,
					   "a power of two from 1M to 256M");
	case 'P':
		if (text_parse_size(value, &want->physical_sector) &&
		    is_sector(want->physical_sector))
			return 0;
		return new_image_bad_value(command, "physical-sector", value,
					   "512 or 4096");
	case 'S':
		if (text_parse_size(value, &want->logical_sector) &&
		    is_sector(want->logical_sector))
			return 0;
		return new_image_bad_value(command, "sector", value,
					   "512 or 4096");
	case 't':
		want->type = value;
		if (is_type(value))
			return 0;
		return new_image_bad_value(command, "type", value,
					   "dynamic or fixed");
	default:
		if (text_parse_size(value, &want->log_size) &&
		    is_log_size(want->log_size))
			return 0;
		return new_image_bad_value(command, "log-size", value,
					   "a multiple of 1M up to 1G");
	}
}

/**
 * new_image_is_fixed - whether an image is to be a fixed one
 * @want: what the user wants
 */
bool new_image_is_fixed(const struct new_image *want)
{
	return want->type && !strcmp(want->type, "fixed");
}

/**
 * new_image_check_sectors - refuse physical sectors that no logical one fits into
 * @want: what the user wants
 * @command: whose options they are
 * @path: of the image or the disk that it is about
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int new_image_check_sectors(const struct new_image *want, const char *command,
			    const char *path)
{
	u64 logical = want->logical_sector ?: DEFAULT_LOGICAL_SECTOR;

	if (!want->physical_sector || want->physical_sector >= logical)
		return 0;
	return message_fail(EX_USAGE, path,
			    "%s: --physical-sector %llu: less than the logical one, %llu bytes",
			    command, (unsigned long long)want->physical_sector,
			    (unsigned long long)logical);
}

/**
 * new_image_take_sectors - take the sectors of another disk
 * @want: what the user wants, with sector sizes or without; receives them
 * @command: whose options they are
 * @source: the disk that the image is made from
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int new_image_take_sectors(struct new_image *want, const char *command,
			   const struct source *source)
{
	if (!want->logical_sector)
		want->logical_sector = source->logical_sector;
	if (!want->physical_sector && source->physical_sector)
		want->physical_sector = source->physical_sector > 512 ||
					want->logical_sector > 512 ? 4096 : 512;
	if (is_sector(want->logical_sector))
		return new_image_check_sectors(want, command, source->path);
	message_fail(EX_USAGE, source->path,
		     "%s: its sectors have %llu bytes, which VHDX does not know",
		     command, (unsigned long long)want->logical_sector);
	message_hint("--sector says what they are to be");
	return EX_USAGE;
}

static u32 choose_block_size(const struct vhdx_create *params)
{
	struct vhdx_metadata metadata = {
		.block_size = LEAST_BLOCK_SIZE,
		.virtual_disk_size = params->disk_size,
		.logical_sector_size = params->logical_sector_size,
	};
	struct vhdx_geometry geometry;

	for (;;) {
		vhdx_geometry_init(&geometry, &metadata);
		if (geometry.bat_entries * sizeof(__le64) <= DEFAULT_MAX_BAT)
			return metadata.block_size;
		metadata.block_size *= 2;
	}
}

/**
 * new_image_params - an image without a parent, as it is to be made
 * @want: what the user wants
 * @size: of the disk, bytes
 * @params: receives it
 */
void new_image_params(const struct new_image *want, u64 size,
		      struct vhdx_create *params)
{
	*params = (struct vhdx_create){
		.creator = NEW_IMAGE_CREATOR,
		.block_size = (u32)want->block_size,
		.log_length = (u32)want->log_size,
		.fixed = new_image_is_fixed(want),
		.disk_size = size,
		.logical_sector_size = (u32)(want->logical_sector ?:
					     DEFAULT_LOGICAL_SECTOR),
		.physical_sector_size = (u32)(want->physical_sector ?:
					      DEFAULT_PHYSICAL_SECTOR),
	};
	if (!params->block_size)
		params->block_size = choose_block_size(params);
}

/**
 * new_image_print_choice - say what was chosen where it is not the default
 * @want: what the user wanted
 * @params: what was made of it
 */
void new_image_print_choice(const struct new_image *want,
			    const struct vhdx_create *params)
{
	char size[TEXT_SIZE_LENGTH];

	if (want->block_size || params->block_size == LEAST_BLOCK_SIZE)
		return;
	text_size(size, params->block_size, TEXT_SIZE_LONG);
	printf("block size %s\n", size);
}
