"""One fault at each of the worker's calls in turn, the state judged after it, and recovery from it."""

import errno
from collections.abc import Iterator

import lab
from crash import tracing
from crash.figures import Figures
from crash.stage import OWN, Stage, in_child
from crash.tracing import Call, Fault
from lab.aftermath import own_names


def calls(stage: Stage, *, watched: dict[int, str] = tracing.CHANGES) -> list[Call]:
    """Return the calls of an undisturbed run, after which all must be as it must be."""
    stage.set_up()
    in_child(stage.prepare, stage.work)  # what Python compiles or caches at the first use is no part of the work
    stage.set_up()
    ended = stage.run(watched=watched)
    assert stage.problems() == []
    return ended.calls


def kill_at_each_call(stage: Stage, figures: Figures) -> None:
    """Kill the worker at every call that changes something, then let later starts finish."""
    for number in range(1, len(calls(stage)) + 1):
        stage.set_up()
        ended = stage.run(at=[number])
        figures.points += 1
        figures.fired += ended.was_killed
        stage.judge(figures)
        stage.judge_recovery(figures)


def fail_each_call(
    stage: Stage, figures: Figures, faults: dict[str, Fault], *, watched: dict[int, str] = tracing.CHANGES
) -> None:
    """Let one call after another go wrong, each in every way; the worker lives on and must say what it left."""
    number_of_calls = len(calls(stage, watched=watched))
    for words, fault in faults.items():
        for number in range(1, number_of_calls + 1):
            if fail_at(stage, figures, number, fault, watched=watched):
                figures.note(words)


def fail_at(
    stage: Stage, figures: Figures, number: int, fault: Fault, *, watched: dict[int, str] = tracing.CHANGES
) -> bool:
    """Let one call go wrong and judge; False when that fault means nothing for that call."""
    stage.set_up()
    ended = stage.run(at=[number], fault=fault, watched=watched)
    if ended.fired is None:
        return False
    figures.points += 1
    figures.fired += 1
    stage.judge(figures)
    problem = unsaid(stage) if ended.exit_code == 0 else ""
    if problem or (ended.exit_code != 0 and not stage.is_untouched()):
        figures.unrecovered += 1
        print(f"{stage.scenario}, {ended.fired}: {problem}")  # noqa: T201 - shown with the failure
    stage.judge_recovery(figures)
    return True


def fail_each_flush(stage: Stage, figures: Figures) -> None:
    """Let one flush after another fail: as long as no original is gone, none goes any more in that run."""
    made = calls(stage)
    gone = next(number for number, call in enumerate(made) if call.name == "unlinkat")
    for number, call in enumerate(made[:gone], start=1):
        if call.name in {"fsync", "syncfs"}:
            stage.set_up()
            figures.points += 1
            figures.fired += stage.run(at=[number], fault=tracing.fail(errno.EIO)).fired is not None
            stage.judge(figures)
            if lab.difference(stage.before[0], lab.snapshot(stage.source, ignore=OWN), ignore_folder_times=True):
                figures.note("moved although a flush had failed")


def unsaid(stage: Stage) -> str:
    """Return what the worker should have said of the state that it left: nothing is half done in silence."""
    finished, left = stage.said()
    if finished is None:
        return "the worker said no last word"
    if own_names(stage.disks) and not finished.unfinished:
        return f"names are left over of which the journal is forgotten: {own_names(stage.disks)}"
    if stage.problems() and not left and not finished.unfinished and not finished.error:
        return f"nothing was said: {stage.problems()}"
    return ""


def kill_twice(stage: Stage, figures: Figures, firsts: range, seconds: range) -> None:
    """Kill the worker, kill the recovery that follows, and let the start after that finish."""
    for first in firsts:
        for second in _recoveries(stage, first, seconds):
            stage.set_up()
            stage.run(at=[first])
            ended = stage.run("--only-begun", at=[second])
            figures.points += 1
            figures.fired += ended.was_killed
            stage.judge(figures)
            stage.judge_recovery(figures)


def _recoveries(stage: Stage, first: int, wanted: range) -> Iterator[int]:
    """Yield those wanted calls that the recovery after a kill really makes."""
    stage.set_up()
    assert stage.run(at=[first]).was_killed
    made = len(stage.run("--only-begun").calls)
    return iter(range(wanted.start, min(wanted.stop, made + 1), wanted.step))
