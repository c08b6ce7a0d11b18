// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>

#include "message.h"
#include "progress.h"
#include "source.h"
#include "text.h"
#include "vhdxctl.h"

#define BUFFER_SIZE	0x100000U

/* As of cmp, diff and qemu-img. */
enum {
	EXIT_SAME,
	EXIT_DIFFERENT,
	EXIT_TROUBLE,
};

/**
 * struct request - what is compared
 * @path: of the two
 * @options: how each is to be opened
 * @strict: disks of different sizes are different
 * @quiet: say nothing but errors
 */
struct request {
	const char *path[2];
	struct source_options options[2];
	bool strict;
	bool quiet;
};

/**
 * struct comparison - the two disks side by side
 * @source: the disks
 * @piece: of each, what is at the place
 * @buf: for the data of each
 */
struct comparison {
	struct source source[2];
	struct source_piece piece[2];
	u8 *buf[2];
};

static int answer(const struct request *request, u64 offset)
{
	if (!request->quiet)
		printf("the disks differ at offset %llu\n",
		       (unsigned long long)offset);
	return EXIT_DIFFERENT;
}

/* Neither need be read, as from an image and its child. */
static bool is_same_place(const struct source_piece *piece)
{
	const struct stat *a, *b;

	if (!piece[0].data && !piece[1].data)
		return true;
	if (!piece[0].data || !piece[1].data ||
	    piece[0].offset != piece[1].offset)
		return false;
	a = &piece[0].file->stat;
	b = &piece[1].file->stat;
	return S_ISREG(a->st_mode) && a->st_dev == b->st_dev &&
	       a->st_ino == b->st_ino;
}

static int read_piece(struct comparison *c, int i, u64 skip, size_t length)
{
	if (!c->piece[i].data) {
		memset(c->buf[i], 0, length);
		return 0;
	}
	progress_add(length);
	return source_read(&c->source[i], &c->piece[i], c->buf[i], skip, length);
}

/* The first byte that differs; @length where none does. */
static size_t find_difference(const u8 *a, const u8 *b, size_t length)
{
	size_t i = 0;

	if (!memcmp(a, b, length))
		return length;
	while (a[i] == b[i])
		i++;
	return i;
}

/* An exit code; -1: the same so far. */
static int compare_pieces(const struct request *request, struct comparison *c,
			  u64 pos, u64 length)
{
	if (is_same_place(c->piece))
		return -1;
	for (u64 done = 0, n; done < length; done += n) {
		size_t same;

		n = min_t(u64, length - done, BUFFER_SIZE);
		if (read_piece(c, 0, done, n) || read_piece(c, 1, done, n))
			return EXIT_TROUBLE;
		same = find_difference(c->buf[0], c->buf[1], n);
		if (same < n)
			return answer(request, pos + done + same);
	}
	return -1;
}

/* Past its end a disk is compared as if zeros followed. */
static int next_piece(struct comparison *c, int i, u64 pos, u64 length)
{
	u64 size = c->source[i].size;

	if (pos < size)
		return source_next(&c->source[i], pos, min(length, size - pos),
				   &c->piece[i]);
	c->piece[i] = (struct source_piece){ .length = length };
	return 0;
}

static int compare_all(const struct request *request, struct comparison *c)
{
	u64 size = max(c->source[0].size, c->source[1].size);
	u64 length;

	for (u64 pos = 0; pos < size; pos += length) {
		int code;

		if (next_piece(c, 0, pos, size - pos) ||
		    next_piece(c, 1, pos, size - pos))
			return EXIT_TROUBLE;
		length = min(c->piece[0].length, c->piece[1].length);
		code = compare_pieces(request, c, pos, length);
		if (code >= 0)
			return code;
	}
	if (!request->quiet)
		puts("the disks are the same");
	return EXIT_SAME;
}

