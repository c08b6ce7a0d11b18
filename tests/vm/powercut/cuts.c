// SPDX-License-Identifier: GPL-2.0
/*
 * Cutting the power: what a disk may be left with at a place in the log, and
 * whether the driver makes of it what it promised.
 *
 * A cut before entry K leaves all entries up to the last FLUSH before it, the
 * FUA writes behind that, and of the other writes any part: whole ones, none,
 * or torn ones, of which single sectors or pages are there.
 */
#include <err.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "powercut.h"

/* One in so many states is attached read-only first, or given to qemu-img. */
#define READ_ONLY_SAMPLE	8
#define QEMU_SAMPLE		40

#define MAX_VIOLATIONS		3

enum fate {
	FATE_DROPPED,
	FATE_KEPT,
	FATE_TORN,
};

/**
 * struct cut - one cut
 * @entry: the first that has not happened
 * @number: of the cut: what is left out follows from it
 */
struct cut {
	u32 entry;
	u32 number;
};

/**
 * struct run - all cuts
 * @cuts: what was asked for
 * @log: what was written
 * @target: shows the states
 * @size: of the disk
 * @stable: the disk with all entries before @epoch
 * @state: the same with some of those behind it
 * @epoch: behind the last FLUSH
 * @marked: entries whose marks are in @claims
 * @claims: what was promised
 * @mount_point: of the disk's ext4
 * @dirty: states whose log was to be replayed
 * @violations: so far
 */
struct run {
	const struct cuts *cuts;
	struct write_log log;
	struct target target;
	size_t size;
	u8 *stable;
	u8 *state;
	u32 epoch;
	u32 marked;
	struct claims claims;
	char mount_point[32];
	u32 dirty;
	u32 violations;
};

/* --- states ---------------------------------------------------------------------- */

static void apply(u8 *disk, const struct entry *entry, u32 from, u32 count)
{
	u8 *to = disk + (entry->sector + from) * SECTOR;

	if (entry->flags & ENTRY_DISCARD)
		memset(to, 0, (size_t)count * SECTOR);
	else
		memcpy(to, entry->data + (size_t)from * SECTOR,
		       (size_t)count * SECTOR);
}

static bool changes_disk(const struct entry *entry)
{
	return !(entry->flags & ENTRY_MARK) && entry->count;
}

/* The file system's own structures are not torn below a page. */
static void tear(struct run *run, const struct entry *entry, u64 *random)
{
	bool sectors = builder_random(random) & 1 &&
		       !(entry->flags & ENTRY_METADATA);
	u32 step = sectors ? 1 : PAGE / SECTOR, i;

	for (i = 0; i < entry->count; i += step)
		if (builder_random(random) & 1)
			apply(run->state, entry, i,
			      min(step, entry->count - i));
}

static enum fate draw_fate(const struct entry *entry, u32 mode, u64 *random)
{
	u32 draw = builder_random(random) % 8;

	if (entry->flags & ENTRY_FUA || mode == 0)
		return FATE_KEPT;
	if (mode == 1)
		return FATE_DROPPED;
	if (draw < mode)
		return FATE_KEPT;
	return draw < 6 ? FATE_DROPPED : FATE_TORN;
}

static void leave_some(struct run *run, const struct cut *cut, bool tell)
{
	static const char * const words[] = { "dropped", "kept", "torn" };
	u64 random = run->cuts->plan->seed * 1000003 + cut->number;
	u32 mode = builder_random(&random) % 6, i;

	for (i = run->epoch; i < cut->entry; i++) {
		const struct entry *entry = &run->log.entry[i];
		enum fate fate;

		if (!changes_disk(entry))
			continue;
		fate = draw_fate(entry, mode, &random);
		if (fate == FATE_KEPT)
			apply(run->state, entry, 0, entry->count);
		else if (fate == FATE_TORN)
			tear(run, entry, &random);
		if (tell)
			printf("#   entry %u: %u sectors at %llu, flags 0x%x: %s\n",
			       i, entry->count, entry->sector, entry->flags,
			       words[fate]);
	}
}

