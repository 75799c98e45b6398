"""What a step is: its pictures and its rate, as functions of (seed, stage, epoch, step) alone.

Nothing random is carried from one step to the next, so a resumed run meets the same numbers.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import BatchSampler, Dataset

from bradcn_nb.errors import RunError
from bradcn_nb.presets import Preset, Stage

LARGE = 1_000_003  # a prime that keeps the seeds of stages, epochs and steps apart


@dataclass(frozen=True)
class Job:
    """One stage of one run, counted out: what `Fit` needs to know besides model and optimiser."""

    preset: Preset
    stage: Stage
    folder: Path
    train_set: Dataset
    check_set: Dataset | None
    items: int  # in the training set
    used: int  # of them in each epoch
    per_epoch: int  # steps
    steps: int  # of the whole stage, whose schedule is a function of them
    last: int  # at which this call ends
    processes: int
    checkpoint_every: int | None  # steps; None: about a minute
    num_workers: int
    progress: bool
    strip_every: int | None  # steps; None: an epoch
    tensorboard: bool

    def items_before(self, step: int) -> int:
        """Return how many items the first `step` steps take, of all processes."""
        epochs, rest = divmod(step, self.per_epoch)
        return epochs * self.used + rest * self.processes * (
            self.preset.recipe.accumulate * self.stage.batch
        )


# The share of `Stage.lr` at t, from 0 at the first step to 1 behind the last.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,  # the paper's
    "cosine": lambda t: 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t)),  # down to 1 %
}


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Return the rate of step 0..steps-1: constant (the paper's) or half a
    cosine down to 1 %.

    Source: Section IV-B. Raises RunError for a schedule that does not exist.
    """
    if stage.schedule not in SCHEDULES:
        raise RunError(
            f"{stage.name}: unknown schedule {stage.schedule!r}; "
            "choose one of "
            f"{', '.join(SCHEDULES)}"
        )
    return stage.lr * SCHEDULES[stage.schedule](step / steps)


class EpochBatches(BatchSampler):
    """The batches of one epoch from step `start` on; their order is a function
    of (seed, epoch).

    A step takes the next `processes` * `accumulate` * `batch` items, the
    epoch's last one what is left. Each process gets an equal part of them, to
    within one item, in batches of `batch`. So the items of a step are the same
    ones, however many share the work.

    `steps` lists this process's batches step by step. Where it has no item, in
    a last step of fewer items than processes, a borrowed one stands in, since
    all must take part in the exchange of gradients; `own` is False there, and
    it counts for nothing.
    """

    def __init__(
        self,
        items: int,
        used: int,
        batch: int,
        seed: int,
        epoch: int,
        start: int = 0,
        *,
        accumulate: int = 1,
        processes: int = 1,
        process: int = 0,
    ):
        generator = torch.Generator().manual_seed(seed * LARGE + epoch)
        order = torch.randperm(items, generator=generator)[:used].tolist()
        size = processes * accumulate * batch
        self.steps: list[list[list[int]]] = []
        self.own: list[bool] = []
        for first in range(start * size, used, size):
            step = order[first : first + size]
            low = len(step) * process // processes
            high = len(step) * (process + 1) // processes
            mine = step[low:high] or step[:1]
            starts = range(0, len(mine), batch)
            self.steps.append([mine[i : i + batch] for i in starts])
            self.own.append(high > low)
        self.batch_size, self.drop_last = batch, False

    def __iter__(self) -> Iterator[list[int]]:
        return (batch for step in self.steps for batch in step)

    def __len__(self) -> int:
        return sum(len(step) for step in self.steps)
