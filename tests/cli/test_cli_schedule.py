"""What each command of ``schedule`` prints, keeps and does not touch."""

import dataclasses
import functools
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from rebalancer.errors import NotFoundError, RefusedError
from rebalancer.executions.execution import ExecutionStatus, ScheduleExecution
from rebalancer.executions.statistics import ScheduleStatistics
from rebalancer.executions.verdict import Ending, Verdict
from rebalancer.planning.selection import Selection
from rebalancer.schedules.manager import ScheduleManager
from rebalancer.schedules.schedule import Missed, Overlap, Schedule, Suspension
from rebalancer.state import StateFolders

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()  # a Monday
Ask = Callable[..., Any]


STOPPED = Verdict(
    execution_id="20261123T180000Z-nightly-abc", schedule_id="nightly", verdict=Ending.STOPPED, seconds=0.8
)


@dataclasses.dataclass
class Cron:
    """Notes which schedules it was told of."""

    told: list[list[str]] = dataclasses.field(default_factory=list)
    error: Exception | None = None

    def synchronize(self, schedules: list[Schedule]) -> list[str]:
        if self.error is not None:
            raise self.error
        self.told.append([schedule.schedule_id for schedule in schedules])
        return []

    def installed(self) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        return {name: f"a line for {name}" for name in (self.told[-1] if self.told else [])}


@dataclasses.dataclass
class Control:
    """Suspends and resumes in the schedule's file, and answers with prepared verdicts."""

    manager: ScheduleManager
    verdicts: list[Verdict] = dataclasses.field(default_factory=list)

    def suspend(self, schedule_id: str, *, reason: str, until: float | None = None) -> list[Verdict]:
        self.manager.suspend(schedule_id, Suspension(reason=reason, actor="anna", since=NOW, until=until))
        return self.verdicts

    def resume(self, schedule_id: str) -> None:
        self.manager.resume(schedule_id, now=NOW)


@dataclasses.dataclass
class Index:
    known: dict[str, ScheduleStatistics] = dataclasses.field(default_factory=dict)
    executions: list[ScheduleExecution] = dataclasses.field(default_factory=list)

    def statistics(self, schedule_id: str) -> ScheduleStatistics | None:
        return self.known.get(schedule_id)

    def latest(self, schedule_id: str, *, count: int) -> list[ScheduleExecution]:
        return [one for one in self.executions if one.schedule_id == schedule_id][:count]

    def newest_of_each(self, schedule_ids: list[str], *, count: int) -> dict[str, list[ScheduleExecution]]:
        return {one: self.latest(one, count=count) for one in schedule_ids}

    def success_before_records(self, schedule_id: str) -> float | None:
        known = self.known.get(schedule_id)
        return None if known is None else known.last_success_time


@pytest.fixture
def engine(engine: Any, tmp_path: Path) -> Any:
    """Give the fake engine real schedules in a folder of the test, and a clock that stands still."""
    engine.schedules = ScheduleManager(tmp_path / "config")
    engine.cron, engine.index, engine.control = Cron(), Index(), Control(engine.schedules)
    engine.clock, engine.root = lambda: NOW, tmp_path
    engine.folders = StateFolders(config=tmp_path / "config", runtime_root=tmp_path / "runtime")
    return engine


@pytest.fixture
def ask(ask: Ask, tmp_path: Path) -> Ask:
    """Run a command line on a machine of which only Debian's cron is known."""
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/cron").touch()
    return functools.partial(ask, "--root", str(tmp_path))


@pytest.fixture
def nightly(engine: Any) -> Schedule:
    manager: ScheduleManager = engine.schedules
    return manager.create(Schedule(schedule_id="nightly", cron="15 4 * * *"), now=NOW - 1000)


def stored(engine: Any) -> Schedule:
    manager: ScheduleManager = engine.schedules
    (schedule,) = manager.list()
    return schedule


def test_a_template_makes_a_schedule_that_says_when_it_runs_next(ask: Ask, engine: Any) -> None:
    answer = ask("schedule", "create", "--template", "nightly")

    assert answer.exit_code == 0
    assert answer.out == (
        "created nightly: 15 4 * * * (Europe/Berlin)\nnext: tomorrow 04:15, Wed 25 Nov 04:15, Thu 26 Nov 04:15\n"
    )
    assert stored(engine).selection == Selection(max_runtime=3 * 3600)
    assert engine.cron.told == [["nightly"]]


