"""Films that are streamed through the pool while a run passes over them: read to their end, and moved by the next run."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import lab
from acceptance.sample_lab import Scene, marks, wait_for
from lab import MakeDisk, MountPool, RunProgram, StartProgram

MIB = 2**20
SIZE = 80 * MIB  # more than what shares a batch with others

# reads all but the last stretch at 10 MiB a second at most, then the rest once it is told that the run is over
PLAYER = """
import hashlib, sys, time
digest = hashlib.sha256()
with open(sys.argv[1], "rb", buffering=0) as film:
    print("playing", flush=True)
    for _ in range(int(sys.argv[2]) // 2**20 - 1):
        digest.update(film.read(2**20))
        time.sleep(0.1)
    sys.stdin.readline()
    while stretch := film.read(2**20):
        digest.update(stretch)
print(digest.hexdigest(), flush=True)
"""


@dataclass(frozen=True)
class Player:
    process: subprocess.Popen[str]

    @property
    def words(self) -> str:
        command = Path(f"/proc/{self.process.pid}/comm").read_text().strip()
        return f"in use: open by {command}, pid {self.process.pid}, through the pool"

    def play_to_the_end(self) -> str:
        """Return the digest of what was read; the film must have been read without an error."""
        output, errors = self.process.communicate("\n", timeout=60)
        assert (self.process.returncode, errors) == (0, "")
        return output.strip()


@contextmanager
def playing(path: Path) -> Iterator[Player]:
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYER, str(path), str(SIZE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "playing\n"
        yield Player(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.needs_pool
def test_films_streamed_through_the_pool_are_read_to_their_end_and_moved_by_the_next_run(
    make_disk: MakeDisk, mount_pool: MountPool, run_program: RunProgram, start_program: StartProgram, state: Path
) -> None:
    roots = [make_disk("ext4", 320, "disk1"), make_disk("xfs", 400, "disk2")]
    films = {name: os.urandom(SIZE) for name in ("before", "during")} | {"unwatched": os.urandom(MIB)}
    for name, content in films.items():
        (roots[0] / "movies" / name).mkdir(parents=True)
        (roots[0] / "movies" / name / "film.mkv").write_bytes(content)
    pool = mount_pool(roots)
    scene = Scene(roots, state, run_program, start_program)
    options = ("--strategy=evacuate", "--from=disk1")

    with playing(pool / "movies/before/film.mkv") as first:
        running = scene.start(*options, "--bandwidth-limit=40MB/s")
        for _ in wait_for("the second film to be copied"):
            if list((roots[1] / "movies").glob("during/.rebalancer-*.part")):
                break
        with playing(pool / "movies/during/film.mkv") as second:
            output = running.communicate(timeout=120)[0].decode()
            told = {item["path"]: item["reason"] for item in scene.record["left"]}
            expected = {"movies/before/film.mkv": first.words, "movies/during/film.mkv": second.words}
            digests = [first.play_to_the_end(), second.play_to_the_end()]

    assert running.returncode == 1, output
    assert told == expected
    assert digests == [hashlib.sha256(films[name]).hexdigest() for name in ("before", "during")]
    assert (roots[1] / "movies/unwatched/film.mkv").exists()
    assert marks(roots) == []

    scene.run(*options, exit_code=0)

    assert lab.snapshot(roots[1]).keys() >= {os.fsencode(f"movies/{name}/film.mkv") for name in films}
    assert {name: (pool / "movies" / name / "film.mkv").read_bytes() for name in films} == films
    assert scene.changes() == []
