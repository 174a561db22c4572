"""How full something is, as a bar of characters: pure, so that every width can be tested."""

from dataclasses import dataclass

_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Fill:
    """A cell of a table that is drawn as a bar on a terminal and written as a percentage elsewhere."""

    percent: float

    def __str__(self) -> str:
        return f"{self.percent:.1f} %"

    @property
    def colour(self) -> str:
        """The colour of the bar: what fills up is seen first."""
        if self.percent >= 90:
            return "red"
        return "yellow" if self.percent >= 80 else "green"


def filled(percent: float, width: int, *, is_unicode: bool = True) -> str:
    """Return the filled part of a bar of that many characters; never longer than the bar."""
    share = min(max(percent, 0.0), 100.0) / 100
    if not is_unicode:
        return "#" * round(share * width)
    whole, eighths = divmod(round(share * width * 8), 8)
    return "█" * whole + (_EIGHTHS[eighths] if eighths else "")


def rest(percent: float, width: int, *, is_unicode: bool = True) -> str:
    """Return the empty part of the same bar: both together are as wide as the bar."""
    return ("░" if is_unicode else ".") * (width - len(filled(percent, width, is_unicode=is_unicode)))
