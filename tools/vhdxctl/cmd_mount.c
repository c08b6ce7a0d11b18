// SPDX-License-Identifier: GPL-2.0
/*
 * vhdxctl mount, and mount.vhdx, which mount(8) calls.
 *
 * The disk is attached with autoclear and held open until it is mounted: what
 * fails in between does not take it away, and what kills this does.
 */
#include <fcntl.h>
#include <libmount/libmount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "attach.h"
#include "device.h"
#include "disk_id.h"
#include "message.h"
#include "mountable.h"
#include "text.h"
#include "vhdxctl.h"

#define PREFIX		"vhdx."
#define LOCK_FOLDER	"/run/vhdx"
/* How long a disk may take to go that is unmounted already. */
#define GOING_TRIES	300
#define GOING_TRY_MS	100

/**
 * struct request - a mount as the user wants it
 * @attach: how the image is to be attached
 * @dir: the folder
 * @part: number, label or UUID of the partition; NULL: the only one
 * @options: for the file system, as mount has them; or NULL
 * @look_options: those that a look at its root can have too; or NULL
 * @words: options that are ours, split up
 * @count: how many
 * @remount: only the options of what is mounted there change
 * @again: it is well when that file system is mounted there already
 * @quiet: say nothing but errors
 * @fake: do nothing
 */
struct request {
	struct attach_request attach;
	const char *dir;
	const char *part;
	char *options;
	char *look_options;
	char **words;
	size_t count;
	bool remount;
	bool again;
	bool quiet;
	bool fake;
};

static bool is_read_only(const struct request *request)
{
	return request->attach.flags & VHDX_ATTACH_READ_ONLY;
}

static char *keep(struct request *request, char *word)
{
	request->words = text_memory(realloc(request->words,
					     (request->count + 1) *
					     sizeof(*request->words)));
	request->words[request->count++] = word;
	return word;
}

/* One that begins with vhdx. and is not for the file system. */
static int take_own(struct request *request, const char *name,
		    const char *value)
{
	if (strcmp(name, "part"))
		return attach_take_words(&request->attach, PREFIX, name, value);
	if (!value)
		return message_fail(EX_USAGE, NULL, PREFIX "part: needs a value");
	request->part = value;
	return 0;
}

/* What mount does with the folder, or mounts of the file system, is for no look. */
static bool is_for_look(const char *word)
{
	return strncasecmp(word, "x-", 2);
}

static void take_other(struct request *request, const char *word,
		       const char *value)
{
	if (mnt_optstr_append_option(&request->options, word, value) ||
	    (is_for_look(word) &&
	     mnt_optstr_append_option(&request->look_options, word, value)))
		text_memory(NULL);
}

static int take_options(struct request *request, char *options)
{
	size_t name_size, value_size;
	char *name, *value;
	int code = 0;

	while (!code && !mnt_optstr_next_option(&options, &name, &name_size,
						&value, &value_size)) {
		char *word = keep(request, text_memory(strndup(name, name_size)));
		char *its_value = NULL;

		if (value)
			its_value = keep(request,
					 text_memory(strndup(value, value_size)));
		if (!strncmp(word, PREFIX, strlen(PREFIX)))
			code = take_own(request, word + strlen(PREFIX),
					its_value);
		else
			take_other(request, word, its_value);
		request->remount |= !strcmp(word, "remount");
		/* mount(8) says rw where nobody said anything. */
		if (!strcmp(word, "ro"))
			request->attach.flags |= VHDX_ATTACH_READ_ONLY;
		else if (!strcmp(word, "rw"))
			request->attach.flags &= ~VHDX_ATTACH_READ_ONLY;
	}
	return code;
}

/* A disk of the image that will do, kept open; -1: there is none. */
static int open_attached(const struct request *request, const struct stat *st,
			 struct disk_id *id, bool *going)
{
	struct device_list disks;
	int fd = -1;

	*going = false;
	device_list_of_image(&disks, st);
	for (size_t i = 0; fd < 0 && i < disks.count; i++) {
		char *device = device_path(disks.index[i]);
		u64 ro;

		*id = disk_id_get(disks.index[i]);
		if (device_attr_u64(id->index, "vhdx/ro", &ro) &&
		    (!ro || is_read_only(request)))
			fd = open(device, O_RDONLY | O_CLOEXEC);
		*going |= fd < 0 && errno == ENXIO;
		free(device);
	}
	device_list_free(&disks);
	return fd;
}

/*
 * The image's disk, kept open in fd: one that it has, so that several partitions
 * can be mounted, or a new one.
 */
