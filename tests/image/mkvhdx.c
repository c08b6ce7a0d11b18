// SPDX-License-Identifier: GPL-2.0
/*
 * Makes images with the tests' own writer, and says whether a disk shows what
 * was put into them. See help().
 */
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "../kunit/bad_inputs.h"
#include "../kunit/builder_chain.h"

#define MIB		VHDX_MIB
#define PIECE		65536U
#define MAX_BLOCKS	4096U
/* Disks up to this size are compared from end to end. */
#define COMPARE_ALL	(1024 * MIB)
#define RANDOM_PLACES	200

enum {
	OPT_SIZE = 256,
	OPT_BLOCK,
	OPT_SECTOR,
	OPT_PHYSICAL,
	OPT_LOG,
	OPT_SEED,
	OPT_DATA,
	OPT_BLOCKS,
	OPT_STATE,
	OPT_CUT,
	OPT_FIXED,
	OPT_SHUFFLE,
	OPT_BAT_WRITTEN,
	OPT_DIFFERENCING,
	OPT_GUID,
	OPT_LINKAGE,
	OPT_PARENT,
	OPT_STALE_BITS,
	OPT_CHAIN,
	OPT_LEVEL,
	OPT_PLAIN,
	OPT_BAD,
	OPT_LIST_BAD,
	OPT_VERIFY,
	OPT_HELP,
};

static const struct option options[] = {
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "block", required_argument, NULL, OPT_BLOCK },
	{ "sector", required_argument, NULL, OPT_SECTOR },
	{ "physical", required_argument, NULL, OPT_PHYSICAL },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "data", required_argument, NULL, OPT_DATA },
	{ "blocks", required_argument, NULL, OPT_BLOCKS },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "cut", required_argument, NULL, OPT_CUT },
	{ "fixed", no_argument, NULL, OPT_FIXED },
	{ "shuffle", no_argument, NULL, OPT_SHUFFLE },
	{ "bat-written", no_argument, NULL, OPT_BAT_WRITTEN },
	{ "differencing", no_argument, NULL, OPT_DIFFERENCING },
	{ "guid", required_argument, NULL, OPT_GUID },
	{ "linkage", required_argument, NULL, OPT_LINKAGE },
	{ "parent", required_argument, NULL, OPT_PARENT },
	{ "stale-bits", no_argument, NULL, OPT_STALE_BITS },
	{ "chain", required_argument, NULL, OPT_CHAIN },
	{ "level", required_argument, NULL, OPT_LEVEL },
	{ "plain", no_argument, NULL, OPT_PLAIN },
	{ "bad", required_argument, NULL, OPT_BAD },
	{ "list-bad", no_argument, NULL, OPT_LIST_BAD },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "help", no_argument, NULL, OPT_HELP },
	{ }
};

static void help(FILE *out)
{
	fputs("usage: mkvhdx [OPTION]... FILE            makes an image\n"
	      "       mkvhdx [OPTION]... --verify DISK   is DISK what those options make?\n"
	      "       mkvhdx --chain N [--size BYTES] [--sector N] [--seed N] [--plain] DIRECTORY\n"
	      "           makes DIRECTORY/0.vhdx, and 1.vhdx to N.vhdx with a parent each;\n"
	      "           with --plain all are of one size\n"
	      "       mkvhdx --chain N ... [--level M] --verify DISK\n"
	      "           is DISK what the M-th of them shows? (the last one without M)\n"
	      "       mkvhdx --list-bad                  names of bad images\n"
	      "       mkvhdx --bad NAME FILE             makes one; prints what opening it says\n"
	      "       mkvhdx --bad NAME --verify DISK    is DISK what one that opens shows?\n"
	      "\n"
	      "  --size BYTES --block BYTES --log BYTES --cut BYTES (suffixes K, M, G, T)\n"
	      "  --sector 512|4096 --physical 512|4096 --fixed\n"
	      "  --blocks N[:STATE],...   payload blocks that are there (6) or in STATE\n"
	      "  --state STATE            of all others (default 0, with --fixed 6)\n"
	      "  --data BYTES             pattern in both ends of a block, 0: all of it\n"
	      "  --seed N --shuffle       layout, pattern and sector bitmaps\n"
	      "  --bat-written            the BAT is no hole\n"
	      "  --guid N                 DataWriteGuid, the N-th (default 1), 0: all zeros\n"
	      "  --differencing           with a parent\n"
	      "  --linkage N              which has the N-th DataWriteGuid (default 1)\n"
	      "  --parent PATH            and is there (default .\\parent.vhdx)\n"
	      "  --stale-bits             bits of blocks that they say nothing of are set\n", out);
}

