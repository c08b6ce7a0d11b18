// SPDX-License-Identifier: GPL-2.0
/*
 * What a power cut may leave, and whether all of it is right.
 *
 * A state is a choice, for every sector and for the size of the file, of one of
 * the values that it has had since the last flush; sectors of metadata may also
 * be torn in their middle. Whether the image opens and what it maps depends on
 * the metadata alone. So the metadata's states are gone through one by one, and
 * opened when they are new; for what they map, every value that a data sector
 * may have is looked at. That covers each combination of the data without
 * building it.
 */
#include <err.h>

#include "image/journal.h"
#include "crash.h"

struct statistics statistics;
u64 limit_exhaustive = 1 << 16;
u64 limit_samples = 64;
u64 deep_every = 16;
u64 nested_every = 8;

/* First sector that is data; set by the first disk that is checked. */
u64 data_start;
u64 log_start, log_end;

#define MAX_UNITS	512U
#define MAX_OPTIONS	(MAX_VERSIONS * 2)
#define UNIT_CELLS	8U

/* Sectors that a power cut decides on together. */
struct unit {
	u32 cells;
	u32 cell[UNIT_CELLS];
	u32 options;
	u32 id[MAX_OPTIONS][UNIT_CELLS];
	u64 hash[MAX_OPTIONS];
	u32 chosen;
};

/*
 * What was found out about a state of the metadata: where the blocks are, in MiB
 * of the file, 0 for one that is not in it; and for each place a bit that says
 * whether it is in the file, or else in the parent's. If in none, it is zero.
 */
struct finding {
	u64 key;
	u32 map[BLOCKS];
	u32 in_file;
	u32 in_parent;
};

struct cut {
	struct world *w;
	const char *when;
	struct disk *state;	/* of the metadata; other cells mean nothing */
	struct unit *unit;
	u32 units;
	u32 size;		/* chosen */
	u64 hash;
	u64 seen[64];		/* mappings that were compared already */
	u32 seen_count;
	u64 random;
};

/* The state that is being opened, for the trace of a violation. */
static struct cut *explaining;

/* --- sets of 64-bit keys --- */

struct table {
	u64 *key;
	u64 slots;
	u64 count;
};

static u64 table_slot(const struct table *table, u64 key)
{
	u64 slot = hash_mix(key) & (table->slots - 1);

	while (table->key[slot] && table->key[slot] != key)
		slot = (slot + 1) & (table->slots - 1);
	return slot;
}

/* True when it was not there. */
static bool table_add(struct table *table, u64 key)
{
	u64 slot, i;

	key |= !key;
	if (2 * table->count >= table->slots) {
		struct table bigger = {
			.slots = table->slots ? 2 * table->slots : 1 << 16,
			.count = table->count,
		};

		bigger.key = calloc(bigger.slots, sizeof(*bigger.key));
		if (!bigger.key)
			err(1, "table");
		for (i = 0; i < table->slots; i++)
			if (table->key[i])
				bigger.key[table_slot(&bigger, table->key[i])] =
					table->key[i];
		free(table->key);
		*table = bigger;
	}
	slot = table_slot(table, key);
	if (table->key[slot])
		return false;
	table->key[slot] = key;
	table->count++;
	return true;
}

static struct table seen_cuts;
static struct finding *findings;
static u64 finding_slots, finding_count;

static struct finding *find_finding(u64 key)
{
	u64 slot;

	if (!findings)
		return NULL;
	for (slot = key & (finding_slots - 1); findings[slot].key;
	     slot = (slot + 1) & (finding_slots - 1))
		if (findings[slot].key == key)
			return &findings[slot];
	return NULL;
}

static void add_finding(const struct finding *finding)
{
	u64 slot, i;

	if (2 * finding_count >= finding_slots) {
		struct finding *old = findings;
		u64 slots = finding_slots;

		finding_slots = slots ? 2 * slots : 1 << 16;
		findings = calloc(finding_slots, sizeof(*findings));
		if (!findings)
			err(1, "findings");
		finding_count = 0;
		for (i = 0; i < slots; i++)
			if (old[i].key)
				add_finding(&old[i]);
		free(old);
	}
	slot = finding->key & (finding_slots - 1);
	while (findings[slot].key)
		slot = (slot + 1) & (finding_slots - 1);
	findings[slot] = *finding;
	finding_count++;
}

