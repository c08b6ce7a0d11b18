// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of the driver, bare: what the tool would never ask, and many of
 * them fast. See help().
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/vhdx.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static int control;
static int tests, failures;

static void help(FILE *out)
{
	fputs("usage: rawctl attach [OPTION]... CHAIN  prints N, or the error's name and text\n"
	      "       rawctl detach N             prints nothing, or the error's name\n"
	      "       rawctl compact N            prints the bytes that the host got back, or the\n"
	      "                                   error's name and text\n"
	      "       rawctl cycle IMAGE COUNT    attaches, reads, detaches; silent\n"
	      "       rawctl rewrite IMAGE COUNT  attaches, compares with what it wrote last,\n"
	      "                                   writes, flushes, detaches; silent\n"
	      "       rawctl rules IMAGE DIR      checks the ioctls' rules; TAP\n"
	      "       rawctl race IMAGE COUNT     many detaches at once; TAP\n"
	      "       rawctl kill IMAGE COUNT     attaches that get killed; TAP\n"
	      "       rawctl chain CHAIN          checks the rules for parents; TAP\n"
	      "       rawctl fail STEP CHAIN      every STEP-th allocation of an attach fails,\n"
	      "                                   one at a time; TAP\n"
	      "\n"
	      "A CHAIN is an image, its parent, that one's parent and so on, read-only unless\n"
	      "the OPTION is -w: the image for writing; -d: direct I/O, -b: buffered I/O,\n"
	      "-i: the parents need not match, -n: a dirty log is refused\n",
	      out);
}

/* --- TAP ----------------------------------------------------------------------- */

static bool check(bool good, const char *fmt, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	failures += !good;
	return good;
}

static const char *name_of(int errnum)
{
	const char *name = strerrorname_np(errnum);

	return name ? name : "an unknown error";
}

/* Has a call answered what it must? errnum 0: success */
static void answers(int ret, int errnum, const char *what)
{
	int seen = ret ? errno : 0;

	if (!check(seen == errnum, "%s: %s", what,
		   errnum ? name_of(errnum) : "success"))
		printf("# was %s\n", seen ? name_of(seen) : "success");
}

/* --- ioctls ---------------------------------------------------------------------- */

static void attach_init(struct vhdx_ctl_attach *arg, const __s32 *fd)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->flags = VHDX_ATTACH_READ_ONLY;
	arg->index = -1;
	arg->nr_fds = 1;
	arg->fds = (unsigned long)fd;
}

static int do_attach(struct vhdx_ctl_attach *arg)
{
	return ioctl(control, VHDX_CTL_ATTACH, arg);
}

static int detach(int index)
{
	struct vhdx_ctl_detach arg = { .size = sizeof(arg), .index = index };

	return ioctl(control, VHDX_CTL_DETACH, &arg);
}

static int do_compact(int index, struct vhdx_ctl_change *arg)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->index = index;
	return ioctl(control, VHDX_CTL_COMPACT, arg);
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int open_image(const char *path)
{
	return open_file(path, O_RDONLY);
}

struct chain {
	__s32 fd[VHDX_MAX_FDS + 1];
	unsigned int count;
};

/* The first for writing when it is to be written. */
static void open_chain(struct chain *chain, char **paths, unsigned int count,
		       bool writable)
{
	unsigned int i;

	if (!count || count > ARRAY_SIZE(chain->fd))
		errx(64, "%u files are no chain", count);
	chain->count = count;
	for (i = 0; i < count; i++)
		chain->fd[i] = open_file(paths[i], !i && writable ? O_RDWR :
					 O_RDONLY);
}

static void close_chain(const struct chain *chain)
{
	unsigned int i;

	for (i = 0; i < chain->count; i++)
		close(chain->fd[i]);
}

static void chain_init(struct vhdx_ctl_attach *arg, const struct chain *chain)
{
	attach_init(arg, chain->fd);
	arg->nr_fds = chain->count;
}

/* 0 and *index, or -1 and errno as from the ioctl; the text goes to error. */
static int attach_path(const char *path, int *index, char *error)
{
	__s32 fd = open_image(path);
	struct vhdx_ctl_attach arg;
	int ret, saved;

	attach_init(&arg, &fd);
	ret = do_attach(&arg);
	saved = errno;
	close(fd);
	*index = arg.index;
	if (error)
		snprintf(error, VHDX_ERROR_SIZE, "%.*s", VHDX_ERROR_SIZE - 1,
			 arg.error);
	errno = saved;
	return ret;
}

