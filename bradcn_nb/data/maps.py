"""EBB! with depth and error maps that were made beforehand, one row a pair (experiments,
oracles)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bradcn_nb.data.ebb import EBB
from bradcn_nb.data.files import Size
from bradcn_nb.errors import DataError

IDS = "ids.json"  # the pairs' numbers, in the order of the rows


class MapStack:
    """The maps of one kind: `root`/`name`.npy holds (pairs, h, w), float16, metres.

    `stack[number]` is the map of pair `number`, float32 (1, h, w). Raises DataError when the folder
    holds no such maps, or none of this pair.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / f"{name}.npy"
        try:
            self.rows = {n: row for row, n in enumerate(json.loads((root / IDS).read_text()))}
            self.maps = np.load(self.path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path}: no readable maps ({type(error).__name__}); make them with "
                "`python -m bradcn_nb experiments maps`"
            ) from None

    def __getitem__(self, number: int) -> np.ndarray:
        if number not in self.rows:
            raise DataError(f"{self.path}: has no map of pair {number}; make the maps again")
        return self.maps[self.rows[number]].astype(np.float32)[None]


class MappedEBB(EBB):
    """EBB! whose items also hold `depth` and `depth_error`, (1, h, w) in metres, read from `maps`.

    `given`: the names of the maps that stand for Do and De; None leaves one out. The rest as `EBB`;
    mirrored items have mirrored maps. Raises DataError for missing maps.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        size: Size,
        maps: Path,
        given: tuple[str | None, str | None],
        **options: Any,
    ) -> None:
        super().__init__(root, split, size, **options)
        named = zip(("depth", "depth_error"), given, strict=True)
        self.stacks = {key: MapStack(maps, name) for key, name in named if name}

    def read(self, index: int) -> dict[str, Any]:
        """Item `index` with its maps, as `FileDataset.read`."""
        number = self.pairs[index][0]
        maps = {key: stack[number] for key, stack in self.stacks.items()}
        return {**super().read(index), **maps}