def test_options_overrule_the_template_and_keep_the_rest_of_it(ask: Ask, engine: Any) -> None:
    ask("schedule", "create", "--template", "nightly", "--at", "05:30", "--share", "movies", "--max-wait", "2h")

    schedule = stored(engine)
    assert (schedule.cron, schedule.max_wait) == ("30 5 * * *", 7200)
    assert schedule.selection == Selection(max_runtime=3 * 3600, shares=("movies",))


def test_every_option_reaches_its_field(ask: Ask, engine: Any) -> None:
    answer = ask(
        "--disk", "/mnt/a", "--disk", "/mnt/b,size=10GB", "schedule", "create", "mine", "--cron", "30 5 * * 1",
        "--name", "Müllers", "--timezone", "UTC", "--active-hours", "22:00-06:00", "--above-percent", "85%",
        "--when-idle", "--overlap", "queue", "--missed", "run-once", "--catch-up-window", "2d", "--jitter", "10m",
        "--retries", "2", "--retry-delay", "1m", "--suspend-after-failures", "3", "--keep-days", "60",
        "--keep-failed-days", "70", "--keep-at-least", "5", "--max-wait", "0", "--bandwidth-limit", "50MB/s",
        "--strategy", "target", "--target-percent", "70",
    )  # fmt: skip

    assert answer.exit_code == 0
    schedule = stored(engine)
    assert structs.replace(schedule, created_at=0.0, updated_at=0.0) == Schedule(
        schedule_id="mine", cron="30 5 * * 1", name="Müllers", timezone="UTC", active_hours="22:00-06:00",
        above_percent=85.0, only_when_idle=True, overlap=Overlap.QUEUE, missed=Missed.RUN_ONCE,
        catch_up_window=172800, jitter=600, retries=2, retry_delay=60, suspend_after_failures=3, keep_days=60,
        keep_failed_days=70, keep_at_least=5, max_wait=0, disks=("/mnt/a", "/mnt/b,size=10GB"),
        selection=Selection(strategy=schedule.selection.strategy, target_percent=70.0, bandwidth_limit=50_000_000),
    )  # fmt: skip
    assert schedule.selection.strategy.value == "target"


@pytest.mark.parametrize(
    ("options", "expression", "schedule_id"),
    [
        (("--at", "3:05"), "5 3 * * *", "daily"),
        (("--at", "03:05", "--on", "sat"), "5 3 * * 6", "weekly"),
        (("--on", "sat", "--on", "SUN"), "15 4 * * 6,0", "weekly"),
        (("--on", "mon-fri"), "15 4 * * 1-5", "weekly"),
        (("--on", "fri-sun"), "15 4 * * 5,6,0", "weekly"),
        (("--at", "03:05", "--on", "1", "--on", "15"), "5 3 1,15 * *", "monthly"),
        (("--template", "weekly", "--on", "wed"), "15 5 * * 3", "weekly"),
        (("--template", "above", "--name", "  Wenn's eng wird! "), "50 4 * * *", "wenn-s-eng-wird"),
        (("--at", "06:00", "--name", "x" * 60), "0 6 * * *", "x" * 36),
    ],
)
def test_times_of_day_become_an_expression_and_the_id_is_derived(
    ask: Ask, engine: Any, options: tuple[str, ...], expression: str, schedule_id: str
) -> None:
    assert ask("schedule", "create", *options).exit_code == 0

    assert (stored(engine).cron, stored(engine).schedule_id) == (expression, schedule_id)


