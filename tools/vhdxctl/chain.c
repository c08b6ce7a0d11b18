// SPDX-License-Identifier: GPL-2.0
/*
 * Finding parents. An image names its parent by paths of the machine that it was
 * made on, and by the parent's DataWriteGuid: places are looked at in turn, and
 * the GUID says which file it is.
 */
#include <dirent.h>
#include <libmount/libmount.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain.h"
#include "message.h"
#include "open_image.h"
#include "text.h"

/* A folder with more images has better things to do than to be searched. */
#define MAX_SIBLINGS	4096

static const char *const path_keys[] = {
	"relative_path", "volume_path", "absolute_win32_path"
};

/**
 * struct search - looking for the parent of one image
 * @chain: the images down to that one
 * @child: that one
 * @flags: for vhdx_image_open()
 * @match: the parent, when it was found
 * @mismatch: the first file that has another DataWriteGuid
 * @mismatch_text: the same in words
 * @errnum: why the first file that is of no use is of none, positive
 * @problem: the same in words
 * @place: the paths that were looked at
 * @places: how many
 */
struct search {
	const struct chain *chain;
	struct chain_image *child;
	unsigned int flags;
	struct chain_image *match;
	struct chain_image *mismatch;
	char *mismatch_text;
	int errnum;
	char *problem;
	char **place;
	size_t places;
};

/* --- images and options ------------------------------------------------------ */

static struct chain_image *new_image(char *path)
{
	struct chain_image *image = text_memory(calloc(1, sizeof(*image)));

	image->path = path;
	image->file.fd = -1;
	return image;
}

static void free_image(struct chain_image *image)
{
	if (!image)
		return;
	vhdx_image_close(image->img);
	posix_file_close(&image->file);
	free(image->problem);
	free(image->wanted);
	free(image->path);
	free(image);
}

/**
 * chain_option_parent - take a --parent
 * @options: the options
 * @path: what the user named
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int chain_option_parent(struct chain_options *options, const char *path)
{
	if (options->parents == ARRAY_SIZE(options->parent))
		return message_fail(EX_USAGE, path,
				    "more than %u parents", VHDX_MAX_PARENTS);
	options->parent[options->parents++] = path;
	return 0;
}

/**
 * chain_option_folder - take a --parent-dir
 * @options: the options; to be freed by chain_options_free()
 * @path: what the user named
 */
void chain_option_folder(struct chain_options *options, const char *path)
{
	options->folder = text_memory(realloc(options->folder,
					      (options->folders + 1) *
					      sizeof(*options->folder)));
	options->folder[options->folders++] = *path ? path : ".";
}

/**
 * chain_options_free - free what options hold
 * @options: the options
 */
void chain_options_free(struct chain_options *options)
{
	free(options->folder);
}

/**
 * chain_begin - begin a chain
 * @chain: filled in; to be freed by chain_end()
 * @path: the image at its end
 *
 * Return: that image, for the caller to open its file.
 */
struct chain_image *chain_begin(struct chain *chain, const char *path)
{
	chain->count = 1;
	chain->image[0] = new_image(text_memory(strdup(path)));
	return chain->image[0];
}

/**
 * chain_end - close and free all images of a chain
 * @chain: the chain
 */
void chain_end(struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++)
		free_image(chain->image[i]);
}

/* --- one file that may be the parent ----------------------------------------- */

/* Only the first is told of. */
__printf(3, 4)
static void note_problem(struct search *search, int errnum, const char *fmt,
			 ...)
{
	va_list args;

	if (search->problem)
		return;
	search->errnum = errnum;
	va_start(args, fmt);
	search->problem = text_vprintf(fmt, args);
	va_end(args);
}

