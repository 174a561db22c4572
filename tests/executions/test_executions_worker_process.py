"""A worker that is killed while it is idle is lost, not an error of its supervisor."""

import os
import signal
import time
from pathlib import Path

from rebalancer.executions.worker_process import WorkerProcess


def test_a_worker_killed_before_it_is_given_work_ends_without_a_word(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        worker = WorkerProcess(log=log, locks=())
        os.kill(worker.identity.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.identity.pid, os.WEXITED | os.WNOWAIT)

        worker.begin(tmp_path / "operation.json", only_begun=False)
        said = list(worker.messages())
        code = worker.exit_code()
        worker.close()

    assert [message for message in said if message is not None] == []
    assert code == -signal.SIGKILL


def test_a_worker_that_is_given_nothing_ends_by_itself(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        worker = WorkerProcess(log=log, locks=())
        began = time.monotonic()

        code = worker.exit_code()
        worker.close()

    assert code == 0
    assert time.monotonic() - began < 20
    assert (tmp_path / "log").read_bytes() == b""


def test_a_worker_that_is_paused_before_it_listens_goes_on_to_listen(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        worker = WorkerProcess(log=log, locks=())
        worker.pause(paused=True)
        worker.pause(paused=False)

        code = worker.exit_code()
        worker.close()

    assert code == 0
