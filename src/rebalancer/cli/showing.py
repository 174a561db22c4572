"""Disks, inventories, plans and finished executions as the lines and tables that people read."""

from collections.abc import Sequence

from rebalancer.array.disk import Disk
from rebalancer.cli import output, tables
from rebalancer.cli.bars import Fill
from rebalancer.cli.tables import Cell, Column, Table
from rebalancer.executions.execution import DiskFill, ScheduleExecution
from rebalancer.inventory.document import READ_ANEW
from rebalancer.inventory.unit import Inventory, LeftAlone
from rebalancer.planning import words
from rebalancer.planning.plan import Plan
from rebalancer.quantities import format_duration, format_size

MOVES_SHOWN = 20
LEFT_SHOWN = 10

_PATH = Column("path", may_break=True)
_REASON = Column("reason", may_break=True)


def show_disks(disks: Sequence[Disk]) -> None:
    columns = (
        Column("disk"), Column("fill"), Column("used", is_number=True), Column("free", is_number=True),
        Column("size", is_number=True), Column("type"), Column("status", may_break=True),
    )  # fmt: skip
    tables.show(Table(columns, [_disk_row(disk) for disk in disks]))
    for disk in disks:
        if disk.reason:
            output.say(f"{disk.name}: {disk.reason}")
        elif not disk.receives:
            output.say(f"{disk.name}: gives, but receives nothing: its pool creates no files there (NC)")


def show_inventory(inventory: Inventory, *, every_detail: bool) -> None:
    columns = (
        Column("disk"), Column("units", is_number=True), Column("files", is_number=True),
        Column("size", is_number=True), Column("left alone", is_number=True),
    )  # fmt: skip
    left = _left_alone(inventory)
    tables.show(Table(columns, [_inventory_row(disk.name, inventory, left) for disk in inventory.disks]))
    output.say(READ_ANEW)
    if not left:
        return
    if not every_detail:
        output.say(f"{len(left):,} left alone; -v lists them with the reason")
        return
    output.say()
    rows: list[tuple[Cell, ...]] = [(item.disk, item.path, item.reason) for item in left]
    tables.show(Table((Column("disk"), _PATH, _REASON), rows))


def show_plan(plan: Plan, *, every_detail: bool) -> None:
    for line in _plan_lines(plan):
        output.say(line)
    output.say()
    show_fills(
        [DiskFill(disk.name, disk.path, disk.size_bytes, disk.used_bytes) for disk in plan.disks],
        [DiskFill(disk.name, disk.path, disk.size_bytes, disk.planned_used_bytes) for disk in plan.disks],
    )
    _show_moves(plan, every_detail=every_detail)
    left = [(item.disk, item.path, item.reason) for item in plan.left_behind]
    _show_left(left, len(left), "left behind", every_detail=every_detail)


def explain_plan(plan: Plan) -> None:
    output.say()
    for line in words.explain(plan):
        output.say(line)


def show_fills(before: Sequence[DiskFill], after: Sequence[DiskFill]) -> None:
    """Show every disk twice: as it was and as it is, or will be."""
    later = {disk.name: disk for disk in after}
    columns = (Column("disk"), Column("size", is_number=True), Column("before"), Column("after"))
    rows: list[tuple[Cell, ...]] = [
        (disk.name, format_size(disk.size_bytes), Fill(_percent(disk)), Fill(_percent(later.get(disk.name, disk))))
        for disk in before
    ]
    tables.show(Table(columns, rows))


def show_execution(execution: ScheduleExecution, *, every_detail: bool) -> None:
    """Show what an execution did: how it ended, the disks before and after, what stayed and why."""
    for line in _execution_lines(execution):
        output.say(line)
    if execution.disks_before and execution.disks_after:
        output.say()
        show_fills(execution.disks_before, execution.disks_after)
    left = [(item.disk, item.path, item.reason) for item in execution.left]
    _show_left(left, execution.files_left, "left where it was", every_detail=every_detail)


