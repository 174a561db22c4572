"""How long listing, history and statistics take as whole commands, beside reading every record and beside the floor."""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import page
from rebalancer import records
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution

_SCRIPT = Path(__file__).resolve().parents[1] / "unraid_rebalancer.py"
_SCHEDULES = [f"schedule-{number:02d}" for number in range(10)]
_ENDINGS = [ExecutionStatus.COMPLETED] * 8 + [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]
_END = 1_790_000_000
_SLOW_EVERY = 3  # rounds; what reads every record is run in each third one

_JSON = """
import json
def read(data):
    return json.loads(data)
"""
_MSGSPEC = """
import msgspec
class Record(msgspec.Struct):
    execution_id: str
    schedule_id: str
    status: str
    start_time: float
    bytes_moved: int
    duration_seconds: float
    def __getitem__(self, name):
        return getattr(self, name)
read = msgspec.json.Decoder(Record).decode
"""
_EVERY_RECORD = """
import os, sys
folder, schedule_id = sys.argv[1:]
found = []
for name in os.listdir(folder):
    if name.endswith(".json"):
        with open(os.path.join(folder, name), "rb") as file:
            found.append(read(file.read()))
"""
_OURS = "ours = [one for one in found if one['schedule_id'] == schedule_id]\n"
_ADDED_UP = """
worked = sorted(one["duration_seconds"] for one in ours)
print(len(ours), sum(one["bytes_moved"] for one in ours), sum(worked), worked[len(worked) // 2])
"""
#: question -> our command, and what a reader of every record prints
QUESTIONS = {
    "what runs": (["--list-executions"], "print([one for one in found if one['status'] in ('pending', 'running')])"),
    "the newest 10": (
        ["--execution-history", "--limit", "10"],
        "found.sort(key=lambda one: one['start_time']); print(found[-10:])",
    ),
    "the newest 10 of a schedule": (
        ["--execution-history", _SCHEDULES[0], "--limit", "10"],
        _OURS + "ours.sort(key=lambda one: one['start_time']); print(ours[-10:])",
    ),
    "statistics of a schedule": (
        ["--schedule-stats", _SCHEDULES[0]],
        _OURS + _ADDED_UP,
    ),
}
_STATISTICS = "statistics of a schedule"


@dataclass
class Measured:
    """Milliseconds of whole processes by what was run: as a clock on the wall tells them, and of a core."""

    walls: dict[str, list[float]] = field(default_factory=dict)
    cores: dict[str, list[float]] = field(default_factory=dict)

    def run(self, name: str, command: Sequence[str], environment: dict[str, str], *, counts: bool = True) -> None:
        start, before = time.perf_counter(), _of_children()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        wall, core = time.perf_counter() - start, _of_children() - before
        if counts:
            self.walls.setdefault(name, []).append(wall * 1000)
            self.cores.setdefault(name, []).append(core * 1000)

    def core(self, name: str) -> float:
        return median(self.cores[name])

    def told(self, name: str) -> str:
        """Return the median on the wall with least and most, and the median of a core."""
        values = self.walls[name]
        return f"{median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f}); {self.core(name):,.0f}"


