/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a new image is to be: the options that commands which make one share.
 */
#ifndef VHDXCTL_NEW_IMAGE_H
#define VHDXCTL_NEW_IMAGE_H

#include "image/image.h"
#include "source.h"
#include "vhdxctl.h"

#define NEW_IMAGE_CREATOR	"vhdxctl " VHDX_TOOL_VERSION

/*
 * For getopt_long(): -b, -P, -S and -t, which are --block-size, --physical-sector,
 * --sector and --type, and --log-size, which has no letter.
 */
#define NEW_IMAGE_LETTERS	"b:P:S:t:"
#define NEW_IMAGE_LOG_SIZE	0x1000

/**
 * struct new_image - an image as the user wants it; 0 and NULL: not said
 * @type: "dynamic" or "fixed"
 * @block_size: bytes
 * @log_size: bytes
 * @logical_sector: bytes
 * @physical_sector: bytes
 */
struct new_image {
	const char *type;
	u64 block_size;
	u64 log_size;
	u64 logical_sector;
	u64 physical_sector;
};

bool new_image_is_option(int option);
int new_image_take(struct new_image *want, const struct vhdxctl_command *command,
		   int option, const char *value);
int new_image_bad_value(const struct vhdxctl_command *command,
			const char *option, const char *value,
			const char *expected);
int new_image_check_sectors(const struct new_image *want, const char *command,
			    const char *path);
int new_image_take_sectors(struct new_image *want, const char *command,
			   const struct source *source);
bool new_image_is_fixed(const struct new_image *want);
void new_image_params(const struct new_image *want, u64 size,
		      struct vhdx_create *params);
void new_image_print_choice(const struct new_image *want,
			    const struct vhdx_create *params);

#endif
