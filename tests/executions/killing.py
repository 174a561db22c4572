"""Killing a piece of work at each of its system calls, one after another, in a child of the test (ptrace(2))."""

import ctypes
import os
import signal
from collections.abc import Callable

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_TELL_SYSCALLS, _EXITKILL = 0x1, 0x100000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def is_killed_at(place: int, work: Callable[[], object]) -> bool:
    """Do the work in a child and kill it when it is about to make its system call number ``place``, from 1.

    Returns False when the work was done before that. The call at which it is killed is not carried out.
    """
    child = os.fork()
    if child == 0:
        _be_traced(work)
    os.waitpid(child, 0)
    _ptrace(_SETOPTIONS, child, _TELL_SYSCALLS | _EXITKILL)
    calls, is_inside, passed_on = 0, False, 0
    while True:
        _ptrace(_SYSCALL, child, passed_on)
        _, status = os.waitpid(child, 0)
        passed_on = 0
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            assert status == 0, f"the work failed by itself: {status}"
            return False
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            passed_on = os.WSTOPSIG(status)
            continue
        is_inside = not is_inside
        calls += is_inside
        if is_inside and calls == place:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status)
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True


def _be_traced(work: Callable[[], object]) -> None:
    code = 1
    try:
        _ptrace(_TRACEME, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    finally:
        os._exit(code)


def _ptrace(request: int, process: int, data: int) -> None:
    if _libc.ptrace(request, process, None, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
