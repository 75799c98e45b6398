"""EBB!: pairs of an all-in-focus picture and its bokeh (Section IV-A)."""

import re
from pathlib import Path
from typing import Any

from bradcn_nb.data.base import FileDataset
from bradcn_nb.data.files import PICTURES, Size, check_same_size, read_picture, resize_picture
from bradcn_nb.data.prepared import check_prepared
from bradcn_nb.errors import DataError

EBB_FOLDERS = ("original", "bokeh")
EBB_SPLITS = {"train": range(4400), "test": range(4400, 4694)}  # Section IV-A: 4400 / 294


class EBB(FileDataset):
    """EBB! pairs: dict(image, bokeh: float32 (3, H, W) in [0, 1], id: str).

    `root` holds `original/N.jpg` and `bokeh/N.jpg` (or .png). N = 0..4399 is the training split,
    4400..4693 the test split (Val294), also when only some of the pairs are there. `size` = (h, w)
    or None for the native size; `truth_scale` makes bokeh that many times as large (ledger:
    mini-truth). `flip`, `seed`, `cache`: see `FileDataset`.
    Source: Section IV-A; ledger: augmentation. Raises DataError if a folder or a partner is
    missing, the split is empty, a picture is damaged, the sizes of a pair differ, or `root` was
    prepared for another size.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        size: Size | None = None,
        *,
        truth_scale: int = 1,
        flip: bool = False,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        super().__init__(flip, seed, cache)
        if split not in EBB_SPLITS:
            raise DataError(f"EBB! has no split {split!r}; use 'train' or 'test'")
        self.root, self.split, self.size = Path(root), split, size
        self.truth_size = size and (size[0] * truth_scale, size[1] * truth_scale)
        check_prepared(self.root, "ebb", self.truth_size)
        ids = EBB_SPLITS[split]
        sharp, blurred = (self._numbered(name, ids) for name in EBB_FOLDERS)
        for have, lack, folder in ((sharp, blurred, "bokeh"), (blurred, sharp, "original")):
            alone = sorted(have.keys() - lack.keys())
            if alone:
                names = ", ".join(str(n) for n in alone[:5]) + (", ..." if alone[5:] else "")
                raise DataError(
                    f"{self.root / folder}: {len(alone)} of the {split} pairs lack their picture "
                    f"here ({names}); restore them or delete their partners"
                )
        if not sharp:
            raise DataError(
                f"{self.root}: no {split} pair; EBB!'s {split} pictures are "
                f"original/N.jpg and bokeh/N.jpg with N = {ids.start}..{ids.stop - 1}"
            )
        self.pairs = [(n, sharp[n], blurred[n]) for n in sorted(sharp)]

    def _numbered(self, folder: str, ids: range) -> dict[int, Path]:
        """Number -> file of one folder, restricted to the split's `ids`."""
        found = {}
        for number, files in numbered(self.root / folder).items():
            if number in ids:
                if len(files) > 1:
                    raise DataError(
                        f"{files[1]}: same number as {files[0].name}; delete one of them"
                    )
                found[number] = files[0]
        return found

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> dict[str, Any]:
        number, sharp, blurred = self.pairs[index]
        image, bokeh = read_picture(sharp), read_picture(blurred)
        check_same_size(sharp, image, blurred, bokeh)
        if self.size is not None:
            image, bokeh = (
                resize_picture(image, self.size),
                resize_picture(bokeh, self.truth_size),
            )
        return {"image": image, "bokeh": bokeh, "id": str(number)}


def numbered(folder: Path) -> dict[int, list[Path]]:
    """Number -> its files in a folder of EBB!, in order; more than one file is a mistake.

    Raises DataError if there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: folder is missing; EBB! is original/N.jpg and bokeh/N.jpg")
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURES and re.fullmatch("[0-9]+", path.stem):
            found.setdefault(int(path.stem), []).append(path)
    return dict(sorted(found.items()))
