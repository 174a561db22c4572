"""Templates and the words in them: everything that comes from outside is escaped, every number is written as people read it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rebalancer import names
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.quantities import format_duration, format_size
from rebalancer.schedules import moments
from rebalancer.version import VERSION
from rebalancer.web.assets import Assets
from rebalancer.web.gate import Caller
from rebalancer.web.overview import Overview

PIECES = ("banner", "disks", "running", "next", "last")
THEMES = frozenset({"light", "dark"})
_BADGES = {
    ExecutionStatus.PENDING: "info",
    ExecutionStatus.RUNNING: "info",
    ExecutionStatus.FAILED: "bad",
    ExecutionStatus.CANCELLED: "warn",
    ExecutionStatus.SUSPENDED: "quiet",
}


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
            "distance": lambda at: distance(at, now=clock()),
            "stamp": lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
            "portion": portion,
            "badge": badge,
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

        They are the same for everybody: their forms carry no token, the script puts in the page's own. What changes
        each second lies in pieces of its own, so that the larger ones around them need not be sent each time.
        """
        found = {f"live-{name}": self._piece(name, overview=overview, with_figures=False) for name in PIECES}
        for running in overview.running:
            found[f"live-run-{running.execution_id}"] = self._piece("figures", run=running)
        return found

    def _piece(self, name: str, **values: Any) -> str:
        return self.environment.get_template(f"pieces/{name}.html").render(csrf="", **values)


def distance(at: float, *, now: float) -> str:
    """Return how far away a moment is, to the minute: what is shown must not change each second."""
    if abs(at - now) < 60:
        return "in less than a minute" if at >= now else "less than a minute ago"
    if abs(at - now) < 3600:
        minutes = int(abs(at - now) // 60)
        return f"in {minutes} min" if at >= now else f"{minutes} min ago"
    return moments.distance(at, now=now)


def portion(part: float, whole: float) -> float:
    """Return how much of a bar of 100 a part takes, to a hundredth; nothing of nothing is 0."""
    return round(min(max(100.0 * part / whole, 0.0), 100.0), 2) if whole else 0.0


def badge(execution: ScheduleExecution) -> str:
    """Return the kind of badge that says how an execution stands."""
    if execution.status is ExecutionStatus.COMPLETED:
        return "warn" if execution.exit_code else "ok"
    return _BADGES[execution.status]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
