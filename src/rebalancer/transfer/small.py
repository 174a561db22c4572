"""The bytes of a small file without holes: in one piece, with as few calls as that takes.

Whatever is unusual, such as a short read, is not answered here: `content` does the whole file then.
"""

import os

import xxhash

from rebalancer.transfer.content import Digest, new_buffer
from rebalancer.transfer.failure import explain_read

SMALL = 2**18  # bytes; a stop, a pause or a limit is answered between two such files
_EDGE = 8  # bytes that are hashed before and behind the content: where it begins, and its size
_BUFFER = new_buffer(_EDGE + SMALL + _EDGE)


def is_small(status: os.stat_result) -> bool:
    """Return whether a file may go in one piece.

    A hole hides only where space was allocated behind the end (or in blocks of attributes) as well; then it is filled.
    """
    return 0 < status.st_size <= SMALL and status.st_blocks * 512 >= status.st_size


def copy(source: int, copy_fd: int, size: int) -> bytes:
    """Copy a file and return its digest; empty when it must be done by `content`.

    Raises FileLeftError when the source cannot be read, OSError when the copy cannot be written.
    """
    data = _read(source, size)
    if data is None or os.pwrite(copy_fd, data, 0) != size:
        return b""
    return _digest(data)


def read_again(fd: int, size: int) -> bytes:
    """Return the digest of a file whose old pages were forgotten, and forget the new ones; empty as above."""
    data = _read(fd, size)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return b"" if data is None else _digest(data)


def _read(fd: int, size: int) -> memoryview | None:
    data = _BUFFER[_EDGE : _EDGE + size]
    try:
        return data if os.preadv(fd, [data], 0) == size else None
    except OSError as error:
        raise explain_read(error) from error


def _digest(data: memoryview) -> bytes:
    """Return what `Digest` makes of that content, which lies in the buffer: in one call, unless it may be all zeros."""
    if data[0] or data[-1]:
        end = _EDGE + len(data)
        _BUFFER[end : end + _EDGE] = len(data).to_bytes(_EDGE, "little")
        return xxhash.xxh3_128_digest(_BUFFER[: end + _EDGE])
    digest = Digest()
    digest.add(0, data)
    return digest.result(len(data))