/* --- one state --- */

/* Structures, and blocks that have ever had sector bitmaps in them. */
static bool is_metadata(const struct disk *disk, u64 sector)
{
	return sector < data_start || disk_was_written(disk, sector);
}

u64 hash_metadata(const struct disk *disk)
{
	u64 hash = hash_mix(disk_size(disk));
	u32 i;

	for (i = 0; i < disk->cells; i++)
		if (is_metadata(disk, disk->cell[i].sector))
			hash += hash_sector(disk->cell[i].sector,
					    disk->cell[i].v[disk->cell[i].n - 1].id);
	return hash;
}

static void map_place(const struct vhdx_image *img, u32 place,
		      struct finding *finding)
{
	u32 *map = &finding->map[place / SECTORS], mib;
	struct vhdx_extent extent;

	place_map(img, place, &extent);
	if (extent.type == VHDX_EXTENT_ZERO)
		return;
	if (extent.image != img) {
		finding->in_parent |= 1U << place;
		return;
	}
	mib = (extent.offset - place_pos(place) % block_bytes) / MIB;
	if (*map && *map != mib)
		violation("block %llu is at two places",
			  tracked_block[place / SECTORS]);
	*map = mib;
	finding->in_file |= 1U << place;
}

/* Of every block that is there, some sector is looked at. */
static void map_places(const struct vhdx_image *img, struct finding *finding)
{
	const u64 *payload = img->counts.payload;
	u64 mapped = 0, there;
	u32 i;

	memset(finding, 0, sizeof(*finding));
	for (i = 0; i < PLACES; i++)
		map_place(img, i, finding);
	for (i = 0; i < BLOCKS; i++)
		mapped += finding->map[i] != 0;
	there = payload[VHDX_PAYLOAD_FULLY_PRESENT] +
		payload[VHDX_PAYLOAD_PARTIALLY_PRESENT];
	if (mapped != there)
		violation("%llu blocks are mapped, %llu of them were ever written",
			  there, mapped);
}

static struct vhdx_image *open_to_read(struct disk *disk)
{
	struct vhdx_image *img;
	struct vhdx_error error;
	char text[256];

	if (image_open(disk, 0, &img, &error)) {
		vhdx_error_print(text, sizeof(text), &error);
		states_refused(disk, text);
		violation("does not open: %s", text);
	}
	return img;
}

static u64 sector_in_file(const struct finding *finding, u32 place)
{
	return (finding->map[place / SECTORS] * MIB +
		place_pos(place) % block_bytes) / SECTOR;
}

/* Is it in the file, and inside of its size? */
static bool is_in_file(const struct finding *finding, u32 place, u64 size)
{
	return finding->in_file >> place & 1 &&
	       sector_in_file(finding, place) * SECTOR < size;
}

/* What a place holds that is not in the file. */
static u32 value_elsewhere(const struct finding *finding, u32 place)
{
	return finding->in_parent >> place & 1 ? parent_value(place) :
						 CONTENT_ZERO;
}

/* Reads the places of a disk that is not open otherwise. */
static void read_places(struct disk *disk, const struct finding *finding,
			u32 *id)
{
	u32 i;

	for (i = 0; i < PLACES; i++)
		id[i] = is_in_file(finding, i, disk_size(disk)) ?
			disk_value(disk, sector_in_file(finding, i)) :
			value_elsewhere(finding, i);
}

/**
 * expect_clean() - check what a detach left
 * @w: without an image
 * @changed: something was written since the attach
 */
