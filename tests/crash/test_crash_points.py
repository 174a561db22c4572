"""A kill or an error at every system call of a move that changes something: nothing lost, nothing half, all recovered."""

import errno
from collections.abc import Iterable

import pytest

from crash import campaign, tracing
from crash.conftest import SetStage
from crash.figures import Figures
from crash.scenarios import QUICK, SCENARIOS, Scenario

MEDIA = ("tmpfs", "ext4", "xfs", "btrfs")
PAIRS = (("ext4", "xfs"), ("xfs", "btrfs"), ("btrfs", "ext4"))
QUICK_ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EINTR)
ERRORS = (*QUICK_ERRORS, errno.EACCES, errno.ENOMEM)


def tiers(quick: Iterable[object], everything: Iterable[object]) -> list[object]:
    """Return all cases; those that are not quick are left to ``make crash``."""
    quick = list(quick)
    return [case if case in quick else pytest.param(case, marks=pytest.mark.long) for case in everything]


def in_words(code: int) -> str:
    return errno.errorcode[code]


@pytest.mark.parametrize("scenario", tiers(QUICK, SCENARIOS), ids=str)
def test_a_kill_at_each_change_loses_nothing_and_the_next_start_finishes(
    set_stage: SetStage, scenario: Scenario
) -> None:
    figures = Figures("Q1, L1", "killed at every change", "tmpfs")

    campaign.kill_at_each_call(set_stage(scenario, "tmpfs"), figures)

    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("medium", MEDIA[1:])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_kill_at_each_change_on_a_real_file_system(set_stage: SetStage, scenario: Scenario, medium: str) -> None:
    figures = Figures("L1", "killed at every change", medium)

    campaign.kill_at_each_call(set_stage(scenario, medium), figures)

    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("scenario", QUICK, ids=str)
def test_a_kill_at_each_change_between_unlike_file_systems(
    set_stage: SetStage, scenario: Scenario, pair: tuple[str, str]
) -> None:
    figures = Figures("L1", "killed at every change", " -> ".join(pair))

    campaign.kill_at_each_call(set_stage(scenario, *pair), figures)

    figures.publish()


@pytest.mark.parametrize("code", tiers(QUICK_ERRORS, ERRORS), ids=in_words)
@pytest.mark.parametrize("scenario", tiers(QUICK, SCENARIOS), ids=str)
def test_an_error_of_each_change_keeps_every_file_and_is_said(
    set_stage: SetStage, scenario: Scenario, code: int
) -> None:
    figures = Figures("Q1, L2", "one change fails", "tmpfs")

    campaign.fail_each_call(set_stage(scenario, "tmpfs"), figures, {in_words(code): tracing.fail(code)})

    figures.publish()


@pytest.mark.parametrize("scenario", tiers(QUICK, SCENARIOS), ids=str)
def test_a_write_that_takes_half_is_gone_on_with(set_stage: SetStage, scenario: Scenario) -> None:
    figures = Figures("Q1, L2", "a short write", "tmpfs")

    campaign.fail_each_call(set_stage(scenario, "tmpfs"), figures, {"short write": tracing.shorten})

    figures.publish()


@pytest.mark.parametrize("scenario", [SCENARIOS[0], SCENARIOS[7]], ids=str)
def test_an_error_of_any_flush_is_final(set_stage: SetStage, scenario: Scenario) -> None:
    figures = Figures("Q1", "one flush fails", "tmpfs")

    campaign.fail_each_flush(set_stage(scenario, "tmpfs"), figures)

    assert figures.notes == {}
    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_an_error_of_each_look_keeps_every_file_and_is_said(set_stage: SetStage, scenario: Scenario) -> None:
    figures = Figures("L2", "one look fails", "tmpfs")

    campaign.fail_each_call(
        set_stage(scenario, "tmpfs"), figures, {"EIO": tracing.fail(errno.EIO)}, watched=tracing.LOOKS
    )

    figures.publish()


def test_a_recovery_that_is_killed_too_converges(set_stage: SetStage) -> None:
    figures = Figures("Q1, L6", "killed, killed again in recovery", "tmpfs")

    campaign.kill_twice(set_stage(QUICK[2], "tmpfs"), figures, range(3, 72, 9), range(1, 60, 7))

    figures.publish()


@pytest.mark.long
@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_third_pair_of_kills_converges(set_stage: SetStage, number: int, medium: str) -> None:
    figures = Figures("L6", "killed, killed again in recovery", medium)

    campaign.kill_twice(set_stage(SCENARIOS[number], medium), figures, range(1, 54, 2), range(number, 100, 3))

    figures.publish()