/* The same block device, by whatever node, or the same file. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode))
		return S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_in_chain(const struct chain *chain,
			const struct chain_image *image)
{
	for (size_t i = 0; i < chain->count; i++)
		if (is_same_file(&chain->image[i]->file.stat, &image->file.stat))
			return true;
	return false;
}

/* Takes the candidate, whose file is open. */
static void judge(struct search *search, struct chain_image *candidate)
{
	struct vhdx_error err;
	char *text;
	int ret;

	if (is_in_chain(search->chain, candidate)) {
		note_problem(search, ELOOP,
			     is_same_file(&candidate->file.stat,
					  &search->child->file.stat) ?
			     "it is its own parent: %s" :
			     "the chain goes in a circle: its parent is %s again",
			     candidate->path);
		free_image(candidate);
		return;
	}
	ret = vhdx_image_open(&candidate->file.file, search->flags,
			      &candidate->img, &err);
	if (!ret)
		ret = vhdx_image_check_parent(search->child->img,
					      candidate->img, 0, &err);
	if (!ret) {
		search->match = candidate;
		return;
	}
	text = open_image_error(&err);
	if (ret == -ESTALE && !search->mismatch) {
		search->mismatch = candidate;
		search->mismatch_text =
			text_printf("its parent %s does not match: %s",
				    candidate->path, text);
	} else {
		if (ret != -ESTALE)
			note_problem(search, -ret, "its parent %s: %s",
				     candidate->path, text);
		free_image(candidate);
	}
	free(text);
}

/* What the user says is the parent may be a block device, and lie anywhere. */
static void take_users(struct search *search, const char *path)
{
	struct chain_image *candidate = new_image(text_memory(strdup(path)));
	int ret = posix_file_open(&candidate->file, path, false);

	if (!ret) {
		judge(search, candidate);
		return;
	}
	note_problem(search, -ret, "cannot open its parent %s: %s", path,
		     ret == -ENOTBLK ? "not a regular file or a block device" :
				       strerror(-ret));
	free_image(candidate);
}

static void take_named(struct search *search, const char *path)
{
	struct chain_image *candidate;
	char *real;
	int ret;

	ret = posix_file_resolve(path, &real);
	if (ret == -EPERM) {
		note_problem(search, EPERM,
			     "its parent would be %s, and nothing there is opened because an image names it",
			     path);
		return;
	}
	if (ret == -ENOENT || ret == -ENOTDIR)
		return;
	if (ret) {
		note_problem(search, -ret, "cannot find its parent %s: %s", path,
			     strerror(-ret));
		return;
	}
	candidate = new_image(real);
	ret = posix_file_open_named(&candidate->file, real);
	if (!ret) {
		judge(search, candidate);
		return;
	}
	note_problem(search, -ret, "cannot open its parent %s: %s", real,
		     ret == -ENOTBLK ? "not a regular file" : strerror(-ret));
	free_image(candidate);
}

/* --- where it may be ----------------------------------------------------------- */

static char *join(const char *folder, const char *name, size_t length)
{
	return text_printf("%s%s%.*s", folder,
			   folder[strlen(folder) - 1] == '/' ? "" : "/",
			   (int)length, name);
}

/* A name in a folder that differs in case; of several the first by its bytes. */
static char *find_in_any_case(const char *folder, const char *name,
			      size_t length)
{
	char *wanted = text_printf("%.*s", (int)length, name);
	const struct dirent *entry;
	char *found = NULL;
	char *real;
	DIR *dir;

	/* Looking into a folder is opening it. */
	dir = posix_file_resolve(folder, &real) ? NULL : opendir(real);
	while (dir && (entry = readdir(dir))) {
		if (!text_same_name(entry->d_name, wanted) ||
		    (found && strcmp(found, entry->d_name) < 0))
			continue;
		free(found);
		found = text_memory(strdup(entry->d_name));
	}
	if (dir)
		closedir(dir);
	free(real);
	free(wanted);
	return found;
}

/* One step of a path; takes the folder. NULL: there is no such name. */
static char *step(char *folder, const char *name, size_t length)
{
	char *path = join(folder, name, length);
	struct stat st;
	char *found;

	if (lstat(path, &st)) {
		free(path);
		path = NULL;
		found = find_in_any_case(folder, name, length);
		if (found)
			path = join(folder, found, strlen(found));
		free(found);
	}
	free(folder);
	return path;
}

/* A path with slashes from a folder on, in the case that its names really have. */
static char *walk(const char *folder, const char *path)
{
	char *here = text_memory(strdup(folder));

	while (here && *path) {
		size_t length = strcspn(path, "/");

		if (length && strncmp(path, ".", length))
			here = step(here, path, length);
		path += length;
		path += *path == '/';
	}
	return here;
}

/* As it is said to the user: without steps that go nowhere. */
static char *place_name(const char *folder, const char *path)
{
	char *place = text_memory(strdup(folder));

	while (*path) {
		size_t length = strcspn(path, "/");

		if (length && strncmp(path, ".", length)) {
			char *longer = join(place, path, length);

			free(place);
			place = longer;
		}
		path += length;
		path += *path == '/';
	}
	return place;
}

