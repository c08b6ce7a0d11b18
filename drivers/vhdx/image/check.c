// SPDX-License-Identifier: GPL-2.0
/*
 * A check of all that an image says of itself (MS-VHDX chapter 2): what
 * vhdx_image_open() demands, in the same order and by the same functions, but
 * going on behind a problem as far as there is something to go by. What opens may
 * have notes, leaks, a log to be replayed and data past the end of the file, and
 * nothing else; what does not open has a finding that says why.
 *
 * An image is hostile. Of each name only some findings are told of, the others
 * are counted; memory is what an open of the same image takes.
 */
#include "block_map.h"
#include "check.h"
#include "internal.h"
#include "space.h"

static const char *const texts[VHDX_FINDINGS] = {
	[VHDX_FINDING_FILE_ID] = "file-id",
	[VHDX_FINDING_FILE_SHORT] = "file-short",
	[VHDX_FINDING_HEADER_DAMAGED] = "header-damaged",
	[VHDX_FINDING_HEADER_SEQUENCE] = "header-sequence",
	[VHDX_FINDING_HEADER_VERSION] = "header-version",
	[VHDX_FINDING_HEADER_LOG] = "header-log",
	[VHDX_FINDING_HEADER_IDENTICAL] = "header-identical",
	[VHDX_FINDING_HEADER_DATA_GUID] = "header-data-guid",
	[VHDX_FINDING_LOG_PENDING] = "log-pending",
	[VHDX_FINDING_LOG_EMPTY] = "log-empty",
	[VHDX_FINDING_LOG_SEQUENCE] = "log-sequence",
	[VHDX_FINDING_LOG_SIZE] = "log-size",
	[VHDX_FINDING_LOG_TARGET] = "log-target",
	[VHDX_FINDING_LOG_MISSING] = "log-missing",
	[VHDX_FINDING_REGION_TABLE] = "region-table",
	[VHDX_FINDING_REGION_TABLES_DIFFER] = "region-tables-differ",
	[VHDX_FINDING_REGION] = "region",
	[VHDX_FINDING_REGION_CONFLICT] = "region-conflict",
	[VHDX_FINDING_REGION_MISSING] = "region-missing",
	[VHDX_FINDING_REGION_UNKNOWN] = "region-unknown",
	[VHDX_FINDING_METADATA_TABLE] = "metadata-table",
	[VHDX_FINDING_ITEM] = "item",
	[VHDX_FINDING_ITEM_CONFLICT] = "item-conflict",
	[VHDX_FINDING_ITEM_MISSING] = "item-missing",
	[VHDX_FINDING_ITEM_UNKNOWN] = "item-unknown",
	[VHDX_FINDING_ITEM_VALUE] = "item-value",
	[VHDX_FINDING_SECTOR_SIZES] = "sector-sizes",
	[VHDX_FINDING_LOCATOR] = "locator",
	[VHDX_FINDING_LOCATOR_ENTRY] = "locator-entry",
	[VHDX_FINDING_BAT_SHORT] = "bat-short",
	[VHDX_FINDING_BAT_ENTRY] = "bat-entry",
	[VHDX_FINDING_BAT_OVERLAP] = "bat-overlap",
	[VHDX_FINDING_BAT_NO_BITMAP] = "bat-no-bitmap",
	[VHDX_FINDING_BAT_CUT] = "bat-cut",
	[VHDX_FINDING_BAT_OLD_STATE] = "bat-old-state",
	[VHDX_FINDING_BAT_UNUSED_OFFSET] = "bat-unused-offset",
	[VHDX_FINDING_BITMAP_PAST_END] = "bitmap-past-end",
	[VHDX_FINDING_LEAK_GAP] = "leak-gap",
	[VHDX_FINDING_LEAK_TAIL] = "leak-tail",
};

/**
 * vhdx_finding_text() - the name of a finding for users and scripts
 * @name: which
 *
 * Context: any.
 * Return: a constant string, which stays the same in later versions.
 */
const char *vhdx_finding_text(enum vhdx_finding_name name)
{
	return texts[name];
}

/**
 * struct checker - the state of a check
 * @report: of the BAT, see problem()
 * @check: the caller's
 * @img: what is known of the image so far, as at open
 * @err: what is wrong just now
 * @log_length: bytes of the log where it lies rightly, or 0
 * @spare: what is looked at is a second copy that nothing is read from: what is
 *	wrong with it is worth a note
 * @value: these items, in the order of vhdx_fixed_items[], were decoded
 */