def _of_children() -> float:
    """Return the seconds of a core that all ended children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_records(folder: Path, count: int, *, schedules: Sequence[str]) -> None:
    """Write records as the program writes them, not flushed one by one."""
    rng = random.Random(1)
    folder.mkdir(mode=0o700, parents=True)
    for number in range(count):
        execution = made_up(rng, number, count, schedule_id=rng.choice(schedules))
        (folder / f"{execution.execution_id}.json").write_bytes(records.encode(execution))


def made_up(rng: random.Random, number: int, count: int, *, schedule_id: str) -> ScheduleExecution:
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


def measure(state: Path, *, rounds: int) -> Measured:
    """Run everything in turn, round by round; the first round only warms up."""
    measured, environment = Measured(), _environment(state)
    for number in range(rounds + 1):
        counts = number > 0
        measured.run("floor", [sys.executable, "-c", "pass"], environment, counts=counts)
        measured.run("click", [sys.executable, "-c", "import click"], environment, counts=counts)
        measured.run("help", [sys.executable, str(_SCRIPT), "--help"], environment, counts=counts)
        for question, (arguments, _) in QUESTIONS.items():
            measured.run(question, [sys.executable, str(_SCRIPT), *arguments], environment, counts=counts)
        if number % _SLOW_EVERY == 0:
            _measure_slow(measured, state, environment, counts=counts)
    return measured


def _measure_slow(measured: Measured, state: Path, environment: dict[str, str], *, counts: bool) -> None:
    """Run what reads every record; and statistics after a new record, and from an index that has to be made anew."""
    executions = state / "config" / "executions"
    if not counts:
        measured.run("", [sys.executable, "-c", _JSON + _EVERY_RECORD, str(executions), ""], environment, counts=False)
        return
    for decoder, code in (("json", _JSON), ("msgspec", _MSGSPEC)):
        for question, (_, ending) in QUESTIONS.items():
            script = code + _EVERY_RECORD + ending
            command = [sys.executable, "-c", script, str(executions), _SCHEDULES[0]]
            measured.run(f"{question}, {decoder}", command, environment, counts=counts)
    ours = [sys.executable, str(_SCRIPT), *QUESTIONS[_STATISTICS][0]]
    os.utime(executions)  # as when a record came or went
    measured.run("in step again", ours, environment, counts=counts)
    for index in (state / "runtime").rglob("index.*"):
        index.unlink()
    measured.run("made anew", ours, environment, counts=counts)
    time.sleep(3)  # younger folders are looked at twice: see `index_table.is_in_step`
    measured.run("", ours, environment, counts=False)


def _environment(state: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    folders = {"REBALANCER_CONFIG_DIR": state / "config", "REBALANCER_RUNTIME_DIR": state / "runtime"}
    return {**kept, **{name: str(path) for name, path in folders.items()}}


def rows_of(count: int, schedules: int, measured: Measured) -> list[str]:
    """Return a line of the table for each question."""
    rows = []
    for question in QUESTIONS:
        ours = measured.core(question)
        beside = [
            f"{measured.told(f'{question}, {name}')} | {measured.core(f'{question}, {name}') / ours:.1f}"
            for name in ("json", "msgspec")
        ]
        rows.append(f"| {count:,} in {schedules} | {question} | {measured.told(question)} | {' | '.join(beside)} |")
    return rows


def _start_rows(count: int, schedules: int, measured: Measured) -> str:
    told = " | ".join(measured.told(name) for name in ("floor", "click", "help", "in step again", "made anew"))
    return f"| {count:,} in {schedules} | {told} |"


def tables_of(cases: Sequence[tuple[int, int, Measured]]) -> list[str]:
    head = [
        "| records in schedules | question | ours | every record, `json` | of a core, to ours | every record, msgspec | of a core, to ours |",
        "|---|---|---|---|---|---|---|",
    ]
    start = [
        "| records in schedules | `python -c pass` | `import click` | `--help` | statistics after a change of the folder | after the index was lost |",
        "|---|---|---|---|---|---|",
    ]
    questions = [row for count, schedules, measured in cases for row in rows_of(count, schedules, measured)]
    starts = [_start_rows(count, schedules, measured) for count, schedules, measured in cases]
    return [
        "**Questions**: milliseconds of the whole command, everything warm: median (least-most) on the wall; median of a core\n",
        "\n".join([*head, *questions]) + "\n",
        "**The floor, and an index that is behind**: the same unit\n",
        "\n".join([*start, *starts]) + "\n",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, action="append", help="how many; repeatable (1,000, 10,000 and 100,000)")
    parser.add_argument("--rounds", type=int, default=12, help="what reads every record is run in each third one")
    parser.add_argument("--quick", action="store_true", help="few records and rounds; nothing is written")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {page.PAGE.name}")
    asked = parser.parse_args()
    counts = asked.records or [1_000, 10_000, 100_000]
    if asked.quick:
        counts, asked.rounds, asked.write = [1_000], 3, False
    cases = []
    for count in counts:
        for schedules in (1, len(_SCHEDULES)):
            with tempfile.TemporaryDirectory(prefix="bench-records-") as folder:
                (Path(folder) / "config").mkdir(mode=0o700)
                write_records(Path(folder) / "config" / "executions", count, schedules=_SCHEDULES[:schedules])
                cases.append((count, schedules, measure(Path(folder), rounds=asked.rounds)))
            print("\n".join(rows_of(*cases[-1])), flush=True)
    tables = tables_of(cases)
    print("\n" + "\n".join(tables))
    if asked.write:
        page.write(tables, name="record")


if __name__ == "__main__":
    main()
