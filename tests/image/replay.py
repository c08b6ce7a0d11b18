#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A reader of VHDX files that shares nothing with the driver.

usage: replay.py [-p PARENT]... IMAGE...    writes the disk of each to IMAGE.raw, sparse

Each -p names one parent, the nearest first. Without them a differencing image
shows zeros where its parent's data would be.

Written from MS-VHDX (v20210625, sections in brackets below) to have a second
opinion: it opens an image, replays a dirty log in memory, and answers what a
guest would see. Prints "IMAGE: opens" or "IMAGE: refused: WHY"; the status is 1
when one was refused. An image with a parent is not read.

Whatever looks at bytes only is a pure function of pages of 4 KiB and cached,
since the crash enumerator's states have nearly all of their pages in common.
"""
import argparse
import functools
import itertools
import os
import re
import struct
import sys
import uuid

PAGE = 4096
MIB = 1 << 20
ZERO_PAGE = bytes(PAGE)
NO_GUID = bytes(16)
# Not the specification's: no file is this large.
TOO_LARGE = 1 << 60


class Refused(Exception):
    """The image must not be opened; says why."""


def guid(text):
    return uuid.UUID(text).bytes_le


def u32(data, at):
    return int.from_bytes(data[at:at + 4], 'little')


def u64(data, at):
    return int.from_bytes(data[at:at + 8], 'little')


# --- CRC-32C ---------------------------------------------------------------------

PIECE = 512


def _byte_table():
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


BYTE = _byte_table()


def _feed(crc, data):
    for byte in data:
        crc = BYTE[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def _skip_tables():
    """What a PIECE of zeros makes of each byte of a CRC: it is linear."""
    zeros = bytes(PIECE)
    bit = [_feed(1 << i, zeros) for i in range(32)]
    tables = []
    for byte in range(4):
        table = [0] * 256
        for value in range(256):
            for i in range(8):
                if value >> i & 1:
                    table[value] ^= bit[8 * byte + i]
        tables.append(table)
    return tables


SKIP = _skip_tables()


@functools.lru_cache(1 << 16)
def _piece(data):
    return _feed(0, data)


def crc32c(data):
    """Of whole pieces, each of which is computed once."""
    skip0, skip1, skip2, skip3 = SKIP
    crc = 0xFFFFFFFF
    for at in range(0, len(data), PIECE):
        crc = (skip0[crc & 255] ^ skip1[crc >> 8 & 255] ^ skip2[crc >> 16 & 255] ^
               skip3[crc >> 24] ^ _piece(data[at:at + PIECE]))
    return crc ^ 0xFFFFFFFF


def checksum_is_right(data):
    """All structures have it at byte 4, taken as zero."""
    return u32(data, 4) == crc32c(data[:4] + bytes(4) + data[8:])


# --- headers [2.2.2] -------------------------------------------------------------

HEADERS = (64 << 10, 128 << 10)


class Header:
    """One of the two, valid."""

    def __init__(self, page):
        self.page = page
        (self.sequence, self.file_write_guid, self.data_write_guid, self.log_guid,
         self.log_version, self.version, self.log_length, self.log_offset) = \
            struct.unpack_from('<Q16s16s16sHHIQ', page, 8)


@functools.lru_cache(1 << 14)
def valid_header(page):
    if page[:4] != b'head' or not checksum_is_right(page):
        return None
    return Header(page)


def header_pages(file):
    return [file.page(offset // PAGE) for offset in HEADERS]


@functools.lru_cache(1 << 14)
def current_header(first, second):
    """The one that counts, of two pages."""
    first, second = valid_header(first), valid_header(second)
    if first and second and first.sequence == second.sequence:
        # Seen in real files: the same header twice.
        if first.page != second.page:
            raise Refused('two valid headers have one sequence number')
        return first
    if not first and not second:
        raise Refused('no valid header')
    if not first or (second and second.sequence > first.sequence):
        return second
    return first


def check_header(header, size):
    if header.version != 1:
        raise Refused('Version is %d' % header.version)
    if header.log_guid != NO_GUID and header.log_version:
        raise Refused('LogVersion is %d' % header.log_version)
    if header.log_length % MIB or header.log_offset % MIB:
        raise Refused('the log is not aligned')
    if header.log_length:
        if header.log_offset < MIB:
            raise Refused('the log lies in the header section')
        if header.log_offset + header.log_length > size:
            raise Refused('the log ends past the end of the file')
    elif header.log_guid != NO_GUID:
        raise Refused('LogGuid is set, and there is no log')


# --- log [2.3] -------------------------------------------------------------------

class Entry:
    """A log entry, its checksums and numbers right."""

    def __init__(self, data, updates):
        (self.length, self.tail, self.sequence, self.count, _, self.guid,
         self.flushed, self.last) = struct.unpack_from('<IIQII16sQQ', data, 8)
        self.updates = updates      # (offset, length, page or None)
        self.offset = None          # in the log


def descriptor_sectors(count):
    return 1 if count <= 126 else 1 + (count - 126 + 127) // 128


@functools.lru_cache(1 << 14)
def entry_length(page):
    """By its first page; 0 when this is no entry at all."""
    length = u32(page, 8)
    if page[:4] != b'loge' or not length or length % PAGE:
        return 0
    return length


def descriptors(data, count):
    for at in range(64, 64 + 32 * count, 32):
        yield data[at:at + 32]


@functools.lru_cache(1 << 15)
def valid_entry(pages):
    """From all of its pages, or None: it is torn."""
    data = b''.join(pages)
    sequence, count = u64(data, 16), u32(data, 24)
    # In that order: a torn one is not looked at any further.
    if not checksum_is_right(data) or not sequence or u32(data, 12) % PAGE:
        return None
    place = descriptor_sectors(count)
    if place > len(pages):
        return None
    updates = []
    for descriptor in descriptors(data, count):
        kind, offset = descriptor[:4], u64(descriptor, 16)
        if u64(descriptor, 24) != sequence or offset % PAGE:
            return None
        if kind == b'zero':
            length = u64(descriptor, 8)
            if length % PAGE:
                return None
            updates.append((offset, length, None))
        elif kind == b'desc':
            if place == len(pages):
                return None
            sector = pages[place]
            place += 1
            if (sector[:4] != b'data' or u32(sector, 4) != sequence >> 32 or
                    u32(sector, 4092) != sequence & 0xFFFFFFFF):
                return None
            updates.append((offset, PAGE, descriptor[8:16] + sector[8:4092] +
                            descriptor[4:8]))
        else:
            return None
    if place != len(pages):
        return None
    return Entry(data, tuple(updates))


class Log:
    """The ring of a file whose current header is known."""

    def __init__(self, file, header):
        self.guid = header.log_guid
        self.length = header.log_length
        self.first = header.log_offset // PAGE
        self.count = header.log_length // PAGE
        self.page = file.page
        # A page without the signature starts no entry.
        self.starts = [(number - self.first) * PAGE
                       for number in file.used(self.first, self.first + self.count)
                       if file.page(number)[:4] == b'loge']

    def pages(self, offset, length):
        number = offset // PAGE
        return tuple(self.page(self.first + (number + i) % self.count)
                     for i in range(length // PAGE))

    def entry(self, offset):
        length = entry_length(self.page(self.first + offset // PAGE))
        if not length or length > self.length:
            return None
        entry = valid_entry(self.pages(offset, length))
        return entry if entry and entry.guid == self.guid else None

    def sequence(self, tail):
        """Entries from there on, with their offsets, as far as they go."""
        run = []
        head = tail
        while True:
            entry = self.entry(head)
            if not entry or (run and entry.sequence != run[-1][1].sequence + 1):
                return run, head
            run.append((head, entry))
            head = (head + entry.length) % self.length

    def active(self):
        """Its entries from the tail on [2.3.3]."""
        best = []
        passed = 0
        for start in self.starts:
            if start < passed:
                continue
            run, head = self.sequence(start)
            tails = [i for i, (offset, _) in enumerate(run)
                     if offset == run[-1][1].tail]
            if not tails:
                continue
            if not best or run[-1][1].sequence > best[-1].sequence:
                best = [entry for _, entry in run[tails[0]:]]
            if head <= start:
                break
            passed = head
        return best

    def bad_descriptors(self):
        """Entries with a good header and a descriptor that is not theirs.

        -> (offset in the log, its sequence number, which one, what is wrong)
        """
        for start in self.starts:
            page = self.page(self.first + start // PAGE)
            length, count, sequence = entry_length(page), u32(page, 24), u64(page, 16)
            if (not length or length > self.length or page[32:48] != self.guid or
                    not sequence or descriptor_sectors(count) > length // PAGE):
                continue
            data = b''.join(self.pages(start, length))
            for i, descriptor in enumerate(descriptors(data, count)):
                if descriptor[:4] not in (b'desc', b'zero'):
                    yield start, sequence, i, 'signature'
                    break
                if u64(descriptor, 24) != sequence:
                    yield start, sequence, i, 'sequence number'
                    break


class Replayed:
    """A file with its log replayed over it."""

    def __init__(self, file, header):
        self.file = file
        self.size = file.size
        self.over = {}
        self.zeros = []
        self.entries = Log(file, header).active()
        if not self.entries:
            raise Refused('LogGuid is set, and there is no valid sequence of entries')
        head = self.entries[-1]
        if file.size < head.flushed:
            raise Refused('the file is shorter than FlushedFileOffset: truncated')
        log_end = header.log_offset + header.log_length
        for offset, length, page in itertools.chain.from_iterable(
                entry.updates for entry in self.entries):
            if not length or offset + length > TOO_LARGE:
                raise Refused('an update of %d bytes at 0x%x' % (length, offset))
            # The log is not for headers [2.3], and not for itself.
            if offset < 192 << 10:
                raise Refused('an update at 0x%x, in the headers' % offset)
            if offset < log_end and offset + length > header.log_offset:
                raise Refused('an update at 0x%x, in the log' % offset)
            self.size = max(self.size, offset + length)
            if page is None:
                first, last = offset // PAGE, (offset + length) // PAGE
                self.zeros.append((first, last))
                for number in [n for n in self.over if first <= n < last]:
                    del self.over[number]
            else:
                self.over[offset // PAGE] = page
        if head.last > TOO_LARGE:
            raise Refused('LastFileOffset is 0x%x' % head.last)
        self.size = max(self.size, head.last)

    def page(self, number):
        page = self.over.get(number)
        if page is not None:
            return page
        if self.zeros and any(first <= number < last for first, last in self.zeros):
            return ZERO_PAGE
        return self.file.page(number)

    def touches(self, offset, length):
        first, last = offset // PAGE, (offset + length + PAGE - 1) // PAGE
        return (any(first <= number < last for number in self.over) or
                any(a < last and b > first for a, b in self.zeros))


def pages_of(file, offset, length):
    return tuple(file.page(number)
                 for number in range(offset // PAGE, (offset + length + PAGE - 1) // PAGE))


# --- regions [2.2.3] -------------------------------------------------------------

BAT = guid('2DC27766-F623-4200-9D64-115E9BFD4A08')
METADATA = guid('8B7CA206-4790-4B9A-B8FE-575F050F886E')


@functools.lru_cache(64)
def valid_region_table(pages):
    """(Guid, FileOffset, Length, Required) of each entry, or None."""
    data = b''.join(pages)
    if data[:4] != b'regi' or not checksum_is_right(data):
        return None
    count = u32(data, 8)
    if count > 2047:
        raise Refused('%d regions' % count)
    return tuple(struct.unpack_from('<16sQII', data, 16 + 32 * i) for i in range(count))


@functools.lru_cache(64)
def check_regions(entries, header_log, size):
    """-> the known regions, and what no block may overlap."""
    taken = [(0, MIB), header_log]
    known = {}
    for what, offset, length, required in entries:
        if what in known:
            raise Refused('a region is there twice')
        if offset % MIB or length % MIB or not length or offset < MIB:
            raise Refused('a region at 0x%x of 0x%x bytes' % (offset, length))
        if offset + length > size:
            raise Refused('a region ends past the end of the file')
        if what not in (BAT, METADATA) and required & 1:
            raise Refused('a required region is unknown')
        known[what] = (offset, length)
        taken.append((offset, offset + length))
    check_overlap(taken)
    for what in BAT, METADATA:
        if what not in known:
            raise Refused('the BAT or the metadata region is missing')
    return known, tuple(taken)


def check_overlap(ranges):
    ranges = sorted(r for r in ranges if r[0] != r[1])
    for (_, end), (start, _) in zip(ranges, ranges[1:]):
        if start < end:
            raise Refused('two objects overlap at 0x%x' % start)


def regions_of(file, header):
    """By the first table that is whole and right."""
    why = 'both region tables are damaged'
    log = (header.log_offset, header.log_offset + header.log_length)
    for offset in 192 << 10, 256 << 10:
        try:
            entries = valid_region_table(pages_of(file, offset, 64 << 10))
            if entries is not None:
                return check_regions(entries, log, file.size)
        except Refused as refused:
            why = refused
    raise Refused(why)


# --- metadata [2.6] --------------------------------------------------------------

PARAMETERS = guid('CAA16737-FA36-4D43-B3B6-33F0AA44E76B')
DISK_SIZE = guid('2FA54224-CD1B-4876-B211-5DBED83BF4B8')
DISK_ID = guid('BECA12AB-B2E6-4523-93EF-C309E000C746')
LOGICAL = guid('8141BF1D-A96F-4709-BA47-F233A8FAAB5F')
PHYSICAL = guid('CDA348C7-445D-4471-9CC9-E9885251C556')
LOCATOR = guid('A8D35F2D-B30B-454D-ABF7-D3D84834AB0C')
ITEM_LENGTH = {PARAMETERS: 8, DISK_SIZE: 8, DISK_ID: 16, LOGICAL: 4, PHYSICAL: 4}


@functools.lru_cache(64)
def metadata_items(pages, region_length):
    """ItemId -> (offset in the region, length), of the system's known ones."""
    data = b''.join(pages)
    count = u32(data, 10) & 0xFFFF
    if data[:8] != b'metadata' or count > 2047:
        raise Refused('no metadata table, or one of %d entries' % count)
    seen = set()
    ranges = []
    known = {}
    users = 0
    for i in range(count):
        item, offset, length, flags = struct.unpack_from('<16sIII', data, 32 + 32 * i)
        user, required = flags & 1, flags & 4
        users += user
        if (item, user) in seen:
            raise Refused('a metadata item is there twice')
        seen.add((item, user))
        if length > MIB or (not length and offset):
            raise Refused('a metadata item of %d bytes at 0x%x' % (length, offset))
        if length:
            if offset < 64 << 10 or offset + length > region_length:
                raise Refused('a metadata item outside of its region')
            ranges.append((offset, offset + length))
        if not user and (item in ITEM_LENGTH or item == LOCATOR):
            known[item] = (offset, length)
        elif required:
            raise Refused('a required metadata item is unknown')
    if users > 1024:
        raise Refused('%d user metadata items' % users)
    check_overlap(ranges)
    for item, length in ITEM_LENGTH.items():
        if known.get(item, (0, 0))[1] < length:
            raise Refused('a metadata item is missing or short')
    return known