/* Whether that place is a new one. */
static bool add_place(struct search *search, char *place)
{
	for (size_t i = 0; i < search->places; i++) {
		if (!strcmp(search->place[i], place)) {
			free(place);
			return false;
		}
	}
	search->place = text_memory(realloc(search->place,
					    (search->places + 1) *
					    sizeof(*search->place)));
	search->place[search->places++] = place;
	return true;
}

static void look(struct search *search, const char *folder, const char *path)
{
	char *found;

	if (search->match || strlen(path) >= PATH_MAX ||
	    !add_place(search, place_name(folder, path)))
		return;
	found = walk(folder, path);
	if (found)
		take_named(search, found);
	free(found);
}

/* Past so many names of a path. */
static const char *skip_names(const char *path, unsigned int names)
{
	for (; names; names--) {
		path += strcspn(path, "/");
		path += strspn(path, "/");
	}
	return path;
}

/*
 * What follows the root in an absolute path of Windows, with slashes: a drive, a
 * volume or a share. NULL: it is not absolute.
 */
static const char *behind_root(const char *path)
{
	if (!strncmp(path, "//?/", 4) || !strncmp(path, "//./", 4)) {
		path += 4;
		return skip_names(path, strncasecmp(path, "UNC/", 4) ? 1 : 3);
	}
	if (!strncmp(path, "//", 2))
		return skip_names(path + 2, 2);
	if (path[0] && path[1] == ':')
		path += 2;
	else if (path[0] != '/')
		return NULL;
	return path + strspn(path, "/");
}

