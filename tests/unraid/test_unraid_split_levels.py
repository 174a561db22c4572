"""A share limited to disk1 and disk2 with split level 2 is never placed elsewhere nor split: 1,000 random arrays.

The rules come from files as Unraid writes them, through the real reader, and the arrays are judged here: files are
followed one by one through every step of the plan, with no code of the planner.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rebalancer.array.disk import Disk
from rebalancer.array.unraid.server import Server, read_server
from rebalancer.executions.constraining import constraints_of
from rebalancer.inventory.unit import Inventory, Member, Unit, UnitKind
from rebalancer.planning.plan import Plan
from rebalancer.planning.planner import make_plan
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.settings import Settings

ARRAYS = 1000
SHARE = "Media"
ALLOWED = {"disk1", "disk2"}
LEVEL = 2
CFG = (
    "# Generated settings:\r\n"
    'shareInclude="disk1,disk2"\r\nshareExclude=""\r\nshareUseCache="yes"\r\nshareCachePool="cache"\r\n'
    'shareSplitLevel="2"\r\nshareFloor="1000"\r\n'
)
MB = 10**6
_PATIENCE = 100  # times that a strategy asks whether to go on; what it finds after that differs by bytes

Place = dict[str, set[str]]  # the disks that hold some of a folder


@dataclass(frozen=True)
class File:
    """One file of the array; ``unit`` is the path of the unit that the scan made it a part of."""

    path: str
    disk: str
    size: int
    unit: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    root = tmp_path_factory.mktemp("tower")
    (root / "boot/config/shares").mkdir(parents=True)
    (root / "boot/config/shares/Media.cfg").write_bytes(CFG.encode())
    (root / "boot/config/share.cfg").write_text('shareUserInclude=""\nshareUserExclude=""\n')
    (root / "var/local/emhttp").mkdir(parents=True)
    (root / "var/local/emhttp/disks.ini").write_text("")
    found = read_server(root)
    assert found is not None
    return found


@pytest.mark.parametrize("part", range(10))
def test_a_share_limited_to_two_disks_is_never_placed_elsewhere_nor_split(server: Server, part: int) -> None:
    moves = limited = joined = 0
    for seed in range(part * ARRAYS // 10, (part + 1) * ARRAYS // 10):
        chance = random.Random(seed)  # noqa: S311 - arrays are made up, not secrets
        files, sizes = random_files(chance), random_sizes(chance)
        inventory = inventory_of(files, sizes, server, chance)
        selection = random_selection(chance, sorted(sizes), files)

        asked = itertools.count()
        rules = constraints_of(Settings(), inventory, (), server)
        plan = make_plan(inventory, selection, rules, patience=lambda: next(asked) > _PATIENCE)  # noqa: B023 - used at once

        judge(files, plan, seed)
        moves += len(plan.moves)
        limited += sum(move.path.startswith(f"{SHARE}/") for move in plan.moves)
        joined += plan.strategy == "repair" and any(move.share == SHARE for move in plan.moves)

    assert moves > 100  # the arrays leave something to do, in general and to the share itself
    assert limited > 20
    assert joined > 2


def judge(files: list[File], plan: Plan, seed: int) -> None:
    """Follow every file: no step may bring one of the share to a third disk, or a folder to more disks than it was on."""
    where = {(file.disk, file.path): file for file in files}
    before = places(files)
    for move in plan.moves:
        paths = [move.path, *(member.path for member in move.also)]
        gone = [
            file
            for (disk, _), file in where.items()
            if disk == move.source and any(file.path == path or file.path.startswith(path + "/") for path in paths)
        ]
        assert gone, f"array {seed}: nothing is at {move.path} on {move.source}"
        for file in gone:
            del where[file.disk, file.path]
            assert (move.destination, file.path) not in where, f"array {seed}: {file.path} would be overwritten"
            where[move.destination, file.path] = File(file.path, move.destination, file.size, file.unit)
            if file.path.startswith(f"{SHARE}/"):
                assert move.destination in ALLOWED, f"array {seed}: {file.path} goes to {move.destination}"
    for folder, disks in places(where.values()).items():
        assert disks <= before[folder] or (len(disks) == 1 and len(before[folder]) == 1), (
            f"array {seed}: {folder} was on {before[folder]} and is on {disks}"
        )


def places(files: object) -> Place:
    """Return the disks of every folder of the share that must not be split: the one two levels below it."""
    found: Place = defaultdict(set)
    for file in files:  # type: ignore[attr-defined]
        share, *folders = file.path.split("/")[:-1]
        if share == SHARE and len(folders) >= LEVEL:
            found["/".join((share, *folders[:LEVEL]))].add(file.disk)
    return found


def random_sizes(chance: random.Random) -> dict[str, int]:
    return {f"disk{number}": chance.randint(150, 900) * MB for number in range(1, chance.randint(3, 6) + 1)}


def random_files(chance: random.Random) -> list[File]:
    """Return files of the share at every depth, some of them split over disks or on a wrong one already, and others."""
    depth = chance.choice([1, 2, 2, 2, 3])  # what the scan was asked for; the share's own depth is 2
    disks = [f"disk{number}" for number in range(1, 4)]
    files: dict[tuple[str, str], File] = {}
    for number in range(chance.randint(5, 18)):
        top = f"{SHARE}/{chance.choice('ABC')}/{chance.choice('abcd')}"
        path = chance.choice([f"{top}/f{number}", f"{top}/x/f{number}", f"{top}/y/f{number}", f"{SHARE}/A/f{number}"])
        disk = chance.choices(disks, [6, 2, 1])[0]
        files[disk, path] = File(path, disk, chance.randint(1, 20) * MB, "")
    for number in range(chance.randint(0, 5)):
        path = f"Other/o{number}/f"
        files[disks[0], path] = File(path, disks[0], chance.randint(1, 20) * MB, "")
    return [File(one.path, one.disk, one.size, unit_of(one.path, depth)) for one in files.values()]


def unit_of(path: str, depth: int) -> str:
    names = path.split("/")
    return "/".join(names[: depth + 1]) if len(names) > depth + 1 else path


def inventory_of(files: list[File], sizes: dict[str, int], server: Server, chance: random.Random) -> Inventory:
    units: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        units[file.disk, file.unit].append(file)
    found = [
        Unit(
            disk=disk,
            share=path.partition("/")[0],
            path=path,
            size_bytes=sum(file.size for file in inside),
            files=len(inside),
            kind=UnitKind.FILE if inside[0].path == path else UnitKind.FOLDER,
        )
        for (disk, path), inside in units.items()
    ]
    used = {name: sum(file.size for file in files if file.disk == name) for name in sizes}
    disks = tuple(
        Disk(name=name, path=server.disks[name], size_bytes=size, used_bytes=used[name], free_bytes=size - used[name])
        for name, size in sizes.items()
    )
    return Inventory(disks=disks, units=tuple(linked(found, chance)))


def linked(units: list[Unit], chance: random.Random) -> Iterator[Unit]:
    """Tie some units of one disk together, as hard links between two folders do."""
    waiting = list(units)
    while waiting:
        one = waiting.pop(0)
        other = next((unit for unit in waiting if unit.disk == one.disk), None)
        if other is None or chance.random() > 0.1:
            yield one
            continue
        waiting.remove(other)
        first, second = sorted((one, other), key=lambda unit: unit.path)
        yield Unit(
            disk=one.disk,
            share=first.share,
            path=first.path,
            size_bytes=one.size_bytes + other.size_bytes,
            files=one.files + other.files,
            kind=UnitKind.LINKS,
            also=(Member(path=second.path),),
        )


def random_selection(chance: random.Random, disks: list[str], files: list[File]) -> Selection:
    strategy = chance.choice(list(Strategy))
    limit = chance.choice([None, None, None, 30 * MB])
    if strategy is Strategy.EVACUATE:
        return Selection(strategy=strategy, from_disks=(chance.choice(disks),), max_bytes=limit, reserve="0")
    if strategy is Strategy.TARGET:
        return Selection(strategy=strategy, target_percent=chance.randint(1, 30), max_bytes=limit, reserve="0")
    if strategy is Strategy.GATHER:
        deep = {"/".join(file.path.split("/")[:2]) for file in files if file.unit.count("/") > 1}
        folder = chance.choice(sorted(deep | {files[0].unit}))
        return Selection(strategy=strategy, paths=(folder,), max_bytes=limit, reserve="0")
    return Selection(strategy=strategy, max_bytes=limit, reserve="0")
