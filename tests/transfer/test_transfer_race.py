"""Writers and readers of the merged view against the mover: no write is lost, no file is ever absent or wrong."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import MakeDisk, MountPool
from transfer.bench import Bench

FILES = 100
ENOUGH = 100  # files moved in each direction
FIRST_LINE = b"begin 0\n"

WRITE = """
import json, os, random, sys, time
folder, count, tag = sys.argv[1], int(sys.argv[2]), sys.argv[3]
chance, number, absent, written = random.Random(tag), 0, 0, {}
os.set_blocking(0, False)
print("ready", flush=True)
while True:
    try:
        os.read(0, 1)
        break
    except BlockingIOError:
        pass
    name = f"f{chance.randrange(count)}"
    number += 1
    line = f"{tag} {number}\\n".encode()
    try:
        fd = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        absent += 1
        continue
    assert os.write(fd, line) == len(line)
    if number % 7 == 0:
        time.sleep(0.0005)  # held open for a while
    os.close(fd)
    written.setdefault(name, []).append(number)
    if number % 20 == 0:
        time.sleep(0.001)
print(json.dumps({"absent": absent, "written": written}))
"""
READ = """
import json, os, re, sys
folder, count, whole = sys.argv[1], int(sys.argv[2]), re.compile(rb"begin 0\\n([a-z]+ [0-9]+\\n)*")
absent, wrong, reads = 0, [], 0
os.set_blocking(0, False)
print("ready", flush=True)
while True:
    try:
        os.read(0, 1)
        break
    except BlockingIOError:
        pass
    for number in range(count):
        try:
            fd = os.open(os.path.join(folder, f"f{number}"), os.O_RDONLY)
        except FileNotFoundError:
            absent += 1
            continue
        data = os.read(fd, 1 << 20)
        os.close(fd)
        reads += 1
        if not whole.fullmatch(data):
            wrong.append([number, repr(data[-200:])])
print(json.dumps({"absent": absent, "wrong": wrong, "reads": reads}))
"""


@dataclass(eq=False)
class Rival:
    """A process that works in the merged view until it is asked what it saw."""

    process: subprocess.Popen[bytes]
    saw: Any = None

    def finish(self) -> None:
        output, _ = self.process.communicate(b"x", timeout=60)
        assert self.process.returncode == 0
        self.saw = json.loads(output.splitlines()[-1])


@contextmanager
def rivals(*commands: tuple[str, ...]) -> Iterator[list[Rival]]:
    """Start the rivals; at the end each of them was asked."""
    started = []
    try:
        for code, *arguments in commands:
            command = [sys.executable, "-I", "-S", "-c", code, *arguments]
            started.append(
                Rival(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd="/"))
            )
        for rival in started:
            assert rival.process.stdout is not None
            assert rival.process.stdout.readline() == b"ready\n"
        yield started
        for rival in started:
            rival.finish()
    finally:
        for rival in started:
            rival.process.kill()
            rival.process.communicate()


def lines_on(roots: tuple[Path, Path]) -> dict[str, set[bytes]]:
    """Return the lines of every file, of both versions where both were kept, wherever they are."""
    found: dict[str, set[bytes]] = {}
    for root in roots:
        for path in (root / "s").rglob("f*"):
            data = path.read_bytes()
            assert re.fullmatch(rb"begin 0\n([a-z]+ [0-9]+\n)*", data), f"{path}: {data[-200:]!r}"
            found.setdefault(path.name, set()).update(data.splitlines())
    return found


def race(bench: Bench, disks: tuple[Path, Path], *, at_least: float, at_most: float = 20) -> list[int]:
    """Move the same files to and fro until enough went each way; return how many went there and how many back."""
    moved, started = [0, 0], time.monotonic()
    while time.monotonic() - started < at_least or (min(moved) < ENOUGH and time.monotonic() - started < at_most):
        moved[0] += bench.move("s/u", *disks).files_moved
        moved[1] += bench.move("s/u", *disks[::-1]).files_moved
    return moved


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    disks = make_disk("xfs", 300, "disk1"), make_disk("ext4", 64, "disk2")
    (disks[0] / "s/u").mkdir(parents=True)
    for number in range(FILES):
        (disks[0] / f"s/u/f{number}").write_bytes(FIRST_LINE)
    return disks


def test_no_write_through_a_pool_is_lost_and_no_file_is_absent_while_files_move(
    bench: Bench, disks: tuple[Path, Path], mount_pool: MountPool, record_property: Any
) -> None:
    folder = str(
        mount_pool(disks) / "s/u"
    )  # on the way there the source is the first branch, on the way back the other

    with rivals((WRITE, folder, str(FILES), "one"), (WRITE, folder, str(FILES), "two")) as writers:
        moved = race(bench, disks, at_least=10)

    written = acknowledged(writers)
    found = lines_on(disks)
    lost = [(name, line) for name, line in written if line not in found.get(name, set())]
    absent = sum(writer.saw["absent"] for writer in writers)
    figures = {"moved": moved, "writes": len(written), "lost": len(lost), "found nothing": absent}
    record_property("figures", figures)
    assert lost == []
    assert absent <= 1  # engine.md, section 4: 0-1 opens of about 80,000
    assert len(found) == FILES
    assert min(moved) >= ENOUGH
    assert len(written) > 2_000


def test_a_reader_of_the_pool_never_misses_a_file_nor_reads_a_wrong_byte(
    bench: Bench, disks: tuple[Path, Path], mount_pool: MountPool, record_property: Any
) -> None:
    folder = str(mount_pool(disks) / "s/u")

    with rivals((READ, folder, str(FILES)), (WRITE, folder, str(FILES), "one")) as (reader, _):
        moved = race(bench, disks, at_least=5)

    figures = {"moved": moved, "reads": reader.saw["reads"], "found nothing": reader.saw["absent"]}
    record_property("figures", figures)
    assert reader.saw["wrong"] == []
    assert reader.saw["absent"] <= 1
    assert reader.saw["reads"] > FILES
    assert min(moved) >= ENOUGH


def acknowledged(writers: list[Rival]) -> list[tuple[str, bytes]]:
    """Return every line that a writer was told is written, with the name of its file."""
    lines = []
    for writer, tag in zip(writers, (b"one", b"two"), strict=True):
        for name, numbers in writer.saw["written"].items():
            lines += [(name, b"%s %d" % (tag, number)) for number in numbers]
    return lines
