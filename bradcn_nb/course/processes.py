"""What processes use, looked at from outside: their descendants, memory, threads, files."""

import contextlib
import os

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that descend from it, itself first; nothing if it is gone."""
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    return []


def memory(tree: list[psutil.Process], limit: int) -> int:
    """Bytes in use; what forked processes share is counted once where it comes near the limit."""
    total = shared = 0
    for one in tree:
        with contextlib.suppress(psutil.Error):
            total += one.memory_info().rss
    if total > limit and len(tree) > 1:
        for one in tree:
            with contextlib.suppress(psutil.Error):
                try:
                    shared += one.memory_full_info().pss
                except (psutil.AccessDenied, AttributeError):
                    shared += one.memory_info().rss
        return shared
    return total


def threads(user: int) -> list[int]:
    """The threads of each process of a user's."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.uids().real == user:
                found.append(one.num_threads())
    return found


def size(folder: str) -> int:
    """Bytes that a folder takes on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total
