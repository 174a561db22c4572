"""The checklist of a good citizen on Unraid, point by point, on the server of ``tests/unraid/server``."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import lab
from lab.unraid import STATE
from rebalancer.array.discovery import confirm, find_disks
from rebalancer.array.disk import Disk
from rebalancer.cancel import Cancel
from rebalancer.engine import Engine
from rebalancer.errors import CancelledError, RefusedError
from rebalancer.guards.options import NO_GUARD
from rebalancer.inventory.unit import Inventory, Unit
from rebalancer.planning.plan import Plan
from rebalancer.planning.selection import Selection, Strategy
from rebalancer.settings import Settings, ShareSettings
from rebalancer.state import StateFolders

GB = 10**9
SHARES = Path("boot/config/shares")
GOOD = ("disk1", "disk2", "disk3", "disk4", "disk5", "disk6", "disk12", "disk13")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lab.unraid_server(tmp_path / "tower")


def engine_of(root: Path, *, disks: Sequence[str] = (), settings: Settings | None = None) -> Engine:
    """The program on the server; ``disks`` become small ones of 64 MiB each."""
    named = tuple(f"{root}/mnt/{name},size=64MiB" for name in disks)
    folders = StateFolders(config=root.parent / "state", runtime_root=root.parent / "run")
    return Engine(folders=folders, settings=settings or Settings(reserve="0"), root=root, named_disks=named)


def write(root: Path, *paths: str, size: int = 1 << 20) -> None:
    for path in paths:
        (root / "mnt" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "mnt" / path).write_bytes(b"x" * size)


def scanned(engine: Engine, selection: Selection | None = None) -> Inventory:
    return engine.scan(selection or Selection(), cancel=Cancel(), on_progress=lambda *_: None)


def imagined(root: Path, **units: Sequence[str]) -> Inventory:
    """An inventory of large disks: each unit, given by its disk, has 100 GB."""
    names = ("disk1", "disk2", "disk3", "disk4", "disk5", "disk6", "disk12", "disk13")
    size = {name: 100 * GB * len(units.get(name, ())) for name in names}
    disks = (
        Disk(name=name, path=f"{root}/mnt/{name}", size_bytes=4000 * GB, used_bytes=size[name], filesystem="xfs",
             free_bytes=4000 * GB - size[name])
        for name in names
    )  # fmt: skip
    found = (
        Unit(disk=disk, share=path.partition("/")[0], path=path, size_bytes=100 * GB, files=1)
        for disk, paths in units.items()
        for path in paths
    )
    return Inventory(disks=tuple(disks), units=tuple(found))


def reasons(plan: Plan) -> dict[str, str]:
    return {f"{row.disk}/{row.path}": row.reason for row in plan.left_behind}


def test_point_1_only_data_disks_that_are_mounted_are_worked_on(root: Path) -> None:
    for name in ("user/Media", "user0", "rootshare", "remotes/nas", "disks/usb", "disk9", "disk8"):
        (root / "mnt" / name).mkdir(parents=True, exist_ok=True)
    (root / "mnt/link").symlink_to(root / "mnt/disk1")
    (root / "link").symlink_to(root / "mnt/user")
    wrong = ("mnt/user/Media", "mnt/user0", "mnt/rootshare", "mnt/remotes/nas", "mnt/disks/usb", "mnt/cache", "mnt/fast",
             "mnt/disk9", "mnt/disk8", "mnt/link", "link", "boot")  # fmt: skip

    named = find_disks(root=root, settings=Settings(), named=[f"{root / path}" for path in wrong])
    sized = find_disks(
        root=root, settings=Settings(), named=[f"{root}/mnt/{one},size=1GB" for one in ("cache", "link")]
    )
    found = find_disks(root=root, settings=Settings(), named=())

    assert [disk.path for disk in (*named, *sized) if disk.is_usable] == []
    assert all(disk.reason for disk in (*named, *sized))
    assert tuple(disk.name for disk in found if disk.is_usable) == GOOD


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "DISK_DSBL"}, "emulates"),
        ({"status": "DISK_INVALID"}, "DISK_INVALID"),
        ({"color": "yellow-on"}, "yellow-on"),
        ({"fsStatus": "Unmountable: Wrong or no file system"}, "Unmountable"),
        ({}, "not a mount point"),
    ],
)
def test_point_2_a_disk_is_looked_at_before_each_unit(root: Path, change: dict[str, str], words: str) -> None:
    disk = next(disk for disk in find_disks(root=root, settings=Settings(), named=()) if disk.name == "disk1")
    confirm(disk, root=root)

    if change:
        lab.set_values(root / STATE / "disks.ini", "disk1", **change)
    else:
        mounts = root / "proc/self/mountinfo"
        mounts.write_text("".join(line for line in mounts.open() if "/mnt/disk1 " not in line))

    with pytest.raises(RefusedError, match=words):
        confirm(disk, root=root)


@pytest.mark.parametrize(
    "change", [{"mdState": "STOPPED"}, {"fsState": "Stopping"}, {"fsState": "Formatting"}, {"startMode": "Maintenance"}]
)
def test_point_3_nothing_starts_unless_the_array_is_started_normally(root: Path, change: dict[str, str]) -> None:
    write(root, *(f"disk1/Scratch/{number}/f" for number in range(9)))
    lab.set_values(root / STATE / "var.ini", "", **change)
    engine = engine_of(root, disks=("disk1", "disk2"))

    assert not any(disk.is_usable for disk in engine.disks())
    if change == {"fsState": "Stopping"}:
        with pytest.raises(CancelledError, match="the array is being stopped"):
            scanned(engine)
    else:
        assert engine.plan(scanned(engine), Selection()).moves == ()


@pytest.mark.parametrize("file", ["disks.ini", "var.ini"])
def test_point_4_a_torn_state_never_makes_a_disk_usable_that_was_not(root: Path, file: str) -> None:
    whole = (root / STATE / file).read_bytes()

    for part in range(16):
        (root / STATE / file).write_bytes(whole[: len(whole) * part // 16])
        asked = [f"{root}/mnt/{name}" for name in ("disk1", "disk7", "disk10", "disk11")]
        usable = {disk.name for disk in find_disks(root=root, settings=Settings(), named=asked) if disk.is_usable}
        assert usable <= {"disk1"}

    (root / STATE / file).write_bytes(whole.replace(b"\n", b"\r\n").replace(b'"', b""))
    if file == "var.ini":
        assert {disk.name for disk in find_disks(root=root, settings=Settings(), named=()) if disk.is_usable} == set(
            GOOD
        )


def test_point_4_a_share_of_which_the_settings_cannot_be_read_is_locked(root: Path) -> None:
    inventory = imagined(root, disk1=("Downloads/a", "Music/a/b", "Scratch/a", "media/b"), disk2=("TV Shows/a/b/c",))

    plan = engine_of(root).plan(inventory, Selection())

    found = reasons(plan)
    assert "Downloads.cfg is incomplete: splitLevel, floor cannot be read" in found["disk1/Downloads/a"]
    assert "Music.cfg is incomplete" in found["disk1/Music/a/b"]
    assert "Unraid has settings for Media" in found["disk1/media/b"]
    assert {move.path for move in plan.moves} <= {"Scratch/a", "TV Shows/a/b/c"}


def test_point_5_shares_stay_on_their_disks_and_no_share_goes_to_an_excluded_one(root: Path) -> None:
    units = [f"{share}/{number}/b/c/d" for share in ("Media", "Movies", "TV Shows", "Photos") for number in range(20)]
    inventory = imagined(root, disk1=units)

    plan = engine_of(root).plan(inventory, Selection(tolerance=0))

    went: dict[str, set[str]] = {}
    for move in plan.moves:
        went.setdefault(move.share, set()).add(move.destination)
    assert went["Media"] <= {"disk2"}
    assert went["Photos"] <= {"disk3"}
    assert went["TV Shows"] <= {"disk2", "disk3", "disk4", "disk12"}
    assert went["Movies"] >= {"disk5", "disk6", "disk13"}
    assert "disk3" not in went["Movies"]
    shown = {disk.name: disk.reason for disk in engine_of(root).disks()}
    assert shown["disk10"].startswith("Unraid's settings exclude disk10 from all shares")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_point_6_units_are_as_deep_as_the_split_level_whatever_the_run_asks_for(root: Path, depth: int) -> None:
    shares = ("Movies", "Media", "TV Shows", "Photos", "Books", "isos", "Scratch", "Backups")
    write(root, *(f"disk1/{share}/1/2/3/4/5/6/f" for share in shares), size=1)
    engine = engine_of(root, disks=("disk1", "disk2"))

    inventory = scanned(engine, Selection(unit_depth=depth))

    levels = {unit.share: unit.path.count("/") for unit in inventory.units}
    assert levels == {
        "Movies": 1, "Media": 2, "TV Shows": 3, "Photos": 4, "Books": 5,
        "isos": depth, "Scratch": depth, "Backups": depth,
    }  # fmt: skip


def test_point_6_what_is_split_is_only_joined_and_level_0_is_locked_until_the_owner_frees_it(root: Path) -> None:
    units = {
        "disk1": ["Movies/a", "Backups/a", *(f"Backups/{n}" for n in range(9))],
        "disk5": ["Movies/a", "Backups/b"],
    }
    inventory, everything = imagined(root, **units), Selection(strategy=Strategy.EVACUATE, from_disks=("disk1",))

    plan = engine_of(root).plan(inventory, everything)
    freed = Settings(reserve="0", shares={"Backups": ShareSettings(locked=False)})
    lifted = engine_of(root, settings=freed).plan(inventory, everything)

    assert {(move.path, move.destination) for move in plan.moves} == {("Movies/a", "disk5")}
    assert "its split level is 0" in reasons(plan)["disk1/Backups/a"]
    # Backups may be on disk6 and disk12 only, and is on neither: there is no disk that Unraid itself would take
    assert not [move for move in lifted.moves if move.share == "Backups"]
    at_home = imagined(root, disk6=["Backups/a", "Backups/c"], disk12=["Backups/b"], disk1=[])
    again = engine_of(root, settings=freed).plan(at_home, Selection(strategy=Strategy.EVACUATE, from_disks=("disk6",)))
    assert {(move.path, move.destination) for move in again.moves} == {("Backups/a", "disk12"), ("Backups/c", "disk12")}


def test_point_7_floors_of_shares_stay_free_in_the_plan_and_when_it_is_carried_out(root: Path) -> None:
    books = [f"Books/{number}/b/c/d/e" for number in range(30)]
    plan = engine_of(root).plan(imagined(root, disk1=books), Selection())
    assert {move.floor_bytes for move in plan.moves} == {200 * GB}  # 5 % of 4 TB

    lab.set_values(root / SHARES / "Movies.cfg", "", shareFloor=str(58 * 1024))  # of 64 MiB
    write(root, *(f"disk1/Movies/{number}/f" for number in range(20)))
    engine = engine_of(root, disks=("disk1", "disk2"))
    made = engine.plan(scanned(engine), Selection())
    assert 0 < len(made.moves) <= 6
    write(root, "disk2/Scratch/new/f", size=4 << 20)  # somebody fills the disk after the plan was made

    ended = engine.run(made, Selection(), cancel=Cancel(), on_message=lambda _: None, guards=NO_GUARD)

    moved = len(list((root / "mnt/disk2/Movies").glob("*/f"))) if (root / "mnt/disk2/Movies").exists() else 0
    assert moved <= 2
    assert ended.files_moved == moved


def test_point_8_pool_shares_exclusive_shares_and_a_disk_that_is_emptied_are_left_to_unraid(root: Path) -> None:
    inventory = imagined(root, disk1=("appdata/a", "domains/a", "system/a", *(f"Scratch/{n}" for n in range(9))))

    plan = engine_of(root).plan(inventory, Selection(strategy=Strategy.EVACUATE, from_disks=("disk1",)))

    found = reasons(plan)
    assert "belongs on the pool cache, where Unraid's mover takes it" in found["disk1/appdata/a"]
    assert "exclusive share and lives on the pool fast" in found["disk1/domains/a"]
    assert {move.share for move in plan.moves} == {"Scratch"}
    shown = {disk.name: disk.reason for disk in engine_of(root).disks()}
    assert shown["disk11"] == "Unraid's mover is emptying disk11: it is left to that"


def test_point_9_what_docker_and_virtual_machines_use_stays(root: Path) -> None:
    for name in ("appdata", "system", "domains"):
        lab.set_values(root / SHARES / f"{name}.cfg", "", shareUseCache="no")
        lab.set_values(root / STATE / "shares.ini", name, useCache="no", exclusive="no")
    inventory = imagined(
        root,
        disk1=("appdata/plex", "system/docker", "domains/vm", "isos/virtio", "Media/Series/Old Show", "Media/Series/New"),
        disk12=("TV Shows/cloud/1/2", "Movies/For the VM", "Movies/Other"),
        disk3=("Photos/vm/vdisk2.img", "Media/Series/Old Show"),
        disk6=("Movies/Family & Friends",),
    )  # fmt: skip

    plan = engine_of(root).plan(
        inventory, Selection(strategy=Strategy.EVACUATE, from_disks=("disk1", "disk3", "disk6", "disk12"))
    )

    found = reasons(plan)
    assert found["disk1/Media/Series/Old Show"] == "mapped into the container plex (/mnt/disk1/Media/Series/Old Show)"
    assert found["disk12/TV Shows/cloud/1/2"] == "mapped into the container nextcloud (/mnt/disk12/TV Shows/cloud)"
    assert found["disk6/Movies/Family & Friends"].startswith("mapped into the container duplicati")
    assert found["disk12/Movies/For the VM"].startswith("used by the virtual machine win11")
    assert found["disk3/Photos/vm/vdisk2.img"].startswith("used by the virtual machine win11")
    assert "take their media from it" in found["disk1/isos/virtio"]
    assert "the containers of this server keep their data in it" in found["disk1/appdata/plex"]
    assert "the images of Docker and libvirt of this server" in found["disk1/system/docker"]
    assert "the virtual machines of this server are in it" in found["disk1/domains/vm"]
    assert {move.path for move in plan.moves} <= {"Media/Series/New", "Movies/Other", "Media/Series/Old Show"}
    assert not [move for move in plan.moves if move.source == "disk1" and move.path == "Media/Series/Old Show"]


def test_point_9_hidden_folders_at_the_top_of_a_disk_stay(root: Path) -> None:
    write(root, "disk1/.Trash-99/f", "disk1/loose", "disk1/Scratch/a/f", size=1)
    engine = engine_of(root, disks=("disk1", "disk2"))

    found = reasons(engine.plan(scanned(engine), Selection()))

    assert found["disk1/.Trash-99"] == "hidden top-level folder, not a share"
    assert found["disk1/loose"] == "not inside a share"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shareExclude": "disk2"}, "may not go to disk2 now by the rules of the share Movies"),
        ({"shareUseCache": "only"}, "may not move now: nothing of the share Movies moves"),
        ({"shareFloor": "a lot"}, "is no size"),
    ],
)
def test_point_5_a_plan_from_before_the_settings_changed_is_refused(
    root: Path, change: dict[str, str], words: str
) -> None:
    write(root, *(f"disk1/Movies/{number}/f" for number in range(20)))
    lab.set_values(root / SHARES / "Movies.cfg", "", shareFloor="0")
    engine = engine_of(root, disks=("disk1", "disk2"))
    plan = engine.plan(scanned(engine), Selection())
    assert plan.moves

    lab.set_values(root / SHARES / "Movies.cfg", "", **change)
    (root / STATE / "shares.ini").unlink()

    with pytest.raises(RefusedError, match=words):
        engine.run(plan, Selection(), cancel=Cancel(), on_message=lambda _: None)
    assert not (root / "mnt/disk2/Movies").exists()
