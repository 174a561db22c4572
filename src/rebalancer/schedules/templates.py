"""Schedules that most people want, to begin from.

Every time of day here exists exactly once on every day in every time zone that is in use: clocks change between
22:00 and 04:00, and a cron daemon that knows nothing of it would skip or double what falls into that hour.
Unraid's own mover (03:40) and daily tasks (04:40) begin at other minutes.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rebalancer.errors import UsageError
from rebalancer.planning.selection import Selection
from rebalancer.schedules.schedule import Missed

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Template:
    """``values`` are fields of a `Schedule`; what they leave out is the schedule's default."""

    name: str
    description: str
    values: MappingProxyType[str, Any]


def _template(name: str, description: str, **values: Any) -> Template:
    return Template(name, description, MappingProxyType(values))


TEMPLATES: tuple[Template, ...] = (
    _template(
        "nightly",
        "every night at 04:15, for at most 3 hours",
        cron="15 4 * * *",
        selection=Selection(max_runtime=3 * _HOUR),
    ),
    _template(
        "weekly",
        "Sundays at 05:15; made up for once when the machine was off",
        cron="15 5 * * 0",
        missed=Missed.RUN_ONCE,
        catch_up_window=48 * _HOUR,
    ),
    _template(
        "above",
        "every day at 04:50, when a disk is fuller than 90 %",
        cron="50 4 * * *",
        above_percent=90.0,
    ),
    _template(
        "idle",
        "every day at 04:15, as soon as the machine has nothing else to do, until 20:15",
        cron="15 4 * * *",
        only_when_idle=True,
        max_wait=16 * _HOUR,
    ),
)
NAMES = tuple(template.name for template in TEMPLATES)


def template(name: str) -> Template:
    """Return a template; raises UsageError naming those there are."""
    for known in TEMPLATES:
        if known.name == name:
            return known
    raise UsageError(f"template: {name!r} is none of {', '.join(NAMES)}")