/* Takes back what leave_some() did. */
static void forget(struct run *run, const struct cut *cut)
{
	u32 i;

	for (i = run->epoch; i < cut->entry; i++) {
		const struct entry *entry = &run->log.entry[i];
		size_t pos = entry->sector * SECTOR;

		if (changes_disk(entry))
			memcpy(run->state + pos, run->stable + pos,
			       (size_t)entry->count * SECTOR);
	}
}

static void read_mark(struct claims *claims, const char *text)
{
	u32 n;

	if (sscanf(text, "begin-%u", &n) == 1)
		claims->begun = n;
	else if (sscanf(text, "stable-%u", &n) == 1)
		claims->stable = max(claims->stable, n);
	else if (sscanf(text, "fua-%u", &n) == 1)
		claims->fua[n] = true;
}

/* To the last FLUSH before an entry, and to what was promised before it. */
static void advance(struct run *run, u32 entry)
{
	u32 last = entry;

	while (last > run->epoch &&
	       !(run->log.entry[last - 1].flags & ENTRY_FLUSH))
		last--;
	for (; run->epoch < last; run->epoch++) {
		const struct entry *done = &run->log.entry[run->epoch];

		if (!changes_disk(done))
			continue;
		apply(run->stable, done, 0, done->count);
		apply(run->state, done, 0, done->count);
	}
	for (; run->marked < entry; run->marked++)
		if (run->log.entry[run->marked].flags & ENTRY_MARK)
			read_mark(&run->claims, (const char *)
				  run->log.entry[run->marked].data);
}

/* --- the driver -------------------------------------------------------------------- */

static int control(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/" VHDX_CONTROL_NAME, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/" VHDX_CONTROL_NAME);
	return fd;
}

/* The number of the disk; or -1, and why. */
static int attach_image(const char *image, u32 flags, char *why, size_t size)
{
	__s32 fd = open(image, (flags & VHDX_ATTACH_READ_ONLY ? O_RDONLY :
				O_RDWR) | O_CLOEXEC);
	struct vhdx_ctl_attach arg = {
		.size = sizeof(arg),
		.flags = flags | VHDX_ATTACH_NO_PART_SCAN,
		.index = -1,
		.nr_fds = 1,
		.fds = (unsigned long)&fd,
	};
	int ret;

	if (fd < 0) {
		snprintf(why, size, "%s: %m", image);
		return -1;
	}
	ret = ioctl(control(), VHDX_CTL_ATTACH, &arg);
	if (ret)
		snprintf(why, size, "attach: %m: %s", arg.error);
	close(fd);
	return ret ? -1 : arg.index;
}

static bool detach_disk(int index, char *why, size_t size)
{
	struct vhdx_ctl_detach arg = { .size = sizeof(arg), .index = index };

	if (ioctl(control(), VHDX_CTL_DETACH, &arg)) {
		snprintf(why, size, "detach: %m");
		return false;
	}
	if (arg.unclean) {
		snprintf(why, size, "detach: log left dirty: %s",
			 strerror(arg.unclean));
		return false;
	}
	return true;
}

/* Of what fio writes only its own bytes may be there. */
static bool others_allow(const u64 *words)
{
	static const u64 pattern = ~0ULL / 0xff * OTHERS_BYTE;
	u32 i;

	if (words[0] && words[0] != pattern)
		return false;
	for (i = 1; i < SECTOR / sizeof(*words); i++)
		if (words[i] != words[0])
			return false;
	return true;
}

static bool check_piece(struct run *run, const u8 *buf, u32 first, char *why,
			size_t size)
{
	u32 sector;
	int n;

	for (sector = first; sector < first + BLOCK / SECTOR; sector++) {
		const u64 *words = (const void *)
			(buf + (size_t)(sector - first) * SECTOR);

		n = snprintf(why, size, "sector %u: ", sector);
		if (sector < AREA_SECTORS) {
			if (!plan_allows(run->cuts->plan, &run->claims, words,
					 sector, why + n, size - n))
				return false;
		} else if (!others_allow(words)) {
			snprintf(why + n, size - n,
				 "0x%016llx..., which fio did not write",
				 words[0]);
			return false;
		}
	}
	return true;
}

