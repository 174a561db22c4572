"""L10: a million records, a million files, three thousand folders deep: bounded memory, and whole or not at all."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lab
from bench_records import write_records
from crash.figures import Figures
from lab import MakeDisk

MILLION = 1_000_000
LIMIT = 300  # MiB, resident, of the largest process
DEEP = 3_000

pytestmark = [pytest.mark.long, pytest.mark.needs_mounts, pytest.mark.timeout(1500)]


# A small process between, because a new process is said to have had as much memory as the one that started it.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as most:
    most.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


@dataclass(frozen=True)
class Measured:
    """One command as it ran: its answer, its time, and the most memory it had."""

    exit_code: int
    document: Any
    errors: str
    seconds: float
    mib: int


def measured(state: Path, *arguments: str | Path, under: Sequence[str] = ()) -> Measured:
    """Run the real program to its end."""
    began = time.monotonic()
    with open(state / "answer", "w+b") as answer, open(state / "errors", "w+b") as errors:
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _MEASURE,
            str(state / "most"),
            *under,
            *lab.command_line(*arguments),
        ]
        ran = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=errors,
            env=lab.environment(state),
            cwd="/",
        )
    seconds, text = time.monotonic() - began, (state / "answer").read_bytes()
    return Measured(
        exit_code=ran.returncode,
        document=json.loads(text) if text[:1] in {b"[", b"{"} else text.decode(),
        errors=(state / "errors").read_text(),
        seconds=seconds,
        mib=int((state / "most").read_text()) // 1024,
    )


def test_the_first_page_of_a_million_records_needs_little_memory(state: Path, mounts: ExitStack) -> None:
    figures = Figures("L10", "a million execution records", "tmpfs")
    config = mounts.enter_context(lab.disk(state / "config", "tmpfs", 8192))
    config.chmod(0o700)
    write_records(config / "executions", MILLION, schedules=["nightly"])
    newest = sorted(os.listdir(config / "executions"))[-10:]

    first = measured(state, "--execution-history", "--limit", "10", "--json")
    again = measured(state, "--execution-history", "--limit", "10", "--json")

    for ran in (first, again):
        assert ran.exit_code == 0, ran.errors
        assert sorted(f"{one['execution_id']}.json" for one in ran.document) == newest
        figures.points += 1
        figures.fired += 1
    figures.note("MiB, first time", first.mib)
    figures.note("MiB, again", again.mib)
    figures.note("ms, first time", int(first.seconds * 1000))
    figures.note("ms, again", int(again.seconds * 1000))
    assert max(first.mib, again.mib) < LIMIT, figures.notes
    assert again.seconds < first.seconds / 5  # the records are not read again
    figures.publish()


def test_a_million_files_are_planned_in_little_memory(make_disk: MakeDisk, state: Path) -> None:
    figures = Figures("L10", "a plan for a million files", "tmpfs")
    disks = make_disk("tmpfs", 6000, "disk1"), make_disk("tmpfs", 6000, "disk2")
    for folder in range(1_000):
        write_files(disks[0] / f"media/unit {folder}", MILLION // 1_000)

    ran = measured(state, "--disk", disks[0], "--disk", disks[1], "plan", "--reserve", "1MB", "--json")

    assert ran.exit_code == 0, ran.errors
    moves = ran.document["moves"]
    figures.points = figures.fired = 1
    figures.note("MiB", ran.mib)
    figures.note("ms", int(ran.seconds * 1000))
    figures.note("files to move", sum(move["files"] for move in moves))
    assert 450_000 <= figures.notes["files to move"] <= 550_000
    assert ran.mib < LIMIT, figures.notes
    figures.publish()


def write_files(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number in range(count):
            inside = os.open(f"{number}", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
            os.write(inside, b"x")
            os.close(inside)
    finally:
        os.close(fd)


@pytest.fixture
def deep(make_disk: MakeDisk) -> tuple[Path, Path]:
    """Two units three thousand folders deep, of which a plan moves one."""
    disks = make_disk("ext4", 96, "disk1"), make_disk("ext4", 96, "disk2")
    for unit in ("deep", "other"):
        lab.write_deep_folders(disks[0] / "media" / unit, DEEP)
        for number in range(200):
            (disks[0] / f"media/{unit}/file {number}").write_bytes(os.urandom(10_000))
    return disks


@pytest.mark.needs_loop_disks("ext4")
def test_a_tree_three_thousand_folders_deep_is_moved_whole(deep: tuple[Path, Path], state: Path) -> None:
    figures = Figures("L10", f"a tree {DEEP:,} folders deep", "ext4 -> ext4")
    before = lab.snapshot(deep[0])

    ran = measured(state, *run_command(deep))

    assert ran.exit_code == 0, (ran.document, ran.errors)
    assert sorted(len(os.listdir(root / "media")) for root in deep) == [1, 1]
    assert lab.difference(before, lab.snapshot_array(deep), ignore_folder_times=True) == []
    figures.points = figures.fired = 1
    figures.note("MiB", ran.mib)
    figures.note("ms", int(ran.seconds * 1000))
    assert ran.mib < LIMIT, figures.notes
    figures.publish()


@pytest.mark.needs_loop_disks("ext4")
@pytest.mark.needs_tool("prlimit")
def test_where_few_files_may_be_open_a_deep_tree_loses_nothing_and_the_reason_is_told(
    deep: tuple[Path, Path], state: Path
) -> None:
    """What lies above the depth that can be reached may have moved; the next run goes on to the same disk."""
    figures = Figures("L10", f"a tree {DEEP:,} folders deep, 1,024 open files allowed", "ext4 -> ext4")
    before = lab.snapshot(deep[0])

    ran = measured(state, *run_command(deep), under=("prlimit", "--nofile=1024:1024"))
    again = measured(state, *run_command(deep))

    assert ran.exit_code == 1
    assert "too many files are open on this machine; the folder may be too deep" in ran.document
    assert again.exit_code == 0, (again.document, again.errors)
    assert sorted(len(os.listdir(root / "media")) for root in deep) == [1, 1]
    assert lab.difference(before, lab.snapshot_array(deep), ignore_folder_times=True) == []
    figures.points = figures.fired = 1
    figures.publish()


def run_command(disks: tuple[Path, Path]) -> list[str | Path]:
    return ["--disk", disks[0], "--disk", disks[1], "run", "--yes", "--reserve", "1MB"]
