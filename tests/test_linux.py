"""What newer kernels answer directly is found out on older ones too."""

import subprocess
import sys
from pathlib import Path

_BEFORE_6_5 = """
import ctypes, mmap, os, struct, sys
from rebalancer.transfer import content

def refuse(number):
    rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("=HBBI", *rule) for rule in rules)
    code = ctypes.create_string_buffer(program)
    filter = ctypes.create_string_buffer(struct.pack("=H6xQ", len(rules), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter) == 0

refuse(451)  # cachestat(2) answers ENOSYS (seccomp(2))
fd = os.open(sys.argv[1], os.O_RDWR)
os.fsync(fd)
print(content.evict(fd))
view = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
view[:]
print(content.evict(fd))
"""


def test_before_linux_6_5_pages_that_somebody_maps_are_not_taken_for_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content" * 10_000)

    answer = subprocess.run(
        [sys.executable, "-c", _BEFORE_6_5, str(file)],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": "src"},
        cwd=Path(__file__).parent.parent,
    )

    assert (answer.stdout.split(), answer.stderr) == (["True", "False"], "")