static int open_disk(int index, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vhdx%d", index);
	return open(path, flags | O_CLOEXEC);
}

static bool disk_exists(int index)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/vhdx%d", index);
	return !access(path, F_OK);
}

static int count_disks(void)
{
	int i, n = 0;

	for (i = 0; i < 1024; i++)
		n += disk_exists(i);
	return n;
}

/* --- plain ones ------------------------------------------------------------------ */

static int cmd_attach(int argc, char **argv)
{
	unsigned int flags = VHDX_ATTACH_READ_ONLY;
	struct vhdx_ctl_attach arg;
	struct chain chain;
	int opt;

	while ((opt = getopt(argc, argv, "wdbin")) != -1) {
		switch (opt) {
		case 'w':
			flags &= ~VHDX_ATTACH_READ_ONLY;
			break;
		case 'd':
			flags |= VHDX_ATTACH_DIRECT_IO;
			break;
		case 'b':
			flags |= VHDX_ATTACH_BUFFERED_IO;
			break;
		case 'i':
			flags |= VHDX_ATTACH_IGNORE_ID_MISMATCH;
			break;
		case 'n':
			flags |= VHDX_ATTACH_NO_REPLAY;
			break;
		default:
			return 64;
		}
	}
	open_chain(&chain, argv + optind, argc - optind,
		   !(flags & VHDX_ATTACH_READ_ONLY));
	chain_init(&arg, &chain);
	arg.flags = flags;
	if (do_attach(&arg)) {
		printf("%s\n%.*s\n", name_of(errno), VHDX_ERROR_SIZE,
		       arg.error);
		return 1;
	}
	printf("%d\n", arg.index);
	return 0;
}

static int cmd_detach(int index)
{
	if (detach(index)) {
		puts(name_of(errno));
		return 1;
	}
	return 0;
}

static int cmd_compact(int index)
{
	struct vhdx_ctl_change arg;

	if (do_compact(index, &arg)) {
		printf("%s\n%.*s\n", name_of(errno), VHDX_ERROR_SIZE, arg.error);
		return 1;
	}
	printf("%llu\n", (unsigned long long)arg.freed);
	return 0;
}

/* Reads both ends of the disk past the page cache and through it. */
static void read_ends(int index)
{
	static const int flags[] = { O_DIRECT, 0 };
	size_t len = 65536, i;
	__u64 size;
	void *buf;
	int fd;

	if (posix_memalign(&buf, 4096, len))
		errx(1, "out of memory");
	for (i = 0; i < 2; i++) {
		fd = open_disk(index, O_RDONLY | flags[i]);
		if (fd < 0)
			err(1, "vhdx%d", index);
		if (ioctl(fd, BLKGETSIZE64, &size))
			err(1, "vhdx%d: size", index);
		if (len > size)
			len = size;
		if (pread(fd, buf, len, 0) != (ssize_t)len ||
		    pread(fd, buf, len, size - len) != (ssize_t)len)
			err(1, "vhdx%d: read", index);
		close(fd);
	}
	free(buf);
}

static int cmd_cycle(const char *path, long count)
{
	char error[VHDX_ERROR_SIZE];
	int index;

	while (count--) {
		if (attach_path(path, &index, error))
			errx(1, "attach: %s: %s", name_of(errno), error);
		read_ends(index);
		if (detach(index))
			err(1, "detach of vhdx%d", index);
	}
	return 0;
}

