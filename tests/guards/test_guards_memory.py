from pathlib import Path

import pytest

from rebalancer.guards.guard import Moment
from rebalancer.guards.memory import MemoryGuard

GIB = 2**30


def moment(root: Path, available_kib: int | None) -> Moment:
    line = "" if available_kib is None else f"MemAvailable:   {available_kib} kB\n"
    (root / "proc/pressure").mkdir(parents=True, exist_ok=True)
    (root / "proc/meminfo").write_text(f"MemTotal:       16384000 kB\nMemFree:         123 kB\n{line}")
    (root / "proc/pressure/memory").write_text(
        "some avg10=12.34 avg60=1.00 avg300=0.10 total=5\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1\n"
    )
    return Moment(at=0.0, root=root, disks=())


def reason(guard: MemoryGuard, moment: Moment) -> str:
    hold = guard.look(moment)
    return hold.reason if hold is not None else ""


def test_work_is_held_while_less_memory_is_available_than_asked_for(tmp_path: Path) -> None:
    guard = MemoryGuard(GIB)

    assert reason(guard, moment(tmp_path, 1024 * 1024)) == ""
    assert reason(guard, moment(tmp_path, 500_000)) == (
        "512 MB of memory are available (at least 1.07 GB); tasks waited for it 12 % of the last 10 s"
    )


def test_it_lets_go_only_when_a_tenth_more_is_available(tmp_path: Path) -> None:
    guard = MemoryGuard(GIB)
    held = reason(guard, moment(tmp_path, 500_000))

    assert reason(guard, moment(tmp_path, 1024 * 1024 + 10)) == held
    assert reason(guard, moment(tmp_path, 1_160_000)) == ""
    assert reason(guard, moment(tmp_path, 1024 * 1024 + 10)) == ""


def test_what_cannot_be_told_holds(tmp_path: Path) -> None:
    assert "cannot be told" in reason(MemoryGuard(1), moment(tmp_path, None))


def test_what_nobody_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    assert reason(MemoryGuard(None), moment(tmp_path, None)) == ""


@pytest.mark.parametrize(("minimum", "holds"), [(1, False), (2**60, True)])
def test_this_machine_is_read_where_no_other_is_listed(tmp_path: Path, minimum: int, *, holds: bool) -> None:
    assert (MemoryGuard(minimum).look(Moment(at=0.0, root=tmp_path, disks=())) is not None) == holds
