// SPDX-License-Identifier: GPL-2.0
#include "chain.h"
#include "device.h"
#include "edit_image.h"
#include "holders.h"
#include "message.h"
#include "open_image.h"

static int fail_in_use(struct holders *holders, const char *path,
		       const char *what)
{
	message_fail(EX_TEMPFAIL, path, "%s while it is in use: %s", what,
		     holders_text(holders));
	if (holders->command)
		message_hint("'%s' comes first", holders->command);
	holders_free(holders);
	return EX_TEMPFAIL;
}

static bool is_attached(const struct stat *st)
{
	struct device_list disks;
	bool found;

	device_list_of_image(&disks, st);
	found = disks.count;
	device_list_free(&disks);
	device_list_of_parent(&disks, st);
	found |= disks.count;
	device_list_free(&disks);
	return found;
}

/* Asked before it is opened for writing here, or one would find oneself. */
static bool has_writers(struct holders *holders, const char *path)
{
	struct posix_file pf;
	bool found;

	*holders = (struct holders){ };
	if (posix_file_open(&pf, path, false))
		return false;
	found = holders_find_writers(holders, &pf);
	posix_file_close(&pf);
	return found;
}

static int lock_file(struct posix_file *pf, const char *path, const char *what)
{
	struct holders holders;
	int ret;

	ret = holders_lock_image(&holders, pf->fd, &pf->stat, true);
	if (ret == -EAGAIN)
		return fail_in_use(&holders, path, what);
	if (ret)
		return message_fail_errno(path, "cannot lock", -ret);
	if (is_attached(&pf->stat)) {
		holders_find_of_image(&holders, &pf->stat);
		return fail_in_use(&holders, path, what);
	}
	posix_file_allow_writes(pf);
	return 0;
}

/**
 * edit_image_file - have a file for oneself, which image/ may change
 * @pf: to fill in; closed by posix_file_close(), which unlocks it too
 * @path: the file
 * @what: what fails where somebody uses it, as in "cannot be resized"
 *
 * Return: 0, or the exit code; then the error was printed, and nothing is open.
 */
int edit_image_file(struct posix_file *pf, const char *path, const char *what)
{
	struct holders holders;
	int code;

	if (has_writers(&holders, path))
		return fail_in_use(&holders, path, what);
	holders_free(&holders);
	code = open_image_file(pf, path, OPEN_IMAGE_CHANGE);
	if (code)
		return code;
	code = lock_file(pf, path, what);
	if (code)
		posix_file_close(pf);
	return code;
}

/**
 * edit_image_refuse_cut - refuse to change an image that lacks data of its blocks
 * @path: of it
 * @img: the image, open with its BAT
 *
 * Any change makes the file longer. Then nothing tells any more that the zeros
 * there are not what was written.
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int edit_image_refuse_cut(const char *path, const struct vhdx_image *img)
{
	int code;

	if (!img->counts.cut)
		return 0;
	code = message_fail(message_exit_code(EUCLEAN), path,
			    "cannot be changed: the file ends before the data of %llu blocks does",
			    img->counts.cut);
	message_hint("'vhdxctl convert' makes a whole copy of it, with zeros there");
	return code;
}

/**
 * edit_image_load - open the image in a file that one has for oneself
 * @pf: from edit_image_file()
 * @path: of it
 * @parent: of a differencing image, open; NULL: it is opened without, see
 *	VHDX_OPEN_EDIT
 * @imgp: receives the image, whose log has been replayed
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int edit_image_load(struct posix_file *pf, const char *path,
		    struct vhdx_image *parent, struct vhdx_image **imgp)
{
	struct vhdx_error err;
	int code;

	if (vhdx_image_open_child(&pf->file, parent, VHDX_OPEN_EDIT, imgp,
				  &err))
		return open_image_fail(path, &pf->stat, &err);
	code = edit_image_refuse_cut(path, *imgp);
	if (code)
		vhdx_image_close(*imgp);
	return code;
}

/**
 * edit_image_open - open an image for changes of its structures
 * @pf: to fill in; closed by edit_image_finish()
 * @path: the file
 * @what: what fails where somebody uses it, as in "cannot be resized"
 * @imgp: receives the image, whose log has been replayed. A parent is not opened,
 *	see VHDX_OPEN_EDIT.
 *
 * Nobody else has it, nor gets it while it is open.
 *
 * Return: 0, or the exit code; then the error was printed, and nothing is open.
 */
int edit_image_open(struct posix_file *pf, const char *path, const char *what,
		    struct vhdx_image **imgp)
{
	int code;

	code = edit_image_file(pf, path, what);
	if (code)
		return code;
	code = edit_image_load(pf, path, NULL, imgp);
	if (code)
		posix_file_close(pf);
	return code;
}

/**
 * edit_image_refuse_parent - refuse what would make the children of an image useless
 * @pf: its file
 * @path: of that
 * @what: what is refused, as for edit_image_open()
 * @img: the image
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int edit_image_refuse_parent(const struct posix_file *pf, const char *path,
			     const char *what, struct vhdx_image *img)
{
	const struct chain_image image = {
		.path = (char *)path,
		.file = *pf,
		.img = img,
	};
	char *child = chain_find_child(&image);

	if (!child)
		return 0;
	message_fail(EXIT_FAILURE, path,
		     "%s: it is the parent of %s, which would be of no use then",
		     what, child);
	free(child);
	return EXIT_FAILURE;
}

/**
 * edit_image_fail - say why changing an image has failed
 * @path: of it
 * @what: what has failed, as for edit_image_open()
 * @errnum: why
 *
 * Return: the exit code.
 */
int edit_image_fail(const char *path, const char *what, int errnum)
{
	int code = message_fail_errno(path, what, errnum);

	message_hint("it is whole: what was not finished is as it was");
	return code;
}

/**
 * edit_image_give_back - give the host what an image does not use any more
 * @path: of it
 * @img: the image; nothing may be changed of it after this
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int edit_image_give_back(const char *path, struct vhdx_image *img)
{
	const struct posix_file *pf = container_of(img->file, struct posix_file,
						   file);
	int ret = vhdx_image_finish(img);

	if (!ret)
		ret = vhdx_image_give_back(img, !pf->never_sparse);
	return ret ? message_fail_errno(path, "cannot give space back", -ret) : 0;
}

/**
 * edit_image_finish - close an image that may have been changed
 * @pf: its file
 * @path: of that
 * @img: the image
 * @code: of the change
 *
 * Return: @code, or another exit code when that is 0 and the last writes fail;
 * then the error was printed.
 */
int edit_image_finish(struct posix_file *pf, const char *path,
		      struct vhdx_image *img, int code)
{
	int ret = vhdx_image_finish(img);

	vhdx_image_close(img);
	posix_file_close(pf);
	if (ret && !code)
		code = message_fail_errno(path, "cannot finish writing", -ret);
	return code;
}
