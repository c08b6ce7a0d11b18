// SPDX-License-Identifier: GPL-2.0
/*
 * The crash enumerator for what changes an image without a guest: each operation
 * of the table below is carried out on a disk in memory. Before each of its flushes,
 * and at its end, the power may go: any of the writes since the last flush may be
 * there, and any of them torn. Every such state is opened, and shows either what
 * the image was or what it is to be. Some of them are carried on: the same
 * operation, from there, comes to the same end, and a check finds nothing wrong
 * with it.
 */
#include <err.h>

#include "crash_tools.h"
#include "image/check.h"
#include "image/edit.h"
#include "image/internal.h"
#include "image/space.h"
#include "image/sync.h"

/* Above so many unflushed writes not each state of them is built. */
#define ALL_STATES	6U
#define MAX_UNFLUSHED	1024U
#define RANDOM_STATES	48U

/* One of so many states is carried on. */
#define CARRIED_ON	16U

/**
 * struct unflushed - a write that a power cut may lose
 * @file: of which
 * @time: of the disk
 */
struct unflushed {
	u32 file;
	u32 time;
};

static struct world tools_world;	/* for its GUIDs */
static const struct operation *current;
static struct files live;
static struct unflushed unflushed[MAX_UNFLUSHED];
static u32 unflushed_count;
static u64 view_before, view_after;
static u64 end_after;
static u64 states_seen;
static bool watching;

/* --- what a user sees --- */

/**
 * open_file() - open an image that must open
 * @disk: which
 * @parent: open; or NULL
 * @flags: of vhdx_image_open_child()
 */
struct vhdx_image *open_file(struct disk *disk, struct vhdx_image *parent,
			     unsigned int flags)
{
	struct vhdx_image *img;
	struct vhdx_error error;
	char text[VHDX_ERROR_LENGTH];

	if (!vhdx_image_open_child(&disk->file, parent, flags, &img, &error))
		return img;
	vhdx_error_print(text, sizeof(text), &error);
	violation("does not open: %s", text);
}

/**
 * hash_bytes() - go on with a hash
 * @hash: so far
 * @buf: what comes next
 * @length: of it, bytes
 */
u64 hash_bytes(u64 hash, const void *buf, size_t length)
{
	const u8 *p = buf;

	while (length--)
		hash = hash_mix(hash + *p++);
	return hash;
}

/**
 * look_at_image() - what a guest sees
 * @img: open
 *
 * The disk's sizes, its identity, and a few sectors of each of its blocks.
 */
u64 look_at_image(const struct vhdx_image *img)
{
	const struct vhdx_metadata *metadata = &img->metadata;
	u32 sector_size = metadata->logical_sector_size;
	u64 hash, block;
	u8 buf[4096];
	u32 i;

	hash = hash_mix(metadata->virtual_disk_size + 1);
	hash = hash_mix(hash + sector_size);
	hash = hash_mix(hash + metadata->physical_sector_size);
	hash = hash_bytes(hash, &metadata->virtual_disk_id,
			  sizeof(metadata->virtual_disk_id));
	for (block = 0; block < img->geometry.payload_blocks; block++) {
		u64 start = block * metadata->block_size;
		u64 length = min(metadata->virtual_disk_size - start,
				 (u64)metadata->block_size);
		const u64 pos[] = {
			start, start + sector_size,
			start + length - sector_size,
		};

		for (i = 0; i < ARRAY_SIZE(pos); i++) {
			if (vhdx_sync_read(img, buf, sector_size, pos[i]))
				violation("block %llu cannot be read", block);
			hash = hash_bytes(hash, buf, sector_size);
		}
	}
	return hash;
}

/* --- the states of a power cut --- */

/* What becomes of a write, of its first half at least when it is torn. */
enum fate {
	LOST,
	TORN,
	WRITTEN,
	FATES,
};

static enum fate fate_of(u32 file, u32 time, const enum fate *fate, u32 *which)
{
	u32 i;

	for (i = 0; i < unflushed_count; i++)
		if (unflushed[i].file == file && unflushed[i].time == time) {
			*which = i;
			return fate[i];
		}
	return WRITTEN;
}

/* The sector in the middle of what a write has changed. */
static u64 middle_of(const struct unflushed *write)
{
	const struct disk *disk = &live.disk[write->file];
	u64 first = U64_MAX, last = 0;
	u32 i, k;

	for (i = 0; i < disk->cells; i++)
		for (k = 1; k < disk->cell[i].n; k++)
			if (disk->cell[i].v[k].time == write->time) {
				first = min(first, disk->cell[i].sector);
				last = disk->cell[i].sector;
			}
	return first == U64_MAX ? 0 : (first + last + 1) / 2;
}