/* An exit code; -1: there is more to compare. */
static int compare_sizes(const struct request *request,
			 const struct comparison *c)
{
	if (c->source[0].size == c->source[1].size)
		return -1;
	if (!request->strict) {
		if (!request->quiet)
			message_warn(request->path[1],
				     "%llu bytes, the other disk %llu",
				     (unsigned long long)c->source[1].size,
				     (unsigned long long)c->source[0].size);
		return -1;
	}
	if (!request->quiet)
		printf("the disks have %llu and %llu bytes\n",
		       (unsigned long long)c->source[0].size,
		       (unsigned long long)c->source[1].size);
	return EXIT_DIFFERENT;
}

static int compare_contents(const struct request *request, struct comparison *c)
{
	u64 bytes[2];
	int code;

	if (source_sum(&c->source[0], &bytes[0]) ||
	    source_sum(&c->source[1], &bytes[1]))
		return EXIT_TROUBLE;
	for (int i = 0; i < 2; i++)
		c->buf[i] = text_memory(malloc(BUFFER_SIZE));
	progress_begin(request->path[1], bytes[0] + bytes[1], request->quiet);
	code = compare_all(request, c);
	progress_end();
	for (int i = 0; i < 2; i++)
		free(c->buf[i]);
	return code;
}

static int compare(const struct request *request)
{
	struct comparison c = { };
	int code = EXIT_TROUBLE;

	if (!source_open(&c.source[0], request->path[0], &request->options[0])) {
		if (!source_open(&c.source[1], request->path[1],
				 &request->options[1])) {
			code = compare_sizes(request, &c);
			if (code < 0)
				code = compare_contents(request, &c);
		}
		source_close(&c.source[1]);
	}
	source_close(&c.source[0]);
	return code;
}

static int parse(struct request *request, int argc, char **argv)
{
	enum { OPTION_PARENT_DIR = 256, OPTION_STRICT };
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' },
		{ "second-format", required_argument, NULL, 'F' },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "quiet", no_argument, NULL, 'q' },
		{ "strict", no_argument, NULL, OPTION_STRICT },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int code = 0;
	int c;

	while (!code && (c = getopt_long(argc, argv, "f:F:qh", options, NULL)) !=
				-1) {
		switch (c) {
		case OPTION_PARENT_DIR:
			chain_option_folder(&request->options[0].parents, optarg);
			chain_option_folder(&request->options[1].parents, optarg);
			break;
		case OPTION_STRICT:
			request->strict = true;
			break;
		case 'f':
		case 'F':
			code = source_parse_format("compare", optarg,
						   &request->options[c == 'F'].format);
			break;
		case 'q':
			request->quiet = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_compare);
		default:
			return vhdxctl_usage(&vhdxctl_compare);
		}
	}
	if (code)
		return code;
	if (argc - optind != 2) {
		message_fail(EX_USAGE, NULL, "compare: two disks are compared");
		return vhdxctl_usage(&vhdxctl_compare);
	}
	request->path[0] = argv[optind];
	request->path[1] = argv[optind + 1];
	return 0;
}

static int run(int argc, char **argv)
{
	struct request request = {
		.options[0].parents.no_parent = true,
		.options[1].parents.no_parent = true,
		.options[1].format_option = "-F",
	};
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	if (!code && request.path[0])
		code = compare(&request);
	chain_options_free(&request.options[0].parents);
	chain_options_free(&request.options[1].parents);
	return code;
}

const struct vhdxctl_command vhdxctl_compare = {
	.name = "compare",
	.synopsis = "[OPTION]... A B",
	.summary = "Say whether two disks hold the same, whatever their formats",
	.help = "Each is a VHDX image with its parents, a VHD, a raw file or a block device. The\n"
		"exit code is 0 when they are the same, 1 when not, 2 when that is not known.\n"
		"A disk that is longer is the same where zeros follow.\n"
		"\n"
		"  -f, --format FORMAT    of A: raw, vhd or vhdx; default: what it looks like\n"
		"  -F, --second-format FORMAT\n"
		"                         of B\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n"
		"      --strict           disks of different sizes are different\n"
		"  -q, --quiet            only the exit code\n",
	.trouble = EXIT_TROUBLE,
	.run = run,
};
