/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The info command: what its two forms of output share.
 */
#ifndef VHDXCTL_INFO_H
#define VHDXCTL_INFO_H

#include "chain.h"
#include "device.h"
#include "image/image.h"
#include "posix_file.h"

/* "not-present" and so on; NULL: the format knows no such state */
extern const char *const info_payload_states[8];
/* by enum chain_verdict; NULL for an image that needs no link */
extern const char *const info_links[];

/**
 * struct info - what there is to show
 * @path: of the image
 * @file: its open file
 * @img: the image
 * @disks: it is attached as these
 * @chain: from the image to its base; NULL: not asked for
 */
struct info {
	const char *path;
	const struct posix_file *file;
	const struct vhdx_image *img;
	struct device_list disks;
	const struct chain *chain;
};

const char *info_region_name(const guid_t *guid);
const char *info_item_name(const struct vhdx_metadata_item *item);
u64 info_item_offset(const struct vhdx_image *img,
		     const struct vhdx_metadata_item *item);

void info_print_json(const struct info *info);
void info_print_text(const struct info *info);

#endif