/* A disk that was attached after a cut takes writes as any other. */
static bool probe(int fd, u8 *buf, const struct cut *cut)
{
	memset(buf, cut->number, PAGE);
	if (pwrite(fd, buf, PAGE, PROBE) != PAGE || fsync(fd))
		return false;
	memset(buf, ~cut->number, PAGE);
	return pread(fd, buf, PAGE, PROBE) == PAGE &&
	       !memcmp(buf, buf + 1, PAGE - 1) && buf[0] == (u8)cut->number;
}

static bool check_disk(struct run *run, const struct cut *cut, int index,
		       bool writable, char *why, size_t size)
{
	static u8 buf[BLOCK] __aligned(PAGE);
	char path[32];
	bool good = true;
	off_t pos;
	int fd;

	snprintf(path, sizeof(path), "/dev/vhdx%d", index);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, size, "%s: %m", path);
		return false;
	}
	for (pos = 0; good && pos < PROBE; pos += BLOCK) {
		if (pread(fd, buf, BLOCK, pos) != BLOCK) {
			snprintf(why, size, "read at %llu: %m", (u64)pos);
			good = false;
		} else {
			good = check_piece(run, buf, pos / SECTOR, why, size);
		}
	}
	if (good && writable && !probe(fd, buf, cut)) {
		snprintf(why, size, "a write behind the cut: %m");
		good = false;
	}
	close(fd);
	return good;
}

static bool check_attached(struct run *run, const struct cut *cut,
			   const char *image, u32 flags, char *why,
			   size_t size)
{
	int index = attach_image(image, flags, why, size);
	bool good;

	if (index < 0)
		return false;
	good = check_disk(run, cut, index, !(flags & VHDX_ATTACH_READ_ONLY),
			  why, size);
	/* Gone in any case, or all states behind this one are wrong too. */
	if (good)
		return detach_disk(index, why, size);
	detach_disk(index, NULL, 0);
	return false;
}

static bool qemu_img_agrees(const char *image, char *why, size_t size)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execlp("qemu-img", "qemu-img", "check", "-q", "-f", "vhdx",
		       image, NULL);
		err(127, "qemu-img");
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		err(1, "qemu-img");
	if (status)
		snprintf(why, size, "qemu-img check: status 0x%x", status);
	return !status;
}

static void count_dirty(struct run *run, const char *image)
{
	static const off_t offset[] = {
		VHDX_HEADER_1_OFFSET, VHDX_HEADER_2_OFFSET
	};
	static const u8 null[sizeof(guid_t)];
	struct vhdx_disk_header header;
	bool dirty = false;
	int fd = open(image, O_RDONLY | O_CLOEXEC), i;

	for (i = 0; i < 2; i++)
		if (pread(fd, &header, sizeof(header), offset[i]) ==
		    sizeof(header))
			dirty |= !!memcmp(&header.log_guid, null, sizeof(null));
	close(fd);
	run->dirty += dirty;
}

static bool check_image(struct run *run, const struct cut *cut,
			const char *image, char *why, size_t size)
{
	count_dirty(run, image);
	if (cut->number % READ_ONLY_SAMPLE == 0 &&
	    !check_attached(run, cut, image, VHDX_ATTACH_READ_ONLY, why, size))
		return false;
	if (!check_attached(run, cut, image, 0, why, size))
		return false;
	return cut->number % QEMU_SAMPLE ||
	       qemu_img_agrees(image, why, size);
}

static bool check_state(struct run *run, const struct cut *cut, char *why,
			size_t size)
{
	char image[64];
	bool good;

	if (!run->cuts->image)
		return check_image(run, cut, run->target.path, why, size);

	if (mount(run->target.path, run->mount_point, "ext4", MS_NOATIME,
		  "noinit_itable")) {
		snprintf(why, size, "mount: %m");
		return false;
	}
	snprintf(image, sizeof(image), "%s/%s", run->mount_point,
		 run->cuts->image);
	good = check_image(run, cut, image, why, size);
	if (umount(run->mount_point))
		err(1, "%s", run->mount_point);
	return good;
}

/* --- all of them ------------------------------------------------------------------- */

