"""The types of the fixtures, for the signatures of tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lab.program import Ran, Running


class MakeDisk(Protocol):
    def __call__(self, file_system: str, size_mib: int, name: str, /, *, options: str = "noatime") -> Path: ...


class MountPool(Protocol):
    def __call__(self, branches: Sequence[Path | str], /, **changes: str) -> Path: ...


class RunProgram(Protocol):
    def __call__(
        self,
        *arguments: str | Path,
        exit_code: int | None = None,
        stdin: str = "",
        timeout: float = 120,
        variables: dict[str, str] | None = None,
    ) -> Ran: ...


class StartProgram(Protocol):
    def __call__(self, *arguments: str | Path, variables: dict[str, str] | None = None) -> Running: ...
