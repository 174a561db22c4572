"""Where the program keeps what it knows: one folder that survives a reboot and one that need not."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from rebalancer.errors import RefusedError

UNRAID_MARK = "etc/unraid-version"
UNRAID_CONFIG = "boot/config/plugins/unraid-rebalancer"


@dataclass(frozen=True, slots=True)
class StateFolders:
    """``config`` holds the truth; ``runtime`` holds what may vanish: progress, logs, locks, the index."""

    config: Path
    runtime_root: Path  # shared by every config folder of this user: the disks' locks live here
    root: Path = Path("/")  # not ours: below it the machine's own files are looked up

    @property
    def runtime(self) -> Path:
        """The runtime folder of this config folder, so that two installations do not mix their progress."""
        key = hashlib.sha256(os.fsencode(self.config)).hexdigest()[:12]
        return self.runtime_root / key

    @property
    def settings(self) -> Path:
        return self.config / "config.toml"

    @property
    def executions(self) -> Path:
        return self.config / "executions"

    @property
    def operations(self) -> Path:
        return self.config / "operations"

    @property
    def schedules(self) -> Path:
        return self.config / "schedules"

    @property
    def statistics(self) -> Path:
        return self.config / "statistics"

    @property
    def hold(self) -> Path:
        """The file whose presence keeps anything new from starting, until `emergency-stop release`."""
        return self.config / "hold.json"

    @property
    def audit(self) -> Path:
        """The log of every control action."""
        return self.config / "audit.jsonl"

    @property
    def index(self) -> Path:
        return self.runtime / "index.sqlite"

    @property
    def requests(self) -> Path:
        """Why an execution is asked to stop: written before the signal, read by its supervisor."""
        return self.runtime / "requests"

    @property
    def pauses(self) -> Path:
        return self.runtime / "pauses"

    @property
    def slots(self) -> Path:
        """Which slot of each schedule fired last."""
        return self.runtime / "slots"

    @property
    def locks(self) -> Path:
        return self.runtime_root / "locks"

    @property
    def progress(self) -> Path:
        return self.runtime / "progress"

    @property
    def logs(self) -> Path:
        return self.runtime / "logs"


def choose_folders(config_dir: Path | None, *, root: Path, environment: dict[str, str], uid: int) -> StateFolders:
    """Return the folders to use: what was asked for, else the environment, else what fits this machine."""
    return StateFolders(
        config=Path(os.path.abspath(config_dir or _config_folder(root, environment, uid))),
        runtime_root=_runtime_folder(environment, uid),
        root=root,
    )


def ensure(folder: Path) -> Path:
    """Create a state folder, 0700, with its parents; refuse one that others can write to.

    Raises RefusedError when the folder cannot be made, is not ours or is open to others:
    whoever can plant a record there could choose what the program does as this user.
    """
    try:
        if not folder.is_dir():  # asked first: whoever only looks asks the file system to change nothing
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(f"the state folder {folder} cannot be used: {(error.strerror or '').lower()}") from error
    status = folder.stat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise RefusedError(f"the state folder {folder} belongs to another user (uid {status.st_uid})")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise RefusedError(f"the state folder {folder} can be written by others; run: chmod go-w {folder}")
    return folder


def refuse_if_open_to_others(path: Path) -> None:
    """Raise RefusedError for a file that others own or can write to: it could say whatever they like."""
    status = path.lstat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise RefusedError(f"{path} belongs to another user (uid {status.st_uid})")
    if stat.S_IMODE(status.st_mode) & 0o022 and not stat.S_ISLNK(status.st_mode):
        raise RefusedError(f"{path} can be written by others; run: chmod go-w {path}")


def _config_folder(root: Path, environment: dict[str, str], uid: int) -> Path:
    if named := environment.get("REBALANCER_CONFIG_DIR"):
        return Path(named)
    if (root / UNRAID_MARK).exists():
        return root / UNRAID_CONFIG
    if uid == 0:
        return Path("/var/lib/unraid-rebalancer")
    home = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME", "/"), ".local/state")
    return Path(home) / "unraid-rebalancer"


def _runtime_folder(environment: dict[str, str], uid: int) -> Path:
    if named := environment.get("REBALANCER_RUNTIME_DIR"):
        return Path(named)
    if uid == 0:
        return Path("/run/unraid-rebalancer")
    usual = f"/run/user/{uid}"  # what XDG_RUNTIME_DIR says in a login; cron does not set it
    if folder := environment.get("XDG_RUNTIME_DIR") or (usual if os.access(usual, os.W_OK) else ""):
        return Path(folder) / "unraid-rebalancer"
    return Path(f"/tmp/unraid-rebalancer-{uid}")  # noqa: S108 - `ensure` refuses it unless it is ours and closed
