// SPDX-License-Identifier: GPL-2.0
/*
 * An image is a row of the table of bad inputs, which may open or not, with some
 * fields changed: to values that lie at the edge of a rule, as they were but for a
 * bit, or to anything; checksums are mostly made right again, or nothing behind
 * them would ever be reached.
 */
#include "mutate.h"

#define MIB		VHDX_MIB
#define MAX_CHANGES	4

/* Fields of a structure: so many bytes from its start are worth changing. */
static const struct place {
	enum bad_area area;
	u32 from;
	u32 span;
} places[] = {
	{ BAD_HEADERS, 0, 80 },
	{ BAD_HEADER_1, 0, 80 },
	{ BAD_HEADER_2, 0, 80 },
	{ BAD_TABLES, 0, 16 + 3 * 32 },
	{ BAD_TABLE_1, 0, 16 + 3 * 32 },
	{ BAD_TABLE_2, 0, 16 + 3 * 32 },
	{ BAD_METADATA, 0, 32 + 8 * 32 },
	{ BAD_PARAMETERS, 0, 8 },
	{ BAD_DISK_SIZE, 0, 8 },
	{ BAD_LOGICAL, 0, 4 },
	{ BAD_PHYSICAL, 0, 4 },
	{ BAD_LOCATOR, 0, 20 },
	{ BAD_LOCATOR, 20, 280 },
	{ BAD_BAT, 0, 8 * 20 },
	{ BAD_BAT, 8 * 4090, 8 * 12 },
	{ BAD_LOG, 0, 64 },
	{ BAD_LOG, 64, 4 * 32 },
	{ BAD_LOG, 4096, 64 },
	{ BAD_LOG, 4096, 4096 },
};

static u64 pick(u64 *random, u64 count)
{
	return builder_random(random) % count;
}

/* Where structures lie, how long things are, and what does not fit in a type. */
static u64 edge(u64 *random, const struct bad_image *image)
{
	const struct builder_layout *layout = &image->layout;
	const u64 values[] = {
		0, 1, 2, 3, 5, 6, 7, 8, 512, 4096, 65536, 2047, 2048,
		layout->log_offset, layout->log_length, layout->bat_offset,
		layout->bat_length, layout->metadata_offset,
		layout->metadata_length, layout->blocks_offset,
		layout->file_size, layout->file_size - MIB,
		layout->blocks_offset | 6, (layout->blocks_offset + MIB) | 7,
		layout->metadata_offset | 6, layout->file_size | 6, MIB | 6,
		1ULL << pick(random, 64), -(1ULL << pick(random, 64)),
		MIB * pick(random, 16), U32_MAX, S64_MAX, U64_MAX,
	};
	u64 value = values[pick(random, ARRAY_SIZE(values))];

	switch (pick(random, 6)) {
	case 0:
		return value + 1;
	case 1:
		return value - 1;
	default:
		return value;
	}
}

static u64 new_value(u64 *random, const struct bad_image *image, u64 old)
{
	switch (pick(random, 6)) {
	case 0:
		return builder_random(random);
	case 1:
		return old ^ 1ULL << pick(random, 64);
	case 2:
		return old + pick(random, 17) - 8;
	default:
		return edge(random, image);
	}
}

static u64 place_offset(const struct bad_image *image, enum bad_area area)
{
	const struct bad_input at = { .area = area };

	return bad_input_offset(&at, image);
}

static int change_field(u64 *random, struct bad_image *image)
{
	const struct place *place = &places[pick(random, ARRAY_SIZE(places))];
	struct bad_poke poke = { .area = place->area };
	__le64 old = 0;

	poke.bytes = 1U << pick(random, 4);
	poke.bytes = min(poke.bytes, place->span);
	poke.offset = place->from +
		      pick(random, place->span / poke.bytes) * poke.bytes;
	memfile_read(image->mf, &old, sizeof(old),
		     place_offset(image, poke.area) + poke.offset);
	poke.value = new_value(random, image, le64_to_cpu(old));
	if (!pick(random, 16))
		poke.offset |= BAD_UNSEALED;
	return bad_input_poke(image, &poke);
}

static int change_byte(u64 *random, struct bad_image *image)
{
	const struct place *place = &places[pick(random, ARRAY_SIZE(places))];
	u64 offset = place_offset(image, place->area) + pick(random, 65536);
	u8 byte = builder_random(random);

	return memfile_write(image->mf, &byte, 1, offset);
}

/**
 * mutate() - make an image
 * @number: which; the same number is always the same image
 * @image: filled in
 * @mf: an empty file, which receives it
 *
 * Return: 0 or -ENOMEM.
 */
int mutate(u64 number, struct bad_image *image, struct memfile *mf)
{
	const struct bad_input *row = NULL;
	u64 random = number * 2654435761U + 1;
	u64 rows = 0, size, i, changes;
	int ret;

	while ((row = bad_input_next(row)))
		rows++;
	for (i = pick(&random, rows) + 1; i; i--)
		row = bad_input_next(row);
	ret = bad_input_make(row, image, mf);

	changes = pick(&random, MAX_CHANGES + 1);
	for (i = 0; !ret && i < changes; i++)
		ret = pick(&random, 8) ? change_field(&random, image) :
					 change_byte(&random, image);
	/* Nothing of a file lies behind its end. */
	size = mf->size;
	if (!pick(&random, 16))
		size = pick(&random, 2) ? pick(&random, 2 * size + 1) :
					  ALIGN_DOWN(size, MIB) -
					  MIB * pick(&random, 3);
	memfile_resize(mf, min(size, 1ULL << 46));
	return ret;
}