def _disk_row(disk: Disk) -> tuple[Cell, ...]:
    if not disk.size_bytes:
        return (disk.name, "", "", "", "", disk.filesystem, disk.status.value)
    sizes = tuple(format_size(size) for size in (disk.used_bytes, disk.free_bytes, disk.size_bytes))
    return (disk.name, Fill(disk.used_percent), *sizes, disk.filesystem, disk.status.value)


def _left_alone(inventory: Inventory) -> list[LeftAlone]:
    units = (
        LeftAlone(disk=unit.disk, path=unit.path, path_base64=unit.path_base64, reason=unit.left_alone)
        for unit in inventory.units
        if unit.left_alone
    )
    return [*inventory.left_alone, *units]


def _inventory_row(disk: str, inventory: Inventory, left: Sequence[LeftAlone]) -> tuple[Cell, ...]:
    units = [unit for unit in inventory.units if unit.disk == disk]
    return (
        disk,
        f"{len(units):,}",
        f"{sum(unit.files for unit in units):,}",
        format_size(sum(unit.size_bytes for unit in units)),
        f"{sum(item.disk == disk for item in left):,}",
    )


def _plan_lines(plan: Plan) -> tuple[str, ...]:
    coarse = (plan.coarseness,) if plan.coarseness else ()
    if not plan.moves:
        spread = f"spread: {plan.spread_before:.1f} percentage points"
        return f"plan ({plan.strategy}): nothing to move", spread, *coarse
    size = f"{format_size(plan.bytes_to_move)}{_above_bound(plan)}"
    return (
        f"plan ({plan.strategy}): {output.count(len(plan.moves), 'move')}, {size}",
        f"spread: {plan.spread_before:.1f} → {plan.spread_after:.1f} percentage points",
        *coarse,
    )


def _above_bound(plan: Plan) -> str:
    if not plan.lower_bound_bytes:
        return ""
    above = 100 * (plan.bytes_to_move / plan.lower_bound_bytes - 1)
    return f" ({max(above, 0.0):.1f} % above the least possible)"


def _show_moves(plan: Plan, *, every_detail: bool) -> None:
    shown = plan.moves if every_detail else plan.moves[:MOVES_SHOWN]
    if not shown:
        return
    columns = (
        Column("from"), Column("to"), Column("size", is_number=True), Column("files", is_number=True), _PATH,
    )  # fmt: skip
    output.say()
    rows: list[tuple[Cell, ...]] = [
        (
            move.source,
            move.destination,
            format_size(move.size_bytes),
            f"{move.files:,}",
            _and_more(move.path, move.also),
        )
        for move in shown
    ]
    tables.show(Table(columns, rows))
    if len(shown) < len(plan.moves):
        output.say(f"… and {output.count(len(plan.moves) - len(shown), 'more move')}; -v shows all")


def _and_more(path: str, also: Sequence[object]) -> str:
    return f"{path} (and {len(also)} tied to it by hard links)" if also else path


def _show_left(left: Sequence[tuple[str, str, str]], total: int, what: str, *, every_detail: bool) -> None:
    if not total:
        return
    shown = left if every_detail else left[:LEFT_SHOWN]
    output.say()
    output.say(f"{what}: {total:,}" + (f", the first {len(shown)} of them" if len(shown) < total else ""))
    rows: list[tuple[Cell, ...]] = list(shown)
    if rows:
        tables.show(Table((Column("disk"), _PATH, _REASON), rows))


def _execution_lines(execution: ScheduleExecution) -> tuple[str, str]:
    rate = execution.bytes_moved / execution.duration_seconds if execution.duration_seconds > 0 else 0.0
    speed = f" ({format_size(rate)}/s)" if rate else ""
    reason = f": {execution.error_message}" if execution.error_message else ""
    counts = (
        f"{execution.moves_done:,} of {output.count(execution.moves_planned, 'move')}",
        output.count(execution.files_moved, "file"),
        f"{format_size(execution.bytes_moved)} in {format_duration(execution.duration_seconds)}{speed}",
    )
    return f"{execution.status.value}{reason}", ", ".join(counts)


def _percent(disk: DiskFill) -> float:
    return 100 * disk.used_bytes / disk.size_bytes if disk.size_bytes else 0.0
