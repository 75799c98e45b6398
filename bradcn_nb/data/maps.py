"""EBB! with maps that belong to its pairs: made beforehand (experiments), or read off the pair."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bradcn_nb.data.ebb import EBB
from bradcn_nb.data.files import Size, resize_nearest, resize_picture
from bradcn_nb.errors import DataError
from bradcn_nb.lens.defocus import defocus_map

IDS = "ids.json"  # the pairs' numbers, in the order of the rows
KEYS = ("depth", "depth_error", "defocus")  # what an item calls the maps that are given
UNKNOWN = -1.0  # in a defocus map


class MapStack:
    """The maps of one kind: `root`/`name`.npy holds (pairs, h, w), float16, metres or what
    the map is in.

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
    """EBB! whose items also hold maps (1, h, w), called as in KEYS and read from the folder `maps`.

    `given`: the names of the maps that stand for Do, De and, if it has three, the pair's defocus
    (see `DefocusPairs`); None leaves one out. The rest as `EBB`;
    mirrored items have mirrored maps. Raises DataError for missing maps.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        size: Size,
        maps: Path,
        given: tuple[str | None, ...],
        **options: Any,
    ) -> None:
        super().__init__(root, split, size, **options)
        named = zip(KEYS, given, strict=False)
        self.stacks = {key: MapStack(maps, name) for key, name in named if name}

    def read(self, index: int) -> dict[str, Any]:
        """Item `index` with its maps, as `FileDataset.read`."""
        number = self.pairs[index][0]
        maps = {key: stack[number] for key, stack in self.stacks.items()}
        return {**super().read(index), **maps}


class DefocusPairs(MappedEBB):
    """EBB! whose items hold what a calibration learns from pairs (ledger id "pairs-defocus").

    Instead of `bokeh` they have `defocus`, the radius of each place's disc in % of the picture's
    height, and `mask`, where the pair tells it: (1, h, w) at the picture's size. Read off the pair
    by `defocus_map`, at `truth_scale` times the size, unless a map of it is given, with UNKNOWN
    where it is not told. The rest as `MappedEBB`.
    """

    def __init__(
        self, root: str | Path, split: str, size: Size, maps: Path | None = None,
        given: tuple[str | None, ...] = (), *, truth_scale: int = 1, **options: Any,
    ) -> None:  # fmt: skip
        large = (size[0] * truth_scale, size[1] * truth_scale)
        super().__init__(root, split, large, maps, given, **options)
        self.image_size = size

    def read(self, index: int) -> dict[str, Any]:
        """Item `index` with its maps, as `FileDataset.read`."""
        item = super().read(index)
        bokeh, sharp = item.pop("bokeh"), item["image"]
        item["image"] = resize_picture(sharp, self.image_size)
        if "defocus" not in item:
            pair = (x.astype(np.float32) / 255 for x in (sharp, bokeh))
            radius, known = defocus_map(*pair)
            radius = np.where(known, radius, np.float32(UNKNOWN))
            item["defocus"] = resize_nearest(radius, self.image_size)[None]
        return {**item, "mask": item["defocus"] != UNKNOWN}
