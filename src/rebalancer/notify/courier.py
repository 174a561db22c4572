"""The process that delivers: told what to do through its standard input, it says line by line what came of it.

It is nobody's child and ends by itself within seconds, so that no run waits for it or ends because of it.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec

from rebalancer import names
from rebalancer.notify import ping, services, unraid
from rebalancer.notify.errand import Delivered, Errand, NotDeliveredError
from rebalancer.notify.masking import scheme_of

BUDGET = 9.0  # seconds in which every channel must have answered
_LAST_RESORT = 20  # seconds; the kernel's alarm ends a process that hangs in some other way (alarm(2))

Way = Callable[[], None]


def main() -> None:
    signal.alarm(_LAST_RESORT)
    errand = msgspec.json.decode(sys.stdin.buffer.read(), type=Errand)
    for delivered in deliver(errand):
        _say(delivered)
        if not delivered.ok and errand.log:
            _note(delivered, Path(errand.log))
    os._exit(0)  # threads that still wait for a server are not waited for


def deliver(errand: Errand, *, budget: float = BUDGET) -> Iterator[Delivered]:
    """Use all channels at once; yields what came of each, at the latest when the budget (seconds) is used up."""
    ways = dict(ways_of(errand))
    pool = ThreadPoolExecutor(max_workers=max(1, len(ways)))
    waiting: dict[Future[None], str] = {pool.submit(way): name for name, way in ways.items()}
    deadline = monotonic() + budget
    while waiting:
        done, _ = wait(waiting, timeout=max(0.0, deadline - monotonic()), return_when=FIRST_COMPLETED)
        if not done:
            break
        for future in done:
            yield _judged(waiting.pop(future), future.exception())
    for name in waiting.values():
        yield Delivered(channel=name, ok=False, detail=f"no answer within {budget:g} seconds")
    pool.shutdown(wait=False, cancel_futures=True)


def ways_of(errand: Errand) -> Iterator[tuple[str, Way]]:
    """Yield each channel's name, which holds no secret, and how it is used."""
    root = Path(errand.root)
    if (notification := errand.notification) is not None:
        if errand.to_unraid:
            yield "unraid", partial(unraid.deliver, notification, root=root, turns=Path(errand.turns))
        subject = unraid.subject_of(notification, root=root)
        for number, address in enumerate(errand.services, start=1):
            yield (
                f"apprise {number} ({scheme_of(address)})",
                partial(services.deliver, notification, address, subject=subject),
            )
    for one in errand.pings:
        for number, address in enumerate(one.addresses, start=1):
            which = f" {number}" if len(one.addresses) > 1 else ""
            yield f"ping {one.name}{which}", partial(ping.deliver, one, address)


def _judged(name: str, error: BaseException | None) -> Delivered:
    if error is None:
        return Delivered(channel=name, ok=True)
    # what nobody foresaw is named by its kind alone: its message may hold an address
    detail = str(error) if isinstance(error, NotDeliveredError) else f"unexpected error: {type(error).__name__}"
    return Delivered(channel=name, ok=False, detail=names.display(detail))


def _say(delivered: Delivered) -> None:
    with suppress(OSError):  # whoever started this may not wait for the answer
        os.write(1, msgspec.json.encode(delivered) + b"\n")


def _note(delivered: Delivered, log: Path) -> None:
    with suppress(OSError):
        fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"notification not delivered: {delivered.channel}: {delivered.detail}\n".encode())
        finally:
            os.close(fd)


if __name__ == "__main__":
    main()