static u64 parse_size(const char *text)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;
	u64 value = strtoull(text, &end, 0);

	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		value <<= 10 * (suffix - suffixes + 1);
		end++;
	}
	if (end == text || *end)
		errx(64, "%s: not a size", text);
	return value;
}

static guid_t parse_guid(const char *text)
{
	const guid_t none = { };
	u64 number = parse_size(text);

	return number ? builder_guid(number) : none;
}

static void parse_blocks(struct builder *b, struct builder_block *blocks,
			 const char *text)
{
	char *end;

	for (; *text; text = *end ? end + 1 : end) {
		struct builder_block *block = &blocks[b->blocks++];

		if (b->blocks > MAX_BLOCKS)
			errx(64, "more than %u blocks", MAX_BLOCKS);
		*block = (struct builder_block){ strtoull(text, &end, 0), 6, 0 };
		if (end != text && *end == ':')
			block->state = strtoul(end + 1, &end, 0);
		if (end == text || (*end && *end != ','))
			errx(64, "%s: not a list of blocks", text);
	}
	b->block = blocks;
}

/* --- the image, in a file --------------------------------------------------- */

static int file_write(void *ctx, const void *buf, size_t len, u64 offset)
{
	int fd = *(int *)ctx;

	while (len) {
		ssize_t n = pwrite(fd, buf, len, offset);

		if (n < 0)
			return -errno;
		buf += n;
		len -= n;
		offset += n;
	}
	return 0;
}

/* Written ones: what fallocate() makes is a hole to SEEK_DATA. */
static int file_zero(void *ctx, u64 len, u64 offset)
{
	static const u8 zeros[MIB];
	int ret = 0;

	while (!ret && len) {
		size_t n = min_t(u64, len, sizeof(zeros));

		ret = file_write(ctx, zeros, n, offset);
		len -= n;
		offset += n;
	}
	return ret;
}

static int file_resize(void *ctx, u64 size)
{
	return ftruncate(*(int *)ctx, size) ? -errno : 0;
}

static void make(const char *path, const struct builder *b, struct memfile *mf)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const struct builder_sink sink = {
		file_write, file_zero, file_resize, &fd
	};
	struct builder_layout layout;
	u8 page[MEMFILE_PAGE];
	int ret = 0;
	u64 pos;

	if (fd < 0)
		err(1, "%s", path);
	if (!mf) {
		ret = builder_build(b, &sink, &layout);
	} else {
		for (pos = memfile_next_data(mf, 0); !ret && pos != U64_MAX;
		     pos = memfile_next_data(mf, pos + sizeof(page))) {
			memfile_read(mf, page, sizeof(page), pos);
			ret = file_write(&fd, page, sizeof(page), pos);
		}
		if (!ret)
			ret = file_resize(&fd, mf->size);
	}
	if (close(fd) && !ret)
		ret = -errno;
	if (ret) {
		errno = -ret;
		err(1, "%s", path);
	}
}

/* --- bad ones ---------------------------------------------------------------- */

static const char *errno_name(int errnum)
{
	switch (-errnum) {
	case EMEDIUMTYPE:
		return "EMEDIUMTYPE";
	case EUCLEAN:
		return "EUCLEAN";
	case EOPNOTSUPP:
		return "EOPNOTSUPP";
	default:
		errx(1, "no name for error %d", -errnum);
	}
}

