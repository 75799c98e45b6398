"""Timing programs in turns, so that whatever slows the machine meets all of them."""

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tqdm import tqdm


def take_turns(
    programs: Mapping[str, Callable[[], object]],
    repeats: int,
    seconds: dict[str, list[float]],
    *,
    title: str = "",
    progress: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Run the programs in turns, `repeats` times each; append every run's time to
    `seconds[name]`."""
    total = repeats * len(programs)
    with tqdm(total=total, desc=title, unit="run", disable=not progress) as bar:
        for _ in range(repeats):
            for name, program in programs.items():
                start = clock()
                program()
                seconds[name].append(clock() - start)
                bar.update()


def cpu_name() -> str:
    """Return what the CPU calls itself, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line[:10] == "model name")
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
