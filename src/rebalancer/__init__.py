"""Unraid Rebalancer: which folders should live on which disk, moved without putting a file at risk.

The names of the specification can be imported from here; each is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rebalancer.engine import SchedulingEngine as SchedulingEngine
    from rebalancer.executions.execution import ExecutionStatus as ExecutionStatus
    from rebalancer.executions.execution import ScheduleExecution as ScheduleExecution
    from rebalancer.executions.monitor import ScheduleMonitor as ScheduleMonitor
    from rebalancer.executions.statistics import ScheduleStatistics as ScheduleStatistics
    from rebalancer.schedules.cron import CronManager as CronManager
    from rebalancer.schedules.manager import ScheduleManager as ScheduleManager

_HOMES = {
    "CronManager": "rebalancer.schedules.cron",
    "ExecutionStatus": "rebalancer.executions.execution",
    "ScheduleExecution": "rebalancer.executions.execution",
    "ScheduleManager": "rebalancer.schedules.manager",
    "ScheduleMonitor": "rebalancer.executions.monitor",
    "ScheduleStatistics": "rebalancer.executions.statistics",
    "SchedulingEngine": "rebalancer.engine",
}

__all__ = [
    "CronManager",
    "ExecutionStatus",
    "ScheduleExecution",
    "ScheduleManager",
    "ScheduleMonitor",
    "ScheduleStatistics",
    "SchedulingEngine",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
