"""Everything that one run of the benchmark found, and what can be concluded from it."""

from dataclasses import dataclass, field

from moving.effects import Disturbance
from moving.memory import Peaks
from moving.rounds import Race
from moving.workers import phases

PROGRAM, WORKER = "ours, full", "our worker, full"
CAREFUL, REMOVING, RSYNC = "careful rsync", "rsync --remove-source-files", "rsync -aHAX"
READ, WRITE = "dd, reading the source", "dd, writing the destination"
UNFLUSHED = "our worker, full, without any flush"
LOOP = "a loop in C"

_COPYING = ("copying", "flushing")


@dataclass(slots=True)
class Figures:
    """By the names of the benchmarks; what was not measured is not there, and `skipped` says why."""

    races: dict[str, Race] = field(default_factory=dict)
    interruptions: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # by medium
    rates: list[float] = field(default_factory=list)
    rate: int = 0
    peaks: dict[str, dict[str, Peaks]] = field(default_factory=dict)  # by tree
    disturbances: dict[str, list[Disturbance]] = field(default_factory=dict)
    disturbed_by: int = 0  # bytes that were moved for it
    skipped: list[str] = field(default_factory=list)

    def ratios(self, race: str, name: str, ours: str) -> list[float]:
        """How many times as long somebody took as we did, round by round; empty when one of them did not run."""
        found = self.races.get(race)
        if found is None or not {name, ours} <= found.runs.keys():
            return []
        return found.ratios(name, ours)


def copying(race: Race) -> list[float]:
    """Return the seconds that each round's fully verifying worker spent with copying and flushing, as it said itself."""
    spent = [phases(run.lines) for run in race.runs[WORKER]]
    return [sum(one.get(phase, 0.0) for phase in _COPYING) for one in spent]


def copy_of_limit(race: Race | None) -> list[float]:
    """How near the copying alone came to the slower of reading the source and writing the destination; 1 is as fast."""
    if race is None or not _has_limits(race):
        return []
    parts = zip(race.seconds(READ), race.seconds(WRITE), copying(race), strict=True)
    return [max(read, written) / ours for read, written, ours in parts if ours]


def verified_of_parts(race: Race | None) -> list[float]:
    """How long the verified move took, as a multiple of its own copying and one reading of the source."""
    if race is None or not _has_limits(race):
        return []
    parts = zip(race.seconds(WORKER), copying(race), race.seconds(READ), strict=True)
    return [whole / (copied + read) for whole, copied, read in parts]


def processor_of_rsync(race: Race | None, ours: str) -> list[float]:
    if race is None or not {RSYNC, ours} <= race.runs.keys():
        return []
    return [own.processor / theirs.processor for own, theirs in zip(race.runs[ours], race.runs[RSYNC], strict=True)]


def loop_of_ours(race: Race | None) -> list[float]:
    if race is None:
        return []
    return [loop.processor / own.processor for loop, own in zip(race.runs[LOOP], race.runs[WORKER], strict=True)]


def _has_limits(race: Race) -> bool:
    return {READ, WRITE, WORKER} <= race.runs.keys()


def worst_rate(figures: Figures) -> float:
    """Return how far the rates were off at worst, in percent."""
    return max(abs(rate / figures.rate - 1) * 100 for rate in figures.rates)


def slowest(interruptions: dict[str, dict[str, list[float]]]) -> float:
    return max(max(seconds) for found in interruptions.values() for seconds in found.values())
