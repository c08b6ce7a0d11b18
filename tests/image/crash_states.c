// SPDX-License-Identifier: GPL-2.0
/*
 * Tells another program what the crash enumerator saw: the states, and what
 * image/ makes of each. crash_replay.py reads it and judges for itself.
 *
 * A stream of records, integers little-endian:
 *
 *   'P' u64 size, cells         the parent of the image that follows, when it has
 *                               one; the base is nothing
 *   'B' u64 size, cells, u32 blocks, u64 block[blocks],
 *       u32 places, u64 place[places]
 *                               the image that all workloads start from, and
 *                               which blocks of the disk and which bytes of it,
 *                               512 from each place on, are tracked; contents
 *                               that are named from here on have nothing to do
 *                               with those before
 *   'C' u32 id, 512 bytes       a content, before it is first named
 *   'R' u32 length, text        the options of the run that follows
 *   'S' u64 size, cells, u32 blocks, u64 where[blocks],
 *       u32 places, u32 content[places]
 *                               a state that opens: offsets of the tracked
 *                               blocks in the file, 0 for one that is not in it,
 *                               and what the tracked places hold
 *   'X' u64 size, cells, u32 length, text
 *                               a state that is refused, and why
 *   'E'                         the end
 *
 * Cells are u32 n and n times u32 sector, u32 content: what differs from the
 * base; a content of 0 is zeros.
 */
#include <err.h>

#include "crash.h"

static FILE *out;
static bool refused_only;
static u64 every = 1, opened;
static struct disk base;
static u8 *told;		/* contents, by number */
static u32 told_room;
static bool run_told;

static void put(const void *buf, size_t length)
{
	if (fwrite(buf, 1, length, out) != length)
		err(1, "states");
}

static void put_u32(u32 value)
{
	put(&value, sizeof(value));
}

static void put_u64(u64 value)
{
	put(&value, sizeof(value));
}

static void put_text(const char *text)
{
	u32 length = strlen(text);

	put_u32(length);
	put(text, length);
}

static void tell_content(u32 id)
{
	if (id >= told_room) {
		u32 room = max(2 * told_room, id + 4096);

		told = realloc(told, room);
		if (!told)
			err(1, "states");
		memset(told + told_room, 0, room - told_room);
		told_room = room;
	}
	if (told[id])
		return;
	told[id] = 1;
	put("C", 1);
	put_u32(id);
	put(content_bytes(id), SECTOR);
}

/* Where two disks differ, in order; @visit is given what @disk holds. */
static u32 differences(const struct disk *disk, void (*visit)(u64 sector, u32 id))
{
	u32 i = 0, k = 0, n = 0;

	while (i < base.cells || k < disk->cells) {
		u64 a = i < base.cells ? base.cell[i].sector : U64_MAX;
		u64 b = k < disk->cells ? disk->cell[k].sector : U64_MAX;
		u64 sector = min(a, b);
		u32 old = a == sector ? base.cell[i++].v[0].id : CONTENT_ZERO;
		u32 id = CONTENT_ZERO;

		if (b == sector) {
			id = disk->cell[k].v[disk->cell[k].n - 1].id;
			k++;
		}
		if (id == old)
			continue;
		n++;
		if (visit)
			visit(sector, id);
	}
	return n;
}

static void tell_content_at(u64 sector, u32 id)
{
	(void)sector;
	tell_content(id);
}

static void put_cell(u64 sector, u32 id)
{
	put_u32(sector);
	put_u32(id);
}

static void put_disk(const char *record, const struct disk *disk)
{
	u32 n = differences(disk, tell_content_at);

	put(record, 1);
	put_u64(disk_size(disk));
	put_u32(n);
	differences(disk, put_cell);
}

static void put_run(void)
{
	char text[200];

	if (run_told)
		return;
	run_told = true;
	run_options(text, sizeof(text));
	put("R", 1);
	put_text(text);
}

/**
 * states_start() - tell somebody from now on
 * @path: a file, or a pipe
 * @only_refused: not the states that open
 */
void states_start(const char *path, bool only_refused)
{
	static char buf[1 << 18];

	out = fopen(path, "we");
	if (!out)
		err(1, "%s", path);
	setvbuf(out, buf, _IOFBF, sizeof(buf));
	refused_only = only_refused;
}

/**
 * states_base() - tell the image that all workloads start from
 * @disk: it
 * @parent: its parent, or NULL
 *
 * Once in each process.
 */
void states_base(const struct disk *disk, const struct disk *parent)
{
	u32 i;

	if (!out)
		return;
	free(told);
	told = NULL;
	told_room = 0;
	base.cells = 0;
	if (parent)
		put_disk("P", parent);
	put_disk("B", disk);
	put_u32(BLOCKS);
	put(tracked_block, sizeof(tracked_block));
	put_u32(PLACES);
	for (i = 0; i < PLACES; i++)
		put_u64(place_pos(i));
	disk_copy(&base, disk);
	run_told = false;
}

/* Another run begins. */
void states_run(void)
{
	run_told = false;
}

/**
 * states_sample() - tell one of so many states that open
 * @n: of how many
 */
void states_sample(u64 n)
{
	every = n;
}

/* Is there anybody to tell of this state, which opens? */
bool states_wanted(void)
{
	return out && !refused_only && !(opened++ % every);
}

/**
 * states_opened() - tell a state that opens
 * @disk: the state, data included
 * @map: MiB of the file for each tracked block, 0: not in it
 * @id: what the places hold
 */
void states_opened(const struct disk *disk, const u32 *map, const u32 *id)
{
	u32 i;

	put_run();
	for (i = 0; i < PLACES; i++)
		tell_content(id[i]);
	put_disk("S", disk);
	put_u32(BLOCKS);
	for (i = 0; i < BLOCKS; i++)
		put_u64(map[i] * MIB);
	put_u32(PLACES);
	for (i = 0; i < PLACES; i++)
		put_u32(id[i]);
}

/**
 * states_refused() - tell a state that does not open
 * @disk: the state
 * @why: what the error says
 */
void states_refused(const struct disk *disk, const char *why)
{
	if (!out)
		return;
	put_run();
	put_disk("X", disk);
	put_text(why);
}

/* Before a fork, or both would tell it. */
void states_flush(void)
{
	if (out && fflush(out))
		err(1, "states");
}

/* All is told. */
void states_end(void)
{
	if (!out)
		return;
	put("E", 1);
	if (fclose(out))
		err(1, "states");
	out = NULL;
}
