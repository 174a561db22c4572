"""Everything that one run of the benchmark found, and what can be concluded from it."""

from dataclasses import dataclass, field

from moving.effects import Copied, Disturbance
from moving.memory import Peaks
from moving.rounds import Race

PROGRAM, WORKER = "ours, full", "our worker, full"
CAREFUL, REMOVING, RSYNC = "careful rsync", "rsync --remove-source-files", "rsync -aHAX"
UNFLUSHED = "our worker, full, without any flush"
LOOP = "a loop in C"


@dataclass(slots=True)
class Figures:
    """By the names of the benchmarks; what was not measured is not there, and `skipped` says why."""

    races: dict[str, Race] = field(default_factory=dict)
    copies: dict[str, list[Copied]] = field(default_factory=dict)  # by medium
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


def processor_of_rsync(race: Race | None, ours: str) -> list[float]:
    if race is None or not {RSYNC, ours} <= race.runs.keys():
        return []
    return [own.processor / theirs.processor for own, theirs in zip(race.runs[ours], race.runs[RSYNC], strict=True)]


def loop_of_ours(race: Race | None) -> list[float]:
    if race is None:
        return []
    return [loop.processor / own.processor for loop, own in zip(race.runs[LOOP], race.runs[WORKER], strict=True)]


def worst_rate(figures: Figures) -> float:
    """Return how far the rates were off at worst, in percent."""
    return max(abs(rate / figures.rate - 1) * 100 for rate in figures.rates)


def slowest(interruptions: dict[str, dict[str, list[float]]]) -> float:
    return max(max(seconds) for found in interruptions.values() for seconds in found.values())
