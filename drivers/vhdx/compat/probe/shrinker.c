// SPDX-License-Identifier: GPL-2.0
/* A shrinker is allocated with its name; it was the caller's own memory. */
#include <linux/fs.h>
#include <linux/shrinker.h>

#ifdef PROBE_OLD
int probe(struct shrinker *shrinker);

int probe(struct shrinker *shrinker)
{
	return register_shrinker(shrinker, "name");
}
#else
struct shrinker *probe(void);

struct shrinker *probe(void)
{
	return shrinker_alloc(0, "name");
}
#endif