/* With slashes; NULL: the image has no such path. */
static char *get_path(const struct vhdx_image *img, const char *key)
{
	struct vhdx_locator_entry entry;
	char *path;

	if (!vhdx_locator_find(&img->locator, key, &entry))
		return NULL;
	path = text_utf16(entry.value, entry.value_chars);
	for (char *p = path; *p; p++)
		if (*p == '\\')
			*p = '/';
	return path;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Without symbolic links; "." where even that cannot be found out. */
static char *folder_of(const char *path)
{
	char *real = realpath(path, NULL);
	char *folder;

	if (!real)
		return text_memory(strdup("."));
	folder = text_printf("%.*s", (int)(base_name(real) - real), real);
	free(real);
	return folder;
}

static void look_at_path(struct search *search, const char *folder,
			 const char *path)
{
	const char *rest = behind_root(path);
	char *mount;

	if (!rest) {
		look(search, folder, path);
		return;
	}
	mount = mnt_get_mountpoint(folder);
	look(search, mount ? mount : "/", rest);
	free(mount);
}

static void look_everywhere(struct search *search,
			    const struct chain_options *options)
{
	char *folder = folder_of(search->child->path);
	char *path[ARRAY_SIZE(path_keys)];

	for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
		path[i] = get_path(search->child->img, path_keys[i]);
		if (path[i])
			look_at_path(search, folder, path[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
		const char *name = path[i] ? base_name(path[i]) : "";

		if (!*name || !strcmp(name, ".."))
			continue;
		look(search, folder, name);
		for (size_t j = 0; j < options->folders; j++)
			look(search, options->folder[j], name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(path); i++)
		free(path[i]);
	free(folder);
}

/* --- the chain -------------------------------------------------------------------- */

/* The path that an image has for its parent, as it stands there. */
static char *wanted_path(const struct vhdx_image *img)
{
	struct vhdx_locator_entry entry;
	size_t i = 0;

	/* There is one, or the image would not have opened. */
	while (!vhdx_locator_find(&img->locator, path_keys[i], &entry))
		i++;
	return text_utf16(entry.value, entry.value_chars);
}

static char *missing_text(const struct search *search)
{
	char *text = text_printf("its parent is missing: it wants %s, looked for",
				 search->child->wanted);

	for (size_t i = 0; i < search->places; i++) {
		char *longer = text_printf("%s%s %s", text, i ? "," : "",
					   search->place[i]);

		free(text);
		text = longer;
	}
	return text;
}

static void fail(struct chain_image *child, enum chain_verdict verdict,
		 int errnum, char *problem)
{
	child->verdict = verdict;
	child->errnum = errnum;
	child->problem = problem;
}

/* Says of the child how it went; NULL: there is nothing to go on with. */
static struct chain_image *conclude(struct search *search)
{
	struct chain_image *child = search->child;
	struct chain_image *parent = search->match;

	if (parent) {
		child->verdict = CHAIN_OK;
		free_image(search->mismatch);
	} else if (search->mismatch) {
		parent = search->mismatch;
		fail(child, CHAIN_MISMATCH, ESTALE, search->mismatch_text);
		search->mismatch_text = NULL;
	} else if (search->problem) {
		fail(child, CHAIN_UNUSABLE, search->errnum, search->problem);
		search->problem = NULL;
	} else {
		fail(child, CHAIN_MISSING, ENOENT, missing_text(search));
	}
	for (size_t i = 0; i < search->places; i++)
		free(search->place[i]);
	free(search->place);
	free(search->problem);
	free(search->mismatch_text);
	return parent;
}

static struct chain_image *find_parent(const struct chain *chain,
				       const struct chain_options *options,
				       unsigned int flags)
{
	struct search search = {
		.chain = chain,
		.child = chain->image[chain->count - 1],
		.flags = flags,
	};

	search.child->wanted = wanted_path(search.child->img);
	if (chain->count == CHAIN_MAX_IMAGES)
		note_problem(&search, ELOOP,
			     "it is a parent too many: a chain has %u of them at most",
			     VHDX_MAX_PARENTS);
	else if (chain->count <= options->parents)
		take_users(&search, options->parent[chain->count - 1]);
	else
		look_everywhere(&search, options);
	return conclude(&search);
}

/**
 * chain_find - find the parents of an image
 * @chain: with the image alone, which is open; receives the others, each open
 *	by itself for reading, and how it is linked to the next
 * @options: what the user says
 * @flags: for vhdx_image_open()
 *
 * A parent that does not match is followed further: the verdict on its child
 * says so.
 */
void chain_find(struct chain *chain, const struct chain_options *options,
		unsigned int flags)
{
	struct chain_image *last = chain->image[0];

	while (last && last->img->metadata.has_parent) {
		last = find_parent(chain, options, flags);
		if (last)
			chain->image[chain->count++] = last;
	}
}

static void hint(enum chain_verdict verdict,
		 const struct chain_options *options)
{
	if (options->no_parent) {
		message_hint(verdict == CHAIN_MISSING ?
			     "--parent-dir DIR names a folder that it is in" :
			     "'vhdxctl info --chain' shows the chain");
		return;
	}
	switch (verdict) {
	case CHAIN_MISSING:
		message_hint("--parent FILE names it, --parent-dir DIR a folder that it is in");
		break;
	case CHAIN_MISMATCH:
		message_hint("--parent FILE names the right one, '%s' takes it",
			     "vhdxctl attach -r --ignore-id-mismatch");
		break;
	default:
		message_hint("'vhdxctl info --chain' shows the chain, --parent names another");
		break;
	}
}

/**
 * chain_check_options - make sure that no --parent is left over
 * @chain: from chain_find()
 * @options: what the user said
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int chain_check_options(const struct chain *chain,
			const struct chain_options *options)
{
	const struct chain_image *last = chain->image[chain->count - 1];

	if (last->verdict != CHAIN_BASE || options->parents < chain->count)
		return 0;
	return message_fail(EX_USAGE, options->parent[chain->count - 1],
			    "--parent: %s has no parent", last->path);
}

/**
 * chain_check - make sure that a chain is whole
 * @chain: from chain_find()
 * @options: what the user said
 * @what: what fails when it is not
 * @ignore_mismatch: parents need not be those that the images were made from
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int chain_check(const struct chain *chain, const struct chain_options *options,
		const char *what, bool ignore_mismatch)
{
	for (size_t i = 0; i < chain->count; i++) {
		const struct chain_image *image = chain->image[i];
		int code;

		if (image->verdict == CHAIN_OK || image->verdict == CHAIN_BASE ||
		    (image->verdict == CHAIN_MISMATCH && ignore_mismatch))
			continue;
		code = message_fail(message_exit_code(image->errnum),
				    image->path, "%s: %s", what, image->problem);
		hint(image->verdict, options);
		return code;
	}
	return chain_check_options(chain, options);
}

/**
 * chain_link - open the images of a whole chain, each above its parent
 * @chain: from chain_find(), and chain_check() had nothing to say
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int chain_link(struct chain *chain)
{
	struct vhdx_image *parent = NULL;

	for (size_t i = chain->count; i-- > 0; ) {
		struct chain_image *image = chain->image[i];
		struct vhdx_error err;

		vhdx_image_close(image->img);
		image->img = NULL;
		if (vhdx_image_open_child(&image->file.file, parent, 0,
					  &image->img, &err))
			return open_image_fail(image->path, &image->file.stat,
					       &err);
		parent = image->img;
	}
	return 0;
}

/**
 * chain_reopen - read an image of a chain again, by itself
 * @image: its file is open; it has no parent afterwards, nor is it one
 * @flags: for vhdx_image_open()
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int chain_reopen(struct chain_image *image, unsigned int flags)
{
	struct vhdx_error err;

	vhdx_image_close(image->img);
	image->img = NULL;
	if (!vhdx_image_open(&image->file.file, flags, &image->img, &err))
		return 0;
	return open_image_fail(image->path, &image->file.stat, &err);
}

/**
 * chain_warn - say what of the images' data is missing, though all of them open
 * @chain: all of it open, with the BATs
 */
void chain_warn(const struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++)
		if (chain->image[i]->img->counts.cut)
			message_warn(chain->image[i]->path,
				     "data of %llu blocks is missing, as the file ends before it does: it reads as zeros",
				     chain->image[i]->img->counts.cut);
}

/* --- children ------------------------------------------------------------------------ */

/* Whether it calls its parent by a name, or by another name of that file in the folder. */
static bool names(const struct vhdx_image *img, const char *name,
		  const char *folder, const struct stat *parent)
{
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(path_keys); i++) {
		char *path = get_path(img, path_keys[i]);
		char *other = path ? join(folder, base_name(path),
					  strlen(base_name(path))) : NULL;
		struct stat st;

		found |= path && (text_same_name(base_name(path), name) ||
				  (!stat(other, &st) &&
				   is_same_file(&st, parent)));
		free(other);
		free(path);
	}
	return found;
}

static bool is_image(const struct posix_file *pf)
{
	__le64 signature = 0;

	return pread(pf->fd, &signature, sizeof(signature), 0) ==
		       sizeof(signature) &&
	       le64_to_cpu(signature) == VHDX_FILE_ID_SIGNATURE;
}

/*
 * Whether a file is another image than @except whose parent is this one, of that
 * name. *images is one more when it is any image.
 */
static bool is_child(const char *path, const char *folder,
		     const struct chain_image *image, const char *name,
		     const struct chain_image *except, unsigned int *images)
{
	struct vhdx_image *img = NULL;
	struct vhdx_error err;
	struct posix_file pf;
	bool found = false;

	if (posix_file_open_named(&pf, path))
		return false;
	if (is_image(&pf)) {
		++*images;
		found = !(except &&
			  is_same_file(&pf.stat, &except->file.stat)) &&
			!vhdx_image_open(&pf.file, VHDX_OPEN_NO_BLOCKS, &img,
					 &err) &&
			!vhdx_image_check_parent(img, image->img, 0, &err) &&
			names(img, name, folder, &image->file.stat);
	}
	vhdx_image_close(img);
	posix_file_close(&pf);
	return found;
}

/**
 * chain_find_other_child - find an image that has another as its parent
 * @image: the other, open
 * @except: this one is not meant; or NULL
 *
 * Only its own folder is looked through, and no more than MAX_SIBLINGS images of
 * it; what there cannot be read is no child.
 *
 * Return: the path of one, which the caller frees; NULL: none was found.
 */
char *chain_find_other_child(const struct chain_image *image,
			     const struct chain_image *except)
{
	char *folder = folder_of(image->path);
	char *real = realpath(image->path, NULL);
	const char *name = real ? base_name(real) : "";
	const struct dirent *entry;
	unsigned int images = 0;
	char *found = NULL;
	DIR *dir = NULL;

	if (S_ISREG(image->file.stat.st_mode))
		dir = opendir(folder);
	while (dir && !found && images < MAX_SIBLINGS &&
	       (entry = readdir(dir))) {
		char *path;

		if ((entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) ||
		    !strcmp(entry->d_name, name))
			continue;
		path = join(folder, entry->d_name, strlen(entry->d_name));
		if (is_child(path, folder, image, name, except, &images))
			found = path;
		else
			free(path);
	}
	if (dir)
		closedir(dir);
	free(real);
	free(folder);
	return found;
}

/**
 * chain_find_child - find any image that has another as its parent
 * @image: as for chain_find_other_child()
 *
 * Return: likewise.
 */
char *chain_find_child(const struct chain_image *image)
{
	return chain_find_other_child(image, NULL);
}
