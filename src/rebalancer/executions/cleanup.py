"""Old records go, the figures they stood for stay: what is removed is counted first, and once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rebalancer.errors import DamagedRecordError, NotFoundError, NotNowError, RefusedError, UsageError
from rebalancer.executions import totals
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.index import Index
from rebalancer.executions.index_query import Entry
from rebalancer.executions.leftovers import leftovers, size_when_old
from rebalancer.executions.store import LEFT_BEHIND, move_aside
from rebalancer.executions.totals import Lifetime, added, totals_of
from rebalancer.state import StateFolders, ensure
from rebalancer.turns import turn_at

_DAY = 86400
_BATCH = 500  # records whose names fit into one file of statistics many times over
WORTH_A_WRITE = 25  # old records that a run removes together: the state folder may be a flash stick
_ROOM = ".room"
_ROOM_SIZE = 65536  # bytes; at least two clusters of a FAT stick
_PATIENCE = 5.0  # seconds for another cleanup to end


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a cleanup did, or would do."""

    removed: tuple[str, ...] = ()  # ids of executions
    set_aside: tuple[tuple[str, str], ...] = ()  # file names and why they cannot be believed
    bytes_freed: int = 0  # of file content


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which records are too old; ages in days, counted from the end of the execution."""

    days: int
    keep_failed_days: int
    keep_at_least: int  # of each schedule, whatever their age; the newest one always stays
    now: float

    def check(self) -> None:
        """Raise UsageError for numbers that mean nothing."""
        for field in ("days", "keep_failed_days", "keep_at_least"):
            if getattr(self, field) < 0:
                raise UsageError(f"{field}: allowed is 0 or more")

    def expired(self, newest_first: Sequence[Entry]) -> list[str]:
        """Return the ids of one schedule's records that may go; what has not ended is never among them."""
        return [entry.execution_id for entry in newest_first[max(1, self.keep_at_least) :] if self._is_old(entry)]

    def _is_old(self, entry: Entry) -> bool:
        is_failed = entry.status is ExecutionStatus.FAILED
        days = max(self.days, self.keep_failed_days) if is_failed else self.days
        return entry.status.is_final and self.now - entry.age_from > days * _DAY


def clean_up(
    folders: StateFolders,
    *,
    days: int,
    keep_failed_days: int,
    keep_at_least: int,
    now: float,
    dry_run: bool,
    schedule_id: str | None = None,
    at_least: int = 1,
) -> Cleaned:
    """Remove old records, of one schedule or of all, with what they left in the runtime folder; set damaged ones aside.

    Of a schedule that has fewer than ``at_least`` old ones none is removed: each removal is a write to the statistics.
    What the removed ones stood for stays in the schedule's statistics. Raises UsageError for negative numbers,
    NotNowError when another cleanup is at work, RefusedError when the state folder does not let go of them.
    """
    policy = Policy(days=days, keep_failed_days=keep_failed_days, keep_at_least=keep_at_least, now=now)
    policy.check()
    index = Index(folders)
    index.active()  # settles what is only said to run
    cleaning = _Cleaning(folders, index, policy, at_least)
    schedule_ids = index.schedule_ids() if schedule_id is None else [schedule_id]
    if dry_run:
        return cleaning.foretell(schedule_ids)
    with _alone(folders.statistics):
        return cleaning.carry_out(schedule_ids)