def test_a_derived_id_that_is_taken_gets_a_number(ask: Ask, engine: Any) -> None:
    for _ in range(3):
        ask("schedule", "create", "--template", "nightly")

    assert [schedule.schedule_id for schedule in engine.schedules.list()] == ["nightly", "nightly-2", "nightly-3"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "say when it runs"),
        (("mine",), "say when it runs"),
        (("--at", "24:00"), "--at: '24:00' is not a time of day"),
        (("--at", "4"), "--at: '4' is not a time of day"),
        (("--on", "31"), "--on: '31' is neither a day"),
        (("--on", "sat", "--on", "1"), "--on: days of the week and days of the month cannot be mixed"),
        (("--on", "noday"), "--on: 'noday' is neither a day"),
        (("--cron", "0 3 * * *", "--at", "03:00"), "--at: --cron says already when to run"),
        (("--cron", "0 3 * * *", "--template", "weekly"), "--template: --cron says already"),
        (("--cron", "60 * * * *"), "--cron: '60' is no minute; allowed are 0-59"),
        (("--cron", "@daily"), "--cron: @daily is not understood by every cron; write '0 0 * * *'"),
        (("--cron", "0 0 30 2 *"), "never runs"),
        (("--at", "03:00", "--timezone", "Mars"), "--timezone: 'Mars' is not a time zone"),
        (("--at", "03:00", "--active-hours", "nights"), "--active-hours: 'nights' cannot be read"),
        (("--at", "03:00", "--above-percent", "100"), "--above-percent: allowed is 1 % to 99 %"),
        (("--at", "03:00", "--above-percent", "nan"), "--above-percent: 'nan' is not a percentage"),
        (("--at", "03:00", "--jitter", "7h"), "--jitter: allowed is 0.0 s to 6 h 00 min"),
        (("--at", "03:00", "--retries", "11"), "--retries: allowed is 0 to 10"),
        (("--at", "03:00", "--retries", "x"), "--retries: 'x' is not a number"),
        (("--at", "03:00", "--target-percent", "70"), "target_percent: only the strategy target has a target"),
        (("MINE", "--at", "03:00"), "schedule_id: 'MINE' is not allowed"),
        (("manual", "--at", "03:00"), "schedule_id: 'manual' is reserved"),
        (("--at", "03:00", "--name", "日本"), "no id can be made of that name"),
        (("--at", "03:00", "--name", "a\x1b[31m"), "--name: "),
        (("--at", "03:00", "--disk", "mnt/a"), "disks: 'mnt/a' is not an absolute path"),
    ],
)
def test_what_a_schedule_cannot_mean_is_refused_and_nothing_is_saved(
    ask: Ask, engine: Any, options: tuple[str, ...], sentence: str
) -> None:
    answer = ask("schedule", "create", *options)

    assert (answer.exit_code, answer.out) == (2, "")
    assert sentence in answer.err
    assert engine.schedules.list() == []
    assert engine.cron.told == []


def test_a_taken_id_is_refused(ask: Ask, nightly: Schedule) -> None:
    answer = ask("schedule", "create", "nightly", "--at", "03:00")

    assert answer.exit_code == 4
    assert "there is a schedule nightly already" in answer.err


def test_the_json_of_create_holds_every_field_and_the_next_firings(ask: Ask) -> None:
    document = json.loads(ask("schedule", "create", "--template", "nightly", "--json").out)

    assert {*Schedule.__struct_fields__, "state", "next", "warnings"} == set(document)
    assert set(document["selection"]) == set(Selection.__struct_fields__)
    assert document["overlap"] == "skip"
    assert document["next"][0] == {"at": document["next"][0]["at"], "local": "2026-11-24T04:15:00+01:00"}


def test_when_cron_cannot_be_told_the_schedule_is_saved_all_the_same(ask: Ask, engine: Any) -> None:
    engine.cron.error = RefusedError("the crontab of root cannot be read")

    answer = ask("schedule", "create", "--template", "nightly")

    assert answer.exit_code == 0
    assert stored(engine).schedule_id == "nightly"
    assert "the schedule is saved, but cron could not be told: the crontab of root cannot be read" in answer.err
    assert "unraid-rebalancer serve" in answer.err


def test_quiet_leaves_only_what_went_wrong(ask: Ask, engine: Any) -> None:
    quiet = ask("--quiet", "--disk", "/mnt/disk3", "schedule", "create", "--template", "nightly")
    engine.cron.error = RefusedError("crontab is missing")
    failed = ask("--quiet", "schedule", "edit", "nightly", "--jitter", "5m")

    assert (quiet.exit_code, quiet.out, quiet.err) == (0, "", "")
    assert (failed.exit_code, failed.out) == (0, "")
    assert "cron could not be told" in failed.err


def test_a_named_disk_that_cannot_be_used_now_is_told_and_remembered(ask: Ask, engine: Any) -> None:
    answer = ask("--disk", "/mnt/disk3", "schedule", "create", "--template", "nightly")

    assert "disk3 cannot be used now: nothing is mounted at /mnt/disk3" in answer.err
    assert stored(engine).disks == ("/mnt/disk3",)


