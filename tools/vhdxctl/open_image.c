// SPDX-License-Identifier: GPL-2.0
#include "message.h"
#include "open_image.h"

/**
 * open_image_file - open an image's file for reading
 * @pf: to fill in; closed by posix_file_close()
 * @path: the file
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int open_image_file(struct posix_file *pf, const char *path)
{
	int ret = posix_file_open(pf, path);

	if (ret == -ENOTBLK)
		return message_fail(EX_NOINPUT, path,
				    "cannot open: not a regular file or a block device");
	if (ret)
		return message_fail_errno(path, "cannot open", -ret);
	return 0;
}

/* Where not the image is to blame, the system's own words are added. */
static int fail_image(const char *path, const struct vhdx_error *err)
{
	int code = message_exit_code(-err->errnum);
	char text[VHDX_ERROR_LENGTH];

	vhdx_error_print(text, sizeof(text), err);
	switch (-err->errnum) {
	case EMEDIUMTYPE:
		message_fail(code, path, "%s", text);
		message_hint("'file' or 'qemu-img info' may tell what it is");
		break;
	case EUCLEAN:
	case EOPNOTSUPP:
		message_fail(code, path, "%s", text);
		break;
	default:
		message_fail(code, path, "%s: %s", text,
			     strerror(-err->errnum));
		break;
	}
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
	int code = open_image_file(pf, path);

	if (code)
		return code;
	if (!vhdx_image_open(&pf->file, 0, imgp, &err))
		return 0;
	posix_file_close(pf);
	return fail_image(path, &err);
}
