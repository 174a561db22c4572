"""Process numbers that are given away again, 500 times on purpose: no stranger ever receives a signal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REUSE = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from rebalancer.executions.family import stop_family
from rebalancer.executions.monitor import ScheduleMonitor

monitor = ScheduleMonitor(sys.argv[1])
wanted = int(sys.argv[2])

def child(heard=None):
    ready, up = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            if heard is not None:
                signal.signal(number, lambda number, frame: os.write(heard, b"%d " % number))
        os.write(up, b"!")
        while True:
            signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(up)
    return pid

reused, endings = 0, set()
heard_by_strangers, heard = os.pipe()
os.set_blocking(heard_by_strangers, False)
while reused < wanted:
    pid = child()
    execution = monitor.start_execution("nightly", pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
    stranger = child(heard)
    if stranger == pid:
        reused += 1
        endings.add(monitor.control.cancel(execution.execution_id).verdict.value)
        older = replace(execution.process, pidfd_inode=0, token="a" * 32)
        endings.add("signalled" if stop_family(execution.process, older, grace=0, patience=0).was_running else "left")
        assert os.waitpid(stranger, os.WNOHANG) == (0, 0), "a stranger was ended"
    os.kill(stranger, signal.SIGKILL)
    os.waitpid(stranger, 0)
try:
    strays = os.read(heard_by_strangers, 1000).decode()
except BlockingIOError:
    strays = ""
print(json.dumps({"reused": reused, "endings": sorted(endings), "strays": strays}))
"""


@pytest.mark.needs_mounts
@pytest.mark.needs_tool("unshare")
def test_500_reused_process_numbers_receive_no_signal(tmp_path: Path) -> None:
    if not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK):
        pytest.skip("the kernel does not let the next process number be chosen (/proc/sys/kernel/ns_last_pid)")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        "REBALANCER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }
    # a PID namespace of its own: nobody else takes a number in between, and no process of this machine is in it
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", REUSE]
    ran = subprocess.run(
        [*command, str(tmp_path / "config"), "500"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"reused": 500, "endings": ["left", "was not running"], "strays": ""}
