"""What a cron daemon would do differently, and from which date on."""

from pathlib import Path

import pytest

from rebalancer.schedules.lint import Daemon, lint, which_daemon
from rebalancer.schedules.schedule import Schedule

NOW = 1_795_424_400.0  # 2026-11-23, a Monday


def said(cron: str, daemon: Daemon, timezone: str = "Europe/Berlin") -> str:
    return " | ".join(lint(Schedule(schedule_id="a", cron=cron), daemon=daemon, machine_timezone=timezone, now=NOW))


@pytest.mark.parametrize("daemon", [Daemon.DEBIAN, Daemon.CRONIE])
@pytest.mark.parametrize("cron", ["0 3 1 * 1", "30 2 * * *", "0 3 1 jan,apr *", "*/20 0-4 */2 * fri"])
def test_daemons_that_do_as_meant_are_not_complained_about(cron: str, daemon: Daemon) -> None:
    assert said(cron, daemon) == ""


@pytest.mark.parametrize("daemon", [one for one in Daemon if one is not Daemon.NONE])
def test_a_plain_expression_is_safe_everywhere(daemon: Daemon) -> None:
    assert said("15 4 * * 0", daemon) == ""


def test_dcron_4_5_never_fires_with_both_days_given() -> None:
    assert "dcron 4.5 would never fire on 2026-11-24: the day of the month and the day" in said(
        "0 3 1 * 2", Daemon.DCRON_4_5
    )


def test_dcron_4_6_ignores_the_month() -> None:
    assert "dcron 4.6 would also fire on 2026-12-01: it ignores the month" in said("0 3 1 1,4,7,10 *", Daemon.DCRON_4_6)
    assert said("0 3 1 */1 *", Daemon.DCRON_4_6) == ""


def test_busybox_takes_either_day_where_a_star_asks_for_both() -> None:
    assert "BusyBox crond would also fire on 2026-11-25" in said("0 3 */2 * 1", Daemon.BUSYBOX)
    assert said("0 3 1 * 1", Daemon.BUSYBOX) == ""


def test_a_time_of_day_that_clocks_skip_or_double_is_named_with_its_date() -> None:
    both = said("30 2 * * *", Daemon.DCRON_4_5)

    assert "would not fire on 2027-03-28: clocks skip that time of day in Europe/Berlin" in both
    assert "would fire twice on 2027-10-31: that time of day comes twice in Europe/Berlin" in both
    assert said("30 2 * * *", Daemon.DCRON_4_5, "Asia/Kolkata") == ""
    assert said("30 2 * * 1", Daemon.BUSYBOX) == ""  # clocks change on Sundays
    assert said("*/30 * * * *", Daemon.BUSYBOX) == ""


def test_without_a_moment_nothing_is_dated() -> None:
    found = lint(
        Schedule(schedule_id="a", cron="30 2 1 3 0"), daemon=Daemon.DCRON_4_5, machine_timezone="Europe/Berlin"
    )

    assert len(found) == 2
    assert not any("202" in sentence for sentence in found)


def test_where_there_is_no_daemon_the_built_in_clock_is_named() -> None:
    assert "unraid-rebalancer serve" in said("15 4 * * *", Daemon.NONE)


def put(root: Path, path: str, content: bytes = b"") -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("path", "content", "daemon"),
    [
        ("usr/sbin/cron", b"", Daemon.DEBIAN),
        ("usr/sbin/crond", b"\x7fELF cronie 1.7.2\0", Daemon.CRONIE),
        ("usr/sbin/crond", b"\x7fELF\0%s 4.5 dillon's cron daemon, started with loglevel %s\0", Daemon.DCRON_4_5),
        ("usr/sbin/crond", b"\x7fELF\0%s 4.6 dillon's cron daemon, started\0", Daemon.DCRON_4_6),
        ("usr/sbin/crond", b"\x7fELF\0BusyBox v1.36.1\0", Daemon.BUSYBOX),
        ("etc/unraid-version", b'version="7.2.0"', Daemon.DCRON_4_5),
        ("usr/lib/systemd/system-generators/systemd-crontab-generator", b"", Daemon.SYSTEMD),
        ("etc/hostname", b"tower", Daemon.NONE),
    ],
)
def test_the_daemon_is_told_by_its_program(tmp_path: Path, path: str, content: bytes, daemon: Daemon) -> None:
    assert which_daemon(put(tmp_path, path, content)) is daemon


def test_busybox_is_known_by_the_program_behind_the_link(tmp_path: Path) -> None:
    put(tmp_path, "bin/busybox")
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/crond").symlink_to(tmp_path / "bin/busybox")

    assert which_daemon(tmp_path) is Daemon.BUSYBOX
