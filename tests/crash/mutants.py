"""Ten planted faults. Each is a change of the worker's own code that exists only in a child of the tests.

A campaign that does not notice them proves nothing.
"""

import os
from collections.abc import Callable, Sequence

from rebalancer import linux
from rebalancer.errors import RebalancerError
from rebalancer.executions.family import Family
from rebalancer.executions.process_table import Facts, Table
from rebalancer.transfer import batch, commit
from rebalancer.transfer.batch import Batch
from rebalancer.transfer.item import Item
from rebalancer.transfer.marks import Marks
from rebalancer.transfer.route import Route


def no_fsync() -> None:
    """M1: nothing is ever flushed."""
    vars(os)["fsync"] = lambda _fd: None
    vars(linux)["sync_file_system"] = lambda _fd: None


def no_flush_of_names() -> None:
    """M2: the new names are not flushed before the source goes."""
    _plant(commit, "_flush_names", lambda _items, _route: None)


def source_goes_first() -> None:
    """M3: the source is removed before the copy has its name."""

    def backwards(items: Sequence[Item], route: Route) -> None:
        steps = commit._Steps(route)
        steps.each(steps.each(items, commit._hide), commit._remove)
        for item in items:
            commit._appear(item)

    _plant(batch, "commit", backwards)


def no_temporary_name() -> None:
    """M4: the copy is written under its final name."""
    real = Batch._copy

    def copy(self: Batch, item: Item) -> None:
        _plant(Marks, "new_part", lambda _marks: item.places[0].name)
        real(self, item)

    def appear(item: Item) -> None:
        item.part = b""
        item.appeared.append(item.places[0])

    _plant(Batch, "_copy", copy)
    _plant(commit, "_rename_part", appear)


def source_verified_twice() -> None:
    """M5: what is read again as the copy is the original."""
    _plant(Batch, "_to_read", lambda _batch, item: [item.source_fd, item.source_fd])


def flushed_again_after_an_error() -> None:
    """M6: an error of a flush is answered by flushing again."""
    real = Batch._flush

    def flush(self: Batch) -> None:
        try:
            real(self)
        except RebalancerError:
            real(self)

    _plant(Batch, "_flush", flush)


def rename_over_others() -> None:
    """M7: a name that appeared meanwhile is replaced."""
    _plant(
        linux, "rename_no_replace", lambda here, old, there, new: os.rename(old, new, src_dir_fd=here, dst_dir_fd=there)
    )


def no_second_look() -> None:
    """M8: whatever has the source's name when it goes is taken for what was copied."""

    def hide(item: Item, route: Route) -> None:
        for place in item.places:
            hidden = commit._hidden_folder(place.pair, route)
            linux.rename_no_replace(place.pair.source.fd, place.name, hidden, place.name)
            item.hidden.append(place)

    _plant(Item, "demand_unchanged", lambda _item: None)
    _plant(commit, "_hide", hide)
    _plant(commit, "_demand_untouched", lambda *_: None)


def record_not_flushed() -> None:
    """M9: a record is written without being flushed."""
    vars(os)["fsync"] = lambda _fd: None


def group_only() -> None:
    """M10: only the process group of the head is stopped, as killpg does."""

    def is_kin(self: Family, facts: Facts, _living: set[int], _table: Table) -> bool:
        try:
            return os.getpgid(facts.pid) in {head.pid for head in self.heads}
        except ProcessLookupError:
            return False

    _plant(Family, "_is_kin", is_kin)


Mutant = Callable[[], None]


def _plant(where: object, name: str, fault: Callable[..., object]) -> None:
    """Replace a part of the product in this process; it must exist, or the mutant would change nothing."""
    assert hasattr(where, name), f"{where} has no {name}"
    setattr(where, name, fault)
