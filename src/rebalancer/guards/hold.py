"""A guard saying "not now", and why."""

from collections.abc import Iterable

from msgspec import Struct


class Hold(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why work does not start or go on: the guard's name and a sentence with its evidence."""

    guard: str
    reason: str
    about: str = ""  # what tells this hold from another of the same guard, when figures alone do not make a new one
    ends_work: bool = False  # waiting does not help: what runs is stopped and has failed

    @property
    def kind(self) -> tuple[str, str]:
        """The same for as long as only the figures in the reason change."""
        return self.guard, self.about


def in_words(holds: Iterable[Hold]) -> str:
    """Return every reason in one sentence."""
    return "; ".join(hold.reason for hold in holds)