# [2.6.2.6]
LOCATOR_TYPE = guid('B04AEFB7-D19E-4A81-B789-25B8E9445913')
GUID_TEXT = re.compile(r'\{([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\}', re.I)
PATHS = 'relative_path', 'volume_path', 'absolute_win32_path'


def string_in(data, offset, length):
    if not offset or not length or length % 2 or offset + length > len(data):
        raise Refused('parent locator: a string of %d bytes at 0x%x' % (length, offset))
    try:
        text = data[offset:offset + length].decode('utf-16-le')
    except UnicodeDecodeError:
        raise Refused('parent locator: a string that is no UTF-16') from None
    if '\0' in text:
        raise Refused('parent locator: a NUL in a string')
    return text


@functools.lru_cache(64)
def linkages(data):
    """DataWriteGuids that a parent may have, of the item's bytes."""
    if len(data) < 20 or data[:16] != LOCATOR_TYPE:
        raise Refused('no parent locator of VHDX')
    count = u32(data, 16) >> 16
    if 20 + 12 * count > len(data):
        raise Refused('parent locator: %d entries' % count)
    value = {}
    for at in range(20, 20 + 12 * count, 12):
        key_at, value_at, key_length, value_length = struct.unpack_from('<IIHH', data, at)
        key = string_in(data, key_at, key_length)
        if key in value:
            raise Refused('parent locator: a key is there twice')
        value[key] = string_in(data, value_at, value_length)
    if 'parent_linkage' not in value:
        raise Refused('parent locator: no parent_linkage')
    if not any(path in value for path in PATHS):
        raise Refused('parent locator: no path')
    found = []
    for key in 'parent_linkage', 'parent_linkage2':
        if key in value:
            match = GUID_TEXT.fullmatch(value[key])
            if not match:
                raise Refused('parent locator: %s is no GUID' % key)
            found.append(guid(match.group(1)))
    # Windows writes zeros where it has none; that names nobody.
    return [linkage for linkage in found if linkage != NO_GUID]


