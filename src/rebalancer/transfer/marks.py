"""The names that the worker gives to its own files, so that recovery knows them and nothing else."""

import itertools

_PREFIX = ".rebalancer-"


class Marks:
    """Names of one operation: ``.rebalancer-{operation}-{n}.part`` and ``.rebalancer-{operation}.hidden``.

    They never contain the file's own name, which may already be as long as a name can be. Whoever works beside others
    counts from a number of his own.
    """

    def __init__(self, operation_id: str, *, first: int = 1) -> None:
        self._start = f"{_PREFIX}{operation_id}-".encode()
        self._numbers = itertools.count(first)
        self.hidden = f"{_PREFIX}{operation_id}.hidden".encode()

    def new_part(self) -> bytes:
        """Return a name for a file or folder that is not complete yet."""
        return self._start + b"%d.part" % next(self._numbers)

    def is_part(self, name: bytes) -> bool:
        """Return whether this very operation made that name."""
        middle = name[len(self._start) : -len(b".part")]
        return name.startswith(self._start) and name.endswith(b".part") and middle.isdigit()

    def is_own(self, name: bytes) -> bool:
        return name == self.hidden or self.is_part(name)


def is_any_mark(name: bytes) -> bool:
    """Return whether a name looks like one of ours, of whichever operation."""
    return name.startswith(_PREFIX.encode()) and name.endswith((b".part", b".hidden"))