void expect_clean(struct world *w, bool changed)
{
	struct vhdx_image *img = open_to_read(&w->disk);
	struct finding finding;
	u32 id[PLACES], i;

	for (i = 0; i < 2; i++)
		if ((changed || i == img->headers.current_slot) &&
		    !guid_is_null(&img->headers.slot[i].log_guid))
			violation("header %u is not clean after a detach", i + 1);
	map_places(img, &finding);
	vhdx_image_close(img);
	read_places(&w->disk, &finding, id);
	for (i = 0; i < PLACES; i++)
		if (!values_have(&w->live[i], id[i]))
			violation("after a detach block %llu sector %llu is not what it was",
				  tracked_block[i / SECTORS],
				  tracked_sector[i % SECTORS]);
}

/* --- units --- */

static u32 options_of_sector(const struct cell *cell, bool torn, u32 *id)
{
	u32 n = 0, i, k;

	for (i = 0; i < cell->n; i++)
		id[n++] = cell->v[i].id;
	for (i = 1; torn && i < cell->n; i++) {
		u32 mixed = content_torn(cell->v[i - 1].id, cell->v[i].id);

		for (k = 0; k < n && id[k] != mixed; k++)
			;
		if (k == n && n < MAX_OPTIONS)
			id[n++] = mixed;
	}
	return n;
}

static u64 sector_of(const struct cut *cut, u32 cell)
{
	return cut->w->disk.cell[cell].sector;
}

static void finish_unit(struct cut *cut, struct unit *unit)
{
	u32 o, c;

	for (o = 0; o < unit->options; o++) {
		unit->hash[o] = 0;
		for (c = 0; c < unit->cells; c++)
			unit->hash[o] += hash_sector(sector_of(cut, unit->cell[c]),
						     unit->id[o][c]);
	}
	unit->chosen = 0;
}

/* Is this a sector whose tearing nothing but a checksum notices? */
static bool in_log(const struct cut *cut, u32 cell)
{
	u64 sector = sector_of(cut, cell);

	return sector >= log_start && sector < log_end;
}

static void units_of_sectors(struct cut *cut, bool torn, bool torn_log)
{
	u32 id[MAX_OPTIONS], i, o;
	struct unit *unit;

	cut->units = 0;
	for (i = 0; i < cut->w->disk.cells; i++) {
		const struct cell *cell = &cut->w->disk.cell[i];

		if (cell->n < 2 || !is_metadata(&cut->w->disk, cell->sector))
			continue;
		if (cut->units == MAX_UNITS)
			errx(1, "too many sectors are not flushed");
		unit = &cut->unit[cut->units++];
		unit->cells = 1;
		unit->cell[0] = i;
		unit->options = options_of_sector(cell, in_log(cut, i) ?
						  torn_log : torn, id);
		for (o = 0; o < unit->options; o++)
			unit->id[o][0] = id[o];
		finish_unit(cut, unit);
	}
}

static u32 value_at(const struct cell *cell, u32 time)
{
	u32 i = cell->n;

	while (--i && cell->v[i].time > time)
		;
	return cell->v[i].id;
}

static void options_of_page(struct cut *cut, struct unit *unit)
{
	u32 time[MAX_OPTIONS], n = 1, c, i, k;

	time[0] = 0;
	for (c = 0; c < unit->cells; c++) {
		const struct cell *cell = &cut->w->disk.cell[unit->cell[c]];

		for (i = 1; i < cell->n; i++) {
			for (k = 0; k < n && time[k] != cell->v[i].time; k++)
				;
			if (k == n && n < MAX_OPTIONS)
				time[n++] = cell->v[i].time;
		}
	}
	for (i = 0; i < n; i++)
		for (c = 0; c < unit->cells; c++)
			unit->id[i][c] =
				value_at(&cut->w->disk.cell[unit->cell[c]],
					 time[i]);
	unit->options = n;
	finish_unit(cut, unit);
}

