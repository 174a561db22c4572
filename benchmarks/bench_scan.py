"""How fast a scan is beside ``du -s`` and ``find -printf``, warm and cold, and how much memory it takes."""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import page
from scan import disks, rivals


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    images: Sequence[Path]
    spins: bool = False


@contextmanager
def scratch(below: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="scan-bench-", dir=below))
    try:
        yield folder
    finally:
        for path in folder.iterdir():  # mount points are empty again; nothing is removed below one
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def touch_memory() -> None:
    """Have the host give its memory now: a cache that grows in the middle of a round would pay for it there."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    touched = bytearray(min(available // 2, 4 << 30))
    del touched


def drop_caches() -> None:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def rounds(places: Sequence[Path], *, count: int, cold: bool) -> dict[str, list[float]]:
    """Return the seconds of each program, in rounds in which each of them runs once."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals.RIVALS}
    for number in range(count + (not cold)):
        for name, run in rivals.RIVALS.items():
            if cold:
                drop_caches()
            taken = run(places)
            if cold or number:  # the first warm round only warms up
                seconds[name].append(taken)
    return seconds


def row(case: Case, state: str, seconds: dict[str, list[float]]) -> str:
    medians = " | ".join(f"{statistics.median(seconds[name]):.2f} s" for name in rivals.RIVALS)
    ratios = " | ".join(_ratio(seconds[name], seconds["ours"]) for name in list(rivals.RIVALS)[1:])
    return f"| {case.name} | {state} | {medians} | {ratios} |"


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> str:
    each = [one / other for one, other in zip(theirs, ours, strict=True)]
    return f"**{statistics.median(each):.2f}** ({min(each):.2f}-{max(each):.2f})"


def compare(cases: Sequence[Case], below: Path, *, count: int) -> str:
    lines = [
        "| disks | cache | " + " | ".join(rivals.RIVALS) + " | du / ours | find / ours |",
        "|---|---|" + "---|" * (len(rivals.RIVALS) + 2),
    ]
    for case in cases:
        with disks.all_mounted(case.images, below, spins=case.spins) as places:
            for state in ("warm", "cold"):
                lines.append(row(case, state, rounds(places, count=count, cold=state == "cold")))
                print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def weigh(image: Path, below: Path) -> str:
    lines = ["| read by | files | highest sum of PSS | sum of the peaks of RSS |", "|---|---|---|---|"]
    for spins, name in ((False, "processes"), (True, "one thread")):
        with disks.all_mounted([image], below, spins=spins) as places:
            files, pss, rss = rivals.memory(places)
        lines.append(f"| {name} | {files:,} | {pss >> 20} MiB | {rss >> 20} MiB |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=int, default=20_000, help="per disk, with ten files each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--million", type=int, default=1_000_000, help="files of the scan whose memory is measured")
    parser.add_argument("--below", default=tempfile.gettempdir(), help="where the images are made")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files, two rounds; nothing is written")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {page.PAGE.name}")
    asked = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("mkfs.xfs") is None:
        print("left out: loop-mounted disks need root and mkfs.xfs")
        return
    if asked.quick:
        asked.folders, asked.rounds, asked.million, asked.write = asked.folders // 10, 2, asked.million // 10, False
    with scratch(asked.below) as folder:
        tables = _tables(asked, folder)
    if asked.write:
        page.write(tables, name="scan")


def _tables(asked: argparse.Namespace, folder: Path) -> list[str]:
    images = [folder / f"image{number}" for number in range(3)]
    scattered, million = folder / "scattered", folder / "million"
    place = folder / "disk0"
    disks.make(images[0], place, folders=asked.folders, files=10)
    disks.make(scattered, place, folders=asked.folders, files=10, scattered=True)
    for image in images[1:]:
        subprocess.run(["cp", "--sparse=always", images[0], image], check=True)
    touch_memory()
    cases = [
        Case("1, no head", images[:1]),
        Case("1, no head, inodes scattered", [scattered]),
        Case("1, spins", images[:1], spins=True),
        Case("3, no head", images),
        Case("3, spin", images, spins=True),
    ]
    speed = compare(cases, folder, count=asked.rounds)
    disks.make(million, place, folders=asked.million // 100, files=100)
    return [speed, weigh(million, folder)]


if __name__ == "__main__":
    main()