static void run_cut(struct run *run, const struct cut *cut)
{
	bool only = run->cuts->only == (long)cut->number;
	char why[512];

	advance(run, cut->entry);
	if (run->cuts->only >= 0 && !only)
		return;
	leave_some(run, cut, only);
	target_show(&run->target, run->state);
	if (!check_state(run, cut, why, sizeof(why))) {
		run->violations++;
		printf("# seed %llu, cut %u, before entry %u, rounds %u to %u: %s\n",
		       run->cuts->plan->seed, cut->number, cut->entry,
		       run->claims.stable, run->claims.begun, why);
		forget(run, cut);
		leave_some(run, cut, !only);
	}
	forget(run, cut);
}

static int by_entry(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;

	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Flushes first, so that a cut's number says which kind it is. */
static struct cut *draw_cuts(struct run *run, u32 *count)
{
	u64 random = run->cuts->plan->seed;
	struct cut *cut;
	u32 i, n = 0;

	*count = run->log.flushes + run->cuts->points;
	cut = calloc(*count, sizeof(*cut));
	if (!cut)
		errx(1, "out of memory");
	for (i = 0; i < run->log.count; i++)
		if (run->log.entry[i].flags & ENTRY_FLUSH)
			cut[n++].entry = i;
	while (n < *count) {
		i = builder_random(&random) % run->log.count;
		if (!(run->log.entry[i].flags & ENTRY_FLUSH))
			cut[n++].entry = i;
	}
	for (i = 0; i < *count; i++)
		cut[i].number = i;
	qsort(cut, *count, sizeof(*cut), by_entry);
	return cut;
}

static void read_base(struct run *run)
{
	int fd = open(run->cuts->base, O_RDONLY | O_CLOEXEC);
	off_t size, pos;
	ssize_t n;

	if (fd < 0)
		err(1, "%s", run->cuts->base);
	size = lseek(fd, 0, SEEK_END);
	run->size = size;
	run->stable = calloc(1, size);
	run->state = calloc(1, size);
	if (!run->stable || !run->state)
		errx(1, "out of memory");
	for (pos = 0; pos < size; pos += n) {
		n = pread(fd, run->stable + pos, size - pos, pos);
		if (n <= 0)
			err(1, "%s", run->cuts->base);
	}
	memcpy(run->state, run->stable, size);
	close(fd);
}

/**
 * cuts_run() - cut the power, many times
 * @cuts: where
 *
 * Prints comments of TAP. Return: the exit status.
 */
int cuts_run(const struct cuts *cuts)
{
	struct run run = {
		.cuts = cuts,
		.mount_point = "/tmp/cut.XXXXXX",
	};
	const u32 rounds = cuts->plan->rounds;
	struct cut *cut;
	u32 count, i;

	run.claims.fua = calloc(rounds + 1, sizeof(*run.claims.fua));
	read_base(&run);
	write_log_read(&run.log, cuts->log);
	cut = draw_cuts(&run, &count);
	if (!mkdtemp(run.mount_point))
		err(1, "%s", run.mount_point);
	target_init(&run.target, run.size);
	printf("# seed %llu, %u rounds, %u entries: %u flushes, %u points between\n",
	       cuts->plan->seed, rounds, run.log.count, run.log.flushes,
	       cuts->points);

	for (i = 0; i < count && run.violations < MAX_VIOLATIONS; i++) {
		run_cut(&run, &cut[i]);
		if ((i + 1) % 50 == 0)
			printf("# %u states, %u with a log to replay\n", i + 1,
			       run.dirty);
	}
	advance(&run, run.log.count);
	target_exit(&run.target);
	rmdir(run.mount_point);

	if (cuts->only >= 0)
		return !!run.violations;
	printf("# %u states, %u with a log to replay\n", i, run.dirty);
	/* Or it would have been no test. */
	if (run.claims.begun != rounds || run.claims.stable != rounds ||
	    run.dirty < count / 4) {
		printf("# the log ends with rounds begun %u, stable %u\n",
		       run.claims.begun, run.claims.stable);
		return 1;
	}
	return run.violations || i < count;
}
