"""What all data sets share: mirroring without random state, the memory cache, verification."""

import hashlib
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from bradcn_nb.data.files import to_tensor
from bradcn_nb.errors import DataError


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
    (pictures as uint8), for the small sets; use it with `num_workers=0`, since each worker would
    fill a cache of its own.
    """

    def __init__(self, flip: bool, seed: int, cache: bool) -> None:
        self.flip, self.seed, self.epoch = flip, seed, 0
        self.cached = cache
        self._cache: dict[int, dict[str, Any]] = {}

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose mirrorings the items show."""
        self.epoch = epoch

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
        return {key: _tensor(value) for key, value in item.items()}

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.load(index)
        if self.flip and flips(self.seed, self.epoch, index):
            item = {k: v.flip(-1) if torch.is_tensor(v) else v for k, v in item.items()}
        return item


def _tensor(value: Any) -> Any:
    """Pictures to [0, 1]; maps copied, so that no caller can write into the cache."""
    if not isinstance(value, np.ndarray):
        return value
    return to_tensor(value) if value.dtype == np.uint8 else torch.from_numpy(value.copy())


def verify(dataset: FileDataset, progress: bool = True) -> list[str]:
    """Decode every item of `dataset`; the one-line problems found, in order (empty = sound)."""
    problems = []
    for index in tqdm(range(len(dataset)), desc="verify", disable=not progress):
        try:
            dataset.load(index)
        except DataError as error:
            problems.append(str(error))
    return problems
