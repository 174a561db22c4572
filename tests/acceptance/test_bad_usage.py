"""Impossible command lines, settings, plans, inventories and state folders: one clear sentence and the right exit code."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lab
from acceptance.bad_input_lab import EMPTY_PLAN, Trial, assert_clear_answer, files
from lab import MakeDisk

USAGE, NOT_FOUND, REFUSED = 2, 3, 4
LONG = "x" * 10_000

NOT_SIZES = ("", " ", "-1", "NaN", "inf", "1e999", "1e3", "0x10", "10 GiB GiB", "1.2.3G", "9" * 40, "٣GB", "10\n", LONG)
NOT_PERCENTS = ("", "-1", "101", "NaN", "inf", "1e999", "0", "50%%", "fifty", LONG)
NOT_DURATIONS = ("", "-1h", "NaN", "1e999", "5", "h", "1.5h", "1h30", "9" * 30 + "h", LONG)
NOT_RATES = ("", "0", "-1", "NaN", "1e999", "50MB/h", "fast", LONG)
NOT_NUMBERS = ("", "-1", "NaN", "1e999", "1.5", "65", "²", LONG)

WRONG_VALUES = [
    *((["plan", option, text], option) for option in ("--min-unit-size", "--max-bytes", "--reserve") for text in NOT_SIZES if text != "10\n"),
    *((["plan", "--strategy", "target", "--target-percent", text], "--target-percent") for text in NOT_PERCENTS),
    *((["run", option, text], option) for option in ("--max-runtime", "--min-age") for text in NOT_DURATIONS),
    *((["run", "--bandwidth-limit", text], "--bandwidth-limit") for text in NOT_RATES),
    *((["scan", "--unit-depth", text], "--unit-depth") for text in NOT_NUMBERS),
    *((["plan", "--tolerance", text], "--tolerance") for text in ("", "-1", "NaN", "1e999", "101", LONG)),
]  # fmt: skip
WRONG_COMMANDS = [
    ([], "no command was named"),
    (["explode"], "explode"),
    ([LONG], "no such command"),
    (["red \x1b[31m"], "no such command"),
    ([""], "no such command"),
    (["disks", "--explode"], "--explode"),
    (["--explode", "disks"], "--explode"),
    (["disks", "extra"], "extra"),
    (["plan", "--strategy", "magic"], "magic"),
    (["plan", "--target-percent", "80"], "--target-percent"),
    (["plan", "--verify", ""], "--verify"),
    (["plan", "--share", "../etc"], "--share"),
    (["plan", "--share", "a", "--exclude-share", "a"], "--exclude-share"),
    (["plan", "--exclude", ""], "--exclude"),
    (["plan", "--save"], "--save"),
    (["disks", "--config-dir", ""], "--config-dir"),
    (["disks", "--root", "/nonexistent"], "--root"),
    (["disks", "--log-file", "/nonexistent/log"], "--log-file"),
]
WRONG_DISKS = [
    "",
    " ",
    "relative",
    "../up",
    "/",
    "//",
    "/mnt/../etc",
    "/mnt/\udcff",
    "/mnt/a,size=0",
    "/mnt/a,size=x",
    "/mnt/a,size=",
    LONG,
]


@pytest.fixture
def trial(make_disk: MakeDisk, mounts: ExitStack, tmp_path: Path, state: Path) -> Iterator[Trial]:
    with ExitStack() as stack:
        yield Trial(make_disk, stack, tmp_path, state, kinds=("tmpfs", "tmpfs"))


def assert_refused(ran: lab.Ran, exit_code: int, said: str) -> None:
    assert_clear_answer(ran, said)
    assert ran.exit_code == exit_code, str(ran)
    assert ran.stderr.startswith("unraid-rebalancer: ")
    assert ran.stdout == ""


@pytest.mark.parametrize(("arguments", "said"), [*WRONG_COMMANDS, *WRONG_VALUES], ids=lambda part: str(part)[:60])
def test_an_impossible_command_line_is_wrong_usage(state: Path, arguments: list[str], said: str) -> None:
    ran = lab.run("--disk", "/nonexistent/a", *arguments, state=state)

    assert_refused(ran, USAGE, said)


@pytest.mark.parametrize("text", WRONG_DISKS, ids=lambda text: repr(text)[:40])
def test_what_cannot_name_a_disk_is_wrong_usage(state: Path, text: str) -> None:
    ran = lab.run("--disk", text, "disks", state=state)

    if text == LONG:
        assert_refused(ran, USAGE, "not an absolute path")
    else:
        assert_refused(ran, USAGE, "--disk")


@pytest.mark.needs_mounts
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "does not exist"),
        ("file", "is not a folder"),
        ("link", "symbolic link"),
        ("folder", "not a mount point"),
        ("mnt/disk1/media", "not a mount point"),
    ],
)
def test_a_disk_that_is_none_is_shown_with_the_reason_and_never_used(trial: Trial, name: str, said: str) -> None:
    trial.prepare()
    (trial.folder / "file").write_bytes(b"")
    (trial.folder / "folder").mkdir()
    (trial.folder / "link").symlink_to(trial.disks[1])
    before = files(*trial.disks)

    shown = lab.run("--disk", trial.disks[0], "--disk", trial.folder / name, "disks", state=trial.state)
    ran = lab.run("--disk", trial.disks[0], "--disk", trial.folder / name, "run", "--yes", state=trial.state)

    assert_clear_answer(shown, said)
    assert_clear_answer(ran, "")
    assert files(*trial.disks) == before


# -- settings -----------------------------------------------------------------------------------------------------

SETTINGS: list[tuple[str, bytes, int, str]] = [
    ("torn", b'[[disk]]\npath = "/mnt', USAGE, "unterminated string (at end of document)"),
    ("unknown key", b"colour = 1\n", USAGE, "unknown key 'colour'"),
    ("wrong type", b"reserve = 5\n", USAGE, "reserve"),
    ("bad size", b'reserve = "much"\n', USAGE, "reserve"),
    ("not text", b"reserve = '\xff'\n", USAGE, "line 1"),
    ("NUL", b"\0\0\0", USAGE, "config.toml"),
    ("deep", b"a = " + b"[" * 100_000, USAGE, "config.toml"),
    ("digits", b"a = " + b"9" * 100_000, USAGE, "config.toml"),
    ("large", b"#" * (2 * 2**20), REFUSED, "larger than"),
    ("relative disk", b'[[disk]]\npath = "mnt"\n', USAGE, "path"),
    ("twice", b'[[disk]]\npath = "/a"\n[[disk]]\npath = "/a"\n', USAGE, "two disks"),
    ("escape sequence", b'"\\u001b[31m" = 1\n', USAGE, "unknown key"),
]


@pytest.mark.parametrize("case", SETTINGS, ids=lambda case: case[0])
def test_settings_that_are_wrong_are_refused_with_the_place(state: Path, case: tuple[str, bytes, int, str]) -> None:
    _, content, exit_code, said = case
    (state / "config").mkdir(mode=0o700)
    (state / "config/config.toml").write_bytes(content)

    assert_refused(lab.run("disks", state=state), exit_code, said)


@pytest.mark.needs_mounts
def test_a_byte_order_mark_does_not_matter(trial: Trial) -> None:
    trial.prepare()
    (trial.state / "config").mkdir(mode=0o700)
    (trial.state / "config/config.toml").write_bytes(
        b'\xef\xbb\xbf[[disk]]\npath = "%s"\n' % os.fsencode(trial.disks[0])
    )

    assert "disk1" in lab.run("disks", state=trial.state, exit_code=0).stdout


# -- plans and inventories ----------------------------------------------------------------------------------------

DISKS = [{"name": name, "path": f"/nonexistent/{name}", "size_bytes": 100, "used_bytes": 10} for name in ("a", "b")]
PLANNED = [{**disk, "planned_used_bytes": 10, "reserve_bytes": 0} for disk in DISKS]
MOVE = {"share": "s", "path": "s/u", "size_bytes": 1, "files": 1, "source": "a", "destination": "b"}
UNIT = {"disk": "a", "share": "s", "path": "s/u", "size_bytes": 1, "files": 1}


def plan(**changes: object) -> bytes:
    return json.dumps({**EMPTY_PLAN, "disks": PLANNED, "moves": [{**MOVE, **changes}]}).encode()


def inventory(**changes: object) -> bytes:
    return json.dumps({"disks": DISKS, "units": [{**UNIT, **changes}]}).encode()


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def vast(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 2**20)


@dataclass(frozen=True, slots=True)
class File:
    title: str
    make: Callable[[Path], object]
    exit_code: int
    said: str


EITHER = (
    File("missing", id, NOT_FOUND, "there is no file"),
    File("empty", written(b""), REFUSED, "input data was truncated"),
    File("torn", written(plan()[:-20]), REFUSED, "file"),
    File("a list", written(b"[]"), REFUSED, "expected"),
    File("null", written(b"null"), REFUSED, "expected"),
    File("not UTF-8", written(b'{"\xff": 1}'), REFUSED, "file"),
    File("nested", written(b"[" * 100_000), REFUSED, "file"),
    File("digits", written(b'{"disks": ' + b"9" * 5_000 + b"}"), REFUSED, "file"),
    File("100 MB of nothing", vast, REFUSED, "file"),
    File("symlink", lambda path: path.symlink_to("/etc/passwd"), REFUSED, "symbolic link"),
    File("fifo", os.mkfifo, REFUSED, "not a regular file"),
    File("folder", lambda path: path.mkdir(), REFUSED, "file"),
)
PLANS = (
    *EITHER,
    File("unknown disk", written(plan(destination="c")), USAGE, "does not list the disk c"),
    File("to itself", written(plan(destination="a")), USAGE, "source and its destination"),
    File("negative size", written(plan(size_bytes=-1)), USAGE, "negative"),
    *(File(f"path {path!r}", written(plan(path=path)), USAGE, "does not stay inside") for path in ("../x", "/etc", "s/../../x", "", "s//u", "s/\0")),
    File("path in base64", written(plan(path_base64="Li4vZXRj")), USAGE, "does not stay inside"),
    File("bad base64", written(plan(path_base64="!")), USAGE, "base64"),
    File("out beside", written(plan(also=[{"path": "../x"}])), USAGE, "does not stay inside"),
    File("other disks", written(plan()), 0, ""),
)  # fmt: skip
INVENTORIES = (
    *EITHER,
    File("unknown disk", written(inventory(disk="c")), USAGE, "not among"),
    File("negative size", written(inventory(size_bytes=-1)), USAGE, "size_bytes is -1"),
    File("path", written(inventory(path="s/../../x")), USAGE, "does not stay inside"),
)


@pytest.mark.parametrize("case", PLANS[:-1], ids=lambda case: case.title)
def test_a_plan_that_cannot_be_believed_is_not_carried_out(state: Path, tmp_path: Path, case: File) -> None:
    case.make(tmp_path / "file")

    ran = lab.run("run", "--yes", "--plan", tmp_path / "file", state=state)

    assert_refused(ran, case.exit_code, case.said)


@pytest.mark.parametrize("case", INVENTORIES, ids=lambda case: case.title)
def test_an_inventory_that_cannot_be_believed_is_not_planned_from(state: Path, tmp_path: Path, case: File) -> None:
    case.make(tmp_path / "file")

    ran = lab.run("plan", "--inventory", tmp_path / "file", state=state)

    assert_refused(ran, case.exit_code, case.said)


@pytest.mark.needs_mounts
def test_a_plan_for_disks_of_another_array_is_not_carried_out(trial: Trial) -> None:
    trial.prepare()
    (trial.folder / "file").write_bytes(plan())
    before = files(*trial.disks)

    ran = lab.run(*trial.named, "run", "--yes", "--plan", trial.folder / "file", state=trial.state)

    assert_clear_answer(ran, "the plan was made for a")
    assert ran.exit_code == USAGE
    assert files(*trial.disks) == before


# -- state folders ------------------------------------------------------------------------------------------------


def read_only(trial: Trial, folder: Path) -> None:
    lab.remount_read_only(trial.stack.enter_context(lab.disk(folder, "tmpfs", 1)))


def full(trial: Trial, folder: Path) -> None:
    disk = trial.stack.enter_context(lab.disk(folder, "tmpfs", 1, options="mode=700"))
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def of_others(trial: Trial, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    for inner in ("executions", "operations", "locks"):
        (folder / inner).mkdir()
        (folder / inner).chmod(0o777)


STATES: dict[str, Callable[[Trial, Path], object]] = {
    "read-only": read_only,
    "full": full,
    "others can write to it": of_others,
    "a file": lambda _, folder: folder.write_bytes(b""),
}


@pytest.mark.needs_root
@pytest.mark.needs_mounts
@pytest.mark.parametrize("which", ["config", "runtime"])
@pytest.mark.parametrize("kind", STATES)
def test_nothing_is_moved_where_the_state_cannot_be_kept(trial: Trial, which: str, kind: str) -> None:
    trial.prepare()
    plan_file = trial.plan()
    STATES[kind](trial, trial.state / which)
    before = files(*trial.disks)

    ran: Any = lab.run(*trial.named, "run", "--yes", "--plan", plan_file, state=trial.state)

    assert_clear_answer(ran, str(trial.state / which))
    assert ran.exit_code == REFUSED, str(ran)
    assert files(*trial.disks) == before