static int get_disk(const struct request *request, struct disk_id *id, int *fd,
		    bool *ours)
{
	const struct timespec pause = { .tv_nsec = GOING_TRY_MS * 1000000 };
	bool going = true;
	struct stat st;
	int code;

	*ours = false;
	if (!stat(request->attach.path, &st))
		for (int i = 0; going && i < GOING_TRIES; i++) {
			if (i)
				nanosleep(&pause, NULL);
			*fd = open_attached(request, &st, id, &going);
			if (*fd >= 0)
				return 0;
		}
	code = attach_image(&request->attach, id, fd);
	*ours = !code;
	return code;
}

/* What stands between a file system and its mount, and what to do about it. */
static void hint(const char *type, bool read_only)
{
	if (!strncmp(type, "ntfs", 4))
		message_hint("was it unmounted by Windows? there 'chkdsk /f' helps%s",
			     read_only ? "" : ", or -r here");
	else if (read_only && !strncmp(type, "ext", 3))
		message_hint("'-r -o noload' mounts it without its journal");
	else if (read_only && !strcmp(type, "xfs"))
		message_hint("'-r -o norecovery' mounts it without its log");
}

/**
 * struct attempt - one try to mount
 * @device: what
 * @type: as what
 * @wanted: options as mount has them, the user's; or NULL
 * @options: ours
 * @network: it needs the network
 * @unknown: the kernel knows no such type, which was not said
 */
struct attempt {
	const char *device;
	const char *type;
	const char *wanted;
	const char *options;
	bool network;
	bool unknown;
};

/* 0 or the exit code; then the error was printed, unless the type is unknown. */
static int try_mount(const struct request *request, struct attempt *attempt)
{
	struct libmnt_context *context = text_memory(mnt_new_context());
	char text[512] = "";
	int errnum = 0;
	int code = 0;
	int ret;

	if (mnt_context_set_source(context, attempt->device) ||
	    mnt_context_set_target(context, request->dir) ||
	    mnt_context_set_fstype(context, attempt->type) ||
	    mnt_context_set_options(context, attempt->wanted) ||
	    mnt_context_append_options(context, attempt->options))
		text_memory(NULL);
	ret = mnt_context_mount(context);
	if (mnt_context_get_excode(context, ret, text, sizeof(text))) {
		if (mnt_context_syscall_called(context))
			errnum = mnt_context_get_syscall_errno(context);
		code = errnum > 0 ? message_exit_code(errnum) : EXIT_FAILURE;
		attempt->unknown = errnum == ENODEV;
		if (!attempt->unknown)
			message_fail(code, attempt->device,
				     "cannot mount on %s: %s", request->dir,
				     *text ? text :
				     "its program failed");
	}
	mnt_free_context(context);
	return code;
}

static int fail_hibernated(const char *device)
{
	message_fail(EX_TEMPFAIL, device,
		     "cannot mount: Windows is hibernated on it, as a shutdown with fast startup leaves it");
	message_hint("start Windows and end it with 'shutdown /s /t 0'; or look into it with -r");
	return EX_TEMPFAIL;
}

