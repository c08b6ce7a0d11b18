// SPDX-License-Identifier: GPL-2.0
/*
 * A tree of pages, 512 slots a node and six levels deep, holds any offset of 64
 * bits. Pages that were written with zeros and nothing else share one page, so
 * that a file may have hundreds of MiB of them.
 */
#include "memfile.h"

#define SLOT_BITS	9
#define SLOTS		512
#define NODE_BYTES	(SLOTS * sizeof(void *))
#define LEVELS		6
#define PAGE_BITS	12

static const u8 zero_page[MEMFILE_PAGE];

static u32 slot_of(u64 page, int level)
{
	return (page >> (SLOT_BITS * level)) & (SLOTS - 1);
}

/* Where the page's address is kept; NULL without memory, or when not there. */
static void **find_slot(struct memfile *mf, u64 page, bool create)
{
	void **node = mf->root;
	int level;

	if (!node) {
		if (!create)
			return NULL;
		node = kzalloc(NODE_BYTES, GFP_KERNEL);
		if (!node)
			return NULL;
		mf->root = node;
	}
	for (level = LEVELS - 1; level > 0; level--) {
		void **slot = &node[slot_of(page, level)];

		if (!*slot) {
			if (!create)
				return NULL;
			*slot = kzalloc(NODE_BYTES, GFP_KERNEL);
			if (!*slot)
				return NULL;
		}
		node = *slot;
	}
	return &node[slot_of(page, 0)];
}

static u8 *page_to_write(struct memfile *mf, u64 page)
{
	void **slot = find_slot(mf, page, true);

	if (!slot)
		return NULL;
	if (!*slot || *slot == zero_page) {
		*slot = kzalloc(MEMFILE_PAGE, GFP_KERNEL);
		if (*slot)
			mf->pages++;
	}
	return *slot;
}

static void drop_page(struct memfile *mf, void **slot)
{
	if (*slot && *slot != zero_page) {
		kfree(*slot);
		mf->pages--;
	}
	*slot = NULL;
}

/* The first page >= page that is there, U64_MAX when none is. */
static u64 next_page(struct memfile *mf, u64 page)
{
	const u64 end = 1ULL << (64 - PAGE_BITS);

	while (page < end) {
		void **node = mf->root;
		int level = LEVELS;

		while (node && level > 0) {
			level--;
			node = node[slot_of(page, level)];
		}
		if (node)
			return page;
		/* Everything below this slot is absent. */
		page = ((page >> (SLOT_BITS * level)) + 1) << (SLOT_BITS * level);
	}
	return U64_MAX;
}

static int count_op(struct memfile *mf)
{
	return ++mf->ops == mf->fail_op ? mf->fail_errnum : 0;
}

static int op_read(struct vhdx_file *file, void *buf, size_t len, u64 offset)
{
	struct memfile *mf = container_of(file, struct memfile, file);
	int ret = count_op(mf);

	mf->reads++;
	mf->read_bytes += len;
	if (!ret)
		memfile_read(mf, buf, len, offset);
	return ret;
}

static int op_size(struct vhdx_file *file, u64 *size)
{
	struct memfile *mf = container_of(file, struct memfile, file);

	*size = mf->size;
	return count_op(mf);
}

static int op_next_data(struct vhdx_file *file, u64 offset, u64 *data)
{
	struct memfile *mf = container_of(file, struct memfile, file);

	*data = memfile_next_data(mf, offset);
	return count_op(mf);
}

static bool is_faulty(struct memfile *mf, const struct memfile_record *record)
{
	struct memfile_fault *fault = &mf->fault;

	if (!(fault->ops & record->op))
		return false;
	if (record->offset + max(record->length, 1ULL) <= fault->from ||
	    (fault->to && record->offset >= fault->to))
		return false;
	if (fault->skip) {
		fault->skip--;
		return false;
	}
	if (!fault->times)
		return false;
	fault->times--;
	return true;
}

/* Records an operation and tells whether it is to fail. */
static int begin_op(struct memfile *mf, enum memfile_op op, u64 offset,
		    u64 length, bool unmap)
{
	struct memfile_record record = {
		.op = op,
		.unmap = unmap,
		.offset = offset,
		.length = length,
	};

	record.ret = count_op(mf);
	if (!record.ret && is_faulty(mf, &record))
		record.ret = mf->fault.errnum;
	if (!record.ret && op == MEMFILE_ALLOCATE && offset + length > mf->room)
		record.ret = -ENOSPC;
	if (!mf->record)
		mf->record = kvcalloc(MEMFILE_RECORDS, sizeof(*mf->record),
				      GFP_KERNEL);
	if (!mf->record)
		return -ENOMEM;
	if (mf->records < MEMFILE_RECORDS)
		mf->record[mf->records] = record;
	mf->records++;
	if (mf->before)
		mf->before(mf, &record);
	return record.ret;
}

