// SPDX-License-Identifier: GPL-2.0
/* Requests are merged without a flag: the name is free. */
#include <linux/blk-mq.h>

#ifdef PROBE_OLD
int probe = BLK_MQ_F_SHOULD_MERGE;
#else
enum { BLK_MQ_F_SHOULD_MERGE };
#endif