static void units_of_pages(struct cut *cut)
{
	struct unit *unit = NULL;
	u64 page = U64_MAX;
	u32 i;

	cut->units = 0;
	for (i = 0; i < cut->w->disk.cells; i++) {
		const struct cell *cell = &cut->w->disk.cell[i];

		if (cell->n < 2 || !is_metadata(&cut->w->disk, cell->sector))
			continue;
		if (cell->sector / 8 != page) {
			if (unit)
				options_of_page(cut, unit);
			if (cut->units == MAX_UNITS)
				errx(1, "too many pages are not flushed");
			unit = &cut->unit[cut->units++];
			unit->cells = 0;
			page = cell->sector / 8;
		}
		unit->cell[unit->cells++] = i;
	}
	if (unit)
		options_of_page(cut, unit);
}

/* Saturates. */
static u64 combinations(const struct cut *cut)
{
	u64 n = cut->w->disk.sizes;
	u32 i;

	for (i = 0; i < cut->units; i++) {
		n *= cut->unit[i].options;
		if (n > 1ULL << 40)
			return 1ULL << 40;
	}
	return n;
}

/* --- going through the states --- */

static void explain(struct cut *cut)
{
	const struct disk *disk = &cut->w->disk;
	u32 i, c, k;

	trace(cut->w, "POWER CUT after %s; size %llu MiB%s", cut->when,
	      disk->size[cut->size].size / MIB,
	      disk->sizes > 1 ? " (one of several)" : "");
	for (i = 0; i < cut->units; i++)
		for (c = 0; c < cut->unit[i].cells; c++) {
			const struct cell *cell =
				&disk->cell[cut->unit[i].cell[c]];
			u32 id = cut->unit[i].id[cut->unit[i].chosen][c];

			for (k = 0; k < cell->n && cell->v[k].id != id; k++)
				;
			trace(cut->w, "  sector at %llu MiB + 0x%llx: %s",
			      cell->sector * SECTOR / MIB,
			      cell->sector * SECTOR % MIB,
			      k == cell->n ? "torn" : k == cell->n - 1 ?
			      "written" : k ? "an earlier write" : "lost");
		}
}

/* Says in the trace which state was being opened when something was wrong. */
void explain_violation(void)
{
	if (explaining)
		explain(explaining);
	explaining = NULL;
}

static void choose(struct cut *cut, struct unit *unit, u32 option)
{
	u32 c;

	cut->hash += unit->hash[option] - unit->hash[unit->chosen];
	unit->chosen = option;
	for (c = 0; c < unit->cells; c++)
		cut->state->cell[unit->cell[c]].v[0].id = unit->id[option][c];
}

static void choose_size(struct cut *cut, u32 size)
{
	const struct size_version *v = cut->w->disk.size;

	cut->hash += hash_mix(v[size].size) - hash_mix(v[cut->size].size);
	cut->size = size;
	cut->state->size[0].size = v[size].size;
}

static void check_value(struct cut *cut, u32 place, u32 id)
{
	if (values_have(&cut->w->may[place], id))
		return;
	explain(cut);
	violation("block %llu sector %llu holds %s",
		  tracked_block[place / SECTORS],
		  tracked_sector[place % SECTORS], describe(id));
}

static void check_data(struct cut *cut, const struct finding *finding)
{
	const struct disk *disk = &cut->w->disk;
	u64 size = cut->state->size[0].size;
	u64 key = hash_mix(size + finding->in_file +
			   ((u64)finding->in_parent << 32));
	u32 i, k;

	for (i = 0; i < BLOCKS; i++)
		key = hash_mix(key + finding->map[i]);
	for (i = 0; i < cut->seen_count; i++)
		if (cut->seen[i] == key)
			return;
	if (cut->seen_count < ARRAY_SIZE(cut->seen))
		cut->seen[cut->seen_count++] = key;
	for (i = 0; i < PLACES; i++) {
		const struct cell *cell;

		if (!is_in_file(finding, i, size)) {
			check_value(cut, i, value_elsewhere(finding, i));
			continue;
		}
		cell = disk_find(disk, sector_in_file(finding, i));
		if (!cell)
			check_value(cut, i, CONTENT_ZERO);
		for (k = 0; cell && k < cell->n; k++)
			check_value(cut, i, cell->v[k].id);
	}
}

