"""What a scan and the processes that read for it say to each other, over a pair of connected sockets."""

import select
import socket
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from rebalancer.inventory.findings import Findings
from rebalancer.inventory.reading import Depths

T = TypeVar("T")

_LENGTH = 4  # bytes before each message
_CHUNK = 2**16


class Begin(Struct, tag=True, array_like=True):
    """The first order: how to tell units apart, and which inodes somebody writes to, with the sentence."""

    depths: Depths
    writers: dict[int, str]
    path: bytes  # where the disk is mounted


class Read(Struct, tag=True, array_like=True):
    """Read these parts of the disk, each with its unit."""

    parts: list[tuple[bytes, bytes]]


class Give(Struct, tag=True, array_like=True):
    """Somebody has nothing to do: hand over half of what is left, if there is so much."""


class End(Struct, tag=True, array_like=True):
    """All is read: say what was found."""


class Idle(Struct, tag=True, array_like=True):
    """Ready for parts to read."""


class Progress(Struct, tag=True, array_like=True):
    files: int
    size: int


class Given(Struct, tag=True, array_like=True):
    parts: list[tuple[bytes, bytes]]


class Found(Struct, tag=True, array_like=True):
    findings: Findings


class Failed(Struct, tag=True, array_like=True):
    """The disk cannot be read, for this reason of the kernel's."""

    code: int


Order = Begin | Read | Give | End
Said = Idle | Progress | Given | Found | Failed


class Channel(Generic[T]):
    """One end of the line. What the other end says is of the type that it is made for."""

    def __init__(self, line: socket.socket, kind: Any) -> None:
        self._line = line
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._heard = bytearray()

    def fileno(self) -> int:
        return self._line.fileno()

    def say(self, message: Order | Said) -> None:
        """Say it, and wait while the other end has too much to read. Raises BrokenPipeError when that has ended."""
        data = msgspec.msgpack.encode(message)
        self._line.sendall(len(data).to_bytes(_LENGTH, "big") + data)

    def has_news(self) -> bool:
        """Whether `hear` would return at once."""
        return bool(select.select([self._line], [], [], 0)[0])

    def hear(self) -> list[T]:
        """Wait until the other end says something; return the messages that are whole. Raises EOFError at its end."""
        try:
            data = self._line.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self._heard += data
        return list(self._messages())

    def close(self) -> None:
        self._line.close()

    def _messages(self) -> Iterator[T]:
        while len(self._heard) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._heard[:_LENGTH], "big")
            if len(self._heard) < end:
                return
            message = self._decoder.decode(self._heard[_LENGTH:end])
            del self._heard[:end]
            yield message
