"""``/metrics``: the figures in the text format of Prometheus, for whoever scrapes; see deploy/grafana."""

import platform
from collections.abc import Iterable, Iterator, Mapping

from litestar import Response, get
from litestar.openapi import ResponseSpec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from rebalancer import names
from rebalancer.array.disk import Disk
from rebalancer.executions.execution import ExecutionStatus
from rebalancer.executions.health import Condition, ScheduleHealth
from rebalancer.executions.statistics import ScheduleStatistics
from rebalancer.version import VERSION
from rebalancer.web.api.answers import refusals
from rebalancer.web.figures import AtWork, Figures, FigureSource
from rebalancer.web.site import Asking, Site

TEXT = "text/plain; version=0.0.4"  # the server adds the charset
_PLAIN = "text/plain"


class Metrics(Collector):
    """One registry of our own, whose only collector looks when it is asked."""

    def __init__(self, site: Site) -> None:
        self._source = FigureSource(site.open_engine, site.overview.disks, site.clock)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield from families(self._source.look())


@get(
    "/metrics",
    media_type=_PLAIN,
    tags=["monitoring"],
    security=[{"token": []}],
    responses={
        200: ResponseSpec(str, generate_examples=False, description="Metrics.", media_type=_PLAIN),
        **refusals(),
    },
    summary="Figures for Prometheus",
    sync_to_thread=True,
)
def metrics(request: Asking) -> Response[bytes]:
    """Executions, schedules, disks and what holds them, in the text format 0.0.4 of Prometheus."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=TEXT)


def families(figures: Figures) -> Iterator[Metric]:
    """Yield the figures under their names; what was not found is left out."""
    yield from _of_executions(figures.statistics)
    yield from _of_active(figures.active, figures.held)
    yield from _of_schedules(figures.judged.health)
    yield from _of_disks(figures.disks)
    yield _gauge(
        "emergency_hold", "Whether an emergency stop keeps everything new from starting (1) or not (0).",
        [({}, float(figures.is_held))],
    )  # fmt: skip
    yield _gauge(
        "damaged_records", "Files of the state folder that cannot be believed, by what they should be.",
        [({"kind": kind}, count) for kind, count in figures.damaged.items()],
    )  # fmt: skip
    yield _gauge(
        "unanswered_questions", "Parts of this scrape that could not be looked at and are missing from it.",
        [({}, figures.problems)],
    )  # fmt: skip
    yield _gauge(
        "build_info", "The version of Unraid Rebalancer and of the Python that runs it; always 1.",
        [({"version": VERSION, "python": platform.python_version()}, 1)],
    )  # fmt: skip


Labelled = Iterable[tuple[Mapping[str, str], float | None]]  # None: there is no such figure


def _gauge(name: str, words: str, values: Labelled) -> Metric:
    return _filled(GaugeMetricFamily(f"rebalancer_{name}", words), f"rebalancer_{name}", values)


def _counter(name: str, words: str, values: Labelled) -> Metric:
    return _filled(CounterMetricFamily(f"rebalancer_{name}", words), f"rebalancer_{name}_total", values)


def _filled(family: Metric, name: str, values: Labelled) -> Metric:
    """Add the figures that there are; names from disks may hold anything, the library escapes what is printable."""
    for labels, value in values:
        if value is not None:
            family.add_sample(name, {label: names.display(text) for label, text in labels.items()}, value)
    return family


def _of_executions(found: Iterable[ScheduleStatistics]) -> Iterator[Metric]:
    known = [({"schedule": one.schedule_id}, one) for one in found]
    by_status = {
        "completed": "successful_executions",
        "failed": "failed_executions",
        "cancelled": "cancelled_executions",
        "suspended": "suspended_executions",
    }
    yield _counter(
        "executions", "Executions that have ended, by schedule (manual: run by hand) and status; cleaned up ones too.",
        [
            ({**labels, "status": status}, getattr(one, field))
            for labels, one in known
            for status, field in by_status.items()
        ],
    )  # fmt: skip
    yield _counter(
        "moved_bytes", "Bytes that executions have moved; a run counts when it has ended.",
        [(labels, one.total_bytes_moved) for labels, one in known],
    )  # fmt: skip
    yield _counter(
        "moved_files", "Files that executions have moved; a run counts when it has ended.",
        [(labels, one.total_files_moved) for labels, one in known],
    )  # fmt: skip
    yield _durations(found)
    yield _gauge(
        "success_ratio", "Part of the ended executions that completed, 0 to 1.",
        [(labels, one.success_rate / 100) for labels, one in known if one.total_executions > one.active_executions],
    )  # fmt: skip
    for name, field, words in (
        ("last_execution", "last_execution_time", "When the newest execution began."),
        ("last_success", "last_success_time", "When the newest execution that completed began."),
        ("last_failure", "last_failure_time", "When the newest execution that failed began."),
    ):
        yield _gauge(
            f"{name}_timestamp_seconds", f"{words} Missing while there was none.",
            [(labels, getattr(one, field)) for labels, one in known],
        )  # fmt: skip


def _durations(found: Iterable[ScheduleStatistics]) -> Metric:
    name = "rebalancer_execution_duration_seconds"
    family = SummaryMetricFamily(
        name,
        "How long executions worked, without waiting and pausing: sum and count of all that ran, quantiles of those"
        " that are still recorded.",
    )
    for one in found:
        labels = {"schedule": one.schedule_id}
        for quantile, seconds in (("0.5", one.median_duration_seconds), ("0.95", one.p95_duration_seconds)):
            if seconds is not None:
                family.add_sample(name, {**labels, "quantile": quantile}, seconds)
        family.add_sample(f"{name}_sum", labels, one.total_duration_seconds)
        family.add_sample(f"{name}_count", labels, one.executions_that_ran)
    return family


def _of_active(active: Iterable[AtWork], held: Mapping[str, float]) -> Iterator[Metric]:
    yield _gauge(
        "running_executions", "Executions that are active now: running, or pending because something holds them.",
        [
            ({"status": status.value}, sum(one.execution.status is status for one in active))
            for status in ExecutionStatus
            if not status.is_final
        ],
    )  # fmt: skip
    copied, planned = dict[str, int](), dict[str, int]()
    for one in active:
        schedule = one.execution.schedule_id
        copied[schedule] = copied.get(schedule, 0) + one.copied_bytes
        planned[schedule] = planned.get(schedule, 0) + one.planned_bytes
    yield _gauge(
        "running_copied_bytes", "Bytes that the active executions have copied so far.",
        [({"schedule": schedule}, size) for schedule, size in copied.items()],
    )  # fmt: skip
    yield _gauge(
        "running_planned_bytes", "Bytes that the active executions have to copy in all.",
        [({"schedule": schedule}, size) for schedule, size in planned.items()],
    )  # fmt: skip
    yield _gauge(
        "held_seconds",
        "Seconds that each guard has held or paused executions: those that are active, and those that ended in the"
        " last 24 hours (the newest 200). What several guards held at once counts for each of them.",
        [({"guard": guard}, seconds) for guard, seconds in held.items()],
    )  # fmt: skip


def _of_schedules(health: Iterable[ScheduleHealth]) -> Iterator[Metric]:
    known = [({"schedule": one.schedule_id}, one) for one in health]
    yield _gauge(
        "schedules", "Schedules by how they fare.",
        [({"condition": one.value}, sum(found.condition is one for _, found in known)) for one in Condition],
    )  # fmt: skip
    yield _gauge(
        "schedule_condition", "How a schedule fares: 1 for the condition that applies, 0 for the others.",
        [
            ({**labels, "condition": one.value}, float(found.condition is one))
            for labels, found in known
            for one in Condition
        ],
    )  # fmt: skip
    yield _gauge(
        "schedule_suspended", "Whether a schedule is suspended (1) or not (0).",
        [(labels, float(one.suspension is not None)) for labels, one in known],
    )  # fmt: skip
    yield _gauge(
        "missed_runs", "Slots since the last record that nothing is recorded of: nothing started the schedule.",
        [(labels, one.missed_runs) for labels, one in known],
    )  # fmt: skip
    yield _gauge(
        "next_run_timestamp_seconds", "When a schedule fires next. Missing while it is disabled or suspended for good.",
        [(labels, one.next_run.at if one.next_run is not None else None) for labels, one in known],
    )  # fmt: skip


def _of_disks(disks: Iterable[Disk]) -> Iterator[Metric]:
    known = [({"disk": one.name}, one) for one in disks]
    sized = [(labels, one) for labels, one in known if one.size_bytes]
    for name, words in (
        ("size", "Size of a disk."),
        ("used", "Used space of a disk."),
        ("free", "Free space of a disk."),
    ):
        yield _gauge(f"disk_{name}_bytes", words, [(labels, getattr(one, f"{name}_bytes")) for labels, one in sized])
    yield _gauge(
        "disk_usable", "Whether a disk can take part (1) or not (0).",
        [(labels, float(one.is_usable)) for labels, one in known],
    )  # fmt: skip
    used = [one.used_percent for one in disks if one.is_usable]
    yield _gauge(
        "spread_percentage_points", "Used percent of the fullest disk minus that of the emptiest, of usable disks.",
        [({}, max(used) - min(used))] if used else [],
    )  # fmt: skip
