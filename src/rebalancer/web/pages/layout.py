"""Templates and the words in them: everything that comes from outside is escaped, every number is written as people read it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rebalancer import names
from rebalancer.quantities import format_duration, format_size
from rebalancer.schedules import moments
from rebalancer.version import VERSION
from rebalancer.web.assets import Assets
from rebalancer.web.gate import Caller
from rebalancer.web.overview import Overview

PIECES = ("banner", "disks", "running", "next", "last")
THEMES = frozenset({"light", "dark"})


@dataclass(frozen=True, slots=True)
class Layout:
    """Fills templates; ``timezone`` is the machine's, which all moments are told in."""

    environment: Environment

    @classmethod
    def of(cls, assets: Assets, *, timezone: Callable[[], str], clock: Callable[[], float]) -> Self:
        environment = Environment(
            loader=PackageLoader("rebalancer.web"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "size": format_size,
            "rate": lambda rate: f"{format_size(rate)}/s",
            "duration": format_duration,
            "percent": lambda percent: f"{percent:.1f} %",
            "name": names.display,
            "count": _count,
            "moment": lambda at: moments.in_words(at, now=clock(), timezone=timezone()),
            "distance": lambda at: moments.distance(at, now=clock()),
            "stamp": lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        }
        environment.globals |= {"asset": assets.address, "version": VERSION}
        return cls(environment)

    def page(self, template: str, *, caller: Caller, path: str, notes: list[str], theme: str, **values: Any) -> str:
        """Return a whole page. What its parts know besides ``values``: who looks, where he is, what was just done."""
        return self.environment.get_template(template).render(
            caller=caller, path=path, notes=notes, theme=theme if theme in THEMES else "", csrf=caller.csrf, **values
        )

    def pieces(self, overview: Overview) -> dict[str, str]:
        """Return the parts of pages that change by themselves, by the ids they have there.

        They are the same for everybody: their forms carry no token, the script puts in the page's own.
        """
        found = {f"live-{name}": self._piece(name, overview=overview) for name in PIECES}
        for running in overview.running:
            found[f"live-run-{running.execution_id}"] = self._piece("figures", run=running)
        return found

    def _piece(self, name: str, **values: Any) -> str:
        return self.environment.get_template(f"pieces/{name}.html").render(csrf="", **values)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
