// SPDX-License-Identifier: GPL-2.0
/*
 * The world of the crash enumerator: the guest, and image/ between it and the
 * disk. Drives the same calls as block/ does.
 */
#include <err.h>
#include <sys/random.h>

#include "image/journal.h"
#include "crash.h"

struct world *guid_world;

#define MAX_LOADS	8U

/* Takes libc's place, so that a run can be had again. */
ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	u64 word;
	size_t i;

	(void)flags;
	for (i = 0; i < len; i += sizeof(word)) {
		guid_world->guids += 0x9E3779B97F4A7C15ULL;
		word = hash_mix(guid_world->guids);
		memcpy((u8 *)buf + i, &word, min(sizeof(word), len - i));
	}
	return len;
}

void values_set(struct values *values, u32 id)
{
	values->n = 1;
	values->id[0] = id;
}

bool values_have(const struct values *values, u32 id)
{
	u32 i;

	for (i = 0; i < values->n; i++)
		if (values->id[i] == id)
			return true;
	return false;
}

void values_add(struct values *values, u32 id)
{
	if (values_have(values, id))
		return;
	if (values->n == MAX_VALUES)
		errx(1, "a sector has too many values");
	values->id[values->n++] = id;
}

static void values_join(struct values *values, const struct values *other)
{
	u32 i;

	for (i = 0; i < other->n; i++)
		values_add(values, other->id[i]);
}

static void values_meet(struct values *values, const struct values *other)
{
	u32 i, n = 0;

	for (i = 0; i < values->n; i++)
		if (values_have(other, values->id[i]))
			values->id[n++] = values->id[i];
	values->n = n;
}

u32 world_choose(struct world *w, u32 n)
{
	if (n < 2)
		return 0;
	w->random += 0x9E3779B97F4A7C15ULL;
	return hash_mix(w->random) % n;
}

u64 place_pos(u32 place)
{
	return sector_pos(place / SECTORS, tracked_sector[place % SECTORS]);
}

/* Above its parent, when it has one. */
int image_open(struct disk *disk, unsigned int flags, struct vhdx_image **imgp,
	       struct vhdx_error *err)
{
	return vhdx_image_open_child(&disk->file, parent_image, flags, imgp,
				     err);
}

/* As a driver does it: what is missing is read. */
void place_map(const struct vhdx_image *img, u32 place,
	       struct vhdx_extent *extent)
{
	u64 pos = place_pos(place);
	u32 loads = 0;

	while (vhdx_image_map(img, pos, SECTOR, extent)) {
		if (vhdx_image_load(img, pos, SECTOR) || ++loads > MAX_LOADS)
			violation("the bits of block %llu cannot be read",
				  tracked_block[place / SECTORS]);
	}
}

/* What the parent has there. */
u32 parent_value(u32 place)
{
	struct vhdx_extent extent;

	if (!parent_image)
		return CONTENT_ZERO;
	place_map(parent_image, place, &extent);
	return extent.type == VHDX_EXTENT_ZERO ? CONTENT_ZERO :
		disk_value(&parent_disk, extent.offset / SECTOR);
}

/* What a reader of the disk gets now. */
u32 place_read(const struct world *w, u32 place)
{
	struct vhdx_extent extent;

	place_map(w->img, place, &extent);
	if (extent.type == VHDX_EXTENT_ZERO)
		return CONTENT_ZERO;
	if (extent.image != w->img)
		return disk_value(&parent_disk, extent.offset / SECTOR);
	if (extent.offset >= disk_size(&w->disk))
		return CONTENT_ZERO;
	return disk_value(&w->disk, extent.offset / SECTOR);
}

static bool is_parents(u32 id)
{
	u32 i;

	for (i = 0; i < PLACES; i++)
		if (parent_value(i) == id)
			return true;
	return false;
}

const char *describe(u32 id)
{
	static char text[4][80];
	static u32 turn;
	char *buf = text[turn++ % 4];
	u64 word[2];

	memcpy(word, content_bytes(id), sizeof(word));
	if (id == CONTENT_ZERO)
		snprintf(buf, 80, "zeros");
	else if (is_parents(id))
		snprintf(buf, 80, "the parent's block %llu sector %llu",
			 word[0] / block_bytes, word[0] % block_bytes / sector_bytes);
	else
		snprintf(buf, 80, "block %llu sector %llu %s %llu",
			 word[0] / block_bytes,
			 word[0] % block_bytes / sector_bytes,
			 word[1] >> 32 ? "from the start" : "generation",
			 word[1] >> 32 ? 0 : word[1]);
	return buf;
}

