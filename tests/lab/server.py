"""A fake Unraid server below a folder: its state files, which a test rewrites, and programs that only log their arguments."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rebalancer.state import UNRAID_CONFIG

_PROGRAMS = {
    "mover": "usr/local/sbin/mover",
    "update_cron": "usr/local/sbin/update_cron",
    "mdcmd": "usr/local/sbin/mdcmd",
    "notify": "usr/local/emhttp/webGui/scripts/notify",
}
#: what they do besides: cron lines are collected; the mover is at work until it is told to end
_WORK = {
    "update_cron": "cat {root}/boot/config/plugins/*/*.cron > {root}/etc/cron.d/root\n",
    "mover": """\
[ "$1" = start ] || exit 0
echo $$ > {root}/var/run/mover.pid
trap 'rm -f {root}/var/run/mover.pid; exit 0' TERM
while :; do sleep 0.1; done
""",
}
_VAR = {
    "version": "7.3.1",
    "NAME": "Tower",
    "startMode": "Normal",
    "mdState": "STARTED",
    "fsState": "Started",
    "mdResync": "0",
    "mdResyncAction": "check P",
    "mdResyncPos": "0",
    "mdResyncSize": "15625879500",
    "mdResyncDt": "0",
    "mdResyncDb": "0",
    "shareMoverActive": "no",
    "shareUserInclude": "",
    "shareUserExclude": "",
    "csrf_token": "0123456789ABCDEF",
}
_DISK = {
    "device": "sdb",
    "status": "DISK_OK",
    "type": "Data",
    "color": "green-on",
    "rotational": "1",
    "spundown": "0",
    "temp": "34",
    "numErrors": "0",
    "fsType": "xfs",
    "fsStatus": "Mounted",
}
_MDSTAT = ("mdState", "mdResyncAction", "mdResyncSize", "mdResync", "mdResyncPos", "mdResyncDt", "mdResyncDb")


@dataclass(eq=False)
class Server:
    """``root`` holds mnt, var, boot, proc, usr and etc as Unraid has them. What is set is written at once."""

    root: Path
    disks: Sequence[str]  # names of data disks, such as disk1
    var: dict[str, str] = field(default_factory=lambda: dict(_VAR))
    of_disk: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, name in enumerate(self.disks, start=1):
            own = {"idx": str(number), "name": name, "id": f"WDC_{name}", "fsMountpoint": f"/mnt/{name}"}
            self.of_disk[name] = own | _DISK
        for folder in ("var/local/emhttp", "var/run", "boot/config/shares", "proc", "etc", "etc/cron.d", "tmp"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "etc/unraid-version").write_text('version="7.3.1"\n')
        for name, place in _PROGRAMS.items():
            self._write_program(name, self.root / place)
        self.write()

    @property
    def config(self) -> Path:
        return self.root / UNRAID_CONFIG

    @property
    def calls(self) -> list[str]:
        """What the programs were called with, in order: name and arguments."""
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def set(self, **values: str) -> None:
        self.var |= values
        self.write()

    def set_disk(self, name: str, **values: str) -> None:
        self.of_disk[name] |= values
        self.write()

    def program(self, name: str) -> Path:
        return self.root / _PROGRAMS[name]

    def write(self) -> None:
        """Rewrite the state files, each as a whole."""
        state = self.root / "var/local/emhttp"
        sections = "".join(f'["{name}"]\n{_lines(values)}' for name, values in self.of_disk.items())
        _replace(state / "disks.ini", sections)
        _replace(state / "var.ini", _lines(self.var))
        _replace(self.root / "proc/mdstat", "".join(f"{key}={self.var[key]}\n" for key in _MDSTAT))

    def _write_program(self, name: str, at: Path) -> None:
        at.parent.mkdir(parents=True, exist_ok=True)
        # as Unraid's update_cron, which the kernel would not start by itself: no interpreter is named
        first = "#/bin/bash" if name == "update_cron" else "#!/bin/bash"
        work = _WORK.get(name, "").format(root=shlex.quote(str(self.root)))
        at.write_text(f'{first}\necho {name} "$@" >> {shlex.quote(str(self.root / "calls"))}\n{work}')
        at.chmod(0o755)


def _lines(values: dict[str, str]) -> str:
    return "".join(f'{key}="{value}"\n' for key, value in values.items())


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)
