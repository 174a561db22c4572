"""Somebody who reads every file of a pool over and over while the program works, and forgives nothing."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import xxhash

from lab import Entry

FAULTS_SHOWN = 20


@dataclass(slots=True)
class Readings:
    """What a reader saw; complete once its block has been left."""

    files: int = 0
    listings: int = 0
    rounds: float = 0.0  # over the whole pool
    faults: list[str] = field(default_factory=list)


@contextmanager
def reading(pool: Path, originals: Mapping[bytes, Entry]) -> Iterator[Readings]:
    """Let a process list every folder and read every file below a pool until the block is left."""
    # forked: it has to stay in the mount namespace in which the pool is
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    is_over, readings = context.Event(), Readings()
    process = context.Process(target=_read, args=(pool, originals, is_over, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield readings
    finally:
        is_over.set()
        if ours.poll(60):
            readings.files, readings.listings, readings.rounds, readings.faults = ours.recv()
        else:
            readings.faults.append("the reader did not answer within a minute")
            process.kill()
        process.join()


def _read(pool: Path, originals: Mapping[bytes, Entry], is_over: Event, answer: Connection) -> None:
    files = {path: entry.content for path, entry in originals.items() if entry.kind == "file"}
    folders: dict[bytes, set[bytes]] = {}
    for path in originals:
        folder, name = os.path.split(path)
        folders.setdefault(folder, set()).add(name)
    seen = Readings()
    while not is_over.is_set():
        for folder, names in folders.items():
            _look_into(pool, folder, names, files, seen)
            if is_over.is_set():
                break
    answer.send((seen.files, seen.listings, seen.files / max(1, len(files)), seen.faults[:FAULTS_SHOWN]))


def _look_into(pool: Path, folder: bytes, names: set[bytes], files: Mapping[bytes, str], seen: Readings) -> None:
    at = os.fsencode(pool)
    try:
        missing = names.difference(os.listdir(os.path.join(at, folder)))
    except OSError as error:
        seen.faults.append(f"{folder!r} cannot be listed: {error.strerror}")
        return
    seen.listings += 1
    seen.faults += [f"{name!r} is missing in the listing of {folder!r}" for name in missing]
    for name in names:
        path = os.path.join(folder, name)
        if path in files:
            _look_at(os.path.join(at, path), path, files[path], seen)


def _look_at(where: bytes, path: bytes, content: str, seen: Readings) -> None:
    digest = xxhash.xxh3_128()
    try:
        with open(where, "rb", buffering=0) as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except OSError as error:
        seen.faults.append(f"{path!r} cannot be read: {error.strerror}")
        return
    seen.files += 1
    if digest.hexdigest() != content:
        seen.faults.append(f"{path!r} has other bytes")
