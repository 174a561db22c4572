"""The schedules as files: made, read, changed by one process at a time, so that no change undoes another."""

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from rebalancer import names, records
from rebalancer.errors import (
    DamagedRecordError,
    NotFoundError,
    NotNowError,
    RebalancerError,
    RefusedError,
    TakenError,
    UsageError,
)
from rebalancer.schedules import validation
from rebalancer.schedules.schedule import Schedule, Suspension
from rebalancer.state import ensure
from rebalancer.turns import is_taken

_HALF_WRITTEN = re.compile(r"\.[a-z0-9-]+\.json\.[0-9a-f]{8}\.tmp")  # see `records.write`
_PATIENCE = 10.0  # seconds for the lock of the folder; whoever holds it writes one small file

Change = Callable[[Schedule], Schedule]
Strings = list[str]  # inside the class, the bare word is its method


def is_suspended(schedule: Schedule, *, now: float) -> bool:
    """Return whether the schedule's suspension counts; one whose ``until`` is past does not."""
    suspension = schedule.suspension
    return suspension is not None and (suspension.until is None or now < suspension.until)


class ScheduleManager:
    """Reads and writes ``{config_dir}/schedules/{schedule_id}.json``.

    Every change is made under a lock of that folder (flock(2) on the folder itself: nothing is left behind, also on
    FAT), from the file as it is then. Every method that names one schedule raises NotFoundError when there is none
    and DamagedRecordError when its file cannot be believed; writing raises RefusedError when the folder cannot take it.
    """

    def __init__(self, config_dir: Path | str) -> None:
        self.folder = Path(os.path.abspath(config_dir)) / "schedules"

    def create(self, schedule: Schedule, *, now: float) -> Schedule:
        """Save a new schedule. Raises UsageError naming the field that is wrong, TakenError for a taken id."""
        checked = validation.check(structs.replace(schedule, created_at=now, updated_at=now))
        with self._lock():
            if os.path.lexists(self._path(checked.schedule_id)):
                raise TakenError(f"there is a schedule {checked.schedule_id} already; edit it or choose another name")
            self._write(checked)
        return checked

    def get(self, schedule_id: str) -> Schedule:
        """Return one schedule, with every value in its range."""
        if not validation.is_id(schedule_id):
            raise _unknown(schedule_id)
        self._refuse_open_folder()
        return self._read(schedule_id)

    def list(self) -> list[Schedule]:
        """Return all schedules by id; files that cannot be believed are passed over, `damaged` names them."""
        return [found for found in self._all() if isinstance(found, Schedule)]

    def damaged(self) -> Strings:
        """Return what is wrong with each file that cannot be believed."""
        return [str(found) for found in self._all() if isinstance(found, RebalancerError)]

    def edit(self, schedule: Schedule, *, now: float) -> Schedule:
        """Save a schedule that was read before and changed since.

        Raises NotNowError when somebody else changed it in the meantime: nothing is saved and nothing of theirs is
        lost. `change` never meets that.
        """

        def replace(stored: Schedule) -> Schedule:
            if stored.updated_at != schedule.updated_at:
                raise NotNowError(
                    f"schedule {stored.schedule_id} was changed in the meantime; read it and edit it again"
                )
            return structs.replace(schedule, created_at=stored.created_at)

        return self.change(schedule.schedule_id, replace, now=now)

    def change(self, schedule_id: str, change: Change, *, now: float) -> Schedule:
        """Save what ``change`` makes of the schedule as it is now, with nobody else writing in between.

        Raises UsageError for a result that is not allowed; nothing is written when nothing changes.
        """
        self.get(schedule_id)
        with self._lock():
            stored = self._read(schedule_id)
            wanted = change(stored)
            if wanted == stored:
                return stored
            # later than before even when the clock was set back: `edit` recognises a version by it
            updated_at = max(now, math.nextafter(stored.updated_at, math.inf))
            checked = validation.check(structs.replace(wanted, schedule_id=schedule_id, updated_at=updated_at))
            self._write(checked)
        return checked

    def delete(self, schedule_id: str) -> None:
        """Remove one schedule, also a damaged one; what is recorded of its executions stays."""
        if not validation.is_id(schedule_id) or not os.path.lexists(self._path(schedule_id)):
            raise _unknown(schedule_id)
        with self._lock():
            try:
                records.remove(self._path(schedule_id))
            except OSError as error:
                raise _refusal(f"schedule {schedule_id} cannot be removed", error) from error

    def set_enabled(self, schedule_id: str, *, enabled: bool, now: float) -> Schedule:
        """Let the schedule fire, or keep it without firing; the same again changes nothing."""
        return self.change(schedule_id, lambda stored: structs.replace(stored, enabled=enabled), now=now)

    def suspend(self, schedule_id: str, suspension: Suspension) -> Schedule:
        """Keep the schedule from firing until the suspension ends; a later suspension takes an earlier one's place."""
        validation.check_suspension(suspension)
        now = suspension.since
        return self.change(schedule_id, lambda stored: structs.replace(stored, suspension=suspension), now=now)

    def resume(self, schedule_id: str, *, now: float) -> Schedule:
        """End the suspension; nothing happens when there is none."""
        return self.change(schedule_id, lambda stored: structs.replace(stored, suspension=None), now=now)

    def _all(self) -> Iterator[Schedule | RebalancerError]:
        for name in self._names():
            if not validation.is_id(name):
                path = str(self.folder / f"{name}.json")
                yield DamagedRecordError(path, "its name is not one that a schedule can have")
                continue
            try:
                yield self._read(name)
            except NotFoundError:  # removed since the folder was read
                continue
            except DamagedRecordError as error:
                yield error

    def _names(self) -> Strings:
        self._refuse_open_folder()
        try:
            files = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _refusal(f"the schedules in {self.folder} cannot be read", error) from error
        return sorted(name.removesuffix(".json") for name in files if name.endswith(".json") and name[0] != ".")

    def _read(self, schedule_id: str) -> Schedule:
        path = self._path(schedule_id)
        try:
            schedule = records.read(path, Schedule)
        except NotFoundError as error:
            raise _unknown(schedule_id) from error
        if schedule.schedule_id != schedule_id:
            raise DamagedRecordError(str(path), f"holds the schedule {names.display(schedule.schedule_id)}")
        try:
            return validation.check(schedule)
        except UsageError as error:
            raise DamagedRecordError(str(path), str(error)) from error

    def _write(self, schedule: Schedule) -> None:
        """Replace one file; the caller holds the lock, so what looks half written was left by a process that died."""
        try:
            for name in os.listdir(self.folder):
                if _HALF_WRITTEN.fullmatch(name):
                    (self.folder / name).unlink(missing_ok=True)
            records.write(self._path(schedule.schedule_id), schedule)
        except OSError as error:
            raise _refusal(f"schedule {schedule.schedule_id} cannot be saved in {self.folder}", error) from error

    def _path(self, schedule_id: str) -> Path:
        return self.folder / f"{schedule_id}.json"

    def _refuse_open_folder(self) -> None:
        """Whoever can write to the folder could choose what runs as this user (see `ensure`)."""
        if self.folder.is_dir():
            ensure(self.folder)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        ensure(self.folder)
        try:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _refusal(f"the schedules in {self.folder} cannot be changed", error) from error
        try:
            if not is_taken(fd, patience=_PATIENCE):
                raise NotNowError("another process is changing the schedules; try again in a moment")
            yield
        finally:
            os.close(fd)


def _unknown(schedule_id: str) -> NotFoundError:
    return NotFoundError(f"there is no schedule {names.display(schedule_id)}")


def _refusal(what: str, error: OSError) -> RefusedError:
    return RefusedError(f"{what}: {(error.strerror or str(error)).lower()}")
