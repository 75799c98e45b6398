"""Generated scenes as a data set, for stage 0."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from bradcn_nb.data.files import Size


class Scenes(Dataset[dict[str, Any]]):
    """Generated pinhole views for stage 0: dict(image (3, H, W), depth (1, H, W) m, mask, id).

    Item i of epoch e is the scene with the seed `first_seed + e * n + i`: every epoch is new.
    `size` = (h, w). `mask` is False where the depth is not finite (sky at infinity); depth is 0
    there.
    """

    def __init__(self, n: int, first_seed: int, size: Size) -> None:
        self.n, self.first_seed, self.size, self.epoch = n, first_seed, size, 0

    def set_epoch(self, epoch: int) -> None:
        """Move on to the scenes of epoch `epoch`, counted from 0."""
        from bradcn_nb import scenes

        scenes.prepare()  # once, before an epoch's worker processes are forked
        self.epoch = epoch

    def fill(self, threads: int) -> None:
        """There is no cache: every epoch is new."""

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> dict[str, Any]:
        from bradcn_nb import scenes  # here: only stage 0 pays for loading its textures

        if not 0 <= index < self.n:
            raise IndexError(index)
        seed = self.first_seed + self.epoch * self.n + index
        picture, depth = scenes.view(seed, self.size)
        mask = np.isfinite(depth) & (depth > 0)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float(),
            "depth": torch.from_numpy(np.where(mask, depth, 0)[None]).float(),
            "mask": torch.from_numpy(mask[None]),
            "id": str(seed),
        }
