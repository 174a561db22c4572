"""Work that somebody waits for only so long: a disk that does not answer must not keep a stop from ending."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from rebalancer.errors import RebalancerError

T = TypeVar("T")


class Background(Generic[T]):
    """A function at work in a thread that does not keep the process from ending."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._answers: SimpleQueue[T | RebalancerError] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def result_within(self, seconds: float | None) -> T | None:
        """Return what the function returned, None when that takes longer; raises RebalancerError when it did."""
        try:
            answer = self._answers.get(timeout=None if seconds is None else max(0.0, seconds))
        except Empty:
            return None
        if isinstance(answer, RebalancerError):
            raise answer
        return answer

    def _run(self) -> None:
        try:
            self._answers.put(self._work())
        except RebalancerError as error:
            self._answers.put(error)
