// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "progress.h"
#include "text.h"

/**
 * message_exit_code - the exit code that belongs to an errno
 * @errnum: positive errno
 *
 * Return: a code of sysexits(3), or 1 where none of them fits.
 */
int message_exit_code(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENOTBLK:
		return EX_NOINPUT;
	case EOPNOTSUPP:
	case ENOTTY:
	case ENODEV:
	case ENXIO:
		return EX_UNAVAILABLE;
	case EBUSY:
	case ETXTBSY:
	case EAGAIN:
	case EINTR:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EX_TEMPFAIL;
	case EIO:
		return EX_IOERR;
	case EACCES:
	case EPERM:
	case EROFS:
		return EX_NOPERM;
	default:
		return EXIT_FAILURE;
	}
}

static void message_print(const char *prefix, const char *file,
			  const char *fmt, va_list args)
{
	char *text = text_vprintf(fmt, args);
	char *safe = text_for_terminal(text);
	char *safe_file = file ? text_for_terminal(file) : NULL;

	/* What went to stdout belongs before it. */
	fflush(stdout);
	progress_hide();
	fprintf(stderr, "%s%s%s%s\n", prefix, safe_file ? safe_file : "",
		safe_file ? ": " : "", safe);
	free(safe_file);
	free(safe);
	free(text);
}

/**
 * message_fail - print an error
 * @code: the exit code it means
 * @file: the image, device or option it is about, or NULL
 * @fmt: "what: why", without a newline; the text may hold untrusted strings
 *
 * Return: @code.
 */
int message_fail(int code, const char *file, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message_print("vhdxctl: ", file, fmt, args);
	va_end(args);
	return code;
}

/**
 * message_fail_errno - print an error that a system call explains
 * @file: the image or device it is about, or NULL
 * @what: what failed
 * @errnum: positive errno: why
 *
 * Return: the exit code that belongs to @errnum.
 */
int message_fail_errno(const char *file, const char *what, int errnum)
{
	return message_fail(message_exit_code(errnum), file, "%s: %s", what,
			    strerror(errnum));
}

/**
 * message_hint - say what to do about the error just printed
 * @fmt: the hint, without a newline; the text may hold untrusted strings
 */
void message_hint(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message_print("hint: ", NULL, fmt, args);
	va_end(args);
}

/**
 * message_warn - print a warning, which changes no exit code
 * @file: the image or device it is about, or NULL
 * @fmt: the warning, without a newline
 */
void message_warn(const char *file, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	message_print("vhdxctl: warning: ", file, fmt, args);
	va_end(args);
}

/**
 * message_close_stdout - the last thing before the program ends
 * @code: its exit code so far
 * @lost: what it is at least where stdout could not be written
 *
 * Output that did not reach its file is an error, however late that shows.
 *
 * Return: the exit code.
 */
int message_close_stdout(int code, int lost)
{
	bool pending = __fpending(stdout) != 0;
	bool failed = ferror(stdout);
	int errnum = 0;

	errno = 0;
	if (fclose(stdout) && (pending || errno != EBADF)) {
		failed = true;
		errnum = errno;
	}
	if (!failed)
		return code;
	if (errnum)
		message_fail(lost, NULL, "write error: %s", strerror(errnum));
	else
		message_fail(lost, NULL, "write error");
	return max(code, lost);
}
