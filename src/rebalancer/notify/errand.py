"""What is to be delivered and where, as the delivering process is given it, and what came of it."""

from enum import StrEnum

from msgspec import Struct

from rebalancer.errors import RebalancerError


class NotDeliveredError(RebalancerError):
    """One channel could not be used; the sentence says why and holds no address."""


class Level(StrEnum):
    """How loud it is; Unraid's own three words."""

    NORMAL = "normal"
    WARNING = "warning"
    ALERT = "alert"


class Signal(StrEnum):
    """What a monitor of the Healthchecks kind is told; the value is what is added to the path of its address."""

    START = "/start"
    SUCCESS = ""
    FAIL = "/fail"


class Notification(Struct, frozen=True, kw_only=True):
    """What people read: a title, one line that says it all, and further lines; plain text."""

    level: Level
    title: str
    summary: str
    details: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.summary, *self.details)


class Ping(Struct, frozen=True, kw_only=True):
    """One signal to the monitors of a schedule, with a text that they keep beside it."""

    name: str  # of the schedule, for sentences about it
    addresses: tuple[str, ...]  # secrets
    signal: Signal
    text: str = ""


class Errand(Struct, frozen=True, kw_only=True):
    """Everything that one process delivers. It goes through a pipe: nobody else sees the addresses."""

    root: str  # where the host's own files are looked up
    turns: str  # the file at which deliveries through Unraid take turns
    log: str = ""  # where it is noted what failed; empty: nowhere
    notification: Notification | None = None  # for Unraid and the services
    to_unraid: bool = False
    services: tuple[str, ...] = ()  # addresses that Apprise understands; secrets
    pings: tuple[Ping, ...] = ()

    @property
    def is_empty(self) -> bool:
        has_reader = self.to_unraid or bool(self.services)
        return not (self.pings or (self.notification is not None and has_reader))


class Delivered(Struct, frozen=True, kw_only=True):
    """What came of one channel; ``detail`` says why it failed."""

    channel: str
    ok: bool
    detail: str = ""
