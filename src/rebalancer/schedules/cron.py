"""The schedules' lines in the machine's crontab: one each, the user's other lines untouched, safe in a crowd."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from rebalancer.errors import NotNowError, RefusedError
from rebalancer.schedules import crontab
from rebalancer.schedules.command import ScheduleCommand
from rebalancer.schedules.daemons import which_daemon
from rebalancer.schedules.schedule import Schedule
from rebalancer.schedules.timing import timing
from rebalancer.schedules.unraid_cron import UnraidCronFile, is_unraid
from rebalancer.schedules.zones import machine_timezone
from rebalancer.state import choose_folders, ensure
from rebalancer.turns import is_taken

_RUNTIME = "REBALANCER_RUNTIME_DIR"
_TRIES = 5
_PAUSE = 0.1  # seconds before another try; doubled each time
_PATIENCE = 10.0  # seconds for the lock that all processes of this program take
_PROGRAM_LIMIT = 30  # seconds for ``crontab``
_HIDDEN = b"\\r\n"
_NO_TABLE = ("no crontab for", "can't open", "no such file")  # Debian, cronie and dcron; BusyBox


class Table(Protocol):
    """Where the lines are kept."""

    def read(self) -> bytes: ...

    def in_force(self) -> bytes:
        """Return what of it the daemon was given."""

    def write(self, content: bytes) -> None:
        """Replace the table; raises RefusedError when it is not taken."""


class UserCrontab:
    """The crontab of this user, by way of the ``crontab`` program, which knows its daemon's spool."""

    def read(self) -> bytes:
        """Return the table, empty when there is none; raises RefusedError when that cannot be told."""
        answer = _crontab("-l")
        complaint = answer.stderr.decode(errors="replace").strip()
        if answer.returncode == 0:
            return self._as_it_is() if _HIDDEN in answer.stdout else answer.stdout
        if any(words in complaint.lower() for words in _NO_TABLE):
            return b""
        raise RefusedError(f"the crontab cannot be read: {_first_line(complaint) or 'crontab -l failed'}")

    def in_force(self) -> bytes:
        return self.read()

    def _as_it_is(self) -> bytes:
        """Return the table as an editor gets it: Debian's ``crontab -l`` shows a carriage return as two characters."""
        answer = _crontab("-e", variables={"VISUAL": "cat --", "EDITOR": "cat --"})
        if answer.returncode != 0:
            raise RefusedError(
                "the crontab has lines that end in \\r, which cannot be kept as they are; remove that first"
            )
        return answer.stdout

    def write(self, content: bytes) -> None:
        if content and not content.endswith(b"\n"):
            content += b"\n"  # Debian's crontab takes no other
        answer = _crontab("-", content=content)
        if answer.returncode != 0:
            complaint = _first_line(answer.stderr.decode(errors="replace"))
            raise RefusedError(f"the crontab was not changed: {complaint or 'crontab - failed'}")


class CronManager:
    """Keeps the lines of one config folder's schedules; lines of another config folder are somebody else's.

    Every method raises RefusedError when the machine has no crontab or does not take the change, NotNowError when
    others keep changing it. On Unraid the lines are a file of the plugin, which Unraid's own program collects.
    """

    def __init__(
        self,
        script_path: Path | str,
        config_dir: Path | str | None = None,
        *,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``config_dir`` is the one that the command line would choose when it is None."""
        environment = dict(os.environ)
        folders = choose_folders(
            Path(config_dir) if config_dir is not None else None, root=root, environment=environment, uid=os.geteuid()
        )
        self.root = root
        self.config_dir = folders.config
        self._command = ScheduleCommand(Path(os.path.abspath(script_path)), folders.config, root)
        # cron starts jobs without the user's variables, and this one says where locks and claimed slots are
        self._variables = {_RUNTIME: environment[_RUNTIME]} if environment.get(_RUNTIME) else {}
        self._locks = folders.locks
        self._clock = clock
        self._table: Table = UnraidCronFile(root) if is_unraid(root) else UserCrontab()

    def install(self, schedule: Schedule) -> None:
        """Give a schedule its line, or take it from a disabled one. A suspended one keeps it: the firing says why."""
        self._change({schedule.schedule_id: self.line(schedule)})

    def remove(self, schedule_id: str) -> None:
        """Take a schedule's line away; nothing happens when there is none."""
        self._change({schedule_id: None})

    def installed(self) -> dict[str, str]:
        """Return the line of every schedule that the daemon knows of."""
        found = crontab.entries(self._table.in_force(), self.config_dir)
        return {schedule_id: os.fsdecode(line.rstrip(b"\r")) for schedule_id, line in found.items()}

    def synchronize(self, schedules: Sequence[Schedule]) -> list[str]:
        """Make the lines those of these schedules and no others; returns what changed, in words."""
        return self._change({schedule.schedule_id: self.line(schedule) for schedule in schedules}, only_these=True)

    def line(self, schedule: Schedule) -> bytes | None:
        """Return the line that a schedule should have; None when it should have none."""
        if not schedule.enabled:
            return None
        here = machine_timezone(root=self.root, environment=os.environ)
        when = timing(schedule, daemon=which_daemon(self.root), machine_timezone=here, now=self._clock())
        return crontab.entry(when, self._command, schedule.schedule_id, variables=self._variables)

    def _change(self, wanted: Mapping[str, bytes | None], *, only_these: bool = False) -> list[str]:
        """Edit the table until it is as wanted.

        1. Read.  2. Edit.  3. Read again: if somebody else wrote in between, begin anew.  4. Write.  5. Read again:
        if our lines are not there, somebody wrote over them, so begin anew from what is there now.
        """
        with self._lock():
            pause = _PAUSE
            for _ in range(_TRIES):
                before = self._table.read()
                present = crontab.entries(before, self.config_dir)
                goal = {**dict.fromkeys(present if only_these else ()), **wanted}
                after = crontab.edited(before, goal, self.config_dir)
                if after == before and self._is_in_force(goal):
                    return []
                if self._table.read() == before:
                    self._table.write(after)
                    if self._is_in_force(goal):
                        return _changes(present, goal)
                time.sleep(pause)
                pause *= 2
        raise NotNowError("somebody else keeps changing the crontab; try again in a moment")

    def _is_in_force(self, goal: Mapping[str, bytes | None]) -> bool:
        present = crontab.entries(self._table.in_force(), self.config_dir)
        return all(present.get(schedule_id) == line for schedule_id, line in goal.items())

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = ensure(self._locks) / "crontab.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if not is_taken(fd, patience=_PATIENCE):
                raise NotNowError("another process is changing the crontab; try again in a moment")
            yield
        finally:
            os.close(fd)


def _changes(present: Mapping[str, bytes], goal: Mapping[str, bytes | None]) -> list[str]:
    said = []
    for schedule_id, line in sorted(goal.items()):
        old = present.get(schedule_id)
        if old != line:
            what = "added to" if old is None else "removed from" if line is None else "changed in"
            said.append(f"{schedule_id}: {what} the crontab")
    return said


def _crontab(
    argument: str, *, content: bytes = b"", variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["crontab", argument],
            input=content,
            capture_output=True,
            check=False,
            timeout=_PROGRAM_LIMIT,
            cwd="/",
            env={**os.environ, "LC_ALL": "C", **variables},
        )
    except FileNotFoundError as error:
        raise RefusedError(
            "there is no crontab program here; install cron, or keep the built-in clock running: unraid-rebalancer serve"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError("the crontab program does not answer") from error


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
