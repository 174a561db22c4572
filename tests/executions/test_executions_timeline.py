"""What is noted of holds: each change of the reasons, and no change of figures."""

from itertools import count

from rebalancer.executions.execution import Event
from rebalancer.executions.timeline import Timeline
from rebalancer.guards.hold import Hold

MOVER = Hold(guard="mover", reason="the mover runs (pid 7)")


def hot(*names: str, at: int = 47) -> Hold:
    reason = "; ".join(f"{name} is at {at} °C" for name in names)
    return Hold(guard="temperature", reason=reason, about=", ".join(names))


def noted(timeline: Timeline) -> list[tuple[str, str]]:
    return [(event.what, event.why) for event in timeline.events()]


def test_a_hold_is_noted_when_the_reasons_change_and_not_when_their_figures_do() -> None:
    ticks = count(1)
    timeline = Timeline(lambda: float(next(ticks)))

    for holds in (
        [hot("disk1")],
        [hot("disk1", at=46)],
        [MOVER, hot("disk1", at=45)],
        [hot("disk1", "disk2")],
    ):
        timeline.hold("paused", holds)
    timeline.let_go("went on")
    timeline.hold("paused", [MOVER])

    assert noted(timeline) == [
        ("paused", "disk1 is at 47 °C"),
        ("still paused", "the mover runs (pid 7); disk1 is at 45 °C"),
        ("still paused", "disk1 is at 47 °C; disk2 is at 47 °C"),
        ("went on", ""),
        ("paused", "the mover runs (pid 7)"),
    ]
    assert timeline.events()[0] == Event(1.0, "paused", "disk1 is at 47 °C", guards=("temperature",))
    assert [event.guards for event in timeline.events()[1:3]] == [("mover", "temperature"), ("temperature",)]
