"""What a run or a scan shows while it works: drawn and redrawn on a terminal, a line now and then elsewhere."""

import contextlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rebalancer import names
from rebalancer.cancel import Cancel
from rebalancer.cli import bars, output, stopping
from rebalancer.quantities import format_duration, format_size
from rebalancer.transfer.messages import Left, Message, Progress

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

_DIGITS = re.compile(r"\d+")
LINE_EVERY = 5.0  # seconds between two lines where nothing can be redrawn
WINDOW = 10.0  # seconds over which the speed is averaged


class Speed:
    """Bytes per second over the last seconds, from samples whose time the caller tells."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, total: int) -> None:
        """Note how many bytes were done by now; a count that went back starts a new average."""
        if self._samples and total < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, total))
        while self._samples[0][0] < now - WINDOW and len(self._samples) > 2:
            self._samples.popleft()

    @property
    def rate(self) -> float:
        """Bytes per second; 0.0 until two moments are known."""
        if len(self._samples) < 2:
            return 0.0
        (first, start), (last, end) = self._samples[0], self._samples[-1]
        return (end - start) / (last - first) if last > first else 0.0


@dataclass(slots=True)
class RunView:
    """Everything that was said about a run so far, as the words to show."""

    last: Progress | None = None
    left: int = 0
    speed: Speed = field(default_factory=Speed)

    def take(self, message: Message, now: float) -> None:
        if isinstance(message, Progress):
            self.last = message
            self.speed.add(now, message.bytes_copied)
        elif isinstance(message, Left):
            self.left += 1

    @property
    def percent(self) -> float:
        if self.last is None or not self.last.bytes_total:
            return 0.0
        return 100 * min(self.last.bytes_copied / self.last.bytes_total, 1.0)

    @property
    def pace(self) -> str:
        """How much is done, how fast, and how long the rest will take."""
        if self.last is None:
            return "starting"
        if not self.last.bytes_total and self.last.phase == "held":
            return "waiting"
        parts = [f"{format_size(self.last.bytes_copied)} of {format_size(self.last.bytes_total)}"]
        if rate := self.speed.rate:
            remaining = max(self.last.bytes_total - self.last.bytes_copied, 0)
            parts += [f"{format_size(rate)}/s", f"{format_duration(remaining / rate)} left"]
        return ", ".join(parts)

    @property
    def counts(self) -> str:
        if self.last is None or self.last.phase == "held":
            return ""
        left = f", {self.left:,} left where they were" if self.left else ""
        return (
            f"{self.last.moves_done:,} of {output.count(self.last.moves_total, 'move')}, "
            f"{self.last.files_moved:,} of {output.count(self.last.files_total, 'file')}{left}"
        )

    @property
    def current(self) -> str:
        """The phase and the file being worked on, from where to where; what holds the work when it is paused."""
        if self.last is None:
            return ""
        if self.last.why:
            return f"{self.last.phase}: {self.last.why}"
        way = f"{self.last.source} → {self.last.destination}" if self.last.destination else self.last.source
        beside = f"(and {output.count(self.last.beside, 'move')} beside it)" if self.last.beside else ""
        return "  ".join(part for part in (self.last.phase, way, names.display(self.last.path), beside) if part)


class _Frame:
    """Three lines that rich redraws: the bar, the counts, the current file."""

    def __init__(self, view: RunView, cancel: Cancel) -> None:
        self.view = view
        self.cancel = cancel

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.constrain import Constrain

        # room for the "^C" that a terminal echoes: were the last line full, it would push the drawing down
        width = max(options.max_width - 6, 10)
        for line in self._lines(width):
            yield Constrain(line, width)

    def _lines(self, width: int) -> "Iterator[Text]":
        from rich.text import Text

        yield self._bar(max(min(width - 56, 40), 8))
        yield Text(self.view.counts, style="dim", no_wrap=True, overflow="ellipsis")
        yield Text(self.view.current, no_wrap=True, overflow="ellipsis")
        if self.cancel.is_requested:
            yield Text(stopping.SENTENCE, style="yellow", no_wrap=True, overflow="ellipsis")

    def _bar(self, width: int) -> "Text":
        from rich.text import Text

        percent = self.view.percent
        is_unicode = output.is_unicode()
        return Text.assemble(
            (bars.filled(percent, width, is_unicode=is_unicode), "cyan"),
            (bars.rest(percent, width, is_unicode=is_unicode), "dim"),
            f"{percent:6.1f} %  {self.view.pace}",
            no_wrap=True,
            overflow="ellipsis",
        )


class PlainLines:
    """One line per few seconds in which moves were finished or the phase changed to something worth telling."""

    TOLD = frozenset({"recovering", "paused", "held", "going on"})

    def __init__(self, view: RunView, clock: Callable[[], float]) -> None:
        self.view = view
        self.clock = clock
        self._told_moves = 0
        self._told_phase = ""
        self._told_at = clock()
        self._is_read = True

    def __call__(self, message: Message) -> None:
        now = self.clock()
        self.view.take(message, now)
        if not isinstance(message, Progress):
            return
        phase = f"{message.phase} {_DIGITS.sub('', message.why)}" if message.phase in self.TOLD else ""
        if phase and phase != self._told_phase:
            self._tell(self.view.current)
        elif message.moves_done > self._told_moves and now - self._told_at >= LINE_EVERY:
            self._told_moves, self._told_at = message.moves_done, now
            self._tell(f"{self.view.counts}; {self.view.pace}")
        self._told_phase = phase

    def _tell(self, line: str) -> None:
        if not self._is_read:
            return
        try:
            output.say(line)
            sys.stdout.flush()
        except OSError:  # whoever read along has gone; the moves go on
            self._is_read = False


@contextlib.contextmanager
def of_run(cancel: Cancel, *, shows: bool, clock: Callable[[], float]) -> Iterator[Callable[[Message], None]]:
    """Return what to call with every message of a run; shows nothing unless asked to."""
    view = RunView()
    if not shows:
        yield lambda message: view.take(message, clock())
    elif output.is_terminal():
        with _live(_Frame(view, cancel)):
            yield lambda message: view.take(message, clock())
    else:
        yield PlainLines(view, clock)


@contextlib.contextmanager
def of_scan(*, shows: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Return what to call with (disk, files, bytes) while disks are read; drawn on a terminal, silent elsewhere."""
    disks: dict[str, tuple[int, int]] = {}

    def note(disk: str, files: int, size: int) -> None:
        disks[disk] = files, size

    if shows and output.is_terminal():
        with _live(_ScanFrame(disks)):
            yield note
    else:
        yield note


class _ScanFrame:
    def __init__(self, disks: dict[str, tuple[int, int]]) -> None:
        self.disks = disks

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        for disk, (files, size) in sorted(self.disks.items()):
            line = f"reading {names.display(disk)}: {output.count(files, 'file')}, {format_size(size)}"
            yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")


@contextlib.contextmanager
def _live(frame: _Frame | _ScanFrame) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    with Live(
        frame, console=console, refresh_per_second=8, transient=True, redirect_stdout=False, redirect_stderr=False
    ):
        yield