/* What a sector holds then. */
static u32 surviving(const struct cell *cell, u32 file, const enum fate *fate,
		     const u64 *middle)
{
	u32 k, which;

	for (k = cell->n - 1; k; k--) {
		switch (fate_of(file, cell->v[k].time, fate, &which)) {
		case WRITTEN:
			return cell->v[k].id;
		case TORN:
			if (cell->sector < middle[which])
				return cell->v[k].id;
			if (cell->sector == middle[which])
				return content_torn(cell->v[k - 1].id,
						    cell->v[k].id);
			break;
		default:
			break;
		}
	}
	return cell->v[0].id;
}

static void build_state(struct files *state, const enum fate *fate)
{
	static u64 middle[MAX_UNFLUSHED];
	u32 file, which, i, k;

	for (i = 0; i < unflushed_count; i++)
		middle[i] = fate[i] == TORN ? middle_of(&unflushed[i]) : 0;
	state->n = live.n;
	for (file = 0; file < live.n; file++) {
		struct disk *disk = &state->disk[file];

		if (!disk->file.ops)
			disk_init(disk);
		disk_copy(disk, &live.disk[file]);
		for (k = disk->sizes - 1; k; k--)
			if (fate_of(file, disk->size[k].time, fate, &which) ==
			    WRITTEN)
				break;
		disk->size[0] = disk->size[k];
		disk->sizes = 1;
		for (i = 0; i < disk->cells; i++) {
			struct cell *cell = &disk->cell[i];

			cell->v[0].id = cell->sector * SECTOR < disk_size(disk) ?
				surviving(cell, file, fate, middle) :
				CONTENT_ZERO;
			cell->n = 1;
		}
	}
}

static void found(struct vhdx_check *check, enum vhdx_finding_name name,
		  enum vhdx_finding_kind kind, const struct vhdx_error *error)
{
	char text[VHDX_ERROR_LENGTH];

	(void)check;
	(void)kind;
	vhdx_error_print(text, sizeof(text), error);
	trace(&tools_world, "%s: %s", vhdx_finding_text(name), text);
}

static void check_clean(struct disk *disk)
{
	struct vhdx_check check = { .found = found };
	struct vhdx_error error;

	if (vhdx_image_check(&disk->file, &check, &error))
		violation("cannot be checked: %s", error.reason);
	if (check.kind_count[VHDX_KIND_CORRUPT] ||
	    check.kind_count[VHDX_KIND_LOG])
		violation("a check finds something wrong");
}

static u64 look_at_end(struct files *files)
{
	return current->look_at_end ? current->look_at_end(files) :
				      current->look(files);
}

/* The same again ends where it was to end. */
static void carry_on(struct files *state)
{
	u64 guids = tools_world.guids;
	u32 i;
	int ret;

	statistics.replays++;
	tools_world.guids = hash_mix(guids);
	ret = current->run(state);
	if (ret)
		violation("cannot be carried on: %d", ret);
	for (i = 0; i < state->n; i++)
		disk_flush(&state->disk[i]);
	if (current->look(state) != view_after ||
	    look_at_end(state) != end_after)
		violation("carried on it ends otherwise");
	for (i = 0; i < state->n; i++)
		check_clean(&state->disk[i]);
	tools_world.guids = guids;
}

static void check_state(const enum fate *fate)
{
	static struct files state;
	u64 view;

	build_state(&state, fate);
	statistics.states++;
	view = current->look(&state);
	if (view != view_before && view != view_after)
		violation("neither what it was nor what it is to be");
	if (!(states_seen++ % CARRIED_ON))
		carry_on(&state);
}

static void check_all_states(enum fate *fate)
{
	u32 i;

	memset(fate, 0, unflushed_count * sizeof(*fate));
	for (;;) {
		check_state(fate);
		for (i = 0; i < unflushed_count; i++) {
			if (++fate[i] < FATES)
				break;
			fate[i] = LOST;
		}
		if (i == unflushed_count)
			return;
	}
}

/* Of all but one, before it, and with it alone: one is of some fate. */
static void check_some_states(enum fate *fate)
{
	u32 i, k, one;

	for (i = 0; i < unflushed_count; i++)
		for (one = LOST; one < FATES; one++) {
			for (k = 0; k < unflushed_count; k++)
				fate[k] = k == i ? one : WRITTEN;
			check_state(fate);
			for (k = 0; k < unflushed_count; k++)
				fate[k] = k == i ? one : LOST;
			check_state(fate);
			for (k = 0; k < unflushed_count; k++)
				fate[k] = k == i ? one : k < i ? WRITTEN : LOST;
			check_state(fate);
		}
	for (i = 0; i < RANDOM_STATES; i++) {
		for (k = 0; k < unflushed_count; k++)
			fate[k] = world_choose(&tools_world, FATES);
		check_state(fate);
	}
}

