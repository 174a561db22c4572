"""What the dashboard refuses, asked with raw sockets: the cases 91 to 107 of the reliability study, and every route at once."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from litestar.routes import HTTPRoute

from lab import Running, start, wire
from lab.dashboard import Dashboard, csrf_of
from lab.standing import standing
from rebalancer.engine import Engine
from rebalancer.settings import ServeSettings, Settings
from rebalancer.state import StateFolders
from rebalancer.web.app import application
from rebalancer.web.live import MOST, MOST_OF_ONE
from rebalancer.web.rules import LARGEST_BODY
from rebalancer.web.safe_headers import SAFE_HEADERS
from rebalancer.web.site import Site

OPEN = {"/login", "/healthz", "/static/{name}"}
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Content-Type", "application/json")
HOSTILE = [
    b"<script>alert(1)<script>",
    b"red \x1b[31m bell \x07 line \n end",
    b"not \xff utf-8",
    b'" onload="x\' {{ 7*7 }}',
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard that all of these ask; nobody must be able to harm it for the others."""
    with standing(tmp_path_factory.mktemp("refusals")) as serving:
        yield serving
        assert serving.process.poll() is None, "it has ended"


@pytest.fixture(scope="module")
def somebody(house: Dashboard) -> Iterator[httpx.Client]:
    with house.person() as client:
        yield client


@pytest.fixture
def cookie(somebody: httpx.Client) -> tuple[str, str]:
    return "Cookie", f"rebalancer_session={somebody.cookies['rebalancer_session']}"


@pytest.fixture
def csrf(somebody: httpx.Client) -> tuple[str, str]:
    return "X-CSRF-Token", somebody.headers["x-csrf-token"]


@pytest.fixture(scope="module")
def full(house: Dashboard) -> Iterator[tuple[str, str]]:
    """The header of a program that may do everything."""
    with house.program() as client:
        yield "Authorization", client.headers["authorization"]


# -- 91: under which name it is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8477", "localhost.evil.example", "localhost@evil.example", "2130706433", "0x7f.1",
     "127.0.0.1:99999", "local host", "[::1", "localhost/", "localhost:80:80"],
)  # fmt: skip
def test_a_foreign_name_is_misdirected_and_told_which_setting_would_let_it_in(house: Dashboard, host: str) -> None:
    answer = wire.ask(house.port, wire.request("GET", "/healthz", host=host))

    assert answer.status == 421
    assert "[serve] hosts" in answer.text


def test_no_name_or_two_names_are_no_name(house: Dashboard) -> None:
    without = wire.ask(house.port, wire.request("GET", "/healthz", host="", version="1.0"))
    modern = wire.ask(house.port, wire.request("GET", "/healthz", host=""))
    twice = wire.ask(house.port, wire.request("GET", "/healthz", [("Host", "evil.example")]))

    assert (without.status, modern.status, twice.status) == (421, 400, 400)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8477", "192.168.1.9:8477", "localhost."]
)
def test_its_own_names_and_addresses_are_answered(house: Dashboard, host: str) -> None:
    assert wire.ask(house.port, wire.request("GET", "/healthz", host=host)).status == 200


def test_an_address_in_the_request_line_names_nothing_else(house: Dashboard) -> None:
    answer = wire.ask(house.port, wire.request("GET", "http://evil.example/healthz"))

    assert answer.status == 400


# -- 92 and 93: who made the browser ask -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [("Origin", "http://evil.example"), ("Origin", "null"), ("Origin", "http://localhost:1"), ("Origin", "x"),
     ("Origin", "http://localhost.evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")],
    ids=":".join,
)  # fmt: skip
def test_what_a_foreign_page_sent_is_refused_although_everything_else_is_right(
    house: Dashboard, cookie: tuple[str, str], csrf: tuple[str, str], header: tuple[str, str]
) -> None:
    sent = wire.request("POST", "/logout", [cookie, csrf, header], host=f"localhost:{house.port}")

    answer = wire.ask(house.port, sent)

    assert answer.status == 403
    assert "another page" in answer.text
    assert wire.ask(house.port, wire.request("GET", "/", [cookie])).status == 200