static int op_write(struct vhdx_file *file, const void *buf, size_t len,
		    u64 offset)
{
	struct memfile *mf = container_of(file, struct memfile, file);
	int ret = begin_op(mf, MEMFILE_WRITE, offset, len, false);

	/* The layer must not rely on a file that grows by being written. */
	if (!ret && offset + len > mf->size)
		ret = -EINVAL;
	return ret ? : memfile_write(mf, buf, len, offset);
}

static int op_flush(struct vhdx_file *file)
{
	struct memfile *mf = container_of(file, struct memfile, file);

	return begin_op(mf, MEMFILE_FLUSH, 0, 0, false);
}

static int op_resize(struct vhdx_file *file, u64 size)
{
	struct memfile *mf = container_of(file, struct memfile, file);
	int ret = begin_op(mf, MEMFILE_RESIZE, size, 0, false);

	if (!ret)
		memfile_resize(mf, size);
	return ret;
}

static int op_allocate(struct vhdx_file *file, u64 offset, u64 len)
{
	struct memfile *mf = container_of(file, struct memfile, file);
	int ret = begin_op(mf, MEMFILE_ALLOCATE, offset, len, false);

	if (!ret && offset + len > mf->size)
		memfile_resize(mf, offset + len);
	return ret;
}

static int op_zero(struct vhdx_file *file, u64 offset, u64 len, bool unmap)
{
	struct memfile *mf = container_of(file, struct memfile, file);
	int ret = begin_op(mf, MEMFILE_ZERO, offset, len, unmap);

	if (!ret && offset + len > mf->size)
		ret = -EINVAL;
	if (!ret)
		memfile_punch(mf, offset, len);
	return ret;
}

static int op_punch(struct vhdx_file *file, u64 offset, u64 len)
{
	return op_zero(file, offset, len, true);
}

static const struct vhdx_file_ops memfile_ops = {
	.read = op_read,
	.size = op_size,
	.next_data = op_next_data,
	.write = op_write,
	.flush = op_flush,
	.resize = op_resize,
	.allocate = op_allocate,
	.zero = op_zero,
	.punch = op_punch,
};

/**
 * memfile_init() - make an empty file
 * @mf: to be filled in
 */
void memfile_init(struct memfile *mf)
{
	memset(mf, 0, sizeof(*mf));
	mf->file.ops = &memfile_ops;
	mf->fail_errnum = -EIO;
	mf->room = U64_MAX;
}

static void free_tree(struct memfile *mf, void **node, int level)
{
	u32 i;

	for (i = 0; i < SLOTS; i++) {
		if (!level)
			drop_page(mf, &node[i]);
		else if (node[i])
			free_tree(mf, node[i], level - 1);
	}
	kfree(node);
}

/**
 * memfile_destroy() - give all memory of a file back
 * @mf: the file, empty afterwards
 */
void memfile_destroy(struct memfile *mf)
{
	if (mf->root)
		free_tree(mf, mf->root, LEVELS - 1);
	mf->root = NULL;
	mf->size = 0;
	kvfree(mf->record);
	mf->record = NULL;
	mf->records = 0;
}

/**
 * memfile_write() - write, growing the file as needed
 * @mf: the file
 * @buf: what to write
 * @len: bytes
 * @offset: bytes
 *
 * Return: 0 or -ENOMEM.
 */
int memfile_write(struct memfile *mf, const void *buf, size_t len, u64 offset)
{
	while (len) {
		u32 in_page = offset & (MEMFILE_PAGE - 1);
		size_t n = min_t(size_t, len, MEMFILE_PAGE - in_page);
		u8 *page = page_to_write(mf, offset >> PAGE_BITS);

		if (!page)
			return -ENOMEM;
		memcpy(page + in_page, buf, n);
		buf = (const u8 *)buf + n;
		len -= n;
		offset += n;
		mf->size = max(mf->size, offset);
	}
	return 0;
}

/**
 * memfile_write_zeros() - write zeros, which is not the same as leaving a hole
 * @mf: the file
 * @len: bytes, a multiple of 4 KiB
 * @offset: bytes, a multiple of 4 KiB
 *
 * Return: 0 or -ENOMEM.
 */
int memfile_write_zeros(struct memfile *mf, u64 len, u64 offset)
{
	u64 end = offset + len;

	for (; offset < end; offset += MEMFILE_PAGE) {
		void **slot = find_slot(mf, offset >> PAGE_BITS, true);

		if (!slot)
			return -ENOMEM;
		drop_page(mf, slot);
		*slot = (void *)zero_page;
	}
	mf->size = max(mf->size, end);
	return 0;
}

/**
 * memfile_read() - read, neither counted nor made to fail
 * @mf: the file
 * @buf: receives the bytes, zeros for holes and past the end
 * @len: bytes
 * @offset: bytes
 */
void memfile_read(struct memfile *mf, void *buf, size_t len, u64 offset)
{
	while (len) {
		u32 in_page = offset & (MEMFILE_PAGE - 1);
		size_t n = min_t(size_t, len, MEMFILE_PAGE - in_page);
		void **slot = find_slot(mf, offset >> PAGE_BITS, false);

		if (slot && *slot)
			memcpy(buf, *slot + in_page, n);
		else
			memset(buf, 0, n);
		buf += n;
		len -= n;
		offset += n;
	}
}

