"""How a run is asked to stop: the first signal is noted, and the loop leaves between two steps."""

import signal
import sys
import threading
import time
from typing import Self

SAME_S = 2.0  # a launcher passes on what the terminal has sent to its processes already
GRACE_S = 30  # for the parent to finish its step and write a checkpoint


class StopSignal:
    """A context in which the first SIGINT or SIGTERM only sets `number`; a later one acts."""

    def __enter__(self) -> Self:
        self.number: int | None = None
        self.since = 0.0
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame) -> None:
        if self.number is None:
            self.number, self.since = number, time.monotonic()
        elif time.monotonic() - self.since > SAME_S:
            self.__exit__()
            signal.raise_signal(number)

    def leave(self, where: str, say: bool = True) -> None:
        """Raise KeyboardInterrupt after a SIGINT, else SystemExit(143); `say`: tell `where`."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt(where)
        if say:
            print(where, file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM)


def quiet_worker(_index: int) -> None:
    """Leave stopping to the parent: a signal to the whole group must not break off its step.

    A loader's process that is told to end does so when its parent has no more use for it, or after
    a while; when its parent is gone it ends by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # not on Windows
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_S))