def test_an_edit_changes_only_what_is_named(ask: Ask, engine: Any) -> None:
    ask("schedule", "create", "mine", "--cron", "30 5 * * 1", "--jitter", "10m", "--share", "a", "--max-runtime", "2h")
    before = stored(engine)

    answer = ask("schedule", "edit", "mine", "--at", "06:45", "--max-runtime", "3h")

    assert answer.exit_code == 0
    assert structs.replace(stored(engine), updated_at=before.updated_at) == structs.replace(
        before, cron="45 6 * * 1", selection=Selection(shares=("a",), max_runtime=3 * 3600)
    )
    assert engine.cron.told == [["mine"], ["mine"]]


def test_an_edit_gives_options_their_default_back(ask: Ask, engine: Any) -> None:
    ask(
        "--disk",
        "/mnt/a",
        "schedule",
        "create",
        "mine",
        "--at",
        "05:00",
        "--when-idle",
        "--share",
        "a",
        "--jitter",
        "5m",
    )

    answer = ask(
        "schedule", "edit", "mine", "--no-when-idle", "--reset", "share", "--reset", "--jitter", "--reset", "disk"
    )

    assert answer.exit_code == 0
    assert structs.replace(stored(engine), created_at=0.0, updated_at=0.0) == Schedule(
        schedule_id="mine", cron="0 5 * * *"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "nothing to change"),
        (("--reset", "cron"), "--reset: 'cron' is no option that has a default"),
        (("--reset", "jitter", "--jitter", "5m"), "--reset: jitter is also given a value"),
        (("--retries", "-1"), "--retries: '-1' is not a number"),
        (("--max-unit-size", "1", "--min-unit-size", "2"), "max_unit_size: is smaller than min_unit_size"),
    ],
)
def test_an_edit_that_means_nothing_changes_nothing(
    ask: Ask, engine: Any, nightly: Schedule, options: tuple[str, ...], sentence: str
) -> None:
    answer = ask("schedule", "edit", "nightly", *options)

    assert answer.exit_code == 2
    assert sentence in answer.err
    assert stored(engine) == nightly


def test_the_list_shows_when_each_runs_next_and_what_keeps_it(ask: Ask, engine: Any, nightly: Schedule) -> None:
    for name, zone in (("off", ""), ("resting", ""), ("tokyo", "Asia/Tokyo")):
        engine.schedules.create(structs.replace(nightly, schedule_id=name, timezone=zone), now=NOW)
    ask("schedule", "disable", "off")
    ask("schedule", "suspend", "resting", "--reason", "new disk", "--until", "2026-12-01")

    out = ask("schedule", "list").out.splitlines()

    assert [line.split("  ")[0] for line in out] == ["schedule", "nightly", "off", "resting", "tokyo"]
    assert "tomorrow 04:15" in out[1]
    assert out[2].split()[-2:] == ["-", "disabled"]
    assert "Tue 1 Dec 04:15" in out[3]
    assert "suspended by anna until Tue 1 Dec 00:00: new disk" in out[3]
    assert "04:15 Asia/Tokyo" in out[4]


def test_an_empty_list_says_how_to_begin(ask: Ask) -> None:
    assert "schedule create --template nightly" in ask("schedule", "list").out
    assert ask("schedule", "list", "--json").out == "[]\n"


def test_a_damaged_schedule_is_named_and_hides_no_other(ask: Ask, engine: Any, nightly: Schedule) -> None:
    (engine.schedules.folder / "broken.json").write_text("{")

    answer = ask("schedule", "list", "--json")

    assert [entry["schedule_id"] for entry in json.loads(answer.out)] == ["nightly"]
    assert "unreadable: " in answer.err
    assert "broken.json" in answer.err
    assert ask("schedule", "show", "broken").exit_code == 4


def test_show_tells_the_options_that_are_not_at_their_default(ask: Ask, nightly: Schedule) -> None:
    ask("schedule", "edit", "nightly", "--bandwidth-limit", "50MB/s", "--jitter", "10m", "--share", "a", "--share", "b")

    lines = ask("schedule", "show", "nightly").out.splitlines()

    assert lines[0] == "nightly: 15 4 * * * (Europe/Berlin), enabled"
    assert lines[1].endswith("Thu 26 Nov 04:15, each up to 10 min 00 s later")
    assert [line.split("  ", 1)[0] for line in lines[4:]] == ["jitter", "shares", "bandwidth-limit"]
    assert "a, b" in lines[5]
    assert "50.0 MB/s" in lines[6]


