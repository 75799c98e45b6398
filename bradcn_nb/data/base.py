"""What all data sets share: mirroring without random state, the memory cache, typed items."""

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from bradcn_nb.data.files import to_tensor


def flips(seed: int, epoch: int, index: int) -> bool:
    """Whether item `index` is mirrored in `epoch`: a fair coin, the same on every machine.

    A pure function instead of a random generator: a resumed run needs no generator state.
    Ledger: augmentation.
    """
    return bool(hashlib.sha256(f"flip/{seed}/{epoch}/{index}".encode()).digest()[0] & 1)


class FileDataset(Dataset[dict[str, Any]]):
    """Base of the data sets read from files: optional memory cache and optional mirroring.

    `flip` mirrors half of the items left to right, chosen by `flips(seed, epoch, index)`; call
    `set_epoch` before each epoch. `cache` keeps every decoded item in memory at its final size
    (pictures as uint8), for the small sets; call `fill` before worker processes are forked, which
    share what is there and lose what they add.

    Items are dicts whose tensors are typed for torchvision's transforms v2: pictures as `Image`,
    maps as `Mask`, which is never interpolated. So a transform of an item moves picture, depth and
    mask together. The project's own mirroring is one of them; it draws nothing at random.
    """

    def __init__(self, flip: bool, seed: int, cache: bool) -> None:
        self.flip, self.seed, self.epoch = flip, seed, 0
        self.cached = cache
        self._cache: dict[int, dict[str, Any]] = {}

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose mirrorings the items show."""
        self.epoch = epoch

    def fill(self, threads: int) -> None:
        """Read every item into the cache, if there is to be one, with a number of threads."""
        if self.cached and len(self._cache) < len(self):
            with ThreadPoolExecutor(threads) as pool:
                deque(pool.map(self.load, range(len(self))), maxlen=0)

    def __len__(self) -> int:
        raise NotImplementedError

    def read(self, index: int) -> dict[str, Any]:
        """Item `index` decoded from its files, as NumPy arrays at the final size.

        Pictures are uint8 (H, W, 3), maps (1, H, W), the rest strings. Raises DataError for a
        damaged file.
        """
        raise NotImplementedError

    def load(self, index: int) -> dict[str, Any]:
        """Item `index` as tensors, never mirrored; raises DataError for a damaged file."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        item = self._cache[index] if index in self._cache else self.read(index)
        if self.cached:
            self._cache[index] = item
        return {key: _typed(value) for key, value in item.items()}

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.load(index)
        if self.flip and flips(self.seed, self.epoch, index):
            from torchvision.transforms.v2.functional import horizontal_flip

            item = {k: v if isinstance(v, str) else horizontal_flip(v) for k, v in item.items()}
        return item


class Part(Dataset[dict[str, Any]]):
    """The items `indices` of a data set; its epochs and its cache are the whole set's."""

    def __init__(self, whole: FileDataset, indices: Sequence[int]) -> None:
        self.whole, self.indices = whole, indices

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, as the whole set does."""
        self.whole.set_epoch(epoch)

    def fill(self, threads: int) -> None:
        """Fill the whole set's cache."""
        self.whole.fill(threads)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.whole[self.indices[index]]


def _typed(value: Any) -> Any:
    """Pictures as Image in [0, 1]; maps as Mask, copied, so that no caller can write into the
    cache.
    """
    from torchvision import tv_tensors  # here: slow to import, and only reading items needs it

    if isinstance(value, str):
        return value
    if value.dtype == np.uint8:
        # Not by v2's to_dtype: it multiplies by 1/255, whose last bit differs from a division's.
        return tv_tensors.Image(to_tensor(value))
    return tv_tensors.Mask(torch.from_numpy(value.copy()))
