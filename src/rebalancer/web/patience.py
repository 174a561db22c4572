"""The engine of the dashboard: a disk that hangs keeps one thread waiting, and no page, no program and no stop."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from rebalancer.array.disk import Disk
from rebalancer.engine import Engine
from rebalancer.errors import NotNowError, RebalancerError, RefusedError
from rebalancer.quantities import format_duration
from rebalancer.settings import Settings

PATIENCE = 2.0  # seconds

Asked = tuple[str, ...]  # the disks that were named; none for those of the settings


@dataclass(frozen=True, slots=True)
class _Look:
    settings: Settings
    since: float  # by the monotonic clock
    found: "Future[tuple[Disk, ...]]"


@dataclass(eq=False)
class Looks:
    """The looks at disks that go on; who asks for the same meanwhile waits for the same. Safe to use from many threads."""

    _under_way: dict[Asked, _Look] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def disks(self, engine: Engine) -> tuple[Disk, ...]:
        """Return every disk; raises what the engine raises, NotNowError when they do not answer in time."""
        asked = tuple(engine.named_disks)
        with self._lock:
            look = self._under_way.get(asked)
            if look is None or look.found.done() or look.settings != engine.settings:
                look = _Look(engine.settings, time.monotonic(), Future())
                self._under_way[asked] = look
                threading.Thread(target=_answer, args=(look.found, engine), name="disks", daemon=True).start()
        try:
            return look.found.result(max(0.0, look.since + PATIENCE - time.monotonic()))
        except TimeoutError as error:
            waited = format_duration(time.monotonic() - look.since)
            raise NotNowError(f"the disks have not answered for {waited}; one of them may hang") from error


@dataclass(frozen=True, slots=True)
class PatientEngine(Engine):
    """An engine whose disks are waited for only so long."""

    looks: Looks = field(default_factory=Looks)

    @classmethod
    def of(cls, engine: Engine, looks: Looks) -> "PatientEngine":
        return cls(engine.folders, engine.settings, engine.root, engine.named_disks, looks)

    def disks(self) -> tuple[Disk, ...]:
        """Return every disk, the unusable ones with their reason; raises NotNowError when they do not answer in time."""
        return self.looks.disks(self)


def _answer(found: "Future[tuple[Disk, ...]]", engine: Engine) -> None:
    try:
        found.set_result(Engine.disks(engine))
    except RebalancerError as error:
        found.set_exception(error)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        found.set_exception(RefusedError(f"the disks cannot be looked at: {reason.lower()}"))
