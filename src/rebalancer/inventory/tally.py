"""A unit while it is being counted: sums and at most one reason, nothing per file."""

import stat
from collections.abc import Sequence

from msgspec import Struct

from rebalancer import names
from rebalancer.inventory.status import Status
from rebalancer.inventory.unit import Member, Unit, UnitKind

_SHOWN = 200  # characters of a path in a reason; a path may be longer than a screen


class Tally(Struct, array_like=True):
    """What was found of one unit so far. Of several reasons to leave it alone the first by path stands."""

    path: bytes
    kind: UnitKind
    size_bytes: int = 0
    apparent_bytes: int = 0
    files: int = 0
    newest_mtime: int = 0  # nanoseconds
    reason: tuple[bytes, str] | None = None  # the path that is the cause, and the sentence; None: may move
    use: tuple[bytes, str] | None = None  # the first file that somebody writes to, and the sentence

    def add(self, files: int, blocks: int, *, length: int, newest: int) -> None:
        """Add files; blocks of 512 bytes, the newest mtime in nanoseconds."""
        self.files += files
        self.size_bytes += blocks * 512
        self.apparent_bytes += length
        self.newest_mtime = max(self.newest_mtime, newest)

    def count(self, status: Status, *, is_first_name: bool) -> None:
        """Add one name; the space of a file with several names is counted with the first of them."""
        is_file = stat.S_ISREG(status.mode)
        self.add(
            files=int(is_file or stat.S_ISLNK(status.mode)),
            blocks=status.blocks if is_first_name else 0,
            length=status.length if is_file and is_first_name else 0,
            newest=status.mtime if is_file else 0,
        )

    def leave_alone(self, path: bytes, reason: str, *, detail: str = "") -> None:
        """Note why the unit must stay where it is, and the path that is the cause."""
        if self.reason is None or path < self.reason[0]:
            self.reason = (path, "; ".join(filter(None, (f"{reason}: {shortened(path)}", detail))))

    def note_use(self, path: bytes, reason: str) -> None:
        """Note that somebody writes to a file of the unit: it may be over by the time the unit's turn comes."""
        if self.use is None or path < self.use[0]:
            self.use = (path, f"{reason}: {shortened(path)}")

    def absorb(self, other: "Tally") -> None:
        """Take over what another one holds: a part of the same unit, or a member of the same hard-link group."""
        self.size_bytes += other.size_bytes
        self.apparent_bytes += other.apparent_bytes
        self.files += other.files
        self.newest_mtime = max(self.newest_mtime, other.newest_mtime)
        self.reason = min((reason for reason in (self.reason, other.reason) if reason), default=None)
        self.use = min((use for use in (self.use, other.use) if use), default=None)

    def unit(self, disk: str, also: "Sequence[Tally]") -> Unit:
        """Return the finished unit; ``also`` are the members that were absorbed."""
        path, exact = names.encode(self.path)
        return Unit(
            disk=disk,
            share=names.encode(self.path.split(b"/", 1)[0])[0],
            path=path,
            path_base64=exact,
            size_bytes=self.size_bytes,
            apparent_bytes=self.apparent_bytes,
            files=self.files,
            kind=self.kind,
            newest_mtime=self.newest_mtime / 1e9,
            also=tuple(
                Member(path=text, path_base64=raw) for text, raw in (names.encode(other.path) for other in also)
            ),
            left_alone=self.reason[1] if self.reason else "",
            in_use=self.use[1] if self.use else "",
        )


def shortened(path: bytes) -> str:
    """Return a path for a sentence: safe on a terminal, its middle left out when it is very long."""
    text = names.display(path)
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[:half]}…{text[-half:]}"
