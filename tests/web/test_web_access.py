"""Who is let in: the password, sessions, tokens; and what a restart of the server and a new password do to them."""

import json
import stat
from pathlib import Path

from lab import RunProgram
from lab.dashboard import Dashboard, csrf_of, dashboard
from lab.standing import standing


def test_the_first_password_is_shown_once_and_kept_as_a_digest(served: Dashboard, state: Path) -> None:
    kept = (state / "config" / "dashboard.json").read_text()

    assert len(served.password) == 23
    assert served.password not in kept
    assert json.loads(kept)["password"].startswith("$argon2id$")
    assert stat.S_IMODE((state / "config" / "dashboard.json").stat().st_mode) == 0o600


def test_a_stranger_sees_nothing_but_the_login(served: Dashboard) -> None:
    with served.anybody() as stranger:
        first, live, api = (stranger.get(path) for path in ("/", "/live", "/api/v1/overview"))
        health = stranger.get("/healthz")
        form = stranger.get("/login")

    assert (first.status_code, first.headers["location"]) == (303, "/login")
    assert live.status_code == 303
    assert (api.status_code, api.headers["www-authenticate"]) == (401, 'Bearer realm="unraid-rebalancer"')
    assert health.status_code == 200
    assert form.status_code == 200
    assert 'name="password"' in form.text
    assert "<nav" not in form.text


def test_a_session_outlives_a_restart_of_the_server(served: Dashboard, state: Path) -> None:
    with served.person() as person:
        served.process.terminate()
        served.process.wait(20)
        with dashboard(state) as again:
            answer = person.get(f"{again.address}/")

    assert again.password == ""
    assert answer.status_code == 200


def test_a_new_password_ends_every_session(served: Dashboard, run_program: RunProgram) -> None:
    with served.person() as person:
        run_program("access", "password", exit_code=0)

        assert person.get("/").status_code == 303


def test_who_logs_out_has_to_log_in_again(served: Dashboard) -> None:
    with served.person() as person:
        cookie = f"rebalancer_session={person.cookies['rebalancer_session']}"
        assert person.post("/logout").status_code == 303
        with served.anybody() as thief:
            assert thief.get("/", headers={"cookie": cookie}).status_code == 303


def test_the_cookie_is_no_business_of_scripts_or_other_sites(served: Dashboard, state: Path) -> None:
    with served.anybody() as client:
        header = client.post("/login", data={"password": served.password}).headers["set-cookie"]
    secret = header.partition("=")[2].partition(";")[0]
    (kept,) = (state / "runtime").glob("*/dashboard/sessions.json")

    assert {part.strip() for part in header.split(";")[1:]} >= {"HttpOnly", "SameSite=strict", "Path=/"}
    assert len(secret) == 43  # 256 bits
    assert secret not in kept.read_text()


def test_the_login_goes_on_to_our_pages_only(served: Dashboard) -> None:
    for target, goes_to in [
        ("/plan", "/plan"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\e", "/"),
    ]:
        with served.anybody() as client:
            answer = client.post("/login", data={"password": served.password, "next": target})
        assert answer.headers["location"] == goes_to


def test_a_token_is_shown_once_and_can_be_revoked(served: Dashboard, run_program: RunProgram, state: Path) -> None:
    with served.program(name="prometheus", read_only=True) as program:
        before = program.get("/api/v1/overview")
        listed = run_program("access", "token", "list", "--json", exit_code=0).document
        run_program("access", "token", "revoke", "prometheus", exit_code=0)
        after = program.get("/api/v1/overview")

    assert (before.status_code, after.status_code) == (200, 401)
    assert [(one["name"], one["can_write"]) for one in listed] == [("prometheus", False)]
    assert program.headers["authorization"].partition(" ")[2] not in (state / "config" / "dashboard.json").read_text()


def test_the_token_of_the_forms_is_the_session_s_own(served: Dashboard) -> None:
    with served.person() as one, served.person() as other:
        assert csrf_of(one.get("/").text) != csrf_of(other.get("/").text)
        one.headers["x-csrf-token"] = csrf_of(other.get("/").text)

        assert one.post("/logout").status_code == 403


def test_behind_a_proxy_that_speaks_tls_the_cookie_goes_no_other_way(tmp_path: Path) -> None:
    with (
        standing(tmp_path, "--host", "tower.example", settings="[serve]\nhttps = true\n") as serving,
        serving.anybody() as client,
    ):
        proxied = {"host": "tower.example", "origin": "https://tower.example"}
        answer = client.post(
            "/login", data={"password": serving.password, "next": "/executions?status=failed"}, headers=proxied
        )
        asked = client.get("/executions?status=failed", headers=proxied)

    assert (answer.status_code, answer.headers["location"]) == (303, "/executions?status=failed")
    assert "Secure" in {part.strip() for part in answer.headers["set-cookie"].split(";")}
    assert asked.headers["location"] == "/login?next=/executions%3Fstatus%3Dfailed"


def test_a_place_to_go_on_to_that_no_header_can_hold_is_written_so_that_it_can(served: Dashboard) -> None:
    with served.anybody() as client:
        answer = client.post("/login", data={"password": served.password, "next": "/→é ü"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/%E2%86%92%C3%A9%20%C3%BC")
