"""What a campaign found, in the columns that are published: kept as JSON lines while the campaigns run."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = "REBALANCER_CRASH_FIGURES"  # where `make crash` collects; unset, nothing is written


@dataclass(slots=True)
class Figures:
    """One line of the table. Counts only grow; a campaign that found anything in the last three columns fails."""

    campaign: str  # as in the table of docs/reliability.md, such as "L1"
    what: str  # one line for readers
    where: str  # file systems, such as "ext4 -> xfs"
    seed: str = ""  # what repeats the campaign; empty when it visits every point
    points: int = 0  # faults that were tried
    fired: int = 0  # faults that were seen to happen
    states: int = 0  # states of the disks that were judged
    lost: int = 0  # files that were nowhere whole under their own name
    half: int = 0  # visible names with unproven or partial content
    unrecovered: int = 0  # states from which later runs did not reach the end of an undisturbed one
    notes: dict[str, int] = field(default_factory=dict)  # further counts, by a few words
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def note(self, words: str, count: int = 1) -> None:
        self.notes[words] = self.notes.get(words, 0) + count

    def publish(self) -> None:
        """Print the line; under `make crash` also keep it. Then fail unless every fault fired and nothing was found."""
        self.seconds = round(time.monotonic() - self.began, 1)
        columns = {name: value for name, value in asdict(self).items() if name != "began"}
        print(json.dumps(columns))  # noqa: T201 - shown with a failure, and by -rP
        if folder := os.environ.get(FOLDER):
            path = Path(folder) / f"{self.campaign}-{os.getpid()}-{time.monotonic_ns()}.json"
            path.write_text(json.dumps(columns))
        assert self.points > 0, "nothing was tried"
        assert self.fired == self.points, f"{self.points - self.fired} faults did not fire"
        assert (self.lost, self.half, self.unrecovered) == (0, 0, 0), str(columns)
