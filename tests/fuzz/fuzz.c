// SPDX-License-Identifier: GPL-2.0
/*
 * Opens, checks and dumps mutated images, under the sanitizers, and holds what an
 * open says against what a check finds:
 *
 *   an image opens exactly when a check finds nothing that is corrupt or not
 *   supported, but for blocks whose end the file has not, and what an open refuses
 *   is among the findings;
 *   nothing is written;
 *   a repair leaves the guest's view as it was, and nothing that could be repaired;
 *   what it does not repair is as it was to the byte;
 *   work is bounded by what a file of a few MiB can ask for.
 *
 * usage: fuzz [FIRST [COUNT]], where COUNT is that of the images, from number FIRST
 * on. Each batch is a process of its own, so that a crash leaves the others alone;
 * the number that it was at is printed, and fuzz NUMBER 1 repeats it. Prints TAP.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checking.h"
#include "dump.h"
#include "image/sync.h"
#include "info.h"
#include "mutate.h"

#define BATCH		100U
#define DEFAULT_COUNT	6000U

/* A log of 1 GiB in a sparse file is the most that is read for a small image. */
#define MAX_READ_BYTES	(3ULL << 30)
#define MAX_OPS		100000U
/* Of a disk, that are looked into. */
#define MAX_BLOCKS	64U
/* FNV-1a's. */
#define HASH_START	0xCBF29CE484222325ULL
#define HASH_PRIME	0x100000001B3ULL
/* Work that no operation of the file bounds; far above what any image takes. */
#define WATCHDOG	120

/* What the parent sees of a batch. */
static struct progress {
	u64 number;
	char text[2 * VHDX_ERROR_LENGTH];
} *progress;

static FILE *report;

__printf(1, 2) static void complain(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(progress->text, sizeof(progress->text), fmt, args);
	va_end(args);
	_exit(2);
}

static bool same_error(const struct vhdx_error *a, const struct vhdx_error *b)
{
	return a->offset == b->offset && !strcmp(a->structure, b->structure) &&
	       !a->field == !b->field &&
	       (!a->field || !strcmp(a->field, b->field));
}

/* Or it may be one of those that are only counted. */
static bool is_found(const struct checking *checking,
		     const struct vhdx_error *err)
{
	for (size_t i = 0; i < checking->findings; i++)
		if (same_error(&checking->finding[i].err, err))
			return true;
	for (size_t i = 0; i < VHDX_FINDINGS; i++)
		if (checking->check.name_count[i] > VHDX_CHECK_SHOWN)
			return true;
	return false;
}

static bool is_verdict(int ret)
{
	return !ret || ret == -EUCLEAN || ret == -EOPNOTSUPP ||
	       ret == -EMEDIUMTYPE;
}

static void compare(const struct checking *checking, int checked, int opened,
		    const struct vhdx_error *err)
{
	const u64 *count = checking->check.kind_count;
	const u64 cut = checking->check.name_count[VHDX_FINDING_BAT_CUT];
	char text[VHDX_ERROR_LENGTH] = "";
	bool bad = checked || count[VHDX_KIND_CORRUPT] > cut ||
		   count[VHDX_KIND_UNSUPPORTED];

	/* Memory and bounds of our own are no verdict on the image. */
	if (!is_verdict(checked) || !is_verdict(opened))
		return;
	if (opened)
		vhdx_error_print(text, sizeof(text), err);
	if (opened && !bad)
		complain("a check finds nothing, an open says: %s", text);
	if (!opened && bad)
		complain("it opens, and a check finds %llu errors, the first: %s",
			 count[VHDX_KIND_CORRUPT],
			 checking->findings ?
			 vhdx_finding_text(checking->finding[0].name) : "none");
	if (opened && !checked && !is_found(checking, err))
		complain("not among the findings: %s", text);
}

/* A few sectors of the first blocks of the disk, and of the last one. */
static void look_at_blocks(const struct vhdx_image *img, u64 *hash)
{
	const u64 blocks = img->geometry.payload_blocks;
	const u32 length = img->metadata.logical_sector_size;
	const u64 size = img->metadata.virtual_disk_size;
	u8 buf[4096];
	u64 n, i, pos, last;

	for (n = 0; n <= min_t(u64, blocks, MAX_BLOCKS); n++) {
		pos = (n < MAX_BLOCKS ? min(n, blocks - 1) : blocks - 1) *
		      img->metadata.block_size;
		last = min(pos + img->metadata.block_size, size) - length;
		for (;; pos = last) {
			if (vhdx_sync_read(img, buf, length, pos))
				complain("%llu of the disk cannot be read", pos);
			for (i = 0; i < length; i++)
				*hash = (*hash ^ buf[i]) * HASH_PRIME;
			if (pos == last)
				break;
		}
	}
}

/* What opening it says, and what a guest sees of it, as a number. */
static int look(struct memfile *mf, u64 *hash)
{
	struct vhdx_image *img;
	struct vhdx_error err;
	int ret;

	*hash = HASH_START;
	ret = vhdx_image_open(&mf->file, 0, &img, &err);
	if (ret)
		return ret;
	*hash = (*hash ^ img->metadata.virtual_disk_size) * HASH_PRIME;
	*hash = (*hash ^ img->metadata.physical_sector_size) * HASH_PRIME;
	look_at_blocks(img, hash);
	vhdx_image_close(img);
	return 0;
}