/* Reads how a file begins; -1 and errno. A pipe or a folder has nothing to read. */
static ssize_t read_magic(const char *path, char *magic, size_t length)
{
	struct stat st;
	ssize_t n;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -1;
	if (!S_ISREG(st.st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, magic, length);
	close(fd);
	return n;
}

/*
 * The file that Windows wakes up from. It would not see what is written now. Who made
 * the image may have put anything else there.
 */
static int check_hibernated(const char *device, const char *dir)
{
	char *path = text_printf("%s/hiberfil.sys", dir);
	char magic[4] = "";
	ssize_t n = read_magic(path, magic, sizeof(magic));
	int errnum = errno;

	free(path);
	if (n < 0) {
		message_fail_errno(device,
				   "cannot see whether Windows is hibernated on it: hiberfil.sys",
				   errnum);
		message_hint("-r mounts it all the same");
		return message_exit_code(errnum);
	}
	return n == sizeof(magic) && !strncasecmp(magic, "hibr", sizeof(magic)) ?
	       fail_hibernated(device) : 0;
}

/* The exit code of the process that looks where the kernel knows no such type. */
#define LOOK_UNKNOWN	255

static void go_on(int number)
{
	(void)number;
}

/* Who is stopped half way leaves it mounted, by a daemon of FUSE that keeps this place. */
static void defy_signals(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (signal(numbers[i], go_on) == SIG_IGN)
			signal(numbers[i], SIG_IGN);
}

static int look(const struct request *request, struct attempt *attempt)
{
	int code;

	defy_signals();
	attempt->wanted = request->look_options;
	attempt->options = "ro,nosuid,nodev,noexec";
	code = try_mount(request, attempt);
	if (code)
		return attempt->unknown ? LOOK_UNKNOWN : code;
	code = check_hibernated(attempt->device, request->dir);
	if (umount2(request->dir, 0) && !code)
		code = message_fail_errno(request->dir, "cannot unmount", errno);
	return code;
}

/*
 * Not every driver of NTFS looks for that before it writes. It is mounted for a look
 * where nobody else sees it: somebody who has a file of it open would keep it so.
 */
static int refuse_hibernated(const struct request *request,
			     struct attempt *attempt)
{
	int status;
	pid_t pid;

	/* Who called this may ignore it, and then no child can be waited for. */
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (!pid) {
		/* In a chroot it may stay visible; then it is mounted all the same. */
		if (!unshare(CLONE_NEWNS))
			mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
		_exit(look(request, attempt));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return message_fail_errno(request->dir, "cannot mount there",
					  errno);
	if (!WIFEXITED(status))
		return message_fail(EXIT_FAILURE, request->dir,
				    "cannot mount there: ended by signal %d",
				    WTERMSIG(status));
	if (WEXITSTATUS(status) != LOOK_UNKNOWN)
		return WEXITSTATUS(status);
	attempt->unknown = true;
	return message_exit_code(ENODEV);
}

/* On top of what else is mounted there; or NULL. */
static struct libmnt_fs *mounted_on(struct libmnt_table *table, const char *dir)
{
	char *path = realpath(dir, NULL);
	struct libmnt_fs *fs = path && !mnt_table_parse_mtab(table, NULL) ?
			       mnt_table_find_target(table, path,
						     MNT_ITER_BACKWARD) : NULL;

	free(path);
	return fs;
}

static bool is_mounted_on(const char *device, const char *dir)
{
	struct libmnt_table *table = text_memory(mnt_new_table());
	struct libmnt_fs *fs = mounted_on(table, dir);
	const char *source = fs ? mnt_fs_get_srcpath(fs) : NULL;
	bool result = source && !strcmp(source, device);

	mnt_unref_table(table);
	return result;
}

static bool is_mounted(const char *device)
{
	struct libmnt_table *table = text_memory(mnt_new_table());
	bool result = !mnt_table_parse_mtab(table, NULL) &&
		      mnt_table_find_srcpath(table, device,
					     MNT_ITER_BACKWARD);

	mnt_unref_table(table);
	return result;
}

/* By its type, or as who mounted it has said. */
static bool is_on_network(struct libmnt_table *table, const char *path)
{
	char *real = realpath(path, NULL);
	char *folder = real ? mnt_get_mountpoint(real) : NULL;
	struct libmnt_fs *fs = folder ? mnt_table_find_target(table, folder,
							      MNT_ITER_BACKWARD) :
					NULL;

	free(folder);
	free(real);
	return fs && (mnt_fs_is_netfs(fs) ||
		      !mnt_fs_get_option(fs, "_netdev", NULL, NULL));
}

/* Whether it needs the network: systemd unmounts it before that goes when it is told so. */
static bool needs_network(const char *image, unsigned int index)
{
	struct libmnt_table *table = text_memory(mnt_new_table());
	char *parents = device_attr(index, "vhdx/parents");
	char *next = parents;
	const char *path = image;
	bool result = false;

	if (!mnt_table_parse_mtab(table, NULL))
		for (; !result && path; path = strsep(&next, "\n"))
			result = is_on_network(table, path);
	free(parents);
	mnt_unref_table(table);
	return result;
}

static int mount_as(const struct request *request, struct attempt *attempt)
{
	bool read_only = is_read_only(request);
	char *options;
	int code = 0;

	/* Once more of what is mounted for writing cannot be mounted read-only. */
	if (!strncmp(attempt->type, "ntfs", 4) && !read_only &&
	    !is_mounted(attempt->device)) {
		code = refuse_hibernated(request, attempt);
		if (code)
			return code;
	}
	attempt->wanted = request->options;
	options = text_printf("uhelper=vhdx%s%s", read_only ? ",ro" : "",
			      attempt->network ? ",_netdev" : "");
	attempt->options = options;
	code = try_mount(request, attempt);
	attempt->options = NULL;
	free(options);
	if (code && !attempt->unknown)
		hint(attempt->type, read_only);
	return code;
}

static int mount_device(const struct request *request,
			const struct mountable *mountable, bool network)
{
	struct attempt attempt = {
		.device = mountable->device,
		.type = mountable->type,
		.network = network,
	};
	struct statvfs st;
	int code;

	/* The kernel's own driver first; ntfs may be the one of FUSE. */
	if (!strcmp(mountable->type, "ntfs"))
		attempt.type = "ntfs3";
	code = mount_as(request, &attempt);
	if (attempt.unknown && !strcmp(attempt.type, "ntfs3")) {
		attempt.type = mountable->type;
		attempt.unknown = false;
		code = mount_as(request, &attempt);
	}
	if (attempt.unknown)
		return message_fail(EX_UNAVAILABLE, attempt.device,
				    "cannot mount: this kernel has no driver for %s",
				    attempt.type);
	if (code)
		return code;
	if (!is_read_only(request) && !statvfs(request->dir, &st) &&
	    st.f_flag & ST_RDONLY) {
		message_warn(attempt.device, "mounted read-only");
		hint(attempt.type, false);
	}
	return 0;
}

static void say(const struct mountable *mountable)
{
	char *label = mountable->label ? text_for_terminal(mountable->label) :
					 NULL;

	printf("%s: %s%s%s%s\n", mountable->device, mountable->type,
	       label ? ", label " : "", label ? label : "",
	       mountable->number ? "" :
				   ", on the whole disk: it has no partitions");
	free(label);
}

static int mount_disk(const struct request *request, unsigned int index)
{
	const struct mountable *chosen = NULL;
	struct mountable_list list;
	int code = mountable_find(&list, index);
	u64 ro;

	if (is_read_only(request) && device_attr_u64(index, "vhdx/ro", &ro) &&
	    !ro)
		message_warn(request->attach.path,
			     "attached for writing: a file system may change it though it is mounted read-only");
	if (!code)
		code = mountable_choose(&list, request->attach.path,
					request->part, &chosen);
	if (!code &&
	    !(request->again && is_mounted_on(chosen->device, request->dir))) {
		code = mount_device(request, chosen,
				    needs_network(request->attach.path, index));
		if (!code && !request->quiet)
			say(chosen);
	}
	mountable_free(&list);
	return code;
}

/*
 * Of two that mount the same image at once one attaches it, for both. Not by a lock of
 * the image: everybody who can read it may have that, and over the network it is one
 * that keeps ourselves from attaching it. -1: without, where there is no place for it.
 */
static int wait_for_others(const char *image)
{
	struct stat st;
	char *path;
	int fd;

	if (stat(image, &st))
		return -1;
	mkdir(LOCK_FOLDER, 0700);
	path = text_printf(LOCK_FOLDER "/%llu:%llu.lock",
			   (unsigned long long)st.st_dev,
			   (unsigned long long)st.st_ino);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	free(path);
	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

/* What Windows wakes up from is in the root. */
static int check_remount(struct libmnt_fs *fs, const char *dir)
{
	const char *root = mnt_fs_get_root(fs);
	const char *device = mnt_fs_get_srcpath(fs);

	if (root && strcmp(root, "/")) {
		message_fail(EX_TEMPFAIL, dir,
			     "cannot remount: %s of it is mounted there, from where nobody sees whether Windows is hibernated",
			     root);
		message_hint("unmount it, and mount it anew");
		return EX_TEMPFAIL;
	}
	return check_hibernated(device, dir);
}

static int change_options(const struct request *request, struct libmnt_table *table)
{
	struct libmnt_fs *fs = mounted_on(table, request->dir);
	const char *source = fs ? mnt_fs_get_srcpath(fs) : NULL;
	struct attempt attempt;
	unsigned int index;
	int code;
	char *name;

	name = source ? text_memory(strdup(source)) : NULL;
	if (name && strchr(name, 'p'))
		*strchr(name, 'p') = '\0';
	if (!name || !device_parse(name, &index)) {
		free(name);
		return message_fail(EX_NOINPUT, request->dir,
				    "cannot remount: no vhdx disk is mounted there");
	}
	free(name);
	attempt = (struct attempt){
		.device = source,
		.type = mnt_fs_get_fstype(fs),
		.wanted = request->options,
		.options = is_read_only(request) ? "uhelper=vhdx,ro" :
						   "uhelper=vhdx",
	};
	if (!strncmp(attempt.type, "ntfs", 4) && !is_read_only(request)) {
		code = check_remount(fs, request->dir);
		if (code)
			return code;
	}
	return try_mount(request, &attempt);
}

/* What is mounted stays so, with other options. */
static int remount_dir(const struct request *request)
{
	struct libmnt_table *table = text_memory(mnt_new_table());
	int code = change_options(request, table);

	mnt_unref_table(table);
	return code;
}

static int mount_image(const struct request *request)
{
	struct disk_id id;
	struct stat st;
	bool ours;
	int lock;
	int code;
	int fd;

	if (stat(request->dir, &st))
		return message_fail_errno(request->dir, "cannot mount there",
					  errno);
	if (!S_ISDIR(st.st_mode))
		return message_fail(EX_NOINPUT, request->dir,
				    "cannot mount there: not a folder");
	if (request->fake)
		return 0;
	if (request->remount)
		return remount_dir(request);
	lock = wait_for_others(request->attach.path);
	code = get_disk(request, &id, &fd, &ours);
	if (!code) {
		code = mount_disk(request, id.index);
		if (code && ours)
			attach_undo(&id);
		if (fd >= 0)
			close(fd);
		/* Who comes next may want to repair the image. */
		if (code && ours)
			disk_id_wait_gone(&id, request->attach.path);
	}
	if (lock >= 0)
		close(lock);
	return code;
}

static int parse_arguments(struct request *request, int argc, char **argv)
{
	int code = attach_check_options(&request->attach, PREFIX, "-r");

	if (code)
		return code;
	if (argc - optind != 2) {
		message_fail(EX_USAGE, NULL, argc - optind > 2 ?
			     "mount: more than an image and a folder" :
			     "mount: no image or no folder given");
		return vhdxctl_usage(&vhdxctl_mount);
	}
	request->attach.path = argv[optind];
	request->dir = argv[optind + 1];
	return 0;
}

static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "options", required_argument, NULL, 'o' },
		{ "partition", required_argument, NULL, 'p' },
		{ "read-only", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	bool read_only = false;
	int code = 0;
	int c;

	while ((c = getopt_long(argc, argv, "o:p:rh", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			code = take_options(request, optarg);
			if (code)
				return code;
			break;
		case 'p':
			request->part = optarg;
			break;
		case 'r':
			read_only = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_mount);
		default:
			return vhdxctl_usage(&vhdxctl_mount);
		}
	}
	if (read_only)
		request->attach.flags |= VHDX_ATTACH_READ_ONLY;
	return parse_arguments(request, argc, argv);
}

/* As mount(8) calls it: IMAGE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE] */
static int parse_helper(struct request *request, int argc, char **argv)
{
	int code = 0;
	int c;

	/* mount -a does not know the disk of a line that is mounted, and asks again. */
	request->again = true;
	request->quiet = true;
	while (!code && (c = getopt(argc, argv, "sfnvN:o:t:")) != -1) {
		switch (c) {
		case 'f':
			request->fake = true;
			break;
		case 'o':
			code = take_options(request, optarg);
			break;
		case 'v':
			request->quiet = false;
			break;
		case 'N':
			code = message_fail(EX_USAGE, NULL,
					    "mount: other mount namespaces are not supported");
			break;
		case '?':
			return vhdxctl_usage(&vhdxctl_mount);
		default:
			break;
		}
	}
	return code ? code : parse_arguments(request, argc, argv);
}

static int parse_and_mount(int (*parse)(struct request *request, int argc,
					char **argv), int argc, char **argv)
{
	struct request request = {
		.attach.index = -1,
		.attach.flags = VHDX_ATTACH_AUTOCLEAR,
	};
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	if (!code && request.dir)
		code = mount_image(&request);
	for (size_t i = 0; i < request.count; i++)
		free(request.words[i]);
	free(request.words);
	free(request.options);
	free(request.look_options);
	chain_options_free(&request.attach.chain);
	return code;
}

static int run(int argc, char **argv)
{
	return parse_and_mount(parse, argc, argv);
}

/**
 * vhdxctl_mount_helper - be mount.vhdx
 * @argc: of main()
 * @argv: of main()
 *
 * Return: the exit code, as mount(8) has them.
 */
int vhdxctl_mount_helper(int argc, char **argv)
{
	int code = parse_and_mount(parse_helper, argc, argv);

	if (!code)
		return 0;
	return code == EX_USAGE ? MNT_EX_USAGE : MNT_EX_FAIL;
}

const struct vhdxctl_command vhdxctl_mount = {
	.name = "mount",
	.synopsis = "[OPTION]... IMAGE DIR",
	.summary = "Attach an image and mount a file system of it",
	.help = "Mounts the only partition with a file system, or the whole disk where it has no\n"
		"partitions. The disk is detached when it is unmounted.\n"
		"\n"
		"  -p, --partition PART   this one: its number, or its label or UUID\n"
		"  -o, --options LIST     options as for mount, and such as vhdx.direct-io=off,\n"
		"                         for the options of attach\n"
		"  -r, --read-only        the image is not changed\n",
	.run = run,
};
