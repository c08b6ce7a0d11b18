#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The VM brings its kernel's index of modules each time, without those of DKMS.
set -eu

depmod
