"""Runs a piece of work in a child of the test and does something to it at one chosen system call (ptrace(2), seccomp(2)).

The child is a fork of the warm interpreter, so a point costs milliseconds. A filter stops it only at the calls that
are looked at; at such a stop the call has not been carried out yet. Registers are those of x86-64.
"""

import ctypes
import os
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

_TRACEME, _CONT, _POKEUSER, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 7, 6, 0x4200, 0x420E
_TELL_FILTERED, _EXITKILL, _EVENT_SECCOMP = 0x80, 0x100000, 7
_RAX, _RDX, _ORIG_RAX = 80, 96, 120  # offsets in struct user (sys/user.h)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # of classic BPF (linux/bpf_common.h)

# numbers of x86-64; `openat2` and `openat` count as changes only when they create
CHANGES = {
    18: "pwrite64", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir",
    86: "link", 87: "unlink", 88: "symlink", 90: "chmod", 91: "fchmod", 92: "chown", 93: "fchown", 94: "lchown",
    188: "setxattr", 189: "lsetxattr", 190: "fsetxattr", 197: "removexattr", 198: "lremovexattr", 199: "fremovexattr",
    235: "utimes", 258: "mkdirat", 260: "fchownat", 263: "unlinkat", 264: "renameat", 265: "linkat", 266: "symlinkat",
    268: "fchmodat", 277: "sync_file_range", 280: "utimensat", 285: "fallocate", 296: "pwritev", 306: "syncfs",
    316: "renameat2", 328: "pwritev2", 257: "openat", 437: "openat2",
}  # fmt: skip
# not close(2): by then everything that was written is flushed and read again, and nothing is left to fail
LOOKS = {
    5: "fstat", 8: "lseek", 16: "ioctl", 17: "pread64", 72: "fcntl", 137: "statfs", 138: "fstatfs",
    191: "getxattr", 193: "fgetxattr", 194: "listxattr", 196: "flistxattr", 217: "getdents64", 221: "fadvise64",
    262: "newfstatat", 267: "readlinkat", 295: "preadv", 327: "preadv2", 332: "statx",
}  # fmt: skip
EVERYTHING: dict[int, str] = {}  # no filter: every call stops

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that is about to be made."""

    process: int
    number: int
    arguments: tuple[int, ...]
    name: str = ""

    def creates(self) -> bool:
        """Return whether an opening call would make a file."""
        if self.name == "openat":
            return bool(self.arguments[2] & os.O_CREAT)
        with open(f"/proc/{self.process}/mem", "rb") as memory:  # openat2 takes its flags from a structure
            memory.seek(self.arguments[2])
            (flags,) = struct.unpack("=Q", memory.read(8))
        return bool(flags & os.O_CREAT)

    def is_change(self) -> bool:
        return self.name in CHANGES.values() and (self.name not in {"openat", "openat2"} or self.creates())


Fault = Callable[[Call], bool]  # done at the stop; returns whether it could be done there


def kill(call: Call) -> bool:
    """The process ends as by kill -9; the call is not made."""
    os.kill(call.process, signal.SIGKILL)
    return True


def fail(code: int) -> Fault:
    """The call is not made and answers with an error."""

    def act(call: Call) -> bool:
        _answer(call, -code)
        return True

    return act


def shorten(call: Call) -> bool:
    """A write takes only half of its bytes."""
    if call.name != "pwrite64" or call.arguments[2] < 2:
        return False
    _poke(call.process, _RDX, call.arguments[2] // 2)
    return True


def pretend(call: Call) -> bool:
    """The call is not made and claims to have done all that it was asked."""
    _answer(call, call.arguments[2] if call.name == "pwrite64" else 0)
    return True


def meanwhile(act: Callable[[], object]) -> Fault:
    """Something else happens just before the call is made."""

    def fault(_call: Call) -> bool:
        act()
        return True

    return fault


@dataclass(slots=True)
class Ended:
    """How the work ended, and which of its calls were seen."""

    calls: list[Call] = field(default_factory=list, repr=False)
    fired: Call | None = None  # where the fault was done
    status: int = 0  # as of waitpid(2)

    @property
    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(self.status)

    @property
    def was_killed(self) -> bool:
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL


def run(
    work: Callable[[], object],
    *,
    at: Iterable[int] = (),
    fault: Fault = kill,
    watched: dict[int, str] = CHANGES,
    prepare: Callable[[], object] = lambda: None,
) -> Ended:
    """Do the work in a child; at the calls with these ordinals, from 1, the fault is done.

    What ``prepare`` does there beforehand is not looked at.

    Opening calls that create nothing are passed over when only changes are watched. A child that raises fails the
    test.
    """
    wanted, ended = set(at), Ended()
    child = os.fork()
    if child == 0:
        live(lambda: _be_traced(watched, prepare), work)
    os.waitpid(child, 0)
    _ptrace(_SETOPTIONS, child, _TELL_FILTERED | _EXITKILL)
    passed_on = 0
    while True:
        with suppress(ProcessLookupError):  # it was killed at the stop
            _ptrace(_CONT, child, passed_on)
        _, ended.status = os.waitpid(child, 0)
        passed_on = 0
        if os.WIFEXITED(ended.status) or os.WIFSIGNALED(ended.status):
            assert ended.was_killed or ended.exit_code != 1, f"the work failed by itself: {ended}"
            return ended
        if ended.status >> 8 != signal.SIGTRAP | _EVENT_SECCOMP << 8:
            passed_on = os.WSTOPSIG(ended.status)
            continue
        call = _call(child, watched)
        if watched is CHANGES and not call.is_change():
            continue
        ended.calls.append(call)
        if len(ended.calls) in wanted and fault(call):
            ended.fired = ended.fired or call


def is_killed_at(place: int, work: Callable[[], object]) -> bool:
    """Do the work and kill it when it is about to make its system call number ``place``, of whichever kind.

    Returns False when the work was done before that.
    """
    return run(work, at=[place], watched=EVERYTHING).was_killed


def _call(child: int, watched: dict[int, str]) -> Call:
    found = ctypes.create_string_buffer(88)
    _ptrace(_GET_SYSCALL_INFO, child, ctypes.addressof(found), place=len(found))
    number, *arguments = struct.unpack_from("=7Q", found.raw, 24)
    return Call(child, number, tuple(arguments), watched.get(number, str(number)))


def _answer(call: Call, value: int) -> None:
    _poke(call.process, _ORIG_RAX, -1)  # no such call: it is skipped, and what RAX holds is the answer (seccomp(2))
    _poke(call.process, _RAX, value)


def _poke(process: int, offset: int, value: int) -> None:
    _ptrace(_POKEUSER, process, value & (1 << 64) - 1, place=offset)


def live(prepare: Callable[[], object], work: Callable[[], object]) -> NoReturn:
    """Do these in a process that ends with them: with the exit code that the work returns, if it does, or 1 and its traceback."""
    code = 1
    try:
        prepare()
        result = work()
        code = result if isinstance(result, int) else 0
    except BaseException as error:  # noqa: BLE001 - the child must end here, whatever happened
        os.write(2, "".join(traceback.format_exception(error)).encode())
    finally:
        os._exit(code)


def _be_traced(watched: dict[int, str], prepare: Callable[[], object]) -> None:
    _ptrace(_TRACEME, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    prepare()
    _filter(sorted(watched))


def _filter(numbers: list[int]) -> None:
    """Stop this process at these calls, or at all when none are named."""
    steps = [struct.pack("=HBBI", _LOAD, 0, 0, 0)]
    for place, number in enumerate(numbers):
        steps.append(struct.pack("=HBBI", _EQUAL, len(numbers) - place, 0, number))
    steps.append(struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW if numbers else _TRACE))
    steps.append(struct.pack("=HBBI", _RETURN, 0, 0, _TRACE))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("@HxxxxxxQ", len(steps), ctypes.addressof(code))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, None, 0, 0) or _libc.prctl(_PR_SET_SECCOMP, _FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the filter was refused")


def _ptrace(request: int, process: int, data: int, *, place: int = 0) -> None:
    if _libc.ptrace(request, process, place or None, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


assert sys.maxsize > 2**32, "registers of x86-64"
