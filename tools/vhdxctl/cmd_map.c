// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#include "document.h"
#include "info.h"
#include "message.h"
#include "source.h"
#include "text.h"
#include "vhdxctl.h"

#define SCHEMA	1

/**
 * struct request - what the user wants to see
 * @path: of the image
 * @options: how to open it
 * @chain: with its parents
 * @json: as JSON
 * @noheadings: without headings
 * @raw: for other programs
 */
struct request {
	const char *path;
	struct source_options options;
	bool chain;
	bool json;
	bool noheadings;
	bool raw;
};

/**
 * struct output - where the extents go
 * @source: the disk
 * @array: JSON; or
 * @table: columns
 */
struct output {
	struct source *source;
	struct json_object *array;
	struct libscols_table *table;
};

static const char *const columns[] = {
	"START", "LENGTH", "TYPE", "DEPTH", "STATE", "OFFSET", "FILE"
};

enum {
	COLUMN_START,
	COLUMN_LENGTH,
	COLUMN_TYPE,
	COLUMN_DEPTH,
	COLUMN_STATE,
	COLUMN_OFFSET,
	COLUMN_FILE,
};

/* An image that was opened by itself knows no better of it. */
static bool is_parents(const struct output *out,
		       const struct source_piece *piece)
{
	const struct chain *chain = &out->source->chain;

	return out->source->format == SOURCE_VHDX && !piece->file &&
	       piece->depth + 1 == chain->count &&
	       chain->image[piece->depth]->img->metadata.has_parent &&
	       !piece->present;
}

static const char *type_of(const struct output *out,
			   const struct source_piece *piece)
{
	if (is_parents(out, piece))
		return "parent";
	return piece->data ? "data" : "zero";
}

static const char *state_of(const struct output *out,
			    const struct source_piece *piece)
{
	if (out->source->format == SOURCE_VHDX)
		return info_payload_states[piece->state];
	return piece->file ? "present" : "not-present";
}

static const char *file_of(const struct output *out,
			   const struct source_piece *piece)
{
	return out->source->chain.image[piece->depth]->path;
}

static void add_json(const struct output *out, const struct source_piece *piece,
		     u64 start)
{
	struct json_object *extent = document_element(out->array);
	bool parents = is_parents(out, piece);

	document_number(extent, "start", start);
	document_number(extent, "length", piece->length);
	document_number(extent, "depth", piece->depth);
	document_boolean(extent, "present", piece->present);
	document_boolean(extent, "zero", !piece->data && !parents);
	document_boolean(extent, "data", piece->data);
	document_text(extent, "state", state_of(out, piece));
	if (!piece->file)
		return;
	document_number(extent, "offset", piece->offset);
	document_text(extent, "filename", file_of(out, piece));
}

static void set(struct libscols_line *line, size_t column, char *text)
{
	if (scols_line_refer_data(line, column, text_memory(text)))
		text_memory(NULL);
}

static void set_number(struct libscols_line *line, size_t column, u64 number)
{
	set(line, column, text_printf("%llu", (unsigned long long)number));
}

static void add_line(const struct output *out, const struct source_piece *piece,
		     u64 start)
{
	struct libscols_line *line =
		text_memory(scols_table_new_line(out->table, NULL));

	set_number(line, COLUMN_START, start);
	set_number(line, COLUMN_LENGTH, piece->length);
	set(line, COLUMN_TYPE, strdup(type_of(out, piece)));
	set_number(line, COLUMN_DEPTH, piece->depth);
	set(line, COLUMN_STATE, strdup(state_of(out, piece)));
	if (!piece->file)
		return;
	set_number(line, COLUMN_OFFSET, piece->offset);
	set(line, COLUMN_FILE, text_for_terminal(file_of(out, piece)));
}

static void add(const struct output *out, const struct source_piece *piece,
		u64 start)
{
	if (out->array)
		add_json(out, piece, start);
	else
		add_line(out, piece, start);
}

static bool goes_on(const struct source_piece *piece,
		    const struct source_piece *next)
{
	return next->depth == piece->depth && next->data == piece->data &&
	       next->present == piece->present && next->state == piece->state &&
	       next->file == piece->file &&
	       (!next->file || next->offset == piece->offset + piece->length);
}

static int walk(const struct output *out)
{
	struct source *source = out->source;
	struct source_piece piece = { }, next;
	u64 start = 0;

	for (u64 pos = 0; pos < source->size; pos += next.length) {
		int code = source_next(source, pos, source->size - pos, &next);

		if (code)
			return code;
		if (pos && goes_on(&piece, &next)) {
			piece.length += next.length;
			continue;
		}
		if (pos)
			add(out, &piece, start);
		piece = next;
		start = pos;
	}
	if (source->size)
		add(out, &piece, start);
	return 0;
}

