"""A realistic Unraid server as files below a root: 12 data disks, two parity, two pools, 14 shares (``tests/unraid/server``)."""

import re
import shutil
from pathlib import Path

SERVER = Path(__file__).parents[1] / "unraid" / "server"
STATE = Path("var/local/emhttp")
_MOUNTED = re.compile(r" (/mnt/(?!user)\w+) ")


def unraid_server(at: Path) -> Path:
    """Copy the server to a folder and make its mount points there, as plain folders; returns the folder.

    disk7 is emulated, disk8 cannot be mounted, disk9 is an empty slot, disk2 sleeps, disk10 is excluded globally and
    the mover is emptying disk11. Its own list of mounts is below ``proc``, so nothing of this machine shows through.
    """
    shutil.copytree(SERVER, at, dirs_exist_ok=True)
    for point in _MOUNTED.findall((at / "proc/self/mountinfo").read_text()):
        (at / point.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return at


def mend(root: Path) -> None:
    """Make every disk of the server healthy and mounted: nothing speaks against work on the array any more."""
    well = {"device": "sdi", "status": "DISK_OK", "color": "green-on", "temp": "33", "numErrors": "0"}
    set_values(root / STATE / "disks.ini", "disk7", **well)
    set_values(root / STATE / "disks.ini", "disk8", fsStatus="Mounted", fsMountpoint="/mnt/disk8")
    set_values(root / STATE / "var.ini", "", mdColor="green-on", mdNumDisabled="0", mdNumInvalid="0")
    set_values(root / STATE / "var.ini", "", fsNumMounted="12", fsNumUnmountable="0", fsUnmountableMask="")
    mdstat = {"rdevStatus.7": "DISK_OK", "rdevName.7": "sdi", "rdevNumErrors.7": "0", "diskState.7": "7"}
    set_values(root / "proc/mdstat", "", mdNumDisabled="0", mdNumInvalid="0", **mdstat)
    with (root / "proc/self/mountinfo").open("a") as listed:
        listed.write("48 1 9:8 / /mnt/disk8 rw,noatime - xfs /dev/md8p1 rw\n")
    (root / "mnt/disk8").mkdir(exist_ok=True)


def set_values(path: Path, section: str, **values: str) -> None:
    """Give keys of a file their values, in one section of it or, with ``""``, in a file without any.

    Quotes stay as they are; a key that the file does not have is an error of the test.
    """
    head, body, tail = _parts(path.read_bytes().decode(), section)
    for key, value in values.items():
        body, count = re.subn(
            rf'^{re.escape(key)}=("?).*?("?\r?)$',
            lambda found, key=key, value=value: f"{key}={found[1]}{value}{found[2]}",  # type: ignore[misc]
            body,
            flags=re.MULTILINE,
        )
        assert count == 1, f"{path} has {key} {count} times"
    path.write_bytes((head + body + tail).encode())


def _parts(text: str, section: str) -> tuple[str, str, str]:
    if not section:
        return "", text, ""
    start = text.index(f'["{section}"]\n')
    end = text.find('\n["', start)
    end = len(text) if end < 0 else end + 1
    return text[:start], text[start:end], text[end:]