void world_check_live(struct world *w)
{
	u32 i;

	for (i = 0; i < PLACES; i++) {
		u32 id = place_read(w, i);

		if (!values_have(&w->live[i], id))
			violation("a reader of block %llu sector %llu gets %s",
				  tracked_block[i / SECTORS],
				  tracked_sector[i % SECTORS], describe(id));
	}
}

/* Some operation was made to fail. */
static bool has_fault(const struct world *w)
{
	return w->fault_at && w->ops >= w->fault_at;
}

/* --- the file under image/ --- */

static const char *region_name(u64 offset)
{
	static char text[64];

	if (offset == VHDX_HEADER_1_OFFSET || offset == VHDX_HEADER_2_OFFSET)
		snprintf(text, sizeof(text), "header %d",
			 1 + (offset == VHDX_HEADER_2_OFFSET));
	else
		snprintf(text, sizeof(text), "%llu MiB + 0x%llx", offset / MIB,
			 offset % MIB);
	return text;
}

static bool is_header(u64 offset)
{
	return offset < VHDX_REGION_TABLE_1_OFFSET;
}

static void world_interleave(struct world *w);

static int fail_op(struct world *w, enum disk_op op, const void *buf,
		   u64 offset, u64 length)
{
	bool space = op == DISK_WRITE || op == DISK_ALLOCATE ||
		     op == DISK_RESIZE;
	enum fault fault = w->fault;

	if (fault == FAULT_EIO) {
		w->failed |= op == DISK_FLUSH || op == DISK_WRITE;
		trace(w, "  ^ fails with EIO");
		return -EIO;
	}
	/* The header section has its space, and so has the BAT. */
	if (!space || (op == DISK_WRITE && offset / SECTOR < log_start) ||
	    (op == DISK_WRITE && offset / SECTOR >= log_end))
		return 0;
	if (op == DISK_WRITE && (fault == FAULT_ENOSPC_TORN ||
				 fault == FAULT_ENOSPC_WHOLE)) {
		u64 part = fault == FAULT_ENOSPC_TORN ?
			ALIGN_DOWN(length / 2, SECTOR) : length;

		disk_write(&w->disk, buf, part, offset);
	}
	trace(w, "  ^ fails with ENOSPC");
	return -ENOSPC;
}

static int before(struct disk *disk, enum disk_op op, const void *buf,
		  u64 offset, u64 length)
{
	struct world *w = container_of(disk, struct world, disk);
	int ret;

	if (w->dead)
		return -EIO;
	trace(w, "%s %s %llu", disk_op_name[op],
	      op == DISK_FLUSH ? "" : region_name(offset), length);
	if (w->failed)
		violation("%s after a failure that nobody knows the outcome of",
			  disk_op_name[op]);
	if (w->img && w->img->journal && w->img->journal->lock.held)
		violation("%s with a lock held", disk_op_name[op]);
	w->ops++;
	statistics.operations++;
	if (op == DISK_WRITE && offset + length > disk_size(disk))
		violation("a write past the end of the file");
	if (op != DISK_FLUSH && !(op == DISK_WRITE && is_header(offset)))
		check_first_change(w, offset);
	if (!has_fault(w) || w->fault >= FAULT_DIE ||
	    (w->ops != w->fault_at && w->fault != FAULT_FULL))
		return 0;
	ret = fail_op(w, op, buf, offset, length);
	if (ret)
		power_cut(w, "a failed operation");
	return ret;
}

static void after(struct disk *disk, enum disk_op op, u64 offset, u64 length)
{
	struct world *w = container_of(disk, struct world, disk);

	(void)offset;
	(void)length;
	power_cut(w, disk_op_name[op]);
	if (w->ops == w->fault_at && w->fault >= FAULT_DIE) {
		trace(w, "-- %s", w->fault == FAULT_DIE ?
		      "the driver dies" : "the power goes");
		w->dead = true;
		w->cut = w->fault == FAULT_CUT;
		return;
	}
	if (w->working && !w->closing)
		world_interleave(w);
}

static const struct disk_hooks hooks = {
	.before = before,
	.after = after,
};

static void kick(struct vhdx_image *img)
{
	struct world *w = container_of(img->file, struct world, disk.file);

	w->kicked = true;
}

void world_init(struct world *w, unsigned int level)
{
	memset(w, 0, sizeof(*w));
	disk_init(&w->disk);
	w->disk.hooks = &hooks;
	w->level = level;
	w->check = true;
	w->half_length = 16384;
	w->step = 2 * MIB;
	w->window = 1;
	w->next_generation = 1;
}

