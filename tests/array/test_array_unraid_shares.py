"""What Unraid's settings say of a share, in every form they take; what cannot be read locks it."""

from pathlib import Path

import pytest

from rebalancer.array.unraid import shares
from rebalancer.array.unraid.ini import CONFIG, STATE
from rebalancer.array.unraid.shares import Share, Shares, read_shares
from rebalancer.quantities import Reserve

WIDE = 'shareUserInclude=""\nshareUserExclude=""\n'


def cfg(**changes: str) -> str:
    values = {
        "shareComment": 'films "4K"', "shareInclude": "", "shareExclude": "", "shareUseCache": "no",
        "shareCachePool": "", "shareSplitLevel": "", "shareFloor": "0",
    } | changes  # fmt: skip
    return "# Generated settings:\n" + "".join(f'{key}="{value}"\n' for key, value in values.items())


def state(name: str, **changes: str) -> str:
    values = {"name": name, "splitLevel": "", "floor": "0", "include": "", "exclude": "", "useCache": "no"} | changes
    return f'["{name}"]\n' + "".join(f'{key}="{value}"\n' for key, value in values.items())


def read(root: Path, files: dict[str, str | bytes], *, states: str | None = None, wide: str | None = WIDE) -> Shares:
    (root / CONFIG / "shares").mkdir(parents=True)
    (root / STATE).mkdir(parents=True)
    for name, text in files.items():
        (root / CONFIG / "shares" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    if states is not None:
        (root / STATE / "shares.ini").write_text(states)
    if wide is not None:
        (root / CONFIG / "share.cfg").write_text(wide)
    return read_shares(root)


def test_the_rules_of_a_share_are_read(tmp_path: Path) -> None:
    text = cfg(shareInclude="disk1, disk2,disk4", shareExclude="disk4", shareSplitLevel="2", shareFloor="50000000")

    found = read(tmp_path, {"Media.cfg": text}).of("Media")

    assert found == Share(
        "Media", ("disk1", "disk2", "disk4"), ("disk4",), split_level=2, floor=Reserve(size=50_000_000 * 1024)
    )


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('"', ""),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("=", " = "),
        lambda text: text.rstrip("\n"),
    ],
    ids=["windows", "no quotes", "byte order mark", "spaces", "no last line end"],
)
def test_every_form_of_a_settings_file_says_the_same(tmp_path: Path, form: object) -> None:
    text = form(cfg(shareInclude="disk1,disk2", shareSplitLevel="3", shareFloor="7"))  # type: ignore[operator]

    found = read(tmp_path, {"TV Shows 📺.cfg": text}).of("TV Shows 📺")

    assert (found.include, found.split_level) == (("disk1", "disk2"), 3)
    assert (found.floor.size, found.lock) == (7 * 1024, "")


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ("", None, ""),
        ("1", 1, ""),
        ("5", 5, ""),
        ("6", None, ""),
        ("999", None, ""),
        ("0", 0, "decided by hand"),
        ("00", 0, "decided by hand"),
        ("/", 0, "old versions"),
        ("-1", 0, "old versions"),
        ("٢", 0, "old versions"),
    ],
)
def test_every_split_level_is_understood_or_locks(tmp_path: Path, text: str, level: int | None, words: str) -> None:
    found = read(tmp_path, {"Media.cfg": cfg(shareSplitLevel=text)}).of("Media")

    assert found.split_level == level
    assert words in found.lock
    assert bool(found.lock) == bool(words)


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("", Reserve()),
        ("1171688", Reserve(size=1171688 * 1024)),
        ("5%", Reserve(percent=5.0)),
        ("50GB", Reserve(size=50_000_000 * 1024)),
        ("1.5 tb", Reserve(size=1_500_000_000 * 1024)),
        ("50GiB", Reserve(size=50 * 2**30)),
    ],
)
def test_every_floor_is_understood(tmp_path: Path, text: str, floor: Reserve) -> None:
    found = read(tmp_path, {"Media.cfg": cfg(shareFloor=text)}).of("Media")

    assert (found.floor, found.lock) == (floor, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shareFloor": "much"}, "the minimum free space 'much' is no size"),
        ({"shareFloor": "140%"}, "is no size"),
        ({"shareInclude": "disk1,cache"}, "'cache' is no disk"),
        ({"shareExclude": "disk29"}, "'disk29' is no disk"),
        ({"shareUseCache": "only", "shareCachePool": "fast"}, "on the pool fast only"),
        ({"shareUseCache": "prefer"}, "on the pool cache, where Unraid's mover takes it"),
        ({"shareUseCache": "yes", "shareCachePool2": "slow"}, "on the pools cache and slow"),
        ({"shareUseCache": "maybe"}, "unclear ('maybe')"),
    ],
)
def test_what_is_unclear_or_belongs_on_a_pool_is_locked(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    assert words in read(tmp_path, {"Media.cfg": cfg(**changes)}).of("Media").lock


@pytest.mark.parametrize("quotes", ['"', ""])
def test_no_cut_of_a_torn_file_frees_a_share(quotes: str) -> None:
    text = cfg(shareComment="x", shareInclude="disk1,disk2", shareSplitLevel="2", shareFloor="500").replace('"', quotes)
    whole = shares._of_text("Media", text, "Media.cfg", {})

    for end in range(len(text)):
        torn = shares._of_text("Media", text[:end], "Media.cfg", {})
        assert torn.lock or torn == whole, f"{text[:end]!r} gives {torn}"


def test_a_share_without_a_file_has_what_unraid_works_with_or_the_defaults(tmp_path: Path) -> None:
    states = state("Scratch", splitLevel="1", exclude="disk3", hasCfg="0") + state("Gone", hasCfg="1")

    found = read(tmp_path, {}, states=states)

    assert found.of("Scratch") == Share("Scratch", exclude=("disk3",), split_level=1)
    assert found.of("New") == Share("New")
    assert "Gone.cfg, are missing" in found.of("Gone").lock


def test_an_exclusive_share_and_one_of_which_two_things_are_told_are_locked(tmp_path: Path) -> None:
    states = (
        state("vms", exclusive="yes", cachePool="fast") + state("Media", splitLevel="2") + state("tv", include="disk1")
    )

    found = read(tmp_path, {"vms.cfg": cfg(), "Media.cfg": cfg(), "tv.cfg": cfg(shareInclude="disk2")}, states=states)

    assert "exclusive share and lives on the pool" in found.of("vms").lock
    assert "disagree: split level any, 2" in found.of("Media").lock
    assert "disagree: include disk2, disk1" in found.of("tv").lock


def test_names_differ_by_case_and_a_twin_is_locked(tmp_path: Path) -> None:
    found = read(tmp_path, {"Media.cfg": cfg()})

    assert found.of("Media").lock == ""
    assert "settings for Media" in found.of("media").lock


def test_settings_that_are_not_there_lock_every_share(tmp_path: Path) -> None:
    assert "cannot be read: no such file" in read_shares(tmp_path).of("Media").lock
    assert "share.cfg) cannot be read" in read(tmp_path / "a", {"Media.cfg": cfg()}, wide=None).of("Media").lock
    torn = read(tmp_path / "b", {"Media.cfg": cfg()}, wide='shareUserInclude="disk1"\nshareUserExcl')
    assert "share.cfg) cannot be read" in torn.of("Media").lock
    odd = read(tmp_path / "c", {"Media.cfg": cfg()}, wide='shareUserInclude=""\nshareUserExclude="disk1;disk2"\n')
    assert "share.cfg) are unclear" in odd.of("Other").lock


def test_a_file_that_cannot_be_read_locks_its_share_only(tmp_path: Path) -> None:
    (tmp_path / CONFIG / "shares" / "Media.cfg").mkdir(parents=True)
    (tmp_path / CONFIG / "share.cfg").write_text(WIDE)

    found = read_shares(tmp_path)

    assert "Media.cfg, cannot be read" in found.of("Media").lock
    assert found.of("tv") == Share("tv")