static void check_cut(void)
{
	static enum fate fate[MAX_UNFLUSHED];

	if (!watching)
		return;
	statistics.cuts++;
	if (unflushed_count <= ALL_STATES) {
		check_all_states(fate);
	} else {
		statistics.sampled_cuts++;
		check_some_states(fate);
	}
}

/* --- watching an operation --- */

static u32 file_of(const struct disk *disk)
{
	return disk == &live.disk[0] ? 0 : 1;
}

static int before(struct disk *disk, enum disk_op op, const void *buf,
		  u64 offset, u64 length)
{
	(void)disk;
	(void)buf;
	(void)offset;
	(void)length;
	statistics.operations++;
	if (op == DISK_FLUSH)
		check_cut();
	return 0;
}

static void after(struct disk *disk, enum disk_op op, u64 offset, u64 length)
{
	u32 file = file_of(disk), i, n = 0;

	trace(&tools_world, "file %u: %s 0x%llx 0x%llx", file, disk_op_name[op],
	      offset, length);
	/* What is inside of the file has its space. */
	if (op == DISK_ALLOCATE && disk->size[disk->sizes - 1].time != disk->time)
		return;
	if (op != DISK_FLUSH) {
		if (unflushed_count == MAX_UNFLUSHED)
			errx(1, "too many writes without a flush");
		unflushed[unflushed_count].file = file;
		unflushed[unflushed_count++].time = disk->time;
		return;
	}
	for (i = 0; i < unflushed_count; i++)
		if (unflushed[i].file != file)
			unflushed[n++] = unflushed[i];
	unflushed_count = n;
}

static const struct disk_hooks watch = { .before = before, .after = after };

static void start(void)
{
	u32 i;

	tools_world.guids = 0;
	tools_world.random = 1;
	guid_world = &tools_world;
	unflushed_count = 0;
	for (i = 0; i < MAX_FILES; i++) {
		disk_free(&live.disk[i]);
		disk_init(&live.disk[i]);
	}
	current->build(&live);
	for (i = 0; i < live.n; i++)
		disk_flush(&live.disk[i]);
}

static void run_watched(void)
{
	u32 i;
	int ret;

	for (i = 0; i < live.n; i++)
		live.disk[i].hooks = &watch;
	ret = current->run(&live);
	if (ret)
		violation("fails: %d", ret);
	check_cut();
	for (i = 0; i < live.n; i++)
		live.disk[i].hooks = NULL;
}

/* --- the operations --- */

/**
 * build_image() - make the next of the files
 * @files: so far
 * @builder: what image
 */
void build_image(struct files *files, const struct builder *builder)
{
	crash_build(&files->disk[files->n++], builder);
}

/* A page that nothing reads, behind the items. */
static u64 marked_page(const struct vhdx_image *img, u32 i)
{
	return img->metadata_region->file_offset + (32 + i) * 4096ULL;
}

#define MARKED_PAGES	200U	/* more than an entry has */

static void edit_build(struct files *files)
{
	static const struct builder_block blocks[] = {
		{ .block = 2, .state = 6, .offset = BUILDER_PLACE },
		{ .block = 9, .state = 6, .offset = BUILDER_PLACE },
	};
	struct builder builder;

	builder_init(&builder);
	builder.block = blocks;
	builder.blocks = ARRAY_SIZE(blocks);
	builder.data_bytes = 2 * SECTOR;
	files->n = 0;
	build_image(files, &builder);
}

static u64 edit_look(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, 0);
	u64 hash = look_at_image(img);
	u8 page[4096];
	u32 i;

	for (i = 0; i < MARKED_PAGES; i++) {
		if (vhdx_image_read(img, page, sizeof(page), marked_page(img, i)))
			violation("a page cannot be read");
		hash = hash_bytes(hash, page, sizeof(u64));
	}
	vhdx_image_close(img);
	return hash;
}

static int move_block(struct vhdx_edit *edit, struct vhdx_image *img, u64 index,
		      u64 entry)
{
	struct vhdx_file *file = img->file;
	u8 *buf = malloc(MIB);
	u64 to;
	int ret;

	ret = vhdx_edit_place(edit, MIB, &to);
	if (!ret)
		ret = file->ops->read(file, buf, MIB, entry & ~(MIB - 1));
	if (!ret)
		ret = file->ops->write(file, buf, MIB, to);
	if (!ret)
		ret = vhdx_edit_bat(edit, index, to | VHDX_PAYLOAD_FULLY_PRESENT);
	if (!ret)
		vhdx_space_unclaim(img->space, entry & ~(MIB - 1), MIB);
	free(buf);
	return ret;
}