struct checker {
	struct vhdx_report report;
	struct vhdx_check *check;
	struct vhdx_image *img;
	struct vhdx_error *err;
	u32 log_length;
	bool spare;
	bool value[VHDX_FIXED_ITEMS];
};

static void tell(struct checker *c, enum vhdx_finding_name name,
		 enum vhdx_finding_kind kind)
{
	c->check->kind_count[kind]++;
	if (c->check->name_count[name]++ < VHDX_CHECK_SHOWN && c->check->found)
		c->check->found(c->check, name, kind, c->err);
}

/*
 * What a rule has answered. 0: go on; else the check cannot: the image is not to
 * blame.
 */
static int judge(struct checker *c, enum vhdx_finding_name name, int ret)
{
	enum vhdx_finding_kind kind = VHDX_KIND_CORRUPT;

	if (ret == -EOPNOTSUPP)
		kind = VHDX_KIND_UNSUPPORTED;
	else if (ret != -EUCLEAN && ret != -EMEDIUMTYPE)
		return ret;
	tell(c, name, c->spare ? VHDX_KIND_NOTE : kind);
	return 0;
}

/* What is odd, and refused by no one who reads the image. */
static void note(struct checker *c, enum vhdx_finding_name name, int ret)
{
	if (ret)
		tell(c, name, VHDX_KIND_NOTE);
}

static int problem(struct vhdx_report *report, enum vhdx_finding_name name,
		   const struct vhdx_error *err)
{
	struct checker *c = container_of(report, struct checker, report);

	return judge(c, name, err->errnum);
}

/* --- the header section ------------------------------------------------------ */

/* 1: not a version that the rest could be understood by. */
static int check_slot(struct checker *c, unsigned int slot)
{
	const struct vhdx_headers *headers = &c->img->headers;
	const struct vhdx_header *header = &headers->slot[slot];
	const u64 offset = vhdx_header_offset(slot);
	int version, log;

	c->spare = headers->valid[!slot] &&
		   (slot != headers->current_slot || !headers->valid[slot]);
	judge(c, VHDX_FINDING_HEADER_DAMAGED,
	      vhdx_header_check_slot(headers, slot, c->err));
	if (!headers->valid[slot])
		return 0;
	version = vhdx_header_check_version(header, offset, c->err);
	judge(c, VHDX_FINDING_HEADER_VERSION, version);
	log = vhdx_header_check_log(header, offset, c->img->size, c->err);
	judge(c, VHDX_FINDING_HEADER_LOG, log);
	if (c->spare)
		return 0;
	c->log_length = log ? 0 : header->log_length;
	if (!header->log_length && !log)
		note(c, VHDX_FINDING_LOG_MISSING,
		     vhdx_fail(c->err, -EUCLEAN, "log", NULL, offset,
			       "there is none: the first change makes one"));
	return version != 0;
}

static void note_headers(struct checker *c, const u8 *buf)
{
	const struct vhdx_headers *headers = &c->img->headers;
	const unsigned int current_slot = headers->current_slot;
	const struct vhdx_header *slot = headers->slot;

	if (headers->valid[current_slot])
		note(c, VHDX_FINDING_HEADER_SEQUENCE,
		     vhdx_check_sequence_number(c->img, c->err));
	if (!headers->valid[0] || !headers->valid[1])
		return;
	if (!memcmp(buf, buf + VHDX_HEADER_SIZE, VHDX_HEADER_SIZE))
		note(c, VHDX_FINDING_HEADER_IDENTICAL,
		     vhdx_fail(c->err, -EUCLEAN, "header 2", NULL,
			       vhdx_header_offset(1),
			       "the same as header 1 to the byte"));
	else if (!guid_equal(&slot[0].data_write_guid, &slot[1].data_write_guid))
		note(c, VHDX_FINDING_HEADER_DATA_GUID,
		     vhdx_fail_guids(c->err, -EUCLEAN, "header", "DataWriteGuid",
				     vhdx_header_offset(current_slot),
				     &slot[current_slot].data_write_guid,
				     "the other header has",
				     &slot[!current_slot].data_write_guid));
}

