"""What the global options said, and the engine they lead to; one per command line."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rebalancer import state
from rebalancer.errors import UsageError

if TYPE_CHECKING:
    from rebalancer.engine import Engine
    from rebalancer.executions.monitor import ScheduleMonitor


def open_engine(session: "Session") -> "Engine":
    from rebalancer import settings
    from rebalancer.engine import Engine

    folders = session.folders()
    return Engine(
        folders=folders,
        settings=settings.load(folders.settings),
        root=session.root,
        named_disks=tuple(session.disks),
    )


@dataclass(slots=True)
class Session:
    """Filled option by option, because global options may stand before and after the subcommand."""

    open_engine: Callable[["Session"], "Engine"] = open_engine
    config_dir: Path | None = None  # None: chosen for this machine
    disks: list[str] = field(default_factory=list)  # empty: discover
    root: Path = Path("/")
    is_json: bool = False
    is_quiet: bool = False
    is_verbose: bool = False
    log_file: Path | None = None  # None: nowhere but on the screen
    clock: Callable[[], float] = time.time  # seconds since 1970 (UTC)

    @property
    def shows(self) -> bool:
        """Whether anything but errors and JSON may be printed."""
        return not self.is_json and not self.is_quiet

    def engine(self) -> "Engine":
        """Return the engine of this installation; the log file, when there is one, is open from here on."""
        self._open_log()
        return self.open_engine(self)

    def monitor(self) -> "ScheduleMonitor":
        """Return what watches and controls executions, without the rest: neither settings nor disks are looked at."""
        from rebalancer.executions.monitor import ScheduleMonitor

        self._open_log()
        return ScheduleMonitor.of(self.folders(), clock=self.clock)

    def folders(self) -> state.StateFolders:
        return state.choose_folders(self.config_dir, root=self.root, environment=dict(os.environ), uid=os.geteuid())

    def log(self, level: str, message: str, *values: object, **details: Any) -> None:
        """Write an event to the log file, when there is one that is open; nothing is loaded for it otherwise."""
        if self.log_file is not None:
            import logging

            logger = logging.getLogger("rebalancer")
            if logger.handlers:
                getattr(logger, level)(message, *values, **details)

    def _open_log(self) -> None:
        if self.log_file is not None:
            _log_to(self.log_file)


def _log_to(path: Path) -> None:
    import logging

    logging.raiseExceptions = False  # a full log disk is no reason to print tracebacks
    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--log-file: {path} cannot be written: {(error.strerror or '').lower()}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("rebalancer")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
