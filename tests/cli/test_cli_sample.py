"""The demo's sample and its proof: the proof must notice everything that a mover could do wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rebalancer.cancel import Cancel
from rebalancer.cli import proof, sample_array
from rebalancer.errors import CancelledError


@pytest.fixture
def disks(tmp_path: Path) -> list[Path]:
    """Return two disks with a hard-linked pair, a sparse file and a plain one."""
    made = [tmp_path / "a", tmp_path / "b"]
    for disk in made:
        (disk / "share").mkdir(parents=True)
    (made[0] / "share" / "plain").write_bytes(b"content")
    (made[0] / "share" / "one").write_bytes(b"linked")
    os.link(made[0] / "share" / "one", made[0] / "share" / "two")
    with open(made[0] / "share" / "sparse", "wb") as file:
        file.seek(2**20)
        file.write(b"x" * 4096)
        file.truncate(4 * 2**20)
    return made


def _verdict_after(disks: list[Path], change: Callable[[Path, Path], object]) -> proof.Verdict:
    before = proof.collect(disks, Cancel())
    change(disks[0] / "share", disks[1] / "share")
    return proof.compare(before, proof.collect(disks, Cancel()))


def _touch_ns(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _fill_hole(path: Path) -> None:
    status = path.stat()
    with open(path, "r+b") as file:
        file.write(b"\0" * 4096)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _unlink_pair(folder: Path) -> None:
    shutil.copy2(folder / "one", folder / "three")
    (folder / "three").replace(folder / "two")


@pytest.mark.parametrize(
    ("change", "kind", "path"),
    [
        (lambda a, _b: (a / "plain").unlink(), "lost", "share/plain"),
        (lambda a, b: shutil.copy2(a / "plain", b / "plain"), "doubled", "share/plain"),
        (lambda a, _b: (a / "plain").write_bytes(b"cOntent"), "changed", "share/plain"),
        (lambda a, _b: (a / "plain").chmod(0o611), "changed", "share/plain"),
        (lambda a, _b: _touch_ns(a / "plain"), "changed", "share/plain"),
        (lambda a, _b: _fill_hole(a / "sparse"), "changed", "share/sparse"),
        (lambda a, _b: _unlink_pair(a), "changed", "share/two"),
        (lambda a, _b: (a / "new").write_bytes(b""), "appeared", "share/new"),
    ],
)
def test_the_proof_notices(disks: list[Path], change: Callable[[Path, Path], object], kind: str, path: str) -> None:
    verdict = _verdict_after(disks, change)

    assert path in getattr(verdict, kind)
    assert not verdict.is_clean


def test_a_file_moved_to_another_disk_unchanged_is_no_finding(disks: list[Path]) -> None:
    def move(a: Path, b: Path) -> None:
        shutil.copy2(a / "plain", b / "plain")
        (a / "plain").unlink()

    assert _verdict_after(disks, move).is_clean


def test_the_sample_is_as_full_as_it_says_and_has_what_breaks_careless_programs(tmp_path: Path) -> None:
    made = sample_array.build(tmp_path, Cancel())

    evidence = proof.collect(made.values(), Cancel())
    for disk in sample_array.DISKS:
        used = sum(status.st_blocks * 512 for status in map(os.lstat, _files(made[disk.name])))
        assert disk.used * 0.95 < used < min(disk.used + 15_000_000, disk.size)
    assert 2000 < len(evidence) < 6000
    names = [os.path.basename(path) for path in evidence]
    assert any(b"\n" in name for name in names)
    assert any(b"\xff" in name for name in names)
    assert any(len(name) == 255 for name in names)
    assert any(len(prints[0].links) == 2 for prints in evidence.values())
    assert any(
        prints[0].size > 50 * sum(end - start for start, end in prints[0].data) > 0 for prints in evidence.values()
    )


def test_building_the_sample_can_be_stopped(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.request("enough")

    with pytest.raises(CancelledError):
        sample_array.build(tmp_path, cancel)


def _files(root: Path) -> list[str]:
    """Return one name per file: hard links are counted once, as disks do."""
    found = {}
    for folder, _folders, files in os.walk(os.fsencode(root)):
        for name in files:
            path = os.path.join(folder, name)
            found[os.lstat(path).st_ino] = os.fsdecode(path)
    return list(found.values())