/* What is neither by its identifier nor by a header is not an image at all. */
static int judge_headers(struct checker *c, const u8 *id, const u8 *buf)
{
	struct vhdx_headers *headers = &c->img->headers;
	struct vhdx_error id_err;
	int ret_id, ret;

	ret_id = vhdx_file_id_check(id, &id_err);
	ret = vhdx_headers_decode(buf, buf + VHDX_HEADER_SIZE, headers, c->err);
	if (!headers->valid[0] && !headers->valid[1]) {
		if (ret_id) {
			*c->err = id_err;
			return ret_id;
		}
	} else {
		judge(c, VHDX_FINDING_HEADER_SEQUENCE, ret);
	}
	if (ret_id) {
		*c->err = id_err;
		judge(c, VHDX_FINDING_FILE_ID, ret_id);
	}
	judge(c, VHDX_FINDING_FILE_SHORT,
	      vhdx_check_file_size(c->img, c->err));
	ret = check_slot(c, 0);
	ret |= check_slot(c, 1);
	c->spare = false;
	note_headers(c, buf);
	return ret;
}

/* 1: there is no use in going on. */
static int check_headers(struct checker *c)
{
	u8 *buf = kmalloc(3 * VHDX_HEADER_SIZE, GFP_KERNEL);
	static const u32 offset[] = {
		VHDX_FILE_ID_OFFSET, VHDX_HEADER_1_OFFSET, VHDX_HEADER_2_OFFSET
	};
	int ret = 0;
	u32 i;

	if (!buf)
		return vhdx_no_memory(c->err, "header section", 0);
	for (i = 0; !ret && i < ARRAY_SIZE(offset); i++) {
		ret = vhdx_image_read(c->img, buf + i * VHDX_HEADER_SIZE,
				      VHDX_HEADER_SIZE, offset[i]);
		if (ret)
			vhdx_fail(c->err, ret, "header section", NULL, offset[i],
				  "cannot be read");
	}
	if (!ret)
		ret = judge_headers(c, buf, buf + VHDX_HEADER_SIZE);
	kfree(buf);
	return ret;
}

/* --- the log ------------------------------------------------------------------- */

static void check_sequence(struct checker *c, const struct vhdx_log *log,
			   struct vhdx_log_entry *scratch)
{
	enum vhdx_finding_name name = VHDX_FINDING_LOG_SEQUENCE;
	struct vhdx_log_sequence *sequence = &c->img->log.sequence;
	struct vhdx_log_entry entry;
	u32 offset = 0;
	int ret;

	ret = vhdx_log_find_active_sequence(log, scratch, sequence, c->err);
	if (ret && !vhdx_log_find_entry(log, &offset, &entry))
		name = VHDX_FINDING_LOG_EMPTY;
	judge(c, name, ret);
}

/* Every descriptor of the active sequence by itself. */
static void check_updates(struct checker *c, const struct vhdx_log *log)
{
	const struct vhdx_log_sequence *sequence = &c->img->log.sequence;
	struct vhdx_log_entry entry = sequence->tail;
	struct vhdx_log_update update;
	u32 i, j;

	for (i = 0; i < sequence->count; i++) {
		if (i)
			vhdx_log_next_entry(log, &entry, &entry);
		for (j = 0; j < entry.descriptor_count; j++)
			judge(c, VHDX_FINDING_LOG_TARGET,
			      vhdx_log_update(log, &entry, j, &update, c->err));
		cond_resched();
	}
}

static int check_entries(struct checker *c, const struct vhdx_log *log,
			 struct vhdx_log_entry *scratch)
{
	const struct vhdx_log_entry *head = &c->img->log.sequence.head;
	u64 before;
	int ret;

	check_sequence(c, log, scratch);
	if (!c->img->log.sequence.count)
		return 0;
	before = c->check->kind_count[VHDX_KIND_CORRUPT];
	judge(c, VHDX_FINDING_LOG_SIZE,
	      vhdx_replay_check_flushed(c->img, log, head, c->err));
	judge(c, VHDX_FINDING_LOG_SIZE,
	      vhdx_replay_check_last(log, head, c->err));
	check_updates(c, log);
	if (c->check->kind_count[VHDX_KIND_CORRUPT] != before)
		return 0;
	ret = judge(c, VHDX_FINDING_LOG_TARGET,
		    vhdx_replay_lay(c->img, log, c->err));
	if (ret || c->check->kind_count[VHDX_KIND_CORRUPT] != before)
		return ret;
	vhdx_fail_value(c->err, -EUCLEAN, "log", "entries", log->file_offset,
			c->img->log.sequence.count, "to be replayed");
	tell(c, VHDX_FINDING_LOG_PENDING, VHDX_KIND_LOG);
	return 0;
}

/*
 * Of a log that cannot be replayed nothing is laid over the file: what follows is
 * then as it lies there.
 */
