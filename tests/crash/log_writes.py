"""Reads what dm-log-writes recorded, and makes the states that a disk can be in after a power cut at any moment of it.

The format is that of drivers/md/dm-log-writes.c: a superblock, then for each write one sector that describes it and
its data. A write is durable once a flush that came after it was answered, or by itself when it forces the medium.
"""

import itertools
import random
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

_MAGIC = 0x6A736677736872
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
_SECTOR = 512


class Flag(IntFlag):
    FLUSH = 1
    FUA = 2
    DISCARD = 4
    MARK = 8
    METADATA = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One write, flush or mark, in the order of the log. Offsets and sizes in bytes."""

    flags: Flag
    offset: int
    data: bytes
    mark: str = ""

    @property
    def is_flush(self) -> bool:
        return Flag.FLUSH in self.flags

    @property
    def is_forced(self) -> bool:
        return Flag.FUA in self.flags


@dataclass(frozen=True, slots=True)
class State:
    """A power cut after an entry: what had to be durable by then, and some of what came since the last flush."""

    cut: int  # number of the last entry that counts as written or as reached
    until: int  # the power goes before this entry; only marks lie between
    durable: int  # how many entries, from the first, are on the medium for sure
    lucky: frozenset[int]  # numbers of the later ones that are there too


def read(log: Path) -> list[Entry]:
    """Return every entry of a log."""
    entries: list[Entry] = []
    with log.open("rb") as file:
        magic, _, count, sector_size = _SUPER.unpack_from(file.read(_SECTOR))
        assert (magic, sector_size) == (_MAGIC, _SECTOR), "this is no log of writes"
        for _ in range(count):
            head = file.read(_SECTOR)
            sector, sectors, bits, size = _ENTRY.unpack_from(head)
            flags = Flag(bits)
            mark = head[_ENTRY.size : _ENTRY.size + size].decode() if Flag.MARK in flags else ""
            data = bytes(sectors * _SECTOR) if Flag.DISCARD in flags else file.read(sectors * _SECTOR)
            entries.append(Entry(flags, sector * _SECTOR, data, mark))
    return entries


def states(entries: list[Entry], chance: random.Random) -> Iterator[State]:
    """Yield the states in the order of the log: every prefix, and random subsets of what each flush covered."""
    for first, end in _epochs(entries):
        writes = [number for number in range(first, end) if entries[number].data]
        following = dict(zip(writes, [*writes[1:], end][: len(writes)], strict=True))
        yield State(first, writes[0] if writes else end, first, frozenset())
        for cut in writes:
            yield State(cut, following[cut], first, frozenset(n for n in writes if n <= cut))
        free = [number for number in writes if not entries[number].is_forced]
        for _ in range(4 + len(free) // 4 if free else 0):
            cut = chance.choice(writes)
            lucky = {n for n in writes if n <= cut and (entries[n].is_forced or chance.random() < 0.5)}
            yield State(cut, following[cut], first, frozenset(lucky))


def state_at(entries: Sequence[Entry], states: Sequence[State], moment: int, chance: random.Random) -> State:
    """Return one of the states in which the disk can be when the power goes at a moment: the number of an entry."""
    flushed = max(state.durable for state in states if state.durable <= moment)
    forced = max((n for n in range(flushed, moment + 1) if entries[n].is_forced), default=flushed)
    return chance.choice([state for state in states if state.durable == flushed and forced <= state.cut <= moment])


def _epochs(entries: list[Entry]) -> Iterator[tuple[int, int]]:
    """Yield the stretches between flushes; a flush belongs to what follows it, with its own data."""
    bounds = [0, *(number for number, entry in enumerate(entries) if entry.is_flush), len(entries)]
    return ((first, end) for first, end in itertools.pairwise(bounds) if first < end)


class Medium:
    """An image that goes through the states of a log, forwards only."""

    def __init__(self, image: Path, entries: list[Entry]) -> None:
        self.image = image
        self._entries = entries
        self._durable = 0

    @contextmanager
    def holding(self, state: State) -> Iterator[Path]:
        """Give the image as it is in a state; afterwards what may have been lost is gone from it again."""
        with self.image.open("r+b") as file:
            for entry in self._entries[self._durable : state.durable]:
                file.seek(entry.offset)
                file.write(entry.data)
            self._durable = max(self._durable, state.durable)
            replaced: list[tuple[int, bytes]] = []
            for entry in (self._entries[number] for number in sorted(state.lucky)):
                file.seek(entry.offset)
                replaced.append((entry.offset, file.read(len(entry.data))))
                file.seek(entry.offset)
                file.write(entry.data)
            file.flush()
            yield self.image
            for offset, data in reversed(replaced):
                file.seek(offset)
                file.write(data)