/* The state with data: for each sector of it, one of what it may hold. */
static void add_data(const struct cut *cut, struct disk *disk)
{
	const struct disk *all = &cut->w->disk;
	u32 i;

	disk_copy(disk, cut->state);
	for (i = 0; i < all->cells; i++) {
		const struct cell *cell = &all->cell[i];
		u32 n = cut->hash & 1 ? cell->n :
			1 + hash_mix(cut->hash + cell->sector) % cell->n;

		if (is_metadata(all, cell->sector))
			continue;
		disk->cell[i].v[0].id = cell->sector * SECTOR < disk_size(disk) ?
			cell->v[n - 1].id : CONTENT_ZERO;
	}
}

static void tell_state(const struct cut *cut, const struct finding *finding)
{
	static struct disk disk;
	u32 id[PLACES];

	if (!states_wanted())
		return;
	add_data(cut, &disk);
	read_places(&disk, finding, id);
	states_opened(&disk, finding->map, id);
}

/* Opens it for writing, with cuts on the way, and goes on with it. */
static void check_writable(struct cut *cut, const struct finding *finding)
{
	struct world *parent = cut->w, *saved = guid_world;
	static struct world *w;
	u32 id[PLACES], i;
	size_t mark = trace_mark();

	explain(cut);
	if (!w) {
		w = malloc(sizeof(*w));
		if (!w)
			err(1, "world");
		world_init(w, 1);
	}
	disk_free(&w->disk);
	world_init(w, 1);
	statistics.replays++;
	add_data(cut, &w->disk);
	read_places(&w->disk, finding, id);
	for (i = 0; i < PLACES; i++) {
		values_set(&w->may[i], id[i]);
		values_set(&w->live[i], id[i]);
	}
	w->half_length = parent->half_length;
	w->step = parent->step;
	w->next_generation = 1000;
	world_attach(w);
	w->check = cut->hash / 2 % nested_every == 0;
	world_add(w, CHANGE_WRITE, sector_pos(SPARE_BLOCK, 1), sector_bytes);
	world_add(w, CHANGE_WRITE, sector_pos(1, 1), sector_bytes);
	world_add(w, CHANGE_FLUSH, 0, 0);
	world_run(w);
	world_detach(w);
	guid_world = saved;
	trace_rewind(mark);
}

static void check_state(struct cut *cut)
{
	struct finding *found = find_finding(cut->hash), finding;
	struct vhdx_image *img;

	statistics.states++;
	statistics.nested += cut->w->level;
	if (found) {
		check_data(cut, found);
		return;
	}
	statistics.unique++;
	explaining = cut;
	img = open_to_read(cut->state);
	map_places(img, &finding);
	finding.key = cut->hash;
	vhdx_image_close(img);
	explaining = NULL;
	tell_state(cut, &finding);
	check_data(cut, &finding);
	add_finding(&finding);
	if (!cut->w->level &&
	    hash_mix(cut->hash + 1) % deep_every == 0)
		check_writable(cut, &finding);
}

static void check_all(struct cut *cut)
{
	u32 i;

	for (;;) {
		check_state(cut);
		for (i = 0; i < cut->units; i++) {
			struct unit *unit = &cut->unit[i];

			if (unit->chosen + 1 < unit->options) {
				choose(cut, unit, unit->chosen + 1);
				break;
			}
			choose(cut, unit, 0);
		}
		if (i < cut->units)
			continue;
		if (cut->size + 1 == cut->w->disk.sizes)
			return;
		choose_size(cut, cut->size + 1);
	}
}

static u32 draw(struct cut *cut, u32 n)
{
	cut->random += 0x9E3779B97F4A7C15ULL;
	return hash_mix(cut->random) % n;
}

static void choose_at_random(struct cut *cut)
{
	u32 i;

	for (i = 0; i < cut->units; i++)
		choose(cut, &cut->unit[i], draw(cut, cut->unit[i].options));
	choose_size(cut, draw(cut, cut->w->disk.sizes));
}