static int check_log(struct checker *c)
{
	struct vhdx_log_entry *scratch;
	struct vhdx_log log;
	int ret;

	if (!c->log_length || guid_is_null(&vhdx_image_header(c->img)->log_guid))
		return 0;
	ret = vhdx_replay_read_log(c->img, &log, &scratch, c->err);
	if (ret)
		return ret;
	ret = check_entries(c, &log, scratch);
	kvfree(scratch);
	if (!c->img->overlay)
		kvfree(log.buf);
	return ret;
}

/* --- regions --------------------------------------------------------------------- */

static int region_place(const struct checker *c,
			const struct vhdx_region_table *table, u32 i)
{
	return vhdx_region_check(table, i, vhdx_image_header(c->img)->log_offset,
				 c->log_length, c->img->size, c->err);
}

static void judge_table(struct checker *c, const u8 *buf, unsigned int which,
			struct vhdx_region_table *table)
{
	int ret;
	u32 i;

	ret = vhdx_region_table_read(buf, which, table, c->err);
	judge(c, VHDX_FINDING_REGION_TABLE, ret);
	if (ret)
		return;
	for (i = 0; i < table->count; i++) {
		judge(c, VHDX_FINDING_REGION, region_place(c, table, i));
		judge(c, VHDX_FINDING_REGION_CONFLICT,
		      vhdx_region_check_pairs(table, i, c->err));
		judge(c, VHDX_FINDING_REGION_UNKNOWN,
		      vhdx_region_check_known(table, i, c->err));
		cond_resched();
	}
	judge(c, VHDX_FINDING_REGION_MISSING,
	      vhdx_region_check_present(table, &vhdx_guid_bat_region, c->err));
	judge(c, VHDX_FINDING_REGION_MISSING,
	      vhdx_region_check_present(table, &vhdx_guid_metadata_region,
					c->err));
}

/* NULL: there is none, or not where it may be. */
static const struct vhdx_region *usable_region(const struct checker *c,
					       const guid_t *guid)
{
	const struct vhdx_region_table *table = c->img->regions;
	const struct vhdx_region *region = vhdx_region_find(table, guid);

	if (!region || region_place(c, table, region - table->region))
		return NULL;
	return region;
}

/*
 * Judges the copy that an open would go by, or both where none is whole; then the
 * first that has the right checksum is gone by.
 */
static void judge_tables(struct checker *c, const u8 *buf,
			 struct vhdx_region_table *spare)
{
	const u8 *copy[2] = { buf, buf + VHDX_REGION_TABLE_SIZE };
	struct vhdx_region_table *table = c->img->regions;
	unsigned int used, i;
	int ret;

	ret = vhdx_region_tables_decode(copy[0], copy[1],
					vhdx_image_header(c->img)->log_offset,
					c->log_length, c->img->size, table,
					c->err);
	if (ret == -EUCLEAN) {
		used = table->table_valid[0] ? 0 : 1;
		vhdx_region_table_read(copy[used], used, table, c->err);
	} else {
		used = table->table - 1;
	}
	for (i = 0; i < 2; i++) {
		c->spare = ret != -EUCLEAN && i != used;
		judge_table(c, copy[i], i, spare);
	}
	c->spare = false;
	if (table->table_valid[0] && table->table_valid[1] &&
	    memcmp(copy[0], copy[1], VHDX_REGION_TABLE_SIZE))
		note(c, VHDX_FINDING_REGION_TABLES_DIFFER,
		     vhdx_fail(c->err, -EUCLEAN, "region table 2", NULL,
			       VHDX_REGION_TABLE_2_OFFSET,
			       "not the same as region table 1"));
	if (!table->table_valid[used])
		table->count = 0;
}

/* What lies where it may is in use; the others have been told of. */
static int claim_structures(struct checker *c)
{
	const struct vhdx_header *header = vhdx_image_header(c->img);
	const struct vhdx_region_table *table = c->img->regions;
	struct vhdx_space *space = c->img->space;
	int ret;
	u32 i;

	ret = vhdx_space_claim(space, 0, VHDX_HEADER_SECTION_SIZE, GFP_KERNEL);
	if (!ret && c->log_length)
		ret = vhdx_space_claim(space, header->log_offset, c->log_length,
				       GFP_KERNEL);
	for (i = 0; ret != -ENOMEM && i < table->count; i++) {
		if (!region_place(c, table, i))
			ret = vhdx_space_claim(space, table->region[i].file_offset,
					       table->region[i].length,
					       GFP_KERNEL);
	}
	return ret == -ENOMEM ? vhdx_no_memory(c->err, "region table",
					       table->offset) : 0;
}

