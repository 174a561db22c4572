"""Where the time of a move goes: Python's own profile of the worker, and the system calls it makes per file."""

import io
import os
import pstats
import re
import shutil
import subprocess
import sys
from pathlib import Path

from moving import media
from moving.contenders import Job, worker_command
from moving.effects import stage
from moving.media import Medium
from moving.trees import Tree

_LINES = 25
_IN_PROFILER = """
import cProfile, os, sys
from rebalancer.transfer import worker
where, file = sys.argv[1:]
profile = cProfile.Profile()
code = profile.runcall(worker.main, [file])
profile.dump_stats(where)
sys.exit(code)
"""


def profile(folder: Path, tree: Tree, medium: Medium) -> str:
    """Return what the worker spends its time with while it moves a tree, once in the profiler and once under strace.

    Both slow it down: only shares and counts mean something. One move after the other: what other processes do is in no profile.
    """
    with stage(folder, tree, medium) as job:
        functions = _functions(job, folder / "profile")
    calls = _calls_of(folder, tree, medium) if shutil.which("strace") else "strace is not here\n"
    return f"== {tree.name}, {medium.name}: by function\n{functions}\n== system calls\n{calls}"


def _functions(job: Job, where: Path) -> str:
    operation = job.operation(job.plan(), verify="full", at_once=1)
    media.drop_caches()
    _run([sys.executable, "-c", _IN_PROFILER, str(where), str(operation)], job)
    text = io.StringIO()
    pstats.Stats(str(where), stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()


def _calls_of(folder: Path, tree: Tree, medium: Medium) -> str:
    with stage(folder, tree, medium) as job:
        operation = job.operation(job.plan(), verify="full", at_once=1)
        media.drop_caches()
        told = folder / "calls"
        _run(["strace", "-f", "-c", "-S", "calls", "-o", str(told), *worker_command(operation)], job)
    rows = []
    for line in told.read_text().splitlines():
        if found := re.match(r"\s*([\d.]+)\s+([\d.]+)\s+(\d+)\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line):
            share, _, each, calls, name = found.groups()
            rows.append(
                f"{int(calls) / tree.files:10.2f} per file {each:>6} µs each {share:>6} % of their time  {name}"
            )
    return "\n".join(rows[:_LINES]) + "\n"


def _run(command: list[str], job: Job) -> None:
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **job.variables},
        cwd="/",
    )
