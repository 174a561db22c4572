"""The rules of the gate one by one, without a server: pure functions of a request."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.web import rules
from rebalancer.web.asked import FORM, JSON, Asked, fields_of
from rebalancer.web.hosts import Hosts
from rebalancer.web.rules import RefusalError

HOSTS = Hosts.of("Tower", ["nas.example"])


def asked(method: str = "GET", path: str = "/", query: bytes = b"", **headers: str) -> Asked:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Asked(method, path, path.encode(), query, named, "192.0.2.1")


def status_of(rule: Callable[[], object]) -> int:
    """Return the status of the refusal; 200 when the rule lets it pass."""
    try:
        rule()
    except RefusalError as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [("", "", 200), ("none", "", 200), ("same-origin", "http://tower", 200), ("same-site", "", 403),
     ("cross-site", "http://tower", 403), ("same-origin", "http://tower:81", 403), ("", "https://tower", 200),
     ("", "null", 403), ("", "http://tower/", 403), ("", "ftp://tower", 403), ("", "http://user@tower", 403)],
)  # fmt: skip
def test_a_change_comes_from_a_page_of_the_same_host_and_port(site: str, origin: str, status: int) -> None:
    one = asked(
        "POST", host="tower", **({"origin": origin} if origin else {}), **({"sec_fetch_site": site} if site else {})
    )

    assert status_of(lambda: rules.demand_own_origin(one, HOSTS)) == status


def test_looking_may_begin_anywhere() -> None:
    one = asked("GET", host="tower", origin="http://evil.example", sec_fetch_site="cross-site")

    assert status_of(lambda: rules.demand_own_origin(one, HOSTS)) == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/static/style.css", 200), ("/executions/20260101T000000Z-a-b", 200), ("/a..b", 200), ("/...", 200),
     ("/..", 400), ("/a/../b", 400), ("/a/.", 400), ("/%2E%2e/", 400), ("/a%2Fb", 400), ("/a%5cb", 400), ("/a\\b", 400),
     ("//a", 400), ("/a%00", 400), ("/.%2e/x", 400), ("/a\x07", 400)],
)  # fmt: skip
def test_a_path_is_what_it_looks_like(path: str, status: int) -> None:
    assert status_of(lambda: rules.demand_plain_path(asked(path=path))) == status


@pytest.mark.parametrize(
    ("query", "status"),
    [(b"", 200), (b"limit=5&status=failed", 200), (b"next=/plan?token", 200), (b"token=x", 400), (b"a=1&Access_Token=", 400),
     (b"%61uthorization=x", 400), (b"password", 400)],
)  # fmt: skip
def test_no_secret_is_taken_from_the_address(query: bytes, status: int) -> None:
    assert status_of(lambda: rules.demand_no_secret_in_address(asked(query=query))) == status


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [("/login", FORM, 200), ("/login", f"{FORM.upper()}; charset=utf-8", 200), ("/login", "text/plain", 415),
     ("/api/v1/x", JSON, 200), ("/api/v1/x", FORM, 415), ("/api/v1/x", "", 415), ("/plan", JSON, 200)],
)  # fmt: skip
def test_only_forms_and_json_are_read_and_programs_send_json(path: str, content_type: str, status: int) -> None:
    one = asked("POST", path, content_type=content_type)

    assert status_of(lambda: rules.demand_known_content(one, b"{}")) == status
    assert status_of(lambda: rules.demand_known_content(asked("POST", path), b"")) == 200


@given(st.text(), st.text(min_size=1))
def test_only_the_very_token_of_the_session_counts(sent: str, expected: str) -> None:
    passes = status_of(lambda: rules.demand_csrf(asked("POST"), sent, expected)) == 200

    assert passes == (sent == expected) or sent.encode(errors="replace") == expected.encode(errors="replace")


@pytest.mark.parametrize("name", ["host", "content_length", "transfer_encoding", "authorization"])
def test_what_decides_who_is_asked_is_said_once(name: str) -> None:
    header = name.replace("_", "-")
    twice = Asked("GET", "/", b"/", b"", ((header, "1"), (header, "1")), "")

    assert status_of(lambda: rules.demand_clear_framing(twice)) == 400
    assert status_of(lambda: rules.demand_clear_framing(asked(**{name: "1"}))) == 200


# -- the request as it is read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["rebalancer_session=abc", "a=1; rebalancer_session=abc", "rebalancer_session=abc; b=2", ' rebalancer_session="abc" ;x',
     'other[app]={"json": 1}; rebalancer_session=abc', "=; ;;rebalancer_session=abc", "prefs=a b,c; rebalancer_session=abc",
     "k:v; theme=@@; rebalancer_session=abc"],
)  # fmt: skip
def test_the_session_is_found_beside_the_cookies_of_other_programs_of_the_machine(header: str) -> None:
    assert asked(cookie=header).cookie == "abc"


@pytest.mark.parametrize("header", ["", "xrebalancer_session=abc", "rebalancer_session", "Rebalancer_Session=abc"])
def test_another_cookie_is_no_session(header: str) -> None:
    assert asked(cookie=header).cookie == ""


@pytest.mark.parametrize(
    ("header", "token"), [("Bearer a", "a"), ("bearer  a ", "a"), ("Basic a", ""), ("", ""), ("Bearer", ""), ("a", "")]
)
def test_a_token_is_what_follows_the_word_bearer(header: str, token: str) -> None:
    assert asked(authorization=header).bearer == token


def test_a_form_is_ascii_with_utf_8_behind_its_percent_signs() -> None:
    assert fields_of(b"a=1&a=%C3%A9&b=") == {"a": ["1", "é"], "b": [""]}
    for body in (b"a=%ff", "é".encode(), b"&".join([b"a=1"] * 201)):
        with pytest.raises(ValueError, match=r"."):
            fields_of(body)
