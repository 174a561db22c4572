"""Evacuate, gather, pack and repair: each carried out once on real disks, nothing lost and the goal reached."""

from pathlib import Path

from acceptance.sample_lab import Scene, marks, settle, write_folders

FILM = 4 * 2**20


def _again(scene: Scene) -> Scene:
    """Return the scene with what was written to its disks since."""
    return Scene(scene.roots, scene.state, scene.run_program, scene.start_program)


def _films(root: Path) -> set[str]:
    return {path.parent.relative_to(root).as_posix() for path in root.glob("media/**/part 0.mkv")}


def _settings(scene: Scene, text: str) -> None:
    folder = scene.state / "config"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "config.toml").write_text(text)
    (folder / "config.toml").chmod(0o600)


def _season(root: Path, name: str, size: int) -> None:
    folder = root / "media" / "series" / name
    folder.mkdir(parents=True)
    (folder / "part 0.mkv").write_bytes(bytes(size))
    settle(root)


def test_evacuate_leaves_nothing_on_the_disk_that_goes(scene: Scene) -> None:
    scene.run("--strategy", "evacuate", "--from", "disk1", exit_code=0)

    assert _films(scene.roots[0]) == set()
    assert len(_films(scene.roots[1]) | _films(scene.roots[2])) == 10
    assert scene.changes() == []
    assert marks(scene.roots) == []


def test_gather_brings_a_scattered_series_onto_one_disk(scene: Scene) -> None:
    for root, name, size in zip(scene.roots, ("season 1", "season 2", "season 3"), (FILM, 2 * FILM, FILM), strict=True):
        _season(root, name, size)
    scene = _again(scene)

    scene.run("--strategy", "gather", "--path", "media/series", "--unit-depth", "2", exit_code=0)

    assert [len(list((root / "media" / "series").glob("*/part 0.mkv"))) for root in scene.roots] == [0, 3, 0]
    assert len(_films(scene.roots[0])) == 10  # what was not named stays
    assert scene.changes() == []


def test_pack_lets_the_disks_sleep_that_are_not_needed(scene: Scene) -> None:
    for root in scene.roots[1:]:
        write_folders(root, 1, size=FILM, share=f"media/{root.name}")
    scene = _again(scene)

    scene.run("--strategy", "pack", exit_code=0)

    assert [len(_films(root)) for root in scene.roots] == [12, 0, 0]
    assert scene.changes() == []


def test_repair_moves_what_the_rules_of_its_share_want_elsewhere(scene: Scene) -> None:
    _settings(scene, '[share.media]\nexclude = ["disk1"]\n')

    scene.run("--strategy", "repair", exit_code=0)

    assert _films(scene.roots[0]) == set()
    assert scene.changes() == []
    again = scene.run_program("plan", *scene.disks, "--strategy", "repair", "--json", exit_code=0).document
    assert again["moves"] == []


def test_a_plan_in_words_names_the_rule_that_keeps_a_unit(scene: Scene) -> None:
    _settings(scene, 'pinned = ["film 3"]\n[share.media]\nexclude = ["disk3"]\n')

    words = scene.run_program("plan", *scene.disks, "--explain", exit_code=0).stdout
    plan = scene.run_program("plan", *scene.disks, "--json", exit_code=0).document

    assert "pinned by film 3" in words
    assert {move["destination"] for move in plan["moves"]} == {"disk2"}
    assert {"excess_percent", "best_spread", "coarseness"} <= set(plan)
