"""Whole kernels panic, disks lose what they were not made to write, and disks fail: no file is lost or half (campaign L4).

The kernel that panics, records and fails is that of User-mode Linux; what it left is judged by this machine's kernel.
"""

import os
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import lab
from crash import log_writes, uml
from crash.figures import Figures
from crash.in_uml import FINISHED, LEAVING, Task, Unflushed, digest
from crash.log_writes import Entry, Medium, State
from crash.uml import Golden
from lab.aftermath import judge, own_names
from transfer.bench import Bench

MIB = 2**20
ROUTES = [("ext4", "xfs"), ("xfs", "btrfs"), ("btrfs", "ext4")]
PANICS = 20  # on each route
CUTS = 15  # of the power while both disks are in random states, on each route
FAULTS = 2  # of each kind on each route
LOG_SIZE = 512 * MIB  # sparse

pytestmark = [
    pytest.mark.long,
    pytest.mark.needs_tool("linux.uml", "dmsetup"),
    *(pytest.mark.needs_loop_disks(file_system) for file_system in ("ext4", "xfs", "btrfs")),
]


@pytest.fixture
def seed() -> str:
    """What repeats the test: shown with a failure, and given by REBALANCER_CRASH_SEED."""
    seed = os.environ.get("REBALANCER_CRASH_SEED", "") or secrets.token_hex(4)
    print(f"REBALANCER_CRASH_SEED={seed}")  # noqa: T201 - shown with a failure
    return seed


# -- panics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "destination"), ROUTES)
def test_a_kernel_that_panics_loses_no_file_and_the_next_run_ends_what_it_began(
    ram: Path, seed: str, source: str, destination: str
) -> None:
    golden = uml.golden(ram, source, destination, write_oddities)
    figures = Figures("L4", "kernel panics in User-mode Linux", f"{source} -> {destination}", seed=seed)
    chance = random.Random(f"{seed} {source}")  # noqa: S311 - moments of panics, no secret
    steps, _ = undisturbed(golden)

    for _ in range(PANICS):
        panic(golden, panicking(golden.task(), chance, steps), figures)

    figures.publish()


def test_a_worker_that_does_not_flush_is_caught_by_panics(ram: Path) -> None:
    golden = uml.golden(ram, "ext4", "xfs", write_oddities)
    figures = Figures("L4", "planted: nothing flushed, panics", "ext4 -> xfs")
    task = msgspec.structs.replace(
        golden.task(), unflushed=Unflushed.EVERYTHING, flush_first=(golden.task().source.at,)
    )
    steps, _ = undisturbed(golden)

    for before_the_end in (0, 50):
        panic(golden, msgspec.structs.replace(task, panic_at=steps - before_the_end), figures)

    assert (figures.fired, figures.lost > 0) == (2, True)


def panicking(task: Task, chance: random.Random, steps: int) -> Task:
    """Choose the step of the panic, and what of its luck each disk has: without luck it has only what was flushed."""
    luck = chance.choice([(), (task.source.at,), (task.source.at,), (task.destination.at,)])
    return msgspec.structs.replace(
        task,
        panic_at=chance.randint(1, steps),
        flush_first=luck,
        is_writing_early=chance.random() < 0.5,
    )


def panic(golden: Golden, task: Task, figures: Figures) -> None:
    images = golden.copies()
    boot = uml.boot(task, images)
    figures.points += 1
    figures.fired += boot.has_panicked
    figures.note(f"panics after {'a disk' if task.flush_first else 'no disk'} happened to write everything")
    judge_disks(golden, figures, told=f"{task}\n{boot.said}")


def undisturbed(golden: Golden) -> tuple[int, int]:
    """Move everything without a fault; return how many steps that took, and how many of them wrote content."""
    boot = uml.boot(golden.task(), golden.copies())
    with both_mounted(golden) as disks:
        assert problems(golden, disks) == [], boot.console
    _, steps, writes = boot.numbers("steps")
    return steps, writes


# -- every state of a disk --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "destination"), ROUTES)
def test_a_file_is_whole_on_the_source_until_the_destination_cannot_lose_it(
    ram: Path, seed: str, source: str, destination: str
) -> None:
    golden = uml.golden(ram, source, destination, write_many)
    where = f"{source} -> {destination}, each disk by itself"
    figures = Figures("L4", "every recorded write and random subsets of each flush", where, seed=seed)

    logs = recorded(golden, golden.task())
    for number in (0, 1):
        judge_disk(golden, figures, logs[number], number, seed)
    for moments in cuts(logs, random.Random(f"{seed} {source} cuts")):  # noqa: S311 - moments, no secret
        judge_cut(golden, figures, logs, moments)

    figures.publish()


