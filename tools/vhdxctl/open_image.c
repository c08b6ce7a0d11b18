// SPDX-License-Identifier: GPL-2.0
#include <unistd.h>

#include "device.h"
#include "holders.h"
#include "message.h"
#include "open_image.h"

/* Says why a file that may well be readable cannot be written. */
static int fail_writable(const char *path, enum open_image_mode mode,
			 int errnum)
{
	struct holders holders = { };
	struct stat st;
	int code;

	if (errnum == ETXTBSY && !stat(path, &st)) {
		holders_find_of_image(&holders, &st);
		code = message_fail(message_exit_code(errnum), path,
				    "cannot open for writing: busy: %s",
				    holders_text(&holders));
	} else {
		code = message_fail_errno(path, "cannot open for writing",
					  errnum);
	}
	if (errnum == EACCES && geteuid())
		message_hint("run it as root");
	else if (mode == OPEN_IMAGE_ATTACH)
		message_hint("'vhdxctl attach -r' attaches it read-only");
	else if (holders.command)
		message_hint("'%s' comes first", holders.command);
	holders_free(&holders);
	return code;
}

/**
 * open_image_file - open an image's file
 * @pf: to fill in; closed by posix_file_close()
 * @path: the file
 * @mode: what for: for writing too, where it is not only to be read
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int open_image_file(struct posix_file *pf, const char *path,
		    enum open_image_mode mode)
{
	int ret = posix_file_open(pf, path, mode != OPEN_IMAGE_READ);

	switch (-ret) {
	case 0:
		return 0;
	case ENOTBLK:
		return message_fail(EX_NOINPUT, path,
				    "cannot open: not a regular file or a block device");
	case EACCES:
	case EPERM:
	case EROFS:
	case EBUSY:
	case ETXTBSY:
		if (mode != OPEN_IMAGE_READ)
			return fail_writable(path, mode, -ret);
		fallthrough;
	default:
		return message_fail_errno(path, "cannot open", -ret);
	}
}

/**
 * open_image_is_written - whether an image is attached for writing
 * @st: of its file
 */
bool open_image_is_written(const struct stat *st)
{
	struct device_list disks;
	bool found = false;
	u64 ro;

	device_list_of_image(&disks, st);
	for (size_t i = 0; i < disks.count; i++)
		found |= device_attr_u64(disks.index[i], "vhdx/ro", &ro) && !ro;
	device_list_free(&disks);
	return found;
}

/**
 * open_image_error - what is wrong with an image, in words
 * @err: what its layer says
 *
 * Return: the text, which the caller frees. Where not the image is to blame, the
 * system's own words are added.
 */
char *open_image_error(const struct vhdx_error *err)
{
	char text[VHDX_ERROR_LENGTH];

	vhdx_error_print(text, sizeof(text), err);
	switch (-err->errnum) {
	case EMEDIUMTYPE:
	case EUCLEAN:
	case EOPNOTSUPP:
	case ESTALE:
		return text_printf("%s", text);
	default:
		return text_printf("%s: %s", text, strerror(-err->errnum));
	}
}

/**
 * open_image_fail - say why an image cannot be opened
 * @path: its file
 * @st: of that
 * @err: what is wrong
 *
 * Return: the exit code.
 */
int open_image_fail(const char *path, const struct stat *st,
		    const struct vhdx_error *err)
{
	char *text = open_image_error(err);
	int code = message_fail(message_exit_code(-err->errnum), path, "%s",
				text);

	free(text);
	if (err->errnum == -EMEDIUMTYPE)
		message_hint("'file' or 'qemu-img info' may tell what it is");
	else if (err->errnum == -EUCLEAN && open_image_is_written(st))
		message_hint("it is attached for writing, and may just have changed");
	return code;
}

/**
 * open_image - open an image for reading
 * @pf: to fill in; closed by posix_file_close() after vhdx_image_close()
 * @path: the file
 * @imgp: the image
 *
 * Return: 0, or the exit code; then the error was printed, and nothing is open.
 */
int open_image(struct posix_file *pf, const char *path,
	       struct vhdx_image **imgp)
{
	struct vhdx_error err;
	int code = open_image_file(pf, path, OPEN_IMAGE_READ);

	if (code)
		return code;
	if (!vhdx_image_open(&pf->file, 0, imgp, &err))
		return 0;
	posix_file_close(pf);
	return open_image_fail(path, &pf->stat, &err);
}

/**
 * open_image_lock - lock a file that is only read
 * @path: the file
 * @pf: the same, open for reading only
 * @what: what fails where somebody writes to it
 *
 * The lock lasts as long as the file is open.
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int open_image_lock(const char *path, const struct posix_file *pf,
		    const char *what)
{
	struct holders holders;
	int ret;

	ret = holders_lock_image(&holders, pf->fd, &pf->stat, false);
	if (ret && ret != -EAGAIN)
		return message_fail_errno(path, "cannot lock", -ret);
	if (!ret && !holders_find_writers(&holders, pf)) {
		if (!open_image_is_written(&pf->stat))
			return 0;
		holders_find_of_image(&holders, &pf->stat);
	}
	message_fail(EX_TEMPFAIL, path, "%s while it is written to: %s", what,
		     holders_text(&holders));
	if (holders.command)
		message_hint("'%s' comes first", holders.command);
	holders_free(&holders);
	return EX_TEMPFAIL;
}