static int check_regions(struct checker *c)
{
	struct vhdx_image *img = c->img;
	struct vhdx_region_table *spare;
	u8 *buf;
	int ret;

	img->space = vhdx_space_create(VHDX_MAX_FILE_OFFSET +
				       VHDX_MAX_BLOCK_SIZE);
	img->regions = kvzalloc(sizeof(*img->regions), GFP_KERNEL);
	spare = kvzalloc(sizeof(*spare), GFP_KERNEL);
	buf = kvmalloc(2 * VHDX_REGION_TABLE_SIZE, GFP_KERNEL);
	if (!img->space || !img->regions || !spare || !buf) {
		ret = vhdx_no_memory(c->err, "region table",
				     VHDX_REGION_TABLE_1_OFFSET);
		goto out;
	}
	ret = vhdx_image_read(img, buf, 2 * VHDX_REGION_TABLE_SIZE,
			      VHDX_REGION_TABLE_1_OFFSET);
	if (ret) {
		vhdx_fail(c->err, ret, "region table", NULL,
			  VHDX_REGION_TABLE_1_OFFSET, "cannot be read");
		goto out;
	}
	judge_tables(c, buf, spare);
	img->bat_region = usable_region(c, &vhdx_guid_bat_region);
	img->metadata_region = usable_region(c, &vhdx_guid_metadata_region);
	ret = claim_structures(c);
out:
	kvfree(buf);
	kvfree(spare);
	return ret;
}

/* --- metadata ---------------------------------------------------------------------- */

static bool item_is_usable(const struct checker *c,
			   const struct vhdx_metadata_item *item)
{
	const struct vhdx_region *region = c->img->metadata_region;

	return item &&
	       !vhdx_metadata_item_check(c->img->metadata_table,
					 item - c->img->metadata_table->item,
					 region->file_offset, region->length,
					 c->err);
}

static void check_items(struct checker *c)
{
	const struct vhdx_metadata_table *table = c->img->metadata_table;
	const struct vhdx_region *region = c->img->metadata_region;
	u32 i;

	for (i = 0; i < table->count; i++) {
		judge(c, VHDX_FINDING_ITEM,
		      vhdx_metadata_item_check(table, i, region->file_offset,
					       region->length, c->err));
		judge(c, VHDX_FINDING_ITEM_CONFLICT,
		      vhdx_metadata_item_check_pairs(table, i,
						     region->file_offset,
						     c->err));
		judge(c, VHDX_FINDING_ITEM_UNKNOWN,
		      vhdx_metadata_item_check_known(table, i,
						     region->file_offset,
						     c->err));
		cond_resched();
	}
	for (i = 0; i < VHDX_FIXED_ITEMS; i++)
		judge(c, VHDX_FINDING_ITEM_MISSING,
		      vhdx_metadata_check_present(table, vhdx_fixed_items[i],
						  region->file_offset, c->err));
}

static int check_value(struct checker *c, u32 i)
{
	const struct vhdx_metadata_item *item =
		vhdx_metadata_find(c->img->metadata_table, vhdx_fixed_items[i]);
	u8 buf[VHDX_METADATA_FIXED_ITEM_SIZE];
	int ret;

	if (!item_is_usable(c, item))
		return 0;
	ret = vhdx_metadata_read_item(c->img, item, buf,
				      min_t(u32, item->length, sizeof(buf)),
				      c->err);
	if (ret)
		return ret;
	ret = vhdx_metadata_item_decode(item, buf,
					c->img->metadata_region->file_offset,
					&c->img->metadata, c->err);
	c->value[i] = !ret;
	return judge(c, VHDX_FINDING_ITEM_VALUE, ret);
}

static int check_locator(struct checker *c)
{
	struct vhdx_image *img = c->img;
	const struct vhdx_metadata_item *item =
		vhdx_metadata_find(img->metadata_table,
				   &vhdx_guid_parent_locator);
	u64 before, offset;
	u32 i;
	int ret;

	if (!item_is_usable(c, item))
		return 0;
	offset = img->metadata_region->file_offset + item->offset;
	img->locator_item = kvmalloc(max(item->length, 1U), VHDX_GFP_SIZED);
	if (!img->locator_item)
		return vhdx_no_memory(c->err, "parent locator", offset);
	ret = vhdx_metadata_read_item(img, item, img->locator_item,
				      item->length, c->err);
	if (ret)
		return ret;
	before = c->check->name_count[VHDX_FINDING_LOCATOR_ENTRY];
	ret = vhdx_locator_read(img->locator_item, item->length, offset,
				&img->locator, c->err);
	judge(c, VHDX_FINDING_LOCATOR, ret);
	for (i = 0; i < img->locator.count; i++)
		judge(c, VHDX_FINDING_LOCATOR_ENTRY,
		      vhdx_locator_check_entry(&img->locator, i, offset, c->err));
	/* Keys are looked for in entries that are all right. */
	if (ret || c->check->name_count[VHDX_FINDING_LOCATOR_ENTRY] != before)
		return 0;
	judge(c, VHDX_FINDING_LOCATOR,
	      vhdx_locator_check_linkage(&img->locator, offset, c->err));
	judge(c, VHDX_FINDING_LOCATOR,
	      vhdx_locator_check_paths(&img->locator, offset, c->err));
	return 0;
}

