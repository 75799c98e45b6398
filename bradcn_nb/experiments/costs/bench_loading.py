"""How fast training data is read: `python -m bradcn_nb bench loading`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bradcn_nb.data import EBB, to_tensor
from bradcn_nb.data.prepare import prepare
from bradcn_nb.experiments.costs.turns import Contest
from bradcn_nb.scenes import outdoor_scene

WIDTHS = (1466, 1536, 1600, 1725)  # of the pairs; Val294 is 1024 high and 1466 to 1725 wide
QUALITY = 95
FIRST_SEED = 20_000_000


@contextmanager
def loading(quick: bool) -> Iterator[Contest]:
    """Three ways to the same tensors at 768x512, one process and one thread each.

    Prepared files by the project's reader; the originals by the same reader; and the originals as
    most training code reads them, opened and resized with Lanczos by Pillow. The originals are
    generated scenes in the sizes of Val294, saved as a camera saves.
    """
    size = (64, 96) if quick else (512, 768)
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with TemporaryDirectory() as root:
            source, copy = Path(root) / "originals", Path(root) / "prepared"
            originals(source, *((128, (183, 216)) if quick else ()))
            prepare("ebb", source, copy, size, jobs=1, progress=False, say=lambda _: None)
            exact, prepared = EBB(source, "train", size), EBB(copy, "train", size)
            files = sorted(source.glob("*/*.jpg"))
            facts = {
                "pixels": f"{size[1]}x{size[0]}",
                "kB a picture": {folder.name: _kilobytes(folder) for folder in (source, copy)},
                "prepared beside the exact resize, dB": _psnr(exact, prepared),
            }
            yield Contest(
                {
                    "prepared": lambda: [prepared[index] for index in range(len(prepared))],
                    "originals": lambda: [exact[index] for index in range(len(exact))],
                    "lanczos": lambda: [_by_lanczos(file, size) for file in files],
                },
                facts,
                pictures=len(files),
            )
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def originals(root: Path, height: int = 1024, widths: tuple[int, ...] = WIDTHS) -> None:
    """Write generated pairs of `height` to root/original and root/bokeh, as JPEGs of a camera's
    kind.

    The bokeh is a plain blur, for speed: what matters here is that it compresses as a soft picture
    does.
    """
    for number, width in enumerate(widths):
        sharp = outdoor_scene(FIRST_SEED + number).pinhole(height, width)[0]
        soft = cv2.GaussianBlur(sharp, (0, 0), height / 100)
        for folder, picture in (("original", sharp), ("bokeh", soft)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            eight_bit = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
            eight_bit.save(root / folder / f"{number}.jpg", quality=QUALITY)


def _by_lanczos(file: Path, size: tuple[int, int]) -> Tensor:
    with Image.open(file) as picture:
        small = picture.convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS)
    return to_tensor(np.asarray(small))


def _kilobytes(folder: Path) -> float:
    return float(np.mean([file.stat().st_size / 1000 for file in folder.glob("*/*.jpg")]))


def _psnr(exact: EBB, prepared: EBB) -> list[float]:
    values = [
        -10 * float((a[key] - b[key]).square().mean().log10())
        for a, b in zip(exact, prepared, strict=True)
        for key in ("image", "bokeh")
    ]
    return [min(values), max(values)]
