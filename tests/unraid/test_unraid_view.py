"""What the users of a server see of its shares while units are moved, and afterwards."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lab
from lab import MakeDisk, MountPool
from lab import disks as lab_disks
from lab.needs import PLACES
from lab.server import Server

pytestmark = [pytest.mark.needs_loop_disks("ext4"), pytest.mark.needs_pool, pytest.mark.needs_tool("setfacl", "strace")]

READER = r"""
import json, os, select, sys
os.chdir(sys.argv[1])  # what is above may be closed to everybody else
os.setgroups([]); os.setgid(100); os.setuid(99)
seen = {"rounds": 0, "folders": 0, "of ours": [], "refused": [], "root only": []}
while not select.select([0], [], [], 0)[0]:  # until nobody holds the other end any more
    waiting = ["."]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.lstat(folder)
            seen["folders"] += 1
            if ".rebalancer-" in folder:
                seen["of ours"].append(oct(status.st_mode))
            if not status.st_mode & 0o077:
                seen["root only"].append(folder)
            with os.scandir(folder) as entries:
                waiting += [one.path for one in entries if one.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
        except OSError as error:
            seen["refused"] = [*seen["refused"][:9], f"{folder}: {error.strerror}"]
    seen["rounds"] += 1
seen["of ours"] = sorted(set(seen["of ours"]))
print(json.dumps(seen))
"""


@contextmanager
def readers(view: Path, told: list[dict[str, Any]], count: int = 2) -> Iterator[None]:
    """List the whole view over and over as nobody:users (99:100) during the block; then hear what each saw."""
    started = [
        subprocess.Popen([sys.executable, "-S", "-c", READER, view], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    try:
        yield
        told += [json.loads(process.communicate(timeout=30)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
def server(tmp_path: Path, make_disk: MakeDisk) -> Server:
    """Two disks with folders as Unraid's users have them: 99:100, open or for the group, set-gid, with ACLs, empty."""
    first, second = make_disk("ext4", 200, "disk1"), make_disk("xfs", 300, "disk2")
    (first / "lost+found").rmdir()  # nobody may look into it, whatever we do
    for number in range(30):
        for kind, mode in (("open", 0o777), ("group", 0o770), ("setgid", 0o2775)):
            folder = first / "media" / f"{kind} {number}" / "season" / "extras"
            folder.mkdir(parents=True)
            for depth in (folder, folder.parent, folder.parent.parent):
                (depth / "film.mkv").write_bytes(os.urandom(100_000))
                os.chown(depth / "film.mkv", 99, 100)
                os.chown(depth, 99, 100)
                depth.chmod(mode)
    shared = first / "media" / "group 0" / "season"
    lab_disks.call("setfacl", "-m", "u:1234:rwx,d:u:1234:rwx,d:g::rx,d:o::rx", str(shared))
    for root, empty in ((first, "empty"), (second, "empty too")):
        (root / "media" / empty / "below").mkdir(parents=True)
    (first / "nothing in it").mkdir()
    (first / ".Trash-99").mkdir(mode=0o777)
    (first / ".Trash-99/deleted").write_bytes(b"gone")
    for root in (first, second):
        for share in ("media", ".Trash-99", "nothing in it"):
            if (root / share).exists():
                os.chown(root / share, 99, 100)
                (root / share).chmod(0o777)
        root.chmod(0o777)
    return Server(tmp_path, ["disk1", "disk2"])


def test_whoever_lists_the_view_during_a_run_meets_no_refusal_and_no_folder_of_root_alone(
    server: Server, mount_pool: MountPool, state: Path, tmp_path: Path
) -> None:
    disks = [server.root / "mnt/disk1", server.root / "mnt/disk2"]
    view = mount_pool(disks, func__getattr="ff", func__open="ff", category__create="epmfs", allow_other="")
    before, log = lab.snapshot_array(disks), tmp_path / "strace"
    shares_before = {root: sorted(os.listdir(root)) for root in disks}

    told: list[dict[str, Any]] = []

    with readers(view, told):
        time.sleep(0.3)
        run = subprocess.run(
            ["strace", "-f", "-qq", "-o", log, "-e", "trace=mkdirat,mkdir,fchmod,fchmodat,chmod,renameat2",
             *lab.command_line("run", "--yes", "--json", "--root", server.root)],
            env=lab.environment(state) | {"PATH": f"{state / 'bin'}:{PLACES}"},
            capture_output=True, check=True, cwd="/",
        )  # fmt: skip

    assert json.loads(run.stdout)["moves_done"] > 20
    for one in told:
        assert one["rounds"] > 5
        assert (one["refused"], one["root only"]) == ([], [])
    made = re.findall(r'mkdirat\(\d+, "(\.rebalancer-[^"]+)", 0(\d+)\)', log.read_text())
    assert {mode for name, mode in made if name.endswith(".part")} == {"755"}
    assert {mode for name, mode in made if name.endswith(".hidden")} == {"744"}
    assert lab.difference(before, lab.snapshot_array(disks)) == []
    assert (disks[0] / "media/empty/below").is_dir()
    assert (disks[1] / "media/empty too/below").is_dir()
    for root in disks:
        assert set(shares_before[root]) <= set(os.listdir(root))
    assert sorted(os.listdir(disks[1])) == ["media"]  # neither the hidden folder nor the empty share came along
    assert (disks[0] / ".Trash-99/deleted").read_bytes() == b"gone"
