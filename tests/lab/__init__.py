"""The laboratory: real file systems, real pools, the real program, and a model of what the files must still be."""

from lab.disks import Busy, disk, disk_copy, fill, remount_read_only, used_percent
from lab.fixtures import MakeDisk, MountPool, RunProgram, StartProgram
from lab.needs import Lacking, lacking_loop_disks, lacking_mounts, lacking_pools, lacking_root, lacking_tools
from lab.originals import Entry, difference, snapshot, snapshot_array
from lab.pools import pool
from lab.program import Ran, Running, command_line, environment, register, run, start
from lab.receivers import HANGS, Call, Receiver, calls_of, put_script, receiver
from lab.trees import ODD_NAMES, write_deep_folders, write_tree
from lab.unraid import mend, set_values, unraid_server

__all__ = [
    "HANGS",
    "ODD_NAMES",
    "Busy",
    "Call",
    "Entry",
    "Lacking",
    "MakeDisk",
    "MountPool",
    "Ran",
    "Receiver",
    "RunProgram",
    "Running",
    "StartProgram",
    "calls_of",
    "command_line",
    "difference",
    "disk",
    "disk_copy",
    "environment",
    "fill",
    "lacking_loop_disks",
    "lacking_mounts",
    "lacking_pools",
    "lacking_root",
    "lacking_tools",
    "mend",
    "pool",
    "put_script",
    "receiver",
    "register",
    "remount_read_only",
    "run",
    "set_values",
    "snapshot",
    "snapshot_array",
    "start",
    "unraid_server",
    "used_percent",
    "write_deep_folders",
    "write_tree",
]