def test_what_its_own_pages_send_passes(house: Dashboard, csrf: tuple[str, str], cookie: tuple[str, str]) -> None:
    own = [("Origin", f"http://localhost:{house.port}"), ("Sec-Fetch-Site", "same-origin")]

    answer = wire.ask(
        house.port, wire.request("POST", "/healthz", [cookie, csrf, *own], host=f"localhost:{house.port}")
    )

    assert answer.status == 405  # past the gate: nobody answers that method there


def test_a_change_without_the_token_of_its_session_is_refused(house: Dashboard, cookie: tuple[str, str]) -> None:
    with house.person() as other:
        foreign = other.headers["x-csrf-token"]
    tokens = [("X-CSRF-Token", "x"), ("X-CSRF-Token", foreign), ("X-CSRF-Token", "\xe9")]
    answers = [wire.ask(house.port, wire.request("POST", "/logout", [cookie, *headers]))
               for headers in ([], *([token] for token in tokens))]  # fmt: skip
    in_form = wire.ask(house.port, wire.request("POST", "/logout", [cookie, FORM], f"csrf={quote(foreign)}".encode()))

    assert [answer.status for answer in [*answers, in_form]] == [403] * 5
    assert wire.ask(house.port, wire.request("GET", "/", [cookie])).status == 200


# -- 94: who asks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "x", "x" * 5000, "0" * 43, "'; --", "é".encode().decode("latin-1")])
def test_a_forged_session_leads_to_the_login_and_programs_to_a_challenge(house: Dashboard, value: str) -> None:
    forged = ("Cookie", f"rebalancer_session={value}")

    page = wire.ask(house.port, wire.request("GET", "/", [forged]))
    change = wire.ask(house.port, wire.request("POST", "/logout", [forged]))
    program = wire.ask(house.port, wire.request("GET", "/api/v1/overview", [forged]))

    assert (page.status, page.header("location")) == (303, "/login")
    assert (change.status, program.status) == (401, 401)
    assert program.header("www-authenticate").startswith("Bearer")


@pytest.mark.parametrize("value", ["Bearer", "Bearer x", "Basic cm9vdDpyb290", "x", "Bearer rebalancer_" + "A" * 43])
def test_a_forged_token_opens_nothing_not_even_beside_a_session(
    house: Dashboard, cookie: tuple[str, str], value: str
) -> None:
    answer = wire.ask(house.port, wire.request("GET", "/api/v1/overview", [cookie, ("Authorization", value)]))

    assert answer.status == 401


def test_a_token_opens_no_page(house: Dashboard, full: tuple[str, str]) -> None:
    assert [wire.ask(house.port, wire.request("GET", path, [full])).status for path in ("/", "/live", "/login")] == [
        403
    ] * 3
    assert wire.ask(house.port, wire.request("GET", "/api/v1/overview", [full])).status == 200


# -- 95: wrong passwords ---------------------------------------------------------------------------------------------


def log_in(house: Dashboard, password: str, *, source: str, headers: wire.Headers = ()) -> wire.Answer:
    body = f"password={quote(password)}".encode()
    return wire.ask(house.port, wire.request("POST", "/login", [FORM, *headers], body), source=source)


def test_the_sixth_wrong_password_has_to_wait_and_so_has_the_right_one(house: Dashboard) -> None:
    names = [[(header, f"10.0.0.{number}")] for header in ("X-Forwarded-For", "Forwarded") for number in range(3)]
    wrong = [log_in(house, "wrong", source="127.0.0.7", headers=headers) for headers in names]

    right = log_in(house, house.password, source="127.0.0.7", headers=[("X-Forwarded-For", "10.9.9.9")])
    elsewhere = log_in(house, house.password, source="127.0.0.8")

    assert [answer.status for answer in wrong] == [401] * 5 + [429]
    assert right.status == 429
    assert 280 <= int(right.header("retry-after")) <= 300
    assert f"wait {right.header('retry-after')} seconds" in right.text
    assert (elsewhere.status, elsewhere.header("location")) == (303, "/")


