import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from lab.program import SCRIPT

WITHOUT_PACKAGES = (sys.executable, "-I", "-S")  # an interpreter that sees nothing but the standard library


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(SCRIPT, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    return tmp_path


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*WITHOUT_PACKAGES, str(checkout / SCRIPT.name), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)


def give_environment(checkout: Path, text: str) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{text}\n")
    python.chmod(0o755)


def test_without_packages_and_environment_it_says_what_to_run(checkout: Path) -> None:
    answer = run(checkout, "disks")

    assert answer.returncode == 2
    assert answer.stderr == (
        f"unraid-rebalancer: its Python packages are not installed; run: make -C {checkout} install\n"
    )


def test_it_goes_on_in_the_environment_of_the_checkout_with_the_same_arguments(checkout: Path) -> None:
    give_environment(checkout, 'for argument in "$@"; do echo "<$argument>"; done')

    answer = run(checkout, "--disk", "a folder", "disks")

    assert answer.stdout.splitlines() == [f"<{checkout / SCRIPT.name}>", "<--disk>", "<a folder>", "<disks>"]


def test_an_environment_without_the_packages_is_tried_once(checkout: Path) -> None:
    give_environment(checkout, f'exec {" ".join(WITHOUT_PACKAGES)} "$@"')

    answer = run(checkout)

    assert answer.returncode == 2
    assert "make -C" in answer.stderr


def test_it_looks_for_every_package_that_the_program_depends_on() -> None:
    project = tomllib.loads((SCRIPT.parent / "pyproject.toml").read_text())["project"]
    names = {text.partition(">=")[0].removesuffix("-cffi").replace("-", "_") for text in project["dependencies"]}
    needed = SCRIPT.read_text().partition("NEEDED = (")[2].partition(")")[0]

    assert re.findall(r'"(\w+)"', needed) == sorted(names)
    assert all(find_spec(name) is not None for name in names)


def test_it_can_be_started_by_a_link_from_anywhere(tmp_path: Path) -> None:
    link = tmp_path / "rebalance"
    link.symlink_to(SCRIPT)

    answer = subprocess.run(
        [sys.executable, str(link), "--version"], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=30
    )

    assert answer.stdout.startswith("unraid-rebalancer ")
    assert os.listdir(tmp_path) == ["rebalance"]
