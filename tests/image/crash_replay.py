#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Do others see in a power cut's states what image/ sees?

usage: crash_replay.py [--seed N] [--sample N] ENUMERATOR...
       crash_replay.py --refused ENUMERATOR...

Runs the crash enumerator, with --states, and judges each state that it tells
of, all or with its own --every N one of N, by replay.py: it opens, the tracked
blocks lie where image/ says, no others are there, the tracked sectors hold what
image/ says. crash_states.c describes what comes over the pipe. A sample of the
states is then written to files, which go through qemu-img check -r all, qemu-img
convert and 7zz.

With --refused the enumerator tells only of states that image/ refuses, as the
mutants leave them: replay.py must refuse them too.

Prints TAP.
"""
import argparse
import collections
import concurrent.futures
import fcntl
import itertools
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True      # all that is made goes to build/
import replay                       # noqa: E402
from replay import MIB, PAGE, ZERO_PAGE     # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEPT = os.path.join(TOP, 'build', 'crash-states')
SECTOR = 512
IN_PAGE = PAGE // SECTOR
ZERO_SECTOR = bytes(SECTOR)
ZERO_MIB = bytes(MIB)
MAX_SHOWN = 5

results = {'n': 0, 'bad': 0}


def ok(good, name):
    results['n'] += 1
    results['bad'] += not good
    print('%sok %d - %s' % ('' if good else 'not ', results['n'], name), flush=True)


# --- states ----------------------------------------------------------------------

class Base:
    """What all states of a process are told against."""

    def __init__(self, cells, contents, parent=None, blocks=(), places=()):
        self.contents = contents
        self.parent = parent
        self.blocks = blocks
        self.places = places
        self.made = {}
        self.ids = {}
        for sector, content in zip(cells[::2], cells[1::2]):
            number, i = divmod(sector, IN_PAGE)
            ids = self.ids.get(number, (0,) * IN_PAGE)
            self.ids[number] = ids[:i] + (content,) + ids[i + 1:]
        self.pages = {number: self.page(ids) for number, ids in self.ids.items()}

    def page(self, ids):
        """Equal ones are one object, which caches are quick to find."""
        page = self.made.get(ids)
        if page is None:
            if len(self.made) > 1 << 17:
                self.made.clear()
            page = b''.join(self.contents[i] for i in ids)
            self.made[ids] = page
        return page


class State:
    """A file for replay.py."""

    def __init__(self, base, size, cells):
        self.base = base
        self.size = size
        self.pages = pages = dict(base.pages)
        changed = {}
        for sector, content in zip(cells[::2], cells[1::2]):
            number = sector // IN_PAGE
            ids = changed.get(number)
            if ids is None:
                ids = changed[number] = list(base.ids.get(number, (0,) * IN_PAGE))
            ids[sector % IN_PAGE] = content
        for number, ids in changed.items():
            pages[number] = base.page(tuple(ids))

    def page(self, number):
        return self.pages.get(number, ZERO_PAGE)

    def used(self, first, end):
        return sorted(number for number in self.pages if first <= number < end)

    def write(self, path):
        with open(path, 'wb') as file:
            file.truncate(self.size)
            for number, page in self.pages.items():
                if page != ZERO_PAGE and number * PAGE < self.size:
                    file.seek(number * PAGE)
                    file.write(page)


Told = collections.namedtuple('Told', 'number run state where content why')


class Stream:
    """Told states, one after the other."""

    def __init__(self, file):
        self.file = file
        self.ended = False

    def take(self, length):
        data = self.file.read(length)
        if len(data) != length:
            raise EOFError
        return data

    def numbers(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def counted(self, kind):
        return self.numbers('<%d%s' % (self.numbers('<I')[0], kind))

    def disk(self):
        size, n = self.numbers('<QI')
        return size, self.numbers('<%dI' % (2 * n))

    def text(self):
        return self.take(self.numbers('<I')[0]).decode()

    def states(self):
        contents, base, parent, run, number = {0: ZERO_SECTOR}, None, None, '', 0
        while True:
            try:
                kind = self.take(1)
                if kind == b'C':
                    content, = self.numbers('<I')
                    contents[content] = self.take(SECTOR)
                    continue
                if kind == b'E':
                    self.ended = True
                    return
                if kind == b'R':
                    run = self.text()
                    continue
                size, cells = self.disk()
                if kind == b'P':
                    parent = replay.Disk(State(Base((), contents), size, cells))
                    continue
                if kind == b'B':
                    contents = dict(contents)
                    base = Base(cells, contents, parent, self.counted('Q'), self.counted('Q'))
                    parent = None
                    continue
                where = content = why = None
                if kind == b'S':
                    where, content = self.counted('Q'), self.counted('I')
                else:
                    why = self.text()
            except EOFError:
                return
            number += 1
            yield Told(number, run, State(base, size, cells), where, content, why)


# --- the replayer's judgement ----------------------------------------------------

def open_state(state):
    """-> Disk, or None and why not"""
    try:
        return replay.Disk(state, state.base.parent), None
    except replay.Refused as refused:
        return None, refused


def disagreement(told):
    """What replay.py sees otherwise, or None."""
    base = told.state.base
    disk, refused = open_state(told.state)
    if told.why is not None:
        return disk and 'opens; image/ says: %s' % told.why
    if not disk:
        return 'is refused: %s' % refused
    where = {block: offset for block, offset in zip(base.blocks, told.where) if offset}
    if disk.place != where:
        return 'has blocks at %s; image/ says %s' % (disk.place, where)
    for pos, content in zip(base.places, told.content):
        if disk.read(pos, SECTOR) != base.contents[content]:
            return 'has something else at 0x%x of the disk' % pos
    return None


def keep(told):
    """For who looks into it."""
    os.makedirs(KEPT, exist_ok=True)
    path = os.path.join(KEPT, '%d.vhdx' % told.number)
    told.state.write(path)
    return os.path.relpath(path, TOP)


class Judge:
    """Goes through a stream, and keeps a sample of it."""

    def __init__(self, seed, size):
        self.random = random.Random(seed)
        self.size = size
        self.sample = []
        self.states = self.wrong = self.dirty = 0

    def add(self, told):
        self.states += 1
        what = disagreement(told)
        if what:
            self.wrong += 1
            if self.wrong <= MAX_SHOWN:
                print('# state %d %s; %s\n#   of %s' %
                      (told.number, what, keep(told), told.run))
            return
        if len(self.sample) < self.size:
            self.sample.append(told)
        elif self.size:
            place = self.random.randrange(self.states)
            if place < self.size:
                self.sample[place] = told


# --- other programs --------------------------------------------------------------

def chunks_of(file):
    """Each of them in the place of the one before."""
    chunk = bytearray(MIB)
    view = memoryview(chunk)
    while True:
        length = 0
        while length < MIB:
            got = file.readinto(view[length:])
            if not got:
                break
            length += got
        if length < MIB:
            if length:
                yield bytes(view[:length])
            return
        yield chunk


def chunks_of_sparse(file, size):
    """Without reading what is a hole."""
    data = 0
    for pos in range(0, size, MIB):
        length = min(MIB, size - pos)
        if data < pos + length:
            try:
                data = max(data, os.lseek(file.fileno(), pos, os.SEEK_DATA))
            except OSError:
                data = size
        if data >= pos + length:
            yield ZERO_MIB[:length]
        else:
            yield os.pread(file.fileno(), length, pos)


class Expected:
    """The whole disk, by MiB."""

    def __init__(self, disk):
        self.size = disk.size
        self.chunk = {}
        for mib in disk.used():
            self.chunk[mib] = b''.join(disk.read(mib * MIB + at, PAGE)
                                       for at in range(0, MIB, PAGE))

    def differs(self, chunks):
        """Says where, or None."""
        pos = 0
        for chunk in chunks:
            want = self.chunk.get(pos // MIB, ZERO_MIB)
            if chunk != (want if len(chunk) == MIB else want[:len(chunk)]):
                return 'differs in MiB %d' % (pos // MIB)
            pos += len(chunk)
        return None if pos == self.size else 'has %d bytes, not %d' % (pos, self.size)


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors='replace').strip()


def torn_descriptor(state, disk):
    """The entry behind the good ones that qemu-img refuses, when there is one.

    -> its offset in the file, and what is wrong; or None, None
    """
    if disk.log_is_dirty:
        last = disk.file.entries[-1].sequence
        for offset, sequence, which, what in replay.Log(state, disk.header).bad_descriptors():
            if sequence == last + 1:
                return (disk.header.log_offset + offset,
                        'entry %d at 0x%x of the log, behind the last good one, is torn: '
                        'wrong %s in descriptor %d' % (sequence, offset, what, which))
    return None, None


def torn_header(path):
    """The one of two that 7zz refuses, when there is one.

    -> which, the other; or None, None
    """
    file = replay.OnHost(path)
    valid = [replay.valid_header(page) for page in replay.header_pages(file)]
    file.close()
    if valid.count(None) != 1:
        return None, None
    bad = valid.index(None)
    return bad, valid[not bad].page


def overwrite(path, page, offset):
    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(page)


class Verdict:
    """On one state: what each program did with it.

    @refused: what it says when it does not open the image
    @explained: what it stumbles over, and opens the image without
    @wrong: what it sees otherwise, or None
    """

    def __init__(self, told):
        self.told = told
        self.refused, self.explained, self.wrong = {}, {}, {}


def qemu_check(image):
    return run('qemu-img', 'check', '-f', 'vhdx', '-T', 'unsafe', '-r', 'all', image)


def ask_qemu(verdict, disk, expected, image):
    """-> could it open it?"""
    status, text = qemu_check(image)
    if status:
        verdict.refused['qemu-img'] = text
        offset, why = torn_descriptor(verdict.told.state, disk)
        if not why:
            return False
        # It takes the image without that entry, or that was not the reason.
        overwrite(image, ZERO_PAGE, offset)
        status, text = qemu_check(image)
        if status:
            return False
        verdict.explained['qemu-img'] = why
    raw = image + '.raw'
    status, text = run('qemu-img', 'convert', '-f', 'vhdx', '-O', 'raw', image, raw)
    if status:
        verdict.wrong['qemu-img'] = 'is not converted: ' + text
    else:
        with open(raw, 'rb') as file:
            verdict.wrong['qemu-img'] = \
                expected.differs(chunks_of_sparse(file, os.path.getsize(raw)))
        os.unlink(raw)
    return True


def extract(expected, image):
    """-> could it open it?, what differs"""
    with subprocess.Popen(['7zz', 'x', '-so', '-tvhdx', image],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, bufsize=0, pipesize=MIB) as child:
        chunks = chunks_of(child.stdout)
        first = next(chunks, b'')
        found = expected.differs(itertools.chain([first], chunks)) if first else None
        # It may wait for somebody who has seen enough.
        child.stdout.close()
    if first and child.returncode and not found:
        found = 'ends with status %d' % child.returncode
    return bool(first), found


def ask_seven_zip(verdict, expected, image):
    opens, found = extract(expected, image)
    if not opens:
        verdict.refused['7zz'] = 'nothing comes out'
        bad, other = torn_header(image)
        if bad is None:
            return
        # As above: with the good one twice.
        overwrite(image, other, replay.HEADERS[bad])
        opens, found = extract(expected, image)
        if not opens:
            return
        verdict.explained['7zz'] = 'header %d is torn' % (bad + 1)
    verdict.wrong['7zz'] = found


def ask_others(told, folder):
    """-> Verdict"""
    verdict = Verdict(told)
    disk, _ = open_state(told.state)
    expected = Expected(disk)
    image = os.path.join(folder, '%d.vhdx' % told.number)
    told.state.write(image)
    if ask_qemu(verdict, disk, expected, image):
        ask_seven_zip(verdict, expected, image)
    os.unlink(image)
    return verdict


def report_others(who, what, verdicts):
    """Refusals one by one, and what is wrong."""
    refused = [v for v in verdicts if who in v.refused]
    unexplained = [v for v in refused if who not in v.explained]
    opened = [v for v in verdicts if who in v.wrong]
    wrong = [v for v in opened if v.wrong[who]]
    for v in refused:
        if who in v.explained:
            print('# state %d, refused by %s: %s' % (v.told.number, who, v.explained[who]))
    for v in (unexplained + wrong)[:MAX_SHOWN]:
        text = v.wrong.get(who) or 'refused, ' + v.refused[who]
        print('# state %d, %s: %s; %s\n#   of %s' %
              (v.told.number, who, text.replace('\n', '\n#   '), keep(v.told), v.told.run))
    ok(opened and not wrong, '%s: %d of %d agree byte for byte' %
       (what, len(opened) - len(wrong), len(opened)))
    ok(not unexplained, '%s refused %d of them as they were, %d explained' %
       (who, len(refused), len(refused) - len(unexplained)))


def judge_others(judge, seed):
    sample = sorted(judge.sample, key=lambda told: told.number)
    print('# sample of %d of %d states, seed %d' % (len(sample), judge.states, seed))
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda told: ask_others(told, folder), sample))
    report_others('qemu-img', 'qemu-img check -r all and convert', verdicts)
    report_others('7zz', '7zz after that check', verdicts)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--sample', type=int, default=0)
    parser.add_argument('--refused', action='store_true')
    parser.add_argument('enumerator', nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if not args.enumerator:
        parser.error('no enumerator')
    from_it, to_us = os.pipe()
    fcntl.fcntl(from_it, fcntl.F_SETPIPE_SZ, MIB)
    judge = Judge(args.seed, args.sample)
    option = '--refused' if args.refused else '--states'
    with subprocess.Popen(args.enumerator + [option, '/dev/fd/%d' % to_us],
                          stdin=subprocess.DEVNULL, pass_fds=[to_us]) as child:
        os.close(to_us)
        with open(from_it, 'rb', 1 << 18) as file:
            stream = Stream(file)
            for told in stream.states():
                judge.add(told)
    ok(stream.ended and judge.states and not judge.wrong,
       'the replayer %s %d of %d states' %
       ('refuses too' if args.refused else 'agrees on', judge.states - judge.wrong, judge.states))
    if args.sample:
        judge_others(judge, args.seed)
    print('1..%d' % results['n'])
    return 1 if child.returncode or results['bad'] else 0


if __name__ == '__main__':
    sys.exit(main())
