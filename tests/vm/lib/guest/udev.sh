# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# For scripts in a test VM that want a machine with udev, which has none else:
#	. "$VM_LIB/udev.sh" && start_udev

# start_udev: starts it and has it see the devices that are there; links as
# /dev/disk/by-uuid appear, and disks are probed as they come
start_udev() {
	/lib/systemd/systemd-udevd --daemon || return 1
	udevadm trigger --type=subsystems --action=add
	udevadm trigger --type=devices --action=add
	udevadm settle --timeout=120
}
