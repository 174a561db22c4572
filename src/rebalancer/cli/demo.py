"""``demo``: the main job, for real, on a sample array in a temporary folder that is gone afterwards."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rebalancer.cancel import Cancel
from rebalancer.cli import output, proof, sample_array
from rebalancer.cli.options import global_options
from rebalancer.cli.run import carry_out
from rebalancer.cli.scan import scan
from rebalancer.cli.session import Session
from rebalancer.errors import ExitCode, RefusedError
from rebalancer.guards.options import NO_GUARD
from rebalancer.planning.selection import Selection
from rebalancer.quantities import format_duration, format_size

if TYPE_CHECKING:
    from rebalancer.engine import Engine
    from rebalancer.executions.execution import ScheduleExecution
    from rebalancer.planning.plan import Plan

EPILOG = """\
\b
Examples:
  unraid-rebalancer demo
  unraid-rebalancer demo --json
"""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demo did and what came of it."""

    plan: "Plan"
    execution: "ScheduleExecution"
    verdict: proof.Verdict
    seconds: float

    @property
    def exit_code(self) -> int:
        if not self.verdict.is_clean or self.execution.exit_code is None:
            return ExitCode.FAILED
        return self.execution.exit_code


@click.command("demo", epilog=EPILOG)
@global_options
@click.pass_obj
def command(session: Session) -> int:
    """Balance a sample array: four small disks with a few thousand files, made in a temporary folder.

    Shows the disks, the plan, the moves and the proof that every file is there exactly once, and keeps nothing.
    Needs no root, 700 MB of room for less than a minute, and touches nothing else.
    """
    from rebalancer.cli.stopping import stop_on_signals

    cancel = Cancel()
    with (
        stop_on_signals(cancel, announces=False),
        tempfile.TemporaryDirectory(prefix="unraid-rebalancer-demo-") as name,
    ):
        _check_room(Path(name))
        demonstration = _demonstrate(session, Path(name), cancel)
    if session.is_json:
        output.print_json(_document(demonstration))
    elif session.shows:
        _conclude(demonstration)
    return demonstration.exit_code


def _demonstrate(session: Session, folder: Path, cancel: Cancel) -> Demonstration:
    began = time.monotonic()
    disks = sample_array.build(folder, cancel)
    engine = _engine(folder, disks)
    before = proof.collect(disks.values(), cancel)
    _introduce(session, engine, folder, len(before))
    plan = _plan(session, engine)
    if session.shows:
        output.say("3. The moves: copy, flush, read back, compare; only then remove the source")
    execution = carry_out(session, engine, plan, selection=Selection(), guards=NO_GUARD)
    cancel.check()
    verdict = proof.compare(before, proof.collect(disks.values(), cancel))
    _show_result(session, execution, verdict)
    return Demonstration(plan, execution, verdict, time.monotonic() - began)


def _engine(folder: Path, disks: dict[str, Path]) -> "Engine":
    """Return an engine whose settings, records, locks and disks are all below the temporary folder."""
    from rebalancer.engine import Engine
    from rebalancer.settings import DiskSettings, Settings
    from rebalancer.state import StateFolders, ensure

    folders = StateFolders(config=ensure(folder / "config"), runtime_root=ensure(folder / "run"), root=folder)
    sizes = {disk.name: str(disk.size) for disk in sample_array.DISKS}
    limited = (DiskSettings(path=str(path), name=name, size=sizes[name]) for name, path in disks.items())
    return Engine(folders=folders, settings=Settings(disks=tuple(limited)), root=folder)


def _introduce(session: Session, engine: "Engine", folder: Path, files: int) -> None:
    from rebalancer.cli import showing

    if session.shows:
        output.say(f"1. A sample array: {len(sample_array.DISKS)} disks, {output.count(files, 'file')}, in {folder}")
        output.say()
        showing.show_disks(engine.disks())
        output.say()


def _plan(session: Session, engine: "Engine") -> "Plan":
    from rebalancer.cli import showing

    selection = Selection()
    plan = engine.plan(scan(session, engine, selection), selection)
    if session.shows:
        output.say("2. What should move where (nothing has changed yet)")
        output.say()
        showing.show_plan(plan, every_detail=session.is_verbose)
        output.say()
    return plan


def _show_result(session: Session, execution: "ScheduleExecution", verdict: proof.Verdict) -> None:
    from rebalancer.cli import showing

    if not session.shows:
        return
    showing.show_execution(execution, every_detail=session.is_verbose)
    output.say()
    output.say("4. The proof, read anew from all disks")
    output.say()
    for line in _proof_lines(verdict):
        output.say(line)


def _proof_lines(verdict: proof.Verdict) -> list[str]:
    if verdict.is_clean:
        return [
            f"every one of {output.count(verdict.files, 'file')} is there exactly once, and nothing about it changed:",
            "content (xxh3-128), size, mode, owner, nanosecond times, hard links, holes",
        ]
    kinds = {
        "lost": verdict.lost, "there twice": verdict.doubled, "changed": verdict.changed, "new": verdict.appeared,
    }  # fmt: skip
    return [f"{kind}: {path}" for kind, paths in kinds.items() for path in paths]


def _conclude(demonstration: Demonstration) -> None:
    output.say()
    output.say(f"The sample is removed; all of it took {format_duration(demonstration.seconds)}. With your own disks:")
    output.say("  unraid-rebalancer disks    how full they are")
    output.say("  unraid-rebalancer plan     what should move where; changes nothing")
    output.say("  unraid-rebalancer run      do it; asks first")


def _document(demonstration: Demonstration) -> dict[str, Any]:
    execution, verdict = demonstration.execution, demonstration.verdict
    return {
        "status": execution.status.value,
        "exit_code": int(demonstration.exit_code),
        "files": verdict.files,
        "moves_planned": execution.moves_planned,
        "moves_done": execution.moves_done,
        "files_moved": execution.files_moved,
        "bytes_moved": execution.bytes_moved,
        "files_left": execution.files_left,
        "spread_before": demonstration.plan.spread_before,
        "spread_planned": demonstration.plan.spread_after,
        "lower_bound_bytes": demonstration.plan.lower_bound_bytes,
        "disks_before": execution.disks_before,
        "disks_after": execution.disks_after,
        "proof": {
            "is_clean": verdict.is_clean,
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "changed": verdict.changed,
            "appeared": verdict.appeared,
        },
        "duration_seconds": round(demonstration.seconds, 3),
    }


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < sample_array.NEEDED:
        raise RefusedError(
            f"the demo needs {format_size(sample_array.NEEDED)} in {folder.parent}, where {format_size(free)} are free; "
            "name another folder with TMPDIR"
        )
