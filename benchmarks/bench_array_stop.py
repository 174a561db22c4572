"""How long the disks of an Unraid array stay in use after it began to stop: every phase, ten times; median and worst.

Needs root, loop devices and strace. What is printed are seconds from the moment in which var.ini says Stopping.
"""

import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from lab import needs  # noqa: E402 - found by the line above
from unraid.stopping_lab import PHASES, Stopped, stage  # noqa: E402


def measure(phase: str) -> Stopped:
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as made:
        PHASES[phase](made)
        stopped = made.stop_array()
    assert stopped.records[-1]["cause"] == "array stop", stopped
    return stopped


def main() -> int:
    if lacking := needs.lacking_loop_disks("ext4") or needs.lacking_tools("strace"):
        print(f"not measured: {lacking}")
        return 0
    rounds = int(sys.argv[1]) if sys.argv[1:] else 10
    print(f"{'seconds until':32} {'nothing is open':>20} {'all are unmounted':>20} {'all has ended':>20}")
    for phase in sys.argv[2:] or PHASES:
        found = [measure(phase) for _ in range(rounds)]
        columns = ([getattr(one, name) for one in found] for name in ("closed", "unmounted", "ended"))
        shown = [f"{statistics.median(column):.2f}, at worst {max(column):.2f}" for column in columns]
        print(f"{phase:32} " + " ".join(f"{text:>20}" for text in shown), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