static void list_bad(void)
{
	const struct bad_input *row = NULL;

	while ((row = bad_input_next(row)))
		printf("%s %s%s\n", row->name,
		       row->errnum ? errno_name(row->errnum) : "opens",
		       row->prepare || row->dirty ? "" : " plain");
}

static void describe_bad(const struct bad_input *row,
			 const struct bad_image *image)
{
	if (!row->errnum) {
		puts("opens");
		return;
	}
	/* Each line can be looked for in the message. */
	printf("%s\n%s\n", errno_name(row->errnum), row->structure);
	if (row->field)
		puts(row->field);
	printf("0x%llx\n", bad_input_offset(row, image));
}

/* --- comparing ---------------------------------------------------------------- */

struct disk {
	const char *path;
	int fd;
	const struct builder *b;
	const struct bad_image *image;	/* or NULL */
};

static void expect(const struct disk *disk, void *buf, size_t len, u64 pos)
{
	if (disk->image)
		bad_input_expect(disk->image, buf, len, pos);
	else
		builder_expect(disk->b, buf, len, pos);
}

static void compare(const struct disk *disk, u64 pos, u64 len)
{
	static u8 seen[PIECE], wanted[PIECE];
	size_t i, done;
	ssize_t n;

	while (len) {
		size_t piece = min_t(u64, len, PIECE);

		for (done = 0; done < piece; done += n) {
			n = pread(disk->fd, seen + done, piece - done,
				  pos + done);
			if (n < 0)
				err(1, "%s: at %llu", disk->path, pos + done);
			if (!n)
				errx(1, "%s: ends at %llu", disk->path,
				     pos + done);
		}
		expect(disk, wanted, piece, pos);
		for (i = 0; i < piece; i++)
			if (seen[i] != wanted[i])
				errx(1, "%s: byte %llu is %02x, not %02x",
				     disk->path, pos + i, seen[i], wanted[i]);
		pos += piece;
		len -= piece;
	}
}

/* 16 KiB around a place. */
static void compare_around(const struct disk *disk, u64 pos)
{
	u64 from = pos > 8192 ? pos - 8192 : 0;

	if (from < disk->b->disk_size)
		compare(disk, from, min(16384ULL, disk->b->disk_size - from));
}

static u64 disk_size(const struct disk *disk)
{
	struct stat st;
	u64 size;

	if (fstat(disk->fd, &st))
		err(1, "%s", disk->path);
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	if (ioctl(disk->fd, BLKGETSIZE64, &size))
		err(1, "%s", disk->path);
	return size;
}

static void verify(struct disk *disk)
{
	const struct builder *b = disk->b;
	u64 random = b->seed, i;

	disk->fd = open(disk->path, O_RDONLY | O_CLOEXEC);
	if (disk->fd < 0)
		err(1, "%s", disk->path);
	if (disk_size(disk) != b->disk_size)
		errx(1, "%s: has %llu bytes, not %llu", disk->path,
		     disk_size(disk), b->disk_size);
	if (disk->image) {
		for (i = 0; i <= b->disk_size; i += b->block_size)
			compare_around(disk, i);
	} else if (b->disk_size <= COMPARE_ALL) {
		compare(disk, 0, b->disk_size);
	} else {
		compare_around(disk, 0);
		compare_around(disk, b->disk_size);
		for (i = 0; i < b->blocks; i++) {
			u64 pos = b->block[i].block * b->block_size;

			compare_around(disk, pos);
			compare_around(disk, pos + b->block_size);
		}
		for (i = 0; i < RANDOM_PLACES; i++)
			compare_around(disk, builder_random(&random) %
					     (b->disk_size / 512) * 512);
	}
	close(disk->fd);
}

static void do_bad(const char *name, const char *path, bool only_verify)
{
	const struct bad_input *row = bad_input_find(name);
	struct disk disk = { .path = path };
	static struct bad_image image;
	struct memfile mf;

	if (!row)
		errx(64, "%s: no such image", name);
	memfile_init(&mf);
	if (bad_input_make(row, &image, &mf))
		errx(1, "out of memory");
	disk.b = &image.b;
	disk.image = &image;
	if (only_verify) {
		if (row->errnum)
			errx(64, "%s: does not open", name);
		verify(&disk);
	} else {
		make(path, NULL, &mf);
		describe_bad(row, &image);
	}
	memfile_destroy(&mf);
}

