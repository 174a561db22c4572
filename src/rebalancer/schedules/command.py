"""How another process of this program is started: by the built-in clock as a list, by cron through sh."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ScheduleCommand:
    """The program as it runs now: its interpreter, its script and the folders it was told to use."""

    script: Path  # absolute; a package's ``__main__.py`` stands for ``python -m rebalancer``
    config_dir: Path
    root: Path = Path("/")

    def arguments(self, schedule_id: str, *, fired_by: str, slot: str = "") -> list[str]:
        """Return the argument list that gives a schedule its turn."""
        key = ["--slot", slot] if slot else []
        return self.program("--quiet", "schedule", "run", schedule_id, "--fired-by", fired_by, *key)

    def program(self, *words: str) -> list[str]:
        """Return the argument list that starts this program with its folders and these words."""
        script = ["-m", self.script.parent.name] if self.script.name == "__main__.py" else [str(self.script)]
        root = [] if self.root == Path("/") else ["--root", str(self.root)]
        return [sys.executable, *script, "--config-dir", str(self.config_dir), *root, *words]


def quoted(arguments: list[str]) -> bytes:
    """Return arguments as sh reads them, also behind a cron daemon that makes a line break of a bare percent sign.

    Such a daemon takes the backslash before it off; where the daemon does not, sh does.
    """
    return os.fsencode(" ".join(_quote(argument) for argument in arguments))


def unquoted(command: bytes) -> list[str]:
    """Return the arguments again; raises ValueError for what is no such command."""
    return shlex.split(os.fsdecode(command).replace("\\%", "%"))


def _quote(argument: str) -> str:
    if not argument:
        return "''"
    return "\\%".join(shlex.quote(part) if part else "" for part in argument.split("%"))
