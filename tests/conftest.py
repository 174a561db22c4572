"""Fixtures of the laboratory, and the rule that in CI nothing is skipped."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from lab import MakeDisk, MountPool, RunProgram, StartProgram, needs
from lab.cron import put_crontab_on_path, refuse_the_real_crontab


@pytest.fixture
def mounts() -> Iterator[ExitStack]:
    """What the test mounts; taken down in reverse order, whatever happened."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_disk(tmp_path: Path, mounts: ExitStack) -> MakeDisk:
    """``make_disk("xfs", 300, "disk1")``: a new file system of that size at ``tmp_path/mnt/disk1``."""

    def make(file_system: str, size_mib: int, name: str, /, *, options: str = "noatime") -> Path:
        needs.demand(needs.lacking_mounts() if file_system == "tmpfs" else needs.lacking_loop_disks(file_system))
        at = tmp_path / "mnt" / name
        return mounts.enter_context(lab.disk(at, file_system, size_mib, options=options))

    return make


@pytest.fixture
def mount_pool(tmp_path: Path, mounts: ExitStack) -> MountPool:
    """``mount_pool([disk1, disk2])``: a mergerfs pool over them at ``tmp_path/mnt/user``."""

    def make(branches: Sequence[Path | str], /, **changes: str) -> Path:
        needs.demand(needs.lacking_pools())
        return mounts.enter_context(lab.pool(branches, tmp_path / "mnt" / "user", **changes))

    return make


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the program under test keeps its state: ``config`` and ``runtime`` are below it."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700, exist_ok=True)
    put_crontab_on_path(folder)  # no test changes the crontab of whoever runs it
    return folder


@pytest.fixture
def run_program(state: Path) -> RunProgram:
    """``run_program("disks", "--json", exit_code=0)``: the real program, with state folders of this test only."""

    def run(
        *arguments: str | Path,
        exit_code: int | None = None,
        stdin: str = "",
        timeout: float = 120,
        variables: dict[str, str] | None = None,
    ) -> lab.Ran:
        return lab.run(*arguments, state=state, exit_code=exit_code, stdin=stdin, timeout=timeout, variables=variables)

    return run


@pytest.fixture
def start_program(state: Path, mounts: ExitStack) -> Iterator[StartProgram]:
    """The same, not waited for: killed at the end of the test, before the disks go, if it still runs."""
    with ExitStack() as stack:

        def start(*arguments: str | Path, variables: dict[str, str] | None = None) -> lab.Running:
            process = lab.start(*arguments, state=state, variables=variables)
            stack.callback(_end, process)
            return process

        yield start


def _end(process: lab.Running) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # the child is not reaped yet: the number is still its own
    process.communicate()


@pytest.fixture
def receiver() -> Iterator[lab.Receiver]:
    """A server on this machine that keeps what it hears."""
    with lab.receiver() as listening:
        yield listening


# Needs: skipped with the reason where a machine lacks something, failed where nothing may be skipped.

_MARKERS: dict[str, Callable[..., needs.Lacking]] = {
    "needs_root": needs.lacking_root,
    "needs_mounts": needs.lacking_mounts,
    "needs_loop_disks": needs.lacking_loop_disks,
    "needs_pool": needs.lacking_pools,
    "needs_tool": needs.lacking_tools,
}


def pytest_configure(config: pytest.Config) -> None:
    refuse_the_real_crontab()
    config.addinivalue_line("markers", "long: a campaign of `make crash`, left out by `make test`")
    config.addinivalue_line("markers", "needs_root: the test needs to be root")
    config.addinivalue_line("markers", "needs_mounts: the test mounts something")
    config.addinivalue_line("markers", 'needs_loop_disks("xfs"): the test mounts images of that file system')
    config.addinivalue_line("markers", "needs_pool: the test mounts a mergerfs pool")
    config.addinivalue_line("markers", 'needs_tool("rsync", ...): the test runs these programs')


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, lacking in _MARKERS.items():
        for marker in item.iter_markers(name):
            needs.demand(lacking(*marker.args))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and needs.is_strict() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and needs.is_strict():
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section(f"{len(skipped)} skipped, and why")
    for reason, count in Counter(map(_reason, skipped)).most_common():
        terminalreporter.line(f"{count:5} {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
