"""Who moves: our program, our worker alone, and what people use instead, each as one command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import rebalancer
from moving.media import Pair
from rebalancer import records
from rebalancer.array.discovery import find_disks
from rebalancer.array.medium import medium_of
from rebalancer.planning.plan import Plan
from rebalancer.planning.selection import Verification
from rebalancer.planning.traffic import moves_at_once
from rebalancer.settings import Settings
from rebalancer.transfer.operation import Operation

_SOURCE = str(Path(rebalancer.__file__).parent.parent)
_PROGRAM = (sys.executable, "-m", "rebalancer")
# what other programs do on this machine must not hold the run that is measured
_GUARDS = ("other-movers", "backups")


@dataclass(frozen=True, slots=True)
class Job:
    """One tree on the source of a pair, to be moved to its destination; state and plans are kept in a folder beside."""

    pair: Pair
    state: Path

    @property
    def source(self) -> Path:
        return self.pair.source.at

    @property
    def destination(self) -> Path:
        return self.pair.destination.at

    @property
    def variables(self) -> dict[str, str]:
        """An environment in which nothing of this machine's own installation is seen or touched."""
        return {
            "PYTHONPATH": _SOURCE,
            "HOME": str(self.state),
            "REBALANCER_CONFIG_DIR": str(self.state / "config"),
            "REBALANCER_RUNTIME_DIR": str(self.state / "runtime"),
            "SRC": str(self.source),
            "DST": str(self.destination),
        }

    def program(self, *arguments: str) -> list[str]:
        return [*_PROGRAM, "--disk", str(self.source), "--disk", str(self.destination), *arguments]

    def plan(self) -> Path:
        """Let the program plan to empty the source; returns the plan."""
        file = self.state / "plan.json"
        file.unlink(missing_ok=True)
        command = self.program("plan", "--strategy", "evacuate", "--from", str(self.source), "--reserve", "0")
        subprocess.run(
            [*command, "--save", str(file)],
            check=True,
            capture_output=True,
            env=os.environ | self.variables,
        )
        return file

    def operation(self, plan: Path, *, verify: str, rate: int | None = None, at_once: int | None = None) -> Path:
        """Write what the program's supervisor would write for its worker; returns the file."""
        read = records.read(plan, Plan, limit=records.DOCUMENT_LIMIT)
        disks = find_disks(root=Path("/"), settings=Settings(), named=[str(self.source), str(self.destination)])
        file = self.state / "operation.json"
        records.write(
            file,
            Operation(
                operation_id="20260101T000000Z-benchmrk",
                disks=disks,
                moves=read.moves,
                reserves={disk.name: 0 for disk in disks},
                verify=Verification(verify),
                bandwidth_limit=rate,
                at_once=moves_at_once(at_once, has_parity=False, processors=os.cpu_count() or 1),
                media={disk.name: medium_of(disk) for disk in disks},
            ),
        )
        return file


@dataclass(frozen=True, slots=True)
class Contender:
    """``prepare`` makes ready off the clock and returns the command; ``takes`` says whether the source is empty after it."""

    name: str
    prepare: Callable[[Job], list[str]] = field(repr=False)
    takes: bool = True  # the source is gone afterwards
    gives: bool = True  # the destination has it all afterwards
    is_flushed: bool = True  # the destination is flushed after it, on the clock
    share: int = 1  # does only every so many-th file; its seconds count that many times


def program(verify: str) -> Contender:
    """The whole command: start, plan file read, disks confirmed, journal, supervisor, worker, record."""

    def prepare(job: Job) -> list[str]:
        guards = [option for name in _GUARDS for option in ("--ignore-guard", name)]
        return job.program("run", "--plan", str(job.plan()), "--verify", verify, "--yes", "--json", *guards)

    return Contender(f"ours, {verify}", prepare)


def worker(verify: str) -> Contender:
    """The worker alone, as its supervisor starts it."""

    def prepare(job: Job) -> list[str]:
        return worker_command(job.operation(job.plan(), verify=verify))

    return Contender(f"our worker, {verify}", prepare)


def unflushed(library: Path) -> Contender:
    """The worker alone with every flush of its made to do nothing, and none after it."""

    def prepare(job: Job) -> list[str]:
        command = worker_command(job.operation(job.plan(), verify="full"))
        return ["env", f"LD_PRELOAD={library}", *command]

    return Contender("our worker, full, without any flush", prepare, is_flushed=False)


def worker_command(operation: Path) -> list[str]:
    return [sys.executable, "-m", "rebalancer.transfer.worker", str(operation)]


def loop(program_in_c: Path) -> Contender:
    return Contender("a loop in C", lambda job: [str(program_in_c), str(job.source), str(job.destination)])


def _script(name: str, script: str, *, takes: bool = True, gives: bool = True, share: int = 1) -> Contender:
    return Contender(name, lambda _job: ["bash", "-euc", script], takes=takes, gives=gives, share=share)


COPY = _script("cp -a", 'cp -a "$SRC"/. "$DST"/', takes=False)
RSYNC = _script("rsync -aHAX", 'rsync -aHAX "$SRC"/ "$DST"/', takes=False)
SPARSE = _script("rsync -aHAXS", 'rsync -aHAXS "$SRC"/ "$DST"/', takes=False)
CAREFUL = _script(
    "careful rsync",
    'rsync -aHAX -W "$SRC"/ "$DST"/; sync -f "$DST"; echo 3 >/proc/sys/vm/drop_caches;'
    ' rsync -aHAXc "$SRC"/ "$DST"/; rm -r "$SRC"/Media',
)
REMOVING = _script("rsync --remove-source-files", 'rsync -aHAX --remove-source-files "$SRC"/ "$DST"/')
READ = _script(
    "dd, reading the source",
    'find "$SRC" -type f -print0 | xargs -0 -I{} dd if={} of=/dev/null bs=1M status=none',
    takes=False,
    gives=False,
)
WRITE = _script(
    "dd, writing the destination",
    'cd "$SRC"; mkdir "$DST"/w; find . -type f -printf "%s\\n" |'
    ' { n=0; while read -r s; do n=$((n+1)); dd if=/dev/zero of="$DST/w/$n" bs=1M count=$((s/1048576)) status=none; done; }',
    takes=False,
    gives=False,
)


def balance(share: int) -> Contender:
    """What mergerfs.balance runs for every file, without its own walk over the disk before each."""
    return _script(
        "mergerfs.balance's rsync per file",
        f'cd "$SRC"; find . -type f -print0 | awk \'BEGIN{{RS=ORS="\\0"}} NR%{share}==0\' | while IFS= read -r -d "" f; do'
        ' rsync -avlHAXWE --relative --progress --remove-source-files "$SRC/$f" "$DST"/; done',
        takes=False,
        gives=False,
        share=share,
    )


def lacking(one: Contender) -> str:
    """Return what keeps a contender from taking part, empty when nothing does."""
    return "rsync is not installed" if "rsync" in one.name and shutil.which("rsync") is None else ""