/* A block moves, pages are written to and zeroed. */
static int edit_run(struct files *files)
{
	struct vhdx_image *img = open_file(&files->disk[0], NULL, VHDX_OPEN_EDIT);
	u64 first = img->bat_region->file_offset;
	struct vhdx_edit *edit;
	__le64 entry;
	u8 page[4096];
	u32 i;
	int ret;

	ret = vhdx_edit_begin(img, &edit);
	if (!ret)
		ret = vhdx_edit_first_change(edit, false);
	if (!ret)
		ret = vhdx_image_read(img, page, sizeof(page), first);
	memcpy(&entry, page + 9 * sizeof(entry), sizeof(entry));
	if (!ret)
		ret = move_block(edit, img, 9, le64_to_cpu(entry));
	for (i = 0; !ret && i < MARKED_PAGES; i++) {
		u64 word = hash_mix(i + 1);

		if (i == MARKED_PAGES / 2)
			ret = vhdx_edit_zero(edit, marked_page(img, i), 8192);
		else if (i != MARKED_PAGES / 2 + 1)
			ret = vhdx_edit_write(edit, marked_page(img, i), &word,
					      sizeof(word));
	}
	if (!ret)
		ret = vhdx_edit_commit(edit);
	vhdx_edit_free(edit);
	if (!ret)
		ret = vhdx_image_finish(img);
	vhdx_image_close(img);
	return ret;
}

static const struct operation operations[] = {
	{ "edit", edit_build, edit_run, edit_look, NULL },
	{ "grow", resize_build, grow_run, resize_look, NULL },
	{ "shrink", resize_build, shrink_run, resize_look, NULL },
	{ "grow-move-bat", resize_full_bat_build, grow_move_bat_run,
	  resize_large_look, NULL },
	{ "grow-fixed", resize_fixed_build, grow_fixed_run, resize_look, NULL },
	{ "shrink-fixed", resize_fixed_build, shrink_fixed_run, resize_look, NULL },
	{ "compact", compact_build, compact_run, compact_look,
	  compact_look_at_end },
	{ "compact-child", compact_child_build, compact_run, compact_look,
	  compact_look_at_end },
	{ "compact-log", compact_log_build, compact_run, compact_look,
	  compact_look_at_end },
	{ "compact-metadata", compact_metadata_build, compact_run, compact_look,
	  compact_look_at_end },
	{ "set", set_build, set_run, set_look, NULL },
	{ "merge", merge_build, merge_run, merge_look, merge_look_at_end },
	{ "merge-renew", merge_build, merge_renew_run, merge_look,
	  merge_renew_look_at_end },
	{ "merge-again", merge_build, merge_again_run, merge_look,
	  merge_look_at_end },
	{ "merge-grow", merge_grow_build, merge_run, merge_look,
	  merge_look_at_end },
	{ "merge-shrink", merge_shrink_build, merge_run, merge_look,
	  merge_look_at_end },
};

const unsigned int crash_operation_count = ARRAY_SIZE(operations) +
					   REPAIR_OPERATIONS;

static const struct operation *operation_of(unsigned int i)
{
	return i < ARRAY_SIZE(operations) ? &operations[i] :
		&repair_operations[i - ARRAY_SIZE(operations)];
}

/**
 * crash_operation_name() - the operations by their number
 * @i: less than crash_operation_count
 */
const char *crash_operation_name(unsigned int i)
{
	return operation_of(i)->name;
}

/**
 * crash_operation_run() - go through all states of one operation
 * @i: less than crash_operation_count
 *
 * What is wrong ends it through violation().
 */
void crash_operation_run(unsigned int i)
{
	u64 end_before;
	u32 n;

	current = operation_of(i);
	statistics.workloads++;
	watching = false;
	start();
	view_before = current->look(&live);
	end_before = look_at_end(&live);
	run_watched();
	disk_flush(&live.disk[0]);
	if (live.n > 1)
		disk_flush(&live.disk[1]);
	view_after = current->look(&live);
	end_after = look_at_end(&live);
	for (n = 0; n < live.n; n++)
		check_clean(&live.disk[n]);
	if (end_after == end_before)
		violation("changes nothing that anybody could see");
	if (current->look_at_end && view_after != view_before)
		violation("changes what nobody was to see");
	watching = true;
	start();
	run_watched();
}
