"""Who has a file open is in the reason why it stays."""

import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import MakeDisk, MountPool
from lab.processes import HOLD
from transfer.bench import Bench, another_process

MIB = 2**20
COMMAND = Path("/proc/self/comm").read_text().strip()
HOLD_MANY = "import os, sys; held = [open(path) for path in sys.argv[1:]]; print(1); sys.stdin.read()"


@pytest.fixture
def disks(make_disk: MakeDisk) -> tuple[Path, Path]:
    source, destination = make_disk("ext4", 256, "disk1"), make_disk("btrfs", 256, "disk2")
    (source / "s/u").mkdir(parents=True)
    (source / "s/u/it").write_bytes(b"content")
    return source, destination


@pytest.mark.parametrize(("flags", "how"), [(os.O_RDONLY, "open"), (os.O_WRONLY, "open for writing")])
def test_a_process_is_named(bench: Bench, disks: tuple[Path, Path], flags: int, how: str) -> None:
    with another_process(HOLD, disks[0] / "s/u/it", str(flags)) as process:
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: {how} by {COMMAND}, pid {process.pid}"}


def test_of_several_the_writer_is_named_and_the_others_are_counted(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = disks[0] / "s/u/it"
    with (
        another_process(HOLD, path, str(os.O_RDONLY)),
        another_process(HOLD, path, str(os.O_RDWR)) as writer,
        another_process(HOLD, path, str(os.O_RDONLY)),
    ):
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: open for writing by {COMMAND}, pid {writer.pid}, and by 2 more"}


def test_who_waits_for_a_file_that_is_given_up_is_named(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = disks[0] / "s/u/it"
    path.write_bytes(os.urandom(12 * MIB))
    bench.control.limit(10 * MIB)
    with ExitStack() as stack:
        writers: list[subprocess.Popen[bytes]] = []

        def write() -> None:
            writers.append(stack.enter_context(another_process(HOLD, path, str(os.O_WRONLY))))

        with bench.meanwhile(write):
            outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: open for writing by {COMMAND}, pid {writers[0].pid}"}


def test_who_has_the_file_open_that_stands_in_for_the_copy_is_named(bench: Bench, disks: tuple[Path, Path]) -> None:
    source, destination = disks
    subprocess.run(["cp", "-a", source / "s", destination], check=True)
    with another_process(HOLD, destination / "s/u/it", str(os.O_RDONLY)) as process:
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: open by {COMMAND}, pid {process.pid}"}


def test_who_uses_the_pool_is_named(bench: Bench, disks: tuple[Path, Path], mount_pool: MountPool) -> None:
    pool = mount_pool(disks)
    with another_process(HOLD, pool / "s/u/it", str(os.O_RDONLY)) as process:
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: open by {COMMAND}, pid {process.pid}, through the pool"}


def test_an_image_behind_a_loop_device_stays(bench: Bench, disks: tuple[Path, Path], mounts: ExitStack) -> None:
    image = disks[0] / "s/u/it"
    image.write_bytes(bytes(MIB))
    loop = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True).stdout
    mounts.callback(subprocess.run, ["losetup", "--detach", loop.strip()], check=True)

    outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: the image behind {Path(loop.strip()).name}"}


def test_a_program_that_runs_stays(bench: Bench, disks: tuple[Path, Path]) -> None:
    program = disks[0] / "s/u/it"
    program.write_bytes(Path("/bin/cat").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        outcome = bench.move("s/u", *disks)
        process.communicate()

    assert outcome.left == {b"s/u/it": f"in use: mapped into memory by it, pid {process.pid}"}


def test_many_files_that_somebody_has_open_are_named_in_one_look(bench: Bench, disks: tuple[Path, Path]) -> None:
    paths = [disks[0] / "s/u" / f"{number:04}" for number in range(400)]
    for path in paths:
        path.write_bytes(b"x")
    with another_process(HOLD_MANY, *paths) as process:
        begun = time.process_time()
        outcome = bench.move("s/u", *disks)
        took = time.process_time() - begun

    assert set(outcome.left.values()) == {f"in use: open by {COMMAND}, pid {process.pid}"}
    assert len(outcome.left) == 400
    assert took < 6  # a look for each would take longer


def test_a_large_file_that_is_read_is_left_before_it_is_copied(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = disks[0] / "s/u/it"
    path.write_bytes(bytes(65 * MIB))
    with another_process(HOLD, path, str(os.O_RDONLY)) as process:
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": f"in use: open by {COMMAND}, pid {process.pid}"}
    assert not bench.is_copying.is_set()
    assert bench.move("s/u", *disks).left == {}
    assert bench.is_copying.is_set()


def test_a_large_file_that_is_looked_into_again_and_again_moves(bench: Bench, disks: tuple[Path, Path]) -> None:
    path = disks[0] / "s/u/it"
    path.write_bytes(bytes(65 * MIB))
    look = (
        "import sys, time\nprint(1)\nwhile True:\n with open(sys.argv[1], 'rb') as f: f.read(9)\n time.sleep(0.003)\n"
    )
    with another_process(look, path):
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {}


def test_nobody_found_leaves_the_reason_as_it_is(bench: Bench, disks: tuple[Path, Path]) -> None:
    with (disks[0] / "s/u/it").open("rb"):  # the mover takes no process that is its own for another's
        outcome = bench.move("s/u", *disks)

    assert outcome.left == {b"s/u/it": "in use: somebody has it open"}
