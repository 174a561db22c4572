"""The real dashboard in a process of its own, and somebody who asks it as browsers and programs do."""

import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lab.program import Running, run, start

_PATIENCE = 30.0  # seconds for the server to listen
_ADDRESS = re.compile(rb"^dashboard: (http://\S+)/$", re.MULTILINE)
_PASSWORD = re.compile(rb"^password: (\S+)", re.MULTILINE)


@dataclass(eq=False, slots=True)
class Dashboard:
    """``password`` is what the first start printed; empty when there was one already."""

    process: Running
    state: Path
    address: str
    password: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def anybody(self) -> httpx.Client:
        """Return a client that nobody knows."""
        return httpx.Client(base_url=self.address, timeout=30, trust_env=False)

    @contextmanager
    def person(self) -> Iterator[httpx.Client]:
        """Yield a client that has logged in; it sends the session's token as the forms of the pages do."""
        with self.anybody() as client:
            answer = client.post("/login", data={"password": self.password})
            assert answer.status_code == 303, answer.text
            client.headers["x-csrf-token"] = csrf_of(client.get("/").text)
            yield client

    @contextmanager
    def program(self, *, read_only: bool = False, name: str = "") -> Iterator[httpx.Client]:
        """Yield a client with a token that was just made."""
        words = [
            "access",
            "token",
            "create",
            name or f"t{time.monotonic_ns()}",
            *(["--read-only"] if read_only else []),
        ]
        token = run(*words, state=self.state, exit_code=0).stdout.strip()
        with self.anybody() as client:
            client.headers["authorization"] = f"Bearer {token}"
            yield client

    def execution(self, client: httpx.Client, schedule_id: str, *, patience: float = 20) -> dict[str, Any]:
        """Wait until the dashboard shows an execution of a schedule at work; returns its record."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for one in client.get("/api/v1/overview").json()["running"]:
                if one["schedule_id"] == schedule_id and one["bytes_done"]:
                    return dict(one)
            time.sleep(0.1)
        raise AssertionError(f"nothing of {schedule_id} is at work")


def csrf_of(page: str) -> str:
    """Return the token that the forms of a page carry."""
    match = re.search(r'<meta name="csrf" content="([^"]+)">', page)
    assert match is not None, page[:500]
    return match[1]


@contextmanager
def dashboard(state: Path, *words: str | Path, password: str = "") -> Iterator[Dashboard]:
    """Serve on a free port until the block ends; ``password`` is the one in force when it is not the first start."""
    process = start("serve", "--listen", "127.0.0.1:0", *words, state=state)
    try:
        said = _heard(process)
        address, first = _ADDRESS.search(said), _PASSWORD.search(said)
        assert address is not None, said
        yield Dashboard(process, state, address[1].decode(), first[1].decode() if first else password)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:  # the test has failed by that, and leaves nothing behind
            process.kill()
            process.communicate()
            raise


def _heard(process: Running) -> bytes:
    """Return what the server says until it listens, the line with the password included."""
    assert process.stdout is not None
    said, deadline = b"", time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        is_complete = _ADDRESS.search(said) is not None
        if not select.select([process.stdout], [], [], 0.3 if is_complete else 1.0)[0]:
            if is_complete:
                return said
            continue
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            assert process.stderr is not None
            raise AssertionError(f"the dashboard ended: {said!r} {process.stderr.read()!r}")
        said += data
    raise AssertionError(f"the dashboard does not listen: {said!r}")
