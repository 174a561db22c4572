"""Those who are told: a real HTTP server, and the script of Unraid as one that writes down how it was called."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPT = "usr/local/emhttp/webGui/scripts/notify"
HANGS = 0  # instead of the code of an answer
_STUB = """#!/bin/bash
mkdir -p '{calls}'
call='{calls}'/$EPOCHREALTIME
env -0 > "$call.environment"
printf '%s\\0' "$@" > "$call.part"
mv "$call.part" "$call.call"
{then}
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """One request that came in; ``at`` is monotonic."""

    path: str
    body: str
    at: float


@dataclass(eq=False)
class Receiver:
    """A server on this machine; what it hears is kept, what it answers can be set by the beginning of the path."""

    address: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.heard]

    def answer_to(self, path: str) -> int:
        return next((code for prefix, code in self.answers.items() if path.startswith(prefix)), 200)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on a free port of this machine until the block ends."""
    here = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            here.heard.append(Heard(self.path, body, time.monotonic()))
            code = here.answer_to(self.path)
            if code == HANGS:
                here.is_over.wait()
                return
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    here.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield here
    finally:
        here.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the script; ``at`` is seconds since 1970 (UTC)."""

    at: float
    arguments: tuple[str, ...]
    environment: frozenset[str]  # names of variables

    def value_of(self, option: str) -> str:
        return self.arguments[self.arguments.index(option) + 1]


def put_script(root: Path, *, then: str = "") -> Path:
    """Put a script in the place of Unraid's below a root; ``then`` is what it does after it has noted its call."""
    script = root / SCRIPT
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_STUB.format(calls=root / "calls", then=then))
    script.chmod(0o755)
    state = root / "var/local/emhttp"
    state.mkdir(parents=True, exist_ok=True)
    (state / "var.ini").write_bytes(b'NAME="Tower"\r\ncsrf_token="5EC12E7"\r\n')
    return script


def calls_of(root: Path) -> list[Call]:
    """Return how the script was called so far, in order."""
    return [_call(path) for path in sorted((root / "calls").glob("*.call"))]


def _call(path: Path) -> Call:
    arguments = path.read_bytes().decode().split("\0")[:-1]
    variables = path.with_suffix(".environment").read_bytes().decode().split("\0")[:-1]
    return Call(float(path.stem), tuple(arguments), frozenset(text.partition("=")[0] for text in variables))
