"""The goals of the engine beside what was reached: each is a claim that one run can refute."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from moving import figures as found
from moving.figures import CAREFUL, PROGRAM, REMOVING, UNFLUSHED, WORKER, Figures
from moving.rounds import Race

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked for, and what came out, as text; ``is_reached`` is None where nothing was measured."""

    what: str
    asked: str
    reached: str
    is_reached: bool | None


def goals(figures: Figures) -> list[Goal]:
    return [*_large(figures), *_small(figures), *_effects(figures)]


def _large(figures: Figures) -> Iterator[Goal]:
    for medium, copies in figures.copies.items():
        yield _least(
            f"one large file, {medium}: copying, of the slower side's speed", 0.95, [one.of_limit for one in copies]
        )
        what = f"one large file, {medium}: verified, of its copying and one reading"
        yield _most(what, 1.05, [one.of_parts for one in copies])
    for name, asked in (("large-xfs", 1.85), ("large-tmpfs", 2.3), ("large-spinning", 1.5)):
        yield from _rival(figures, name, CAREFUL, asked)
    race = figures.races.get("large-xfs")
    for ours in (WORKER, PROGRAM):
        yield _most(f"large files: processor of {ours}, of rsync's", 0.4, found.processor_of_rsync(race, ours))


def _small(figures: Figures) -> Iterator[Goal]:
    for name, asked in (("small-xfs", 3.2), ("small-tmpfs", 2.7), ("small-spinning", 1.35), ("middle-xfs", 3.2)):
        yield from _rival(figures, name, CAREFUL, asked)
    yield from _rival(figures, "small-xfs", REMOVING, 1.2)
    for name in ("durability-small-xfs", "durability-large-xfs"):
        costs = [1 / ratio for ratio in figures.ratios(name, UNFLUSHED, WORKER)]
        yield _most(f"{_title(figures.races.get(name), name)}: with every flush, of none at all", 1.05, costs)
    race = figures.races.get("loop-small-tmpfs")
    yield _least(
        "small files in memory: processor of a loop in C with the fewest calls, of ours", 0.65, found.loop_of_ours(race)
    )


def _effects(figures: Figures) -> Iterator[Goal]:
    worst = found.slowest(figures.interruptions) if figures.interruptions else None
    yield _bound("stop or pause inside a large file, at worst", 250, worst and worst * 1000, "ms")
    off = found.worst_rate(figures) if figures.rates else None
    yield _bound("bandwidth limit: off by, at worst", 3, off, "%", digits=2)
    for ours in (WORKER, PROGRAM):
        changes = figures.disturbances.get(ours)
        most = median(change.most for change in changes) / _MIB if changes else None
        yield _bound(
            f"page cache of the whole machine grown, at most, by {ours} while it moves {figures.disturbed_by >> 20:,} MiB",
            100,
            most,
            "MiB",
        )
    for tree, peaks in figures.peaks.items():
        for ours in (WORKER, PROGRAM):
            if ours in peaks:
                yield _bound(f"memory of {ours}, all its processes: {tree}", 80, peaks[ours].all / _MIB, "MiB")


def _rival(figures: Figures, name: str, rival: str, asked: float) -> Iterator[Goal]:
    for ours in (WORKER, PROGRAM):
        title = _title(figures.races.get(name), name)
        yield _least(f"{title}: {ours}, times as fast as {rival}", asked, figures.ratios(name, rival, ours))


def _title(race: Race | None, name: str) -> str:
    return f"{race.tree.name}, {race.medium.name}" if race else name


def _least(what: str, asked: float, ratios: Sequence[float] | None) -> Goal:
    return _ratio(what, f"≥ {asked}", ratios, lambda value: value >= asked)


def _most(what: str, asked: float, ratios: Sequence[float] | None) -> Goal:
    return _ratio(what, f"≤ {asked}", ratios, lambda value: value <= asked)


def _ratio(what: str, asked: str, ratios: Sequence[float] | None, holds: Callable[[float], bool]) -> Goal:
    """The median decides; the least and the most are shown."""
    if not ratios:
        return Goal(what, asked, "not measured", None)
    return Goal(what, asked, spread(ratios), holds(median(ratios)))


def _bound(what: str, asked: float, value: float | None, unit: str, *, digits: int = 0) -> Goal:
    if value is None:
        return Goal(what, f"≤ {asked} {unit}", "not measured", None)
    return Goal(what, f"≤ {asked} {unit}", f"{value:,.{digits}f} {unit}", value <= asked)


def spread(ratios: Sequence[float]) -> str:
    """Return the median of some ratios, with the least and the most."""
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
