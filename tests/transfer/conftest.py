"""The bench that the tests of the worker's parts stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from transfer.bench import Bench, made_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with made_bench(tmp_path) as made:
        yield made
