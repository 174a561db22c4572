"""Somebody else who works on the same files, at every moment of a move: what they wrote must be somewhere afterwards."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crash import campaign, tracing
from crash.figures import Figures
from crash.stage import Stage
from lab.aftermath import PREFIX

WORDS = b"what the rival wrote\n"
_APPEND = "import os, sys; fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND); os.write(fd, sys.argv[2].encode())"


@dataclass(eq=False)
class Deed:
    """What the rival does to one file of a stage; ``is_done`` tells whether there was anything to do it to."""

    stage: Stage
    path: str  # of the file, below a disk
    writers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    is_done: bool = False

    @property
    def here(self) -> Path:
        return self.stage.source / self.path

    @property
    def there(self) -> Path:
        return self.stage.destination / self.path


def replaces(deed: Deed) -> None:
    """Save as most editors do: a new file takes the name."""
    new = deed.here.with_name("being saved")
    if deed.here.exists():
        new.write_bytes(WORDS)
        new.replace(deed.here)
        deed.is_done = True


def appends(deed: Deed) -> None:
    """Write to the file; whoever holds a lease makes the rival wait, so it is a process of its own."""
    if deed.here.exists():
        deed.writers.append(
            subprocess.Popen([sys.executable, "-I", "-S", "-c", _APPEND, str(deed.here), WORDS.decode()])
        )
        deed.is_done = True


def plants(deed: Deed) -> None:
    """Create a file of that name at the destination, if there is none."""
    with suppress(FileExistsError, FileNotFoundError), deed.there.open("xb") as file:
        file.write(WORDS)
        deed.is_done = True


def renames(deed: Deed) -> None:
    """Give the file another name, keeping its content."""
    if deed.here.exists():
        deed.here.rename(deed.here.with_name("renamed by the rival"))
        deed.is_done = True


def removes(deed: Deed) -> None:
    with suppress(FileNotFoundError):
        deed.here.unlink()
        deed.is_done = True


Act = Callable[[Deed], None]
DEEDS: tuple[Act, ...] = (replaces, appends, plants, renames, removes)


def act_at_each_call(stage: Stage, figures: Figures, path: str, act: Act) -> None:
    """Let the rival act before every change that the worker makes, and see that nobody lost anything."""
    for number in range(1, len(campaign.calls(stage)) + 1):
        act_at(stage, figures, number, path=path, act=act)


def act_at(stage: Stage, figures: Figures, number: int, *, path: str, act: Act) -> None:
    stage.set_up()
    deed = Deed(stage, path)
    ended = stage.run(at=[number], fault=tracing.meanwhile(lambda: act(deed)))
    for writer in deed.writers:
        deed.is_done = writer.wait(20) == 0  # it came too late when the name was gone already
    figures.points += 1
    figures.fired += ended.fired is not None
    figures.note(f"the rival {act.__name__}", int(deed.is_done))
    _judge(stage, figures, deed, act)
    stage.recover()
    _judge(stage, figures, deed, act)


def _judge(stage: Stage, figures: Figures, deed: Deed, act: Act) -> None:
    """Count what is missing of the originals and of what the rival wrote."""
    found = _contents(stage)
    figures.states += 1
    for path, original in stage.contents.items():
        versions = found.get(path, set())
        if path == deed.path.encode():
            lost = not _is_kept(original, versions, found, deed, act)
        else:
            lost = versions != {original}
        if lost:
            figures.lost += 1
            print(f"{stage.scenario}, the rival {act.__name__} {path!r}: {sorted(versions)!r:.200}")  # noqa: T201 - shown with the failure


def _is_kept(original: bytes, versions: set[bytes], found: dict[bytes, set[bytes]], deed: Deed, act: Act) -> bool:
    """Return whether the file that the rival had its hands on is all there."""
    if not deed.is_done:
        return versions == {original}
    if act is replaces:
        return WORDS in versions and versions <= {WORDS, original}
    if act is appends:
        return original + WORDS in versions and versions <= {original, original + WORDS}
    if act is plants:
        return WORDS in versions and original in versions
    if act is renames:
        renamed = found.get(os.path.dirname(deed.path).encode() + b"/renamed by the rival", set())
        return original in versions | renamed
    return versions <= {original}


def _contents(stage: Stage) -> dict[bytes, set[bytes]]:
    """Return the contents of every visible regular file by its path, of all disks."""
    found: dict[bytes, set[bytes]] = {}
    for root in stage.disks:
        for folder, _, names in os.walk(os.fsencode(root)):
            for name in names:
                if not name.startswith(PREFIX) and PREFIX not in folder:
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        found.setdefault(os.path.relpath(path, os.fsencode(root)), set()).add(file.read())
    return found


def remember(stage: Stage) -> Stage:
    """Note the contents of a stage of regular files; the rival needs the worker's full patience."""
    stage.is_alone = False
    stage.contents = {path: next(iter(versions)) for path, versions in _contents(stage).items()}
    return stage
