"""What is mounted where, from the kernel's own list (proc_pid_mountinfo(5))."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = "proc/self/mountinfo"
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. ``device`` is that of the whole file system: equal for bind mounts and for btrfs subvolumes."""

    mount_id: int
    device: int
    root: str  # the folder of the file system that is shown there; surrogate-escaped
    point: Path  # surrogate-escaped
    options: frozenset[str]  # of the mount
    filesystem: str
    source: str  # surrogate-escaped
    file_system_options: frozenset[str]

    @property
    def is_read_only(self) -> bool:
        return "ro" in self.options or "ro" in self.file_system_options


@dataclass(frozen=True, slots=True)
class MountTable:
    """All mounts in the order of mounting. ``is_this_machine`` is False for a list kept below another root."""

    mounts: tuple[Mount, ...]
    is_this_machine: bool = True

    def at(self, path: Path) -> Mount | None:
        """Return what was mounted last exactly there."""
        return next((mount for mount in reversed(self.mounts) if mount.point == path), None)

    def over(self, path: Path) -> Mount | None:
        """Return the mount that a path lies on, judged by its words alone: nothing is touched."""
        places = (path, *path.parents)
        return next((found for place in places if (found := self.at(place)) is not None), None)

    def holding(self, fd: int, path: Path) -> Mount | None:
        """Return the mount that an open folder lies on, asked from the kernel by mount id; by its path elsewhere."""
        if not self.is_this_machine:
            return self.over(path)
        mount_id = _mount_id(fd)
        return next((mount for mount in self.mounts if mount.mount_id == mount_id), None)


def read(root: Path) -> MountTable:
    """Return the mounts listed below a root, their points below it too; this machine's when none are listed there."""
    listed = root / MOUNTINFO
    if root == Path("/") or not listed.exists():
        return MountTable(parse(Path("/", MOUNTINFO).read_bytes()))
    return MountTable(parse(listed.read_bytes(), root=root), is_this_machine=False)


def parse(text: bytes, *, root: Path = Path("/")) -> tuple[Mount, ...]:
    """Return the mounts of a mountinfo text; a line that cannot be read names no mount."""
    return tuple(mount for line in text.split(b"\n") if (mount := _parse_line(line, root)) is not None)


def _parse_line(line: bytes, root: Path) -> Mount | None:
    fields = line.rstrip(b"\r").split(b" ")
    try:
        end = fields.index(b"-", 6)  # optional fields end with a lone hyphen
        major, minor = fields[2].split(b":")
        return Mount(
            mount_id=int(fields[0]),
            device=os.makedev(int(major), int(minor)),
            root=_unescape(fields[3]),
            point=_below(root, Path(_unescape(fields[4]))),
            options=_options(fields[5]),
            filesystem=_unescape(fields[end + 1]),
            source=_unescape(fields[end + 2]),
            file_system_options=_options(fields[end + 3]),
        )
    except (ValueError, IndexError):
        return None


def _below(root: Path, point: Path) -> Path:
    return point if point.is_relative_to(root) else root / point.relative_to("/")


def _unescape(raw: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), raw))


def _options(raw: bytes) -> frozenset[str]:
    return frozenset(_unescape(raw).split(","))


def _mount_id(fd: int) -> int | None:
    information = Path(f"/proc/self/fdinfo/{fd}").read_text()  # proc_pid_fdinfo(5); mnt_id since Linux 3.15
    match = re.search(r"^mnt_id:\s*(\d+)$", information, re.MULTILINE)
    return int(match[1]) if match else None
