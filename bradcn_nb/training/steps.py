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
class Plan:
    """One stage of one run, counted out: what `Fit` needs to know besides model and optimiser."""

    preset: Preset
    stage: Stage
    folder: Path
    train_set: Dataset
    check_set: Dataset
    items: int  # of the training set that are trained on
    used: int  # of them in each epoch
    per_epoch: int  # steps
    steps: int  # of the whole stage, which the schedule of the rate depends on
    last: int  # step of this call: the whole stage's, or a trial's
    processes: int
    checkpoint_every: int | None  # steps; None: about a minute
    num_workers: int
    progress: bool
    strip_every: int | None  # steps; None: an epoch
    tensorboard: bool
    keep: str  # "last", "best" or "all" of the weights at the ends of epochs

    def items_before(self, step: int) -> int:
        """Return how many items the first `step` steps take, of all processes."""
        epochs, rest = divmod(step, self.per_epoch)
        batches = rest * self.processes * self.preset.recipe.accumulate
        return epochs * self.used + batches * self.stage.batch


# The share of `Stage.lr` at t, from 0 at the first step to 1 behind the last.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,  # the paper's
    "cosine": lambda t: 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t)),  # down to 1 %
}


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """The rate of step 0..steps-1: constant, or half a cosine down to 1 %.

    Constant is the paper's (Section IV-B). Raises RunError for a schedule that
    does not exist.
    """
    if stage.schedule not in SCHEDULES:
        unknown = f"{stage.name}: unknown schedule {stage.schedule!r}"
        raise RunError(f"{unknown}; choose one of {', '.join(SCHEDULES)}")
    return stage.lr * SCHEDULES[stage.schedule](step / steps)


class EpochBatches(BatchSampler):
    """The batches of one epoch from step `start`, by (seed, epoch) alone.

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
            ends = [len(step) * p // processes for p in (process, process + 1)]
            mine = step[slice(*ends)] or step[:1]
            batches = range(0, len(mine), batch)
            self.steps.append([mine[i : i + batch] for i in batches])
            self.own.append(ends[1] > ends[0])
        self.batch_size, self.drop_last = batch, False

    def __iter__(self) -> Iterator[list[int]]:
        return (batch for step in self.steps for batch in step)

    def __len__(self) -> int:
        return sum(len(step) for step in self.steps)
