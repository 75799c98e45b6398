"""One function over many items in several processes, with a bar, stopping at once on Ctrl-C."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from bradcn_nb.errors import BradcnError

Item, Result = TypeVar("Item"), TypeVar("Result")


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int | None = None,
    *,
    title: str = "",
    unit: str = "file",
    progress: bool = False,
) -> Iterator[Result]:
    """Yield `function(item)` of every item, in order; `jobs` processes, default one a core.

    `function` and items must be picklable; OpenCV works in one thread meanwhile. When the caller stops,
    by an exception or by closing the iterator, nothing new is begun. An exception of `function` is
    raised here. Raises BradcnError if a process is killed from outside.
    """
    import cv2

    jobs = min(jobs or os.cpu_count() or 1, max(len(items), 1))
    with tqdm(total=len(items), desc=title, unit=unit, disable=not progress) as bar:
        if jobs == 1:
            for item in items:
                result = function(item)
                bar.update()
                yield result
            return
        threads = cv2.getNumThreads()
        # Before the fork: a child would wait for ever for the threads that it has not inherited.
        cv2.setNumThreads(1)
        pool = ProcessPoolExecutor(jobs, initializer=_calm)
        try:
            chunk = max(1, min(4, len(items) // (4 * jobs)))
            for result in pool.map(function, items, chunksize=chunk):
                bar.update()
                yield result
        except BrokenProcessPool:
            raise BradcnError(
                f"{title}: one of {jobs} processes was killed, perhaps for want of memory; try fewer"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
            cv2.setNumThreads(threads)


def _calm() -> None:
    """Leave the terminal's Ctrl-C to the parent, and the other cores to the other processes.

    Where processes are not forked, OpenCV starts anew with all threads.
    """
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
