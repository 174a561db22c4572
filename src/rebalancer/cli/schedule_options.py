"""The options of ``schedule create`` and ``schedule edit``: when to run, and what to do when that cannot be."""

import functools
from dataclasses import dataclass, field
from typing import Any

import click

from rebalancer.cli.guard_options import guard_changes
from rebalancer.cli.options import Command, Decorator, parsed, take_typed
from rebalancer.cli.selecting import selection_changes
from rebalancer.cli.session import Session
from rebalancer.errors import UsageError
from rebalancer.guards.options import GuardOptions
from rebalancer.planning.selection import Selection
from rebalancer.schedules import templates, written
from rebalancer.schedules.schedule import Missed, Overlap, Schedule

_NEVER_RESET = frozenset(
    {"schedule_id", "cron", "enabled", "created_at", "updated_at", "suspension", "selection", "guards"}
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What was typed, by field; the rest stays as it is."""

    cron: str | None = None
    template: templates.Template | None = None
    at: tuple[int, int] | None = None  # hour and minute
    on: tuple[written.Day, ...] = ()
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
            "cron": self.cron or written.expression(str(known.get("cron", before.cron)), at=self.at, on=self.on),
        }
        return known | defaults | self.values | options

    def _changed(self, before: Selection | GuardOptions, typed: dict[str, Any]) -> dict[str, Any]:
        """Return every field: as it was, as its default where it is reset, as it was typed."""
        fields = {name: getattr(before, name) for name in before.__struct_fields__}
        return fields | {name: _default(type(before), name) for name in self.reset if name in fields} | typed


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
        raise UsageError(f"--reset: {written.spelled(min(both))} is also given a value")


def _default(kind: type[Schedule] | type[Selection] | type[GuardOptions], name: str) -> Any:
    defaults = kind.__struct_defaults__
    fields = kind.__struct_fields__[-len(defaults) :]  # keyword-only structs keep those without a default in front
    return dict(zip(fields, defaults, strict=True))[name]


def _resettable(text: str, *, field: str) -> str:
    fields = (*Schedule.__struct_fields__, *Selection.__struct_fields__, *GuardOptions.__struct_fields__)
    known = {written.spelled(name): name for name in fields}
    name = known.get(text.strip().removeprefix("--"))
    if name is None or name in _NEVER_RESET:
        raise UsageError(f"{field}: {text!r} is no option that has a default; write it like max-runtime")
    return name


def _template(text: str, *, field: str) -> templates.Template:  # noqa: ARG001 - click has checked the words
    return templates.template(text)


def _time_option(name: str, help: str) -> Decorator:  # noqa: A002 - click's own word
    return click.option(
        f"--{written.spelled(name)}", name, metavar="TIME", callback=parsed(written.SCHEDULE[name]), help=help
    )


def _count_option(name: str, help: str) -> Decorator:  # noqa: A002 - click's own word
    return click.option(
        f"--{written.spelled(name)}", name, metavar="N", callback=parsed(written.SCHEDULE[name]), help=help
    )


reset_option: Decorator = click.option(
    "--reset", metavar="OPTION", callback=parsed(_resettable), multiple=True,
    help="Give an option its default back, such as max-runtime; repeatable.",
)  # fmt: skip
_TIMES: tuple[Decorator, ...] = (
    click.option("--cron", metavar="EXPRESSION", callback=parsed(written.SCHEDULE["cron"]),
                 help="When: five fields, such as '15 4 * * *'."),
    click.option("--template", type=click.Choice(templates.NAMES), callback=parsed(_template),
                 help="; ".join(f"{known.name}: {known.description}" for known in templates.TEMPLATES) + "."),
    click.option("--at", metavar="HH:MM", callback=parsed(written.clock), help="The time of day, instead of --cron."),
    click.option("--on", metavar="DAY", callback=parsed(written.day), multiple=True,
                 help="A day such as sat, mon-fri or 1 (of the month), instead of every day; repeatable."),
)  # fmt: skip
_OPTIONS: tuple[Decorator, ...] = (
    click.option("--name", metavar="TEXT", callback=parsed(written.SCHEDULE["name"]), help="What people call it."),
    click.option("--timezone", metavar="ZONE", callback=parsed(written.SCHEDULE["timezone"]), help="Such as Europe/Berlin (default: the machine's)."),
    click.option("--active-hours", metavar="HOURS", callback=parsed(written.SCHEDULE["active_hours"]),
                 help="Work only then, pause otherwise: 22:00-06:00 or 'mon-fri 01:00-07:00, sat 00:00-24:00'."),
    click.option("--above-percent", metavar="PERCENT", callback=parsed(written.SCHEDULE["above_percent"]), help="Run only when a disk is fuller."),
    click.option("--when-idle/--no-when-idle", "only_when_idle", default=None,
                 help="Wait until the machine has nothing else to do."),
    _time_option("max_wait", "How long a due run waits for what holds it (default: 6h)."),
    click.option("--overlap", type=click.Choice([kind.value for kind in Overlap]), callback=parsed(written.SCHEDULE["overlap"]),
                 help="While an earlier run still works: skip (default), queue or replace it."),
    click.option("--missed", type=click.Choice([kind.value for kind in Missed]), callback=parsed(written.SCHEDULE["missed"]),
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
