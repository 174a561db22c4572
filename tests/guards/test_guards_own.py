import os
import subprocess
import sys

from rebalancer.guards.own import own_processes

FAMILY = """
import subprocess, sys, threading
child = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
started = []
def start():
    p = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True, start_new_session=True)
    started.append(p.pid)
    started.append(int(p.stdout.readline()))
thread = threading.Thread(target=start)
thread.start()
thread.join()
print(*started, flush=True)
sys.stdin.read()
subprocess.run(["kill", *map(str, reversed(started))])
"""


def test_a_process_its_children_in_other_sessions_and_their_children_are_ours() -> None:
    command = [sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as family:
        assert family.stdout is not None
        worker, grandchild = map(int, family.stdout.readline().split())

        found = own_processes()

        family.communicate("")
    assert {os.getpid(), family.pid, worker, grandchild} <= found
    assert 1 not in found
    assert os.getppid() not in found


def test_who_has_ended_is_not_ours() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert ended.pid not in own_processes()


def test_without_lists_of_children_every_process_is_asked_for_its_parent() -> None:
    from rebalancer.guards import own

    with subprocess.Popen(["sleep", "60"]) as child:
        found = list(own._children_by_parent(os.getpid()))
        child.kill()

    assert child.pid in found