def test_many_passwords_at_once_are_no_more_than_one_after_the_other(house: Dashboard) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(wire.connect(house.port, source="127.0.0.9")) for _ in range(20)]
        for connection in connections:
            connection.sendall(wire.request("POST", "/login", [FORM], b"password=wrong"))
        answers = [wire.answer_of(connection).status for connection in connections]

    assert set(answers) <= {401, 429, 503}
    assert answers.count(401) <= 5


# -- 96 and 104: bodies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/login", "/logout", "/api/v1/overview"])
def test_a_body_of_ten_megabytes_is_refused_and_the_refusal_can_be_read(
    house: Dashboard, cookie: tuple[str, str], csrf: tuple[str, str], path: str
) -> None:
    body = b"x" * 10_000_000
    announced = wire.request("POST", path, [cookie, csrf, JSON], body)
    head = wire.request("GET", path, [cookie, csrf, JSON, ("Transfer-Encoding", "chunked")])
    unannounced = head.replace(b"GET", b"POST", 1) + b"989680\r\n" + body + b"\r\n0\r\n\r\n"

    assert [wire.ask(house.port, sent).status for sent in (announced, unannounced)] == [413, 413]


def test_a_body_that_is_nothing_we_read_is_refused(house: Dashboard, full: tuple[str, str]) -> None:
    kinds = [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "",
        "application/xml",
    ]
    bodies = [wire.request("POST", "/api/v1/overview", [full, ("Content-Type", kind)], b"{}") for kind in kinds]
    to_page = wire.request("POST", "/login", [("Content-Type", "text/plain")], b"password=x")

    assert [wire.ask(house.port, sent).status for sent in [*bodies, to_page]] == [415] * 6


def test_a_form_that_is_no_form_is_a_wrong_password_and_nothing_worse(house: Dashboard) -> None:
    bodies = [b"%ff%fe=%80", b"\xff\xfe", b"&".join(b"a=b" for _ in range(500)), b"password=" + b"x" * 50_000, b"[" * 9999,
              b"password=%00%0a%ed%a0%80"]  # fmt: skip
    answers = [
        wire.ask(house.port, wire.request("POST", "/login", [FORM], body), source=f"127.0.1.{number}").status
        for number, body in enumerate(bodies, start=1)
    ]

    assert answers == [401] * len(bodies)


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "+5")],
        [("Content-Length", "-1")],
        [("Content-Length", "9" * 400)],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding ", "chunked")],
    ],
    ids=repr,
)
def test_a_length_that_can_be_read_in_two_ways_ends_the_connection(
    house: Dashboard, headers: list[tuple[str, str]]
) -> None:
    sent = wire.request("GET", "/healthz", headers) + b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with wire.connect(house.port) as connection:
        connection.sendall(sent)
        answer = wire.answer_of(connection)
        is_over = wire.is_closed(connection, within=5)

    assert (answer.status, is_over) == (400, True)


def test_what_is_no_http_gets_a_sentence_with_the_safe_headers(house: Dashboard) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/x\r\n\r\n",
                 b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000):  # fmt: skip
        answer = wire.ask(house.port, sent)
        assert answer.status == 400, sent[:40]
        assert has_safe_headers(answer)
        assert "HTTP/1.1" in answer.text