@dataclass(frozen=True, slots=True)
class _Cleaning:
    folders: StateFolders
    index: Index
    policy: Policy
    at_least: int = 1

    def foretell(self, schedule_ids: Sequence[str]) -> Cleaned:
        removed = [name for schedule_id in schedule_ids for name in self._expired(schedule_id)]
        rest = [*self._temporary_files(), *self._leftovers(without=removed)]
        freed = sum(map(self._size_of, removed)) + sum(size for _, size in rest)
        return Cleaned(tuple(removed), tuple(self.index.damaged()), freed)

    def carry_out(self, schedule_ids: Sequence[str]) -> Cleaned:
        """1. Make room.  2. Set aside what is damaged.  3. Remove records.  4. Remove what they left elsewhere."""
        freed = _unlinked(self._temporary_files())
        set_aside = self._set_aside()
        removed: list[str] = []
        for schedule_id in schedule_ids:
            for batch in _batches(self._expired(schedule_id)):
                freed += sum(map(self._size_of, batch))
                removed += self._remove(schedule_id, batch)
        freed += _unlinked(self._leftovers(without=()))
        _keep_room(self.folders.statistics)
        return Cleaned(tuple(removed), set_aside, freed)

    # -- records ------------------------------------------------------------------------------------------------

    def _expired(self, schedule_id: str) -> list[str]:
        expired = self.policy.expired(self.index.entries(schedule_id))
        return expired if len(expired) >= self.at_least else []

    def _remove(self, schedule_id: str, execution_ids: Sequence[str]) -> list[str]:
        """Let records go and keep what they stood for. Whenever this is cut short, each one counts once.

        1. Remove for good what an earlier cleanup had counted.  2. Count these and note their names, in one write.
        3. Remove them: until they are gone, whoever reads the statistics passes over the names.
        """
        lifetime = self._lifetime(schedule_id)
        self.index.store.remove(lifetime.removing)
        going = [execution for execution in map(self._load, execution_ids) if execution is not None]
        names = tuple(execution.execution_id for execution in going)
        if names:
            counted = added([lifetime.totals, *map(totals_of, going)])
            self._save(Lifetime(schedule_id=schedule_id, totals=counted, removing=names))
            self.index.store.remove(names)
        gone = [name for name in execution_ids if not self.index.store.path_of(name).exists()]
        _unlinked((self.folders.locks / f"execution-{name}.lock", 0) for name in gone)
        return gone

    def _load(self, execution_id: str) -> ScheduleExecution | None:
        try:
            execution = self.index.store.load(execution_id)
        except (DamagedRecordError, NotFoundError):
            return None
        return execution if execution.status.is_final else None

    def _lifetime(self, schedule_id: str) -> Lifetime:
        folder = self.folders.statistics
        try:
            return totals.load_lifetime(folder, schedule_id)
        except DamagedRecordError:
            move_aside(totals.path_of(folder, schedule_id))
            return Lifetime(schedule_id=schedule_id)

    def _save(self, lifetime: Lifetime) -> None:
        try:
            totals.save_lifetime(self.folders.statistics, lifetime)
        except RefusedError:  # the disk is full, which is when people clean up
            (self.folders.statistics / _ROOM).unlink(missing_ok=True)
            totals.save_lifetime(self.folders.statistics, lifetime)

    def _set_aside(self) -> tuple[tuple[str, str], ...]:
        found = [(name, self.index.store.set_aside(name)) for name, _ in self.index.damaged()]
        return tuple((name, reason) for name, reason in found if reason)

    def _size_of(self, execution_id: str) -> int:
        try:
            return self.index.store.path_of(execution_id).lstat().st_size
        except FileNotFoundError:
            return 0

    # -- other files --------------------------------------------------------------------------------------------

    def _leftovers(self, *, without: Sequence[str]) -> Iterator[tuple[Path, int]]:
        """Yield what executions without a record left in the runtime folder."""
        known = self.index.names().difference(without)
        return leftovers(self.folders, is_known=known.__contains__, now=self.policy.now)

    def _temporary_files(self) -> Iterator[tuple[Path, int]]:
        """Yield what writers that were killed left beside the records and the statistics."""
        for folder in (self.folders.executions, self.folders.statistics):
            for path in folder.glob(".*.tmp"):
                if LEFT_BEHIND.fullmatch(path.name) and (size := size_when_old(path, now=self.policy.now)) is not None:
                    yield path, size


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with turn_at(ensure(folder), patience=_PATIENCE) as is_ours:
        if not is_ours:
            raise NotNowError("another cleanup is at work; try again when it has ended")
        yield


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))


def _unlinked(files: Iterable[tuple[Path, int]]) -> int:
    """Remove single files; returns how many bytes they held."""
    freed = 0
    for path, size in files:
        with suppress(OSError):  # of no harm where it cannot be removed
            path.unlink()
            freed += size
    return freed


def _keep_room(folder: Path) -> None:
    """Hold some space, so that a later cleanup can write its figures even when the disk is full by then."""
    path = folder / _ROOM
    with suppress(OSError):
        if not path.exists():
            path.write_bytes(b"\0" * _ROOM_SIZE)
