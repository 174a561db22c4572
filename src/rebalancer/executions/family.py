"""Everything that an execution started, however it detached itself, found and stopped with proof."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from rebalancer.errors import RefusedError
from rebalancer.executions import process_table
from rebalancer.executions.execution import ProcessIdentity
from rebalancer.executions.process import ProvenProcess, identity_of
from rebalancer.executions.process_table import Facts, Table

_LOOK_AGAIN = 0.2  # seconds between two searches for newly started members
_POLL = 0.02
_LEFT_OVER = 0.5  # seconds for what the one that was asked left behind
ASK = (signal.SIGTERM, signal.SIGCONT)  # in this order: a stopped process keeps TERM pending until it goes on
PATIENCE = 2.0  # seconds after KILL within which whatever can end has ended


@dataclass(frozen=True, slots=True)
class Pending:
    """A process that was sent KILL and lives on until the kernel lets go of it."""

    pid: int
    state: str  # D: it waits, uninterruptibly, for a disk
    waits_in: str  # the kernel function; empty when the kernel does not tell
    open_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """How stopping a family ended; it is over only when nothing is pending and nothing was refused."""

    was_running: bool
    seconds: float
    pending: tuple[Pending, ...] = ()
    refused: tuple[str, ...] = ()  # why a process was not signalled


def family_of(*heads: ProcessIdentity) -> list[ProcessIdentity]:
    """Return every living process of these heads.

    That is: who carries a head's token in its environment; the heads themselves and whoever descends from a member;
    for a head without token, also the session that it leads. This process and its ancestors are never among them.
    """
    with Family(heads) as family:
        family.gather(Table())
        return [member.identity for member in family.living()]


def stop_family(
    *heads: ProcessIdentity, grace: float, patience: float = PATIENCE, through: ProcessIdentity | None = None
) -> Stopped:
    """Stop the heads and everything of theirs.

    1. TERM, then CONT, to all; or first to one head alone, ``through`` which the others are told.  2. Wait up to
    ``grace`` seconds.  3. KILL what is left.  4. Look again until nobody is found any more, for at most ``patience``
    seconds; who then still lives is pending, not stopped.
    """
    with Family(heads) as family:
        family.gather(Table())
        return family.stop(grace=grace, patience=patience, through=through)


@dataclass(eq=False)
class Family:
    """The members found so far, each held by a descriptor, so that what is signalled is what was found.

    Who was gathered before the first signal is stopped also when it loses its parent by it.
    """

    heads: Sequence[ProcessIdentity]
    members: dict[ProcessIdentity, ProvenProcess] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def living(self) -> list[ProvenProcess]:
        return [member for member in self.members.values() if not member.has_ended]

    def ask(self) -> None:
        """Ask all members to stop."""
        self._send(self.living(), ASK)

    def stop(self, *, grace: float, patience: float, through: ProcessIdentity | None = None) -> Stopped:
        """Do what `stop_family` promises with what was gathered."""
        begun = time.monotonic()
        if through is not None:
            grace = self._ask_through(through, seconds=grace)
        self._pursue(ASK, seconds=grace)
        if self.living():
            self._pursue((signal.SIGKILL,), seconds=patience)
        pending = tuple(_pending(member) for member in self.living())
        refused = tuple(dict.fromkeys(self.refused))
        return Stopped(bool(self.members), time.monotonic() - begun, pending, refused)

    def gather(self, table: Table) -> list[ProvenProcess]:
        """Search a table of all processes for members; returns those that were not known yet."""
        new = [member for head in self.heads if (member := self._hold(head, head)) is not None]
        while found := [member for facts in self._kin(table) if (member := self._hold_kin(facts)) is not None]:
            new += found
        return new

    def _ask_through(self, head: ProcessIdentity, *, seconds: float) -> float:
        """Ask one member alone and wait for its end; returns how long to wait for what is left then."""
        member = self.members.get(head)
        if member is None:
            return seconds
        self._send([member], ASK)
        return _LEFT_OVER if member.wait(seconds) else 0.0

    def _pursue(self, signals: Sequence[signal.Signals], *, seconds: float) -> None:
        """Send the signals to every member, also to those that appear meanwhile, until none lives or time is up."""
        self._send(self.living(), signals)
        deadline = time.monotonic() + seconds
        while True:
            look_at = time.monotonic() + _LOOK_AGAIN
            while self.living() and time.monotonic() < min(look_at, deadline):
                time.sleep(_POLL)
            new = self.gather(Table())
            self._send(new, signals)
            if not self.living() or time.monotonic() >= deadline:
                return

    def _send(self, members: Sequence[ProvenProcess], signals: Sequence[signal.Signals]) -> None:
        for number in signals:  # all get TERM before the first gets CONT: a stopped family wakes up asked to stop
            for member in members:
                try:
                    member.signal(number)
                except RefusedError as error:
                    self.refused.append(str(error))

    def _kin(self, table: Table) -> Iterator[Facts]:
        """Yield the processes that belong to the family and are not held yet."""
        living = {member.identity.pid: member.identity.start_ticks for member in self.living()}
        for facts in table.processes:
            if living.get(facts.pid) != facts.start_ticks and self._is_kin(facts, set(living), table):
                yield facts

    def _is_kin(self, facts: Facts, living: set[int], table: Table) -> bool:
        if facts.state == "Z":
            return False
        # a session's number is its leader's for as long as the leader has not been reaped
        led = {head.pid for head in self.heads if not head.token and head.pid in living}
        if facts.parent in living or facts.session in led:
            return True
        return table.token_of(facts) in self._tokens()

    def _tokens(self) -> set[str]:
        """Return the tokens that mark the family: the heads' and those that members gave to what they started.

        A token that a head inherited marks the family that it is itself a part of, which is not ours to stop.
        """
        inherited = {process_table.token_of(head.pid) for head in self.members if head in self.heads}
        given = {member.token for member in self.members}
        return (given - inherited - {""}) | {head.token for head in self.heads if head.token}

    def _hold_kin(self, facts: Facts) -> ProvenProcess | None:
        """Hold a process, then look again whether it is kin: its number may have changed hands meanwhile."""
        try:
            identity = identity_of(facts.pid, process_table.token_of(facts.pid))
        except ProcessLookupError:
            return None
        except OSError as error:
            self.refused.append(f"process {facts.pid} cannot be looked at: {(error.strerror or '').lower()}")
            return None
        again = process_table.facts_of(facts.pid)
        if identity in self.members or again is None or again.start_ticks != facts.start_ticks:
            return None
        return self._hold(identity, identity)

    def _hold(self, identity: ProcessIdentity, key: ProcessIdentity) -> ProvenProcess | None:
        if key in self.members:
            return None
        try:
            member = ProvenProcess(identity)
        except ProcessLookupError:
            return None
        except RefusedError as error:
            self.refused.append(str(error))
            return None
        self._stack.callback(member.close)
        if member.has_ended:
            return None
        self.members[key] = member
        return member


def _pending(member: ProvenProcess) -> Pending:
    pid = member.identity.pid
    facts = process_table.facts_of(pid)
    return Pending(
        pid=pid,
        state=facts.state if facts is not None else "",
        waits_in=process_table.kernel_function(pid),
        open_files=tuple(process_table.open_files(pid)),
    )
