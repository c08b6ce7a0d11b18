#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the machine gets before it boots: the tool, as make install brings it, its
# tables, and folders to mount on.
set -eu

tar -C / -xf install.tar
mkdir -p /mnt/fstab /mnt/tab /mnt/hand /mnt/bound '/mnt/with blank'
cp vhdxtab fstab /etc/
