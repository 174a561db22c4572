"""The program as a process: what it imports, how it ends when something unforeseen happens or its reader leaves."""

import os
import subprocess
import sys
from pathlib import Path


def _python(code: str, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, text=True, timeout=60, stdout=stdout, stderr=subprocess.PIPE)


def test_in_a_pipe_a_table_is_printed_without_rich() -> None:
    code = """
import sys
from rebalancer.cli import tables
tables.show(tables.Table((tables.Column("a"),), [("b",)]))
sys.exit("rich" in sys.modules)
"""
    assert _python(code).returncode == 0


UNFORESEEN = """
import sys
from functools import partial
from rebalancer.cli import answer, explain
from rebalancer.cli.session import Session
class Broken:
    def disks(self):
        raise ZeroDivisionError("a bug \\x1b[31m")
session = Session(open_engine=lambda session: Broken())
sys.excepthook = partial(explain, session)
sys.exit(answer(sys.argv[1:], session))
"""


def test_what_nobody_foresaw_is_one_sentence_without_traceback() -> None:
    ran = _python(UNFORESEEN, "disks")

    assert ran.returncode == 1
    assert ran.stderr == (
        "unraid-rebalancer: unexpected error: ZeroDivisionError: a bug \\x1b[31m; run with -v for details\n"
    )


def test_with_verbose_the_traceback_follows() -> None:
    ran = _python(UNFORESEEN, "disks", "-v")

    assert ran.returncode == 1
    assert "Traceback (most recent call last)" in ran.stderr


def test_the_log_file_keeps_the_traceback_of_what_nobody_foresaw(tmp_path: Path) -> None:
    log = tmp_path / "log"

    ran = _python(UNFORESEEN, "disks", "--log-file", str(log))

    assert "Traceback" not in ran.stderr
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_reader_that_leaves_is_no_reason_for_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "from rebalancer.cli import main; main()"

    ran = _python(code, "completion", "bash", stdout=writing)
    os.close(writing)

    assert ran.stderr == ""
    assert ran.returncode == 1


def test_a_full_standard_output_is_said_in_one_sentence() -> None:
    code = "from rebalancer.cli import main; main()"
    with open("/dev/full", "w") as full:
        ran = _python(code, "--version", stdout=full.fileno())

    assert ran.returncode == 1
    assert ran.stderr.startswith("unraid-rebalancer: ")
    assert ran.stderr.count("\n") == 1
    assert "No space left on device" in ran.stderr
