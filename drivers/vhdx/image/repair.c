// SPDX-License-Identifier: GPL-2.0
/*
 * Repairs of an image, each of what is wrong in one way only to be put right.
 *
 * What is damaged and has no second copy is not repaired, nor is anything beside
 * it: whoever wants to save such an image wants every byte as it was. The guest's
 * view stays the same, DataWriteGuid with it, and so do the links of a chain.
 *
 * A LogGuid without an entry is the one exception: the image did not open, and
 * does after it. That is no guess where nothing was ever logged under that
 * LogGuid; see VHDX_OPEN_FORGET_LOG. All else must be well. Space that nothing
 * uses is kept then, because it may be of a block that the log was to name.
 *
 * All is written by what writes an image otherwise, in its order: the headers as
 * at a first change, the log by a replay, a region table by an edit. So a power cut
 * leaves an image that is as it was, or repaired.
 */
#include "edit.h"
#include "internal.h"
#include "journal.h"
#include "repair.h"

static const char *const texts[VHDX_REPAIRS] = {
	[VHDX_REPAIR_LOG_PENDING] = "log-pending",
	[VHDX_REPAIR_LOG_EMPTY] = "log-empty",
	[VHDX_REPAIR_HEADER] = "header",
	[VHDX_REPAIR_REGION_TABLE] = "region-table",
	[VHDX_REPAIR_LEAKS] = "leaks",
};

/**
 * vhdx_repair_text() - the name of a repair for users and scripts
 * @name: which
 *
 * Context: any.
 * Return: a constant string, which stays the same in later versions.
 */
const char *vhdx_repair_text(enum vhdx_repair_name name)
{
	return texts[name];
}

/* 1: an image whose log has no entry is otherwise well, and can do without it. */
static int may_forget_log(struct vhdx_file *file, struct vhdx_error *err)
{
	struct vhdx_image *img;
	int ret;

	ret = vhdx_image_open(file, VHDX_OPEN_FORGET_LOG | VHDX_OPEN_NO_BLOCKS,
			      &img, err);
	if (ret)
		return ret == -EUCLEAN ? 0 : ret;
	vhdx_image_close(img);
	return 1;
}

/* What can be repaired where nothing is corrupt but what is named here. */
static unsigned int repairable(const struct vhdx_check *check, bool punch)
{
	const u64 *count = check->name_count;
	unsigned int mask = 0;

	if (count[VHDX_FINDING_LOG_PENDING])
		mask |= 1U << VHDX_REPAIR_LOG_PENDING;
	if (count[VHDX_FINDING_LOG_EMPTY])
		mask |= 1U << VHDX_REPAIR_LOG_EMPTY;
	/* They are of the header that is not current. */
	if (count[VHDX_FINDING_HEADER_DAMAGED] ||
	    count[VHDX_FINDING_HEADER_VERSION] ||
	    count[VHDX_FINDING_HEADER_LOG])
		mask |= 1U << VHDX_REPAIR_HEADER;
	/* Of the copy that is not gone by. */
	if (count[VHDX_FINDING_REGION_TABLE] || count[VHDX_FINDING_REGION] ||
	    count[VHDX_FINDING_REGION_CONFLICT] ||
	    count[VHDX_FINDING_REGION_MISSING])
		mask |= 1U << VHDX_REPAIR_REGION_TABLE;
	if (count[VHDX_FINDING_LEAK_TAIL] ||
	    (punch && count[VHDX_FINDING_LEAK_GAP]))
		mask |= 1U << VHDX_REPAIR_LEAKS;
	return mask;
}

static int plan(struct vhdx_file *file, const struct vhdx_check *check,
		const struct vhdx_repair *repair, unsigned int *next,
		struct vhdx_error *err)
{
	const u64 empty = check->name_count[VHDX_FINDING_LOG_EMPTY];
	unsigned int mask = repairable(check, repair->punch);
	unsigned int wanted = repair->wanted & ~repair->done;
	int ret;

