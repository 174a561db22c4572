"""Which cron daemon a machine has: each reads some expressions in its own way."""

import re
from enum import Enum
from pathlib import Path

from rebalancer.state import UNRAID_MARK


class Daemon(Enum):
    """The cron daemons that are told apart; the value is the name that people know."""

    DEBIAN = "Debian's cron"
    CRONIE = "cronie"
    BUSYBOX = "BusyBox crond"
    DCRON_4_5 = "dcron 4.5"  #: also Unraid's
    DCRON_4_6 = "dcron 4.6"
    SYSTEMD = "systemd-cron"
    NONE = "no cron daemon"

    @property
    def knows_clock_changes(self) -> bool:
        """Whether it neither skips nor doubles a time of day on the days on which clocks change."""
        return self in {Daemon.DEBIAN, Daemon.CRONIE}

    @property
    def is_dcron(self) -> bool:
        return self in {Daemon.DCRON_4_5, Daemon.DCRON_4_6}


_SYSTEMD = ("usr/lib/systemd/system-generators", "lib/systemd/system-generators")
_CROND = ("usr/sbin/crond", "sbin/crond", "usr/bin/crond")
_DILLON = re.compile(rb"(\d+)\.(\d+)[^\0]{0,8}dillon's cron daemon")
_LARGEST = 4 * 2**20  # bytes of a program that are searched


def which_daemon(root: Path) -> Daemon:
    """Return the cron daemon that is installed, told by its program; whether it runs is another question."""
    for path in _CROND:
        if (root / path).exists():
            return _of_crond(root / path)
    if (root / UNRAID_MARK).exists():
        return Daemon.DCRON_4_5
    if (root / "usr/sbin/cron").exists():
        return Daemon.DEBIAN
    is_systemd = any((root / folder / "systemd-crontab-generator").exists() for folder in _SYSTEMD)
    return Daemon.SYSTEMD if is_systemd else Daemon.NONE


def _of_crond(program: Path) -> Daemon:
    try:
        if program.resolve().name.startswith("busybox"):
            return Daemon.BUSYBOX
        with program.open("rb") as file:
            content = file.read(_LARGEST)
    except OSError:
        return Daemon.CRONIE
    if match := _DILLON.search(content):
        return Daemon.DCRON_4_6 if (int(match[1]), int(match[2])) >= (4, 6) else Daemon.DCRON_4_5
    return Daemon.BUSYBOX if b"BusyBox v" in content else Daemon.CRONIE