static int check_values(struct checker *c)
{
	const struct vhdx_metadata_table *table = c->img->metadata_table;
	const struct vhdx_metadata *metadata = &c->img->metadata;
	const u64 region = c->img->metadata_region->file_offset;
	int ret = 0;
	u32 i;

	for (i = 0; !ret && i < VHDX_FIXED_ITEMS; i++)
		ret = check_value(c, i);
	if (ret)
		return ret;
	if (c->value[VHDX_ITEM_DISK_SIZE] && c->value[VHDX_ITEM_LOGICAL])
		judge(c, VHDX_FINDING_ITEM_VALUE,
		      vhdx_metadata_check_size(metadata, table, region, c->err));
	if (c->value[VHDX_ITEM_LOGICAL] && c->value[VHDX_ITEM_PHYSICAL] &&
	    metadata->physical_sector_size < metadata->logical_sector_size)
		note(c, VHDX_FINDING_SECTOR_SIZES,
		     vhdx_fail_value(c->err, -EUCLEAN, "metadata table",
				     "physical sector size", region,
				     metadata->physical_sector_size,
				     "less than the logical one"));
	if (!c->value[VHDX_ITEM_PARAMETERS] || !metadata->has_parent)
		return 0;
	judge(c, VHDX_FINDING_ITEM_MISSING,
	      vhdx_metadata_check_parent(metadata, table, region, c->err));
	return check_locator(c);
}

static int check_metadata(struct checker *c)
{
	const struct vhdx_region *region = c->img->metadata_region;
	struct vhdx_metadata_table *table;
	u8 *buf = NULL;
	int ret;

	if (!region)
		return 0;
	table = kvzalloc(sizeof(*table), GFP_KERNEL);
	c->img->metadata_table = table;
	buf = kvmalloc(VHDX_METADATA_TABLE_SIZE, GFP_KERNEL);
	if (!table || !buf) {
		ret = vhdx_no_memory(c->err, "metadata table",
				     region->file_offset);
		goto out;
	}
	ret = vhdx_image_read(c->img, buf, VHDX_METADATA_TABLE_SIZE,
			      region->file_offset);
	if (ret) {
		vhdx_fail(c->err, ret, "metadata table", NULL,
			  region->file_offset, "cannot be read");
		goto out;
	}
	ret = vhdx_metadata_table_read(buf, region->file_offset, table, c->err);
	judge(c, VHDX_FINDING_METADATA_TABLE, ret);
	if (ret) {
		ret = 0;
		goto out;
	}
	check_items(c);
	ret = check_values(c);
out:
	kvfree(buf);
	return ret;
}

/* --- the BAT and what it leads to ---------------------------------------------------- */

/* What a writer may have left, and no one reads. */
static void note_entry(struct checker *c, u64 index, u64 entry)
{
	const struct vhdx_image *img = c->img;
	const bool bitmap = vhdx_bat_index_is_bitmap(&img->geometry, index);
	const u64 offset = img->bat_region->file_offset + index * sizeof(__le64);
	const char *name = bitmap ? "sector bitmap BAT entry" :
				    "payload BAT entry";

	if (!bitmap && vhdx_bat_state(entry) == VHDX_PAYLOAD_UNMAPPED_V095)
		note(c, VHDX_FINDING_BAT_OLD_STATE,
		     vhdx_fail_value(c->err, -EUCLEAN, name, "State", offset,
				     entry,
				     "of format 0.95, taken for an unmapped block"));
	if (vhdx_bat_offset(entry) && !vhdx_bat_entry_has_space(entry))
		note(c, VHDX_FINDING_BAT_UNUSED_OFFSET,
		     vhdx_fail_value(c->err, -EUCLEAN, name, "FileOffsetMB",
				     offset, entry,
				     "an offset in a state that has none: ignored"));
}

