// SPDX-License-Identifier: GPL-2.0
/* A workqueue that is not unbound says so: the name was free. */
#include <linux/workqueue.h>

#ifdef PROBE_OLD
enum { WQ_PERCPU };
#else
int probe = WQ_PERCPU;
#endif