/* A piece in each MiB of the disk in turn: new blocks and, later, known ones. */
static void rewrite_disk(const char *path, int index, __u32 round)
{
	__u32 *seen, *piece;
	const size_t len = 4096;
	__u64 size;
	size_t i;
	int fd;

	if (posix_memalign((void **)&seen, 4096, 2 * len))
		errx(1, "out of memory");
	piece = seen + len / sizeof(*piece);
	fd = open_disk(index, O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		err(1, "vhdx%d", index);
	for (i = 0; i < len / sizeof(*piece); i++)
		piece[i] = round - 1;
	if (round && (pread(fd, seen, len, (((__u64)round - 1) << 20) % size) !=
		      (ssize_t)len || memcmp(seen, piece, len)))
		errx(1, "%s: round %u: what was flushed is not there", path,
		     round);
	for (i = 0; i < len / sizeof(*piece); i++)
		piece[i] = round;
	if (pwrite(fd, piece, len, ((__u64)round << 20) % size) != (ssize_t)len ||
	    fsync(fd))
		err(1, "vhdx%d: write", index);
	close(fd);
	free(seen);
}

static int cmd_rewrite(const char *path, __u32 count)
{
	struct vhdx_ctl_attach arg;
	__u32 round;
	__s32 fd;

	for (round = 0; round < count; round++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			err(1, "%s", path);
		attach_init(&arg, &fd);
		arg.flags = 0;
		if (do_attach(&arg))
			errx(1, "attach: %s: %s", name_of(errno), arg.error);
		close(fd);
		rewrite_disk(path, arg.index, round);
		if (detach(arg.index))
			err(1, "detach of vhdx%d", arg.index);
	}
	return 0;
}

/* --- rules ------------------------------------------------------------------------ */

static void version_rules(void)
{
	struct vhdx_ctl_version arg = { .size = sizeof(arg) };
	struct vhdx_ctl_version *bad = (void *)16;

	answers(ioctl(control, VHDX_CTL_VERSION, &arg), 0, "version");
	check(arg.abi == VHDX_ABI_VERSION, "version: the ABI");
	check(arg.attach_flags & VHDX_ATTACH_READ_ONLY, "version: the flags");
	check(arg.driver[0] && memchr(arg.driver, 0, sizeof(arg.driver)),
	      "version: a string");
	arg.size--;
	answers(ioctl(control, VHDX_CTL_VERSION, &arg), EINVAL,
		"version: short struct");
	arg.size += 9;
	answers(ioctl(control, VHDX_CTL_VERSION, &arg), EINVAL,
		"version: long struct");
	arg.size = sizeof(arg);
	arg.reserved = 1;
	answers(ioctl(control, VHDX_CTL_VERSION, &arg), EINVAL,
		"version: reserved field");
	answers(ioctl(control, VHDX_CTL_VERSION, bad), EFAULT,
		"version: bad address");
	answers(ioctl(control, _IO(VHDX_CTL_MAGIC, 99), &arg), ENOTTY,
		"unknown ioctl");
	answers(ioctl(control, _IO('v', 0), &arg), ENOTTY,
		"another driver's ioctl");
}

/* Attaches by a descriptor that is none of an image. */
static void attach_fd(__s32 fd, int errnum, const char *what)
{
	struct vhdx_ctl_attach arg;

	attach_init(&arg, &fd);
	answers(do_attach(&arg), errnum, what);
}

static void attach_open(const char *path, int flags, int errnum,
			const char *what)
{
	__s32 fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s", path);
	attach_fd(fd, errnum, what);
	close(fd);
}

static void descriptor_rules(const char *image, const char *dir)
{
	int fds[2];
	char path[PATH_MAX];

	attach_fd(-1, EBADF, "attach: descriptor -1");
	attach_fd(1000000, EBADF, "attach: descriptor that is not open");
	attach_open(image, O_PATH, EBADF, "attach: O_PATH");
	attach_open(image, O_WRONLY, EBADF, "attach: not open for reading");
	attach_open(image, O_RDWR, ETXTBSY, "attach: open for writing");
	attach_open(dir, O_RDONLY | O_DIRECTORY, EINVAL, "attach: directory");
	attach_open("/dev/null", O_RDONLY, EINVAL, "attach: character device");
	attach_open("/dev/vhdx-control", O_RDWR, EINVAL,
		    "attach: the control device itself");
	attach_open("/proc/self/stat", O_RDONLY, EINVAL,
		    "attach: file of proc");
	if (pipe(fds))
		err(1, "pipe");
	attach_fd(fds[0], EINVAL, "attach: pipe");
	close(fds[0]);
	close(fds[1]);
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	attach_fd(fds[0], EINVAL, "attach: socket");
	close(fds[0]);
	fds[0] = eventfd(0, 0);
	attach_fd(fds[0], EINVAL, "attach: eventfd");
	close(fds[0]);
	fds[0] = memfd_create("empty", 0);
	attach_fd(fds[0], EMEDIUMTYPE, "attach: empty memfd");
	close(fds[0]);
	snprintf(path, sizeof(path), "%s/empty", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	attach_open(path, O_RDONLY, EMEDIUMTYPE, "attach: empty file");
	unlink(path);
}

static void attach_rules(const char *image)
{
	__s32 fd = open_image(image), many[VHDX_MAX_FDS + 1];
	const size_t size = sizeof(struct vhdx_ctl_attach);
	struct vhdx_ctl_attach arg, *edge;
	unsigned int i;
	char *pages;

	for (i = 0; i < VHDX_MAX_FDS + 1; i++)
		many[i] = fd;
	attach_init(&arg, &fd);
	arg.size = 4;
	answers(do_attach(&arg), EINVAL, "attach: short struct");
	arg.size = size - 8;
	answers(do_attach(&arg), EINVAL, "attach: a little too short struct");
	arg.size = size + 8;
	answers(do_attach(&arg), EINVAL, "attach: long struct");
	arg.size = UINT_MAX;
	answers(do_attach(&arg), EINVAL, "attach: endless struct");
	for (i = 8; i < 32; i += 6) {
		attach_init(&arg, &fd);
		arg.flags |= 1U << i;
		answers(do_attach(&arg), EINVAL, "attach: unknown flag");
		check(arg.error[0], "attach: unknown flag: a text");
	}
	for (i = 0; i < 4; i++) {
		attach_init(&arg, &fd);
		arg.reserved[i] = 1ULL << 63;
		answers(do_attach(&arg), EINVAL, "attach: reserved field");
	}
	attach_init(&arg, &fd);
	arg.flags |= VHDX_ATTACH_DIRECT_IO | VHDX_ATTACH_BUFFERED_IO;
	answers(do_attach(&arg), EINVAL, "attach: direct and buffered I/O");
	attach_init(&arg, &fd);
	arg.flags |= VHDX_ATTACH_IGNORE_ID_MISMATCH;
	arg.flags &= ~VHDX_ATTACH_READ_ONLY;
	answers(do_attach(&arg), EINVAL,
		"attach: for writing, above any parent");
	attach_init(&arg, &fd);
	arg.flags = 0;
	answers(do_attach(&arg), EBADF,
		"attach: for writing, the descriptor is not");
	attach_init(&arg, &fd);
	arg.index = -2;
	answers(do_attach(&arg), EINVAL, "attach: number -2");
	arg.index = INT_MIN;
	answers(do_attach(&arg), EINVAL, "attach: number -2^31");
	attach_init(&arg, many);
	arg.nr_fds = 0;
	answers(do_attach(&arg), EINVAL, "attach: no descriptor");
	arg.nr_fds = 2;
	answers(do_attach(&arg), ELOOP, "attach: with itself as its parent");
	arg.nr_fds = VHDX_MAX_FDS;
	answers(do_attach(&arg), ELOOP, "attach: as many times as can be");
	arg.nr_fds = VHDX_MAX_FDS + 1;
	answers(do_attach(&arg), EINVAL, "attach: too many descriptors");
	arg.nr_fds = UINT_MAX;
	answers(do_attach(&arg), EINVAL, "attach: 2^32 - 1 descriptors");
	attach_init(&arg, NULL);
	answers(do_attach(&arg), EFAULT, "attach: descriptors at no address");
	arg.fds = ~0ULL - 3;
	answers(do_attach(&arg), EFAULT,
		"attach: descriptors at the end of all addresses");
	answers(do_attach((void *)16), EFAULT, "attach: no struct");

	/* The struct ends where memory does, and is in memory not to be written. */
	pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || munmap(pages + 4096, 4096))
		err(1, "mmap");
	edge = (void *)(pages + 4096 - 64);
	memset(edge, 0, 64);
	edge->size = size;
	answers(do_attach(edge), EFAULT, "attach: half a struct");
	edge = (void *)pages;
	attach_init(edge, &fd);
	mprotect(pages, 4096, PROT_READ);
	answers(do_attach(edge), EFAULT, "attach: struct not to be written");
	munmap(pages, 4096);
	check(count_disks() == 0, "what was refused left no disk");
	close(fd);
}

static void number_rules(const char *image)
{
	static const int numbers[] = { 7, 0, 1023, 1 << 20, INT_MAX };
	__s32 fd = open_image(image);
	struct vhdx_ctl_attach arg;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		attach_init(&arg, &fd);
		arg.index = numbers[i];
		answers(do_attach(&arg), 0, "attach: a number of one's choice");
		check(arg.index == numbers[i] && disk_exists(numbers[i]),
		      "attach: number %d is there", numbers[i]);
		answers(do_attach(&arg), EBUSY, "attach: the number is taken");
		check(arg.error[0], "attach: the number is taken: a text");
		answers(detach(numbers[i]), 0, "detach");
		answers(detach(numbers[i]), ENXIO, "detach once more");
	}
	close(fd);
}

