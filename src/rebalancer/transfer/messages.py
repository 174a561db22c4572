"""What the worker tells its supervisor: JSON lines on its standard output."""

from msgspec import Struct


class Progress(Struct, frozen=True, kw_only=True, tag="progress", omit_defaults=True):
    """Where the work stands; counts are of what really happened, bytes are of file content."""

    moves_done: int
    moves_total: int
    files_moved: int
    files_total: int
    bytes_moved: int  # of files that are committed and gone from the source
    bytes_copied: int  # the same plus what is under way, for a steady bar and speed
    bytes_total: int
    source: str = ""
    destination: str = ""
    path: str = ""  # the file being worked on, relative to its disk; of several moves, one of the longest under way
    beside: int = 0  # further moves that are under way
    phase: str = ""  # "copying", "flushing", "verifying", "committing", "recovering", "paused"; "held" before it begins
    why: str = ""  # what holds or pauses it, in words; known to the supervisor only


class Left(Struct, frozen=True, kw_only=True, tag="left", omit_defaults=True):
    """A file or unit that stays where it was, and why."""

    disk: str
    path: str
    reason: str
    path_base64: str = ""
    is_conflict: bool = False


class Finished(Struct, frozen=True, kw_only=True, tag="finished", omit_defaults=True):
    """The worker's last line; without it the worker did not end by itself."""

    files_moved: int
    bytes_moved: int
    files_left: int
    moves_done: int
    moves_total: int
    unfinished: tuple[int, ...] = ()  # numbers of the moves that were begun and must go on to the same disk next time
    stopped: str = ""  # why it ended early: "cancelled", "time is up"; empty when it did not
    error: str = ""  # what ended the whole operation, as a sentence


Message = Progress | Left | Finished
