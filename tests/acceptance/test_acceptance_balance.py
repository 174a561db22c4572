"""The main job, once, on real disks under a real pool with somebody reading all the time; then every promise is judged."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.reading_lab import Readings, reading
from acceptance.sample_lab import marks, spread, write_disk
from lab import Entry, needs

pytestmark = pytest.mark.xdist_group("balance")  # one process, so that each array is balanced once

# xfs shows root every ACL a second time, as an attribute of its own that no other file system has
FILTER = "--filter=-x trusted.SGI_ACL_*"


@dataclass(frozen=True, slots=True)
class Layout:
    """Disks as (file system, MiB, percent full, files)."""

    disks: tuple[tuple[str, int, float, int], ...]

    @property
    def file_systems(self) -> set[str]:
        return {file_system for file_system, *_ in self.disks}


LAYOUTS = {
    "xfs-ext4-btrfs": Layout((("xfs", 640, 90, 14_000), ("ext4", 480, 40, 4_500), ("btrfs", 400, 10, 1_500))),
    "tmpfs": Layout((("tmpfs", 160, 90, 2_000), ("tmpfs", 96, 40, 700), ("tmpfs", 64, 10, 300))),
}


@dataclass(slots=True)
class Balanced:
    """An array that was balanced, still mounted, and all that was seen on the way."""

    roots: list[Path]
    pool: Path
    copy: Path
    before: dict[bytes, Entry]
    each_before: list[dict[bytes, Entry]]
    fills_before: list[tuple[int, int]]
    plan: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    readings: Readings = field(default_factory=Readings)
    after: dict[bytes, Entry] = field(default_factory=dict)
    each_after: list[dict[bytes, Entry]] = field(default_factory=list)
    fills_after: list[tuple[int, int]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[what] = round(time.monotonic() - start, 1)

    @property
    def moved(self) -> list[tuple[bytes, Entry]]:
        """Every name that is on another disk now, with what it stands for; folders left out."""
        return [
            (path, entry)
            for before, after in zip(self.each_before, self.each_after, strict=True)
            for path, entry in after.items()
            if entry.kind != "folder" and path not in before
        ]


@pytest.fixture(scope="module", params=LAYOUTS)
def balanced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    layout = LAYOUTS[request.param]
    for file_system in layout.file_systems - {"tmpfs"} | {"xfs"}:
        needs.demand(needs.lacking_loop_disks(file_system))
    needs.demand(needs.lacking_pools() or needs.lacking_tools("rsync"))
    base = tmp_path_factory.mktemp("balance")
    with ExitStack() as stack:
        yield _balance(layout, base, stack)


def _balance(layout: Layout, base: Path, stack: ExitStack) -> Balanced:
    roots = [
        stack.enter_context(lab.disk(base / "mnt" / f"disk{number}", file_system, size))
        for number, (file_system, size, *_) in enumerate(layout.disks, start=1)
    ]
    for number, (_, _, percent, files) in enumerate(layout.disks):
        write_disk(roots[number], files=files, percent=percent, seed=number + 1)
    pool = stack.enter_context(lab.pool(roots, base / "mnt" / "user"))
    copy = stack.enter_context(lab.disk(base / "mnt" / "copy", "xfs", 3072))
    subprocess.run(["rsync", "-aHAX", FILTER, "--exclude=/lost+found", f"{pool}/", f"{copy}/"], check=True)
    seen = Balanced(
        roots=roots,
        pool=pool,
        copy=copy,
        before=lab.snapshot_array(roots),
        each_before=[lab.snapshot(root) for root in roots],
        fills_before=_fills(roots),
    )
    state = base / "state"
    state.mkdir(mode=0o700)
    disks = [f"--disk={root}" for root in roots]
    with seen.timed("plan"):
        seen.plan = lab.run("plan", "--json", *disks, state=state, exit_code=0).document
    with seen.timed("run"), reading(pool, seen.before) as seen.readings:
        ran = lab.run("run", "--yes", "--json", *disks, state=state, timeout=500)
    seen.record = ran.document
    assert ran.exit_code == 0, f"{seen.record['error_message']}: {seen.record['left'][:5]}"
    seen.each_after = [lab.snapshot(root) for root in roots]
    seen.after = lab.snapshot_array(roots)  # fails when a file is on two disks
    seen.fills_after = _fills(roots)
    print(  # noqa: T201 - the figures, for whoever runs it with -s
        f"\n{len(seen.before):,} names, {seen.seconds}, {seen.record['files_moved']:,} files and "
        f"{seen.record['bytes_moved']:,} bytes moved, planned {seen.plan['bytes_to_move']:,}, "
        f"bound {seen.plan['lower_bound_bytes']:,}, read {seen.readings.files:,} files, {seen.readings.listings:,} "
        f"listings, {seen.readings.rounds:.1f} rounds, spread {seen.plan['spread_before']:.2f} -> {spread(roots):.2f}"
    )
    return seen


def _fills(roots: list[Path]) -> list[tuple[int, int]]:
    spread(roots)
    figures = [os.statvfs(root) for root in roots]
    return [(f.f_blocks * f.f_frsize, (f.f_blocks - f.f_bfree) * f.f_frsize) for f in figures]


def test_the_disks_end_within_one_point_of_each_other(balanced: Balanced) -> None:
    assert balanced.plan["spread_before"] > 75
    assert spread(balanced.roots) <= 1


def test_every_file_is_there_once_and_exactly_what_it_was(balanced: Balanced) -> None:
    assert lab.difference(balanced.before, balanced.after) == []


def test_rsync_finds_no_difference_to_a_copy_made_before(balanced: Balanced) -> None:
    compared = subprocess.run(
        ["rsync", "-aHAXni", "--checksum", "--delete", FILTER, "--exclude=/lost+found",
         f"{balanced.copy}/", f"{balanced.pool}/"],
        check=True, capture_output=True,
    )  # fmt: skip

    assert compared.stdout.decode(errors="replace") == ""


def test_rsync_would_have_found_a_difference(balanced: Balanced) -> None:
    changed = next(path for path in balanced.copy.glob("photos/year*/*.raw"))
    moment = changed.stat().st_mtime_ns
    os.utime(changed, ns=(moment, moment - 10**9))

    compared = subprocess.run(
        ["rsync", "-aHAXni", "--checksum", FILTER, f"{balanced.copy}/", f"{balanced.pool}/"],
        check=True, capture_output=True,
    )  # fmt: skip
    os.utime(changed, ns=(moment, moment))

    assert changed.name.encode() in compared.stdout


def test_files_of_every_kind_were_among_those_moved(balanced: Balanced) -> None:
    moved = [path for path, _ in balanced.moved]
    attributes = {name for _, entry in balanced.moved for name, _ in entry.xattrs}

    assert any(entry.links == b"media/collection 1/drama/film.mkv" for _, entry in balanced.moved)
    assert {entry.kind for _, entry in balanced.moved} == {"file", "symlink"}
    assert any(entry.data_size < entry.size - 2**20 for _, entry in balanced.moved), "no sparse file"
    assert any(b"\xff" in path for path in moved)
    assert any(b"\n" in path for path in moved)
    assert {entry.uid for _, entry in balanced.moved} >= {0, 99, 54_321}
    assert {entry.mode for _, entry in balanced.moved} >= {0, 0o6755, 0o440}
    assert attributes >= {"system.posix_acl_access", "security.capability", "trusted.note"}
    assert len(moved) > len(balanced.before) / 20


def test_nothing_of_the_program_is_left_on_the_disks(balanced: Balanced) -> None:
    assert marks(balanced.roots) == []


def test_a_reader_never_missed_a_file_nor_saw_a_wrong_byte(balanced: Balanced) -> None:
    assert balanced.readings.faults == []
    assert balanced.readings.rounds > 0.5, "the reader saw too little to judge"


def test_the_record_tells_what_really_happened(balanced: Balanced) -> None:
    record = balanced.record
    inodes = {(entry.links or path): entry for path, entry in balanced.moved}.values()

    assert (record["status"], record["exit_code"], record["cause"]) == ("completed", 0, "done")
    assert (record["files_left"], record["left"]) == (0, [])
    assert record["files_moved"] == len(balanced.moved)
    assert record["bytes_moved"] == pytest.approx(sum(entry.data_size for entry in inodes), rel=0.01)
    assert record["moves_done"] == record["moves_planned"] == len(balanced.plan["moves"])
    assert record["bytes_planned"] == balanced.plan["bytes_to_move"]
    assert record["pid"] is None


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_record_has_the_fill_of_the_disks_before_and_after(balanced: Balanced, moment: str) -> None:
    real = balanced.fills_before if moment == "before" else balanced.fills_after

    told = [(disk["size_bytes"], disk["used_bytes"]) for disk in balanced.record[f"disks_{moment}"]]

    for (told_size, told_used), (size, used) in zip(told, real, strict=True):
        assert told_size == size
        assert abs(told_used - used) < size * 0.005  # file systems give space back a moment later


def test_little_more_was_moved_than_any_plan_has_to_move(balanced: Balanced) -> None:
    assert balanced.plan["lower_bound_bytes"] <= balanced.plan["bytes_to_move"]
    assert balanced.plan["bytes_to_move"] <= 1.02 * balanced.plan["lower_bound_bytes"]


def test_a_second_run_has_nothing_to_do(balanced: Balanced, tmp_path: Path) -> None:
    disks = [f"--disk={root}" for root in balanced.roots]
    (tmp_path / "state").mkdir(mode=0o700)

    again = lab.run("run", "--yes", "--json", *disks, state=tmp_path / "state", exit_code=0).document

    assert (again["moves_planned"], again["files_moved"]) == (0, 0)
