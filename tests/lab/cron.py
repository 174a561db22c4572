"""Cron without touching the machine's: a crontab program of our own, and Debian's real daemon with a spool of its own."""

import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SPOOL = Path("/var/spool/cron/crontabs")
_MS_BIND = 4096

CRONTAB = r"""#!/bin/sh
# as Debian's: no table is exit code 1 with a sentence, carriage returns are shown as two characters,
# a table without a last line break is refused
table='{table}'
case "$1" in
-l) [ -e "$table" ] || {{ echo 'no crontab for somebody' >&2; exit 1; }}; sed 's/\r/\\r/g' "$table" ;;
-e) $VISUAL "$table" ;;
-) cat > "$table.new"
   if [ -s "$table.new" ] && [ "$(tail -c 1 "$table.new" | od -An -tx1 | tr -d ' ')" != 0a ]; then
       echo "new crontab file is missing newline before EOF, can't install." >&2; exit 1
   fi
   mv "$table.new" "$table"
   {after} ;;
esac
"""


@dataclass(frozen=True)
class FakeCrontab:
    table: Path

    @property
    def content(self) -> bytes:
        return self.table.read_bytes()


def put_crontab_on_path(folder: Path, *, after: str = ":") -> FakeCrontab:
    """Write the program to ``folder/bin``; ``after`` is a command that runs after every change (somebody else's)."""
    table = folder / "table"
    program = folder / "bin" / "crontab"
    program.parent.mkdir(exist_ok=True)
    program.write_text(CRONTAB.format(table=table, after=after))
    program.chmod(0o755)
    return FakeCrontab(table)


def refuse_the_real_crontab() -> None:
    """Let this process and what it starts find a crontab program that only refuses: no test may change the real table."""
    folder = Path(tempfile.gettempdir()) / f"no-crontab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    program = folder / "crontab"
    if not program.exists():
        program.write_text("#!/bin/sh\necho 'a test must bring its own crontab' >&2\nexit 1\n")
        program.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ.get('PATH', os.defpath)}"


def own_spool(folder: Path, mounts: ExitStack) -> Path:
    """Put an empty spool and empty system tables in place of the machine's, until the mounts are taken down.

    Until then the real crontab program is the one that is found.
    """
    mounts.callback(os.environ.__setitem__, "PATH", os.environ["PATH"])
    os.environ["PATH"] = f"/usr/bin:{os.environ['PATH']}"
    spool = folder / "spool"
    spool.mkdir()
    spool.chmod(0o1730)
    os.chown(spool, 0, SPOOL.stat().st_gid)
    bind(spool, SPOOL, mounts)
    empty = folder / "empty"
    empty.mkdir()
    bind(empty, Path("/etc/cron.d"), mounts)
    table = folder / "crontab"
    table.touch()
    bind(table, Path("/etc/crontab"), mounts)
    return spool


@contextmanager
def own_daemon(folder: Path, mounts: ExitStack) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon; its pid file and lock are its own, so that it neither meets nor disturbs the machine's."""
    run = folder / "run"
    run.mkdir()
    bind(run, Path("/run"), mounts)
    process = subprocess.Popen(["/usr/sbin/cron", "-f"], stdin=subprocess.DEVNULL, start_new_session=True)
    time.sleep(1.5)  # it tells a changed spool by whole seconds: what changes in the second it starts is not seen
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the number is still its own
        process.wait()


def bind(source: Path, target: Path, mounts: ExitStack) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(bytes(source), bytes(target), None, _MS_BIND, None) != 0:
        raise OSError(ctypes.get_errno(), f"{target} cannot be covered")
    mounts.callback(libc.umount2, bytes(target), 2)
