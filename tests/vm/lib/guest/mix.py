# SPDX-License-Identifier: GPL-2.0
"""Writes, zeroes and discards at places that follow from a seed, on a disk and in
a raw copy.

usage: mix.py SEED COUNT DISK RAW [discard|hint]

Every operation goes to the disk past the page cache. After some of them, and at
the end, the disk is flushed; after each its place is read back. What is discarded
reads as zeros, or with hint each sector may also be as it was.
"""
import fcntl
import mmap
import os
import struct
import sys

BLKSSZGET, BLKDISCARD, BLKZEROOUT = 0x1268, 0x1277, 0x127f
LONGEST = 3 << 20
ALIGN = 4096                    # what every host can punch

seed, count = int(sys.argv[1]), int(sys.argv[2])
disk = os.open(sys.argv[3], os.O_RDWR | os.O_DIRECT)
raw = os.open(sys.argv[4], os.O_RDWR)
hint = sys.argv[5:] == ['hint']
discard = hint or sys.argv[5:] == ['discard']
size = os.lseek(disk, 0, os.SEEK_END)
sector = struct.unpack('i', fcntl.ioctl(disk, BLKSSZGET, b'0000'))[0]
memory = mmap.mmap(-1, LONGEST)
print('# seed %d, %d operations, sectors of %d' % (seed, count, sector))
state = seed


def below(limit):
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    return (state >> 33) % limit


def place(unit):
    longest = (unit, 16 * unit, 1 << 20, LONGEST)[below(4)]
    length = min(unit * (1 + below(longest // unit)), size)
    # Now and then up to the end of the disk, and over an edge of blocks.
    where = below(8)
    if where == 0:
        return size // unit * unit - length, length
    if where == 1:
        edge = (1 + below(size >> 20)) << 20
        offset = edge - length // 2 // unit * unit
        return max(0, min(offset, (size - length) // unit * unit)), length
    return below((size - length) // unit + 1) * unit, length


for number in range(count):
    what = below(8)
    ioctl = {0: BLKZEROOUT, 1: BLKDISCARD if discard else BLKZEROOUT}.get(what)
    offset, length = place(ALIGN if ioctl == BLKDISCARD else sector)
    if ioctl:
        data = bytes(length)
        fcntl.ioctl(disk, ioctl, struct.pack('QQ', offset, length))
    else:
        # Each sector is told from every other by place and number.
        data = b''.join(struct.pack('<QQ', at, number) * (sector // 16)
                        for at in range(offset, offset + length, sector))
        memory[:length] = data
        if os.pwritev(disk, [memoryview(memory)[:length]], offset) != length:
            sys.exit('operation %d: short write' % number)
    if hint and ioctl == BLKDISCARD:
        was, zeros = os.pread(raw, length, offset), bytes(sector)
        os.preadv(disk, [memoryview(memory)[:length]], offset)
        data = b''.join(zeros if memory[at:at + sector] == zeros else was[at:at + sector]
                        for at in range(0, length, sector))
    os.pwrite(raw, data, offset)
    if below(6) == 0:
        os.fsync(disk)
    if os.preadv(disk, [memoryview(memory)[:length]], offset) != length or memory[:length] != data:
        sys.exit('operation %d at %d, %d bytes: reads wrong' % (number, offset, length))
os.fsync(disk)
