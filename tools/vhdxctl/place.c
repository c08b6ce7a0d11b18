// SPDX-License-Identifier: GPL-2.0
/*
 * A new file is written under a short name of its own in the folder it goes to,
 * and gets the user's name when it is whole and stable. Whatever ends the
 * program before that takes it away, short of SIGKILL and the power.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "image_lock.h"
#include "message.h"
#include "open_image.h"
#include "place.h"
#include "text.h"

/* For who interrupts it: the file that is to go then. */
static const char *unfinished_file;

static void clean_up(int number)
{
	const char *file = unfinished_file;

	if (file)
		unlink(file);
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

static int fail_exists(const char *name)
{
	return message_fail(EX_CANTCREAT, name,
			    "cannot create: there is such a file already");
}

/**
 * place_fail - say that a file cannot be made
 * @place: where it was to go
 * @errnum: positive errno: why
 *
 * Return: the exit code.
 */
int place_fail(const struct place *place, int errnum)
{
	if (errnum == EEXIST)
		return fail_exists(place->name);
	return message_fail_errno(place->name, "cannot create", errnum);
}

/**
 * place_fail_image - say that an image cannot be made
 * @place: where it was to go
 * @err: why
 *
 * Return: the exit code.
 */
int place_fail_image(const struct place *place, const struct vhdx_error *err)
{
	char *text = open_image_error(err);
	int code = message_fail(message_exit_code(-err->errnum), place->name,
				"cannot create: %s", text);

	free(text);
	return code;
}

/* Nobody's disk is pulled away: who uses it would go on with a file that is gone. */
static int check_old(const char *name, const struct stat *st)
{
	int fd, ret;

	if (!S_ISREG(st->st_mode))
		return message_fail(EX_CANTCREAT, name,
				    "cannot replace: not a regular file");
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return message_fail_errno(name, "cannot replace", errno);
	ret = image_lock(fd, true);
	close(fd);
	if (ret == -EAGAIN)
		return message_fail(EX_TEMPFAIL, name,
				    "cannot replace: it is in use");
	return ret ? message_fail_errno(name, "cannot lock", -ret) : 0;
}

/**
 * place_find - find out where a new file goes
 * @place: zeroed; receives it; to be freed by place_free(), on failure too
 * @command: the command whose argument it is
 * @name: of the file; kept
 * @replace: it may take the place of a file that nobody uses
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int place_find(struct place *place, const char *command, const char *name,
	       bool replace)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	char *folder;
	int code;

	place->name = name;
	if (!lstat(name, &place->old)) {
		code = replace ? check_old(name, &place->old) :
				 fail_exists(name);
		if (code)
			return code;
		place->replaces = true;
	}
	if (!*base)
		return message_fail(EX_USAGE, name, "%s: the name of a folder",
				    command);
	folder = text_printf("%.*s", (int)(base - name), name);
	place->folder = realpath(*folder ? folder : ".", NULL);
	free(folder);
	if (!place->folder)
		return place_fail(place, errno);
	place->path = text_printf("%s/%s", place->folder, base);
	return 0;
}

/* No signal comes between the file and the note of it. */
static int create_unfinished(struct place *place, struct posix_file *pf)
{
	int ret = -EEXIST;
	sigset_t all, old;

	clean_up_on_signals();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	/* Its name is short: none too long where the image's is not. */
	for (unsigned int i = 0; ret == -EEXIST && i < 100; i++) {
		free(place->unfinished);
		place->unfinished = text_printf("%s/.vhdxctl-%d-%u",
						place->folder, getpid(), i);
		ret = posix_file_create(pf, place->unfinished);
	}
	if (!ret)
		unfinished_file = place->unfinished;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/**
 * place_create - create the file under a name of its own
 * @place: from place_find()
 * @pf: to fill in; closed by posix_file_close()
 *
 * place_finish() or place_abandon() must follow.
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int place_create(struct place *place, struct posix_file *pf)
{
	int ret = create_unfinished(place, pf);

	if (ret)
		return place_fail(place, -ret);
	/* Who could not read the old one does not read the new one either. */
	if (place->replaces &&
	    fchmod(pf->fd, place->old.st_mode & (mode_t)07777)) {
		int code = place_fail(place, errno);

		posix_file_close(pf);
		place_abandon(place);
		return code;
	}
	return 0;
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

static int give_name(const struct place *place)
{
	const char *old = place->unfinished, *new = place->path;

	if (place->replaces)
		return rename(old, new) ? -errno : 0;
	/* Never over another file. */
	if (!renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE))
		return 0;
	/* The file system may not know that kind of renaming. */
	if (errno != EINVAL && errno != EOPNOTSUPP)
		return -errno;
	return link(old, new) || unlink(old) ? -errno : 0;
}

/**
 * place_finish - give a whole and stable file its name
 * @place: where place_create() has been successful
 *
 * Return: 0, or the exit code; then the error was printed, and there is no
 * such file, or the old one.
 */
int place_finish(struct place *place)
{
	int ret = give_name(place);

	if (ret) {
		place_abandon(place);
		return place_fail(place, -ret);
	}
	unfinished_file = NULL;
	ret = sync_folder(place->folder);
	if (!ret)
		return 0;
	/* The old one is gone already; better this than none. */
	if (!place->replaces)
		unlink(place->path);
	return place_fail(place, -ret);
}

/**
 * place_abandon - take away a file that will not become whole
 * @place: where place_create() has been successful
 */
void place_abandon(struct place *place)
{
	unlink(place->unfinished);
	unfinished_file = NULL;
}

/**
 * place_free - free what place_find() has got
 * @place: it
 */
void place_free(struct place *place)
{
	free(place->folder);
	free(place->path);
	free(place->unfinished);
}
