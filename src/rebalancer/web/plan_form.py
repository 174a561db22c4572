"""The forms of the plan pages: what was typed, read by the readers of the command line, every mistake at its field."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rebalancer.errors import UsageError
from rebalancer.planning.selection import Selection, Strategy, Verification
from rebalancer.schedules.writing import in_text
from rebalancer.schedules.written import SELECTION, selection_of, spelled

STRATEGIES: Mapping[Strategy, str] = {
    Strategy.EVEN: "All disks end equally full, as far as whole folders allow it.",
    Strategy.TARGET: "No disk stays fuller than a percentage that you choose; the others are left as they are.",
    Strategy.EVACUATE: "The disks that you tick under “May give” end empty, for instance before one is replaced.",
    Strategy.GATHER: "Folders that are scattered over several disks come together on one disk each.",
    Strategy.PACK: "As few disks as possible hold everything, so that the others can sleep.",
    Strategy.REPAIR: "Everything lies where the rules of its share want it, and no folder stays split.",
}
LABELS: Mapping[str, str] = {
    "strategy": "Strategy",
    "from_disks": "May give",
    "to_disks": "May receive",
    "shares": "Only these shares",
    "exclude_shares": "Not these shares",
    "exclude": "Not what matches",
    "paths": "Folders to gather",
    "max_bytes": "Move at most",
    "reserve": "Keep free on every disk",
    "target_percent": "Target",
    "tolerance": "Tolerance",
    "unit_depth": "Unit depth",
    "min_unit_size": "Smallest unit",
    "max_unit_size": "Largest unit",
    "min_age": "Leave alone what is younger than",
    "max_runtime": "Stop after",
    "bandwidth_limit": "Bandwidth limit",
    "moves_at_once": "Moves at once",
    "verify": "Verify",
}
LINES = ("shares", "exclude_shares", "exclude", "paths")  # one value per line
TICKED = ("from_disks", "to_disks")
TYPED = (
    "strategy", "max_bytes", "reserve", "target_percent", "tolerance", "unit_depth", "min_unit_size", "max_unit_size",
    "min_age",
)  # fmt: skip
OF_A_RUN = ("max_runtime", "bandwidth_limit", "moves_at_once", "verify")
RARE = frozenset({"target_percent", "tolerance", "unit_depth", "min_unit_size", "max_unit_size", "min_age", "exclude"})
_NEEDS = {Strategy.EVACUATE: "from_disks", Strategy.GATHER: "paths"}
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_FIELD_OF = {spelled(name): name for name in LABELS}


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in a form, as it was typed, and what is wrong with it, by the names of the fields."""

    typed: Mapping[str, Sequence[str]]
    problems: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a field's text, several values on a line each."""
        return "\n".join(self.typed.get(name, ()))

    def holds(self, name: str, value: str) -> bool:
        """Return whether a value is ticked."""
        return value in self.typed.get(name, ())

    def problem(self, name: str) -> str:
        return self.problems.get(name, "")

    def has_any(self, names: Sequence[str]) -> bool:
        """Return whether one of these fields holds anything, right or wrong."""
        return any(self.text(name) or self.problem(name) for name in names)


def form_of(selection: Selection) -> Form:
    """Return the form that reads as this selection; what is at its default is left empty."""
    defaults, typed = Selection(), {}
    for name in LABELS:
        value = getattr(selection, name)
        if value != getattr(defaults, name) or name in {"strategy", "verify"}:
            values = value if isinstance(value, tuple) else (value,)
            typed[name] = tuple(in_text(name, one) for one in values)
    return Form(typed)


def read_plan(fields: Mapping[str, Sequence[str]]) -> tuple[Form, Selection | None]:
    """Return the form of a plan as it was sent, and the selection it stands for; None when something is wrong with it.

    Raises UsageError for a field that the form does not have.
    """
    return _read(fields, names=(*TYPED, *TICKED, *LINES))


def read_run(fields: Mapping[str, Sequence[str]]) -> tuple[Form, Selection | None]:
    """Return the form of a run, and a selection that holds its limits; as `read_plan` does."""
    return _read(fields, names=OF_A_RUN)


def _read(fields: Mapping[str, Sequence[str]], *, names: Sequence[str]) -> tuple[Form, Selection | None]:
    if unknown := sorted(set(fields) - set(names) - {"csrf"}):
        raise UsageError(f"the form has no field {unknown[0]!r}")
    typed = {name: _values(name, fields.get(name, ())) for name in names}
    found: dict[str, Any] = {"strategy": Strategy.EVEN, "verify": Verification.FULL}
    problems: dict[str, str] = {}
    for name, values in typed.items():
        _take(name, values, found, problems)
    selection = _together(found, problems)
    return Form(typed, problems), selection


def _values(name: str, sent: Sequence[str]) -> tuple[str, ...]:
    if name in LINES:  # not splitlines, which also breaks at characters that names may hold
        return tuple(line for text in sent for part in text.split("\n") if (line := part.removesuffix("\r")).strip())
    return tuple(text for one in sent if (text := one.strip()))


def _take(name: str, values: Sequence[str], found: dict[str, Any], problems: dict[str, str]) -> None:
    """Read one field into what was found, or note what is wrong with it."""
    if not values:
        return
    if len(values) > 1 and name not in LINES and name not in TICKED:
        problems[name] = "there is room for one value"
        return
    read: Callable[..., Any] = SELECTION[name]
    try:
        taken = [read(value, field=LABELS[name]) for value in values]
    except UsageError as error:
        problems[name] = str(error).removeprefix(f"{LABELS[name]}: ")
        return
    found[name] = tuple(dict.fromkeys(taken)) if name in LINES or name in TICKED else taken[0]


def _together(found: dict[str, Any], problems: dict[str, str]) -> Selection | None:
    """Return the selection of what was found; everything that contradicts each other is noted, and gives None."""
    given = dict(found)
    while True:
        try:
            selection = selection_of(given)
        except UsageError as error:
            name, sentence = _spoken(str(error))
        else:
            return None if problems else selection
        if name == "strategy":  # it misses a field; the rest is judged as if another strategy had been chosen
            problems.setdefault(_NEEDS[given["strategy"]], sentence)
            given = {one: value for one, value in given.items() if one not in {"paths", "target_percent"}}
            given["strategy"] = Strategy.EVEN
        else:
            problems[name] = sentence
            del given[name]


def _spoken(sentence: str) -> tuple[str, str]:
    """Return which field a sentence of the command line is about, and the sentence with the names of the fields."""
    option, _, rest = sentence.partition(": ")
    return _FIELD_OF[option.removeprefix("--").partition(" ")[0]], _OPTION.sub(_in_words, rest)


def _in_words(match: re.Match[str]) -> str:
    name = _FIELD_OF.get(match[1], "")
    return "the strategy" if name == "strategy" else f"“{LABELS[name]}”" if name else match[0]