@pytest.mark.parametrize(
    ("unflushed", "destination"),
    [(Unflushed.EVERYTHING, "ext4"), *((Unflushed.NAMES, file_system) for file_system in ("ext4", "xfs", "btrfs"))],
)
def test_a_worker_that_does_not_flush_is_caught_by_the_states_of_the_destination(
    ram: Path, unflushed: Unflushed, destination: str
) -> None:
    golden = uml.golden(ram, "ext4", destination, write_oddities)
    figures = Figures("L4", f"planted: {unflushed.value} not flushed, recorded writes", f"ext4 -> {destination}")
    task = msgspec.structs.replace(golden.task(), unflushed=unflushed)

    judge_disk(golden, figures, recorded(golden, task)[1], 1, "planted")

    assert figures.lost > 0


def recorded(golden: Golden, task: Task) -> tuple[list[Entry], list[Entry]]:
    """Return what was written to the source and to the destination, with a mark before each file leaves the source."""
    logs = tuple(golden.memory / f"{name}.log" for name in ("source", "destination"))
    for log in logs:
        with log.open("wb") as file:
            file.truncate(LOG_SIZE)
    boot = uml.boot(msgspec.structs.replace(task, logs=uml.DEVICES[2:]), [*golden.copies(), *logs])
    assert boot.numbers("worker ended")[0] == 0, boot.console
    source, destination = (log_writes.read(log) for log in logs)
    marks = {entry.mark for entry in source if entry.mark}
    assert marks == {FINISHED, *(LEAVING + digest(path) for path in files(golden))}, "not every step was marked"
    assert [entry.mark for entry in source if entry.mark] == [entry.mark for entry in destination if entry.mark]
    return source, destination


def judge_disk(golden: Golden, figures: Figures, entries: list[Entry], number: int, seed: str) -> None:
    """Judge every state of one disk. At any moment every file is owed by the source, in all its states of that moment,
    or by the destination in all its own: so no pair of states lacks it.
    """
    leaving = {LEAVING + digest(path): path for path in files(golden)}
    gone = [leaving.get(entry.mark, b"") for entry in entries]
    chance = random.Random(f"{seed} {golden.file_systems[0]} {number}")  # noqa: S311 - subsets of writes, no secret
    medium = Medium(golden.copies()[number], entries)
    figures.points += 1
    figures.fired += any(entry.is_flush for entry in entries) and any(entry.data for entry in entries)
    for state in log_writes.states(entries, chance):
        owed = files(golden) - set(gone[: state.cut]) if number == 0 else set(gone[: state.until]) - {b""}
        with medium.holding(state) as image:
            judge_state(golden, number, image, owed, figures)
        figures.note(f"states of a {('source', 'destination')[number]} on {golden.file_systems[number]}")


def judge_state(golden: Golden, number: int, image: Path, owed: set[bytes], figures: Figures) -> None:
    with uml.mounted(image, golden.memory / "state", golden.file_systems[number]) as root:
        found = lab.snapshot(root)
    figures.states += 1
    figures.lost += len(owed - found.keys())
    figures.half += len(judge([found], golden.originals).halves)


def cuts(logs: tuple[list[Entry], list[Entry]], chance: random.Random) -> list[tuple[State, State]]:
    """Return pairs of states in which both disks can be at one moment, each with its own luck, in order of time."""
    places = [[number for number, entry in enumerate(entries) if entry.mark] for entries in logs]
    possible = [list(log_writes.states(entries, chance)) for entries in logs]
    moments = sorted(chance.choices(list(zip(*places, strict=True)), k=CUTS))
    return [
        (
            log_writes.state_at(logs[0], possible[0], here, chance),
            log_writes.state_at(logs[1], possible[1], there, chance),
        )
        for here, there in moments
    ]


def judge_cut(
    golden: Golden, figures: Figures, logs: tuple[list[Entry], list[Entry]], states: tuple[State, State]
) -> None:
    media = [Medium(image, entries) for image, entries in zip(golden.copies(), logs, strict=True)]
    with media[0].holding(states[0]), media[1].holding(states[1]):
        judge_disks(golden, figures, told=str(states))
    figures.note("pairs of states from which recovery went on")


