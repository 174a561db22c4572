"""Unraid's text files: quotes or none, CRLF, missing and torn; what cannot be read is left out, never guessed."""

import re
import time
from pathlib import Path

STATE = "var/local/emhttp"  # rewritten by emhttpd before each of its events
CONFIG = "boot/config"

_LINE = re.compile(r'([A-Za-z_][\w.]*)\s*=\s*(?:"([^"]*)"|([^"]*))\s*')
_SECTION = re.compile(r'\[\s*"?([^"\]]*)"?\s*\]\s*')
_ATTEMPTS = 3

Sections = dict[str, dict[str, str]]


def parse(text: str, wanted: frozenset[str]) -> Sections:
    """Return the wanted keys by section, ``""`` before the first one; a line that cannot be read says nothing.

    Only wanted keys are ever kept: var.ini holds the csrf_token. A last line without its end may be half a value:
    it counts only when its quotes are closed.
    """
    sections: Sections = {}
    current = sections.setdefault("", {})
    *lines, last = text.removeprefix("\ufeff").split("\n")
    for line in lines if is_torn(text) else [*lines, last]:
        stripped = line.strip()
        if section := _SECTION.fullmatch(stripped):
            current = sections.setdefault(section[1], {})
        elif stripped.startswith("["):
            current = {}  # a torn header: what follows belongs to nobody
        elif (match := _LINE.fullmatch(stripped)) and match[1] in wanted:
            current[match[1]] = match[2] if match[2] is not None else match[3].strip()
    return sections


def is_torn(text: str) -> bool:
    """Say whether a text ends in the middle of a line: the last one has no end, and is no whole value in quotes."""
    last = text.rpartition("\n")[2].strip()
    match = _LINE.fullmatch(last)
    return bool(last) and (match is None or match[2] is None)


def read(path: Path, wanted: frozenset[str]) -> Sections:
    """Return the wanted keys of a file by section; none of one that is missing or cannot be read."""
    return parse(read_text(path) or "", wanted)


def read_text(path: Path) -> str | None:
    """Read a file that emhttpd may be rewriting: one without its last line's end is read again; None: unreadable."""
    text = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(0.05)
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if text.endswith("\n"):
            break
    return text


def read_flat(path: Path, wanted: frozenset[str]) -> dict[str, str]:
    """Return the wanted keys of a file without sections; empty for one that is missing."""
    return read(path, wanted).get("", {})
