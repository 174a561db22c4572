"""The figures that a plan is made from are those of the disk, not of what its file system has only promised."""

import os

from lab import MakeDisk, RunProgram

FILES = 4000


def test_space_that_xfs_set_aside_for_fresh_files_is_not_counted_as_used(
    make_disk: MakeDisk, run_program: RunProgram
) -> None:
    root = make_disk("xfs", 640, "disk1")
    for number in range(FILES):
        folder = root / f"share/unit{number % 40}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(b"x" * 9000)

    scanned = run_program("--disk", root, "scan", "--json", exit_code=0).document

    os.sync()
    settled = os.statvfs(root)
    used = (settled.f_blocks - settled.f_bfree) * settled.f_frsize
    assert abs(scanned["disks"][0]["used_bytes"] - used) < 2 * 2**20
