// SPDX-License-Identifier: GPL-2.0
/*
 * A new file is written under a short name of its own in the folder it goes to,
 * and gets the user's name when it is whole and stable. Whatever ends the
 * program before that takes it away, short of SIGKILL and the power.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "edit_image.h"
#include "image_lock.h"
#include "message.h"
#include "open_image.h"
#include "place.h"
#include "text.h"

#define CANNOT	"cannot replace"

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
	static const int numbers[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU
	};
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

static int refuse_parent(struct place *place)
{
	struct vhdx_image *img;
	struct vhdx_error err;
	int code;

	/* Above what is no image nothing can be opened either. */
	if (vhdx_image_open(&place->old.file, VHDX_OPEN_NO_BLOCKS, &img, &err))
		return 0;
	code = edit_image_refuse_parent(&place->old, place->name, CANNOT, img);
	vhdx_image_close(img);
	return code;
}

static int fail_in_use(const struct place *place)
{
	return message_fail(EX_TEMPFAIL, place->name, CANNOT ": it is in use");
}

/* Nobody's disk is pulled away: who uses it would go on with a file that is gone. */
static int take_old(struct place *place)
{
	int ret = posix_file_open_named(&place->old, place->path);

	if (ret == -ENOTBLK)
		return message_fail(EX_CANTCREAT, place->name,
				    CANNOT ": not a regular file");
	if (ret)
		return message_fail_errno(place->name, CANNOT, -ret);
	place->replaces = true;
	ret = image_lock(place->old.fd, true);
	if (ret && ret != -EAGAIN)
		return message_fail_errno(place->name, "cannot lock", -ret);
	if (ret || posix_file_has_others(&place->old, false))
		return fail_in_use(place);
	return refuse_parent(place);
}

/*
 * A new file takes its time, and not everybody knows of locks. Who only reads the
 * old one by now is no reason to throw the new one away.
 */
static int check_old_again(struct place *place)
{
	struct stat st;

	if (lstat(place->path, &st))
		return message_fail_errno(place->name, CANNOT, errno);
	if (st.st_dev != place->old.stat.st_dev ||
	    st.st_ino != place->old.stat.st_ino)
		return message_fail(EX_CANTCREAT, place->name,
				    CANNOT ": another file is there by now");
	if (posix_file_has_others(&place->old, true))
		return fail_in_use(place);
	return refuse_parent(place);
}

/**
 * place_find - find out where a new file goes
 * @place: zeroed; receives it; to be freed by place_free(), on failure too
 * @command: the command whose argument it is
 * @name: of the file; kept
 * @replace: it may take the place of a file that nobody uses and that is no parent
 *
 * Return: 0, or the exit code; then the error was printed.
 */
int place_find(struct place *place, const char *command, const char *name,
	       bool replace)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	struct stat st;
	bool exists = !lstat(name, &st);
	char *folder;

	place->name = name;
	if (exists && !replace)
		return fail_exists(name);
	if (!*base)
		return message_fail(EX_USAGE, name, "%s: the name of a folder",
				    command);
	folder = text_printf("%.*s", (int)(base - name), name);
	place->folder = realpath(*folder ? folder : ".", NULL);
	free(folder);
	if (!place->folder)
		return place_fail(place, errno);
	place->path = text_printf("%s/%s", place->folder, base);
	return exists ? take_old(place) : 0;
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
		/* An old file's rights come later: until then only we have any. */
		ret = posix_file_create(pf, place->unfinished,
					place->replaces ? 0600 : 0666);
	}
	if (!ret)
		unfinished_file = place->unfinished;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/*
 * Who could not read the old file does not read the new one either. What makes a
 * program of it stays behind: the content is somebody else's now.
 */
static int take_rights(int fd, const struct posix_file *old)
{
	uid_t owner = old->stat.st_uid;
	gid_t group = old->stat.st_gid;
	mode_t mode = old->stat.st_mode & 0777;

	/* With such a list the mode does not say what the group may do. */
	if (fgetxattr(old->fd, "system.posix_acl_access", NULL, 0) > 0)
		mode &= 0700;
	/* Not everybody may give files away, but more often their group. */
	if (fchown(fd, owner, group) && fchown(fd, (uid_t)-1, group)) {
		/* Who was in the group is among the others, or the other way. */
		mode_t common = mode & (mode >> 3) & 07;

		mode = (mode & 0700) | common << 3 | common;
	}
	/* Last: a change of the owner takes rights away. */
	return fchmod(fd, mode) ? -errno : 0;
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
	if (place->replaces)
		ret = take_rights(pf->fd, &place->old);
	if (!ret)
		return 0;
	posix_file_close(pf);
	place_abandon(place);
	return place_fail(place, -ret);
}

/* Where one may write but not look, all of the file system has to do. */
static int sync_name(const struct place *place)
{
	int fd = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool all = fd < 0 && errno == EACCES;
	int ret = 0;

	if (all)
		fd = open(place->path,
			  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Not every file system knows fsync() of folders. */
	if (all ? syncfs(fd) : fsync(fd) && errno != EINVAL)
		ret = -errno;
	close(fd);
	return ret;
}

static int give_name(const struct place *place)
{
	const char *old = place->unfinished, *new = place->path;
	struct stat st;

	if (place->replaces)
		return rename(old, new) ? -errno : 0;
	/* Never over another file. */
	if (!renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE))
		return 0;
	/* The file system may not know that kind of renaming. */
	if (errno != EINVAL && errno != EOPNOTSUPP)
		return -errno;
	if (!link(old, new))
		return unlink(old) ? -errno : 0;
	/* Nor hard links, as the shared folders of VMs: then a look must do. */
	if (!lstat(new, &st))
		return -EEXIST;
	return errno != ENOENT || rename(old, new) ? -errno : 0;
}

/**
 * place_finish - give a whole file its name
 * @place: where place_create() has been successful
 * @sync: the file is stable, and so gets its name
 *
 * Return: 0, or the exit code; then the error was printed, and there is no
 * such file, or the old one.
 */
int place_finish(struct place *place, bool sync)
{
	int code = place->replaces ? check_old_again(place) : 0;
	int ret;

	if (code) {
		place_abandon(place);
		return code;
	}
	ret = give_name(place);
	if (ret) {
		place_abandon(place);
		return place_fail(place, -ret);
	}
	unfinished_file = NULL;
	ret = sync ? sync_name(place) : 0;
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
	if (place->replaces)
		posix_file_close(&place->old);
	free(place->folder);
	free(place->path);
	free(place->unfinished);
}
