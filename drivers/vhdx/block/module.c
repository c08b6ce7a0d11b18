// SPDX-License-Identifier: GPL-2.0
/*
 * The module: nothing but the control device exists until an image is
 * attached.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "block.h"

static int __init vhdx_init(void)
{
	int ret;

	ret = vhdx_shrink_init();
	if (ret)
		return ret;
	ret = vhdx_devices_init();
	if (ret)
		goto out_shrink_exit;
	ret = vhdx_control_register();
	if (ret)
		goto out_devices_exit;
	return 0;

out_devices_exit:
	vhdx_devices_exit();
out_shrink_exit:
	vhdx_shrink_exit();
	return ret;
}

static void __exit vhdx_exit(void)
{
	/* Every device holds a reference to the module, so there is none. */
	vhdx_control_unregister();
	vhdx_devices_exit();
	vhdx_shrink_exit();
	/* What images let go of is freed by a function of the module. */
	rcu_barrier();
}

module_init(vhdx_init);
module_exit(vhdx_exit);

MODULE_DESCRIPTION("VHDX (Virtual Hard Disk v2) images as block devices");
MODULE_AUTHOR("The vhdx-linux authors");
MODULE_VERSION(VHDX_DRIVER_VERSION);
MODULE_LICENSE("GPL");
