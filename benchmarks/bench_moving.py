"""Moving, beside what people use today: speed, processor, memory, page cache, and how soon it stops."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from moving import contenders, media, report, trees  # noqa: E402 - what they need is found by the line above
from moving.contenders import Contender  # noqa: E402
from moving.media import Medium  # noqa: E402
from moving.rounds import race  # noqa: E402
from moving.trees import Tree  # noqa: E402

_MIB = 2**20
OURS = "our worker, full"


@dataclass(frozen=True, slots=True)
class Event:
    """One race: the tree on the medium, who takes part, how often."""

    name: str
    tree: Tree
    medium: Medium
    who: Sequence[Contender]
    rounds: int


def events(*, quick: bool) -> list[Event]:
    size, count, rounds = (256 * _MIB, 2_000, 2) if quick else (2048 * _MIB, 20_000, 3)
    ours = [
        contenders.worker("full"),
        contenders.worker("fast"),
        contenders.program("full"),
        contenders.program("fast"),
    ]
    rsyncs = [contenders.CAREFUL, contenders.REMOVING]
    copies = [contenders.COPY, contenders.RSYNC]
    limits = [contenders.READ, contenders.WRITE]
    large, small = trees.large(size), trees.small(count)
    few = trees.small(count // 10)
    return [
        Event("large-xfs", large, media.XFS, [*ours, *rsyncs, *copies, contenders.balance(1), *limits], rounds),
        Event("large-tmpfs", large, media.TMPFS, [*ours, *rsyncs, *copies, *limits], rounds),
        Event("large-ext4", trees.large(size // 2), media.EXT4, [ours[0], *rsyncs, *copies, *limits], rounds),
        Event("large-spinning", trees.large(size // 2), media.SPINNING, [ours[0], *rsyncs, *copies, *limits], rounds),
        Event("small-xfs", small, media.XFS, [*ours, *rsyncs, *copies, contenders.balance(50)], rounds),
        Event("small-tmpfs", small, media.TMPFS, [*ours, *rsyncs, *copies], rounds),
        Event("small-ext4", small, media.EXT4, [ours[0], *rsyncs], rounds),
        Event("small-spinning", few, media.SPINNING, [ours[0], *rsyncs], min(rounds, 2)),
        Event(
            "middle-xfs",
            trees.small(count // 5, least=65_536, most=65_536, name="64 KiB files"),
            media.XFS,
            [ours[0], *rsyncs],
            rounds,
        ),
        Event(
            "sparse-xfs",
            trees.sparse(4 * size, size // 8),
            media.XFS,
            [*ours[:2], contenders.COPY, contenders.RSYNC],
            rounds,
        ),
    ]


def main() -> int:
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is mounted is released
    tables = []
    for event in events(quick=asked.quick):
        if asked.only and not any(event.name.startswith(name) for name in asked.only):
            continue
        if lacking := media.refusal(event.medium):
            print(f"{event.name} is not measured: {lacking}")
            continue
        with tempfile.TemporaryDirectory(prefix="rebalancer-moving-", dir=asked.scratch) as folder:
            found = race(
                Path(folder), event.tree, event.medium, event.who, rounds=asked.rounds or event.rounds, say=_say
            )
        tables.append(report.of_race(found, OURS))
        print(tables[-1], flush=True)
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small trees and two rounds; nothing is written")
    parser.add_argument("--only", action="append", metavar="NAME", help="only what begins like this, such as large-xfs")
    parser.add_argument("--rounds", type=int, help="how many rounds, instead of each benchmark's own number")
    parser.add_argument("--scratch", type=Path, help="where the images of the disks are put (default: as TMPDIR says)")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
