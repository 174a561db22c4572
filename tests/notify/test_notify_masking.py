"""No piece of an address is ever shown."""

import pytest

from rebalancer.notify.masking import masked, scheme_of

ADDRESS = "mailtos://anna:s%2Fcr3t@mail.example.org:587/inbox/T0k3nT0k3n?to=bob@example.net&key=abc123"


@pytest.mark.parametrize(
    "text",
    [
        f"could not reach {ADDRESS}",
        "login of anna failed",
        "password s/cr3t was not taken, nor s%2Fcr3t",
        "https://mail.example.org:587/inbox/T0k3nT0k3n answered 404",
        "T0K3NT0K3N is unknown, so is ABC123",
    ],
)
def test_a_text_keeps_nothing_of_an_address(text: str) -> None:
    shown = masked(text, [ADDRESS]).lower()

    assert not any(secret in shown for secret in ("anna", "s/cr3t", "s%2fcr3t", "example", "t0k3n", "abc123", "inbox"))
    assert "***" in shown


def test_what_is_not_of_the_address_stays() -> None:
    assert masked("page not found, error=404", [ADDRESS]) == "page not found, error=404"


def test_the_kind_of_service_is_no_secret() -> None:
    assert scheme_of(ADDRESS) == "mailtos"
    assert scheme_of("to ken://x") == "unknown"
    assert scheme_of("t0k3n") == "unknown"