static void check_samples(struct cut *cut)
{
	u32 i, n;

	/* All old and all new are among them. */
	check_state(cut);
	for (i = 0; i < cut->units; i++) {
		u32 c = cut->unit[i].cell[0];

		choose(cut, &cut->unit[i], cut->w->disk.cell[c].n - 1);
	}
	choose_size(cut, cut->w->disk.sizes - 1);
	check_state(cut);
	for (n = 0; n < limit_samples; n++) {
		choose_at_random(cut);
		check_state(cut);
	}
}

static void start_cut(struct cut *cut, struct world *w, const char *when)
{
	/* One for each level: a cut may be looked at inside another. */
	static struct unit *unit[2];
	static struct disk state[2];
	const struct disk *disk = &w->disk;
	u32 i;

	if (!unit[w->level]) {
		unit[w->level] = calloc(MAX_UNITS, sizeof(**unit));
		if (!unit[w->level])
			err(1, "units");
		disk_init(&state[w->level]);
	}
	memset(cut, 0, sizeof(*cut));
	cut->w = w;
	cut->when = when;
	cut->unit = unit[w->level];
	cut->state = &state[w->level];
	disk_copy(cut->state, disk);
	cut->state->sizes = 1;
	for (i = 0; i < disk->cells; i++)
		cut->state->cell[i].n = 1;
	cut->hash = hash_metadata(cut->state);
}

static void end_cut(struct cut *cut)
{
	cut->state->cells = 0;
}

static u64 hash_cut(const struct world *w)
{
	u64 hash = 0;
	u32 i, k;

	for (i = 0; i < w->disk.cells; i++) {
		const struct cell *cell = &w->disk.cell[i];

		for (k = 0; k < cell->n; k++)
			hash += hash_mix(hash_sector(cell->sector,
						     cell->v[k].id) + k);
	}
	for (i = 0; i < w->disk.sizes; i++)
		hash += hash_mix(w->disk.size[i].size + i);
	for (i = 0; i < PLACES; i++)
		for (k = 0; k < w->may[i].n; k++)
			hash += hash_mix(content_hash(w->may[i].id[k]) +
					 100 + i);
	return hash + w->level;
}

/**
 * power_cut() - the power may go now: look at all that this may leave
 * @w: the world
 * @when: what has just happened
 */
void power_cut(struct world *w, const char *when)
{
	struct cut cut;
	u64 key;

	if (w->dead || !w->check)
		return;
	key = hash_cut(w);
	if (!table_add(&seen_cuts, key))
		return;
	statistics.cuts++;
	start_cut(&cut, w, when);
	cut.random = key;
	units_of_sectors(&cut, true, true);
	if (combinations(&cut) > limit_exhaustive)
		units_of_sectors(&cut, true, false);
	if (combinations(&cut) <= limit_exhaustive) {
		check_all(&cut);
	} else {
		statistics.sampled_cuts++;
		units_of_sectors(&cut, true, true);
		check_samples(&cut);
		end_cut(&cut);
		start_cut(&cut, w, when);
		cut.random = key + 1;
		units_of_pages(&cut);
		if (combinations(&cut) <= limit_exhaustive)
			check_all(&cut);
		else
			check_samples(&cut);
	}
	end_cut(&cut);
}

/* One of those states, the data's sectors included, is all that is left. */
void collapse_to_random_state(struct world *w)
{
	struct disk *disk = &w->disk;
	struct finding finding;
	struct vhdx_image *img;
	u32 id[PLACES], i;
	struct cut cut;

	start_cut(&cut, w, "");
	cut.random = w->random + w->ops;
	units_of_sectors(&cut, true, true);
	choose_at_random(&cut);
	explain(&cut);
	for (i = 0; i < disk->cells; i++) {
		struct cell *cell = &disk->cell[i];
		u32 value = is_metadata(disk, cell->sector) ?
			cut.state->cell[i].v[0].id :
			cell->v[draw(&cut, cell->n)].id;

		if (cell->sector * SECTOR >= cut.state->size[0].size)
			value = CONTENT_ZERO;
		cell->n = 1;
		cell->v[0].id = value;
	}
	disk->size[0] = cut.state->size[0];
	disk->sizes = 1;
	end_cut(&cut);
	disk_flush(disk);

	img = open_to_read(disk);
	map_places(img, &finding);
	vhdx_image_close(img);
	read_places(disk, &finding, id);
	for (i = 0; i < PLACES; i++) {
		if (!values_have(&w->may[i], id[i]))
			violation("after a power cut block %llu sector %llu holds %s",
				  tracked_block[i / SECTORS],
				  tracked_sector[i % SECTORS], describe(id[i]));
		values_set(&w->may[i], id[i]);
		values_set(&w->live[i], id[i]);
	}
}

