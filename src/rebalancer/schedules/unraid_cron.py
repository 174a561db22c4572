"""The crontab lines on Unraid: a file of the plugin, collected with those of the other plugins by ``update_cron``."""

import os
import secrets
import subprocess
from pathlib import Path

from rebalancer.errors import RefusedError
from rebalancer.records import sync_folder
from rebalancer.state import UNRAID_CONFIG, UNRAID_MARK

_NAME = "unraid-rebalancer.cron"
_HEADING = b"# Generated rebalancer schedules:\n"
_COLLECTOR = "usr/local/sbin/update_cron"
_COLLECTED = "etc/cron.d/root"
_LIMIT = 60  # seconds


def is_unraid(root: Path) -> bool:
    return (root / UNRAID_MARK).exists() or (root / UNRAID_CONFIG).is_dir()


class UnraidCronFile:
    """``/boot/config/plugins/unraid-rebalancer/unraid-rebalancer.cron``; the whole file is ours."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / UNRAID_CONFIG / _NAME

    def read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RefusedError(f"{self._path} cannot be read: {(error.strerror or '').lower()}") from error

    def in_force(self) -> bytes:
        """Return the lines that Unraid collected into the table of its daemon, as far as that can be seen."""
        content, collected = self.read(), self._collected()
        if collected is None:
            return content
        return b"\n".join(line for line in content.split(b"\n") if line in collected)

    def write(self, content: bytes) -> None:
        """Replace the file and have it collected; a comment comes first and an empty line last, as Unraid has it."""
        lines = [line for line in content.split(b"\n") if line and not line.startswith(b"#")]
        try:
            self._replace(_HEADING + b"".join(line + b"\n" for line in lines) + b"\n")
        except OSError as error:
            raise RefusedError(f"{self._path} cannot be written: {(error.strerror or '').lower()}") from error
        self._collect()
        collected = self._collected()
        if collected is not None and not set(lines) <= set(collected):
            raise RefusedError(
                "Unraid did not take the lines over: it reads those of installed plugins only; install the plugin, "
                "or keep the built-in clock running: unraid-rebalancer serve"
            )

    def _replace(self, content: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{_NAME}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(self._path.parent)

    def _collect(self) -> None:
        collector = self._root / _COLLECTOR
        if not collector.exists():
            raise RefusedError(f"{collector} is missing, so Unraid's cron daemon cannot be told of the schedules")
        # through bash: the first line of Unraid's script names no interpreter that the kernel would find
        try:
            answer = subprocess.run(
                ["bash", str(collector)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_LIMIT,
                cwd="/",
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefusedError(f"{collector} does not answer") from error
        if answer.returncode != 0:
            raise RefusedError(f"{collector} failed with exit code {answer.returncode}")

    def _collected(self) -> list[bytes] | None:
        """Return the lines that the daemon was given; None when that cannot be seen."""
        try:
            return (self._root / _COLLECTED).read_bytes().split(b"\n")
        except OSError:
            return None
