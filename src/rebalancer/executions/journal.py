"""The operations that are under way or were cut short: durable before the first byte moves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from rebalancer import names, records
from rebalancer.array.disk import Disk
from rebalancer.errors import DamagedRecordError, RebalancerError, RefusedError
from rebalancer.state import ensure
from rebalancer.transfer.operation import Operation


@dataclass(frozen=True, slots=True)
class Journal:
    """Reads and writes ``{folder}/{operation_id}.json``."""

    folder: Path

    def begin(self, operation: Operation) -> Path:
        """Make an operation durable; raises RefusedError when the state folder cannot take it."""
        ensure(self.folder)
        path = self.path_of(operation)
        try:
            records.write(path, operation)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise RefusedError(f"the plan cannot be made durable in {self.folder}: {reason}") from error
        return path

    def settle(self, operation: Operation, unfinished: Sequence[int]) -> None:
        """Forget the moves that are done; the file goes with the last of them."""
        if not unfinished:
            records.remove(self.path_of(operation))
            return
        moves = tuple(operation.moves[number] for number in sorted(set(unfinished)))
        records.write(self.path_of(operation), structs.replace(operation, moves=moves))

    def unfinished(self, disks: Sequence[Disk]) -> Iterator[Operation]:
        """Yield what earlier runs left on these disks, oldest first, with the disks as they are now.

        Device numbers change with every boot, so a disk is known again by its path; a file that cannot be
        believed is passed over here and named by `damaged`.
        """
        here = {disk.path: disk for disk in disks if disk.is_usable}
        for path in self._paths():
            try:
                operation = _read(path)
            except RebalancerError:
                continue
            known = {disk.name: here[disk.path] for disk in operation.disks if disk.path in here}
            if all(move.source in known and move.destination in known for move in operation.moves):
                renamed = tuple(structs.replace(disk, name=name) for name, disk in known.items())
                yield structs.replace(operation, disks=renamed)

    def damaged(self) -> list[str]:
        """Return what is wrong with each file that cannot be believed."""
        found = []
        for path in self._paths():
            try:
                _read(path)
            except RebalancerError as error:
                found.append(str(error))
        return found

    def path_of(self, operation: Operation) -> Path:
        return self.folder / f"{operation.operation_id}.json"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[!.]*.json")) if self.folder.is_dir() else []


def _read(path: Path) -> Operation:
    operation = records.read(path, Operation, limit=records.DOCUMENT_LIMIT)
    known = {disk.name for disk in operation.disks}
    if f"{operation.operation_id}.json" != path.name:
        raise DamagedRecordError(str(path), "the operation's id is not the file's name")
    for move in operation.moves:
        if not {move.source, move.destination} <= known or move.source == move.destination:
            raise DamagedRecordError(str(path), f"a move names an unknown disk: {names.display(move.path)}")
        if not all(names.is_inside(member.raw_path) for member in move.members):
            raise DamagedRecordError(str(path), f"a path leads out of its disk: {names.display(move.path)}")
    return operation
