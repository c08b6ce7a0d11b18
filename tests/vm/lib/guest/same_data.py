# SPDX-License-Identifier: GPL-2.0
"""Is a disk what a sparse raw copy is?

usage: same_data.py DISK RAW

Compares where RAW has data, and of its holes a sector in each MiB.
"""
import errno
import os
import sys

disk, raw = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
size, pos, data = os.lseek(raw, 0, os.SEEK_END), 0, 0


def check(offset, length):
    if os.pread(disk, length, offset) != os.pread(raw, length, offset):
        sys.exit('differs at %d' % offset)


if os.lseek(disk, 0, os.SEEK_END) != size:
    sys.exit('another size')
while pos < size:
    try:
        begin = os.lseek(raw, pos, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        begin = size
    for hole in range(pos, begin, 1 << 20):
        check(hole, min(4096, begin - hole))
    pos = begin if begin == size else os.lseek(raw, begin, os.SEEK_HOLE)
    for at in range(begin, pos, 1 << 20):
        check(at, min(1 << 20, pos - at))
        data += 1
sys.exit(not data)