void world_free(struct world *w)
{
	vhdx_image_close(w->img);
	w->img = NULL;
	disk_free(&w->disk);
}

/* Small, so that a generation is over soon and the file grows often. */
static void shrink(struct world *w)
{
	struct vhdx_journal *j = w->img->journal;

	j->half_length = w->half_length;
	j->max_pages = 0;
	while (vhdx_log_entry_length(j->max_pages + 1) <= j->half_length)
		j->max_pages++;
	w->img->growth_step = w->step;
}

/**
 * world_attach() - open the image for writing
 * @w: without an image
 *
 * Return: 0, or an error that a fault explains: world_die() is next.
 */
int world_attach(struct world *w)
{
	struct vhdx_error error;
	char text[256];
	u32 i;
	int ret;

	w->dead = false;
	w->failed = false;
	w->guids = hash_metadata(&w->disk);
	guid_world = w;
	note_old_guids(w);
	trace(w, "-- attach");
	w->closing = true;
	ret = image_open(&w->disk, VHDX_OPEN_WRITE, &w->img, &error);
	w->closing = false;
	if (!ret && w->dead) {
		vhdx_image_close(w->img);
		w->img = NULL;
		ret = -EIO;
	}
	if (ret) {
		if (has_fault(w))
			return ret;
		vhdx_error_print(text, sizeof(text), &error);
		violation("cannot be attached: %s", text);
	}
	w->img->kick = kick;
	if (has_fault(w))
		w->fault_at = 0;
	shrink(w);
	world_check_live(w);
	for (i = 0; i < PLACES; i++)
		values_set(&w->live[i], place_read(w, i));
	return 0;
}

/* The driver is gone, and whatever was in flight. */
void world_die(struct world *w)
{
	trace(w, "-- gone");
	vhdx_image_close(w->img);
	w->img = NULL;
	w->kicked = false;
	w->changes = 0;
	memset(w->failed_values, 0, sizeof(w->failed_values));
	if (w->cut) {
		collapse_to_random_state(w);
		w->cut = false;
	} else {
		u32 i;

		/* What reads now is what a reader gets from now on. */
		for (i = 0; i < PLACES; i++)
			w->live[i] = w->may[i];
	}
	w->dead = false;
}

/**
 * world_detach() - end writing and close
 * @w: with nothing in flight
 *
 * Return: 0, or an error that a fault explains; the image is closed then too.
 */
int world_detach(struct world *w)
{
	bool changed = w->img->journal->changed;
	int ret;

	trace(w, "-- detach");
	guid_world = w;
	w->closing = true;
	ret = vhdx_image_finish(w->img);
	w->closing = false;
	if (ret && !has_fault(w))
		violation("detach fails with %d", ret);
	if (w->dead)
		return -EIO;
	if (!ret)
		world_check_live(w);
	vhdx_image_close(w->img);
	w->img = NULL;
	if (!ret)
		expect_clean(w, changed);
	return ret;
}

/**
 * world_compact() - end writing, give back what is not used, and go on
 * @w: with nothing in flight
 *
 * Return: 0, or an error that a fault explains: world_die() is next. Where there
 * was no space for it all goes on as before.
 */
int world_compact(struct world *w)
{
	int ret;

	trace(w, "-- compact");
	guid_world = w;
	w->closing = true;
	ret = vhdx_image_finish(w->img);
	if (!ret)
		ret = vhdx_image_give_back(w->img, true);
	w->closing = false;
	if (ret && !has_fault(w))
		violation("compaction fails with %d", ret);
	if (w->dead || vhdx_image_failed(w->img))
		return -EIO;
	world_check_live(w);
	if (!ret)
		expect_clean(w, true);
	return 0;
}

/* --- the guest --- */

static bool covers(const struct change *change, u32 place)
{
	u64 pos = place_pos(place);

	return change->kind != CHANGE_FLUSH && pos >= change->pos &&
	       pos < change->pos + change->length;
}

static void make_data(const struct change *change, u64 pos, void *sector)
{
	u64 *word = sector;
	u32 i;

	word[0] = pos;
	word[1] = change->generation;
	for (i = 2; i < SECTOR / 8; i++)
		word[i] = hash_mix(pos + i + ((u64)change->generation << 40));
}