	*next = 0;
	/* The last two keep an image from being written to. */
	if (check->kind_count[VHDX_KIND_CORRUPT] != empty ||
	    check->kind_count[VHDX_KIND_UNSUPPORTED] ||
	    check->name_count[VHDX_FINDING_HEADER_SEQUENCE] ||
	    max(check->file_size, check->end) > VHDX_MAX_FILE_OFFSET)
		return 0;
	if (repair->done & 1U << VHDX_REPAIR_LOG_EMPTY)
		wanted &= ~(1U << VHDX_REPAIR_LEAKS);
	if (!(mask & wanted))
		return 0;
	if (empty) {
		if (!(wanted & 1U << VHDX_REPAIR_LOG_EMPTY))
			return 0;
		ret = may_forget_log(file, err);
		if (ret <= 0)
			return ret;
	}
	/* Nothing is repaired above a log that is to be replayed. */
	*next = (mask & wanted) | (mask & VHDX_REPAIR_LOG);
	return 0;
}

/* The copy of the region table that is gone by goes where the other is. */
static int copy_region_table(struct vhdx_image *img)
{
	const u64 from = img->regions->offset;
	const u64 to = from == VHDX_REGION_TABLE_1_OFFSET ?
		       VHDX_REGION_TABLE_2_OFFSET : VHDX_REGION_TABLE_1_OFFSET;
	struct vhdx_edit *edit = NULL;
	void *buf;
	int ret;

	buf = kvmalloc(VHDX_REGION_TABLE_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = vhdx_image_read(img, buf, VHDX_REGION_TABLE_SIZE, from);
	if (!ret)
		ret = vhdx_edit_begin(img, &edit);
	if (!ret)
		ret = vhdx_edit_write(edit, to, buf, VHDX_REGION_TABLE_SIZE);
	if (!ret)
		ret = vhdx_edit_commit(edit);
	vhdx_edit_free(edit);
	kvfree(buf);
	return ret;
}

/* An open for changes that deals with a log has both headers written as well. */
static int repair_open(struct vhdx_image *img, unsigned int repairs, bool punch)
{
	struct vhdx_journal *j = img->journal;
	int ret = 0;

	if (repairs & 1U << VHDX_REPAIR_REGION_TABLE)
		ret = copy_region_table(img);
	if (!ret && repairs & 1U << VHDX_REPAIR_LEAKS)
		ret = vhdx_image_give_back(img, punch);
	if (!ret && repairs & 1U << VHDX_REPAIR_HEADER &&
	    !(repairs & VHDX_REPAIR_LOG) && !j->guids_changed)
		ret = vhdx_journal_change_guids(j, false);
	return ret ? ret : vhdx_journal_flush(j);
}

static int carry_out(struct vhdx_file *file, unsigned int repairs, bool punch,
		     struct vhdx_error *err)
{
	unsigned int flags = VHDX_OPEN_EDIT;
	struct vhdx_image *img;
	int ret;

	if (repairs & 1U << VHDX_REPAIR_LOG_EMPTY)
		flags |= VHDX_OPEN_FORGET_LOG;
	ret = vhdx_image_open(file, flags, &img, err);
	if (ret)
		return ret;
	ret = repair_open(img, repairs, punch);
	if (ret)
		vhdx_fail(err, ret, "file", NULL, 0, "cannot be repaired");
	vhdx_image_close(img);
	return ret;
}

/**
 * vhdx_image_repair() - repair what can be repaired of an image
 * @file: the image; nobody else uses it. Unless something is to be repaired it is
 *	only read
 * @repair: with the first part filled in
 * @err: filled in on failure
 *
 * Checks the image, and again after each step: a replayed log may show more.
 *
 * Context: process context, may sleep; as vhdx_image_check().
 * Return: 0, whatever was or was not repaired; or what vhdx_image_check() or the
 * file's operations answered, and then the image is whole: what was not finished is
 * as it was.
 */
int vhdx_image_repair(struct vhdx_file *file, struct vhdx_repair *repair,
		      struct vhdx_error *err)
{
	u64 leaked = 0;
	int ret;

	repair->done = 0;
	repair->freed = 0;
	for (;;) {
		struct vhdx_check check = {
			.flags = repair->flags,
			.host_bytes = repair->host_bytes,
		};
		unsigned int next;

		ret = vhdx_image_check(file, &check, err);
		if (ret)
			return ret;
		repair->freed += leaked - min(leaked, check.leaked);
		leaked = 0;
		ret = plan(file, &check, repair, &next, err);
		if (ret || !next)
			return ret;
		if (next & 1U << VHDX_REPAIR_LEAKS)
			leaked = check.leaked;
		if (repair->only_show) {
			repair->done = next;
			repair->freed = leaked;
			return 0;
		}
		ret = carry_out(file, next, repair->punch, err);
		if (ret)
			return ret;
		repair->done |= next;
	}
}
