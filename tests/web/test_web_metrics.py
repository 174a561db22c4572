"""What Prometheus reads: true figures under names of its conventions, whatever the disks are called."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from lab import RunProgram, lacking_tools
from lab.dashboard import Dashboard
from lab.needs import demand
from rebalancer.array.disk import Disk, DiskStatus
from rebalancer.engine import Engine
from rebalancer.errors import NotNowError
from rebalancer.executions.execution import Event, ExecutionStatus, ScheduleExecution
from rebalancer.schedules.schedule import Schedule
from rebalancer.settings import Settings
from rebalancer.state import choose_folders
from rebalancer.web.figures import Figures, FigureSource
from rebalancer.web.metrics import families

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
NOW = 1_795_000_000.0
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def text_of(figures: Figures) -> str:
    class Given(Collector):
        def collect(self) -> list[Metric]:
            return list(families(figures))

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given())
    return generate_latest(registry).decode()


def test_names_from_disks_cannot_break_the_text() -> None:
    hostile = 'a"} 1\nrebalancer_emergency_hold 7\\ \udcff\x1b[2J'
    figures = Figures(disks=[Disk(name=hostile, path="/a", size_bytes=100, used_bytes=40, free_bytes=60)])

    found = samples_of(text_of(figures))

    shown = 'a"} 1\\nrebalancer_emergency_hold 7\\ \\xff\\x1b[2J'
    assert found["rebalancer_disk_used_bytes", (("disk", shown),)] == 40
    assert found["rebalancer_emergency_hold", ()] == 0


def test_what_there_is_not_is_left_out_and_not_told_as_nothing() -> None:
    unusable = Disk(name="disk9", path="/9", size_bytes=0, used_bytes=0, status=DiskStatus.NOT_MOUNTED, reason="away")

    found = {name for name, _ in samples_of(text_of(Figures(disks=[unusable], problems=1)))}

    assert found == {
        "rebalancer_build_info", "rebalancer_disk_usable", "rebalancer_emergency_hold", "rebalancer_running_executions",
        "rebalancer_schedules", "rebalancer_unanswered_questions",
    }  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    folders = choose_folders(tmp_path / "config", root=Path("/"), environment={"XDG_RUNTIME_DIR": str(tmp_path)}, uid=1)
    return Engine(folders, Settings(), tmp_path)


def source_of(engine: Engine) -> tuple[FigureSource, Callable[[float], None]]:
    """Return a source of figures, and what sets its clock."""
    moment = [NOW]
    return FigureSource(lambda: engine, Engine.disks, lambda: moment[0]), lambda at: moment.__setitem__(0, at)


def ended(number: int, **changes: object) -> ScheduleExecution:
    execution = ScheduleExecution(
        execution_id=f"20261118T000000Z-nightly-{number:06x}",
        schedule_id="nightly",
        start_time=NOW - 600,
        end_time=NOW - 500,
        status=ExecutionStatus.COMPLETED,
        exit_code=0,
        duration_seconds=60.0,
        timeline=(Event(NOW - 600, "held", "it runs", guards=("mover",)), Event(NOW - 560, "started")),
    )
    return replace(execution, **changes)  # type: ignore[arg-type]


def test_how_schedules_fare_is_judged_again_when_a_record_comes_and_with_time(engine: Engine) -> None:
    engine.schedules.create(Schedule(schedule_id="nightly", cron="0 3 * * *", timezone="UTC"), now=NOW - 1000)
    source, set_clock = source_of(engine)

    conditions = [source.look().judged.health[0].condition.value]
    engine.index.store.save(ended(1, status=ExecutionStatus.FAILED, exit_code=1))
    conditions.append(source.look().judged.health[0].condition.value)
    judged = source.look().judged
    is_remembered = source.look().judged is judged
    set_clock(NOW + 2 * 86400)
    conditions.append(source.look().judged.health[0].condition.value)

    assert conditions == ["waiting", "failing", "missing runs"]
    assert is_remembered


def test_holds_count_by_guard_for_a_day(engine: Engine) -> None:
    source, set_clock = source_of(engine)
    engine.index.store.save(ended(1))
    engine.index.store.save(ended(2, end_time=NOW - 400))

    lately = source.look().held
    set_clock(NOW + 86400 - 450)
    later = source.look().held
    set_clock(NOW + 86400)

    assert (lately, later, source.look().held) == ({"mover": 80.0}, {"mover": 40.0}, {})


def test_what_cannot_be_looked_at_is_counted_and_the_rest_is_told(engine: Engine) -> None:
    engine.schedules.create(Schedule(schedule_id="nightly", cron="0 3 * * *"), now=NOW)
    engine.index.store.save(ended(1))
    (engine.folders.schedules / "broken.json").write_text("{")
    source, _ = source_of(engine)
    healthy = source.look()
    engine.folders.schedules.chmod(0o777)  # a folder that others can write to is not believed

    figures = source.look()

    assert healthy.damaged == {"schedules": 1, "executions": 0}
    assert figures.problems == healthy.problems + 1
    assert [one.successful_executions for one in figures.statistics] == [1]


def test_a_disk_that_does_not_answer_leaves_the_other_figures(engine: Engine) -> None:
    engine.index.store.save(ended(1))

    def hangs(_engine: Engine) -> list[Disk]:
        raise NotNowError("the disks have not answered for 2.0 s; one of them may hang")

    figures = FigureSource(lambda: engine, hangs, lambda: NOW).look()

    assert (figures.problems, list(figures.disks)) == (1, [])
    assert [one.successful_executions for one in figures.statistics] == [1]


def test_a_schedule_that_is_gone_is_told_while_its_records_are_there(engine: Engine) -> None:
    engine.index.store.save(ended(1))
    engine.index.store.save(ended(2, execution_id="20261118T000000Z-manual-000002", schedule_id="manual"))

    text = text_of(source_of(engine)[0].look())

    completed = {
        labels: value for (name, labels), value in samples_of(text).items() if name.endswith("executions_total")
    }
    assert sum(completed.values()) == 2
    assert {dict(labels)["schedule"] for labels in completed} == {"manual", "nightly"}


def test_the_figures_are_those_of_the_program_and_promtool_finds_nothing_wrong(
    served: Dashboard, run_program: RunProgram
) -> None:
    demand(lacking_tools("promtool"))
    run_program("schedule", "edit", "slow", "--reset", "bandwidth-limit", exit_code=0)
    run_program("schedule", "run", "slow", exit_code=0)
    statistics = run_program("schedule", "stats", "slow", "--json", exit_code=0).document
    disks = run_program("disks", "--json", exit_code=0).document
    run_program("schedule", "suspend", "slow", exit_code=0)
    run_program("emergency-stop", "--hold", "smoke", exit_code=0)
    with served.program(read_only=True) as program:
        answer = program.get("/metrics")
        begun = time.monotonic()
        again = program.get("/metrics")
        took = time.monotonic() - begun

    found, slow = samples_of(answer.text), ("schedule", "slow")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert found["rebalancer_executions_total", (slow, ("status", "completed"))] == 1
    assert found["rebalancer_moved_bytes_total", (slow,)] == statistics["total_bytes_moved"] > 0
    assert found["rebalancer_moved_files_total", (slow,)] == statistics["total_files_moved"] > 0
    assert found["rebalancer_success_ratio", (slow,)] == 1
    assert found["rebalancer_execution_duration_seconds_count", (slow,)] == 1
    assert found["rebalancer_execution_duration_seconds_sum", (slow,)] == statistics["total_duration_seconds"]
    assert (
        found["rebalancer_execution_duration_seconds", (("quantile", "0.95"), slow)]
        == statistics["p95_duration_seconds"]
    )
    assert found["rebalancer_last_success_timestamp_seconds", (slow,)] == statistics["last_success_time"]
    assert ("rebalancer_last_failure_timestamp_seconds", (slow,)) not in found
    assert ("rebalancer_next_run_timestamp_seconds", (slow,)) not in found  # suspended until somebody resumes it
    assert found["rebalancer_schedule_suspended", (slow,)] == 1
    assert found["rebalancer_schedule_condition", (("condition", "suspended"), slow)] == 1
    assert found["rebalancer_schedules", (("condition", "suspended"),)] == 1
    assert found["rebalancer_emergency_hold", ()] == 1
    assert found["rebalancer_unanswered_questions", ()] == 0
    for disk in disks:
        assert found["rebalancer_disk_used_bytes", (("disk", disk["name"]),)] == disk["used_bytes"]
        assert found["rebalancer_disk_size_bytes", (("disk", disk["name"]),)] == disk["size_bytes"]
    used = [disk["used_percent"] for disk in disks]
    assert found["rebalancer_spread_percentage_points", ()] == pytest.approx(max(used) - min(used), abs=0.02)
    assert samples_of(again.text) == found
    assert took < 2
    _demand_promtool("metrics", answer.text)
    _demand_every_name_of_the_dashboard(answer.text)


def _demand_promtool(what: str, text: str) -> None:
    checked = subprocess.run(
        ["promtool", "check", what], check=False, input=text, capture_output=True, text=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), text


def _demand_every_name_of_the_dashboard(text: str) -> None:
    """Compare the names that Grafana, the alerts and the page about them use with those explained in the answer."""
    known = set(re.findall(r"^# HELP (\S+)", text, re.MULTILINE))
    for name in ("dashboard.json", "alerts.yml"):
        used = set(re.findall(r"rebalancer_[a-z_]+", (GRAFANA / name).read_text()))
        assert len(used) > 5
        assert used <= known, name
    assert set(re.findall(r"rebalancer_[a-z_]+", PAGE.read_text())) == known


def test_the_dashboard_for_grafana_has_its_panels_side_by_side() -> None:
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    panels = dashboard["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels) >= 20
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) == 23
    assert all(target["expr"] for panel in panels for target in panel.get("targets", ()))


def test_the_rules_for_alerts_are_rules() -> None:
    demand(lacking_tools("promtool"))
    checked = subprocess.run(
        ["promtool", "check", "rules", GRAFANA / "alerts.yml"], check=False, capture_output=True, text=True, timeout=30
    )

    assert checked.returncode == 0, checked.stderr
    assert "9 rules found" in checked.stdout