class Parameters:
    """What the metadata says."""

    def __init__(self, item):
        self.block_size, flags = struct.unpack('<II', item(PARAMETERS, 8))
        self.disk_size = u64(item(DISK_SIZE, 8), 0)
        self.sector = u32(item(LOGICAL, 4), 0)
        physical = u32(item(PHYSICAL, 4), 0)
        self.has_parent = bool(flags & 2)
        if self.block_size not in [MIB << i for i in range(9)]:
            raise Refused('blocks of %d bytes' % self.block_size)
        if self.sector not in (512, 4096) or physical not in (512, 4096):
            raise Refused('sectors of %d, %d bytes' % (self.sector, physical))
        if (not self.disk_size or self.disk_size > 64 << 40 or
                self.disk_size % self.sector):
            raise Refused('a disk of %d bytes' % self.disk_size)
        self.blocks = -(-self.disk_size // self.block_size)
        self.chunk_ratio = (self.sector << 23) // self.block_size
        # The last entry is the last payload block's, or its chunk's bitmap's [2.5].
        self.entries = self.blocks + (self.blocks - 1) // self.chunk_ratio
        if self.has_parent:
            self.entries = -(-self.blocks // self.chunk_ratio) * (self.chunk_ratio + 1)


@functools.lru_cache(64)
def parameters(items, pages):
    """@items: (ItemId, place in @pages)"""
    data = b''.join(pages)
    place = dict(items)
    return Parameters(lambda item, length: data[place[item]:place[item] + length])


def linkages_of(file, offset, items):
    if LOCATOR not in items:
        raise Refused('a parent, and no parent locator')
    at, length = items[LOCATOR]
    data = b''.join(pages_of(file, offset + at - at % PAGE, at % PAGE + length))
    return linkages(data[at % PAGE:at % PAGE + length])


def parameters_of(file, offset, known):
    pages, items = [], []
    for item, size in sorted(ITEM_LENGTH.items()):
        at = known[item][0]
        items.append((item, len(pages) * PAGE + at % PAGE))
        pages += pages_of(file, offset + at - at % PAGE, at % PAGE + size)
    return parameters(tuple(items), tuple(pages))


# --- BAT [2.5] -------------------------------------------------------------------

FULLY_PRESENT = 6
PARTIALLY_PRESENT = 7
# Not present, undefined, zero, unmapped, and the unmapped of older files.
READS_AS_ZEROS = (0, 1, 2, 3, 5)
# In the others it is reserved.
OFFSET_COUNTS = (1, 3, 5, FULLY_PRESENT, PARTIALLY_PRESENT)


@functools.lru_cache(1 << 12)
def used_entries(page):
    """(index, entry) of those in a page of the BAT that are not zero."""
    if page == ZERO_PAGE:
        return ()
    return tuple((i, entry) for i, entry in enumerate(struct.unpack('<512Q', page)) if entry)


class Blocks:
    """Where they are.

    @place: payload block -> offset in the file
    @partial: of those, the ones whose sectors may be the parent's
    @blank: payload blocks that read as zeros whatever the parent has
    @bitmap: chunk -> offset of its sector bitmap in the file
    """

    def __init__(self):
        self.place, self.bitmap = {}, {}
        self.partial, self.blank = set(), set()


@functools.lru_cache(1 << 15)
def block_map(pages, what, taken, size):
    """-> Blocks, checked; @pages: of the BAT"""
    block_size, chunk_ratio, entries, has_parent = what
    taken = list(taken)
    blocks = Blocks()
    for number, page in enumerate(pages):
        for i, entry in used_entries(page):
            index = 512 * number + i
            if index >= entries:
                break
            state, offset = entry & 7, entry & ~0xFFFFF
            chunk, in_chunk = divmod(index, chunk_ratio + 1)
            block = chunk * chunk_ratio + in_chunk
            length = block_size
            if entry & 0xFFFF8:
                raise Refused('BAT entry %d: a reserved bit is set' % index)
            if in_chunk == chunk_ratio:
                if state != (FULLY_PRESENT if has_parent else 0) and state:
                    raise Refused('BAT entry %d: a sector bitmap in state %d' %
                                  (index, state))
                if not state:
                    continue
                blocks.bitmap[chunk] = offset
                length = MIB
            elif state == FULLY_PRESENT:
                blocks.place[block] = offset
            elif state == PARTIALLY_PRESENT and has_parent:
                blocks.place[block] = offset
                blocks.partial.add(block)
            elif state not in READS_AS_ZEROS:
                raise Refused('BAT entry %d: state %d' % (index, state))
            else:
                if state:
                    blocks.blank.add(block)
                if state not in OFFSET_COUNTS or not offset:
                    continue
            if offset >= size:
                raise Refused('BAT entry %d: 0x%x is past the end of the file' %
                              (index, offset))
            taken.append((offset, offset + length))
    for block in blocks.partial:
        if block // chunk_ratio not in blocks.bitmap:
            raise Refused('block %d is partially present, and has no sector bitmap' % block)
    check_overlap(taken)
    return blocks


# --- all of it -------------------------------------------------------------------

class Disk:
    """What a guest sees of @file, a differencing one above @parent.

    A file has a size and page(n), its n-th 4 KiB, zeros past its end, and
    used(first, end): the numbers of pages that may hold anything but zeros.
    """

    def __init__(self, file, parent=None):
        if file.page(0)[:8] != b'vhdxfile':
            raise Refused('not a VHDX file')
        if file.size < MIB:
            raise Refused('shorter than its header section')
        self.header = header = current_header(*header_pages(file))
        check_header(header, file.size)
        self.log_is_dirty = header.log_guid != NO_GUID
        if self.log_is_dirty:
            file = Replayed(file, header)
        self.file = file
        known, taken = regions_of(file, header)
        offset, length = known[METADATA]
        items = metadata_items(pages_of(file, offset, 64 << 10), length)
        self.parameters = what = parameters_of(file, offset, items)
        self.linkages = linkages_of(file, offset, items) if what.has_parent else []
        self.parent = parent
        if parent:
            self.check_parent()
        offset, length = known[BAT]
        if what.entries * 8 > length:
            raise Refused('the BAT is too short for the disk')
        self.size = what.disk_size
        self.block_size = what.block_size
        self.blocks = block_map(pages_of(file, offset, what.entries * 8),
                                (what.block_size, what.chunk_ratio, what.entries,
                                 what.has_parent), taken, file.size)
        self.place = self.blocks.place
        if self.log_is_dirty:
            for offset in self.place.values():
                if file.touches(offset, what.block_size):
                    raise Refused('the log has an update of a payload block')

    def check_parent(self):
        if not self.parameters.has_parent:
            raise Refused('has no parent, and was given one')
        if self.parent.parameters.has_parent and not self.parent.parent:
            raise Refused('the parent of the parent is missing')
        if self.parent.header.data_write_guid not in self.linkages:
            raise Refused('the parent is not the one that it was made from')
        if self.parent.parameters.sector != self.parameters.sector:
            raise Refused('the parent has other sectors')

    def has_sector(self, sector):
        """Of a partially present block [2.4]."""
        chunk, bit = divmod(sector, 1 << 23)
        offset = self.blocks.bitmap[chunk] + bit // 8
        return self.file.page(offset // PAGE)[offset % PAGE] >> bit % 8 & 1

    def from_file(self, offset, length):
        at = offset % PAGE
        return self.file.page(offset // PAGE)[at:at + length]

    def from_parent(self, pos, length):
        if not self.parent:
            return bytes(length)
        # It may be shorter, and end inside.
        inside = max(0, min(length, self.parent.size - pos))
        data = self.parent.read(pos, inside) if inside else b''
        return data + bytes(length - inside)

    def read(self, pos, length):
        """Inside a page of the disk."""
        block = pos // self.block_size
        offset = self.place.get(block)
        if offset is None:
            if block in self.blocks.blank:
                return bytes(length)
            return self.from_parent(pos, length)
        offset += pos % self.block_size
        if block not in self.blocks.partial:
            return self.from_file(offset, length)
        data = []
        while length:
            n = min(length, self.parameters.sector - pos % self.parameters.sector)
            if self.has_sector(pos // self.parameters.sector):
                data.append(self.from_file(offset, n))
            else:
                data.append(self.from_parent(pos, n))
            pos, offset, length = pos + n, offset + n, length - n
        return b''.join(data)

    def used(self):
        """Numbers of the disk's MiB that may hold anything but zeros."""
        used = set() if not self.parent else {mib for mib in self.parent.used()
                                              if mib * MIB < self.size}
        for block in self.place:
            start = block * self.block_size
            used.update(range(start // MIB,
                              -(-min(start + self.block_size, self.size) // MIB)))
        return used


class OnHost:
    """A file of the host."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.fd).st_size

    def page(self, number):
        data = os.pread(self.fd, PAGE, number * PAGE) if number * PAGE < self.size else b''
        return data + bytes(PAGE - len(data))

    def used(self, first, end):
        return range(first, min(end, -(-self.size // PAGE)))

    def close(self):
        os.close(self.fd)


def write_raw(disk, path):
    with open(path, 'wb') as raw:
        raw.truncate(disk.size)
        for mib in sorted(disk.used()):
            for pos in range(mib * MIB, min((mib + 1) * MIB, disk.size), PAGE):
                data = disk.read(pos, min(PAGE, disk.size - pos))
                if data.strip(b'\0'):
                    raw.seek(pos)
                    raw.write(data)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1])
    parser.add_argument('-p', metavar='PARENT', action='append', default=[])
    parser.add_argument('image', nargs='+')
    args = parser.parse_args()
    status = 0
    parent = None
    for path in reversed(args.p):
        try:
            parent = Disk(OnHost(path), parent)
        except Refused as why:
            sys.exit('%s: refused: %s' % (path, why))
    for path in args.image:
        file = OnHost(path)
        try:
            write_raw(Disk(file, parent), path + '.raw')
            print('%s: opens' % path)
        except Refused as why:
            print('%s: refused: %s' % (path, why))
            status = 1
        file.close()
    return status


if __name__ == '__main__':
    sys.exit(main())
