"""Unraid's script, as one that notes how it was called."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

import lab
from rebalancer.notify import unraid
from rebalancer.notify.errand import Level, NotDeliveredError, Notification

ONE = Notification(
    level=Level.WARNING,
    title="Rebalance nightly finished in part",
    summary="40 files, 1.23 TB moved; 2 files or folders stayed",
    details=("Stayed: 2 because: in use", "Next run: Thu 26 Nov 2026, 02:15"),
)


def deliver(root: Path, notification: Notification = ONE) -> None:
    unraid.deliver(notification, root=root, turns=root / "turn")


def test_the_script_is_called_as_unraid_documents_it(tmp_path: Path) -> None:
    script = lab.put_script(tmp_path)

    deliver(tmp_path)

    (call,) = lab.calls_of(tmp_path)
    assert script.exists()
    assert call.arguments == (
        *("-e", "Unraid Rebalancer"),
        *("-s", "Warning [TOWER] - Rebalance nightly finished in part"),
        *("-d", "40 files, 1.23 TB moved; 2 files or folders stayed"),
        *("-i", "warning"),
        *("-m", r"Stayed: 2 because: in use\nNext run: Thu 26 Nov 2026, 02:15"),
        *("-l", "/Main"),
    )


def test_the_script_gets_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "t0k3n")
    lab.put_script(tmp_path)

    deliver(tmp_path)

    assert lab.calls_of(tmp_path)[0].environment <= {"PATH", "HOME", "LC_ALL", "PWD", "SHLVL", "_"}


def test_names_of_files_can_neither_break_the_line_nor_become_part_of_a_page(tmp_path: Path) -> None:
    lab.put_script(tmp_path)
    notification = Notification(
        level=Level.ALERT, title='<b>"x"', summary="a\nb\x1b[31m", details=("<script>alert(1)</script>",)
    )

    deliver(tmp_path, notification)

    (call,) = lab.calls_of(tmp_path)
    assert call.value_of("-s") == "Alert [TOWER] - (b)'x'"
    assert call.value_of("-d") == r"a\nb\x1b[31m"
    assert call.value_of("-m") == "(script)alert(1)(/script)"


def test_two_of_the_same_event_are_at_least_a_second_apart_also_from_several_processes(tmp_path: Path) -> None:
    lab.put_script(tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: deliver(tmp_path), range(4)))

    times = [call.at for call in lab.calls_of(tmp_path)]
    assert len(times) == 4
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))
    assert len({int(at) for at in times}) == 4


def test_a_script_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    lab.put_script(tmp_path, then="echo first; echo 'no agent is set up' >&2; exit 3")

    with pytest.raises(NotDeliveredError) as raised:
        deliver(tmp_path)

    assert str(raised.value) == "the script ended with exit code 3: no agent is set up"


def test_a_script_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    lab.put_script(
        tmp_path, then=f"(exec -a hangs sleep 61.5) & echo $! > {tmp_path}/child; trap '' TERM; wait; sleep 61.5"
    )
    begun = time.monotonic()

    with pytest.raises(NotDeliveredError, match="did not end within 5 seconds"):
        deliver(tmp_path)

    child = int((tmp_path / "child").read_text())
    assert time.monotonic() - begun < 8
    assert not Path(f"/proc/{child}").exists() or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text()


def test_a_machine_without_the_script_is_told_so(tmp_path: Path) -> None:
    assert not unraid.is_there(tmp_path)
    with pytest.raises(NotDeliveredError, match="is missing or may not be run"):
        deliver(tmp_path)
