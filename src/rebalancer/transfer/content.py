"""The bytes of a file: copied with their holes, hashed on the way, read again from the medium."""

import errno
import mmap
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import xxhash

from rebalancer import linux
from rebalancer.transfer.failure import ChangedError, explain_read

WINDOW = 2**20  # bytes read, hashed and written at a time
_STRETCH = 4 * WINDOW  # bytes that are written back, waited for and dropped from the page cache together
_IN_FLIGHT = 2  # stretches that may be on their way to the medium at a time
_OWN = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # a shared mapping would be one with that of a forked process
_ZEROS = bytearray(WINDOW)


def new_buffer(size: int = WINDOW) -> memoryview:
    """Return room for one window, aligned to pages as O_DIRECT asks for. Each thread that reads needs its own."""
    return memoryview(mmap.mmap(-1, size, flags=_OWN))


BUFFER = new_buffer()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a file that begins at a multiple of `WINDOW`, and the parts of it that are not holes."""

    start: int
    end: int
    parts: tuple[tuple[int, int], ...]


class Digest:
    """A hash of content that does not depend on where the holes are: windows of zeros are not hashed."""

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_128()

    def add(self, start: int, data: memoryview) -> None:
        if not _is_zero(data):
            self._hash.update(start.to_bytes(8, "little"))
            self._hash.update(data)

    def result(self, size: int) -> bytes:
        self._hash.update(size.to_bytes(8, "little"))
        return self._hash.digest()


def copy(source: int, copy_fd: int, size: int, *, on_chunk: Callable[[int], None]) -> tuple[bytes, int]:
    """Copy a file's data and holes; return its digest and the bytes written.

    ``on_chunk(bytes)`` is called after every chunk and may raise to stop. Raises ChangedError when the
    file is shorter than it was, UnreadableError when the source fails, OSError when the copy does.
    Write-back starts early and is waited for not far behind, so that neither a flush nor a stop has more than a few
    megabytes before it, and what was left behind is dropped from the page cache, so that a move of terabytes does not
    push out what the host works with. The source's pages go even if somebody else had brought them in: they would be
    gone with the file a moment later, and the second reading must come from the medium.
    """
    digest, written, trail = Digest(), 0, _Trail(source, copy_fd)
    if _allocated(source) < size:
        os.ftruncate(copy_fd, size)  # xfs allocates ahead of a growing end, which would fill the holes
    os.posix_fadvise(source, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    for window in _windows(source, size):
        data = _read_exactly(source, window, BUFFER)
        digest.add(window.start, data)
        for start, end in window.parts:
            _write_all(copy_fd, data[start - window.start : end - window.start], start)
            written += end - start
        trail.reach(window.end, written)
        on_chunk(sum(end - start for start, end in window.parts))
    os.ftruncate(copy_fd, size)
    trail.end()
    return digest.result(size), written


def evict(fd: int) -> bool:
    """Forget the pages of a file; return False when some stay, because somebody maps them (posix_fadvise(2))."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return not linux.cached_pages(fd)


def read_again(
    fd: int, size: int, *, is_evicted: bool, on_chunk: Callable[[int], None], buffer: memoryview = BUFFER
) -> bytes:
    """Return the digest of what the medium holds, every byte of it: the map of holes is not believed.

    ``on_chunk(bytes)`` is called after every chunk and may raise to stop. What was read is dropped from the page
    cache on the way. Raises ChangedError when the file is shorter than it was, UnreadableError when the medium does
    not give it.
    """
    digest = Digest()
    with _from_medium(fd, is_evicted=is_evicted) as medium:
        for start in range(0, size, WINDOW):
            window = Window(start, min(size, start + WINDOW), ())
            digest.add(start, _read_exactly(medium, window, buffer))
            if window.end % _STRETCH == 0:
                os.posix_fadvise(fd, window.end - _STRETCH, _STRETCH, os.POSIX_FADV_DONTNEED)
            on_chunk(window.end - start)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.result(size)