static u32 value_of(const struct change *change, u32 place)
{
	u8 sector[SECTOR] __aligned(8);

	if (change->kind != CHANGE_WRITE)
		return CONTENT_ZERO;
	make_data(change, place_pos(place), sector);
	return content_intern(sector);
}

struct change *world_add(struct world *w, enum change_kind kind, u64 pos,
			 u64 length)
{
	struct change *change;

	if (w->changes == MAX_OPS)
		errx(1, "too many operations in a workload");
	change = &w->change[w->changes++];
	memset(change, 0, sizeof(*change));
	change->world = w;
	change->kind = kind;
	change->pos = pos;
	change->length = length;
	change->generation = w->next_generation++;
	return change;
}

static void resume(struct vhdx_write *write)
{
	struct change *change = container_of(write, struct change, write);

	if (++change->world->spins > 2000)
		violation("the worker resumes a write again and again and does nothing");
	change->state = STATE_READY;
}

/* From now on its values may be there. */
static void start(struct change *change)
{
	struct world *w = change->world;
	u32 i, k;

	change->in_flight = true;
	for (i = 0; i < PLACES; i++) {
		u32 id;

		if (!covers(change, i))
			continue;
		id = value_of(change, i);
		values_add(&w->may[i], id);
		values_add(&w->live[i], id);
		for (k = 0; k < w->changes; k++) {
			struct change *other = &w->change[k];

			if (other->state == STATE_FLUSHING && other->covered[i])
				values_add(&other->known[i], id);
			if (other == change || !other->in_flight ||
			    !covers(other, i))
				continue;
			other->overlapped[i] = true;
			change->overlapped[i] = true;
		}
	}
}

static bool others_in_flight(const struct change *change, u32 place)
{
	const struct world *w = change->world;
	u32 i;

	for (i = 0; i < w->changes; i++)
		if (&w->change[i] != change && w->change[i].in_flight &&
		    covers(&w->change[i], place))
			return true;
	return false;
}

/* A hint on what is not in this file may do nothing. */
static bool is_left_alone(const struct change *change)
{
	return change->kind == CHANGE_TRIM &&
	       change->write.extent.type == VHDX_EXTENT_ZERO;
}

/* Bytes [from, to) of it have ended well. */
static void ended(struct change *change, u64 from, u64 to)
{
	struct world *w = change->world;
	u32 i;

	for (i = 0; i < PLACES; i++) {
		if (place_pos(i) < from || place_pos(i) >= to ||
		    others_in_flight(change, i))
			continue;
		/* Of several at once the last to land counts. */
		if (!change->overlapped[i] && !is_left_alone(change)) {
			values_set(&w->live[i], value_of(change, i));
			w->failed_values[i].n = 0;
		} else if (values_have(&w->live[i], place_read(w, i))) {
			values_set(&w->live[i], place_read(w, i));
			values_join(&w->live[i], &w->failed_values[i]);
		}
	}
}

/* What it has not written well may turn up until it is written over. */
static void failed(struct change *change)
{
	u32 i;

	for (i = 0; i < PLACES; i++)
		if (covers(change, i))
			values_add(&change->world->failed_values[i],
				   value_of(change, i));
}

/* What a FLUSH that is asked for now makes true. */
static void note_known(struct change *change)
{
	struct world *w = change->world;
	u32 i, k;

	for (i = 0; i < PLACES; i++) {
		if (change->kind != CHANGE_FLUSH && !covers(change, i))
			continue;
		/* Of several at once it need not be the last. */
		if (change->overlapped[i])
			continue;
		change->covered[i] = true;
		values_set(&change->known[i], place_read(w, i));
		values_join(&change->known[i], &w->failed_values[i]);
		for (k = 0; k < w->changes; k++)
			if (w->change[k].in_flight && covers(&w->change[k], i))
				values_add(&change->known[i],
					   value_of(&w->change[k], i));
	}
}

static void acknowledge(struct change *change)
{
	struct world *w = change->world;
	u32 i;

	for (i = 0; i < PLACES; i++)
		if (change->covered[i])
			values_meet(&w->may[i], &change->known[i]);
	power_cut(w, "an answer");
}

static void flush_done(struct vhdx_flush *flush, int ret)
{
	struct change *change = container_of(flush, struct change, flush);
	struct world *w = change->world;

	/* Whom a death leaves behind hears nothing that counts. */
	if (w->dead)
		return;
	trace(w, "flush %u is answered %d", change->generation, ret);
	if (ret && !has_fault(w))
		violation("a flush fails with %d", ret);
	if (!ret && w->failed)
		violation("a flush is acknowledged after a failure");
	change->error = ret;
	change->state = STATE_DONE;
	if (!ret)
		acknowledge(change);
}

