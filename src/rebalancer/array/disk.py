"""One disk of the array as plain data."""

from enum import Enum

from msgspec import Struct

IN_MEMORY = frozenset({"tmpfs", "ramfs"})  # file systems


class DiskStatus(Enum):
    """Whether a disk may take part, and what kind of reason there is when it may not."""

    OK = "ok"
    NOT_MOUNTED = "not mounted"
    READ_ONLY = "read-only"
    DISABLED = "disabled"
    UNION = "union"
    REMOTE = "remote"
    UNSUITABLE = "unsuitable"
    EXCLUDED = "excluded"  # healthy, but the array's settings keep it out of the shares


class Disk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file system of the array. Sizes in bytes; ``used`` is size minus free blocks, as ``df`` counts."""

    name: str
    path: str
    size_bytes: int
    used_bytes: int
    free_bytes: int = 0
    filesystem: str = ""
    status: DiskStatus = DiskStatus.OK
    reason: str = ""  # why it is not OK, as a sentence; empty when it is
    reserve_bytes: int | None = None  # from the settings; None: the selection's reserve applies
    is_folder: bool = False  # a folder with a size limit in the settings, not a mount point (ADR 0001)
    device: int = 0  # st_dev of the root folder
    inode: int = 0  # st_ino of the root folder
    mount_source: str = ""  # what mountinfo names as the source, so that a swapped disk is noticed
    receives: bool = True  # whether new files may be put here (a mergerfs branch may be NC or RO)
    gives: bool = True

    @property
    def is_usable(self) -> bool:
        return self.status is DiskStatus.OK

    @property
    def is_in_memory(self) -> bool:
        """Whether the page cache is the medium itself (tmpfs(5)): nothing lies behind it."""
        return self.filesystem in IN_MEMORY

    @property
    def used_percent(self) -> float:
        """Used space in percent of the size; 0.0 for a disk without a size."""
        return 100 * self.used_bytes / self.size_bytes if self.size_bytes else 0.0


class DiskDocument(Struct, frozen=True, kw_only=True):
    """One disk as programs read it. Sizes in bytes, ``used_percent`` from 0 to 100."""

    name: str
    path: str
    filesystem: str
    size_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    status: DiskStatus
    reason: str  # why it takes no part, as a sentence; empty when it does


def document_of(disk: Disk) -> DiskDocument:
    """Return the document of one disk."""
    return DiskDocument(
        name=disk.name,
        path=disk.path,
        filesystem=disk.filesystem,
        size_bytes=disk.size_bytes,
        used_bytes=disk.used_bytes,
        free_bytes=disk.free_bytes,
        used_percent=round(disk.used_percent, 2),
        status=disk.status,
        reason=disk.reason,
    )
