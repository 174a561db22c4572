"""The guards that ask for other programs, with real ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from guards.host_lab import Host, program
from rebalancer.guards.backups import BackupsGuard
from rebalancer.guards.mover import MoverGuard
from rebalancer.guards.other_movers import OtherMoversGuard
from rebalancer.guards.processes import Processes, words_of

pytestmark = pytest.mark.xdist_group("programs that guards ask for")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "server")


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    return tmp_path / "bin"


def demand_own_view() -> None:
    if not Processes().are_all_seen:
        pytest.skip("inside a container the programs of the machine cannot be seen")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/usr/local/sbin/mover start", "mover start"),
        ("/bin/bash /usr/local/sbin/mover start", "mover start"),
        ("/usr/bin/python3.11 -u /usr/bin/mergerfs.balance /pool", "mergerfs.balance /pool"),
        ("-bash", "bash"),
        ("sh -c mover", "sh -c mover"),
        ("/usr/bin/php -q /x/age_mover", "age_mover"),
    ],
)
def test_a_script_has_its_own_name(line: str, words: str) -> None:
    assert words_of(tuple(line.split())) == tuple(words.split())


def test_our_own_programs_are_not_among_the_others(bin_folder: Path) -> None:
    with program(bin_folder, "worker") as child:
        seen = Processes(frozenset({os.getpid()})).get(child.pid)
        unseen = Processes(frozenset({os.getpid(), child.pid})).get(child.pid)
        parent = seen.parent if seen is not None else 0

    assert parent == os.getpid()
    assert unseen is None


# -- the mover ---------------------------------------------------------------------------------------------------


def test_the_mover_is_known_by_its_process(host: Host, bin_folder: Path) -> None:
    guard = MoverGuard()
    with program(bin_folder, "mover", "start") as mover:
        during = host.reason(guard)

    assert during == f"the mover runs (pid {mover.pid})"
    assert host.look(guard) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("age_mover", "the mover of the Mover Tuning plugin runs (age_mover, pid "),
        ("move", "the mover runs (move, pid "),
    ],
)
def test_so_are_its_variants(host: Host, bin_folder: Path, name: str, words: str) -> None:
    with program(bin_folder, name):
        assert host.reason(MoverGuard()).startswith(words)


def test_who_only_asks_how_the_mover_fares_is_no_mover(host: Host, bin_folder: Path) -> None:
    with program(bin_folder, "mover", "status"), program(bin_folder, "remover"):
        assert host.look(MoverGuard()) is None


def test_a_pid_file_is_believed_only_when_its_process_is_a_mover(host: Host, bin_folder: Path) -> None:
    demand_own_view()
    with program(bin_folder, "ca.mover.start") as mover, program(bin_folder, "sleeper") as sleeper:
        reasons = []
        for text in (f"{mover.pid}\n", f"{sleeper.pid}\n", "999999999\n", "no number", ""):
            host.write("var/run/mover.pid", text)
            reasons.append(host.reason(MoverGuard()))

    assert reasons == [f"the mover runs (pid {mover.pid})", "", "", "", ""]


def test_unraids_own_word_counts_too(host: Host) -> None:
    host.var(shareMoverActive="yes")

    assert host.reason(MoverGuard()) == "the mover runs (var.ini: shareMoverActive)"


# -- backups -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "words"),
    [("tmp/appdata.backup/running", "Appdata Backup"), ("tmp/ca.backup2/tempFiles/backupInProgress", "CA Backup")],
)
def test_the_marks_of_backup_plugins_hold(host: Host, mark: str, words: str) -> None:
    guard, path = BackupsGuard(), host.root / mark
    host.write(mark, "")
    during = host.reason(guard)
    path.unlink()

    assert words in during
    assert f"/{mark} exists" in during
    assert host.look(guard) is None


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("restic -r /repo backup /mnt/user", True),
        ("restic -r /repo restore latest", False),
        ("borg create repo::now /mnt/user", True),
        ("borg mount repo /m", False),
        ("kopia snapshot create /mnt/user/photos", True),
        ("kopia server start", False),
        ("rclone sync /mnt/user/photos remote:", True),
        ("rclone sync /home/ann remote:", False),
        ("rclone mount remote: /mnt/remotes/x", False),
    ],
)
def test_a_program_counts_only_when_it_clearly_makes_a_backup(
    host: Host, bin_folder: Path, line: str, holds: bool
) -> None:
    name, *arguments = line.split()
    with program(bin_folder, name, *arguments) as process:
        expected = f"a backup runs ({name}, pid {process.pid})" if holds else ""
        assert host.reason(BackupsGuard()) == expected


# -- other movers ------------------------------------------------------------------------------------------------


def test_an_rsync_between_disks_holds_and_others_do_not(host: Host, bin_folder: Path) -> None:
    disk = host.root / "mnt/disk1"
    disk.mkdir(parents=True)
    with program(bin_folder, "rsync", "-a", "/home/ann", "backup:"):
        elsewhere = host.reason(OtherMoversGuard())
    with program(bin_folder, "rsync", "-a", "/mnt/disk7/films", "/tmp/x") as named:
        by_name = host.reason(OtherMoversGuard())
    with program(bin_folder, "rsync", "-a", "films", "/x", cwd=disk) as standing:
        by_folder = host.reason(OtherMoversGuard())
        ours = OtherMoversGuard().look(host.moment(own=[standing.pid]))

    assert elsewhere == ""
    assert by_name == f"rsync works on disk7 (pid {named.pid})"
    assert by_folder == f"rsync works on disk1 (pid {standing.pid})"
    assert ours is None


@pytest.mark.parametrize("name", ["mergerfs.balance", "diskmv"])
def test_programs_that_move_between_disks_hold(host: Host, bin_folder: Path, name: str) -> None:
    with program(bin_folder, name, "/pool") as process:
        assert host.reason(OtherMoversGuard()) == f"{name} moves files between disks (pid {process.pid})"


def test_unbalanced_holds_while_it_has_something_at_work_and_not_by_being_there(host: Host, bin_folder: Path) -> None:
    code = "import subprocess, sys; subprocess.run(['sleep', '60']) if sys.argv[1:] else input()"
    (bin_folder / "unbalanced").parent.mkdir(parents=True)
    (bin_folder / "unbalanced").write_text(f"#!{sys.executable}\n{code}\n")
    (bin_folder / "unbalanced").chmod(0o755)
    with subprocess.Popen([bin_folder / "unbalanced"], stdin=subprocess.PIPE) as idle:
        lab.processes.wait_until(lambda: "unbalanced" in Path(f"/proc/{idle.pid}/cmdline").read_text())
        alone = host.reason(OtherMoversGuard())
        idle.communicate(b"\n")
    with program(bin_folder, "unbalanced") as busy:  # its script runs sleep
        lab.processes.wait_until(lambda: host.reason(OtherMoversGuard()) != "")
        at_work = host.reason(OtherMoversGuard())

    assert alone == ""
    assert at_work.startswith("unbalanced is at work (sleep, pid ")
    assert busy.pid


def test_a_job_of_the_file_manager_holds_until_its_process_has_ended(host: Host, bin_folder: Path) -> None:
    demand_own_view()
    host.write("var/tmp/file.manager.active", '{"action": 4}')
    begun = host.reason(OtherMoversGuard())
    with program(bin_folder, "file_manager") as manager:
        host.write("var/tmp/file.manager.pid", f"{manager.pid}\n")
        at_work = host.reason(OtherMoversGuard())

    assert begun == "Unraid's File Manager has a job (file.manager.active exists)"
    assert at_work == f"Unraid's File Manager is at work (pid {manager.pid})"
    assert host.look(OtherMoversGuard()) is None
