// SPDX-License-Identifier: GPL-2.0
/*
 * Opens, checks and dumps mutated images, under the sanitizers, and holds what an
 * open says against what a check finds:
 *
 *   an image opens exactly when a check finds nothing that is corrupt or not
 *   supported, and what an open refuses is among the findings;
 *   nothing is written;
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
#include "info.h"
#include "mutate.h"

#define BATCH		100U
#define DEFAULT_COUNT	6000U

/* A log of 1 GiB in a sparse file is the most that is read for a small image. */
#define MAX_READ_BYTES	(3ULL << 30)
#define MAX_OPS		100000U
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
	char text[VHDX_ERROR_LENGTH] = "";
	bool bad = checked || count[VHDX_KIND_CORRUPT] ||
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
