"""Under which names the dashboard may be asked: a foreign page that points its own name here gets nothing (DNS rebinding)."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_HEADER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})(?::(?P<port>\d{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"https?://(?P<host>[^/?#@\s]+)", re.ASCII)
_LOCAL = ("", ".local", ".lan", ".home", ".home.arpa", ".fritz.box")  # what routers put behind a machine's name


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that count, in lower case; addresses count always: rebinding needs a name."""

    names: frozenset[str]

    @classmethod
    def of(cls, machine: str, more: Iterable[str]) -> Self:
        """Return the names of a machine, and those that its owner wrote down."""
        own = machine.lower().partition(".")[0]
        known = {machine.lower(), *(f"{own}{suffix}" for suffix in _LOCAL)} if own else set()
        return cls(frozenset({"localhost"} | known | {name.lower().removesuffix(".") for name in more}))

    def allow(self, header: str) -> bool:
        """Return whether a Host header names this dashboard."""
        host = _host_of(header)
        return host is not None and (_is_address(host) or host in self.names)

    def is_own_page(self, origin: str, host_header: str) -> bool:
        """Return whether a page of that origin came from here: the same host and port as was asked for."""
        match = _ORIGIN.fullmatch(origin.lower())
        return match is not None and _with_port(match["host"]) == _with_port(host_header.lower())


def _host_of(header: str) -> str | None:
    match = _HEADER.fullmatch(header)
    if match is None or int(match["port"] or 0) > 65535:
        return None
    return match["host"].lower().strip("[]").removesuffix(".")


def _with_port(host: str) -> str:
    """Return the host without a port that a browser leaves out or a proxy puts in."""
    return re.sub(r":(80|443)$", "", host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
