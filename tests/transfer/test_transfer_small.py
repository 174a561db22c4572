"""Small files go in one piece; what is unusual about one sends it the long way, and nothing else changes."""

import os
from pathlib import Path

import pytest

from lab import MakeDisk
from rebalancer.transfer import content, small
from transfer.bench import Bench

CONTENTS = {
    "one byte": b"x",
    "one zero": b"\0",
    "zeros only": bytes(5000),
    "zeros at both ends": b"\0" + b"x" * 5000 + b"\0",
    "a zero in front": b"\0" + b"x" * 5000,
    "as large as it may be": os.urandom(small.SMALL),
}


@pytest.mark.parametrize("data", CONTENTS.values(), ids=list(CONTENTS))
def test_a_small_file_has_the_same_digest_as_on_the_long_way(tmp_path: Path, data: bytes) -> None:
    source, copies = tmp_path / "it", [tmp_path / "short", tmp_path / "long"]
    source.write_bytes(data)

    with source.open("rb") as file, copies[0].open("w+b") as short, copies[1].open("w+b") as long:
        by_small = small.copy(file.fileno(), short.fileno(), len(data))
        by_content, _ = content.copy(file.fileno(), long.fileno(), len(data), on_chunk=lambda _: None)
        again = small.read_again(short.fileno(), len(data))

    assert by_small == by_content == again
    assert [copy.read_bytes() for copy in copies] == [data, data]


def test_another_content_or_another_size_has_another_digest(tmp_path: Path) -> None:
    digests = set()
    for data in (b"x", b"xx", b"x\0", b"\0x", b"\0", b"\0\0"):
        file = tmp_path / "it"
        file.write_bytes(data)
        with file.open("rb") as opened:
            digests.add(small.read_again(opened.fileno(), len(data)))

    assert len(digests) == 6


def test_a_file_with_a_hole_a_large_one_and_an_empty_one_do_not_go_in_one_piece(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("hole", "large", "empty")]
    for file, size in zip(files, (small.SMALL // 2, small.SMALL + 1, 0), strict=True):
        file.touch()
        os.truncate(file, size)
    files[1].write_bytes(bytes(small.SMALL + 1))

    assert [small.is_small(file.stat()) for file in files] == [False, False, False]


@pytest.mark.needs_tool("strace")
@pytest.mark.parametrize("call", ["preadv,preadv2", "pwrite64"])
def test_a_call_that_does_less_than_it_was_asked_sends_a_small_file_the_long_way(
    bench: Bench, make_disk: MakeDisk, call: str
) -> None:
    disks, data = (make_disk("ext4", 64, "disk1"), make_disk("ext4", 64, "disk2")), os.urandom(5000)
    (disks[0] / "s/u").mkdir(parents=True)
    (disks[0] / "s/u/it").write_bytes(data)
    trace = bench.folder / "trace"
    faults = ["-e", f"trace={call}", "-e", f"inject={call}:retval=1:when=1"]

    worked = bench.work(bench.operation(["s/u"], *disks), under=["strace", "-f", "-qq", "-o", str(trace), *faults])

    assert "(INJECTED)" in trace.read_text()
    assert worked.finished.files_moved == 1
    assert (disks[1] / "s/u/it").read_bytes() == data
