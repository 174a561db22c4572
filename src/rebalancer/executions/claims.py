"""At most one firing per slot, whoever fires: cron, the built-in clock, both at once, before and after a crash."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, structs

from rebalancer import records
from rebalancer.errors import DamagedRecordError, NotFoundError, NotNowError, RefusedError, UsageError
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.schedules.slots import Slot, slot_of
from rebalancer.state import ensure
from rebalancer.turns import turn_at

_KEPT = 4096  # slots that are remembered one by one: eleven years of nights, or three days of every minute
_REACH = 8 * 24 * 3600.0  # seconds before the newest recorded slot in which others are taken to have fired as well
_PATIENCE = 10.0  # seconds for the lock; whoever holds it writes one small file


class Ledger(Struct, frozen=True, omit_defaults=True):
    """Which slots of a schedule are done with, by their instants: the wall clock may jump, instants do not."""

    fired: tuple[float, ...] = ()  # in the order of firing
    until: float | None = None  # everything up to here fired or was noted as missed; None: nothing ever was
    floor: float | None = None  # the newest slot on record when this ledger was begun, such as after a reboot

    def has(self, at: float) -> bool:
        """Return whether the slot of that instant fired."""
        is_old = self.floor is not None and self.floor - _REACH < at <= self.floor
        return is_old or at in self.fired

    def with_fired(self, slot: Slot) -> "Ledger":
        """Take in a firing. The clock is there now, also when it was further before and was set back."""
        return structs.replace(self, fired=(*self.fired, slot.at)[-_KEPT:], until=slot.at)

    def with_missed(self, slot: Slot) -> "Ledger":
        """Take in that everything up to the slot was noted as missed; it may still fire if the clock is set back."""
        return structs.replace(self, until=slot.at)


Known = Callable[[], Slot | None]


def nothing_known() -> Slot | None:
    return None


def claim(slots_folder: Path, schedule_id: str, slot: Slot, *, known: Known = nothing_known) -> bool:
    """Take a slot for this process; True at most once per slot, whatever else runs, crashes or sets the clock.

    ``known`` is asked for the newest slot on record when the folder, which a reboot empties, says nothing. The claim
    counts from then on even if this process ends at once. Raises NotNowError while another process keeps the lock,
    RefusedError when the folder cannot be written.
    """
    with _turn(slots_folder):
        ledger = read_ledger(slots_folder, schedule_id, known=known)
        if ledger.has(slot.at):
            return False
        _write(slots_folder, schedule_id, ledger.with_fired(slot))
    return True


def note_missed(slots_folder: Path, schedule_id: str, slot: Slot, *, known: Known = nothing_known) -> bool:
    """Take it upon this process to record everything up to the slot as missed; True for one process only."""
    with _turn(slots_folder):
        ledger = read_ledger(slots_folder, schedule_id, known=known)
        if ledger.until is not None and ledger.until >= slot.at:
            return False
        _write(slots_folder, schedule_id, ledger.with_missed(slot))
    return True


def read_ledger(slots_folder: Path, schedule_id: str, *, known: Known = nothing_known) -> Ledger:
    """Return what is done with; begun anew from ``known`` where there is no ledger that can be believed."""
    try:
        return records.read(_path(slots_folder, schedule_id), Ledger)
    except (NotFoundError, DamagedRecordError):
        newest = known()
        return Ledger() if newest is None else Ledger(until=newest.at, floor=newest.at)


def newest_slot(executions: Iterable[ScheduleExecution]) -> Slot | None:
    """Return the newest slot that these executions stand for."""
    return max(_slots_of(executions), key=lambda slot: slot.at, default=None)


def _slots_of(executions: Iterable[ScheduleExecution]) -> Iterator[Slot]:
    for execution in executions:
        try:
            if execution.slot:
                yield slot_of(execution.slot)
        except UsageError:  # a record that somebody wrote by hand
            continue


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    with turn_at(ensure(folder), patience=_PATIENCE) as is_ours:
        if not is_ours:
            raise NotNowError(f"another process keeps the lock of {folder}; try again in a moment")
        yield


def _write(folder: Path, schedule_id: str, ledger: Ledger) -> None:
    try:
        records.write(_path(folder, schedule_id), ledger, durable=False)  # a crash of the machine empties the folder
    except OSError as error:
        raise RefusedError(f"the slot cannot be claimed in {folder}: {(error.strerror or '').lower()}") from error


def _path(folder: Path, schedule_id: str) -> Path:
    return folder / f"{schedule_id}.json"