static void detach_rules(const char *image)
{
	struct vhdx_ctl_detach arg = { .size = sizeof(arg) };
	int index, fd, zero = 0;

	answers(detach(-1), ENXIO, "detach: number -1");
	answers(detach(INT_MAX), ENXIO, "detach: number 2^31 - 1");
	if (attach_path(image, &index, NULL))
		err(1, "%s", image);
	arg.index = index;
	arg.flags = 1U << 1;
	answers(ioctl(control, VHDX_CTL_DETACH, &arg), EINVAL,
		"detach: unknown flag");
	arg.flags = 0;
	arg.unclean = 1;
	answers(ioctl(control, VHDX_CTL_DETACH, &arg), EINVAL,
		"detach: field for the answer");
	arg.unclean = 0;
	arg.size = 8;
	answers(ioctl(control, VHDX_CTL_DETACH, &arg), EINVAL,
		"detach: short struct");
	answers(ioctl(control, VHDX_CTL_DETACH, 16), EFAULT,
		"detach: bad address");

	/* What cannot change an image attached read-only. */
	fd = open(image, O_RDWR);
	answers(fd < 0, ETXTBSY, "the image cannot be opened for writing");
	answers(truncate(image, 0), ETXTBSY, "nor be cut");
	fd = open_disk(index, O_RDWR);
	check(fd < 0 && (errno == EROFS || errno == EACCES),
	      "the disk cannot be opened for writing");
	fd = open_disk(index, O_RDONLY);
	if (fd < 0)
		err(1, "vhdx%d", index);
	answers(ioctl(fd, BLKROSET, &zero), EROFS,
		"the disk cannot be made writable");
	answers(detach(index), EBUSY, "detach: open");
	check(disk_exists(index), "detach: open: the disk is still there");
	close(fd);
	answers(detach(index), 0, "detach: closed");
	fd = open(image, O_RDWR);
	check(fd >= 0, "the image can be opened for writing again");
	close(fd);
}

