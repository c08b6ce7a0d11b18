// SPDX-License-Identifier: GPL-2.0
/*
 * vhdxctl umount, and umount.vhdx, which umount(8) calls for ordinary users.
 *
 * The disk goes by itself, after the system call has returned. Who unmounts the
 * file system that the image is on, or attaches the image again, comes next: so
 * this waits until the image is let go of.
 */
#include <getopt.h>
#include <libmount/libmount.h>

#include "device.h"
#include "disk_id.h"
#include "message.h"
#include "text.h"
#include "vhdxctl.h"

/**
 * struct request - an unmount as the user wants it
 * @dir: where it is mounted
 * @lazy: at once, whoever uses it
 * @force: as umount does it
 * @read_only: mount it read-only where it is busy
 */
struct request {
	const char *dir;
	bool lazy;
	bool force;
	bool read_only;
};

/**
 * struct disk - what is unmounted
 * @id: its disk
 * @image: path of the image
 */
struct disk {
	struct disk_id id;
	char *image;
};

/* Whether it will go when it is unmounted. */
static bool find_disk(struct disk *disk, const char *source)
{
	unsigned int index;
	bool partition;
	struct stat st;
	u64 autoclear;

	if (!source || stat(source, &st) || !S_ISBLK(st.st_mode) ||
	    !device_of_node(st.st_rdev, &index, &partition))
		return false;
	disk->image = device_attr(index, "vhdx/backing_file");
	disk->id = disk_id_get(index);
	return device_attr_u64(index, "vhdx/autoclear", &autoclear) &&
	       autoclear && disk->image;
}

static int run_umount(const struct request *request)
{
	struct libmnt_context *context = text_memory(mnt_new_context());
	struct libmnt_fs *fs;
	struct disk disk = { };
	char text[512] = "";
	bool goes = false;
	int code = 0;
	int ret;

	if (mnt_context_set_target(context, request->dir) ||
	    mnt_context_disable_helpers(context, 1) ||
	    mnt_context_enable_lazy(context, request->lazy) ||
	    mnt_context_enable_force(context, request->force) ||
	    mnt_context_enable_rdonly_umount(context, request->read_only))
		text_memory(NULL);
	ret = mnt_context_find_umount_fs(context, request->dir, &fs);
	if (ret) {
		code = message_fail(EX_NOINPUT, request->dir,
				    "cannot unmount: nothing is mounted there");
		goto out;
	}
	goes = find_disk(&disk, mnt_fs_get_srcpath(fs));
	ret = mnt_context_umount(context);
	if (mnt_context_get_excode(context, ret, text, sizeof(text))) {
		int errnum = mnt_context_get_syscall_errno(context);

		code = errnum > 0 ? message_exit_code(errnum) : EXIT_FAILURE;
		message_fail(code, request->dir, "cannot unmount: %s", text);
	}
out:
	mnt_free_context(context);
	if (!code && goes && !request->lazy &&
	    !disk_id_wait_gone(&disk.id, disk.image))
		message_warn(disk.image, "unmounted, but still in use");
	free(disk.image);
	return code;
}

static int parse(struct request *request, int argc, char **argv)
{
	static const struct option options[] = {
		{ "lazy", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "lh", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			request->lazy = true;
			break;
		case 'h':
			return vhdxctl_help(&vhdxctl_umount);
		default:
			return vhdxctl_usage(&vhdxctl_umount);
		}
	}
	if (argc - optind != 1) {
		message_fail(EX_USAGE, NULL, argc == optind ?
			     "umount: no folder given" :
			     "umount: more than one folder");
		return vhdxctl_usage(&vhdxctl_umount);
	}
	request->dir = argv[optind];
	return 0;
}

static int run(int argc, char **argv)
{
	struct request request = { };
	int code = parse(&request, argc, argv);

	/* There is none when help was shown. */
	return request.dir ? run_umount(&request) : code;
}

/**
 * vhdxctl_umount_helper - be umount.vhdx
 * @argc: of main()
 * @argv: of main(): DIR [-nlfvr] [-N NAMESPACE] [-t TYPE]
 *
 * Return: the exit code, as mount(8) has them.
 */
int vhdxctl_umount_helper(int argc, char **argv)
{
	struct request request = { };
	int c;

	while ((c = getopt(argc, argv, "nlfvrN:t:")) != -1) {
		switch (c) {
		case 'l':
			request.lazy = true;
			break;
		case 'f':
			request.force = true;
			break;
		case 'r':
			request.read_only = true;
			break;
		case 'N':
			message_fail(EX_USAGE, NULL,
				     "umount: other mount namespaces are not supported");
			return MNT_EX_USAGE;
		case '?':
			return MNT_EX_USAGE;
		default:
			break;
		}
	}
	if (argc - optind != 1) {
		message_fail(EX_USAGE, NULL, "umount: not one folder");
		return MNT_EX_USAGE;
	}
	request.dir = argv[optind];
	return run_umount(&request) ? MNT_EX_FAIL : 0;
}

const struct vhdxctl_command vhdxctl_umount = {
	.name = "umount",
	.synopsis = "[OPTION]... DIR",
	.summary = "Unmount a file system of an image, and wait until that is let go of",
	.help = "A disk that was attached by mount is gone then, unless something else of it is\n"
		"mounted.\n"
		"\n"
		"  -l, --lazy             do not wait for those who use it\n",
	.run = run,
};
