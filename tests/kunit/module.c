// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/rcupdate.h>

static void __exit vhdx_kunit_exit(void)
{
	/* What images let go of is freed by a function of this module. */
	rcu_barrier();
}

module_exit(vhdx_kunit_exit);

MODULE_DESCRIPTION("KUnit suites for the VHDX driver's format and image layers");
MODULE_LICENSE("GPL");
