// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "image_lock.h"
#include "holders.h"
#include "message.h"
#include "open_image.h"
#include "text.h"
#include "vhdxctl.h"

#define CREATOR			"vhdxctl " VHDX_TOOL_VERSION

/* Of a differencing image Windows' own; the other is the finest there is. */
#define CHILD_BLOCK_SIZE	(2 * VHDX_MIB)
#define LEAST_BLOCK_SIZE	VHDX_MIN_BLOCK_SIZE
#define DEFAULT_MAX_BAT		(8 * VHDX_MIB)
#define DEFAULT_LOGICAL_SECTOR	512
#define DEFAULT_PHYSICAL_SECTOR	4096

/**
 * struct request - an image as the user wants it
 * @path: of the new file
 * @parent: of the parent's file, or NULL
 * @absolute_path: --absolute-path, or NULL
 * @type: --type, or NULL
 * @size: of the disk in bytes; 0: not given
 * @block_size: bytes; 0: not given
 * @logical_sector: likewise
 * @physical_sector: likewise
 */
struct request {
	const char *path;
	const char *parent;
	const char *absolute_path;
	const char *type;
	u64 size;
	u64 block_size;
	u64 logical_sector;
	u64 physical_sector;
};

/**
 * struct place - where the new file goes
 * @folder: without symbolic links
 * @path: in it
 * @unfinished: its name until it is whole
 */
struct place {
	char *folder;
	char *path;
	char *unfinished;
};

/* For who interrupts it: the file that is to go then. */
static const char *unfinished_file;

static void clean_up(int number)
{
	if (unfinished_file)
		unlink(unfinished_file);
	/* The handler was for once; this comes when it returns. */
	raise(number);
}

