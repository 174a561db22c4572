"""L8: supervisors and workers are started, stopped and killed over and over, and their numbers given to strangers."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crash.figures import Figures
from lab import MakeDisk

CAMPAIGN, WHAT = "L8", "cycles of starts, stops and kills, numbers given away on purpose"
FILES = 6
NEVER = (
    "orphans",
    "called running though dead",
    "signals that strangers heard",
    "strangers that were ended",
    "heirs that were stopped",
    "signalled though over",
)
ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.needs_loop_disks("ext4"), pytest.mark.needs_tool("unshare")]


def cycle(make_disk: MakeDisk, tmp_path: Path, *, count: int, seconds: int) -> Figures:
    """Let the cycles run in a PID namespace of their own, where nobody else takes a number in between."""
    if not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK):
        pytest.skip("the kernel does not let the next process number be chosen (/proc/sys/kernel/ns_last_pid)")
    began = time.monotonic()
    seed = os.environ.get("REBALANCER_CRASH_SEED", "") or secrets.token_hex(4)
    disks = make_disk("ext4", 64, "disk1"), make_disk("tmpfs", 64, "disk2")
    contents = {f"f{number}": os.urandom(150_000) for number in range(FILES)}
    for root in disks:
        (root / "s").mkdir()
    for number, (name, content) in enumerate(contents.items()):
        path = disks[0] / f"s/u{number % 2}" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "crash.cycles"]
    ran = subprocess.run(
        [*command, str(tmp_path / "config"), seed, str(count), str(seconds), *map(str, disks)],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        cwd="/",
        env=os.environ
        | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "REBALANCER_RUNTIME_DIR": str(tmp_path / "runtime")},
    )

    assert ran.returncode == 0, ran.stderr
    return judge(disks, contents, json.loads(ran.stdout), Figures(CAMPAIGN, WHAT, "ext4 <-> tmpfs", seed, began=began))


def judge(disks: tuple[Path, Path], contents: dict[str, bytes], counts: dict[str, int], figures: Figures) -> Figures:
    found = [path for root in disks for path in root.rglob("f*") if path.is_file()]
    whole = {path.name for path in found if path.read_bytes() == contents[path.name]}
    figures.lost = len(contents.keys() - whole)
    figures.half = sum(path.read_bytes() != contents[path.name] for path in found)
    figures.points = figures.fired = counts["cycles"]
    figures.notes = counts
    assert {words: counts.get(words, 0) for words in NEVER} == dict.fromkeys(NEVER, 0), counts
    assert counts["most workers at once"] == 1, counts
    assert counts["numbers given away on purpose"] >= counts["cycles"] // 3, counts
    return figures


def test_no_orphan_no_second_mover_and_no_foreign_signal_in_twenty_cycles(make_disk: MakeDisk, tmp_path: Path) -> None:
    cycle(make_disk, tmp_path, count=20, seconds=60).publish()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", [1, 2])
def test_no_orphan_no_second_mover_and_no_foreign_signal_in_fifteen_hundred_cycles(
    make_disk: MakeDisk, tmp_path: Path, part: int
) -> None:
    """Two parts, so that two processes can take them."""
    figures = cycle(make_disk, tmp_path, count=750, seconds=780)
    assert figures.points == 750
    for words in (
        "sent SIGKILL",
        "sent SIGTERM",
        "second starts refused",
        "cancel: stopped",
        "emergency stop: stopped",
    ):
        assert figures.notes.get(words, 0) > 0, figures.notes
    assert figures.notes["supervisors with the number of their predecessor"] > 20  # about 57, by chance
    figures.publish()
