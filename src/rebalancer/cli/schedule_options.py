"""The options of ``schedule create`` and ``schedule edit``: when to run, and what to do when that cannot be."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from rebalancer import quantities
from rebalancer.cli.guard_options import guard_changes
from rebalancer.cli.options import Command, Decorator, parsed, take_typed
from rebalancer.cli.selecting import selection_changes
from rebalancer.cli.session import Session
from rebalancer.errors import UsageError
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules import hours, templates, validation
from rebalancer.schedules.expression import parse_expression
from rebalancer.schedules.schedule import Missed, Overlap, Schedule

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # in cron's order
_LAST_DAY = 28  # of the month: every month has it
_RENAMED = {"only_when_idle": "when-idle", "from_disks": "from", "to_disks": "to", "shares": "share",
            "exclude_shares": "exclude-share", "disks": "disk", "paths": "path", "ignored": "ignore-guard"}  # fmt: skip
_NEVER_RESET = frozenset(
    {"schedule_id", "cron", "enabled", "created_at", "updated_at", "suspension", "selection", "guards"}
)


@dataclass(frozen=True, slots=True)
class Day:
    """One or several days as a field of cron: of the month, or of the week."""

    text: str
    is_date: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What was typed, by field; the rest stays as it is."""

    cron: str | None = None
    template: templates.Template | None = None
    at: tuple[int, int] | None = None  # hour and minute
    on: tuple[Day, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    selection: dict[str, Any] = field(default_factory=dict)
    guards: dict[str, Any] = field(default_factory=dict)
    reset: tuple[str, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether anything typed says when to run."""
        return any((self.cron, self.template, self.at, self.on))

    def fields(self, before: Schedule) -> dict[str, Any]:
        """Return the fields of the schedule that change, with their new values; the last word is the option's."""
        known = dict(self.template.values) if self.template is not None else {}
        chosen: Selection = known.pop("selection", before.selection)
        defaults = {name: _default(Schedule, name) for name in self.reset if name in Schedule.__struct_fields__}
        chosen_guards: GuardOptions = known.pop("guards", before.guards)
        options = {
            "selection": Selection(**self._changed(chosen, self.selection)),
            "guards": GuardOptions(**self._changed(chosen_guards, self.guards)),
            "cron": self._expression(str(known.get("cron", before.cron))),
        }
        return known | defaults | self.values | options

    def _changed(self, before: Selection | GuardOptions, typed: dict[str, Any]) -> dict[str, Any]:
        """Return every field: as it was, as its default where it is reset, as it was typed."""
        fields = {name: getattr(before, name) for name in before.__struct_fields__}
        return fields | {name: _default(type(before), name) for name in self.reset if name in fields} | typed

    def _expression(self, base: str) -> str:
        if self.cron is not None:
            return self.cron
        minute, hour, day, month, weekday = base.split()
        if self.at is not None:
            hour, minute = map(str, self.at)
        if self.on:
            day, month, weekday = _days(self.on)
        return f"{minute} {hour} {day} {month} {weekday}"


def schedule_options(command: Command) -> Command:
    """Add all options of a schedule to a command, which receives what was typed as ``changes``."""

    @functools.wraps(command)
    def with_changes(*arguments: Any, selection: dict[str, Any], guards: dict[str, Any], **options: Any) -> Any:
        context = click.get_current_context()
        values = take_typed(options, _FIELDS)
        timing = {name: options.pop(name) for name in ("cron", "template", "at", "on")}
        reset = options.pop("reset", ())
        changes = Changes(values=values, selection=selection, guards=guards, reset=reset, **timing)
        _refuse_contradictions(changes)
        if disks := context.ensure_object(Session).disks:
            changes.values["disks"] = tuple(disks)
        return command(*arguments, changes=changes, **options)

    wrapped = selection_changes(guard_changes(with_changes))
    for option in reversed((*_TIMES, *_OPTIONS)):
        wrapped = option(wrapped)
    return wrapped


def _refuse_contradictions(changes: Changes) -> None:
    if changes.cron is not None and (changes.at or changes.on):
        raise UsageError(f"{'--at' if changes.at else '--on'}: --cron says already when to run")
    if changes.cron is not None and changes.template is not None:
        raise UsageError("--template: --cron says already when to run; leave one of them out")
    if both := set(changes.reset) & {*changes.values, *changes.selection, *changes.guards}:
        raise UsageError(f"--reset: {_spelled(min(both))} is also given a value")


def _default(kind: type[Schedule] | type[Selection] | type[GuardOptions], name: str) -> Any:
    defaults = kind.__struct_defaults__
    fields = kind.__struct_fields__[-len(defaults) :]  # keyword-only structs keep those without a default in front
    return dict(zip(fields, defaults, strict=True))[name]


def _days(days: Sequence[Day]) -> tuple[str, str, str]:
    """Return the cron fields of day, month and weekday."""
    is_date = days[0].is_date
    if any(day.is_date != is_date for day in days):  # some cron daemons never run such a line, others run it on both
        raise UsageError("--on: days of the week and days of the month cannot be mixed; make two schedules")
    listed = ",".join(dict.fromkeys(day.text for day in days))
    return (listed, "*", "*") if is_date else ("*", "*", listed)


def _clock(text: str, *, field: str) -> tuple[int, int]:
    match = _CLOCK.fullmatch(text.strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise UsageError(f"{field}: {text!r} is not a time of day from 00:00 to 23:59")
    return int(match[1]), int(match[2])


def _day(text: str, *, field: str) -> Day:
    word = text.strip().lower()
    if word.isascii() and word.isdecimal() and len(word) <= 2 and 1 <= int(word) <= _LAST_DAY:
        return Day(str(int(word)), is_date=True)
    first, _, last = word.partition("-")
    if first in _WEEKDAYS and (not last or last in _WEEKDAYS):
        return Day(_weekdays(first, last or first), is_date=False)
    raise UsageError(
        f"{field}: {text!r} is neither a day such as sat or mon-fri nor a day of the month, 1 to {_LAST_DAY}"
    )


def _weekdays(first: str, last: str) -> str:
    """Return numbers, which every cron understands; a range over the end of the week is listed day by day."""
    begin, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last)
    if begin == end:
        return str(begin)
    if begin < end:
        return f"{begin}-{end}"
    return ",".join(str(day % 7) for day in range(begin, end + 8))


def _resettable(text: str, *, field: str) -> str:
    fields = (*Schedule.__struct_fields__, *Selection.__struct_fields__, *GuardOptions.__struct_fields__)
    known = {_spelled(name): name for name in fields}
    name = known.get(text.strip().removeprefix("--"))
    if name is None or name in _NEVER_RESET:
        raise UsageError(f"{field}: {text!r} is no option that has a default; write it like max-runtime")
    return name


def _spelled(name: str) -> str:
    return _RENAMED.get(name, name.replace("_", "-"))


def _text(text: str, *, field: str) -> str:
    validation.check_text(field, text)
    return text


def _zone(text: str, *, field: str) -> str:
    validation.check_timezone(text, field=field)
    return text


def _hours(text: str, *, field: str) -> str:
    hours.parse_active_hours(text, field=field)
    return text


def _template(text: str, *, field: str) -> templates.Template:  # noqa: ARG001 - click has checked the words
    return templates.template(text)


def _percent(text: str, *, field: str) -> float:
    percent = quantities.parse_percent(text, field=field)
    validation.check_range("above_percent", percent, called=field)
    return percent


def _overlap(text: str, *, field: str) -> Overlap:  # noqa: ARG001 - click has checked the words
    return Overlap(text)


def _missed(text: str, *, field: str) -> Missed:  # noqa: ARG001 - click has checked the words
    return Missed(text)


def _duration(name: str) -> Callable[..., int]:
    def parse(text: str, *, field: str) -> int:
        seconds = 0 if text.strip() == "0" else quantities.parse_duration(text, field=field)
        validation.check_range(name, seconds, called=field)
        return seconds

    return parse


def _count(name: str) -> Callable[..., int]:
    def parse(text: str, *, field: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise UsageError(f"{field}: {text!r} is not a number")
        validation.check_range(name, int(text), called=field)
        return int(text)

    return parse


def _time_option(name: str, help: str) -> Decorator:  # noqa: A002 - click's own word
    return click.option(f"--{_spelled(name)}", name, metavar="TIME", callback=parsed(_duration(name)), help=help)


def _count_option(name: str, help: str) -> Decorator:  # noqa: A002 - click's own word
    return click.option(f"--{_spelled(name)}", name, metavar="N", callback=parsed(_count(name)), help=help)


reset_option: Decorator = click.option(
    "--reset", metavar="OPTION", callback=parsed(_resettable), multiple=True,
    help="Give an option its default back, such as max-runtime; repeatable.",
)  # fmt: skip
_TIMES: tuple[Decorator, ...] = (
    click.option("--cron", metavar="EXPRESSION", callback=parsed(parse_expression),
                 help="When: five fields, such as '15 4 * * *'."),
    click.option("--template", type=click.Choice(templates.NAMES), callback=parsed(_template),
                 help="; ".join(f"{known.name}: {known.description}" for known in templates.TEMPLATES) + "."),
    click.option("--at", metavar="HH:MM", callback=parsed(_clock), help="The time of day, instead of --cron."),
    click.option("--on", metavar="DAY", callback=parsed(_day), multiple=True,
                 help="A day such as sat, mon-fri or 1 (of the month), instead of every day; repeatable."),
)  # fmt: skip
_OPTIONS: tuple[Decorator, ...] = (
    click.option("--name", metavar="TEXT", callback=parsed(_text), help="What people call it."),
    click.option("--timezone", metavar="ZONE", callback=parsed(_zone), help="Such as Europe/Berlin (default: the machine's)."),
    click.option("--active-hours", metavar="HOURS", callback=parsed(_hours),
                 help="Work only then, pause otherwise: 22:00-06:00 or 'mon-fri 01:00-07:00, sat 00:00-24:00'."),
    click.option("--above-percent", metavar="PERCENT", callback=parsed(_percent), help="Run only when a disk is fuller."),
    click.option("--when-idle/--no-when-idle", "only_when_idle", default=None,
                 help="Wait until the machine has nothing else to do."),
    _time_option("max_wait", "How long a due run waits for what holds it (default: 6h)."),
    click.option("--overlap", type=click.Choice([kind.value for kind in Overlap]), callback=parsed(_overlap),
                 help="While an earlier run still works: skip (default), queue or replace it."),
    click.option("--missed", type=click.Choice([kind.value for kind in Missed]), callback=parsed(_missed),
                 help="When the machine was off: skip (default), or run-once afterwards."),
    _time_option("catch_up_window", "How late run-once may still run (default: 24h)."),
    _time_option("jitter", "Wait up to this long, always the same on this machine (default: 0)."),
    _count_option("retries", "How often a failed run is tried again (default: 0)."),
    _time_option("retry_delay", "Before the first retry, doubled for each further one (default: 5m)."),
    _count_option("suspend_after_failures", "Suspend itself after that many failures of one cause (default: 0, never)."),
    _count_option("keep_days", "Remove records older than this many days (default: 30)."),
    _count_option("keep_failed_days", "Keep records of failures this long (default: 90)."),
    _count_option("keep_at_least", "Keep this many records, whatever their age (default: 10)."),
)  # fmt: skip
_FIELDS = (
    "name", "timezone", "active_hours", "above_percent", "only_when_idle", "max_wait", "overlap", "missed",
    "catch_up_window", "jitter", "retries", "retry_delay", "suspend_after_failures", "keep_days", "keep_failed_days",
    "keep_at_least",
)  # fmt: skip
