"""What people write becomes options, and options become what people would have written."""

from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.errors import UsageError
from rebalancer.planning.selection import Selection, Strategy, Verification
from rebalancer.schedules import written

NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
NUMBERS = st.integers(1, 2**40)
SELECTIONS = st.builds(
    Selection,
    strategy=st.sampled_from([Strategy.EVEN, Strategy.PACK, Strategy.REPAIR]),
    tolerance=st.floats(0, 100, allow_nan=False),
    from_disks=st.lists(NAMES, max_size=3).map(tuple),
    shares=st.lists(NAMES, max_size=3).map(tuple),
    exclude=st.lists(NAMES.map(lambda name: f"*/{name}"), max_size=2).map(tuple),
    unit_depth=st.integers(0, 64),
    min_unit_size=NUMBERS,
    max_unit_size=st.none() | NUMBERS.map(lambda size: 2**40 + size),
    min_age=NUMBERS.map(lambda seconds: seconds % 10**8),
    reserve=st.sampled_from([None, "5%", "20GB"]),
    max_bytes=st.none() | NUMBERS,
    max_runtime=st.none() | st.integers(1, 10**6),
    bandwidth_limit=st.none() | NUMBERS,
    moves_at_once=st.none() | st.integers(1, 16),
    verify=st.sampled_from(Verification),
)


@given(SELECTIONS)
def test_the_arguments_of_a_selection_say_the_same(selection: Selection) -> None:
    read: dict[str, Any] = {"strategy": Strategy.EVEN}
    names = {written.spelled(name): name for name in written.SELECTION}
    for argument in written.arguments_of(selection):
        option, _, text = argument.removeprefix("--").partition("=")
        value = written.SELECTION[names[option]](text, field=option)
        is_list = isinstance(getattr(selection, names[option]), tuple)
        read[names[option]] = (*read.get(names[option], ()), value) if is_list else value

    assert written.selection_of(read) == selection


def test_a_command_line_takes_them() -> None:
    from rebalancer.cli.plan import command

    selection = Selection(strategy=Strategy.GATHER, paths=("tv/A B",), max_runtime=90, bandwidth_limit=5)
    context = command.make_context("plan", written.arguments_of(selection))

    assert {name: context.params[name] for name in ("strategy", "paths", "max_runtime", "bandwidth_limit")} == {
        "strategy": Strategy.GATHER,
        "paths": ("tv/A B",),
        "max_runtime": 90,
        "bandwidth_limit": 5,
    }
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("overlap", "both", "overlap: 'both' is not one of skip, queue, replace"),
        ("strategy", "", "strategy: '' is not one of even, target, evacuate, gather, pack, repair"),
        ("max_wait", "soon", "max_wait: 'soon' is not a duration; write it like 30m, 6h or 1h30m"),
        ("disks", " ", "disks: name a disk by its name or its mount point"),
    ],
)
def test_what_cannot_be_read_names_the_field(name: str, text: str, sentence: str) -> None:
    readers = {**written.SCHEDULE, **written.SELECTION}

    with pytest.raises(UsageError, match=f"^{sentence}"):
        readers[name](text, field=name)


@pytest.mark.parametrize("name", [*written.SCHEDULE, *written.SELECTION, *written.GUARD])
def test_no_reader_breaks_on_anything_written(name: str) -> None:
    read = {**written.SCHEDULE, **written.SELECTION, **written.GUARD}[name]
    for text in ("", "\0", "-1", "9" * 400, "²", "nan", "1e999", "\ud800", "a" * 600, "../..", "%"):
        try:
            read(text, field="field")
        except UsageError as error:
            assert str(error).startswith(("field: ", "the "))  # noqa: PT017 - most are refused, none breaks