static void clean_up_on_signals(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };
	const struct sigaction action = {
		.sa_handler = clean_up,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct sigaction old;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!sigaction(numbers[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

/* --- where it goes ------------------------------------------------------------- */

static int fail_exists(const char *path)
{
	return message_fail(EX_CANTCREAT, path,
			    "cannot create: there is such a file already");
}

static int find_place(const struct request *request, struct place *place)
{
	const char *slash = strrchr(request->path, '/');
	const char *name = slash ? slash + 1 : request->path;
	struct stat st;
	char *folder;

	if (!lstat(request->path, &st))
		return fail_exists(request->path);
	if (!*name)
		return message_fail(EX_USAGE, request->path,
				    "create: the name of a folder");
	folder = text_printf("%.*s", (int)(name - request->path),
			     request->path);
	place->folder = realpath(*folder ? folder : ".", NULL);
	free(folder);
	if (!place->folder)
		return message_fail_errno(request->path, "cannot create",
					  errno);
	place->path = text_printf("%s/%s", place->folder, name);
	return 0;
}

static void free_place(struct place *place)
{
	free(place->folder);
	free(place->path);
	free(place->unfinished);
}

/* Its name is short, so that it is none too long where the image's is not. */
static int create_unfinished(struct place *place, struct posix_file *pf)
{
	int ret = -EEXIST;

	for (unsigned int i = 0; ret == -EEXIST && i < 100; i++) {
		free(place->unfinished);
		place->unfinished = text_printf("%s/.vhdxctl-%d-%u",
						place->folder, getpid(), i);
		ret = posix_file_create(pf, place->unfinished);
	}
	return ret;
}

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	/* Not every file system knows that of folders. */
	if (fsync(fd) && errno != EINVAL)
		ret = -errno;
	close(fd);
	return ret;
}

/* Never over another file. */
static int give_name(const char *old, const char *new)
{
	if (!renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE))
		return 0;
	/* The file system may not know that kind of renaming. */
	if (errno != EINVAL && errno != EOPNOTSUPP)
		return -errno;
	return link(old, new) || unlink(old) ? -errno : 0;
}

static int finish(const struct place *place)
{
	int ret = give_name(place->unfinished, place->path);

	if (ret)
		return ret;
	ret = sync_folder(place->folder);
	if (ret)
		unlink(place->path);
	return ret;
}

static int write_image(const struct request *request, struct place *place,
		       const struct vhdx_create *params)
{
	struct vhdx_error err;
	struct posix_file pf;
	char *text;
	int code;
	int ret;

	ret = create_unfinished(place, &pf);
	if (ret)
		return message_fail_errno(request->path, "cannot create", -ret);
	unfinished_file = place->unfinished;
	clean_up_on_signals();
	ret = vhdx_image_create(&pf.file, params, &err);
	posix_file_close(&pf);
	if (!ret) {
		ret = finish(place);
		if (!ret)
			return 0;
		unlink(place->unfinished);
		if (ret == -EEXIST)
			return fail_exists(request->path);
		return message_fail_errno(request->path, "cannot create", -ret);
	}
	unlink(place->unfinished);
	text = open_image_error(&err);
	code = message_fail(message_exit_code(-ret), request->path,
			    "cannot create: %s", text);
	free(text);
	return code;
}

/* --- above a parent --------------------------------------------------------------- */

static char *append(char *text, const char *more, size_t length)
{
	char *longer = text_printf("%s%.*s", text, (int)length, more);

	free(text);
	return longer;
}

/* From a folder to a file, both without symbolic links, as Windows writes it. */
static char *relative_path(const char *folder, const char *file)
{
	char *path = text_memory(strdup("."));
	size_t common = 0;

	/* As far as whole names are the same. */
	for (size_t i = 0; ; i++) {
		if ((!folder[i] || folder[i] == '/') && file[i] == '/')
			common = i;
		if (!folder[i] || folder[i] != file[i])
			break;
	}
	for (const char *p = folder + common; *p; p++)
		if (*p == '/' && p[1])
			path = append(path, "\\..", 3);
	for (const char *p = file + common; *p; p++)
		path = append(path, *p == '/' ? "\\" : p, 1);
	return path;
}

static int check_parent(const char *path, const char *real,
			const struct posix_file *pf)
{
	struct holders holders;
	int ret;

	if (!S_ISREG(pf->stat.st_mode))
		return message_fail(EX_NOINPUT, path,
				    "cannot be a parent: not a regular file");
	if (strchr(real, '\\')) {
		message_fail(EXIT_FAILURE, path,
			     "cannot be a parent: there is a backslash in its path, which divides names in an image");
		return EXIT_FAILURE;
	}
	ret = image_lock(pf->fd, false);
	if (ret && ret != -EAGAIN)
		return message_fail_errno(path, "cannot lock", -ret);
	if (!ret && !open_image_is_written(&pf->stat))
		return 0;
	holders_find_of_image(&holders, &pf->stat);
	message_fail(EX_TEMPFAIL, path,
		     "cannot be a parent while it is written to: %s",
		     holders_text(&holders));
	if (holders.command)
		message_hint("'%s' comes first", holders.command);
	holders_free(&holders);
	return EX_TEMPFAIL;
}

static int create_child(const struct request *request, struct place *place)
{
	struct vhdx_create params = {
		.creator = CREATOR,
		.block_size = (u32)(request->block_size ? request->block_size :
							  CHILD_BLOCK_SIZE),
		.absolute_path = request->absolute_path,
	};
	struct vhdx_image *parent;
	struct posix_file pf;
	char *path = NULL;
	char *real;
	int code;

	code = open_image(&pf, request->parent, &parent);
	if (code)
		return code;
	real = realpath(request->parent, NULL);
	if (real) {
		code = check_parent(request->parent, real, &pf);
		path = relative_path(place->folder, real);
	} else {
		code = message_fail_errno(request->parent, "cannot find", errno);
	}
	params.parent = parent;
	params.relative_path = path;
	if (!code)
		code = write_image(request, place, &params);
	free(path);
	free(real);
	vhdx_image_close(parent);
	posix_file_close(&pf);
	return code;
}

/* --- without one --------------------------------------------------------------------- */

/* The smallest whose BAT is no larger than is read in a moment. */
static u32 choose_block_size(const struct vhdx_create *params)
{
	struct vhdx_metadata metadata = {
		.block_size = LEAST_BLOCK_SIZE,
		.virtual_disk_size = params->disk_size,
		.logical_sector_size = params->logical_sector_size,
	};
	struct vhdx_geometry geometry;

	for (;;) {
		vhdx_geometry_init(&geometry, &metadata);
		if (geometry.bat_entries * sizeof(__le64) <= DEFAULT_MAX_BAT)
			return metadata.block_size;
		metadata.block_size *= 2;
	}
}

static int create_disk(const struct request *request, struct place *place)
{
	struct vhdx_create params = {
		.creator = CREATOR,
		.block_size = (u32)request->block_size,
		.fixed = request->type && !strcmp(request->type, "fixed"),
		.disk_size = request->size,
		.logical_sector_size = (u32)(request->logical_sector ?:
					     DEFAULT_LOGICAL_SECTOR),
		.physical_sector_size = (u32)(request->physical_sector ?:
					      DEFAULT_PHYSICAL_SECTOR),
	};
	char size[TEXT_SIZE_LENGTH];
	int code;

	if (params.disk_size & (params.logical_sector_size - 1))
		return message_fail(EX_USAGE, request->path,
				    "create: --size is not a multiple of the sector size, %u bytes",
				    params.logical_sector_size);
	if (!params.block_size)
		params.block_size = choose_block_size(&params);
	code = write_image(request, place, &params);
	if (code || request->block_size || params.block_size == LEAST_BLOCK_SIZE)
		return code;
	text_size(size, params.block_size, TEXT_SIZE_LONG);
	printf("block size %s\n", size);
	return 0;
}

/* --- the command line ------------------------------------------------------------------ */

static int bad_value(const char *option, const char *value,
		     const char *expected)
{
	message_fail(EX_USAGE, NULL, "create: --%s %s: not %s", option, value,
		     expected);
	return vhdxctl_usage(&vhdxctl_create);
}

static int parse_block_size(const char *value, u64 *size)
{
	if (text_parse_size(value, size) && is_power_of_2(*size) &&
	    *size >= VHDX_MIN_BLOCK_SIZE && *size <= VHDX_MAX_BLOCK_SIZE)
		return 0;
	return bad_value("block-size", value,
			 "a power of two from 1M to 256M");
}

static int parse_sector(const char *option, const char *value, u64 *size)
{
	if (text_parse_size(value, size) && (*size == 512 || *size == 4096))
		return 0;
	return bad_value(option, value, "512 or 4096");
}

static int parse_disk_size(const char *value, u64 *size)
{
	if (text_parse_size(value, size) && *size && *size <= VHDX_MAX_DISK_SIZE)
		return 0;
	return bad_value("size", value, "a size from 512 to 64T");
}

static int parse_type(const char *value, const char **type)
{
	*type = value;
	if (!strcmp(value, "dynamic") || !strcmp(value, "fixed"))
		return 0;
	return bad_value("type", value, "dynamic or fixed");
}

/* What goes with --parent, and what goes without. NULL: all of it does. */
static const char *find_conflict(const struct request *request)
{
	if (!request->parent)
		return request->absolute_path ?
			       "--absolute-path only with --parent" :
		       !request->size ? "no --size given, and no --parent" :
					NULL;
	if (request->size)
		return "the size is that of the parent";
	if (request->type)
		return "--type and --parent exclude each other";
	if (request->logical_sector || request->physical_sector)
		return "the sector sizes are those of the parent";
	return NULL;
}

static int check_arguments(struct request *request, int argc, char **argv)
{
	const char *conflict = find_conflict(request);

	if (argc == optind)
		conflict = "no image given";
	else if (argc - optind > 1)
		conflict = "one image at a time";
	if (conflict) {
		message_fail(EX_USAGE, NULL, "create: %s", conflict);
		return vhdxctl_usage(&vhdxctl_create);
	}
	request->path = argv[optind];
	return 0;
}

static int create_image(const struct request *request)
{
	struct place place = { };
	int code = find_place(request, &place);

	if (!code)
		code = request->parent ? create_child(request, &place) :
					 create_disk(request, &place);
	free_place(&place);
	return code;
}

static int run(int argc, char **argv)
{
	enum { OPTION_ABSOLUTE_PATH = 256, OPTION_PARENT };
	static const struct option options[] = {
		{ "absolute-path", required_argument, NULL,
		  OPTION_ABSOLUTE_PATH },
		{ "block-size", required_argument, NULL, 'b' },
		{ "parent", required_argument, NULL, OPTION_PARENT },
		{ "physical-sector", required_argument, NULL, 'P' },
		{ "sector", required_argument, NULL, 'S' },
		{ "size", required_argument, NULL, 's' },
		{ "type", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct request request = { };
	int code = 0;
	int c;

	while (!code && (c = getopt_long(argc, argv, "b:P:S:s:t:h", options,
					 NULL)) != -1) {
		switch (c) {
		case OPTION_ABSOLUTE_PATH:
			request.absolute_path = optarg;
			if (!*optarg)
				code = bad_value("absolute-path", optarg,
						 "a path");
			break;
		case OPTION_PARENT:
			request.parent = optarg;
			break;
		case 'b':
			code = parse_block_size(optarg, &request.block_size);
			break;
		case 'P':
			code = parse_sector("physical-sector", optarg,
					    &request.physical_sector);
			break;
		case 'S':
			code = parse_sector("sector", optarg,
					    &request.logical_sector);
			break;
		case 's':
			code = parse_disk_size(optarg, &request.size);
			break;
		case 't':
			code = parse_type(optarg, &request.type);
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_create);
		default:
			return vhdxctl_usage(&vhdxctl_create);
		}
	}
	if (!code)
		code = check_arguments(&request, argc, argv);
	return code ? code : create_image(&request);
}

const struct vhdxctl_command vhdxctl_create = {
	.name = "create",
	.synopsis = "--size SIZE|--parent PARENT [OPTION]... IMAGE",
	.summary = "Make a new image, empty or above a parent",
	.help = "An existing file is not overwritten.\n"
		"\n"
		"  -s, --size SIZE        size of the disk, with K, M, G, T (of 1024), KB, MB ...\n"
		"  -t, --type TYPE        dynamic (default): the file grows as it is written to;\n"
		"                         fixed: it gets all of its space now\n"
		"  -b, --block-size SIZE  1M to 256M; default 1M, more for a disk of terabytes,\n"
		"                         and 2M above a parent\n"
		"  -S, --sector SIZE      logical sector size: 512 (default) or 4096\n"
		"  -P, --physical-sector SIZE\n"
		"                         512 or 4096 (default)\n"
		"\n"
		"      --parent PARENT    a differencing image: it holds what is changed from now\n"
		"                         on, and PARENT must not be written to any more\n"
		"      --absolute-path PATH\n"
		"                         where Windows finds PARENT, as in C:\\vm\\base.vhdx\n",
	.run = run,
};