# -- 97, 99, 106, 107: addresses and methods -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/api/x/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fgate.py", "/static/%2e%2e/app.py", "//etc",
     "/static/..", "/api/v1/%00", "/static/style.css%00.js", "/%5c..%5c", "/a/./b", "/%0d%0aSet-Cookie:x=1", "/\u007f",
     "/static/%252e%252e%252fgate.py", "/static/etc/passwd", "/.git/config", "/static/", "/api/v2/overview"],
)  # fmt: skip
def test_a_path_that_leaves_its_place_leads_nowhere(house: Dashboard, cookie: tuple[str, str], path: str) -> None:
    answer = wire.ask(house.port, wire.request("GET", path, [cookie]))

    assert answer.status in {400, 404}
    assert b"root:" not in answer.body
    assert not answer.header("set-cookie")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "PROPFIND", "BREW", "get"])
def test_a_method_that_nobody_needs_is_refused(house: Dashboard, cookie: tuple[str, str], method: str) -> None:
    answer = wire.ask(house.port, wire.request(method, "/", [cookie]), method=method)

    assert answer.status == 405


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_that_is_disguised_is_refused(
    house: Dashboard, cookie: tuple[str, str], csrf: tuple[str, str], header: str
) -> None:
    assert wire.ask(house.port, wire.request("POST", "/logout", [cookie, csrf, (header, "GET")])).status == 405
    assert wire.ask(house.port, wire.request("GET", "/logout", [cookie, (header, "POST")])).status == 405


def test_to_look_changes_nothing_so_logging_out_wants_a_post(house: Dashboard, cookie: tuple[str, str]) -> None:
    assert wire.ask(house.port, wire.request("GET", "/logout", [cookie])).status == 405
    assert wire.ask(house.port, wire.request("GET", "/", [cookie])).status == 200


def test_nothing_is_switched_to_another_protocol(house: Dashboard, cookie: tuple[str, str]) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x" * 22 + "=="),
               ("Sec-WebSocket-Version", "13")]  # fmt: skip

    assert wire.ask(house.port, wire.request("GET", "/live/x", [cookie, *upgrade])).status == 404
    assert (
        wire.ask(house.port, wire.request("GET", "/healthz", [("Connection", "Upgrade"), ("Upgrade", "h2c")])).status
        == 200
    )


@pytest.mark.parametrize("name", ["token", "TOKEN", "access_token", "api_key", "password", "%74oken"])
def test_a_secret_in_the_address_is_refused_wherever_it_would_count(
    house: Dashboard, full: tuple[str, str], name: str
) -> None:
    secret = full[1].partition(" ")[2]

    answer = wire.ask(house.port, wire.request("GET", f"/api/v1/overview?{name}={secret}"))

    assert answer.status == 400
    assert "Authorization: Bearer" in answer.text
    assert secret not in answer.text


# -- 98: names from disks --------------------------------------------------------------------------------------------


def test_a_hostile_name_is_text_wherever_it_is_shown(tmp_path: Path) -> None:
    with standing(tmp_path) as serving:
        films = os.fsencode(tmp_path / "disk1" / "films")
        for number, film in enumerate(sorted(os.listdir(films))):
            hostile = films + b"/../" + HOSTILE[number % len(HOSTILE)] + str(number).encode()
            os.mkdir(hostile)
            os.rename(films + b"/" + film, hostile + b"/<b>film")
        with serving.person() as client:
            process = run_behind(serving)
            try:
                running = serving.execution(client, "slow")
                page = client.get("/").text
                live = first_events(serving, client)
            finally:
                process.terminate()
                process.wait(20)
            after = client.get("/").text

    assert any(mark in running["path"] for mark in ("alert", "bell", "utf-8", "onload"))
    for shown in (page, live, after):
        assert "<b>film" not in shown
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x1b]", shown)
        assert "<script>alert" not in shown
        assert ' onload="' not in shown


def run_behind(serving: Dashboard) -> Running:
    return start("--quiet", "schedule", "run", "slow", state=serving.state)


def first_events(serving: Dashboard, client: httpx.Client) -> str:
    """Return what the stream says within its first second."""
    heard, until = "", time.monotonic() + 1.5
    with client.stream("GET", "/live") as stream:
        for chunk in stream.iter_text():
            heard += chunk
            if "live-running" in heard or time.monotonic() > until:
                return heard
    return heard


