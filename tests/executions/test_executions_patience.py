"""When a hold is told of."""

from rebalancer.executions.patience import Patience
from rebalancer.guards.hold import Hold

PARITY = Hold(guard="parity", reason="a parity check is running")
HOURS = Hold(guard="hours", reason="outside its active hours")


def test_it_is_lost_once_after_the_time_that_was_set() -> None:
    patience = Patience(10.0)

    lost = [patience.lost_after([PARITY], now=now) for now in (100.0, 109.9, 110.0, 112.0, 500.0)]

    assert lost == [None, None, 10.0, None, None]


def test_a_hold_that_cleared_in_between_begins_anew() -> None:
    patience = Patience(10.0)

    lost = [
        patience.lost_after(holds, now=now)
        for holds, now in (([PARITY], 0.0), ([], 5.0), ([PARITY], 8.0), ([PARITY], 17.0))
    ]

    assert lost == [None, None, None, None]
    assert patience.lost_after([PARITY], now=18.0) == 10.0


def test_what_the_owner_chose_does_not_count_alone() -> None:
    patience = Patience(10.0)

    assert patience.lost_after([HOURS], now=0.0) is None
    assert patience.lost_after([HOURS], now=20.0) is None
    assert patience.lost_after([HOURS, PARITY], now=21.0) is None
    assert patience.lost_after([HOURS, PARITY], now=31.0) == 10.0