def will_need(fd: int) -> None:
    """Ask for a file to be read ahead."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)


@contextmanager
def _from_medium(fd: int, *, is_evicted: bool) -> Iterator[int]:
    """Give a descriptor whose reads do not come from pages that were there before.

    Pages that somebody maps survive POSIX_FADV_DONTNEED; such a file is read with O_DIRECT. Where that is
    not possible either (tmpfs: the pages are the medium) the descriptor itself is the answer.
    """
    if is_evicted:
        yield fd
        return
    try:
        direct = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_NOATIME | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield fd
        return
    try:
        yield direct
    finally:
        os.close(direct)


def _allocated(fd: int) -> int:
    try:
        return os.fstat(fd).st_blocks * 512
    except OSError as error:  # xfs answers so once it was shut down
        raise explain_read(error) from error


def _windows(fd: int, size: int) -> Iterator[Window]:
    """Yield the windows that hold data, in order. The map of holes is a hint: what is read is hashed."""
    parts: list[tuple[int, int]] = []
    for start, end in _data(fd, size):
        position = start
        while position < end:
            base = position - position % WINDOW
            if parts and parts[0][0] // WINDOW != base // WINDOW:
                yield _window(parts, size)
                parts = []
            parts.append((position, min(end, base + WINDOW)))
            position = parts[-1][1]
    if parts:
        yield _window(parts, size)


def _window(parts: list[tuple[int, int]], size: int) -> Window:
    base = parts[0][0] - parts[0][0] % WINDOW
    return Window(base, min(size, base + WINDOW), tuple(parts))


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where the file has data (lseek(2), SEEK_DATA and SEEK_HOLE)."""
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole follows
                return
            if error.errno != errno.EINVAL:
                raise explain_read(error) from error
            start, end = position, size
        if start >= size:
            return
        yield start, min(end, size)
        position = end


def _read_exactly(fd: int, window: Window, buffer: memoryview) -> memoryview:
    wanted, got = window.end - window.start, 0
    while got < wanted:
        try:
            count = os.preadv(fd, [buffer[got:WINDOW]], window.start + got)
        except OSError as error:
            raise explain_read(error) from error
        if count == 0:
            raise ChangedError("it became shorter while it was moved")
        got += count
    return buffer[:wanted]


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(fd, data, offset)
        if not count:  # never for a file, says POSIX; were it so, asking again might never end
            raise OSError(errno.EIO, "nothing was written")
        data, offset = data[count:], offset + count


class _Trail:
    """What a copy leaves behind: stretches that are written back, waited for, and dropped from the page cache."""

    def __init__(self, source: int, copy_fd: int) -> None:
        self._source, self._copy = source, copy_fd
        self._start = self._written = 0
        self._in_flight: deque[tuple[int, int]] = deque()  # start and length

    def reach(self, position: int, written: int) -> None:
        """Say how far the copy has come, and with how many bytes in all: holes need no writing back.

        Raises OSError when the medium did not take what was written. Whoever waits for write-back has been told of its
        errors; a later fsync(2) would not repeat them.
        """
        if written - self._written < _STRETCH:
            return
        start, length = self._start, position - self._start
        self._written = written
        linux.start_write_back(self._copy, start, length)
        os.posix_fadvise(self._source, start, length, os.POSIX_FADV_DONTNEED)
        self._in_flight.append((start, length))
        self._start = position
        if len(self._in_flight) > _IN_FLIGHT:
            start, length = self._in_flight.popleft()
            linux.finish_write_back(self._copy, start, length)
            os.posix_fadvise(self._copy, start, length, os.POSIX_FADV_DONTNEED)

    def end(self) -> None:
        """Forget the rest of a large source; the rest of its copy must be flushed first."""
        if self._start:
            os.posix_fadvise(self._source, 0, 0, os.POSIX_FADV_DONTNEED)


def _is_zero(data: memoryview) -> bool:
    if data[0] or data[-1]:
        return False
    zeros = _ZEROS if len(data) == WINDOW else _ZEROS[: len(data)]
    return zeros == data  # in this order; a memoryview compares item by item