static void note_entries(struct checker *c)
{
	const struct vhdx_geometry *geo = &c->img->geometry;
	const u64 entries = min_t(u64, geo->bat_entries,
				  c->img->bat_region->length / sizeof(__le64));
	u64 index, entry;

	for (index = 0; index < entries; ) {
		index = vhdx_block_map_next(c->img->map, index);
		if (index >= entries)
			break;
		entry = vhdx_block_map_entry(c->img->map, index);
		if (!vhdx_bat_entry_check(geo, index, entry, 0, U64_MAX, c->err))
			note_entry(c, index, entry);
		index++;
	}
}

/* The bits behind the end of the disk stand for no sector. */
static int check_last_bitmap(struct checker *c)
{
	const struct vhdx_image *img = c->img;
	const struct vhdx_geometry *geo = &img->geometry;
	const u64 index = vhdx_bat_bitmap_index(geo, geo->chunks - 1);
	const u64 sectors = (geo->disk_size >> geo->sector_shift) &
			    ((1ULL << VHDX_SECTORS_PER_CHUNK_SHIFT) - 1);
	u64 entry, bit;
	u8 *buf;
	int ret;

	if (!geo->has_parent || !sectors ||
	    c->check->name_count[VHDX_FINDING_BAT_SHORT])
		return 0;
	entry = vhdx_block_map_entry(img->map, index);
	if (vhdx_bat_state(entry) != VHDX_BITMAP_PRESENT ||
	    vhdx_bat_entry_check(geo, index, entry, 0, img->size, c->err))
		return 0;
	buf = kvmalloc(VHDX_BITMAP_BLOCK_SIZE, GFP_KERNEL);
	if (!buf)
		return vhdx_no_memory(c->err, "sector bitmap block",
				      vhdx_bat_offset(entry));
	ret = vhdx_image_read(img, buf, VHDX_BITMAP_BLOCK_SIZE,
			      vhdx_bat_offset(entry));
	if (ret) {
		vhdx_fail(c->err, ret, "sector bitmap block", NULL,
			  vhdx_bat_offset(entry), "cannot be read");
	} else {
		bit = find_next_bit_le(buf, 1UL << VHDX_SECTORS_PER_CHUNK_SHIFT,
				       sectors);
		if (bit < 1UL << VHDX_SECTORS_PER_CHUNK_SHIFT)
			note(c, VHDX_FINDING_BITMAP_PAST_END,
			     vhdx_fail_value(c->err, -EUCLEAN,
					     "sector bitmap block", "bit",
					     vhdx_bat_offset(entry) + bit / 8,
					     bit,
					     "set for a sector past the end of the disk"));
	}
	kvfree(buf);
	return ret;
}

static void leak(struct checker *c, enum vhdx_finding_name name, u64 offset,
		 u64 length, const char *reason)
{
	c->check->leaked += length;
	vhdx_fail_value(c->err, -EUCLEAN, "file", "length", offset, length,
			reason);
	tell(c, name, VHDX_KIND_LEAK);
}

/* The next MiB from @pos on that nothing uses and is no hole, or U64_MAX. */
static int next_leaked_mib(const struct vhdx_image *img, u64 pos, u64 end,
			   u64 *found, struct vhdx_error *err)
{
	u64 data;
	int ret;

	for (; pos < end; pos = *found) {
		ret = vhdx_image_next_data(img, pos, &data);
		if (ret)
			return vhdx_fail(err, ret, "file", NULL, pos,
					 "cannot be searched for data");
		if (data >= end)
			break;
		data = ALIGN_DOWN(data, VHDX_MIB);
		*found = vhdx_space_find_gap(img->space, data, end, VHDX_MIB);
		if (*found == data)
			return 0;
		cond_resched();
	}
	*found = U64_MAX;
	return 0;
}

/**
 * vhdx_leak_next() - find space that nothing uses
 * @img: with all that is used claimed in its space
 * @pos: where to begin, bytes from the start of the file, a multiple of 1 MiB
 * @end: where to end; at most the file's size
 * @from: receives the start of the next such run, or U64_MAX
 * @to: receives its end
 * @err: filled in on failure
 *
 * What is a hole takes no space, and is none.
 *
 * Context: process context, may sleep.
 * Return: 0 or what the file's next_data answered.
 */