/*
 * Two disks of one image; the descriptor may go as soon as the disk is there.
 * One that is written is nobody else's.
 */
static void sharing_rules(const char *image)
{
	struct vhdx_ctl_attach arg;
	int first, second;
	__s32 fd;

	answers(attach_path(image, &first, NULL), 0, "attach");
	answers(attach_path(image, &second, NULL), 0,
		"attach of the same image once more");
	check(first != second, "as another disk");
	read_ends(first);
	answers(detach(first), 0, "detach of the first");
	read_ends(second);
	answers(detach(second), 0, "detach of the second");

	fd = open(image, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", image);
	attach_init(&arg, &fd);
	arg.flags = 0;
	answers(do_attach(&arg), 0, "attach for writing");
	first = arg.index;
	arg.index = -1;
	answers(do_attach(&arg), EBUSY, "attach for writing once more");
	check(arg.error[0], "attach for writing once more: a text");
	attach_init(&arg, &fd);
	answers(do_attach(&arg), EBUSY, "attach read-only as well");
	close(fd);
	read_ends(first);
	answers(detach(first), 0, "detach of the one that is written");
}

static void change_refused(const struct vhdx_ctl_change *change, int errnum,
			   const char *what)
{
	struct vhdx_ctl_change arg = *change;

	answers(ioctl(control, VHDX_CTL_COMPACT, &arg), errnum, what);
}

/* What changes a disk that is attached for writing. */
static void change_rules(const char *image)
{
	struct vhdx_ctl_change good = { .size = sizeof(good) }, arg;
	struct vhdx_ctl_attach attach;
	__s32 fd;
	int index;

	answers(do_compact(-1, &arg), ENXIO, "compact: number -1");
	answers(do_compact(INT_MAX, &arg), ENXIO, "compact: no such disk");
	if (attach_path(image, &index, NULL))
		err(1, "%s", image);
	answers(do_compact(index, &arg), EROFS, "compact: read-only");
	check(arg.error[0], "compact: read-only: a text");
	answers(detach(index), 0, "detach");

	fd = open_file(image, O_RDWR);
	attach_init(&attach, &fd);
	attach.flags = 0;
	answers(do_attach(&attach), 0, "attach for writing");
	close(fd);
	good.index = attach.index;
	arg = good;
	arg.size -= 8;
	change_refused(&arg, EINVAL, "compact: short struct");
	arg.size += 16;
	change_refused(&arg, EINVAL, "compact: long struct");
	arg = good;
	arg.flags = 1;
	change_refused(&arg, EINVAL, "compact: unknown flag");
	arg = good;
	arg.reserved = 1;
	change_refused(&arg, EINVAL, "compact: reserved field");
	arg = good;
	arg.disk_size = 1 << 20;
	change_refused(&arg, EINVAL, "compact: a size");
	arg = good;
	arg.freed = 1;
	change_refused(&arg, EINVAL, "compact: field for the answer");
	arg = good;
	arg.reserved2[1] = 1;
	change_refused(&arg, EINVAL, "compact: last reserved field");
	answers(ioctl(control, VHDX_CTL_COMPACT, 16), EFAULT,
		"compact: bad address");
	answers(do_compact(good.index, &arg), 0, "compact");
	check(!arg.error[0], "compact: no text");
	read_ends(good.index);
	answers(detach(good.index), 0, "detach");
}

/* Opened with the right to, used without. */
static void capability_rules(const char *image)
{
	struct vhdx_ctl_version version = { .size = sizeof(version) };
	__s32 fd = open_image(image);
	struct vhdx_ctl_attach arg;

	attach_init(&arg, &fd);
	if (seteuid(65534))
		err(1, "seteuid");
	answers(ioctl(control, VHDX_CTL_VERSION, &version), EPERM,
		"version without the capability");
	answers(do_attach(&arg), EPERM, "attach without the capability");
	answers(detach(0), EPERM, "detach without the capability");
	if (seteuid(0))
		err(1, "seteuid");
	close(fd);
}

static int cmd_rules(const char *image, const char *dir)
{
	version_rules();
	capability_rules(image);
	attach_rules(image);
	descriptor_rules(image, dir);
	number_rules(image);
	sharing_rules(image);
	change_rules(image);
	detach_rules(image);
	check(count_disks() == 0, "no disk is left");
	return failures > 0;
}

/* --- chains ----------------------------------------------------------------------- */

/* Refused, with a text that begins with @who. */
static void refused(const struct chain *chain, int errnum, const char *who,
		    const char *what)
{
	struct vhdx_ctl_attach arg;

	chain_init(&arg, chain);
	answers(do_attach(&arg), errnum, what);
	arg.error[VHDX_ERROR_SIZE - 1] = '\0';
	if (!check(arg.error[0] && !strncmp(arg.error, who, strlen(who)),
		   "%s: a text%s%s", what, *who ? " that begins with " : "",
		   who))
		printf("# was '%s'\n", arg.error);
}

/* The chain with another file in the place of the parent. */
static void other_parent(const struct chain *chain, __s32 fd, int errnum,
			 const char *who, const char *what)
{
	struct chain other = *chain;

	other.fd[1] = fd;
	refused(&other, errnum, who, what);
}

/*
 * An image, its parent and so on. Whoever cannot be one of them is refused, and
 * the text says which it is.
 */
static int cmd_chain(char **paths, unsigned int count)
{
	struct vhdx_ctl_attach arg;
	struct chain chain, other;
	int fds[2], index;
	unsigned int i;

	if (count < 2)
		errx(64, "a chain has a parent");
	open_chain(&chain, paths, count, false);
	other = chain;
	other.count = 1;
	refused(&other, ENOLINK, "", "chain: without its parent");
	other = chain;
	other.fd[other.count++] = memfd_create("empty", 0);
	refused(&other, EMEDIUMTYPE, "parent ", "chain: one more that is no image");
	close(other.fd[count]);
	/* What has no parent, above what has none. */
	other.fd[0] = chain.fd[count - 1];
	for (i = 1; i < count; i++)
		other.fd[i] = chain.fd[i - 1];
	other.count = count;
	refused(&other, ENOLINK, "parent ", "chain: the base is on top");
	for (i = 0; i < count; i++) {
		other = chain;
		other.fd[other.count++] = chain.fd[i];
		refused(&other, ELOOP, "parent ", "chain: a file comes twice");
	}

	other_parent(&chain, -1, EBADF, "parent 1", "parent: descriptor -1");
	fds[0] = open_file(paths[1], O_WRONLY);
	other_parent(&chain, fds[0], EBADF, "parent 1",
		     "parent: not open for reading");
	close(fds[0]);
	fds[0] = open_file(paths[1], O_RDWR);
	other_parent(&chain, fds[0], ETXTBSY, "parent 1",
		     "parent: open for writing");
	refused(&chain, ETXTBSY, "parent 1",
		"parent: open for writing by somebody else");
	close(fds[0]);
	fds[0] = open_file("/dev/null", O_RDONLY);
	other_parent(&chain, fds[0], EINVAL, "parent 1",
		     "parent: character device");
	close(fds[0]);
	if (pipe(fds))
		err(1, "pipe");
	other_parent(&chain, fds[0], EINVAL, "parent 1", "parent: pipe");
	close(fds[0]);
	close(fds[1]);
	check(count_disks() == 0, "what was refused left no disk");

	chain_init(&arg, &chain);
	answers(do_attach(&arg), 0, "chain");
	index = arg.index;
	read_ends(index);
	arg.index = -1;
	answers(do_attach(&arg), 0, "chain: once more");
	close_chain(&chain);
	for (i = 0; i < count; i++) {
		fds[0] = open(paths[i], O_RDWR | O_CLOEXEC);
		answers(fds[0] < 0, ETXTBSY,
			"chain: none of its files can be opened for writing");
	}
	answers(detach(index), 0, "detach of the first");
	read_ends(arg.index);
	for (i = 0; i < count; i++) {
		fds[0] = open(paths[i], O_RDWR | O_CLOEXEC);
		answers(fds[0] < 0, ETXTBSY, "the second still holds all of them");
	}
	answers(detach(arg.index), 0, "detach of the second");
	for (i = 0; i < count; i++)
		close(open_file(paths[i], O_RDWR));
	check(count_disks() == 0, "no disk is left");
	return failures > 0;
}

/* --- races ------------------------------------------------------------------------ */

#define RACERS	8

/* One of many that detach the same disk wins, the others hear that it is gone. */
static int race_once(const char *image)
{
	int index, i, status, won = 0, lost = 0;

	if (attach_path(image, &index, NULL))
		err(1, "%s", image);
	for (i = 0; i < RACERS; i++) {
		if (fork())
			continue;
		if (!detach(index))
			_exit(0);
		_exit(errno == EBUSY || errno == ENXIO ? 1 : 2);
	}
	while (wait(&status) > 0) {
		won += status == 0;
		lost += WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	return won == 1 && lost == RACERS - 1 && !disk_exists(index);
}

static int cmd_race(const char *image, long count)
{
	long i, good = 0;

	for (i = 0; i < count; i++)
		good += race_once(image);
	check(good == count, "%ld times %d detaches at once: one wins", count,
	      RACERS);
	check(count_disks() == 0, "no disk is left");
	return failures > 0;
}

/* It goes by itself, when whoever has it open closes it. */
static bool is_going(int index)
{
	char path[64], flag = '1';
	int fd;

	snprintf(path, sizeof(path), "/sys/block/vhdx%d/vhdx/autoclear", index);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &flag, 1) != 1)
		flag = '1';
	close(fd);
	return flag == '1';
}

