// SPDX-License-Identifier: GPL-2.0
/*
 * A merge, for the crash enumerator: a child's data goes into its parent, and who
 * reads the child sees none of it, whose disk may have another size.
 */
#include "crash_tools.h"
#include "image/items.h"
#include "image/merge.h"
#include "image/resize.h"
#include "image/sync.h"

enum {
	PARENT,
	CHILD,
};

/*
 * A child above its parent. Blocks of two sizes, data and zeros of the child over
 * data, zeros and nothing of the parent; the child's sectors are of another physical
 * size.
 */
static void build_pair(struct files *files, u64 parent_size, u64 child_size)
{
	static const struct builder_block below[] = {
		{ .block = 0, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 3, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 4, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 5, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 8, .state = 2, .offset = 0 },
	};
	static const struct builder_block above[] = {
		{ .block = 0, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 1, .state = 7, .offset = BUILDER_PLACE },
		{ .block = 2, .state = 2, .offset = 0 },
		{ .block = 4, .state = 7, .offset = BUILDER_PLACE },
		{ .block = 5, .state = 3, .offset = 0 },
	};
	/* Of blocks 1 and 4: the ends that are looked at, or the one of them. */
	static const struct builder_run runs[] = {
		{ .first = 2 * MIB / SECTOR, .count = 1 },
		{ .first = 4 * MIB / SECTOR - 1, .count = 1 },
		{ .first = 8 * MIB / SECTOR + 1, .count = 9 },
	};
	struct builder parent, child;

	builder_init(&parent);
	parent.disk_size = parent_size;
	parent.block = below;
	parent.blocks = ARRAY_SIZE(below);
	parent.data_bytes = 2 * SECTOR;
	parent.data_write_guid = builder_guid(1);
	builder_init(&child);
	child.seed = 7;
	child.block_size = 2 * MIB;
	child.physical_sector_size = 512;
	child.block = above;
	child.blocks = ARRAY_SIZE(above);
	child.run = runs;
	child.runs = ARRAY_SIZE(runs);
	child.data_bytes = 2 * SECTOR;
	child.data_write_guid = builder_guid(2);
	builder_set_parent(&child, &parent);
	child.disk_size = child_size;
	files->n = 0;
	build_image(files, &parent);
	build_image(files, &child);
}

/**
 * merge_build() - a child above its parent
 * @files: receives both
 */
void merge_build(struct files *files)
{
	build_pair(files, 12 * MIB, 12 * MIB);
}

/**
 * merge_grow_build() - likewise, and the child is larger
 * @files: receives both
 *
 * The parent's last block is there, and holds what lies past the disk's end.
 */
void merge_grow_build(struct files *files)
{
	build_pair(files, 6 * MIB - SECTOR, 12 * MIB);
}

/**
 * merge_shrink_build() - likewise, and the child is smaller
 * @files: receives both
 */
void merge_shrink_build(struct files *files)
{
	build_pair(files, 12 * MIB, 9 * MIB + 3 * SECTOR);
}

static int set_link(struct files *files, const guid_t *linkage,
		    const guid_t *linkage2)
{
	struct vhdx_image *img = open_file(&files->disk[CHILD], NULL,
					   VHDX_OPEN_EDIT);
	struct vhdx_error error;
	int ret = vhdx_merge_link(img, linkage, linkage2, &error);

	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	return ret;
}

static guid_t identity(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[PARENT], NULL, 0);
	guid_t guid;

	if (vhdx_items_identity(img, &guid))
		violation("cannot be flushed");
	vhdx_image_close(img);
	return guid;
}

static u64 size_of(struct files *files, u32 which)
{
	struct vhdx_image *img = open_file(&files->disk[which], NULL, 0);
	u64 size = img->metadata.virtual_disk_size;

	vhdx_image_close(img);
	return size;
}

static int resize(struct files *files, const guid_t *next)
{
	struct vhdx_image *into = open_file(&files->disk[PARENT], NULL,
					    VHDX_OPEN_WRITE);
	struct vhdx_error error;
	int ret;

	into->next_data_write_guid = *next;
	ret = vhdx_image_resize(into, size_of(files, CHILD), &error);
	if (!ret)
		ret = vhdx_image_finish(into);
	if (!ret)
		ret = vhdx_image_give_back(into, true);
	vhdx_image_close(into);
	return ret;
}

static int merge_blocks(struct files *files, const guid_t *next)
{
	struct vhdx_image *into = open_file(&files->disk[PARENT], NULL,
					    VHDX_OPEN_WRITE);
	struct vhdx_image *top = open_file(&files->disk[CHILD], into, 0);
	struct vhdx_merge merge = { };
	int ret;

	into->next_data_write_guid = *next;
	vhdx_sync_init(into);
	ret = vhdx_merge_blocks(top, into, &merge);
	if (!ret)
		ret = vhdx_image_finish(into);
	vhdx_image_close(top);
	vhdx_image_close(into);
	return ret;
}

