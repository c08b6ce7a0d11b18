// SPDX-License-Identifier: GPL-2.0
/*
 * There is one terminal, so there is one line, and it is stderr's: stdout may be
 * data. It is redrawn in place, and gone before anything else is printed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

/* What is over sooner needs no line. */
#define PATIENCE_NS	500000000LL
#define REDRAW_NS	200000000LL

#define NSEC_PER_SEC	1000000000LL
#define LINE_LENGTH	256

static struct {
	char *what;		/* NULL: nothing is shown */
	u64 total;
	u64 done;
	s64 begun;		/* ns */
	s64 redraw;		/* ns: not before this */
	bool shown;
} progress;

static s64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* A longer line would be wrapped, and could not be redrawn. */
static int columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return min_t(int, size.ws_col, LINE_LENGTH);
}

static void draw(s64 time)
{
	double seconds = (double)(time - progress.begun) / NSEC_PER_SEC;
	double rate = (double)progress.done / seconds;
	char line[LINE_LENGTH], speed[TEXT_SIZE_LENGTH];
	u64 left;

	text_size(speed, (u64)rate, TEXT_SIZE_LONG);
	left = rate >= 1 ? (u64)((double)(progress.total - progress.done) / rate)
			 : 0;
	snprintf(line, sizeof(line), "%5.1f%%  %s/s  %llu:%02llu left  %s",
		 100.0 * (double)progress.done / (double)progress.total, speed,
		 (unsigned long long)left / 60, (unsigned long long)left % 60,
		 progress.what);
	fprintf(stderr, "\r%.*s\033[K", columns() - 1, line);
	fflush(stderr);
	progress.shown = true;
}

/**
 * progress_begin - begin to show how far something is
 * @what: what is being worked on, for the user; it may be untrusted
 * @total: bytes there are to do
 * @quiet: show nothing
 *
 * Nothing is shown either where stderr is no terminal.
 */
void progress_begin(const char *what, u64 total, bool quiet)
{
	if (quiet || !total || !isatty(STDERR_FILENO))
		return;
	progress.what = text_for_terminal(what);
	progress.total = total;
	progress.done = 0;
	progress.begun = now();
	progress.redraw = progress.begun + PATIENCE_NS;
}

/**
 * progress_add - more of it is done
 * @bytes: so many
 */
void progress_add(u64 bytes)
{
	s64 time;

	if (!progress.what)
		return;
	/* Who counted them may have known no better. */
	progress.done = min(progress.done + bytes, progress.total);
	time = now();
	if (time < progress.redraw)
		return;
	progress.redraw = time + REDRAW_NS;
	draw(time);
}

/**
 * progress_hide - make room for other output; the line comes back by itself
 */
void progress_hide(void)
{
	if (!progress.shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress.shown = false;
}

/**
 * progress_end - it is over, well or not
 */
void progress_end(void)
{
	progress_hide();
	free(progress.what);
	progress.what = NULL;
}
