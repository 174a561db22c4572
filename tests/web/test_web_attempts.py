"""How often a wrong password may be tried."""

import threading

import pytest

from rebalancer.web.attempts import ALLOWED, WITHIN, Attempts, source_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_five_tries_are_free_and_the_sixth_waits_until_the_first_is_forgotten() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = []
    for _ in range(ALLOWED + 1):
        waits.append(attempts.begin("192.0.2.1"))
        clock.now += 10

    assert waits == [0] * ALLOWED + [int(WITHIN) - 10 * ALLOWED]
    clock.now += waits[-1] - 10
    assert attempts.begin("192.0.2.1") == 0
    assert attempts.begin("192.0.2.1") > 0


def test_waiting_is_not_made_longer_by_asking() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(100):
        attempts.begin("192.0.2.1")
    clock.now += WITHIN

    assert attempts.begin("192.0.2.1") == 0


def test_the_right_password_clears_the_list_and_what_was_never_looked_at_does_not_count() -> None:
    attempts = Attempts(Clock())
    for _ in range(ALLOWED - 1):
        attempts.begin("192.0.2.1")
    attempts.succeeded("192.0.2.1")
    for _ in range(50):
        assert attempts.begin("192.0.2.1") == 0
        attempts.undo("192.0.2.1")


def test_one_who_has_to_wait_keeps_nobody_else_waiting() -> None:
    attempts = Attempts(Clock())
    for _ in range(ALLOWED + 1):
        attempts.begin("192.0.2.1")

    assert attempts.begin("192.0.2.2") == 0


def test_many_sources_are_remembered_only_so_long_and_the_newest_always() -> None:
    attempts = Attempts(Clock())
    for number in range(5000):
        for _ in range(ALLOWED):
            attempts.begin(f"10.0.{number // 250}.{number % 250}")

    assert attempts.begin("10.0.19.249") > 0
    assert attempts.begin("10.0.0.0") == 0


def test_tries_at_the_same_time_are_counted_one_by_one() -> None:
    attempts = Attempts(Clock())
    waits: list[int] = []
    threads = [threading.Thread(target=lambda: waits.append(attempts.begin("192.0.2.1"))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert waits.count(0) == ALLOWED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("fe80::1%eth0", "fe80::2%eth0"),
        ("", ""),
    ],
)
def test_what_one_household_can_choose_by_itself_is_one_source(one: str, other: str) -> None:
    assert source_of(one) == source_of(other)


def test_different_networks_are_different_sources() -> None:
    assert (
        len({source_of(peer) for peer in ("192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1", "::1")}) == 5
    )