static void ask_flush(struct change *change)
{
	trace(change->world, "flush %u is asked for", change->generation);
	note_known(change);
	change->state = STATE_FLUSHING;
	change->flush.done = flush_done;
	vhdx_flush(change->world->img, &change->flush);
}

static void finish(struct change *change)
{
	change->in_flight = false;
	change->state = STATE_DONE;
	if (change->error || !change->fua)
		return;
	if (change->durable) {
		note_known(change);
		acknowledge(change);
	} else {
		ask_flush(change);
	}
}

static int try_to_begin(struct change *change)
{
	struct world *w = change->world;
	struct vhdx_write *write = &change->write;
	int ret;

	if (change->kind == CHANGE_DISCARD)
		return vhdx_clear_block(w->img, write);
	/* What can go went: the bits have to be read again. */
	vhdx_image_shrink(w->img, U64_MAX);
	write->wait = false;
	ret = vhdx_write_begin(w->img, write);
	if (ret != -EAGAIN)
		return ret;
	if (!parent_image)
		violation("a file without sector bitmaps has to be read");
	write->wait = true;
	return vhdx_write_begin(w->img, write);
}

static const char *const change_name[] = {
	[CHANGE_WRITE] = "write",
	[CHANGE_ZERO] = "zero",
	[CHANGE_TRIM] = "trim",
	[CHANGE_DISCARD] = "discard",
};

/* Asks where the next piece goes. */
static void begin(struct change *change)
{
	struct world *w = change->world;
	struct vhdx_write *write = &change->write;
	int ret;

	if (change->state == STATE_NEW) {
		change->durable = true;
		start(change);
	}
	write->pos = change->pos + change->done;
	write->length = change->length - change->done;
	write->in_place = change->kind == CHANGE_ZERO ||
			  change->kind == CHANGE_TRIM;
	write->hint = change->kind == CHANGE_TRIM;
	write->fua = change->fua;
	write->may_pad = change->kind == CHANGE_WRITE;
	write->resume = resume;
	change->state = STATE_PARKED;
	ret = try_to_begin(change);
	trace(w, "%s %u at block %llu + 0x%llx: begins, %d",
	      change_name[change->kind], change->generation,
	      write->pos / block_bytes, write->pos % block_bytes, ret);
	if (ret == -EINPROGRESS) {
		if (++change->parked > 200)
			violation("%u is parked and resumed again and again",
				  change->generation);
		return;
	}
	if (ret) {
		if (!w->failed && !has_fault(w))
			violation("a change fails with %d", ret);
		change->error = ret;
		finish(change);
		return;
	}
	if (change->kind == CHANGE_DISCARD) {
		ended(change, change->pos, change->pos + change->length);
		finish(change);
		return;
	}
	change->state = STATE_BEGUN;
}

/* Of a long write and its padding only what is looked at. */
static bool is_tracked(u64 pos)
{
	u32 i;

	for (i = 0; i < SECTORS; i++)
		if (pos % block_bytes == tracked_sector[i] * sector_bytes)
			return true;
	return false;
}

static void land_sectors(const struct change *change)
{
	const struct vhdx_write *write = &change->write;
	u64 end = write->pos + write->extent.length;
	u8 sector[SECTOR] __aligned(8);
	u64 pos;

	for (pos = write->pos - write->pad_before; pos < end + write->pad_after;
	     pos += SECTOR) {
		if (!is_tracked(pos))
			continue;
		if (pos < write->pos || pos >= end)
			memset(sector, 0, SECTOR);
		else
			make_data(change, pos, sector);
		disk_write(&change->world->disk, sector, SECTOR,
			   write->extent.offset + pos - write->pos);
	}
}

static void land(struct change *change)
{
	struct world *w = change->world;
	const struct vhdx_extent *extent = &change->write.extent;

	change->state = STATE_LANDED;
	if (extent->type == VHDX_EXTENT_ZERO)
		return;
	trace(w, "data of %u lands at %llu MiB + 0x%llx", change->generation,
	      extent->offset / MIB, extent->offset % MIB);
	if (extent->offset + extent->length + change->write.pad_after >
	    disk_size(&w->disk))
		violation("data past the end of the file");
	if (change->write.pad_before > change->write.pos % block_bytes)
		violation("zeros in front of the block");
	check_first_change(w, extent->offset);
	w->disk.time++;
	if (change->kind != CHANGE_WRITE)
		disk_zero(&w->disk, extent->offset, extent->length);
	else
		land_sectors(change);
	if (change->fua && change->write.durable)
		disk_flush_range(&w->disk, extent->offset, extent->length);
	power_cut(w, "data");
}

