"""The figures as tables: medians, ratios with their spread, the goals beside what was reached, the machine."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from moving.accounts import first_line
from moving.figures import PROGRAM, WORKER, Figures
from moving.goals import goals, spread
from moving.media import memory_size
from moving.rounds import Race

_MIB = 2**20
_COPIED = ("reading", "writing", "copying", "whole")


def tables(figures: Figures) -> list[str]:
    found = [_machine(), _goals(figures)]
    found += [of_race(race) for race in figures.races.values()]
    found += [_copies(figures)] if figures.copies else []
    found += [_interruptions(figures)] if figures.interruptions else []
    found += [_rates(figures)] if figures.rates else []
    found += [_peaks(figures)] if figures.peaks else []
    found += [_disturbances(figures)] if figures.disturbances else []
    found += [f"Not measured: {text}.\n" for text in figures.skipped]
    return found


def write(data: Path, figures: Figures) -> None:
    """Write the figures behind the tables as JSON."""
    data.write_text(json.dumps(_plain(figures), indent=1) + "\n")


def of_race(race: Race) -> str:
    """Return the table of one tree on one medium, everybody held against ours."""
    ours = [name for name in (WORKER, PROGRAM) if name in race.runs]
    head = ["who", "median", "least-most", *(f"time / {name}" for name in ours), "processor"]
    rows = []
    for name in race.runs:
        seconds = race.seconds(name)
        ratios = ["" if name == one else spread(race.ratios(name, one)) for one in ours]
        span = f"{min(seconds):.2f}-{max(seconds):.2f}"
        rows.append([_counted(race, name), f"{median(seconds):.2f} s", span, *ratios, f"{race.processor(name):.2f} s"])
    size = f"{race.tree.files:,} files, {race.tree.size / _MIB:,.0f} MiB, {_rounds(race)}"
    return f"**{race.tree.name}, {race.medium.name}** ({size})\n\n{_table(head, rows)}"


def _copies(figures: Figures) -> str:
    rows = [
        (medium, *(f"{median(getattr(one, name) for one in copies):.2f} s" for name in _COPIED), str(len(copies)))
        for medium, copies in figures.copies.items()
    ]
    head = (
        "medium",
        "dd reads it",
        "dd writes as much",
        "our worker: copied and flushed",
        "and verified, to its end",
        "times",
    )
    return f"**One large file, beside what its disks can do** (medians)\n\n{_table(head, rows)}"


def _machine() -> str:
    rows = [
        ("processors", f"{os.cpu_count()}, {platform.machine()}"),
        ("memory", f"{memory_size() / 2**30:.0f} GiB"),
        ("kernel; Python", f"{platform.release().split('-')[0]}; {platform.python_version()}"),
        ("rsync", first_line("rsync", "--version")),
        ("mkfs.xfs; mkfs.ext4", f"{first_line('mkfs.xfs', '-V')}; {first_line('mkfs.ext4', '-V')}"),
    ]
    return f"**The machine**\n\n{_table(('what', 'value'), rows)}"


def _goals(figures: Figures) -> str:
    words = {True: "yes", False: "**no**", None: "-"}
    rows = [(goal.what, goal.asked, goal.reached, words[goal.is_reached]) for goal in goals(figures)]
    return f"**Goals, and what was reached**\n\n{_table(('goal', 'asked for', 'median (least-most)', 'reached'), rows)}"


def _interruptions(figures: Figures) -> str:
    rows = [
        (f"{what}, {medium}", f"{median(seconds) * 1000:.0f} ms", f"{max(seconds) * 1000:.0f} ms", str(len(seconds)))
        for medium, found in figures.interruptions.items()
        for what, seconds in found.items()
    ]
    return f"**How soon the worker stops or pauses inside one large file**\n\n{_table(('what', 'median', 'at worst', 'times'), rows)}"


def _rates(figures: Figures) -> str:
    shown = ", ".join(f"{rate / 1e6:.2f}" for rate in figures.rates)
    return f"**Bandwidth limit**: asked for {figures.rate / 1e6:.0f} MB/s, copied at {shown} MB/s.\n"


def _peaks(figures: Figures) -> str:
    rows = [
        (f"{name}: {tree}", *(f"{size / _MIB:.0f} MiB" for size in (seen.all, seen.workers, seen.rest)))
        for tree, peaks in figures.peaks.items()
        for name, seen in peaks.items()
    ]
    head = ("who", "all processes at once", "of them our worker's", "of them others")
    return f"**Most memory at any moment**\n\n{_table(head, rows)}"


def _disturbances(figures: Figures) -> str:
    rows = [
        (
            name,
            f"{median(one.most for one in changes) / _MIB:,.0f} MiB",
            f"{median(one.after for one in changes) / _MIB:,.0f} MiB",
            f"{median(one.of_files for one in changes) / _MIB:,.0f} MiB",
            f"{median(one.kept for one in changes):.0%}",
        )
        for name, changes in figures.disturbances.items()
    ]
    head = (
        "who",
        "page cache grown by, at most",
        "afterwards",
        "the moved files, cached afterwards",
        "of a film that others had read, still cached",
    )
    return f"**The page cache of the machine, moving {figures.disturbed_by >> 20:,} MiB**\n\n{_table(head, rows)}"


def _plain(figures: Figures) -> dict[str, object]:
    races = {
        name: {
            who: [[round(run.seconds, 3), round(run.processor, 3)] for run in runs] for who, runs in race.runs.items()
        }
        for name, race in figures.races.items()
    }
    return {
        "races: seconds and processor seconds of each round": races,
        "seconds of one large file": {
            medium: [asdict(one) for one in copies] for medium, copies in figures.copies.items()
        },
        "seconds until it stopped or paused": figures.interruptions,
        "bytes per second under a limit": {str(figures.rate): figures.rates},
        "peaks of memory in bytes": {
            tree: {who: [seen.all, seen.workers, seen.rest] for who, seen in peaks.items()}
            for tree, peaks in figures.peaks.items()
        },
        "page cache in bytes": {who: [asdict(one) for one in found] for who, found in figures.disturbances.items()},
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *rows))


def _counted(race: Race, name: str) -> str:
    share = race.shares.get(name, 1)
    return name if share == 1 else f"{name} (every {share}th file, times {share})"


def _rounds(race: Race) -> str:
    count = len(next(iter(race.runs.values()), []))
    return f"{count} rounds" if count != 1 else "1 round"
