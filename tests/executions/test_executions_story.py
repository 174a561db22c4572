"""Why an execution went as it did, from its record alone."""

from dataclasses import replace

from rebalancer.executions.execution import Event, ExecutionStatus, LeftFile, ScheduleExecution
from rebalancer.executions.story import events_of, held_by_guard, holding_of, sentences_of, standing_of

HELD = ScheduleExecution(
    execution_id="x",
    schedule_id="nightly",
    start_time=10.0,
    slot="2026-11-23T03:15:00+01:00",
    fired_by="cron",
    attempt=2,
    timeline=(Event(10.0, "due"), Event(11.0, "held", "disk2 is in use")),
)


def test_a_waiting_execution_says_what_holds_it() -> None:
    assert standing_of(HELD) == "held: disk2 is in use"
    assert sentences_of(HELD) == [
        "started by cron for 2026-11-23T03:15:00+01:00, attempt 2",
        "waited 0.0 s for what held it",
        "it is pending",
    ]


def test_an_execution_without_timeline_has_a_beginning_and_an_end() -> None:
    ended = ScheduleExecution(
        execution_id="x",
        schedule_id="nightly",
        start_time=10.0,
        end_time=20.0,
        status=ExecutionStatus.FAILED,
        exit_code=3,
        error_message="disk2 is full",
        fired_by="program",
    )

    assert [(event.at, event.what, event.why) for event in events_of(ended)] == [
        (10.0, "started", "started by another program, which registered it"),
        (20.0, "ended", "failed: disk2 is full"),
    ]
    assert standing_of(ended) == ""


def test_who_stopped_it_and_what_stayed_are_told() -> None:
    stopped = ScheduleExecution(
        execution_id="x",
        schedule_id="nightly",
        start_time=10.0,
        end_time=20.0,
        status=ExecutionStatus.CANCELLED,
        exit_code=130,
        actor="alice",
        error_message="movie night",
        left=(LeftFile("disk1", "a", "in use"), LeftFile("disk1", "b", "in use"), LeftFile("disk1", "c", "immutable")),
    )

    assert sentences_of(stopped)[1:] == [
        "cancelled by alice: movie night (exit code 130)",
        "stayed where they were: 2 because: in use",
        "stayed where they were: 1 because: immutable",
    ]


def test_the_story_tells_how_long_it_was_held_and_how_often_it_paused() -> None:
    timeline = (
        Event(0.0, "due"), Event(0.0, "held", "a"), Event(50.0, "still held", "b"), Event(100.0, "started"),
        Event(110.0, "paused", "a"), Event(120.0, "still paused", "b"), Event(130.0, "went on"),
        Event(140.0, "paused", "a"), Event(150.0, "asked to stop", "a"), Event(155.0, "ended"),
    )  # fmt: skip
    ended = replace(HELD, timeline=timeline, status=ExecutionStatus.CANCELLED, exit_code=130)

    assert sentences_of(ended)[1:-1] == ["waited 1 min 40 s for what held it", "was paused 2 times, for 35 s in all"]
    assert holding_of(ended) == ""


def test_what_holds_an_active_execution_is_told_until_it_goes_on() -> None:
    paused = replace(HELD, timeline=(*HELD.timeline, Event(12.0, "started"), Event(13.0, "still paused", "too hot")))

    assert holding_of(HELD) == "held: disk2 is in use"
    assert holding_of(paused) == "paused: too hot"
    assert holding_of(replace(paused, timeline=(*paused.timeline, Event(14.0, "went on")))) == ""


def test_the_seconds_of_holds_are_told_by_guard() -> None:
    timeline = (
        Event(0.0, "held", "a", guards=("mover",)), Event(50.0, "still held", "b", guards=("mover", "parity")),
        Event(60.0, "started"), Event(70.0, "paused", "c", guards=("temperature",)), Event(75.0, "asked to stop"),
    )  # fmt: skip
    active = replace(HELD, status=ExecutionStatus.RUNNING, timeline=timeline)
    ended = replace(active, status=ExecutionStatus.CANCELLED, end_time=80.0)

    assert held_by_guard(active, now=100.0) == {"mover": 60.0, "parity": 10.0, "temperature": 30.0}
    assert held_by_guard(ended, now=100.0) == {"mover": 60.0, "parity": 10.0, "temperature": 10.0}
    assert held_by_guard(HELD, now=31.0) == {"unknown": 20.0}