static void end(struct change *change)
{
	struct world *w = change->world;
	u64 from = change->write.pos;
	u64 length = change->write.extent.length;

	trace(w, "write %u ends with %d", change->generation,
	      change->fails ? -EIO : 0);
	vhdx_write_end(w->img, &change->write, change->fails ? -EIO : 0);
	change->durable &= change->write.durable;
	change->done += length;
	if (change->fails) {
		failed(change);
		change->error = -EIO;
		finish(change);
		return;
	}
	ended(change, from, from + length);
	if (change->done == change->length)
		finish(change);
	else
		change->state = STATE_READY;
}

static bool change_can_advance(const struct change *change)
{
	return change->state == STATE_NEW || change->state == STATE_READY ||
	       change->state == STATE_BEGUN || change->state == STATE_LANDED;
}

/* One step of it, unless it waits or the driver is gone. */
void change_advance(struct change *change)
{
	struct world *w = change->world;

	if (w->dead || !change_can_advance(change))
		return;
	switch (change->state) {
	case STATE_NEW:
		if (change->kind == CHANGE_FLUSH) {
			ask_flush(change);
			break;
		}
		fallthrough;
	case STATE_READY:
		begin(change);
		break;
	case STATE_BEGUN:
		land(change);
		break;
	case STATE_LANDED:
		end(change);
		break;
	default:
		return;
	}
	if (!w->dead)
		world_check_live(w);
	power_cut(w, "a step");
}

static void world_work(struct world *w)
{
	w->kicked = false;
	w->working = true;
	w->spins = 0;
	guid_world = w;
	vhdx_image_work(w->img);
	w->working = false;
	if (!w->dead && !w->failed)
		world_check_live(w);
}

/**
 * change_reach() - take a change to a state, and no further
 * @change: the only one that may take steps
 * @state: BEGUN or DONE
 *
 * Returns early when the change ends before, the driver dies, or it waits for
 * another change.
 */
void change_reach(struct change *change, enum change_state state)
{
	struct world *w = change->world;

	while (!w->dead && change->state != state &&
	       change->state != STATE_DONE) {
		if (w->kicked)
			world_work(w);
		else if (change_can_advance(change))
			change_advance(change);
		else
			return;
	}
}

/* Changes that may take a step now, oldest first. */
static u32 runnable(struct world *w, struct change **list)
{
	u32 i, n = 0, open = 0;

	for (i = 0; i < w->changes && open < w->window; i++) {
		if (w->change[i].state == STATE_DONE)
			continue;
		open++;
		if (&w->change[i] == w->stalled &&
		    w->change[i].state == STATE_BEGUN)
			continue;
		if (change_can_advance(&w->change[i]))
			list[n++] = &w->change[i];
	}
	return n;
}

/* The worker has just come back from the file: others may run now. */
static void world_interleave(struct world *w)
{
	struct change *list[MAX_OPS];
	u32 n, pick;

	if (w->window < 2)
		return;
	for (;;) {
		n = runnable(w, list);
		pick = world_choose(w, n + 1 + w->lazy);
		if (pick >= n)
			return;
		change_advance(list[pick]);
	}
}

/**
 * world_run() - run the changes that were added, to their end
 * @w: attached; when it is dead after this, world_die() is next
 *
 * With a window of one they follow each other and the worker runs when it is
 * kicked; else up to so many are in flight and who goes next is drawn.
 */
void world_run(struct world *w)
{
	struct change *list[MAX_OPS];
	u32 n, i, pick;

	w->stalled = w->stall ? &w->change[w->stall - 1] : NULL;
	for (;;) {
		if (w->dead)
			return;
		n = runnable(w, list);
		if (!n && !w->kicked && w->stalled) {
			w->stalled = NULL;
			continue;
		}
		if (!n && !w->kicked) {
			for (i = 0; i < w->changes; i++)
				if (w->change[i].state != STATE_DONE)
					violation("%u waits, and nobody is going to wake it",
						  w->change[i].generation);
			break;
		}
		if (w->window < 2)
			pick = w->kicked ? n : 0;
		else
			pick = world_choose(w, n + w->kicked);
		if (pick < n)
			change_advance(list[pick]);
		else
			world_work(w);
	}
	w->changes = 0;
}
