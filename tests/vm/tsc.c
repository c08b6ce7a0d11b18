// SPDX-License-Identifier: GPL-2.0
/*
 * The frequency of this machine's time stamp counter in kHz, which an emulated CPU has
 * too. The guest's kernel finds it out against a timer that stands still for a moment
 * when this machine is busy, and its time goes wrong for good then.
 */
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES	16

/* Both at once, as far as they can be had: the try that took the least time. */
static unsigned long long now(unsigned long long *nsec)
{
	unsigned long long least = ULLONG_MAX, tsc = 0;

	for (int i = 0; i < TRIES; i++) {
		unsigned long long before = __rdtsc(), after;
		struct timespec time;

		clock_gettime(CLOCK_MONOTONIC_RAW, &time);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		tsc = before + least / 2;
		*nsec = (unsigned long long)time.tv_sec * 1000000000 +
			(unsigned long long)time.tv_nsec;
	}
	return tsc;
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	unsigned long long from, to, begin = now(&from), end;

	nanosleep(&pause, NULL);
	end = now(&to);
	printf("%llu\n", (end - begin) * 1000000 / (to - from));
	return 0;
}
