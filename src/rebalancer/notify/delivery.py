"""A delivery under way: started as a process of its own, waited for only as long as somebody wants to."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from rebalancer.notify.errand import Delivered, Errand

_POLL = 0.1  # seconds
_KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
# the first process ends at once: whoever stops an execution with all of its descendants does not find the second
_LAUNCH = "import os,sys\nif os.fork()==0:\n os.setsid()\n os.execv(sys.argv[1],sys.argv[1:])"


def never() -> bool:
    return False


@dataclass(eq=False)
class Delivery:
    """What a courier says of its errand."""

    output: IO[bytes]
    _said: bytes = field(default=b"")

    def wait(self, seconds: float, *, unless: Callable[[], bool] = never) -> list[Delivered]:
        """Return what is known when the courier has ended, the time is up or ``unless`` says so."""
        deadline = time.monotonic() + seconds
        while not self.output.closed and not unless():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if select.select([self.output], [], [], min(left, _POLL))[0]:
                self._hear()
        whole_lines = self._said.split(b"\n")[:-1]
        return [msgspec.json.decode(line, type=Delivered) for line in whole_lines]

    def __del__(self) -> None:
        self.output.close()

    def _hear(self) -> None:
        data = os.read(self.output.fileno(), 65536)
        self._said += data
        if not data:
            self.output.close()


def start(errand: Errand) -> Delivery:
    """Let a process of its own deliver it, in a session of its own; raises OSError when none can be started.

    The errand goes through a pipe: its addresses are in no argument and in no environment.
    """
    reading, writing = os.pipe()
    output = os.fdopen(reading, "rb", buffering=0)
    try:
        command = [sys.executable, "-I", "-S", "-c", _LAUNCH, sys.executable, "-m", "rebalancer.notify.courier"]
        launcher = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.DEVNULL, cwd="/", env=_environment()
        )
    except OSError:
        output.close()
        raise
    finally:
        os.close(writing)
    with suppress(BrokenPipeError):
        launcher.communicate(msgspec.json.encode(errand))
    return Delivery(output)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONSAFEPATH": "1"}