static void repair_it(struct memfile *mf)
{
	const unsigned int forgotten = 1U << VHDX_REPAIR_LOG_EMPTY;
	struct vhdx_repair repair = {
		.wanted = VHDX_REPAIR_ALL, .punch = true,
	};
	const u32 checksum = memfile_checksum(mf);
	char text[VHDX_ERROR_LENGTH];
	u64 before, after;
	struct vhdx_error err;
	int opened, ret;

	opened = look(mf, &before);
	ret = vhdx_image_repair(&mf->file, &repair, &err);
	if (!repair.done && checksum != memfile_checksum(mf))
		complain("a repair of nothing has changed the file");
	if (ret == -EMEDIUMTYPE || !is_verdict(ret) || !is_verdict(opened))
		return;
	vhdx_error_print(text, sizeof(text), &err);
	if (ret)
		complain("a repair fails: %s", text);
	if (opened && repair.done && !(repair.done & forgotten))
		complain("what does not open is repaired, and does not open");
	ret = look(mf, &after);
	if (ret && (!opened || repair.done))
		complain("it does not open after a repair");
	if (!opened && before != after)
		complain("a repair changes what a guest sees");
	/* Leaks are kept then. */
	if (repair.done & forgotten)
		return;
	repair.only_show = true;
	if (vhdx_image_repair(&mf->file, &repair, &err) || repair.done)
		complain("a repair leaves what could be repaired");
}

static void show_info(struct vhdx_image *img)
{
	struct posix_file file = { .fd = -1 };
	const struct info info = { .path = "fuzz", .file = &file, .img = img };

	info_print_text(&info);
	info_print_json(&info);
}

static void run_one(u64 number)
{
	struct checking checking = { .path = "fuzz" };
	const struct stat st = { .st_mode = S_IFREG };
	const struct checking *all[] = { &checking };
	struct vhdx_error open_err, err;
	struct vhdx_image *img = NULL;
	static struct bad_image image;
	int opened, checked;
	struct memfile mf;

	progress->number = number;
	alarm(WATCHDOG);
	memfile_init(&mf);
	if (mutate(number, &image, &mf))
		errx(1, "out of memory");
	memfile_count_from_zero(&mf);

	opened = vhdx_image_open(&mf.file, 0, &img, &open_err);
	if (!opened)
		show_info(img);
	vhdx_image_close(img);

	checked = checking_run(&checking, &mf.file, &st, &err);
	compare(&checking, checked, opened, &open_err);
	checking_print_text(&checking, true);
	checking_print_json(all, 1, checking_code(&checking));
	checking_free(&checking);

	dump_show(&mf.file, "fuzz", (1U << DUMP_SECTIONS) - 1, false, &err);
	dump_show(&mf.file, "fuzz", (1U << DUMP_SECTIONS) - 1, true, &err);

	if (mf.records)
		complain("the file was written to");
	if (mf.read_bytes > MAX_READ_BYTES || mf.ops > MAX_OPS)
		complain("%llu bytes in %llu operations were read",
			 mf.read_bytes, mf.ops);
	repair_it(&mf);
	memfile_destroy(&mf);
}

/* What a sanitizer says goes to a file that the parent shows. */
static void run_batch(u64 first, u64 count)
{
	if (dup2(fileno(report), STDERR_FILENO) < 0 ||
	    !freopen("/dev/null", "w", stdout))
		_exit(1);
	while (count--)
		run_one(first++);
	_exit(0);
}

static void show_report(void)
{
	char line[512];

	rewind(report);
	while (fgets(line, sizeof(line), report))
		printf("# %s", line);
}

/* Whether it went well; *next receives where to go on. */
static bool watch_batch(u64 first, u64 count, u64 *next)
{
	int status;
	pid_t pid;

	report = tmpfile();
	if (!report)
		err(1, "tmpfile");
	progress->number = first;
	progress->text[0] = '\0';
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		run_batch(first, count);
	if (waitpid(pid, &status, 0) < 0)
		err(1, "waitpid");
	*next = first + count;
	if (status) {
		show_report();
		printf("# image %llu (again: build/fuzz %llu 1): %s\n",
		       progress->number, progress->number,
		       progress->text[0] ? progress->text :
		       WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ?
		       "it hangs" : "it crashes");
		*next = progress->number + 1;
	}
	fclose(report);
	return !status;
}

int main(int argc, char **argv)
{
	u64 first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	u64 count = argc > 2 ? strtoull(argv[2], NULL, 0) : DEFAULT_COUNT;
	u64 end = first + count, next, n = 0;
	bool well, all_well = true;

	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		err(1, "mmap");
	printf("# %llu images, from number %llu\n", count, first);
	for (; first < end; first = next) {
		well = watch_batch(first, min_t(u64, BATCH, end - first), &next);
		all_well &= well;
		printf("%sok %llu - images %llu to %llu\n", well ? "" : "not ",
		       ++n, first, next - 1);
	}
	printf("1..%llu\n", n);
	return all_well ? 0 : 1;
}