static int show_json(struct source *source)
{
	struct json_object *root = document_new(SCHEMA);
	const struct output out = {
		.source = source,
		.array = document_array(root, "extents"),
	};
	int code = walk(&out);

	if (code)
		json_object_put(root);
	else
		document_print(root);
	return code;
}

static int show_table(const struct request *request, struct source *source)
{
	const struct output out = {
		.source = source,
		.table = text_memory(scols_new_table()),
	};
	int code;

	scols_table_enable_raw(out.table, request->raw);
	scols_table_enable_noheadings(out.table, request->noheadings);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		bool is_text = i == COLUMN_TYPE || i == COLUMN_STATE ||
			       i == COLUMN_FILE;

		text_memory(scols_table_new_column(out.table, columns[i], 0,
						   is_text ? 0 : SCOLS_FL_RIGHT));
	}
	code = walk(&out);
	if (!code)
		scols_print_table(out.table);
	scols_unref_table(out.table);
	return code;
}

static int show_map(const struct request *request)
{
	struct source source;
	int code;

	code = source_open(&source, request->path, &request->options);
	if (!code)
		code = request->json ? show_json(&source) :
				       show_table(request, &source);
	source_close(&source);
	return code;
}

static int check_arguments(struct request *request, int argc, char **argv)
{
	const struct chain_options *parents = &request->options.parents;
	const char *conflict = NULL;

	if (argc - optind != 1)
		conflict = argc == optind ? "no image given" :
					    "one image at a time";
	else if (!request->chain && (parents->parents || parents->folders))
		conflict = "--parent and --parent-dir only with --chain";
	else if (request->json && request->raw)
		conflict = "--json and --raw exclude each other";
	if (conflict) {
		message_fail(EX_USAGE, NULL, "map: %s", conflict);
		return vhdxctl_usage(&vhdxctl_map);
	}
	request->path = argv[optind];
	request->options.alone = !request->chain;
	request->options.unlocked = true;
	return 0;
}

static int parse(struct request *request, int argc, char **argv)
{
	enum {
		OPTION_CHAIN = 256,
		OPTION_PARENT,
		OPTION_PARENT_DIR,
		OPTION_RAW,
	};
	static const struct option options[] = {
		{ "chain", no_argument, NULL, OPTION_CHAIN },
		{ "format", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'J' },
		{ "noheadings", no_argument, NULL, 'n' },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "parent-dir", required_argument, NULL, OPTION_PARENT_DIR },
		{ "raw", no_argument, NULL, OPTION_RAW },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct source_options *source = &request->options;
	int code = 0;
	int c;

	while (!code && (c = getopt_long(argc, argv, "f:Jnh", options, NULL)) !=
				-1) {
		switch (c) {
		case OPTION_CHAIN:
			request->chain = true;
			break;
		case OPTION_PARENT:
			code = chain_option_parent(&source->parents, optarg);
			break;
		case OPTION_PARENT_DIR:
			chain_option_folder(&source->parents, optarg);
			break;
		case OPTION_RAW:
			request->raw = true;
			break;
		case 'f':
			code = source_parse_format("map", optarg,
						   &source->format);
			break;
		case 'J':
			request->json = true;
			break;
		case 'n':
			request->noheadings = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_map);
		default:
			return vhdxctl_usage(&vhdxctl_map);
		}
	}
	return code ? code : check_arguments(request, argc, argv);
}

static int run(int argc, char **argv)
{
	struct request request = { };
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	if (!code && request.path)
		code = show_map(&request);
	chain_options_free(&request.options.parents);
	return code;
}

const struct vhdxctl_command vhdxctl_map = {
	.name = "map",
	.synopsis = "[OPTION]... IMAGE",
	.summary = "Show where each piece of a disk is",
	.help = "IMAGE is a VHDX image, a VHD, a raw file or a block device. All numbers are in\n"
		"bytes; DEPTH is 0 for the image, 1 for its parent, and so on.\n"
		"\n"
		"      --chain            what a guest sees, with the parents; otherwise what the\n"
		"                         image itself holds, and where it shows its parent\n"
		"  -f, --format FORMAT    raw, vhd or vhdx; default: what it looks like\n"
		"  -J, --json             JSON output\n"
		"  -n, --noheadings       no headings\n"
		"      --raw              no alignment, for other programs\n"
		"      --parent FILE      this is its parent; once more for that one's parent ...\n"
		"      --parent-dir DIR   look for parents here too; can be given several times\n",
	.run = run,
};