/* --- the first change --- */

static bool decode_slot(const struct disk *disk, unsigned int slot, u32 id,
			struct vhdx_header *header)
{
	static u8 buf[VHDX_HEADER_SIZE] __aligned(8);
	u64 sector = vhdx_header_offset(slot) / SECTOR;
	u32 i;

	memcpy(buf, content_bytes(id), SECTOR);
	for (i = 1; i < VHDX_HEADER_SIZE / SECTOR; i++)
		memcpy(buf + i * SECTOR,
		       content_bytes(disk_value(disk, sector + i)), SECTOR);
	return vhdx_header_decode(buf, header);
}

static u32 slot_options(const struct disk *disk, unsigned int slot, u32 *id)
{
	const struct cell *cell =
		disk_find(disk, vhdx_header_offset(slot) / SECTOR);

	id[0] = CONTENT_ZERO;
	return cell ? options_of_sector(cell, true, id) : 1;
}

/* FileWriteGuids that a header may have now; what counts is another. */
void note_old_guids(struct world *w)
{
	u32 id[MAX_OPTIONS], slot, n;
	struct vhdx_header header;

	w->headers_checked = 0;
	w->old_guids = 0;
	for (slot = 0; slot < 2; slot++)
		for (n = slot_options(&w->disk, slot, id); n--; )
			if (decode_slot(&w->disk, slot, id[n], &header) &&
			    w->old_guids < ARRAY_SIZE(w->old_guid))
				w->old_guid[w->old_guids++] =
					header.file_write_guid;
}

/* Two headers as a cut may leave them: does the one that counts have a new one? */
static bool has_new_guid(const struct world *w, u32 id0, u32 id1)
{
	struct vhdx_header header[2];
	bool valid[2];
	u32 i, current_slot;

	valid[0] = decode_slot(&w->disk, 0, id0, &header[0]);
	valid[1] = decode_slot(&w->disk, 1, id1, &header[1]);
	if (!valid[0] && !valid[1])
		return false;
	current_slot = !valid[0] || (valid[1] && header[1].sequence_number >
				     header[0].sequence_number);
	for (i = 0; i < w->old_guids; i++)
		if (guid_equal(&header[current_slot].file_write_guid,
			       &w->old_guid[i]))
			return false;
	return true;
}

/**
 * check_first_change() - something other than a header is about to change
 * @w: the world
 * @offset: where, bytes
 */
void check_first_change(struct world *w, u64 offset)
{
	u32 id0[MAX_OPTIONS], id1[MAX_OPTIONS], n0, n1, i, k;
	u64 key = 1;

	n0 = slot_options(&w->disk, 0, id0);
	n1 = slot_options(&w->disk, 1, id1);
	for (i = 0; i < n0; i++)
		key = hash_mix(key + content_hash(id0[i]));
	for (i = 0; i < n1; i++)
		key = hash_mix(key + content_hash(id1[i]) + 1);
	if (key == w->headers_checked)
		return;
	for (i = 0; i < n0; i++)
		for (k = 0; k < n1; k++)
			if (!has_new_guid(w, id0[i], id1[k]))
				violation("0x%llx MiB + 0x%llx: no new FileWriteGuid yet",
					  offset / MIB, offset % MIB);
	w->headers_checked = key;
}
