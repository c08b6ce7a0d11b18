/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the image layer share and nobody else sees.
 */
#ifndef VHDX_IMAGE_INTERNAL_H
#define VHDX_IMAGE_INTERNAL_H

#include "image.h"
#include "overlay.h"

/*
 * For memory whose size an image dictates: whoever opens it is told that there is
 * none, rather than everybody pressed for it, or the kernel log filled.
 */
#define VHDX_GFP_SIZED	(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

int vhdx_image_read(const struct vhdx_image *img, void *buf, size_t len,
		    u64 offset);
int vhdx_image_next_data(const struct vhdx_image *img, u64 offset, u64 *data);
int vhdx_no_memory(struct vhdx_error *err, const char *structure, u64 offset);
struct vhdx_space *vhdx_image_create_space(const struct vhdx_image *img);

int vhdx_check_file_size(const struct vhdx_image *img, struct vhdx_error *err);
int vhdx_check_sequence_number(const struct vhdx_image *img,
			       struct vhdx_error *err);

/* The items of fixed size, which every image has; see vhdx_fixed_items. */
enum vhdx_fixed_item {
	VHDX_ITEM_PARAMETERS,
	VHDX_ITEM_DISK_SIZE,
	VHDX_ITEM_DISK_ID,
	VHDX_ITEM_LOGICAL,
	VHDX_ITEM_PHYSICAL,
	VHDX_FIXED_ITEMS
};

extern const guid_t *const vhdx_fixed_items[VHDX_FIXED_ITEMS];

int vhdx_update_fail(const struct vhdx_image *img,
		     const struct vhdx_overlay_piece *piece,
		     struct vhdx_error *err, const char *reason);
int vhdx_replay_read_log(const struct vhdx_image *img, struct vhdx_log *log,
			 struct vhdx_log_entry **scratch,
			 struct vhdx_error *err);
int vhdx_replay_check_flushed(const struct vhdx_image *img,
			      const struct vhdx_log *log,
			      const struct vhdx_log_entry *head,
			      struct vhdx_error *err);
int vhdx_replay_check_last(const struct vhdx_log *log,
			   const struct vhdx_log_entry *head,
			   struct vhdx_error *err);
int vhdx_replay_lay(struct vhdx_image *img, const struct vhdx_log *log,
		    struct vhdx_error *err);
int vhdx_replay_in_memory(struct vhdx_image *img, unsigned int flags,
			  struct vhdx_error *err);
int vhdx_metadata_read_item(const struct vhdx_image *img,
			    const struct vhdx_metadata_item *item, void *buf,
			    u32 length, struct vhdx_error *err);
int vhdx_metadata_load(struct vhdx_image *img, struct vhdx_error *err);
int vhdx_leak_next(const struct vhdx_image *img, u64 pos, u64 end, u64 *from,
		   u64 *to, struct vhdx_error *err);
int vhdx_chain_link(struct vhdx_image *img, struct vhdx_image *parent,
		    unsigned int flags, struct vhdx_error *err);
int vhdx_chain_look(const struct vhdx_image *img, u64 pos, u64 length,
		    struct vhdx_extent *extent);

#endif