def test_next_tells_the_firings_of_all_in_their_order(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.schedules.create(Schedule(schedule_id="hourly", cron="0 */8 * * *"), now=NOW)

    rows = [line.split("  ") for line in ask("schedule", "next", "--count", "3").out.splitlines()[1:]]

    assert [row[0] for row in rows] == ["hourly", "nightly", "hourly"]
    assert [cell.strip() for cell in rows[1][1:]] == ["tomorrow 04:15", "in 8 h 15 min"]
    assert "hourly" not in ask("schedule", "next", "nightly").out
    assert [one["local"] for one in json.loads(ask("schedule", "next", "--json", "--count", "2").out)] == [
        "2026-11-24T00:00:00+01:00",
        "2026-11-24T04:15:00+01:00",
    ]


@pytest.mark.parametrize("count", ["0", "-1", "1001", "many"])
def test_next_refuses_a_count_that_is_none(ask: Ask, nightly: Schedule, count: str) -> None:
    assert ask("schedule", "next", "--count", count).exit_code == 2


def test_disable_and_enable_keep_the_schedule_and_tell_cron(ask: Ask, engine: Any, nightly: Schedule) -> None:
    off = ask("schedule", "disable", "nightly")
    assert not stored(engine).enabled
    on = ask("schedule", "enable", "nightly")

    assert stored(engine).enabled
    assert "next: never as it stands (disabled)" in off.out
    assert "next: tomorrow 04:15" in on.out
    assert engine.cron.told == [["nightly"], ["nightly"]]


def test_delete_removes_the_schedule_and_its_line(ask: Ask, engine: Any, nightly: Schedule) -> None:
    answer = ask("schedule", "delete", "nightly", "--json")

    assert json.loads(answer.out) == {"schedule_id": "nightly", "deleted": True, "warnings": []}
    assert engine.schedules.list() == []
    assert engine.cron.told == [[]]


@pytest.mark.parametrize(("typed", "exit_code"), [("n\n", 130), ("y\n", 0)])
def test_delete_asks_whoever_sits_at_the_terminal(
    on_terminal: Callable[..., Any], engine: Any, nightly: Schedule, typed: str, exit_code: int
) -> None:
    terminal = on_terminal("schedule", "delete", "nightly", typed=typed)

    assert terminal.exit_code == exit_code
    assert any("remove schedule nightly?" in line for line in terminal.lines)
    assert bool(engine.schedules.list()) is (exit_code == 130)


def test_run_gives_the_schedule_its_turn_and_ends_with_its_exit_code(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.execution = dataclasses.replace(engine.execution, exit_code=75)

    answer = ask("schedule", "run", "nightly")

    assert answer.exit_code == 75
    assert engine.fired == [("nightly", "hand", None)]
    assert "completed\n25 of 25 moves" in answer.out


def test_run_prints_only_its_record_as_json(ask: Ask, nightly: Schedule) -> None:
    record = json.loads(ask("schedule", "run", "nightly", "--json").out)

    assert (record["schedule_id"], record["status"], record["exit_code"]) == ("nightly", "completed", 0)


def test_a_run_by_cron_says_nothing(ask: Ask, engine: Any, nightly: Schedule) -> None:
    answer = ask("schedule", "run", "nightly", "--fired-by", "cron", "--slot", "2026-11-24T04:15:00+01:00")

    assert (answer.exit_code, answer.out, answer.err) == (0, "", "")
    assert engine.fired == [("nightly", "cron", "2026-11-24T04:15:00+01:00")]


def test_a_slot_that_was_taken_already_ends_silently(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.has_fired_already = True

    answer = ask("schedule", "run", "nightly", "--fired-by", "clock")

    assert (answer.exit_code, answer.out, answer.err) == (0, "", "")


def test_suspend_stops_tells_the_verdict_and_says_when_it_ends(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.control.verdicts = [STOPPED]

    answer = ask("schedule", "suspend", "nightly", "--reason", "Maintenance window", "--until", "3d")

    assert answer.exit_code == 0
    assert stored(engine).suspension == Suspension(
        reason="Maintenance window", actor="anna", since=NOW, until=NOW + 3 * 86400
    )
    assert answer.out.splitlines() == [
        "20261123T180000Z-nightly-abc: stopped after 0.8 s",
        "suspended nightly",
        "next: Fri 27 Nov 04:15, Sat 28 Nov 04:15, Sun 29 Nov 04:15",
    ]


def test_suspend_fails_when_something_of_it_lives_on(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.control.verdicts = [structs.replace(STOPPED, verdict=Ending.KILL_PENDING, detail="waiting for disk3")]

    answer = ask("schedule", "suspend", "nightly", "--json")

    assert answer.exit_code == 1
    document = json.loads(answer.out)
    assert document["state"] == "suspended"
    assert document["executions"][0]["detail"] == "waiting for disk3"


@pytest.mark.parametrize(
    ("until", "sentence"),
    [
        ("2020-01-01", "--until: '2020-01-01' is past"),
        ("0m", "--until: '0m' is past"),
        ("2090-01-01", "more than ten years away"),
        ("soon", "--until: 'soon' is no time"),
        ("2026-13-01", "is no time"),
    ],
)
def test_an_end_that_is_none_is_refused_and_nothing_is_suspended(
    ask: Ask, engine: Any, nightly: Schedule, until: str, sentence: str
) -> None:
    answer = ask("schedule", "suspend", "nightly", "--until", until)

    assert answer.exit_code == 2
    assert sentence in answer.err
    assert stored(engine).suspension is None


def test_resume_ends_the_suspension_and_may_be_repeated(ask: Ask, engine: Any, nightly: Schedule) -> None:
    ask("schedule", "suspend", "nightly")

    for _ in range(2):
        answer = ask("schedule", "resume", "nightly")
        assert answer.exit_code == 0
        assert answer.out.splitlines()[0] == "resumed nightly"

    assert stored(engine).suspension is None


def test_health_tells_the_last_success_and_what_comes_next(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.index.executions = [ran(NOW - 900)]
    ask("schedule", "enable", "nightly")

    answer = ask("schedule", "health")

    assert answer.exit_code == 0
    assert [cell.strip() for cell in answer.out.splitlines()[1].split("  ")] == [
        "nightly", "healthy", "today 19:46", "tomorrow 04:15",
    ]  # fmt: skip
    assert "cron does not know" not in answer.out


def test_health_names_what_failed_with_its_reason_and_ends_with_1(ask: Ask, engine: Any, nightly: Schedule) -> None:
    engine.index.executions = [
        ran(NOW - 900, status=ExecutionStatus.FAILED, exit_code=1, error_message="disk2 is full")
    ]

    answer = ask("schedule", "health", "nightly")

    assert answer.exit_code == 1
    assert "nightly: the last run failed: disk2 is full" in answer.out
    assert "nightly: cron does not know of it" in answer.out


def test_health_counts_the_runs_that_nothing_started(ask: Ask, engine: Any) -> None:
    engine.schedules.create(Schedule(schedule_id="nightly", cron="15 4 * * *"), now=NOW - 3 * 86400)

    answer = ask("schedule", "health", "--json")

    assert answer.exit_code == 1
    (one,) = json.loads(answer.out)
    assert (one["condition"], one["missed_runs"]) == ("missing runs", 3)


def test_health_says_who_suspended_a_schedule_and_why(ask: Ask, nightly: Schedule) -> None:
    ask("schedule", "suspend", "nightly", "--reason", "new disk")

    answer = ask("schedule", "health")

    assert answer.exit_code == 0
    assert "nightly: suspended by anna: new disk" in answer.out


def ran(at: float, **changes: Any) -> ScheduleExecution:
    execution = ScheduleExecution(
        execution_id="20261123T180000Z-nightly-abc", schedule_id="nightly", start_time=at, end_time=at + 60,
        status=ExecutionStatus.COMPLETED, exit_code=0, duration_seconds=60.0,
    )  # fmt: skip
    return dataclasses.replace(execution, **changes)


@pytest.mark.parametrize(
    "command",
    [
        ("show",), ("edit", "--at", "03:00"), ("delete",), ("enable",), ("disable",), ("run",), ("suspend",),
        ("resume",), ("next",), ("health",),
    ],
    ids=lambda command: command[0],
)  # fmt: skip
@pytest.mark.parametrize("unknown", ["absent", "../nightly", "a/b", "A", "x" * 300])
def test_an_unknown_id_is_answered_with_3(ask: Ask, nightly: Schedule, command: tuple[str, ...], unknown: str) -> None:
    name, *options = command

    answer = ask("schedule", name, unknown, *options)

    assert (answer.exit_code, answer.out) == (NotFoundError.exit_code, "")
    assert "there is no schedule" in answer.err


def test_a_retry_is_no_way_to_fire_a_schedule(ask: Ask) -> None:
    answer = ask("schedule", "run", "nightly", "--fired-by", "retry")

    assert answer.exit_code == 2
    assert "'retry' is not one of" in answer.err
