"""One function over many items in several processes: a bar, an end on Ctrl-C, none left behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

import cv2
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
    ordered: bool = True,
    spawn: bool = False,
    terminate: bool = False,
    remedy: str = "try fewer",
) -> Iterator[Result]:
    """Yield `function(item)` of every item; all of them must be picklable.

    * `jobs`: processes, default one a core; 1: this one alone. OpenCV works in one thread in each.
    * `title`, `unit`, `progress`: of the bar.
    * `ordered`: in the items' order; else as they are done, what was begun before Ctrl-C included.
    * `spawn`: start processes anew instead of forking this one, which holds threads of torch.
    * `terminate`: an early end sends SIGTERM to what is being done; else that is finished first.
    * `remedy`: what the error says to do when a process is killed from outside.

    When the caller stops, by an exception or by closing the iterator, nothing new is begun. An
    exception of `function` is raised here. When this process dies, the others end. Raises
    BradcnError if one of them is killed.
    """
    jobs = min(jobs or cores(), max(len(items), 1))
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
        context = get_context("spawn" if spawn else None)
        pool = ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(spawn,))
        finished = False
        try:
            for result in (
                _ordered(pool, function, items) if ordered else _any(pool, function, items)
            ):
                bar.update()
                yield result
            finished = True
        except BrokenProcessPool:
            raise BradcnError(
                f"{title}: one of {jobs} processes was killed, perhaps for want of memory; {remedy}"
            ) from None
        finally:
            if terminate and not finished:
                for process in list((pool._processes or {}).values()):  # public from Python 3.14 on
                    process.terminate()
            pool.shutdown(cancel_futures=True)
            cv2.setNumThreads(threads)


def _ordered(pool: ProcessPoolExecutor, function: Callable, items: Sequence) -> Iterator:
    chunk = max(1, min(4, len(items) // (4 * pool._max_workers)))
    with _deaf_to_ctrl_c():
        results = pool.map(function, items, chunksize=chunk)
    yield from results


def _any(pool: ProcessPoolExecutor, function: Callable, items: Sequence) -> Iterator:
    with _deaf_to_ctrl_c():
        waiting = {pool.submit(function, item) for item in items}
    try:
        for future in as_completed(list(waiting)):
            waiting.remove(future)
            yield future.result()
    except KeyboardInterrupt:
        for future in waiting:
            future.cancel()
        for future in as_completed([future for future in waiting if not future.cancelled()]):
            yield future.result()
        raise


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start meanwhile leave Ctrl-C to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(uses_torch: bool) -> None:
    """Make a new process calm: no Ctrl-C, one thread, and an end when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is the parent's to handle
    cv2.setNumThreads(1)
    if uses_torch:
        import torch

        torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()


def _end_with(parent) -> None:
    """Leave at once when `parent` has: nobody is there to take a result, or to say stop."""
    wait([parent.sentinel])
    os._exit(1)
