// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

MODULE_DESCRIPTION("KUnit suites for the VHDX driver's format and image layers");
MODULE_LICENSE("GPL");