static void do_chain(u32 parents, u32 top, bool plain,
		     const struct builder *b, const char *path,
		     bool only_verify)
{
	struct disk disk = { .path = path };
	struct builder_chain chain;
	char name[4096];
	u32 i;

	if (top > parents)
		errx(64, "the chain has %u parents", parents);
	if (builder_chain_init(&chain, b->seed, parents, b->disk_size,
			       b->logical_sector_size, plain))
		errx(1, "out of memory");
	if (only_verify) {
		disk.b = &chain.level[top].b;
		verify(&disk);
	} else {
		for (i = 0; i <= parents; i++) {
			snprintf(name, sizeof(name), "%s/%u.vhdx", path, i);
			make(name, &chain.level[i].b, NULL);
		}
	}
	builder_chain_free(&chain);
}

int main(int argc, char **argv)
{
	static struct builder_block blocks[MAX_BLOCKS + 1];
	struct disk disk = { 0 };
	const char *bad = NULL;
	bool only_verify = false, state_given = false, is_chain = false;
	bool plain = false;
	u32 parents = 0, top = U32_MAX;
	struct builder b;
	int opt;

	builder_init(&b);
	b.parent_linkage = builder_data_write_guid;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_SIZE:
			b.disk_size = parse_size(optarg);
			break;
		case OPT_BLOCK:
			b.block_size = parse_size(optarg);
			break;
		case OPT_SECTOR:
			b.logical_sector_size = parse_size(optarg);
			break;
		case OPT_PHYSICAL:
			b.physical_sector_size = parse_size(optarg);
			break;
		case OPT_LOG:
			b.log_length = parse_size(optarg);
			break;
		case OPT_SEED:
			b.seed = parse_size(optarg);
			break;
		case OPT_DATA:
			b.data_bytes = parse_size(optarg);
			break;
		case OPT_BLOCKS:
			parse_blocks(&b, blocks, optarg);
			break;
		case OPT_STATE:
			b.default_state = parse_size(optarg);
			state_given = true;
			break;
		case OPT_CUT:
			b.cut = parse_size(optarg);
			break;
		case OPT_FIXED:
			b.fixed = true;
			break;
		case OPT_SHUFFLE:
			b.shuffle = true;
			break;
		case OPT_BAT_WRITTEN:
			b.bat_written = true;
			break;
		case OPT_DIFFERENCING:
			b.differencing = true;
			break;
		case OPT_GUID:
			b.data_write_guid = parse_guid(optarg);
			break;
		case OPT_LINKAGE:
			b.differencing = true;
			b.parent_linkage = parse_guid(optarg);
			break;
		case OPT_PARENT:
			b.differencing = true;
			b.relative_path = optarg;
			break;
		case OPT_STALE_BITS:
			b.stale_bits = true;
			break;
		case OPT_CHAIN:
			parents = parse_size(optarg);
			is_chain = true;
			break;
		case OPT_LEVEL:
			top = parse_size(optarg);
			break;
		case OPT_PLAIN:
			plain = true;
			break;
		case OPT_BAD:
			bad = optarg;
			break;
		case OPT_LIST_BAD:
			list_bad();
			return 0;
		case OPT_VERIFY:
			only_verify = true;
			break;
		case OPT_HELP:
			help(stdout);
			return 0;
		default:
			help(stderr);
			return 64;
		}
	}
	if (optind + 1 != argc) {
		help(stderr);
		return 64;
	}
	if (b.fixed && !state_given)
		b.default_state = 6;
	if (bad) {
		do_bad(bad, argv[optind], only_verify);
	} else if (is_chain) {
		do_chain(parents, top == U32_MAX ? parents : top, plain, &b,
			 argv[optind], only_verify);
	} else if (only_verify) {
		disk.path = argv[optind];
		disk.b = &b;
		verify(&disk);
	} else {
		make(argv[optind], &b, NULL);
	}
	return 0;
}
