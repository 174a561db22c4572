"""One JSON file, read with suspicion and written so that a reader sees the old or the new one, never a torn one."""

import errno
import os
import stat
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rebalancer.errors import DamagedRecordError, NotFoundError

T = TypeVar("T")

RECORD_LIMIT = 2**20  # bytes; a record of an execution or a schedule is never near that
DOCUMENT_LIMIT = 2**33  # bytes; an inventory or a plan of ten million units


def encode(value: object) -> bytes:
    """Return compact JSON; raises TypeError for what JSON cannot hold."""
    return msgspec.json.encode(value)


def decode(data: bytes, kind: type[T], *, path: str) -> T:
    """Return the checked value; raises DamagedRecordError with the field that is wrong."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecordError(path, _reason(error)) from error


def read(path: Path, kind: type[T], *, limit: int = RECORD_LIMIT) -> T:
    """Read one record.

    Raises NotFoundError when there is no such file, DamagedRecordError when it is not a regular file,
    larger than ``limit`` bytes, unreadable, not JSON or not of that kind.
    """
    return decode(read_bytes(path, limit=limit), kind, path=str(path))


def read_bytes(path: Path, *, limit: int = RECORD_LIMIT) -> bytes:
    """Return the bytes of a regular file, never following a link and never waiting on a pipe."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        reason = "a symbolic link, not a record" if error.errno == errno.ELOOP else _sentence(error)
        raise DamagedRecordError(str(path), reason) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):  # asked before fdopen, which refuses folders in its own way
            raise DamagedRecordError(str(path), "not a regular file")
        if status.st_size > limit:
            raise DamagedRecordError(str(path), f"larger than {limit} bytes")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(status.st_size + 1)  # room is taken for all that is asked for: never ask for the limit
    except OSError as error:
        raise DamagedRecordError(str(path), _sentence(error)) from error
    finally:
        os.close(fd)


def write(path: Path, value: object, *, durable: bool = True) -> None:
    """Replace one record.

    1. Write a new file beside it, 0600.  2. Flush it.  3. Rename it over the old one.  4. Flush the folder.
    After an error, also of a full disk, the old record stands and no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(encode(value))
            file.flush()
            if durable:
                os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove one record durably; nothing happens when it is gone already."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def to_builtins(value: object) -> Any:
    """Return plain dicts and lists with the record's field names, as ``--json`` prints them."""
    return msgspec.to_builtins(value)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)[:1].lower() + str(error)[1:]


def _sentence(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
