// SPDX-License-Identifier: GPL-2.0
#include <signal.h>

#include "interrupt.h"
#include "port.h"

static sig_atomic_t came;

static void note(int number)
{
	WRITE_ONCE(came, number);
}

/**
 * interrupt_watch - from now on a signal does not end the program at once
 *
 * The second one does. What the user ignores stays ignored.
 */
void interrupt_watch(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };
	const struct sigaction action = {
		.sa_handler = note,
		.sa_flags = (int)(SA_RESETHAND | SA_RESTART),
	};
	struct sigaction old;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!sigaction(numbers[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

/**
 * interrupt_came - whether there was a signal
 */
bool interrupt_came(void)
{
	return READ_ONCE(came);
}

/**
 * interrupt_code - the exit code for who was stopped by one
 */
int interrupt_code(void)
{
	return 128 + READ_ONCE(came);
}