static int merge_items(struct files *files, const guid_t *next)
{
	struct vhdx_image *into = open_file(&files->disk[PARENT], NULL,
					    VHDX_OPEN_WRITE);
	struct vhdx_image *top = open_file(&files->disk[CHILD], into, 0);
	struct vhdx_error error;
	int ret;

	into->next_data_write_guid = *next;
	ret = vhdx_merge_items(top, into, &error);
	if (!ret)
		ret = vhdx_image_finish(into);
	vhdx_image_close(top);
	vhdx_image_close(into);
	return ret;
}

/**
 * merge_run() - merge the child into its parent
 * @files: both
 */
int merge_run(struct files *files)
{
	u64 size = size_of(files, CHILD), below = size_of(files, PARENT);
	guid_t old = identity(files), next;
	int ret;

	guid_gen(&next);
	ret = set_link(files, &old, &next);
	if (!ret && size > below)
		ret = resize(files, &next);
	if (!ret)
		ret = merge_blocks(files, &next);
	if (!ret && size < below)
		ret = resize(files, &next);
	if (!ret)
		ret = merge_items(files, &next);
	if (!ret)
		ret = set_link(files, &next, NULL);
	return ret;
}

/**
 * merge_renew_run() - give the parent another DataWriteGuid
 * @files: both
 */
int merge_renew_run(struct files *files)
{
	guid_t old = identity(files), next;
	struct vhdx_image *img;
	struct vhdx_error error;
	int ret;

	guid_gen(&next);
	ret = set_link(files, &old, &next);
	if (ret)
		return ret;
	img = open_file(&files->disk[PARENT], NULL, VHDX_OPEN_EDIT);
	img->next_data_write_guid = next;
	ret = vhdx_merge_renew(img, &error);
	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	return ret ? : set_link(files, &next, NULL);
}

static const struct vhdx_file_ops *whole_ops;
static bool killed;

/* After the first one. What is carried on from there comes here as well. */
static int flush_until_killed(struct vhdx_file *file)
{
	int ret = killed ? -EIO : whole_ops->flush(file);

	killed = true;
	return ret;
}

static bool is_dirty(struct disk *disk)
{
	struct vhdx_image *img = open_file(disk, NULL, 0);
	bool dirty = img->log.dirty;

	vhdx_image_close(img);
	return dirty;
}

/* The last header that is written nobody flushes any more. */
static int begin_and_be_killed(struct files *files)
{
	struct vhdx_file *file = &files->disk[PARENT].file;
	struct vhdx_file_ops ops = *file->ops;
	guid_t old = identity(files), next;
	int ret;

	/* It would be killed by its own replay, and come no further. */
	if (is_dirty(&files->disk[PARENT]))
		return 0;
	guid_gen(&next);
	ret = set_link(files, &old, &next);
	if (ret)
		return ret;
	whole_ops = file->ops;
	killed = false;
	ops.flush = flush_until_killed;
	file->ops = &ops;
	ret = merge_blocks(files, &next);
	file->ops = whole_ops;
	return ret == -EIO ? 0 : -EINVAL;
}

/**
 * merge_again_run() - merge the child into its parent, where somebody else began to
 * @files: both
 *
 * There was no power cut: what that one wrote is in a cache still.
 */
int merge_again_run(struct files *files)
{
	int ret = begin_and_be_killed(files);

	return ret ? : merge_run(files);
}

/**
 * merge_look() - what a guest sees of the child, and a child of that
 * @files: both
 */
u64 merge_look(struct files *files)
{
	struct vhdx_image *parent = open_file(&files->disk[PARENT], NULL, 0);
	struct vhdx_image *child = open_file(&files->disk[CHILD], parent, 0);
	u64 hash = look_at_image(child);

	hash = hash_bytes(hash, &vhdx_image_header(child)->data_write_guid,
			  sizeof(guid_t));
	vhdx_image_close(child);
	vhdx_image_close(parent);
	return hash;
}

/**
 * merge_look_at_end() - what the parent has become
 * @files: both
 */
u64 merge_look_at_end(struct files *files)
{
	struct vhdx_image *parent = open_file(&files->disk[PARENT], NULL, 0);
	struct vhdx_image *child = open_file(&files->disk[CHILD], parent, 0);
	u64 hash = look_at_image(parent);

	hash = hash_mix(hash + child->locator.has_parent_linkage2);
	vhdx_image_close(child);
	vhdx_image_close(parent);
	return hash;
}

/**
 * merge_renew_look_at_end() - whether the parent is another one, as the child says
 * @files: both
 */
u64 merge_renew_look_at_end(struct files *files)
{
	guid_t now = identity(files), old = builder_guid(1);

	return hash_mix(guid_equal(&now, &old) + merge_look_at_end(files));
}
