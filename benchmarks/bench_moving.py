"""Moving, beside what people use today: speed, processor, memory, page cache, and how soon it stops."""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import page  # noqa: E402 - what these need is found by the line above
from moving import contenders, effects, media, profiles, report, trees  # noqa: E402
from moving.accounts import Failed  # noqa: E402
from moving.contenders import Contender  # noqa: E402
from moving.figures import Figures  # noqa: E402
from moving.media import Medium  # noqa: E402
from moving.rounds import race  # noqa: E402
from moving.trees import Tree  # noqa: E402

DATA = ROOT / "benchmarks" / "moving" / "results.json"
_SOURCES = ROOT / "benchmarks" / "moving"
_LINKING = {"unflushed.c": ["-shared"], "loop.c": []}
_MIB = 2**20
_FIRST = ("large-xfs", "small-xfs", "large-tmpfs", "small-tmpfs", "large-spinning", "small-spinning")
_LONG = 1024 * _MIB  # every phase of such a file takes longer than it takes to interrupt it
_RATE = 50_000_000  # bytes per second


@dataclass(frozen=True, slots=True)
class Event:
    """One race: the tree on the medium, who takes part, how often."""

    name: str
    tree: Tree
    medium: Medium
    who: Sequence[Contender]
    rounds: int


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is moved, and how often."""

    size: int
    files: int
    many: int  # files of one unit whose move is looked at for its memory
    rounds: int
    seconds: float  # for a bandwidth limit


FULL = Scale(size=2048 * _MIB, files=20_000, many=100_000, rounds=3, seconds=20)
QUICK = Scale(size=256 * _MIB, files=2_000, many=5_000, rounds=2, seconds=3)


def races(scale: Scale) -> Iterator[Event]:
    worker, program = contenders.worker("full"), contenders.program("full")
    fast = [contenders.worker("fast"), contenders.program("fast")]
    verified = [contenders.CAREFUL, contenders.REMOVING]
    copies = [contenders.COPY, contenders.RSYNC]
    large, half = trees.large(scale.size), trees.large(scale.size // 2)
    small, few = trees.small(scale.files), trees.small(scale.files // 10)
    middle = trees.small(scale.files // 5, least=65_536, most=65_536, name="64 KiB files")
    holes = trees.sparse(4 * scale.size, scale.size // 8)
    often, twice = scale.rounds, 2
    yield Event("large-xfs", large, media.XFS, [worker, program, *fast, *verified, *copies], often)
    yield Event("large-tmpfs", large, media.TMPFS, [worker, program, *verified, *copies], often)
    yield Event("large-ext4", half, media.EXT4, [worker, *verified], twice)
    yield Event("large-spinning", half, media.SPINNING, [worker, program, *verified], twice)
    yield Event("sparse-xfs", holes, media.XFS, [worker, contenders.COPY, contenders.SPARSE], twice)
    yield Event("small-xfs", small, media.XFS, [worker, program, *fast, *verified, contenders.balance(100)], often)
    yield Event("small-tmpfs", small, media.TMPFS, [worker, program, *verified, *copies], often)
    yield Event("small-ext4", small, media.EXT4, [worker, *verified], twice)
    yield Event("small-spinning", few, media.SPINNING, [worker, program, *verified], twice)
    yield Event("middle-xfs", middle, media.XFS, [worker, program, *verified], often)


def compiled_races(scale: Scale) -> Iterator[tuple[Event, str]]:
    """Yield races in which a rival is still missing: the one that is made from a source of ours."""
    worker, small = contenders.worker("full"), trees.small(scale.files)
    yield Event("durability-small-xfs", small, media.XFS, [worker], scale.rounds), "unflushed.c"
    yield Event("durability-large-xfs", trees.large(scale.size // 2), media.XFS, [worker], scale.rounds), "unflushed.c"
    yield Event("loop-small-tmpfs", small, media.TMPFS, [worker], scale.rounds), "loop.c"


class Bench:
    """Runs what was asked for and keeps what was found; every part sets up and releases disks of its own."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.scale = QUICK if asked.quick else FULL
        self.figures = Figures()
        self.begun = time.monotonic()

    def run(self) -> None:
        """Measure what is asked for, the main races first: what comes last is left out when the time is over."""
        events = list(races(self.scale))
        for event in (one for one in events if one.name in _FIRST):
            self._part(event.name, event.medium, partial(self._race, event))
        self._effects()
        for event in (one for one in events if one.name not in _FIRST):
            self._part(event.name, event.medium, partial(self._race, event))
        for event, source in compiled_races(self.scale):
            self._part(event.name, event.medium, partial(self._compiled, event, source))

    def _effects(self) -> None:
        self._part("memory", media.TMPFS, self._memory)
        for medium in (media.XFS, media.TMPFS, media.SPINNING):
            self._part(f"copying {medium.name}", medium, partial(self._copies, medium))
        for medium in (media.XFS, media.SPINNING):
            self._part(f"interruptions {medium.name}", medium, partial(self._interruptions, medium))
        self._part("limit", media.TMPFS, self._limit)
        self._part("cache", media.XFS, self._cache)

    def profile(self) -> None:
        """Print where the time goes, instead of measuring it."""
        for tree in (trees.small(self.scale.files), trees.large(self.scale.size)):
            for medium in (media.TMPFS, media.XFS):
                self._part(f"profile {tree.name} {medium.name}", medium, partial(self._profile, tree, medium))

    def _profile(self, tree: Tree, medium: Medium, folder: Path) -> None:
        print(profiles.profile(folder, tree, medium), flush=True)

    def _is_asked(self, name: str) -> bool:
        return not self.asked.only or any(name.startswith(begin) for begin in self.asked.only)

    def _part(self, name: str, medium: Medium, run: Callable[[Path], None]) -> None:
        """Run one part, if it is asked for and can be; one that fails is told of, and does not stop the others."""
        if not self._is_asked(name):
            return
        if lacking := media.refusal(medium):
            self._skip(name, lacking)
            return
        if self.asked.minutes and time.monotonic() > self.begun + 60 * self.asked.minutes:
            self._skip(name, f"the {self.asked.minutes:g} minutes were over")
            return
        with self._scratch() as folder:
            try:
                run(folder)
            except (AssertionError, OSError, Failed, subprocess.CalledProcessError) as error:
                self._skip(name, f"it failed: {error}")

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="rebalancer-moving-", dir=self.asked.scratch) as folder:
            yield Path(folder)

    def _skip(self, name: str, why: str) -> None:
        self.figures.skipped.append(f"{name}: {why}")
        _say(f"{name} is not measured: {why}")

    def _race(self, event: Event, folder: Path) -> None:
        rounds = self.asked.rounds or event.rounds
        who = [one for one in event.who if not contenders.lacking(one)]
        for one in event.who:
            if lacking := contenders.lacking(one):
                self._skip(f"{event.name}, {one.name}", lacking)
        found = race(folder, event.tree, event.medium, who, rounds=rounds, say=_say)
        self.figures.races[event.name] = found
        print(report.of_race(found), flush=True)

    def _compiled(self, event: Event, source: str, folder: Path) -> None:
        """Race against something that has to be compiled first."""
        if shutil.which("gcc") is None:
            self._skip(event.name, "what we are held against is compiled with gcc, which is not here")
            return
        built = folder / Path(source).stem
        subprocess.run(["gcc", "-O2", "-fPIC", *_LINKING[source], "-o", built, _SOURCES / source], check=True)
        rival = contenders.unflushed(built) if source == "unflushed.c" else contenders.loop(built)
        self._race(replace(event, who=[*event.who, rival]), folder)

    def _interruptions(self, medium: Medium, folder: Path) -> None:
        rounds = self.asked.rounds or 3
        size = _LONG // 2 if medium.is_limited else max(_LONG, self.scale.size)
        found = effects.interruptions(folder, medium, size=size, rounds=rounds)
        self.figures.interruptions[medium.name] = found

    def _copies(self, medium: Medium, folder: Path) -> None:
        rounds = self.asked.rounds or self.scale.rounds
        size = self.scale.size // 2 if medium.is_limited else self.scale.size
        self.figures.copies[medium.name] = effects.copies(folder, medium, size, rounds=rounds)

    def _limit(self, folder: Path) -> None:
        self.figures.rate = _RATE
        self.figures.rates = effects.rates(
            folder, rate=_RATE, seconds=self.scale.seconds, rounds=self.asked.rounds or 2
        )

    def _memory(self, folder: Path) -> None:
        who = [contenders.worker("full"), contenders.program("full"), contenders.CAREFUL]
        tree = trees.one_unit(self.scale.many)
        self.figures.peaks[tree.name] = effects.peaks(folder, tree, media.TMPFS, who)

    def _cache(self, folder: Path) -> None:
        who = [contenders.worker("full"), contenders.program("full"), contenders.COPY, contenders.CAREFUL]
        self.figures.disturbances = effects.disturbances(
            folder, self.scale.size, who, rounds=self.asked.rounds or 2, say=_say
        )
        self.figures.disturbed_by = self.scale.size


def main() -> int:
    asked = _asked()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    bench = Bench(asked)
    if asked.profile:
        bench.profile()
        return 0
    bench.run()
    print("\n".join(report.tables(bench.figures)))
    if asked.write:
        page.write(report.tables(bench.figures), name="moving")
        report.write(DATA, bench.figures)
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small trees and two rounds, some minutes")
    parser.add_argument("--only", action="append", metavar="NAME", help="only what begins like this, such as large-xfs")
    parser.add_argument("--rounds", type=int, help="how many rounds, instead of each benchmark's own number")
    parser.add_argument("--minutes", type=float, help="begin nothing more after so many minutes")
    parser.add_argument("--scratch", type=Path, help="where the images of the disks are put (default: as TMPDIR says)")
    parser.add_argument(
        "--write", action="store_true", help=f"put the tables into {page.PAGE.name}, the figures into {DATA.name}"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time of our worker goes, and end")
    asked = parser.parse_args()
    if asked.write and (asked.quick or asked.only):
        parser.error("--write is for a full run")
    return asked


def _stop(number: int, _frame: object) -> None:
    """Unwind, so that all that is mounted is released; a second signal must not cut that short."""
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
