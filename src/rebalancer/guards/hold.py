"""A guard saying "not now", and why."""

from msgspec import Struct


class Hold(Struct, frozen=True, kw_only=True):
    """Why work does not start or go on: the guard's name and a sentence with its evidence."""

    guard: str
    reason: str
