r"""Names on disk are bytes; this is how they become text for JSON and for a terminal, and bytes again.

A name that is valid UTF-8 is written as it is. Any other is written with ``\xNN`` for the bytes that
do not decode, and its exact bytes travel beside it in base64.
"""

import binascii
import os

from rebalancer.errors import UsageError

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def encode(raw: bytes) -> tuple[str, str]:
    """Return the text of a path and, only when the text alone would not give the bytes back, their base64."""
    try:
        return raw.decode("utf-8"), ""
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), binascii.b2a_base64(raw, newline=False).decode("ascii")


def decode(text: str, exact: str = "") -> bytes:
    """Return the bytes of a path from its text and the base64 beside it; the inverse of `encode`."""
    if not exact:
        return text.encode("utf-8", "surrogateescape")
    try:
        return binascii.a2b_base64(exact, strict_mode=True)
    except binascii.Error as error:
        raise UsageError(f"the base64 beside the path {display(text)} cannot be read") from error


def display(name: str | bytes) -> str:
    """Return a name that is safe on a terminal: no control character, no escape sequence, no line break."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def is_inside(raw: bytes) -> bool:
    """Return whether a relative path stays below the folder it is relative to, judged by its words alone."""
    parts = raw.split(b"/")
    return bool(raw) and b"\0" not in raw and not any(part in {b"", b".", b".."} for part in parts)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{os.fsencode(character)[0]:02x}"
    return _ESCAPES.get(character) or character.encode("unicode_escape").decode("ascii")
