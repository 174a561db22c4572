"""The text of a crontab: which of its lines are ours, and how they change while every other byte stays."""

import re
from collections.abc import Mapping
from pathlib import Path

from rebalancer.errors import RefusedError
from rebalancer.schedules.command import ScheduleCommand, quoted, unquoted

LONGEST_LINE = 1000  # bytes; Debian's cron refuses longer commands, dcron cuts lines without a word

_OURS = re.compile(rb"(?!#)(?:[^\s]+[ \t]+){5}(.*[^ \t])[ \t]+# unraid-rebalancer: ([a-z0-9-]+)\r?")
_REDIRECTION = b" >/dev/null"
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def entry(timing: str, command: ScheduleCommand, schedule_id: str, *, variables: Mapping[str, str]) -> bytes:
    """Return the line of a schedule, without its end.

    What the program says on standard error reaches the user by the daemon's mail, when there is any. Raises
    RefusedError for a path that no crontab can hold.
    """
    arguments = quoted(command.arguments(schedule_id, fired_by="cron"))
    settings = b"".join(name.encode() + b"=" + quoted([value]) + b" " for name, value in variables.items())
    mark = b" # unraid-rebalancer: " + schedule_id.encode()
    line = timing.encode() + b" " + settings + arguments + _REDIRECTION + mark
    if _CONTROL.search(line):
        raise RefusedError("the path of the program or of its config folder holds characters that no crontab can hold")
    if len(line) >= LONGEST_LINE:
        raise RefusedError(f"the crontab line of {schedule_id} would be {len(line)} bytes long; use shorter paths")
    return line


def entries(table: bytes, config_dir: Path) -> dict[str, bytes]:
    """Return the lines that belong to the schedules of a config folder, by schedule."""
    found: dict[str, bytes] = {}
    for line in table.split(b"\n"):
        if schedule_id := owner(line, config_dir):
            found.setdefault(schedule_id, line)
    return found


def owner(line: bytes, config_dir: Path) -> str:
    """Return the schedule that a line belongs to; empty for a line of somebody else, also one that looks alike."""
    match = _OURS.fullmatch(line)
    if match is None:
        return ""
    schedule_id = match[2].decode()
    try:
        words = unquoted(match[1].removesuffix(_REDIRECTION))
    except ValueError:
        return ""
    is_ours = _follow(words, "--config-dir", str(config_dir)) and _follow(words, "schedule", "run", schedule_id)
    return schedule_id if is_ours else ""


def edited(table: bytes, wanted: Mapping[str, bytes | None], config_dir: Path) -> bytes:
    """Return the table with the lines of these schedules as wanted: None for no line.

    A line that is there changes in its place and stands once. New ones come first, where no setting of the user's
    (SHELL, PATH, CRON_TZ, …) applies to them: a setting counts for the lines below it.
    """
    kept, placed = [], set()
    for line in table.split(b"\n"):
        schedule_id = owner(line, config_dir)
        if schedule_id not in wanted:
            kept.append(line)
        elif schedule_id not in placed and (replacement := wanted[schedule_id]) is not None:
            placed.add(schedule_id)
            kept.append(replacement)
    new = [line for schedule_id, line in sorted(wanted.items()) if line is not None and schedule_id not in placed]
    return b"\n".join([*new, *kept])


def _follow(words: list[str], *wanted: str) -> bool:
    return any(tuple(words[n : n + len(wanted)]) == wanted for n in range(len(words)))
