"""The crontab: our lines come and go, everybody else's stay to the byte."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from lab.cron import FakeCrontab, put_crontab_on_path
from rebalancer.errors import NotNowError, RefusedError
from rebalancer.schedules import crontab
from rebalancer.schedules.command import ScheduleCommand, quoted, unquoted
from rebalancer.schedules.cron import CronManager
from rebalancer.schedules.daemons import Daemon
from rebalancer.schedules.schedule import Missed, Schedule, Suspension
from rebalancer.schedules.timing import timing
from schedules.cron_lab import make_unraid, path_with

NIGHTLY = Schedule(schedule_id="nightly", cron="15 4 * * *", timezone="UTC")
WEEKLY = Schedule(schedule_id="weekly", cron="0 5 * * 0", timezone="UTC")
NOW = 1_795_424_400.0  # 2026-11-23

FOREIGN = (
    b"# my own lines\r\n"
    b"MAILTO=me@example.org\n"
    b"  17 *\t* * *   run-parts /etc/cron.hourly\n"
    b"# unraid-rebalancer: nightly\n"
    b"#15 4 * * * python x.py --config-dir /c schedule run nightly --fired-by cron # unraid-rebalancer: nightly\n"
    b"0 3 * * * /usr/bin/backup # unraid-rebalancer: nightly\n"
    b"0 3 * * * python x.py --config-dir /elsewhere schedule run nightly --fired-by cron # unraid-rebalancer: nightly\n"
    b"0 3 * * * echo 'not closed # unraid-rebalancer: nightly\n"
    b"\xff\xfe not utf-8 \\% 100%\n"
    b"\n"
    b"5 5 * * * last line, not ended"
)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_with(tmp_path))
    monkeypatch.setenv("REBALANCER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def fake(tmp_path: Path) -> FakeCrontab:
    return put_crontab_on_path(tmp_path)


def debian(root: Path) -> Path:
    (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
    (root / "usr/sbin/cron").touch()
    return root


@pytest.fixture
def cron(tmp_path: Path) -> CronManager:
    return CronManager("/opt/program.py", tmp_path / "config", root=debian(tmp_path / "root"), clock=lambda: NOW)


def test_a_schedule_gets_one_marked_line_that_runs_it(fake: FakeCrontab, cron: CronManager, tmp_path: Path) -> None:
    cron.install(NIGHTLY)

    assert fake.content.decode() == (
        f"15 4 * * * REBALANCER_RUNTIME_DIR={tmp_path}/runtime {sys.executable} /opt/program.py"
        f" --config-dir {tmp_path}/config --root {tmp_path}/root --quiet schedule run nightly --fired-by cron"
        " >/dev/null # unraid-rebalancer: nightly\n"
    )
    assert cron.installed() == {"nightly": fake.content.decode().rstrip("\n")}


def test_everything_else_stays_to_the_byte(fake: FakeCrontab, cron: CronManager) -> None:
    fake.table.write_bytes(FOREIGN)

    cron.install(NIGHTLY)
    cron.install(WEEKLY)
    both = fake.content
    cron.install(structs.replace(NIGHTLY, cron="30 4 * * *"))
    cron.remove("nightly")
    cron.remove("weekly")

    assert both.endswith(b"\n" + FOREIGN + b"\n")
    assert fake.content == FOREIGN + b"\n"  # Debian's crontab wants the last line ended


def test_the_second_time_changes_nothing(fake: FakeCrontab, cron: CronManager) -> None:
    fake.table.write_bytes(FOREIGN + b"\n")
    first = cron.synchronize([NIGHTLY, WEEKLY])
    content, written = fake.content, fake.table.stat().st_mtime_ns

    assert first == ["nightly: added to the crontab", "weekly: added to the crontab"]
    assert cron.synchronize([WEEKLY, NIGHTLY]) == []
    assert (fake.content, fake.table.stat().st_mtime_ns) == (content, written)


def test_synchronizing_adds_changes_and_removes(fake: FakeCrontab, cron: CronManager) -> None:
    cron.synchronize([NIGHTLY, WEEKLY])

    changed = cron.synchronize([structs.replace(NIGHTLY, cron="30 4 * * *")])

    assert changed == ["nightly: changed in the crontab", "weekly: removed from the crontab"]
    assert list(cron.installed()) == ["nightly"]


def test_a_disabled_schedule_has_no_line_and_a_suspended_one_keeps_it(fake: FakeCrontab, cron: CronManager) -> None:
    cron.install(NIGHTLY)
    cron.install(structs.replace(NIGHTLY, suspension=Suspension(reason="holiday", actor="me", since=1.0)))
    assert list(cron.installed()) == ["nightly"]

    cron.install(structs.replace(NIGHTLY, enabled=False))
    assert cron.installed() == {}


def test_our_line_stands_above_the_users_settings(fake: FakeCrontab, cron: CronManager) -> None:
    fake.table.write_bytes(b"SHELL=/bin/false\nTZ=Asia/Tokyo\n")

    cron.install(NIGHTLY)

    assert fake.content.index(b"schedule run") < fake.content.index(b"SHELL")


def test_a_line_that_was_copied_stands_once_afterwards(fake: FakeCrontab, cron: CronManager) -> None:
    cron.install(NIGHTLY)
    line = fake.content
    fake.table.write_bytes(line + b"# between\n" + line.replace(b"15 4", b"16 4").replace(b"\n", b"\r\n"))

    cron.install(NIGHTLY)

    assert fake.content == line + b"# between\n"


def test_two_config_folders_share_a_crontab(fake: FakeCrontab, cron: CronManager, tmp_path: Path) -> None:
    other = CronManager("/opt/program.py", tmp_path / "other", root=cron.root, clock=lambda: NOW)
    cron.install(NIGHTLY)
    other.install(NIGHTLY)

    other.synchronize([])

    assert list(cron.installed()) == ["nightly"]
    assert other.installed() == {}


def test_many_at_once_lose_nothing(fake: FakeCrontab, cron: CronManager) -> None:
    fake.table.write_bytes(FOREIGN + b"\n")
    schedules = [structs.replace(NIGHTLY, schedule_id=f"s{n}") for n in range(12)]

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(cron.install, schedules))

    assert sorted(cron.installed()) == sorted(one.schedule_id for one in schedules)
    assert fake.content.endswith(FOREIGN + b"\n")


def test_a_change_that_somebody_overwrites_is_made_again(tmp_path: Path, cron: CronManager) -> None:
    somebody = f"[ -e {tmp_path}/once ] || {{ : > {tmp_path}/once; echo '1 1 * * * theirs' > {tmp_path}/table; }}"
    fake = put_crontab_on_path(tmp_path, after=somebody)

    cron.install(NIGHTLY)

    assert fake.content.count(b"\n") == 2
    assert fake.content.endswith(b"1 1 * * * theirs\n")
    assert list(cron.installed()) == ["nightly"]


def test_a_crontab_that_is_always_overwritten_is_given_up(tmp_path: Path, cron: CronManager) -> None:
    put_crontab_on_path(tmp_path, after=f"echo '1 1 * * * theirs' > {tmp_path}/table")

    with pytest.raises(NotNowError, match="keeps changing the crontab"):
        cron.install(NIGHTLY)


def test_without_a_crontab_program_the_built_in_clock_is_named(
    cron: CronManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    with pytest.raises(RefusedError, match=r"no crontab program here.*unraid-rebalancer serve"):
        cron.install(NIGHTLY)


def test_a_crontab_that_cannot_be_read_is_never_written(tmp_path: Path, cron: CronManager) -> None:
    fake = put_crontab_on_path(tmp_path)
    program = tmp_path / "bin/crontab"
    program.write_text(
        "#!/bin/sh\n[ $1 = -l ] && { echo 'You (somebody) are not allowed to use this program' >&2; exit 1; }\n: > never\n"
    )

    with pytest.raises(RefusedError, match="not allowed to use this program"):
        cron.install(NIGHTLY)
    assert not fake.table.exists()


def test_a_path_that_no_crontab_can_hold_is_refused(fake: FakeCrontab, cron: CronManager, tmp_path: Path) -> None:
    for folder in ("line\nbreak", "x" * 990):
        with pytest.raises(RefusedError, match="path"):
            CronManager("/opt/program.py", tmp_path / folder, root=cron.root, clock=lambda: NOW).install(NIGHTLY)
    assert not fake.table.exists()


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f")), min_size=1))
def test_what_is_quoted_reaches_the_program_whether_or_not_the_daemon_knows_percent_signs(words: list[str]) -> None:
    line = quoted(words)

    for command in (line, line.replace(b"\\%", b"%")):  # dcron; Debian, which makes a line break of the others
        ran = subprocess.run(["sh", "-c", b"printf '%s\\0' " + command], capture_output=True, check=True)
        assert ran.stdout.split(b"\0")[:-1] == [word.encode() for word in words]
    assert b"%" not in line.replace(b"\\%", b"")
    assert unquoted(line) == words


def test_a_config_folder_with_an_odd_name_is_known_again(fake: FakeCrontab, cron: CronManager, tmp_path: Path) -> None:
    odd = CronManager("/opt/it's 100% $x.py", tmp_path / "50% 'off' \\ ü", root=cron.root, clock=lambda: NOW)

    odd.install(NIGHTLY)

    assert list(odd.installed()) == ["nightly"]
    assert odd.synchronize([]) == ["nightly: removed from the crontab"]


def test_a_package_runs_as_a_module() -> None:
    command = ScheduleCommand(Path("/lib/rebalancer/__main__.py"), Path("/config"))

    assert command.arguments("nightly", fired_by="clock", slot="2026-10-25T02:30:00+01:00") == [
        sys.executable, "-m", "rebalancer", "--config-dir", "/config", "--quiet",
        "schedule", "run", "nightly", "--fired-by", "clock", "--slot", "2026-10-25T02:30:00+01:00",
    ]  # fmt: skip


# Unraid


def test_on_unraid_the_lines_are_a_file_that_update_cron_collects(tmp_path: Path) -> None:
    table = make_unraid(tmp_path / "root", is_plugin_installed=True)
    cron = CronManager("/opt/program.py", tmp_path / "config", root=tmp_path / "root", clock=lambda: NOW)

    cron.synchronize([NIGHTLY, WEEKLY])

    file = tmp_path / "root/boot/config/plugins/unraid-rebalancer/unraid-rebalancer.cron"
    first, nightly, weekly, last, nothing = file.read_bytes().split(b"\n")
    assert (first, last, nothing) == (b"# Generated rebalancer schedules:", b"", b"")
    assert table.read_bytes().split(b"\n")[2:5] == [first, nightly, weekly]
    assert sorted(cron.installed()) == ["nightly", "weekly"]
    assert cron.synchronize([WEEKLY]) == ["nightly: removed from the crontab"]
    assert b"nightly" not in table.read_bytes()


def test_on_unraid_a_line_that_is_not_collected_is_no_line(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_unraid(root, is_plugin_installed=False)
    cron = CronManager("/opt/program.py", tmp_path / "config", root=root, clock=lambda: NOW)

    with pytest.raises(RefusedError, match="installed plugins only"):
        cron.install(NIGHTLY)
    assert cron.installed() == {}

    (root / "var/log/plugins/unraid-rebalancer.plg").touch()
    cron.install(NIGHTLY)
    assert list(cron.installed()) == ["nightly"]


# What the daemon is asked to do


def fields(schedule: Schedule, daemon: Daemon = Daemon.DEBIAN, machine: str = "Europe/Berlin") -> str:
    return timing(schedule, daemon=daemon, machine_timezone=machine, now=NOW)


@pytest.mark.parametrize(
    ("cron", "written"),
    [
        ("15 4 * * *", "15 4 * * *"),
        ("*/20 1-5/2 1,15 * *", "*/20 1-5/2 1,15 * *"),
        ("5/20 4 * jan-mar sun", "5,25,45 4 * 1,2,3 0"),
        ("0 4 * * fri-7", "0 4 * * 0,5,6"),
    ],
)
def test_names_and_odd_steps_are_written_as_numbers(cron: str, written: str) -> None:
    assert fields(Schedule(schedule_id="a", cron=cron)) == written


@pytest.mark.parametrize(
    ("cron", "daemon", "written"),
    [
        ("0 3 1 * 1", Daemon.DEBIAN, "0 3 1 * 1"),
        ("0 3 1 * 1", Daemon.DCRON_4_5, "0 * * * *"),
        ("10,40 5 1 1,4 *", Daemon.DCRON_4_6, "10,40 5 1 1,4 *"),  # runs too often, and the program knows better
        ("30 2 * * *", Daemon.DCRON_4_5, "0,30 * * * *"),  # at 03:00 when clocks skip 02:30
        ("30 4 * * *", Daemon.DCRON_4_5, "30 4 * * *"),
        ("30 2 * * *", Daemon.CRONIE, "30 2 * * *"),
    ],
)
def test_a_daemon_that_would_lose_slots_asks_every_hour(cron: str, daemon: Daemon, written: str) -> None:
    assert fields(Schedule(schedule_id="a", cron=cron), daemon) == written


def test_a_schedule_of_another_zone_is_asked_for_at_every_minute_that_can_match() -> None:
    assert fields(Schedule(schedule_id="a", cron="15 4 * * *", timezone="Asia/Kolkata")) == "45 * * * *"
    assert fields(Schedule(schedule_id="a", cron="15 4 * * *", timezone="Australia/Lord_Howe")) == "15,45 * * * *"
    assert fields(Schedule(schedule_id="a", cron="15 4 * * *", timezone="Europe/Berlin")) == "15 4 * * *"


def test_missed_runs_are_looked_for_every_hour() -> None:
    assert fields(Schedule(schedule_id="a", cron="15 4 * * *", missed=Missed.RUN_ONCE)) == "15 * * * *"


def test_entries_of_an_empty_table_are_none() -> None:
    assert crontab.entries(b"", Path("/c")) == {}
    assert crontab.edited(b"", {}, Path("/c")) == b""
