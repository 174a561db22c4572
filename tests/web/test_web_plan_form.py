"""The forms of the plan pages: what was typed is read as the command line reads it, and every mistake is told at once."""

import pytest

from rebalancer.errors import UsageError
from rebalancer.planning.selection import Selection, Strategy, Verification
from rebalancer.web.plan_form import LABELS, form_of, read_plan, read_run


def test_an_empty_form_is_what_the_command_line_does_without_options() -> None:
    form, selection = read_plan({"csrf": ["secret"], "strategy": ["even"], "reserve": [""], "shares": ["\r\n"]})

    assert selection == Selection()
    assert form.problems == {}


def test_everything_that_was_typed_is_in_the_selection() -> None:
    _, selection = read_plan(
        {
            "strategy": ["gather"],
            "paths": ["tv/Some Series\r\ntv/Another\r\n"],
            "from_disks": ["disk1", "disk2"],
            "exclude": ["*.iso\n/private/*"],
            "max_bytes": ["500 GB"],
            "reserve": ["5%"],
            "tolerance": ["2.5"],
            "min_age": ["2d"],
        }
    )

    assert selection == Selection(
        strategy=Strategy.GATHER,
        paths=("tv/Some Series", "tv/Another"),
        from_disks=("disk1", "disk2"),
        exclude=("*.iso", "/private/*"),
        max_bytes=500 * 10**9,
        reserve="5%",
        tolerance=2.5,
        min_age=2 * 86400,
    )


def test_every_mistake_is_told_at_its_field_and_what_was_typed_stays() -> None:
    form, selection = read_plan(
        {
            "strategy": ["evacuate"],
            "target_percent": ["70"],
            "paths": ["films\n../secrets"],
            "tolerance": ["much"],
            "min_unit_size": ["2GB"],
            "max_unit_size": ["1GB"],
            "shares": ["films"],
            "exclude_shares": ["films"],
        }
    )

    assert selection is None
    assert form.problems == {
        "target_percent": "only the strategy target has a target",
        "paths": "'../secrets' is not a folder below the disks, such as tv/Some Series",
        "tolerance": "'much' is not a number of percentage points from 0 to 100",
        "max_unit_size": "is smaller than “Smallest unit”, so no unit would fit",
        "exclude_shares": "'films' is also named by “Only these shares”",
        "from_disks": "name the disks that should end empty with “May give”",
    }
    assert form.text("paths") == "films\n../secrets"
    assert form.text("tolerance") == "much"


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"strategy": ["gather"]}, {"paths": "name the folders that should come together with “Folders to gather”"}),
        ({"strategy": ["gather"], "paths": ["/../"]}, {"paths": "'/../' is not a folder below the disks"}),
        ({"strategy": ["sideways"]}, {"strategy": "'sideways' is not one of even, target"}),
        ({"strategy": ["even", "pack"]}, {"strategy": "there is room for one value"}),
        ({"strategy": ["even"], "paths": ["films"]}, {"paths": "only the strategy gather brings folders together"}),
    ],
)
def test_no_sentence_speaks_of_options(fields: dict[str, list[str]], problems: dict[str, str]) -> None:
    form, selection = read_plan(fields)

    assert selection is None
    assert list(form.problems) == list(problems)
    for name, sentence in problems.items():
        assert form.problems[name].startswith(sentence)
        assert "--" not in form.problems[name]


def test_a_line_ends_where_the_browser_ended_it_and_nowhere_else() -> None:
    odd = "films\u2028two\x0bthree\x1c"

    _, selection = read_plan({"shares": [f"{odd}\r\n  spaced  \r\n\r\n"]})

    assert selection is not None
    assert selection.shares == (odd, "  spaced  ")


def test_a_field_of_another_form_is_refused() -> None:
    for read in (read_plan, read_run):
        with pytest.raises(UsageError, match="the form has no field 'script'"):
            read({"script": ["x"]})
    with pytest.raises(UsageError, match="'max_runtime'"):
        read_plan({"max_runtime": ["6h"]})


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(strategy=Strategy.TARGET, target_percent=82.5, tolerance=0.125, unit_depth=0),
        Selection(strategy=Strategy.EVACUATE, from_disks=("disk 1", "/mnt/disk2"), to_disks=("disk3",)),
        Selection(min_unit_size=1, max_unit_size=3 * 2**30, max_bytes=1_234_567, min_age=5400, reserve="1.5%"),
        Selection(max_bytes=10**12, max_unit_size=2**40, exclude=("*.iso", "a b"), shares=("x",), min_age=90061),
    ],
)
def test_a_form_filled_from_a_selection_reads_as_that_selection(selection: Selection) -> None:
    typed = {name: list(values) for name, values in form_of(selection).typed.items() if name != "verify"}

    form, again = read_plan(typed)

    assert form.problems == {}
    assert again == selection


def test_sizes_and_times_are_filled_in_as_people_write_them() -> None:
    form = form_of(Selection(max_bytes=500 * 10**9, max_unit_size=2**40, min_age=5400, max_runtime=21600))

    assert [form.text(name) for name in ("max_bytes", "max_unit_size", "min_age", "max_runtime")] == [
        "500GB",
        "1TiB",
        "1h30m",
        "6h",
    ]


def test_the_limits_of_a_run_are_read_and_their_mistakes_told() -> None:
    _, limits = read_run(
        {"max_runtime": ["6h"], "bandwidth_limit": ["50MB/s"], "moves_at_once": ["2"], "verify": ["fast"]}
    )
    form, none = read_run({"max_runtime": ["0s"], "bandwidth_limit": ["fast"], "moves_at_once": ["17"]})

    assert limits == Selection(max_runtime=21600, bandwidth_limit=50 * 10**6, moves_at_once=2, verify=Verification.FAST)
    assert none is None
    assert sorted(form.problems) == ["bandwidth_limit", "max_runtime", "moves_at_once"]


def test_every_field_of_a_selection_has_a_label() -> None:
    assert set(LABELS) == set(Selection.__struct_fields__)
