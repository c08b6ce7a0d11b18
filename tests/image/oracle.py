#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: oracle.py RAW ORACLE: whether a disk is what its oracle says.

The oracle's lines are 'size BYTES' and 'OFFSET LENGTH SHA256', both in bytes. Prints
how many there are and, to stderr, those that are not so. Exit status: 0 when all are
and there are both kinds, else 1.
"""
import hashlib
import os
import sys


def main():
    raw, oracle = sys.argv[1:]
    disk = os.open(raw, os.O_RDONLY)
    sizes = pieces = wrong = 0
    for line in open(oracle, encoding='ascii'):
        words = line.split()
        if words[0] == 'size':
            sizes += 1
            good = os.lseek(disk, 0, os.SEEK_END) == int(words[1])
        else:
            pieces += 1
            data = os.pread(disk, int(words[1]), int(words[0]))
            good = hashlib.sha256(data).hexdigest() == words[2]
        if not good:
            wrong += 1
            print('%s: differs: %s' % (raw, line.strip()), file=sys.stderr)
    print(sizes + pieces)
    return 1 if wrong or not sizes or not pieces else 0


if __name__ == '__main__':
    sys.exit(main())
