"""What the dashboard survives: its folders gone for a moment, a restart in the middle of a run, crowds, and people who mean harm."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from lab import MakeDisk, RunProgram, StartProgram, environment, run, start, wire
from lab.dashboard import Dashboard, dashboard
from lab.program import SCRIPT
from lab.standing import prepared, standing
from rebalancer.engine import Engine
from rebalancer.errors import UsageError
from rebalancer.settings import ServeSettings, Settings
from rebalancer.state import StateFolders
from rebalancer.web.gate import Caller
from rebalancer.web.site import Site

_STARTS = """
import os, signal, sys, time
from pathlib import Path
from rebalancer.engine import Engine
from rebalancer.settings import ServeSettings, load
from rebalancer.state import choose_folders
from rebalancer.web.site import Site
sys.argv[0] = sys.argv[1]
folders = choose_folders(None, root=Path("/"), environment=dict(os.environ), uid=os.geteuid())
engine = Engine(folders, load(folders.settings), Path("/"))
site = Site.of(lambda: engine, settings=ServeSettings(), clock=time.time, monotonic=time.monotonic)
print(site.starts.schedule("slow").execution_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard that most of these trouble; it must outlive them all."""
    with standing(tmp_path_factory.mktemp("robust")) as serving:
        yield serving
        assert serving.process.poll() is None, "it has ended"
        os.set_blocking(serving.process.stderr.fileno(), False)  # type: ignore[union-attr]
        assert not serving.process.stderr.read()  # type: ignore[union-attr]


def until(holds: Callable[[], bool], *, patience: float = 10) -> bool:
    deadline = time.monotonic() + patience
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


# -- what it stands on is gone ---------------------------------------------------------------------------------------


def test_while_the_state_folder_is_away_pages_say_so_and_afterwards_all_is_as_before(house: Dashboard) -> None:
    config, away = house.state / "config", house.state / "away"
    with house.person() as person, house.program() as program, person.stream("GET", "/live") as stream:
        heard = stream.iter_raw()  # kept: to drop it closes the stream
        next(heard)
        config.rename(away)
        begun, during = time.monotonic(), []
        while time.monotonic() - begun < 2:
            during += [person.get("/"), person.get("/login"), program.get("/api/v1/overview"), person.get("/healthz")]
        was_made_anew = config.exists()
        away.rename(config)
        after, overview = person.get("/"), program.get("/api/v1/overview").json()

    assert not was_made_anew
    assert {answer.status_code for answer in during} == {200, 303}
    assert after.status_code == 200
    assert (overview["schedules"], overview["problems"]) == (1, [])


def test_broken_settings_are_told_on_the_page_and_everything_can_still_be_stopped(house: Dashboard) -> None:
    settings = house.state / "config" / "config.toml"
    right = settings.read_text()
    with house.person() as person, house.program() as program:
        try:
            settings.write_text("[serve\n")
            broken = person.get("/")
            stopped = [
                person.get("/emergency-stop"),
                person.post("/emergency-stop"),
                program.post("/api/v1/emergency-stop"),
            ]
        finally:
            settings.write_text(right)
        mended = person.get("/")

    assert (broken.status_code, mended.status_code) == (200, 200)
    assert [answer.status_code for answer in stopped] == [200] * 3
    assert "config.toml" in broken.text
    assert "config.toml" not in mended.text


def test_with_broken_settings_everything_can_still_be_stopped(tmp_path: Path) -> None:
    engine = Engine(StateFolders(tmp_path / "config", tmp_path / "runtime"), Settings(), Path("/"))
    is_broken: list[bool] = []

    def open_engine() -> Engine:
        if is_broken:
            raise UsageError("config.toml: line 1 is broken")
        return engine

    site = Site.of(open_engine, settings=ServeSettings(), clock=time.time, monotonic=time.monotonic)
    is_broken.append(True)

    control = site.control(Caller(actor="dashboard (192.0.2.1)", can_write=True))
    assert control.emergency_stop(hold_reason="smoke") == []
    assert json.loads((tmp_path / "config" / "hold.json").read_text())["actor"] == "dashboard (192.0.2.1)"


def test_a_damaged_password_file_lets_nobody_in_and_says_why(tmp_path: Path) -> None:
    with standing(tmp_path) as serving, serving.person() as person:
        (tmp_path / "state" / "config" / "dashboard.json").write_text("{")
        page = person.get("/")
        again = person.post("/login", data={"password": serving.password})

    assert page.status_code == 303
    assert again.status_code == 500
    assert "dashboard.json" in again.text


def test_disks_that_hang_keep_no_page_no_stop_and_no_end_waiting(tmp_path: Path) -> None:
    state = prepared(tmp_path)
    mounts = tmp_path / "root" / "proc" / "self" / "mountinfo"
    mounts.parent.mkdir(parents=True)
    os.mkfifo(mounts)  # whoever opens it waits, as for a disk that does not answer
    asked = ["/", "/api/v1/disks", "/metrics", "/plan", "/schedules/new", "/schedules/slow", "/api/v1/overview"] * 10
    with ExitStack() as stack:
        serving = stack.enter_context(dashboard(state, "--no-clock", "--root", tmp_path / "root"))
        person, program = stack.enter_context(serving.person()), stack.enter_context(serving.program())
        running = start("--quiet", "schedule", "run", "slow", state=state)
        stack.callback(running.wait, 20)
        serving.execution(person, "slow")
        crowd = stack.enter_context(ThreadPoolExecutor(len(asked)))
        begun = time.monotonic()
        answers = [crowd.submit((program if "/api" in path else person).get, path) for path in asked]
        verdicts = program.post("/api/v1/emergency-stop").json()
        stopped_in = time.monotonic() - begun
        statuses = {answer.result().status_code for answer in answers}
        all_in = time.monotonic() - begun
        page = person.get("/").text
        threads = [Path(task, "comm").read_text() for task in Path(f"/proc/{serving.process.pid}/task").iterdir()]
        begun = time.monotonic()
        serving.process.terminate()
        serving.process.wait(20)
        ended_in = time.monotonic() - begun

    assert [one["verdict"] for one in verdicts] == ["stopped"]
    assert statuses <= {200, 409, 503}, statuses
    assert "have not answered for" in page
    assert len(threads) < 60
    assert (stopped_in < 5, all_in < 15, ended_in < 3) == (True, True, True), (stopped_in, all_in, ended_in)


# -- a restart in the middle of a run --------------------------------------------------------------------------------


def test_a_run_outlives_the_dashboard_that_started_it_and_the_next_one_shows_it(tmp_path: Path) -> None:
    with standing(tmp_path) as serving, serving.person() as person:
        state = serving.state
        variables = {**environment(state), "PYTHONPATH": str(SCRIPT.parent / "src")}
        starter = subprocess.run(
            [sys.executable, "-c", _STARTS, str(SCRIPT)], env=variables, capture_output=True, text=True, check=False
        )
        execution_id = starter.stdout.strip()
        before = serving.execution(person, "slow")
        serving.process.kill()
        serving.process.wait(20)
        with dashboard(state) as again:
            person.base_url = httpx.URL(again.address)
            after = again.execution(person, "slow")
            grown = until(lambda: again.execution(person, "slow")["bytes_done"] > after["bytes_done"])
            cancelled = run("execution", "cancel", execution_id, "--json", state=state)

    assert starter.returncode == -signal.SIGKILL, starter.stderr
    assert before["execution_id"] == after["execution_id"] == execution_id
    assert after["bytes_done"] >= before["bytes_done"]
    assert grown
    assert cancelled.exit_code == 0, cancelled


# -- crowds ----------------------------------------------------------------------------------------------------------


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def test_a_hundred_clients_that_reload_get_their_pages_and_take_no_memory_for_good(house: Dashboard) -> None:
    with house.person() as person:
        cookie = "Cookie", f"rebalancer_session={person.cookies['rebalancer_session']}"
        asked = wire.request("GET", "/", [cookie])
        statuses: list[int] = []
        sizes: list[int] = []
        for _ in range(3):
            with ExitStack() as stack:
                clients = [stack.enter_context(wire.connect(house.port)) for _ in range(100)]
                for client in clients:
                    client.sendall(asked)
                statuses += [wire.answer_of(client).status for client in clients]
            sizes.append(resident_bytes(house.process.pid))

    assert statuses == [200] * 300
    assert sizes[-1] - sizes[0] < 16 * 2**20
    assert sizes[-1] < 300 * 2**20


def test_who_hangs_up_in_the_middle_leaves_nothing_behind(house: Dashboard) -> None:
    with house.person() as person:
        cookie = "Cookie", f"rebalancer_session={person.cookies['rebalancer_session']}"
        generator = random.Random(7)  # noqa: S311 - the same cuts each time
        sent = [wire.request("GET", "/", [cookie]), wire.request("GET", "/live", [cookie]),
                wire.request("POST", "/logout", [cookie], b"x" * 5000), b"\x00\xff" * 50]  # fmt: skip
        before = len(os.listdir(f"/proc/{house.process.pid}/fd"))
        for _ in range(200):
            client = wire.connect(house.port)
            data = generator.choice(sent)
            client.sendall(data[: generator.randrange(1, len(data) + 1)])
            wire.abort(client)

        assert until(lambda: len(os.listdir(f"/proc/{house.process.pid}/fd")) <= before)
        assert person.get("/").status_code == 200


def test_slow_requests_and_guessed_passwords_keep_nobody_from_stopping_everything(
    tmp_path: Path, house: Dashboard
) -> None:
    is_over = threading.Event()
    answers: list[int] = []

    def guess(source: str) -> None:
        body = b"password=guess"
        while not is_over.is_set():
            sent = wire.request("POST", "/login", [("Content-Type", "application/x-www-form-urlencoded")], body)
            answers.append(wire.ask(house.port, sent, source=source).status)

    with house.person() as person, house.program() as stopper, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(wire.connect(house.port)).sendall(b"GET / HTTP/1.1\r\nHost: lo")
        running = start("--quiet", "schedule", "run", "slow", state=house.state)
        stack.callback(running.wait, 20)
        house.execution(person, "slow")
        guessing = [threading.Thread(target=guess, args=(f"127.0.3.{number}",)) for number in range(4)]
        for thread in guessing:
            thread.start()
        for thread in guessing:
            stack.callback(thread.join)
        stack.callback(is_over.set)
        assert until(lambda: 429 in answers)
        begun = time.monotonic()
        healthy = wire.ask(house.port, wire.request("GET", "/healthz"))
        answered_in = time.monotonic() - begun
        shown = person.get("/").status_code
        begun = time.monotonic()
        verdicts = stopper.post("/api/v1/emergency-stop").json()
        stopped_in = time.monotonic() - begun

    assert (healthy.status, shown) == (200, 200)
    assert answered_in < 2
    assert [one["verdict"] for one in verdicts] == ["stopped"]
    assert stopped_in < 3
    assert set(answers) <= {401, 429, 503}
    assert answers.count(401) <= 20


# -- beginning and ending --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_three_seconds_with_streams_open_and_requests_under_way(
    tmp_path: Path, number: signal.Signals
) -> None:
    with ExitStack() as stack:
        serving = stack.enter_context(standing(tmp_path))
        person = stack.enter_context(serving.person())
        cookie = "Cookie", f"rebalancer_session={person.cookies['rebalancer_session']}"
        streams = [stack.enter_context(wire.connect(serving.port)) for _ in range(5)]
        for stream in streams:
            stream.sendall(wire.request("GET", "/live", [cookie]))
            assert stream.recv(9) == b"HTTP/1.1 "
        asking = [stack.enter_context(wire.connect(serving.port)) for _ in range(40)]
        for one in asking[:20]:
            one.sendall(wire.request("GET", "/", [cookie]))
        for one in asking[20:]:
            one.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\npass")
        begun = time.monotonic()
        serving.process.send_signal(number)
        out, err = serving.process.communicate(timeout=20)
        took = time.monotonic() - begun
        ends = [read_all(stream) for stream in streams]

    assert took < 3, took
    assert (serving.process.returncode, err) == (0, b""), (out, err)
    assert all(end.endswith(b"0\r\n\r\n") for end in ends)  # each stream was ended, not cut


def read_all(stream: socket.socket) -> bytes:
    heard = b""
    while data := stream.recv(65536):
        heard += data
    return heard


def test_two_cannot_listen_at_one_place(house: Dashboard, run_program: RunProgram) -> None:
    second = run_program("serve", "--no-clock", "--listen", f"127.0.0.1:{house.port}", exit_code=75)

    assert f"nothing can listen on 127.0.0.1:{house.port}: address already in use" in second.stderr
    assert second.stdout == ""


def test_two_clocks_of_one_state_folder_do_not_run_side_by_side(house: Dashboard) -> None:
    second = run("serve", "--listen", "127.0.0.1:0", state=house.state, exit_code=75)
    beside = run("serve", "--no-dashboard", state=house.state, exit_code=75)

    assert "runs already in another process" in second.stderr
    assert "runs already in another process" in beside.stderr


def test_a_second_one_without_a_clock_serves_the_same_sessions_tokens_and_password(house: Dashboard) -> None:
    with dashboard(house.state, "--no-clock", password=house.password) as second, second.person() as person:
        assert person.get("/").status_code == 200


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_a_dashboard_without_a_login_is_for_this_machine_only(
    run_program: RunProgram, configured: Path, listen: str
) -> None:
    settings = configured / "config.toml"
    settings.write_text(f"[serve]\nlogin = false\n{settings.read_text()}")

    refused = run_program("serve", "--listen", listen, exit_code=2)

    assert f"serve: login: it may be left out only where nobody but this machine can ask: {listen}" in refused.stderr
    assert not (configured / "dashboard.json").exists()


def test_without_a_login_pages_are_open_and_still_no_foreign_page_can_change_anything(
    configured: Path, state: Path
) -> None:
    settings = configured / "config.toml"
    settings.write_text(f"[serve]\nlogin = false\n{settings.read_text()}")
    with dashboard(state, "--no-clock") as serving, serving.anybody() as person:
        page = person.get("/")
        forged = person.post("/logout")
        foreign = person.post("/logout", headers={"origin": "http://evil.example"})
        rebound = person.get("/", headers={"host": "evil.example"})

    assert serving.password == ""
    assert page.status_code == 200
    assert (forged.status_code, foreign.status_code, rebound.status_code) == (403, 403, 421)


@pytest.mark.parametrize(
    ("listen", "asked"), [("[::1]:0", "[::1]"), ("[::]:0", "127.0.0.1"), ("localhost:0", "127.0.0.1")]
)
def test_it_listens_where_it_is_told_to(start_program: StartProgram, configured: Path, listen: str, asked: str) -> None:
    serving = start_program("serve", "--no-clock", "--listen", listen, "--json")
    assert serving.stdout is not None
    said = json.loads(serving.stdout.readline())
    port = said["dashboard"].rstrip("/").rpartition(":")[2]

    assert httpx.get(f"http://{asked}:{port}/healthz", trust_env=False).status_code == 200
    assert len(said["password"]) == 23


# -- what it touches -------------------------------------------------------------------------------------------------

_CHANGES = (
    "creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync_file_range,utimensat,utime,"
    "utimes,truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,fchownat,pwrite64,link,linkat,symlink,symlinkat,"
    "mknod,mknodat,setxattr,fsetxattr,copy_file_range,sendfile,io_uring_setup,mount,umount2"
)
_SIGNALS = "kill,tkill,tgkill,pidfd_send_signal,rt_sigqueueinfo"


@contextmanager
def traced(pid: int, folder: Path) -> Iterator[list[str]]:
    """Yield what will be, after the block, every open, change and signal of a process and its threads."""
    folder.mkdir()
    calls = ",".join(f"?{name}" for name in f"open,openat,openat2,{_CHANGES},{_SIGNALS}".split(","))
    tracer = subprocess.Popen(
        [
            "strace",
            "-f",
            "-ff",
            "-yy",
            "-s",
            "4096",
            "-e",
            f"trace={calls}",
            "-o",
            str(folder / "calls"),
            "-p",
            str(pid),
        ],
        stderr=subprocess.PIPE,
    )
    assert tracer.stderr is not None
    assert b"attached" in tracer.stderr.readline()
    found: list[str] = []
    try:
        yield found
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=20)
        found += [line for file in folder.iterdir() for line in file.read_text(errors="replace").splitlines()
                  if "(" in line]  # fmt: skip


def changes(calls: list[str]) -> list[str]:
    """Return the calls that could change a file."""
    names = set(_CHANGES.split(","))
    return [
        call for call in calls if call.partition("(")[0] in names or re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", call)
    ]


@pytest.mark.needs_tool("strace")
def test_it_writes_to_its_own_folders_only_opens_nothing_of_a_disk_and_signals_nobody_and_idle_nothing_at_all(
    make_disk: MakeDisk, tmp_path: Path, state: Path
) -> None:
    disks = [make_disk("tmpfs", 16, name) for name in ("disk1", "disk2")]
    (disks[0] / "films" / "film").mkdir(parents=True)
    (disks[0] / "films" / "film" / "film.mkv").write_bytes(b"x" * 2_000_000)
    (state / "config").mkdir(mode=0o700)
    (state / "config" / "config.toml").write_text("".join(f'[[disk]]\npath = "{disk}"\n' for disk in disks))
    run("schedule", "create", "slow", "--cron", "0 3 1 1 *", "--reserve", "1MB", state=state, exit_code=0)
    run("schedule", "run", "slow", "--quiet", state=state)
    pages = ["/", "/schedules", "/schedules/new", "/schedules/slow", "/executions", "/statistics/slow", "/plan",
             "/emergency-stop", "/metrics", "/api/v1/overview", "/api/v1/executions", "/api/v1/disks"]  # fmt: skip

    with dashboard(state, "--no-clock") as serving:
        pid = serving.process.pid
        with traced(pid, tmp_path / "busy") as busy, serving.person() as person:
            for path in pages:
                assert person.get(path).status_code == 200, path
            with person.stream("GET", "/live") as stream:
                heard = stream.iter_raw()  # kept: to drop it closes the stream
                next(heard)
                time.sleep(1.5)
            person.post("/logout")
        with serving.person() as person:
            person.get("/")
            time.sleep(3.5)  # until the folder of the records is older than FAT can tell
            person.get("/")
            with person.stream("GET", "/live") as stream:
                heard = stream.iter_raw()  # kept: to drop it closes the stream
                next(heard)
                time.sleep(1.5)
                with traced(pid, tmp_path / "idle") as idle:
                    time.sleep(6)
            assert until(lambda: person.get("/healthz").status_code == 200)
            time.sleep(1.2)  # the last look has ended
            with traced(pid, tmp_path / "alone") as alone:
                time.sleep(2)

    below_a_disk = re.compile("|".join(f'"{re.escape(str(disk))}/' for disk in disks))
    at_a_disk = re.compile("|".join(f'"{re.escape(str(disk))}"' for disk in disks))
    named = [call for call in [*busy, *idle] if at_a_disk.search(call)]
    assert [call for call in idle if at_a_disk.search(call)], "nobody has looked, or strace has seen nothing"
    assert all("O_PATH" in call for call in named)  # named, not read
    assert [call for call in [*busy, *idle] if below_a_disk.search(call)] == []
    assert [call for call in [*busy, *idle] if call.partition("(")[0] in _SIGNALS.split(",")] == []
    own = (f'"{state}/config/', f'"{state}/runtime/', f"<{state}/config", f"<{state}/runtime")
    assert [call for call in changes(busy) if not any(folder in call for folder in own)] == []
    assert changes(busy) != []  # a login is kept
    assert changes(idle) == []
    assert alone == []
