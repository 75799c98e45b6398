"""Programs that take turns on one machine, so that what slows it down meets all of them alike."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm


@dataclass
class Contest:
    """Programs that are compared, ours first, and what else is known about them.

    * `programs`: by name; what they return does not matter;
    * `facts`: printed and kept as they stand when the rounds are over; programs may add to them;
    * `macs`: of one run of a program, where known, "product" (a large matrix product) among them;
    * `pictures`: that one run deals with;
    * `single`: one run of each is all, for the facts that it finds and not for its time.
    """

    programs: dict[str, Callable[[], object]]
    facts: dict[str, Any] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)
    pictures: int = 1
    single: bool = False


def take_turns(
    programs: dict[str, Callable[[], object]],
    repeats: int,
    seconds: dict[str, list[float]],
    *,
    cpu_seconds: dict[str, list[float]] | None = None,
    title: str = "",
    progress: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Run every program once a round, `repeats` rounds, and append each run's time to `seconds`.

    `cpu_seconds` gains the processor's time of all threads.
    """
    total = repeats * len(programs)
    with tqdm(total=total, desc=title, unit="run", disable=not progress) as bar:
        for _ in range(repeats):
            for name, program in programs.items():
                start, cpu_start = clock(), time.process_time()
                program()
                seconds[name].append(clock() - start)
                if cpu_seconds is not None:
                    cpu_seconds[name].append(time.process_time() - cpu_start)
                bar.update()


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return the median and the quartiles of ours / theirs over the rounds that both finished."""
    paired = [our / their for our, their in zip(ours, theirs, strict=False)]
    low, middle, high = np.quantile(paired, (0.25, 0.5, 0.75)).tolist()
    return {"median": middle, "quartiles": [low, high], "rounds": len(paired)}


def derived(record: dict[str, Any]) -> dict[str, Any]:
    """Return what follows from a contest's times: for each program what holds of one picture.

    `s` and `cpu_s`, medians; `ours_over`, the `ratio` of the first program's time to it (and
    `ours_over_cpu`); where MACs are known `gflops`, and `share_of_peak`: its rate over that of
    "product" in the same rounds.
    """
    seconds, cpu, macs = record["seconds"], record["cpu_seconds"], record["macs"]
    first, values = next(iter(seconds)), {}
    for name in seconds:
        per = record["pictures"]
        values[name] = {"s": median(seconds[name]) / per, "cpu_s": median(cpu[name]) / per}
        if name in macs:
            values[name]["gflops"] = 2 * macs[name] / median(seconds[name]) / 1e9
        if name in macs and "product" in macs:
            slower = ratio(seconds[name], seconds["product"])["median"]
            values[name]["share_of_peak"] = macs[name] / macs["product"] / slower
        if name not in (first, "product"):
            values[name]["ours_over"] = ratio(seconds[first], seconds[name])
            values[name]["ours_over_cpu"] = ratio(cpu[first], cpu[name])
    return values


def cpu_name() -> str:
    """Return what the CPU calls itself, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line[:10] == "model name")
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