/**
 * memfile_resize() - cut the file or grow it by a hole
 * @mf: the file
 * @size: its new size in bytes
 */
void memfile_resize(struct memfile *mf, u64 size)
{
	u32 in_page = size & (MEMFILE_PAGE - 1);
	u64 page = size >> PAGE_BITS;
	void **slot;

	if (in_page && size < mf->size) {
		slot = find_slot(mf, page++, false);
		if (slot && *slot && *slot != zero_page)
			memset(*slot + in_page, 0, MEMFILE_PAGE - in_page);
	}
	while (size < mf->size && (page = next_page(mf, page)) != U64_MAX)
		drop_page(mf, find_slot(mf, page, false));
	mf->size = size;
}

/**
 * memfile_punch() - turn a range into a hole
 * @mf: the file
 * @offset: bytes
 * @len: bytes; parts of pages are zeroed
 */
void memfile_punch(struct memfile *mf, u64 offset, u64 len)
{
	u64 end = offset + len;

	while (offset < end) {
		u64 page = next_page(mf, offset >> PAGE_BITS);
		u32 in_page;
		size_t n;
		void **slot;

		if (page == U64_MAX)
			return;
		offset = max(offset, page << PAGE_BITS);
		if (offset >= end)
			return;
		in_page = offset & (MEMFILE_PAGE - 1);
		n = min_t(u64, end - offset, MEMFILE_PAGE - in_page);
		slot = find_slot(mf, page, false);
		if (n == MEMFILE_PAGE)
			drop_page(mf, slot);
		else if (*slot != zero_page)
			memset(*slot + in_page, 0, n);
		offset += n;
	}
}

/**
 * memfile_next_data() - as SEEK_DATA
 * @mf: the file
 * @offset: bytes
 *
 * Return: the first offset >= @offset that was written, or U64_MAX.
 */
u64 memfile_next_data(struct memfile *mf, u64 offset)
{
	u64 page = next_page(mf, offset >> PAGE_BITS);

	if (page == U64_MAX)
		return U64_MAX;
	offset = max(offset, page << PAGE_BITS);
	return offset < mf->size ? offset : U64_MAX;
}

/**
 * memfile_checksum() - a checksum over size, data and where the data lies
 * @mf: the file
 */
u32 memfile_checksum(struct memfile *mf)
{
	u32 crc = crc32c(~0U, &mf->size, sizeof(mf->size));
	u64 page;

	for (page = next_page(mf, 0); page != U64_MAX;
	     page = next_page(mf, page + 1)) {
		crc = crc32c(crc, &page, sizeof(page));
		crc = crc32c(crc, *find_slot(mf, page, false), MEMFILE_PAGE);
	}
	return crc;
}

/**
 * memfile_count_from_zero() - forget what was counted so far
 * @mf: the file; nothing fails any more
 */
void memfile_count_from_zero(struct memfile *mf)
{
	mf->reads = 0;
	mf->read_bytes = 0;
	mf->ops = 0;
	mf->fail_op = 0;
	mf->records = 0;
	memset(&mf->fault, 0, sizeof(mf->fault));
}

/**
 * memfile_count() - how many operations were recorded
 * @mf: the file
 * @ops: a mask of enum memfile_op: of these
 */
u32 memfile_count(const struct memfile *mf, unsigned int ops)
{
	u32 n = 0, i;

	for (i = 0; i < min(mf->records, MEMFILE_RECORDS); i++)
		n += !!(mf->record[i].op & ops);
	return n;
}

/**
 * memfile_find() - find a recorded operation
 * @mf: the file
 * @from: its number is this or more
 * @ops: a mask of enum memfile_op: one of these
 * @offset: bytes: covers this, or U64_MAX for any
 *
 * Return: the first such one, or NULL.
 */
const struct memfile_record *memfile_find(const struct memfile *mf, u32 from,
					  unsigned int ops, u64 offset)
{
	u32 i;

	for (i = from; i < min(mf->records, MEMFILE_RECORDS); i++) {
		const struct memfile_record *record = &mf->record[i];

		if (record->op & ops &&
		    (offset == U64_MAX ||
		     (offset >= record->offset &&
		      offset - record->offset < max(record->length, 1ULL))))
			return record;
	}
	return NULL;
}

static int sink_write(void *ctx, const void *buf, size_t len, u64 offset)
{
	return memfile_write(ctx, buf, len, offset);
}

static int sink_zero(void *ctx, u64 len, u64 offset)
{
	return memfile_write_zeros(ctx, len, offset);
}

static int sink_resize(void *ctx, u64 size)
{
	memfile_resize(ctx, size);
	return 0;
}

/**
 * memfile_sink() - let the builder write to a file in memory
 * @mf: the file, which must outlive the sink
 */
struct builder_sink memfile_sink(struct memfile *mf)
{
	return (struct builder_sink){ sink_write, sink_zero, sink_resize, mf };
}
