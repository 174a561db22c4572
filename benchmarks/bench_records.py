"""How long listing, history and statistics take over 100,000 records, as whole commands, beside reading every record."""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rebalancer import records
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution

_SCRIPT = Path(__file__).parents[1] / "unraid_rebalancer.py"
_SCHEDULES = [f"schedule-{number:02d}" for number in range(10)]
_ENDINGS = [ExecutionStatus.COMPLETED] * 8 + [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]
_END = 1_790_000_000
_NAIVE = """
import json, os, sys
folder, schedule_id = sys.argv[1:]
found = []
for name in os.listdir(folder):
    with open(os.path.join(folder, name)) as file:
        found.append(json.load(file))
"""
_NAIVE_HISTORY = _NAIVE + "print(json.dumps(sorted(found, key=lambda one: one['start_time'])[-10:]))"
_NAIVE_STATISTICS = _NAIVE + (
    "ours = [one for one in found if one['schedule_id'] == schedule_id]\n"
    "print(len(ours), sum(one['bytes_moved'] for one in ours), sum(one['duration_seconds'] for one in ours))"
)


def write_records(folder: Path, count: int, *, schedules: Sequence[str]) -> None:
    """Write records as the program writes them, not flushed one by one."""
    rng = random.Random(1)
    folder.mkdir(mode=0o700, parents=True)
    for number in range(count):
        execution = _made_up(rng, number, count, schedule_id=rng.choice(schedules))
        (folder / f"{execution.execution_id}.json").write_bytes(records.encode(execution))


def _made_up(rng: random.Random, number: int, count: int, *, schedule_id: str) -> ScheduleExecution:
    start, worked = _END - (count - number) * 600.0, rng.expovariate(1 / 300)
    stamp = datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M%SZ")
    return ScheduleExecution(
        execution_id=f"{stamp}-{schedule_id}-{rng.randbytes(3).hex()}",
        schedule_id=schedule_id,
        start_time=start,
        end_time=start + worked,
        status=rng.choice(_ENDINGS),
        exit_code=0,
        duration_seconds=worked,
        files_moved=rng.randrange(10_000),
        bytes_moved=int(worked * 1e8),
        cause="done",
        fired_by="cron",
    )


def measure(command: Sequence[str], environment: dict[str, str], *, runs: int) -> list[float]:
    """Return the seconds of whole processes, from their start to their end; the first run only warms up."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def report(name: str, seconds: Sequence[float], *, beside: float | None = None) -> float:
    median = statistics.median(seconds)
    ratio = f"  {beside / median:6.1f} times as fast as reading every record" if beside is not None else ""
    print(
        f"{name:46} median {median * 1000:7.0f} ms  ({min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f}){ratio}",
        flush=True,
    )
    return median


def compare(state: Path, *, runs: int) -> None:
    executions = state / "config" / "executions"
    environment = {
        **os.environ,
        "REBALANCER_CONFIG_DIR": str(state / "config"),
        "REBALANCER_RUNTIME_DIR": str(state / "runtime"),
    }
    schedule_id = _SCHEDULES[0]
    naive = max(3, runs // 5)

    def program(*arguments: str) -> list[float]:
        return measure([sys.executable, str(_SCRIPT), *arguments], environment, runs=runs)

    def read_all(script: str) -> list[float]:
        return measure([sys.executable, "-c", script, str(executions), schedule_id], environment, runs=naive)

    start = time.perf_counter()
    subprocess.run([sys.executable, str(_SCRIPT), "--list-executions"], env=environment, check=True)
    print(f"the first command, which makes the index: {time.perf_counter() - start:.2f} s")
    report("an empty Python", measure([sys.executable, "-c", ""], environment, runs=runs))
    report("--version", program("--version"))
    history = report("history, every record read by json", read_all(_NAIVE_HISTORY))
    figures = report("statistics, every record read by json", read_all(_NAIVE_STATISTICS))
    report("--list-executions", program("--list-executions"), beside=history)
    report("--execution-history --limit 10", program("--execution-history", "--limit", "10"), beside=history)
    report(
        "--execution-history --limit 10 --json",
        program("--execution-history", "--limit", "10", "--json"),
        beside=history,
    )
    report(
        f"--execution-history {schedule_id} --limit 10",
        program("--execution-history", schedule_id, "--limit", "10"),
        beside=history,
    )
    report(f"--schedule-stats {schedule_id}", program("--schedule-stats", schedule_id), beside=figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--one-schedule", action="store_true", help="all records belong to one schedule")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-records-") as folder:
        state = Path(folder)
        (state / "config").mkdir(mode=0o700)
        schedules = _SCHEDULES[:1] if asked.one_schedule else _SCHEDULES
        write_records(state / "config" / "executions", asked.records, schedules=schedules)
        print(f"{asked.records:,} records of {len(schedules)} schedule(s), {asked.runs} runs each, warm")
        compare(state, runs=asked.runs)


if __name__ == "__main__":
    main()
