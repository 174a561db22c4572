"""What an execution writes to the flash stick: counted in the system calls of the real program."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab
from lab.needs import PLACES
from lab.processes import wait_until
from unraid import stopping_lab
from unraid.stopping_lab import Stage

pytestmark = [pytest.mark.needs_loop_disks("ext4"), pytest.mark.needs_tool("strace")]

CALLS = "rename,renameat,renameat2,unlink,unlinkat,openat,open,creat,mkdir,mkdirat"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stopping_lab.stage(tmp_path) as made:
        yield made


def on_the_flash(stage: Stage, *arguments: str) -> list[str]:
    return [*lab.command_line(*arguments), "--root", str(stage.server.root), "--config-dir", str(stage.server.config)]


def create(stage: Stage) -> None:
    command = on_the_flash(stage, "schedule", "create", "nightly", "--cron", "15 4 * * *", "--max-wait", "1m")
    subprocess.run(command, env=lab.environment(stage.state), check=True, stdout=subprocess.DEVNULL)


def start(stage: Stage, log: Path) -> subprocess.Popen[bytes]:
    program = on_the_flash(stage, "schedule", "run", "nightly", "--quiet")
    environment = lab.environment(stage.state) | {"PATH": f"{stage.state / 'bin'}:{PLACES}"}
    process = subprocess.Popen(["strace", "-ff", "-qq", "-o", log, "-e", f"trace={CALLS}", *program], env=environment)
    stage.running.append(process)
    return process


def changes(log: Path, boot: Path) -> Counter[tuple[str, str]]:
    """Return how many files were put in place, and how many removed, by the folder of /boot that they are in.

    Each process has a log of its own: in a common one a call that another process interrupts is torn in two lines.
    """
    found: Counter[tuple[str, str]] = Counter()
    for line in (line for each in log.parent.glob(f"{log.name}.*") for line in each.read_text().splitlines()):
        if line.endswith(")") or not (call := re.search(r"(rename|unlink|open|creat|mkdir)\w*\(", line)):
            continue
        paths = [Path(path) for path in re.findall(r'"([^"]*)"', line) if path.startswith(f"{boot}/")]
        is_temporary = bool(paths) and paths[-1].name.endswith(".tmp")
        if not paths or is_temporary or (call[1] == "open" and "O_CREAT" not in line):
            continue
        if "= 0" in line or call[1] == "open":
            found[call[1], paths[-1].parent.name] += 1
    return found


def test_an_execution_puts_two_records_and_its_plan_on_the_flash_and_takes_the_plan_away_again(
    stage: Stage, tmp_path: Path
) -> None:
    stopping_lab.write_film(stage.disks[0])
    create(stage)

    assert start(stage, tmp_path / "first").wait() == 0
    assert start(stage, tmp_path / "second").wait() == 0  # finds nothing to do, and folders that are there

    first, second = (changes(tmp_path / name, stage.server.root / "boot") for name in ("first", "second"))
    files = {key: count for key, count in first.items() if key[0] != "mkdir"}
    assert files == {
        ("rename", "executions"): 2,
        ("rename", "operations"): 1,
        ("unlink", "operations"): 1,
        ("open", "statistics"): 1,  # room for the day when the stick is full: once and for all
    }
    assert second == {("rename", "executions"): 2}


def test_an_execution_that_had_to_wait_writes_one_record_more_however_long_it_was_held(
    stage: Stage, tmp_path: Path
) -> None:
    create(stage)
    (stage.server.config / "statistics").mkdir()
    (stage.server.config / "statistics/.room").touch()
    stage.server.set(mdResync="1", mdResyncPos="5")

    process = start(stage, tmp_path / "log")
    wait_until(lambda: any((stage.server.config / "executions").glob("[!.]*.json")))
    for position in ("6", "7"):
        time.sleep(2.5)
        stage.server.set(mdResyncPos=position)
    stage.server.set(mdResync="0", mdResyncPos="0")

    assert process.wait() == 0
    found = changes(tmp_path / "log", stage.server.root / "boot")
    assert {key: count for key, count in found.items() if key[0] != "mkdir"} == {("rename", "executions"): 3}
