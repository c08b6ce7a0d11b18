# SPDX-License-Identifier: GPL-2.0
"""Writes to sectors side by side, from several threads, while others discard the
blocks that they lie in and have the kernel take sector bitmaps away.

usage: race.py SEED COUNT DISK RAW

RAW is what the disk showed before. Each writer has sectors of its own and reads
back from among them: a sector holds what was written to it last, or zeros if a
discard came, or what it held before if nobody has written to it. At the end so
does every sector of the disk.
"""
import fcntl
import mmap
import os
import random
import struct
import sys
import threading

BLKSSZGET, BLKDISCARD, BLKZEROOUT = 0x1268, 0x1277, 0x127f
MIB = 1 << 20
WRITERS = 4

seed, count = int(sys.argv[1]), int(sys.argv[2])
path = sys.argv[3]
raw = os.open(sys.argv[4], os.O_RDONLY)
disk = os.open(path, os.O_RDONLY)
size = os.lseek(disk, 0, os.SEEK_END)
sector = struct.unpack('i', fcntl.ioctl(disk, BLKSSZGET, b'0000'))[0]
last = {}               # by sector; each has one writer
wrong = []
through = threading.Event()


def content(number, generation):
    return struct.pack('<QQ', number, generation) * (sector // 16)


def check(who, number, seen):
    written = last.get(number)
    if not any(seen) or seen == (os.pread(raw, sector, number * sector) if written is None
                                 else content(number, written)):
        return
    wrong.append('%s: sector %d begins with %s, last written: %s' % (
        who, number, struct.unpack('<QQ', seen[:16]), written))


def write(writer):
    chance = random.Random(seed * WRITERS + writer)
    mine = os.open(path, os.O_RDWR | os.O_DIRECT)
    memory = memoryview(mmap.mmap(-1, 4096))[:sector]
    places = 0, MIB // sector // 2, MIB // sector - 8
    for generation in range(1, count + 1):
        number = (chance.randrange(size // MIB) * MIB // sector + chance.choice(places) +
                  chance.randrange(2) * WRITERS + writer)
        what = chance.randrange(10)
        if wrong:
            return
        if what == 0:
            os.fdatasync(mine)
        elif what < 4:
            os.preadv(mine, [memory], number * sector)
            check('writer %d' % writer, number, bytes(memory))
        else:
            memory[:] = content(number, generation)
            os.pwrite(mine, memory, number * sector)
            last[number] = generation


def discard():
    chance = random.Random(seed)
    mine = os.open(path, os.O_RDWR | os.O_DIRECT)
    while not through.is_set():
        fcntl.ioctl(mine, chance.choice((BLKDISCARD, BLKZEROOUT)),
                    struct.pack('QQ', chance.randrange(size // MIB) * MIB, MIB))
        if not chance.randrange(3):
            os.fdatasync(mine)


def shrink():
    while not through.is_set():
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
            file.write('2')


def guard(work, *args):
    try:
        work(*args)
    except OSError as error:
        wrong.append('%s%s: %s' % (work.__name__, args, error))


print('# seed %d, %d writers, %d operations each, sectors of %d' % (seed, WRITERS, count, sector))
writers = [threading.Thread(target=guard, args=(write, i)) for i in range(WRITERS)]
others = [threading.Thread(target=guard, args=(work,)) for work in (discard, shrink)]
for thread in writers + others:
    thread.start()
for thread in writers:
    thread.join()
through.set()
for thread in others:
    thread.join()
for at in range(size // sector):
    if not wrong:
        check('at the end', at, os.pread(disk, sector, at * sector))
print('\n'.join(wrong[:5]), file=sys.stderr)
sys.exit(bool(wrong))
