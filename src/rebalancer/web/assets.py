"""The style sheet, the script and the picture of the dashboard: read once, each known by its content."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str
    version: str  # changes with the content, so that browsers may keep it for long


@dataclass(frozen=True, slots=True)
class Assets:
    """All of them by name; nothing else can be asked for, whatever the path."""

    by_name: Mapping[str, Asset]

    @classmethod
    def load(cls) -> Self:
        """Read them; the style sheet is one, of parts that lie in files of their own."""
        folder = files("rebalancer.web").joinpath("static")
        parts = sorted(folder.joinpath("style").iterdir(), key=lambda part: part.name)
        contents = {"style.css": b"".join(part.read_bytes() for part in parts)}
        contents |= {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        return cls({name: _asset(name, content) for name, content in contents.items()})

    def address(self, name: str) -> str:
        """Return where a page finds it."""
        return f"/static/{name}?v={self.by_name[name].version}"


def _asset(name: str, content: bytes) -> Asset:
    return Asset(content, _KINDS[name.rpartition(".")[2]], hashlib.sha256(content).hexdigest()[:12])
