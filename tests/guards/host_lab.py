"""A small Unraid server as files below a root, whose state tests change, and real programs by the names that count."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.processes import children_of, wait_until
from rebalancer.array.disk import Disk
from rebalancer.executions.process_table import everybody
from rebalancer.guards.guard import Guard, Moment
from rebalancer.guards.hold import Hold
from rebalancer.guards.processes import Processes

STARTED = {
    "mdState": "STARTED", "fsState": "Started", "startMode": "Normal", "mdResync": "0", "mdResyncPos": "0",
    "mdResyncAction": "check P", "shareMoverActive": "no", "csrf_token": "SECRET",
}  # fmt: skip
MDSTAT = {
    "sbName": "/boot/config/super.dat", "mdState": "STARTED", "mdResyncAction": "check P", "mdResyncSize": "1000000",
    "mdResyncCorr": "1", "mdResync": "0", "mdResyncPos": "0", "mdResyncDt": "0", "mdResyncDb": "0",
}  # fmt: skip
CHECKING = {"mdResync": "1000000", "mdResyncPos": "375000", "mdResyncDt": "10", "mdResyncDb": "1500000"}
DISKS = {
    "parity": {"type": "Parity", "id": "PARITY_1", "temp": "34"},
    "disk1": {"id": "WDC_1", "temp": "35"},
    "disk2": {"id": "WDC_2", "temp": "*", "spundown": "1", "color": "green-blink"},
    "disk3": {"id": "WDC_3", "temp": "36"},
    "disk4": {"device": "", "status": "DISK_NP", "color": "grey-off", "temp": "*"},
    "parity2": {"type": "Parity", "device": "", "status": "DISK_NP_DSBL", "color": "grey-off", "temp": "*"},
    "cache": {"type": "Cache", "temp": "70", "rotational": "0"},
}
SHARE = {
    "shareInclude": "", "shareExclude": "", "shareUseCache": "no", "shareCachePool": "", "shareSplitLevel": "",
    "shareFloor": "0",
}  # fmt: skip
_SLOT = {
    "device": "sdb", "type": "Data", "status": "DISK_OK", "color": "green-on", "spundown": "0", "rotational": "1",
    "numErrors": "0", "fsStatus": "Mounted",
}  # fmt: skip


class Host:
    """The files of a server in good order; each call writes one of them anew."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.var()
        self.mdstat()
        self.disks()
        self.write("boot/config/share.cfg", 'shareUserInclude=""\nshareUserExclude=""\n')
        self.write("boot/config/shares/media.cfg", "".join(f'{key}="{value}"\n' for key, value in SHARE.items()))

    def var(self, **changes: str) -> None:
        self.write(
            "var/local/emhttp/var.ini", "".join(f'{key}="{value}"\n' for key, value in (STARTED | changes).items())
        )

    def mdstat(self, **changes: str) -> None:
        self.write("proc/mdstat", "".join(f"{key}={value}\n" for key, value in (MDSTAT | changes).items()))

    def disks(self, **changes: dict[str, str]) -> None:
        text = ""
        for name, values in DISKS.items():
            slot = _SLOT | {"name": name, "fsMountpoint": f"/mnt/{name}"} | values | changes.get(name, {})
            text += f'["{name}"]\n' + "".join(f'{key}="{value}"\n' for key, value in slot.items())
        self.write("var/local/emhttp/disks.ini", text)

    def write(self, path: str, text: str) -> Path:
        """Replace a file at once, as a reader may look at any time."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        new.write_text(text)
        return new.replace(target)

    def disk(self, name: str) -> Disk:
        return Disk(name=name, path=str(self.root / "mnt" / name), size_bytes=100, used_bytes=50)

    def moment(self, *names: str, own: Sequence[int] = ()) -> Moment:
        """Return a moment in which only what this test started is there: others may test on the machine as well."""
        mine = frozenset(set(everybody()) - _started() | {os.getpid(), *own})
        disks = [self.disk(name) for name in names or ("disk1", "disk2", "disk3")]
        return Moment(at=time.monotonic(), root=self.root, disks=disks, own=mine, others=Processes(mine))

    def look(self, guard: Guard, *names: str) -> Hold | None:
        return guard.look(self.moment(*names))

    def reason(self, guard: Guard, *names: str) -> str:
        """Return why the guard holds; empty when it does not."""
        hold = self.look(guard, *names)
        return "" if hold is None else hold.reason


def _started() -> set[int]:
    """Return the processes that descend from this one."""
    parents = {pid: facts.parent for pid, facts in everybody().items()}
    found, waiting = set[int](), [os.getpid()]
    while waiting:
        parent = waiting.pop()
        new = {pid for pid, its_parent in parents.items() if its_parent == parent}
        found |= new
        waiting += new
    return found


def _command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]


@contextmanager
def program(folder: Path, name: str, *arguments: str, cwd: Path | str = "/") -> Iterator[subprocess.Popen[bytes]]:
    """Run a script of that name that only sleeps, in a session of its own; ended with its children afterwards."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nsleep 3600\n:\n")
    path.chmod(0o755)
    process = subprocess.Popen([str(path), *arguments], cwd=cwd, start_new_session=True)
    try:
        # between its fork and its exec the child bears its parent's name, and would be one program more of that name
        wait_until(lambda: [_command_of(child) for child in children_of(process.pid)] == ["sleep"])
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it is our child and not reaped yet: the number is its own
        process.wait()
