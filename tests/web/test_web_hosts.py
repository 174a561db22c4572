"""The names under which the dashboard may be asked, and those that rebinding would use."""

import pytest

from rebalancer.web.hosts import Hosts

HOSTS = Hosts.of("Tower.Example.org", ["NAS.fritz.example."])


@pytest.mark.parametrize(
    "header",
    ["localhost", "localhost:8477", "LOCALHOST", "tower", "Tower.local", "tower.lan:80", "tower.example.org",
     "tower.example.org.", "nas.fritz.example", "nas.fritz.example:443", "127.0.0.1", "10.1.2.3:8477", "[::1]", "[fe80::1]:1",
     "[::ffff:10.0.0.1]:8477"],
)  # fmt: skip
def test_the_machine_s_names_those_written_down_and_every_address_count(header: str) -> None:
    assert HOSTS.allow(header)


@pytest.mark.parametrize(
    "header",
    ["", "evil.example", "tower.evil.example", "eviltower", "tower.local.evil.example", "tower@evil.example",
     "tower:", "tower:x", "tower:80:80", "tower:65536", "[::1", "::1", "[tower]", "127.1", "0x7f000001", "1.2.3", "tower/",
     "tower ", "tower\n", "tower,evil.example", "\uff54ower", ".", "-"],
)  # fmt: skip
def test_nothing_else_counts(header: str) -> None:
    assert not HOSTS.allow(header)


def test_a_machine_without_a_name_is_not_asked_under_an_empty_one() -> None:
    nameless = Hosts.of("", [])

    assert not any(nameless.allow(header) for header in ("", ".", ".local", ".lan"))
    assert nameless.allow("localhost")


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [("http://tower:8477", "tower:8477", True), ("https://tower", "tower", True), ("https://tower", "tower:443", True),
     ("http://TOWER:8477", "tower:8477", True), ("http://[::1]:8477", "[::1]:8477", True), ("http://tower", "tower:8477", False),
     ("http://tower:9000", "tower:8477", False), ("http://evil", "tower", False), ("null", "null", False),
     ("http://tower@evil", "evil", False), ("file://", "", False), ("", "", False)],
)  # fmt: skip
def test_a_page_is_own_when_host_and_port_are_those_asked_for(origin: str, host: str, *, is_own: bool) -> None:
    assert HOSTS.is_own_page(origin, host) is is_own
