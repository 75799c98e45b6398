"""The nets that the trainings of both tables have left."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bradcn_nb.errors import DataError
from bradcn_nb.experiments.tables import Table
from bradcn_nb.experiments.variants import build
from bradcn_nb.training.run import weights_file
from bradcn_nb.training.stages import make_net


@dataclass(frozen=True)
class Training:
    """One finished training of a net: its table, arm and seed, and the folder that holds its
    weights.
    """

    table: Table
    arm: str
    seed: int
    folder: Path

    def net(self) -> nn.Module:
        """Return the trained net (eval mode, CPU).

        Raises WeightsError for weights that do not fit the arm any more.
        """
        chosen = self.table.preset_of(self.arm, self.seed)
        stage = chosen.stages[-1]
        return make_net(chosen, stage, {stage.net: weights_file(self.folder, stage)}, build).eval()

    @torch.inference_mode()
    def draw(self, images: Tensor, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the bokeh (N,3,H,W) of `images` (N,3,H,W), given its arm's maps, each (N,1,H,W) in
        metres.

        Raises WeightsError for weights that do not fit the arm any more.
        """
        given = self.table.preset_of(self.arm, self.seed).stages[-1].given
        named = zip(("depth", "depth_error"), given, strict=True)
        return self.net()(images, **{key: maps[source] for key, source in named if source}).bokeh


def finished(table: Table, runs: Path, arms: Iterable[str]) -> Iterator[Training]:
    """Yield the trainings of the `arms` below `runs`/NAME that have their record, by arm and seed.

    Arms with nothing to train have none.
    """
    for arm in arms:
        records = (runs / table.name / arm).glob("seed-*/record.json")
        folders = {int(r.parent.name.removeprefix("seed-")): r.parent for r in records}
        for seed in sorted(folders):
            if table.preset_of(arm, seed).stages:
                yield Training(table, arm, seed, folders[seed])


def at_hand(trainings: Iterable[Training], runs: Path, result: str) -> list[Training]:
    """Return the `trainings` below `runs` as a list, to draw `result` with.

    Raises DataError if that is nothing: the repository keeps records and results, not these nets,
    and a result without them must not take the place of one with them.
    """
    there = list(trainings)
    if not there:
        raise DataError(
            f"{runs}: no trained nets to draw with, so {result} stays as it is; "
            "to train again, take the tables' records out of data/results/table*-images.json"
        )
    return there
