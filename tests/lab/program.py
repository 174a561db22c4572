"""The real program, run as a user runs it: its script, in a process of its own, with state folders of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "unraid_rebalancer.py"

_REGISTER = """
import os, sys
from rebalancer import ScheduleMonitor
monitor = ScheduleMonitor(os.environ["REBALANCER_CONFIG_DIR"])
execution = monitor.start_execution(sys.argv[1], int(sys.argv[2]))
if len(sys.argv) > 3:
    monitor.complete_execution(execution.execution_id, int(sys.argv[3]), files_moved=4, bytes_moved=4000)
print(execution.execution_id)
"""

Running = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended. Text is decoded with surrogate escapes, so that any bytes compare."""

    arguments: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document that ``--json`` promises."""
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return f"{' '.join(self.arguments)} -> {self.exit_code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def environment(state: Path) -> dict[str, str]:
    """Return an environment in which nothing of this machine's own installation is seen or touched."""
    return {
        "PATH": f"{state / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        "HOME": str(state / "home"),
        "LC_ALL": "C.UTF-8",
        "REBALANCER_CONFIG_DIR": str(state / "config"),
        "REBALANCER_RUNTIME_DIR": str(state / "runtime"),
    }


def run(  # one parameter per thing that a shell lets one choose
    *arguments: str | Path,
    state: Path,
    exit_code: int | None = None,
    stdin: str = "",
    timeout: float = 120,
    variables: dict[str, str] | None = None,
) -> Ran:
    """Run the program to its end; when an exit code is given, any other one fails the test with the output."""
    answer = subprocess.run(
        command_line(*arguments),
        check=False,
        capture_output=True,
        input=stdin.encode(),
        timeout=timeout,
        env=environment(state) | (variables or {}),
        cwd="/",
    )
    ran = Ran(
        arguments=tuple(map(str, arguments)),
        exit_code=answer.returncode,
        stdout=os.fsdecode(answer.stdout),
        stderr=os.fsdecode(answer.stderr),
    )
    assert exit_code is None or ran.exit_code == exit_code, f"exit code {exit_code} was expected: {ran}"
    assert "Traceback (most recent call last)" not in ran.stderr, str(ran)
    return ran


def start(*arguments: str | Path, state: Path, variables: dict[str, str] | None = None) -> Running:
    """Start the program in a process group of its own, its output in pipes; whoever starts it sees to its end."""
    return subprocess.Popen(
        command_line(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(state) | (variables or {}),
        cwd="/",
        start_new_session=True,
    )


def register(state: Path, schedule_id: str, pid: int, *exit_code: str) -> str:
    """Register a process as another program would; with an exit code, as one that has ended."""
    return subprocess.run(
        [sys.executable, "-c", _REGISTER, schedule_id, str(pid), *exit_code],
        check=True,
        capture_output=True,
        text=True,
        env={**environment(state), "PYTHONPATH": str(SCRIPT.parent / "src")},
    ).stdout.strip()
