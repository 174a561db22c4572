"""Names who has a file open that had to stay for it. Looked for only then: what decides is the lease."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rebalancer.inventory import open_files
from rebalancer.inventory.open_files import Identity, User
from rebalancer.transfer.failure import InUseError

_FRESH = 2.0  # seconds that a look is believed about a file that was found
_SHARE = 10  # between two looks passes that many times as long as a look took, so that many files cost no more
_AGAIN = 0.05  # seconds after which an opener that waited for our lease has got its file


@dataclass(eq=False, slots=True)
class Witness:
    """What was last seen of open files, by device and inode."""

    _found: dict[Identity, list[User]] = field(default_factory=dict)
    _looked: float = 0.0
    _may_look: float = 0.0

    def explain(self, error: InUseError, *, roots: Iterable[int]) -> str:
        """Return the reason with the evidence; without, when nobody is found. ``roots`` are the disks' open roots."""
        found = self._users_of(error.files, roots)
        if not found:
            return str(error)
        others = len({user.process for user in found}) - 1
        more = f", and by {others} more" if others else ""
        return f"in use: {found[0].words}{more}"

    def _users_of(self, files: Sequence[Identity], roots: Iterable[int]) -> list[User]:
        if time.monotonic() - self._looked < _FRESH and (found := self._known(files)):
            return found
        if time.monotonic() < self._may_look:
            return []
        begun = time.monotonic()
        devices = {device for root in roots for device in open_files.devices_of(root)}
        found = self._look(files, devices)
        if not found:
            time.sleep(_AGAIN)
            found = self._look(files, devices) or self._mapped(files)
        self._looked = time.monotonic()
        self._may_look = self._looked + _SHARE * (self._looked - begun)
        return found

    def _look(self, files: Sequence[Identity], devices: set[str]) -> list[User]:
        self._found = {}
        for user in [*open_files.images(devices), *open_files.users(devices, spared={os.getpid()})]:
            self._found.setdefault(user.identity, []).append(user)
        return self._known(files)

    def _known(self, files: Sequence[Identity]) -> list[User]:
        """Return who has one of the files open; those first who can write to it, then the oldest process."""
        found = [user for file in files for user in self._found.get(file, ())]
        return sorted(found, key=lambda user: (not user.is_writing, user.process))

    def _mapped(self, files: Sequence[Identity]) -> list[User]:
        return [user for file in files for user in open_files.mapping(file, spared={os.getpid()})]
