"""The worker lets everybody else go first, on processors and on disks."""

import ctypes
import os
from pathlib import Path

import pytest

from lab import MakeDisk
from transfer.bench import Bench, ended, wait_until

MIB = 2**20
IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31}  # syscalls(2)
IDLE = 3


def io_class(thread: int) -> int:
    number = IOPRIO_GET.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of ioprio_get(2) is not known for this machine")
    return int(ctypes.CDLL(None).syscall(number, 1, thread, 0)) >> 13


def niceness(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[16])


def test_the_worker_and_every_thread_of_it_run_at_low_priority(bench: Bench, make_disk: MakeDisk) -> None:
    disks = make_disk("tmpfs", 80, "disk1"), make_disk("tmpfs", 80, "disk2")
    (disks[0] / "s/u").mkdir(parents=True)
    (disks[0] / "s/u/it").write_bytes(os.urandom(24 * MIB))
    operation = bench.operation(["s/u"], *disks, rate=30 * MIB)

    with bench.start(operation) as process:
        wait_until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 2)
        threads = [int(thread) for thread in os.listdir(f"/proc/{process.pid}/task")]
        classes, nice = {io_class(thread) for thread in threads}, niceness(process.pid)
        assert ended(process).finished.files_moved == 1

    assert classes == {IDLE}
    assert nice == 10