int vhdx_leak_next(const struct vhdx_image *img, u64 pos, u64 end, u64 *from,
		   u64 *to, struct vhdx_error *err)
{
	u64 next;
	int ret;

	ret = next_leaked_mib(img, pos, end, from, err);
	*to = next = *from;
	while (!ret && next == *to && next != U64_MAX) {
		*to += VHDX_MIB;
		ret = next_leaked_mib(img, *to, end, &next, err);
	}
	return ret;
}

static int check_leaks(struct checker *c)
{
	const u64 end = c->check->end;
	u64 from, to = 0;
	int ret;

	for (;;) {
		ret = vhdx_leak_next(c->img, to, min(end, c->img->file_size),
				     &from, &to, c->err);
		if (ret || from == U64_MAX)
			break;
		leak(c, VHDX_FINDING_LEAK_GAP, from, to - from,
		     "space between the blocks that nothing uses");
	}
	if (ret || c->check->flags & VHDX_CHECK_FIXED_SIZE ||
	    c->img->file_size < end + VHDX_MIB)
		return ret;
	ret = vhdx_image_next_data(c->img, end, &from);
	if (ret)
		return vhdx_fail(c->err, ret, "file", NULL, end,
				 "cannot be searched for data");
	/* Space that was only allocated is a hole as well, to who looks for data. */
	if (from < c->img->file_size || c->check->host_bytes >= end + VHDX_MIB)
		leak(c, VHDX_FINDING_LEAK_TAIL, end, c->img->file_size - end,
		     "space at the end of the file that nothing uses");
	return 0;
}

static int check_bat(struct checker *c)
{
	struct vhdx_image *img = c->img;
	struct vhdx_check *check = c->check;
	int ret;

	if (!img->bat_region || !c->value[VHDX_ITEM_PARAMETERS] ||
	    !c->value[VHDX_ITEM_DISK_SIZE] || !c->value[VHDX_ITEM_LOGICAL])
		return 0;
	vhdx_geometry_init(&img->geometry, &img->metadata);
	ret = vhdx_block_map_load(img, img->space, &c->report, c->err);
	if (ret)
		return ret;
	note_entries(c);
	ret = check_last_bitmap(c);
	if (ret)
		return ret;
	check->has_blocks = true;
	check->payload_blocks = img->geometry.payload_blocks;
	check->block_size = img->metadata.block_size;
	check->present_blocks = vhdx_image_allocated(img) >>
				img->geometry.block_shift;
	check->end = vhdx_space_end(img->space);
	/*
	 * What a damaged structure has lost is not for giving away; and a fixed
	 * image has its space, used or not.
	 */
	if (check->kind_count[VHDX_KIND_CORRUPT] ||
	    check->kind_count[VHDX_KIND_UNSUPPORTED] ||
	    (img->metadata.leave_blocks_allocated && !img->metadata.has_parent))
		return 0;
	return check_leaks(c);
}

static int check_image(struct checker *c)
{
	struct vhdx_image *img = c->img;
	int ret;

	ret = img->file->ops->size(img->file, &img->file_size);
	if (ret)
		return vhdx_fail(c->err, ret, "file", NULL, 0,
				 "its size cannot be found");
	img->size = min_t(u64, img->file_size, VHDX_MAX_FILE_OFFSET);
	c->check->file_size = img->file_size;

	ret = check_headers(c);
	if (!ret)
		ret = check_log(c);
	if (!ret)
		ret = check_regions(c);
	if (!ret)
		ret = check_metadata(c);
	if (!ret)
		ret = check_bat(c);
	c->check->has_parent = img->metadata.has_parent;
	return ret < 0 ? ret : 0;
}

/**
 * vhdx_image_check() - find all that is wrong with an image
 * @file: the image; only read
 * @check: with the first part filled in, and the rest zero
 * @err: filled in on failure
 *
 * Context: process context, may sleep. Seconds for a BAT of hundreds of MiB.
 * Return: 0: it was checked, whatever was found; -EMEDIUMTYPE: it is no VHDX
 * file; -E2BIG, -ENOMEM, -EINTR, or what the file's operations answered: it
 * could not be checked to the end.
 */
int vhdx_image_check(struct vhdx_file *file, struct vhdx_check *check,
		     struct vhdx_error *err)
{
	struct checker c = {
		.report.problem = problem,
		.check = check,
		.err = err,
	};
	int ret;

	memset(err, 0, sizeof(*err));
	c.img = kzalloc(sizeof(*c.img), GFP_KERNEL);
	if (!c.img)
		return vhdx_no_memory(err, "file", 0);
	c.img->file = file;
	ret = check_image(&c);
	vhdx_image_close(c.img);
	return ret;
}
