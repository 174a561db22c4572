"""All that an Unraid server's settings say of where files may be, read at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rebalancer.array.unraid.immovable import DEFAULT_SHARES, Immovable, read_immovable
from rebalancer.array.unraid.ini import CONFIG, STATE
from rebalancer.array.unraid.shares import Share, Shares, read_shares


@dataclass(frozen=True, slots=True)
class Server:
    """The shares, what must stay, and where the data disks are: ``disks`` are paths by Unraid's names."""

    shares: Shares = field(default_factory=Shares)
    immovable: tuple[Immovable, ...] = ()
    disks: Mapping[str, str] = field(default_factory=dict)

    def share(self, name: str) -> Share:
        """Return what holds for a share."""
        found = self.shares.of(name)
        if not found.lock and name in DEFAULT_SHARES:
            return replace(found, lock=DEFAULT_SHARES[name])
        return found


def read_server(root: Path) -> Server | None:
    """Return what this machine's Unraid says; None when it is no Unraid.

    One of its folders is enough: a container may have only one of them, and then the other is unknown, which locks.
    """
    if not ((root / STATE / "disks.ini").exists() or (root / CONFIG / "shares").is_dir()):
        return None
    immovable, shares = read_immovable(root), read_shares(root)
    if immovable.objection and not shares.objection:
        shares = Shares(objection=immovable.objection)
    disks = {f"disk{number}": str(root / "mnt" / f"disk{number}") for number in range(1, 29)}
    return Server(shares, immovable.paths, disks)