# -- 102: streams ----------------------------------------------------------------------------------------------------


def test_no_session_has_more_than_five_streams_and_all_together_no_more_than_fifty(house: Dashboard) -> None:
    def listen(stack: ExitStack, cookie: str) -> int:
        connection = stack.enter_context(wire.connect(house.port))
        connection.sendall(wire.request("GET", "/live", [("Cookie", cookie)]))
        return int(connection.recv(12)[9:])

    with ExitStack() as stack:
        cookies = []
        for _ in range(MOST // MOST_OF_ONE + 1):
            answer = log_in(house, house.password, source="127.0.0.1")
            cookies.append(answer.header("set-cookie").partition(";")[0])
        with ExitStack() as first:
            of_one = [listen(first, cookies[0]) for _ in range(MOST_OF_ONE + 1)]
            others = [listen(stack, cookie) for cookie in cookies[1:] for _ in range(MOST_OF_ONE)]
        full_house = [listen(stack, cookies[0])]
        deadline = time.monotonic() + 5
        while full_house[-1] == 503 and time.monotonic() < deadline:  # until it is noticed that the first have gone
            full_house.append(listen(stack, cookies[0]))
            time.sleep(0.02)

    assert of_one == [200] * MOST_OF_ONE + [503]
    assert others == [200] * (MOST - MOST_OF_ONE) + [503] * MOST_OF_ONE
    assert full_house[-1] == 200


def test_a_stream_is_not_asked_for_its_headers_alone(house: Dashboard, cookie: tuple[str, str]) -> None:
    assert wire.ask(house.port, wire.request("HEAD", "/live", [cookie]), method="HEAD").status == 405


# -- every route -----------------------------------------------------------------------------------------------------


def site(folder: Path) -> Site:
    engine = Engine(StateFolders(folder / "config", folder / "runtime"), Settings(), Path("/"))
    return Site.of(lambda: engine, settings=ServeSettings(), clock=time.time, monotonic=time.monotonic)


def routes(folder: Path) -> list[tuple[str, str, str]]:
    """Return template, an address of that kind, and method of everything that the dashboard answers."""
    found = [route for route in application(site(folder)).routes if isinstance(route, HTTPRoute)]
    return [
        (route.path_format, re.sub(r"\{[^}]*\}", "20200101T000000Z-nobody-000000", route.path_format), method)
        for route in found
        for method in sorted(route.methods - {"OPTIONS"})
    ]


def test_every_route_refuses_every_stranger_and_every_forgery(
    house: Dashboard, tmp_path: Path, cookie: tuple[str, str], csrf: tuple[str, str], full: tuple[str, str]
) -> None:
    found = routes(tmp_path)
    judged = 0
    wrong: list[str] = []

    def expect(status: int, why: str, sent: bytes) -> wire.Answer:
        nonlocal judged
        answer = wire.ask(house.port, sent)
        judged += 1
        if answer.status != status or not has_safe_headers(answer):
            wrong.append(f"{why}: {sent[:70]!r}: {answer.status} instead of {status}, {answer.headers}")
        return answer

    with house.program(read_only=True) as reader:
        reading = "Authorization", reader.headers["authorization"]
    for template, path, method in found:
        is_open = template in OPEN or path in OPEN
        is_for_programs = path.startswith("/api/") or path == "/metrics"
        if not is_open:
            stranger = 401 if is_for_programs or method != "GET" else 303
            expect(stranger, "no login", wire.request(method, path))
        expect(421, "host", wire.request(method, path, [cookie, csrf], host="evil.example"))
        expect(413, "body", wire.request(method, path, [cookie, csrf, JSON, ("Content-Length", str(LARGEST_BODY + 1))]))
        if method == "GET":
            continue
        expect(403, "origin", wire.request(method, path, [cookie, csrf, ("Origin", "http://evil.example")]))
        expect(403, "site", wire.request(method, path, [cookie, csrf, ("Sec-Fetch-Site", "cross-site")]))
        if path != "/login":
            expect(403, "csrf", wire.request(method, path, [cookie]))
        if is_for_programs:
            expect(403, "reading token", wire.request(method, path, [reading]))
            expect(413, "body with a token", wire.request(method, path, [full, JSON], b" " * (LARGEST_BODY + 1)))

    assert wrong == []
    assert {"/", "/live", "/login", "/logout", "/healthz", "/static/{name}", "/api/v1/overview"} <= {
        template for template, _, _ in found
    }
    assert judged >= 3 * len(found) - len(OPEN)


def test_every_route_answers_a_person_with_something_and_an_unknown_name_with_404(
    house: Dashboard, tmp_path: Path, cookie: tuple[str, str]
) -> None:
    for template, path, method in routes(tmp_path):
        if method != "GET" or path == "/live":
            continue
        answer = wire.ask(house.port, wire.request("GET", path, [cookie]))
        expected = {404} if template != path else {200, 303}
        assert answer.status in expected, f"{path}: {answer.status} {answer.body[:300]!r}"
        assert b"Traceback" not in answer.body


def test_every_route_that_reads_json_survives_json_that_is_none(
    house: Dashboard, tmp_path: Path, full: tuple[str, str]
) -> None:
    bodies = [b"{", b"nonsense", b"[" * 30_000, b'{"a":' * 10_000, b"[]", b"7", b'"x"', b"null", b"\xff\xfe",
              b'{"reason": 7, "limit": "x"}', b"9" * 6000]  # fmt: skip
    reading = [(path, method) for _, path, method in routes(tmp_path) if path.startswith("/api/") and method != "GET"]
    for path, method in [*reading, ("/api/v1/overview", "POST")]:
        for body in bodies:
            answer = wire.ask(house.port, wire.request(method, path, [full, JSON], body))
            assert 200 <= answer.status < 500, f"{method} {path} {body[:20]!r}: {answer.status} {answer.text[:300]}"
            assert "Traceback" not in answer.text


def has_safe_headers(answer: wire.Answer) -> bool:
    """Return whether each is there once, nothing is kept by accident, and the server does not say what it is."""
    sent = [(name.lower(), value) for name, value in answer.headers]
    return (
        all(sent.count(header) == 1 for header in SAFE_HEADERS)
        and sum(name == "cache-control" for name, _ in sent) == 1
        and not any(name in {"server", "x-powered-by"} for name, _ in sent)
    )


def test_every_kind_of_answer_has_its_safe_headers(
    house: Dashboard, cookie: tuple[str, str], full: tuple[str, str]
) -> None:
    asked = [("GET", "/", cookie), ("GET", "/", ("X", "y")), ("HEAD", "/", cookie), ("GET", "/nowhere", cookie),
             ("GET", "/api/v1/overview", full), ("GET", "/api/v1/nowhere", full), ("GET", "/healthz", cookie),
             ("GET", "/static/style.css", cookie), ("DELETE", "/login", cookie), ("GET", "/static/none", cookie)]  # fmt: skip
    for method, path, header in asked:
        answer = wire.ask(house.port, wire.request(method, path, [header]), method=method)
        assert has_safe_headers(answer), (path, answer)
    with wire.connect(house.port) as connection:
        connection.sendall(wire.request("GET", "/live", [cookie]))
        head = connection.recv(65536).decode()

    assert all(f"{name}: {value}\r\n" in head for name, value in SAFE_HEADERS)
    assert "unsafe" not in dict(SAFE_HEADERS)["content-security-policy"]
    assert "\r\nserver:" not in head.lower()


def test_the_page_carries_the_session_s_token_and_no_secret(somebody: httpx.Client, house: Dashboard) -> None:
    page = somebody.get("/").text

    assert csrf_of(page) == somebody.headers["x-csrf-token"]
    assert somebody.cookies["rebalancer_session"] not in page
    assert house.password not in page