/* All that was behind it is, in a moment: the disk itself is first to go. */
static bool is_gone(int index)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (!detach(index))
			return false;
		if (errno != EBUSY)
			break;
		usleep(10000);
	}
	return errno == ENXIO;
}

/* An attach that is killed leaves a disk or nothing, never half of one. */
static int cmd_kill(const char *image, long count)
{
	long i, whole = 0, none = 0, bad = 0;
	int status, tries, go[2];
	pid_t pid;
	char c;

	for (i = 0; i < count; i++) {
		if (pipe(go))
			err(1, "pipe");
		pid = fork();
		if (!pid) {
			struct vhdx_ctl_attach arg;
			__s32 fd = open_image(image);

			attach_init(&arg, &fd);
			arg.index = 0;
			c = 0;
			if (write(go[1], &c, 1) != 1)
				_exit(2);
			_exit(do_attach(&arg) ? 1 : 0);
		}
		if (pid < 0 || read(go[0], &c, 1) != 1)
			err(1, "fork");
		usleep(i * 3000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		close(go[0]);
		close(go[1]);
		/* The kernel may still have it open from looking for partitions. */
		for (tries = 0; tries < 1000 && disk_exists(0) && is_going(0);
		     tries++)
			usleep(10000);
		if (disk_exists(0)) {
			read_ends(0);
			bad += detach(0) != 0;
			whole++;
		} else {
			bad += !is_gone(0);
			bad += !WIFSIGNALED(status);
			none++;
		}
	}
	printf("# killed in time: %ld of %ld\n", none, whole + none);
	check(!bad, "an attach that is killed leaves a whole disk or none");
	check(none > 0, "some were killed in time");
	check(count_disks() == 0, "no disk is left");
	return failures > 0;
}

/* --- fault injection -------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "%s", path);
	close(fd);
}

/* Lets every kind of allocation fail, those that may sleep as well. */
static void arm(void)
{
	static const char * const no[] = {
		"/sys/kernel/debug/failslab/ignore-gfp-wait",
		"/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait",
		"/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(no); i++)
		write_text(no[i], "N");
	write_text("/sys/kernel/debug/fail_page_alloc/min-order", "0");
}

/*
 * Ends the injection; @text receives how far away the failure still was. Either
 * call may be what fails: then it was not in the attach.
 */
static void disarm(int nth, char *text, size_t size)
{
	memset(text, 0, size);
	if (pread(nth, text, size - 1, 0) < 0) {
		if (errno != EFAULT)
			err(1, "fail-nth");
		text[0] = '1';
	}
	while (pwrite(nth, "0", 1, 0) < 0)
		if (errno != EFAULT)
			err(1, "fail-nth");
}

/*
 * The n-th thing that can fail in an attach fails, for every @step-th n. What
 * the kernel can do without (a name in sysfs, an event) may as well let it
 * succeed: then the disk must work. Without a scan for partitions, which is the
 * kernel's own and dumps a stack when it finds no memory.
 */
static int cmd_fail(long step, char **paths, unsigned int count)
{
	long n, refused = 0, tolerated = 0, odd = 0;
	struct vhdx_ctl_attach arg;
	struct chain chain;
	char text[32] = "";
	int nth, ret, saved;

	open_chain(&chain, paths, count, false);
	arm();
	nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth < 0)
		err(1, "fail-nth");
	for (n = 1;; n += step) {
		/* The VM's keeper takes silence for death. */
		if ((refused + tolerated) % 100 == 99)
			printf("# failure %ld\n", n);
		chain_init(&arg, &chain);
		arg.flags |= VHDX_ATTACH_NO_PART_SCAN;
		snprintf(text, sizeof(text), "%ld", n);
		if (pwrite(nth, text, strlen(text), 0) < 0)
			err(1, "fail-nth");
		ret = do_attach(&arg);
		saved = errno;
		disarm(nth, text, sizeof(text));
		if (ret) {
			refused++;
			/*
			 * EINVAL: what the kernel calls a device whose name
			 * found no memory.
			 */
			if (saved != ENOMEM && saved != EFAULT &&
			    saved != EINVAL) {
				printf("# failure %ld: %s %s\n", n,
				       name_of(saved), arg.error);
				odd++;
			}
			if (count_disks()) {
				printf("# failure %ld: a disk is left\n", n);
				odd++;
			}
		} else {
			read_ends(arg.index);
			if (detach(arg.index))
				err(1, "detach after failure %ld", n);
			if (atoi(text))
				break;	/* it came to the end without one */
			tolerated++;
		}
	}
	printf("# %ld failures: %ld refused, %ld tolerated\n",
	       refused + tolerated, refused, tolerated);
	check(refused * step > 50, "failures are injected");
	check(!odd, "each is a clean error");
	check(count_disks() == 0, "no disk is left");
	close(nth);
	close_chain(&chain);
	return failures > 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	control = open("/dev/" VHDX_CONTROL_NAME, O_RDWR | O_CLOEXEC);
	if (control < 0)
		err(1, "/dev/" VHDX_CONTROL_NAME);
	if (argc > 2 && !strcmp(command, "attach"))
		return cmd_attach(argc - 1, argv + 1);
	if (argc == 3 && !strcmp(command, "detach"))
		return cmd_detach(atoi(argv[2]));
	if (argc == 3 && !strcmp(command, "compact"))
		return cmd_compact(atoi(argv[2]));
	if (argc == 4 && !strcmp(command, "cycle"))
		return cmd_cycle(argv[2], atol(argv[3]));
	if (argc == 4 && !strcmp(command, "rewrite"))
		return cmd_rewrite(argv[2], atol(argv[3]));
	if (argc == 4 && !strcmp(command, "rules"))
		return cmd_rules(argv[2], argv[3]);
	if (argc == 4 && !strcmp(command, "race"))
		return cmd_race(argv[2], atol(argv[3]));
	if (argc == 4 && !strcmp(command, "kill"))
		return cmd_kill(argv[2], atol(argv[3]));
	if (argc > 2 && !strcmp(command, "chain"))
		return cmd_chain(argv + 2, argc - 2);
	if (argc > 3 && !strcmp(command, "fail") && atol(argv[2]) > 0)
		return cmd_fail(atol(argv[2]), argv + 3, argc - 3);
	help(stderr);
	return 64;
}
