"""Addresses hold tokens and passwords: no piece of one is ever shown."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

_BETWEEN = re.compile(r"[/:@?&=#,;+\s]+")
_SHORTEST = 3  # characters of a piece that is hidden
_HIDDEN = "***"


def masked(text: str, addresses: Iterable[str]) -> str:
    """Return the text without the addresses and without any piece of them, however they are quoted."""
    hidden = {piece for address in addresses for piece in _pieces(address)}
    for piece in sorted(hidden, key=len, reverse=True):
        text = re.sub(re.escape(piece), _HIDDEN, text, flags=re.IGNORECASE)
    return text


def scheme_of(address: str) -> str:
    """Return the part of an address that is no secret: ``discord``."""
    scheme, mark, _ = address.partition("://")
    return scheme if mark and scheme.isalnum() else "unknown"


def _pieces(address: str) -> set[str]:
    rest = address.partition("://")[2] or address
    found = {address, rest}
    for form in (rest, unquote(rest)):
        found.update(_BETWEEN.split(form))
        found.update(re.split(r"[/?&#@]+", form))
    return {piece for piece in found if len(piece) >= _SHORTEST}