# -- disks that fail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "destination"), [("xfs", "ext4"), ("ext4", "btrfs"), ("btrfs", "xfs")])
def test_a_destination_that_refuses_to_write_costs_no_file(ram: Path, seed: str, source: str, destination: str) -> None:
    golden = uml.golden(ram, source, destination, write_oddities)
    figures = Figures("L4", "dm-flakey error_writes from a random step on", f"{source} -> {destination}", seed=seed)
    chance = random.Random(f"{seed} {destination}")  # noqa: S311 - moments of faults, no secret
    steps, _ = undisturbed(golden)

    for _ in range(FAULTS):
        fail(golden, "error_writes", chance.randint(1, steps), "", figures)

    figures.publish()


@pytest.mark.parametrize(("source", "destination"), [("xfs", "ext4"), ("ext4", "btrfs"), ("btrfs", "xfs")])
def test_a_destination_that_drops_content_and_says_it_wrote_is_not_believed(
    ram: Path, seed: str, source: str, destination: str
) -> None:
    golden = uml.golden(ram, source, destination, write_content)
    figures = Figures("L4", "dm-flakey drop_writes from a random copy on", f"{source} -> {destination}", seed=seed)
    chance = random.Random(f"{seed} {destination}")  # noqa: S311 - moments of faults, no secret
    _, writes = undisturbed(golden)

    for _ in range(FAULTS):
        fail(golden, "drop_writes", chance.randint(1, writes), "pwrite", figures)

    figures.publish()


def fail(golden: Golden, fault: str, at: int, among: str, figures: Figures) -> None:
    images = golden.copies()
    task = msgspec.structs.replace(golden.task(), fault=fault, fault_at=at, fault_among=among)
    boot = uml.boot(task, images)
    asked, done = boot.numbers("since the fault")
    figures.points += 1
    figures.fired += asked > 0 and done == 0
    figures.note("writes that did not reach the medium", asked)
    figures.note("names that the worker left with a reason", left := len(golden.left()))
    assert left or fault == "error_writes", "the worker believed a disk that dropped what it was to write"
    judge_disks(golden, figures, told=f"{task}\n{boot.said}")


# -- what is moved ----------------------------------------------------------------------------------------------


def write_oddities(root: Path) -> None:
    lab.write_tree(root, files=24, seed=1, total=3 * MIB)


def write_many(root: Path) -> None:
    lab.write_tree(root, files=100, seed=1, total=4 * MIB)


def write_content(root: Path) -> None:
    """Only files of which content is still to be written when the disk begins to lie: one that lies about names alone
    is believed by everybody. So none is empty, kept within metadata (btrfs, small ones), or as long as whole pages (xfs
    writes those out when their length is set).
    """
    content = random.Random(1)  # noqa: S311 - sample content, no secret
    for number in range(30):
        file = root / f"media/film {number % 3}/part {number:02}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.randbytes(content.randint(5_000, 200_000)))


def files(golden: Golden) -> set[bytes]:
    return {path for path, entry in golden.originals.items() if entry.kind != "folder"}


# -- what is left -----------------------------------------------------------------------------------------------


@contextmanager
def both_mounted(golden: Golden) -> Iterator[list[Path]]:
    """Mount what a boot left of both disks."""
    images, (source, destination) = golden.runs, golden.file_systems
    after = golden.memory / "after"
    with (
        uml.mounted(images[0], after / "source", source) as here,
        uml.mounted(images[1], after / "destination", destination) as there,
    ):
        yield [here, there]


def judge_disks(golden: Golden, figures: Figures, *, told: str) -> None:
    """Look at both disks on this machine, let recovery and one more run finish, and look again."""
    with both_mounted(golden) as disks:
        found = judge([lab.snapshot(root) for root in disks], golden.originals)
        lost = found.lost + found.only_hidden
        bench = Bench(golden.memory)
        operation = bench.operation(golden.units, disks[0], disks[1])
        bench.work(operation, "--only-begun")
        bench.work(operation)
        unrecovered = problems(golden, disks)
    figures.states += 1
    figures.lost += len(lost)
    figures.half += len(found.halves)
    figures.unrecovered += bool(unrecovered)
    if lost or found.halves or unrecovered:
        print(told, lost[:5], found.halves[:5], unrecovered[:5], sep="\n")  # noqa: T201 - shown with the failure


def problems(golden: Golden, disks: list[Path]) -> list[str]:
    """Return what is not as after an undisturbed run: everything at the destination, once, and nothing of ours."""
    source, destination = (lab.snapshot(root) for root in disks)
    found = [f"{path!r} is still at the source" for path, entry in source.items() if entry.kind != "folder"]
    found += [f"{name!r} is left over" for name in own_names(disks)]
    empty = {path: entry for path, entry in source.items() if path not in destination}
    return found + lab.difference(golden.originals, empty | destination, ignore_folder_times=True)
