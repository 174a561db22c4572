"""What the dashboard costs a move: the same run with fifty pages open, with one, and with no dashboard at all.

Needs root and loop devices. The listeners run on the same machine, so that their own work counts against us.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import page

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import lab  # noqa: E402 - found by the line above
from lab import needs  # noqa: E402
from lab.dashboard import Dashboard, dashboard  # noqa: E402

LISTENERS = Path(__file__).with_name("watching") / "listeners.py"
OF_ONE_SESSION = 5  # streams that one session may have
CASES = {"no dashboard": None, "no page open": 0, "1 page": 1, "50 pages": 50}


@contextmanager
def watched(serving: Dashboard, count: int) -> Iterator[None]:
    """Keep that many pages open."""
    cookies: list[str] = []
    for _ in range(-(-count // OF_ONE_SESSION)):
        with serving.person() as person:
            cookies += [f"rebalancer_session={person.cookies['rebalancer_session']}"] * OF_ONE_SESSION
    process = subprocess.Popen(
        [sys.executable, str(LISTENERS), str(serving.port), *cookies[:count]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "listening\n"
    yield
    process.stdin.close()
    heard = int(process.stdout.read())
    assert process.wait(20) == 0
    assert heard > 1000 * count, f"{count} pages heard only {heard} bytes"


def seconds_of_run(folder: Path, pages: int | None, *, size_mib: int) -> float:
    """Return how long one real run worked to empty a disk of that much onto a fresh one."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    with ExitStack() as stack:
        disks = [stack.enter_context(lab.disk(folder / name, "xfs", size_mib * 2)) for name in ("disk1", "disk2")]
        for number in range(size_mib // 64):
            film = disks[0] / "films" / f"film {number}"
            film.mkdir(parents=True)
            (film / "film.mkv").write_bytes(os.urandom(2**20) * 64)
        os.sync()
        named = [f"--disk={disk}" for disk in disks]
        if pages is not None:
            serving = stack.enter_context(dashboard(state, *named))
            if pages:
                stack.enter_context(watched(serving, pages))
        ran = lab.run(
            "run", "--yes", "--strategy", "evacuate", "--from", "disk1", "--ignore-guard", "array-state", *named,
            "--json", state=state, exit_code=0, timeout=600,
        )  # fmt: skip
        assert ran.document["bytes_moved"] == size_mib * 2**20
    return float(ran.document["duration_seconds"])


def table(seconds: dict[str, list[float]]) -> str:
    lines = ["| | seconds | against no dashboard, round by round |", "|---|---|---|"]
    for name, found in seconds.items():
        ratios = [one / base for one, base in zip(found, seconds["no dashboard"], strict=True)]
        lines.append(
            f"| {name} | {statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f}) "
            f"| **{statistics.median(ratios):.3f}** ({min(ratios):.3f}-{max(ratios):.3f}) |"
        )
    return "\n".join(lines)


def first_page(folder: Path) -> str:
    """Return how long the overview of four disks takes to come over loopback, and how much the browser loads with it."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    with ExitStack() as stack:
        disks = [stack.enter_context(lab.disk(folder / f"disk{number}", "ext4", 64)) for number in range(1, 5)]
        for number in range(20):
            lab.run("schedule", "create", f"nightly{number}", "--template", "nightly", state=state, exit_code=0)
            lab.register(state, f"nightly{number}", os.getpid(), "0")
        serving = stack.enter_context(dashboard(state, *[f"--disk={disk}" for disk in disks]))
        person = stack.enter_context(serving.person())
        seconds = []
        for _ in range(30):
            begun = time.perf_counter()
            answer = person.get("/")
            seconds.append(time.perf_counter() - begun)
        parts = re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text)
        size = len(answer.content) + sum(len(person.get(part).content) for part in set(parts))
    milliseconds = [1000 * one for one in seconds]
    return (
        f"The overview with 4 disks, 20 schedules and 20 records: {statistics.median(milliseconds):.0f} ms "
        f"({min(milliseconds):.0f}-{max(milliseconds):.0f}) over loopback, {size / 1000:.0f} kB with all that it loads."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1536, metavar="MIB", help="moved in each run")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    chosen = parser.parse_args()
    if lacking := needs.lacking_loop_disks("xfs"):
        print(f"not measured: {lacking}")
        return 0
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(chosen.rounds):
        order = list(CASES.items())
        for name, pages in order[number % len(order) :] + order[: number % len(order)]:
            with tempfile.TemporaryDirectory(prefix="watching-bench-") as folder:
                seconds[name].append(seconds_of_run(Path(folder), pages, size_mib=chosen.size))
            print(f"round {number + 1}, {name}: {seconds[name][-1]:.2f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="watching-bench-") as folder:
        found = f"{table(seconds)}\n\n{first_page(Path(folder))}\n"
    print(found)
    if chosen.write:
        page.write([found], name="watching")
    return 0


if __name__ == "__main__":
    sys.exit(main())
