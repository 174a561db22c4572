"""The processes that read disks for a scan: one starts, loads the program once, and forks the others while it is small.

Each reader ends by itself when the other end of its line is closed: at the end of the scan, when it is cancelled, and
when the process that scans has died. One that waits for a disk that does not answer ends when the disk does.
"""

import gc
import os
import signal
import socket
import sys
import time
from contextlib import suppress

from rebalancer.inventory.channel import Begin, Channel, End, Failed, Found, Give, Given, Idle, Order, Progress, Read
from rebalancer.inventory.reading import DiskReading

_LISTENS = 0.005  # seconds between two looks at what the other end says
_REPORTS = 0.1  # seconds between two reports of how far the reading is


def main() -> None:
    """Fork a reader for each ``line:root`` of the arguments, both descriptors, and wait until all of them have ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that scans
    gc.disable()  # nothing here refers to itself in a circle
    pairs = [tuple(map(int, argument.split(":"))) for argument in sys.argv[1:]]
    everything = {fd for pair in pairs for fd in pair}
    for line, root in pairs:
        if os.fork() == 0:
            for fd in everything - {line, root}:
                os.close(fd)
            _serve(line, root)
            os._exit(0)  # nothing is to be tidied up
    for fd in everything:
        os.close(fd)
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _serve(line: int, root: int) -> None:
    channel: Channel[Order] = Channel(socket.socket(fileno=line), Order)
    try:
        with suppress(BrokenPipeError, EOFError):
            _Reader(channel, root).run()
    finally:
        os.close(root)  # before the line: whoever sees it closed may unmount the disk
        channel.close()


class _Reader:
    """One reader of one disk, at the end of its line."""

    def __init__(self, channel: Channel[Order], root: int) -> None:
        self._channel = channel
        self._root = root
        self._orders: list[Order] = []
        self._reading: DiskReading | None = None
        self._listens_at = 0.0
        self._reports_at = 0.0

    def run(self) -> None:
        """Do what is asked until all is read. Raises EOFError and BrokenPipeError when nobody asks any more."""
        while True:
            order = self._next()
            if isinstance(order, Begin):
                self._reading = DiskReading(self._root, depths=order.depths, writers=order.writers, path=order.path)
                self._channel.say(Idle())
            elif isinstance(order, Read):
                self._read(order)
            elif isinstance(order, Give):
                self._channel.say(Given([]))
            elif isinstance(order, End):
                self._channel.say(Found(self._begun.findings))
                return

    @property
    def _begun(self) -> DiskReading:
        assert self._reading is not None  # noqa: S101 - `Begin` is the first order
        return self._reading

    def _next(self) -> Order:
        while not self._orders:
            self._orders += self._channel.hear()
        return self._orders.pop(0)

    def _read(self, order: Read) -> None:
        try:
            self._begun.read(order.parts, check=self._look_up)
        except (BrokenPipeError, EOFError):
            raise
        except OSError as error:
            self._channel.say(Failed(error.errno or 0))
        self._report()
        self._channel.say(Idle())

    def _look_up(self) -> None:
        """Now and then hear whether others have nothing to do, and say how far the reading is."""
        now = time.monotonic()
        if now < self._listens_at:
            return
        self._listens_at = now + _LISTENS
        if self._channel.has_news():
            for order in self._channel.hear():
                if isinstance(order, Give):
                    self._channel.say(Given(self._begun.give()))
                else:
                    self._orders.append(order)
        if now >= self._reports_at:
            self._reports_at = now + _REPORTS
            self._report()

    def _report(self) -> None:
        counts = self._begun.counts
        self._channel.say(Progress(counts.files, counts.size))


if __name__ == "__main__":
    main()
