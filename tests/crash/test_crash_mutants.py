"""The laboratory finds what it is there to find: each of ten planted faults is caught by the campaign meant for it.

The ninth, a record that is not flushed, is caught beside the campaign over records.
"""

import os
from pathlib import Path

import pytest

from crash import campaign, mutants, rivals, tracing
from crash.conftest import SetStage
from crash.figures import Figures
from crash.mutants import Mutant
from crash.power import Medium, PowerLab
from crash.scenarios import SCENARIOS
from crash.stage import Stage
from lab import needs
from lab.processes import canary, is_there
from rebalancer.executions.family import stop_family

ONE_FILE = SCENARIOS[0]


def figures_of(what: str) -> Figures:
    return Figures("Q4", what, "tmpfs")


def catch(mutant: Mutant) -> None:
    """Publish that a planted fault was caught."""
    Figures("Q4", "planted faults, each caught", "", points=1, fired=1, notes={mutant.__name__: 1}).publish()


def mutated(set_stage: SetStage, mutant: Mutant, *, made: list[tracing.Call] | None = None) -> Stage:
    """Return a stage whose worker has the fault; the calls that it made without are appended to ``made``."""
    stage = set_stage(ONE_FILE, "tmpfs")
    calls = campaign.calls(stage)
    if made is not None:
        made += calls
    stage.change = mutant
    return stage


@pytest.mark.parametrize("mutant", [mutants.no_fsync, mutants.no_flush_of_names], ids=lambda mutant: mutant.__name__)
def test_power_cuts_catch_what_is_not_flushed(ram: Path, mutant: Mutant) -> None:
    needs.demand(needs.lacking_loop_disks("ext4"))
    figures, power = figures_of("power cut"), PowerLab(ram, Medium("ext4", "ext4"), ONE_FILE)
    total = power.calls()
    power.stage.change = mutant

    for number in range(total, 0, -1):
        power.cut_at(number, figures, recover=False)
        if figures.lost:
            break

    assert figures.lost > 0
    catch(mutant)


@pytest.mark.parametrize(
    ("mutant", "column"),
    [(mutants.source_goes_first, "lost"), (mutants.no_temporary_name, "half")],
    ids=["source_goes_first", "no_temporary_name"],
)
def test_kills_catch_a_wrong_order(set_stage: SetStage, mutant: Mutant, column: str) -> None:
    figures, stage = figures_of("kill"), mutated(set_stage, mutant)
    stage.set_up()

    for number in range(1, len(stage.run().calls) + 1):
        stage.set_up()
        stage.run(at=[number])
        stage.judge(figures)

    assert getattr(figures, column) > 0
    catch(mutant)


def test_a_write_that_lies_catches_a_verification_of_the_source(set_stage: SetStage) -> None:
    made: list[tracing.Call] = []
    figures, stage = figures_of("a lying write"), mutated(set_stage, mutants.source_verified_twice, made=made)

    stage.set_up()
    number = next(number for number, call in enumerate(made, start=1) if call.name == "pwrite64")
    assert stage.run(at=[number], fault=tracing.pretend).fired
    stage.judge(figures)

    assert figures.half > 0
    catch(mutants.source_verified_twice)


def test_a_failing_flush_catches_whoever_flushes_again(set_stage: SetStage) -> None:
    figures, stage = figures_of("a failing flush"), set_stage(ONE_FILE, "tmpfs")
    stage.change = mutants.flushed_again_after_an_error

    campaign.fail_each_flush(stage, figures)

    assert figures.notes["moved although a flush had failed"] > 0
    catch(mutants.flushed_again_after_an_error)


@pytest.mark.parametrize(
    ("mutant", "act"),
    [(mutants.rename_over_others, rivals.plants), (mutants.no_second_look, rivals.replaces)],
    ids=lambda value: value.__name__,
)
def test_a_rival_catches_whoever_does_not_look(set_stage: SetStage, mutant: Mutant, act: rivals.Act) -> None:
    figures, stage = figures_of("a rival"), rivals.remember(set_stage(ONE_FILE, "tmpfs"))
    stage.change = mutant

    rivals.act_at_each_call(stage, figures, "s/u/it", act)

    assert figures.lost > 0
    catch(mutant)


@pytest.mark.parametrize("mutant", [None, mutants.group_only], ids=["sound", "mutant"])
def test_a_grandchild_in_a_session_of_its_own_catches_whoever_stops_a_group(
    tmp_path: Path, mutant: Mutant | None
) -> None:
    with canary(tmp_path, "double fork", marked=True) as bird:
        child = os.fork()
        if child == 0:
            tracing.live(mutant or (lambda: None), lambda: stop_family(bird.identity, grace=2))
        assert os.waitpid(child, 0)[1] == 0

        survives = [is_there(pid) for pid in bird.grandchildren]

    assert survives == [mutant is not None]
    if mutant is not None:
        catch(mutant)


def test_there_are_ten_planted_faults_and_each_is_used() -> None:
    here = Path(__file__).parent
    planted = [
        name for name, value in vars(mutants).items() if getattr(value, "__doc__", "") and str(value.__doc__)[0] == "M"
    ]
    used = here.joinpath("test_crash_mutants.py").read_text() + here.joinpath("test_crash_records.py").read_text()

    assert len(planted) == 10
    assert [name for name in planted if name not in used] == []
