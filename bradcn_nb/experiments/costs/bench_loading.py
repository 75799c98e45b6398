"""How fast training data is read: `python -m bradcn_nb bench loading`.

Three ways to the same tensors at 768x512, in turns: prepared files by the project's reader; the
originals by the same reader; and the originals as most training code reads them, opened and resized
with Lanczos by Pillow. The originals are generated scenes in the sizes of Val294, saved as a camera
saves. One process and one thread each: a loader's processes multiply all three alike.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from bradcn_nb.data import EBB, to_tensor
from bradcn_nb.data.prepare import prepare
from bradcn_nb.scenes import outdoor_scene

SIZE = (512, 768)  # Section IV-F
WIDTHS = (1466, 1536, 1600, 1725)  # of the pairs; Val294 is 1024 high and 1466 to 1725 wide
WIDTHS_QUICK = (183, 216)
QUALITY = 95
FIRST_SEED = 20_000_000


def originals(root: Path, height: int = 1024, widths: tuple[int, ...] = WIDTHS) -> None:
    """Write generated pairs of `height` to root/original and root/bokeh, as JPEGs of a camera's
    kind.

    The bokeh is a plain blur, for speed: what matters here is that it compresses as a soft picture
    does.
    """
    for number, width in enumerate(widths):
        sharp = outdoor_scene(FIRST_SEED + number).pinhole(height, width)[0]
        for folder, picture in (
            ("original", sharp),
            ("bokeh", cv2.GaussianBlur(sharp, (0, 0), height / 100)),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            eight_bit = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
            eight_bit.save(root / folder / f"{number}.jpg", quality=QUALITY)


@contextmanager
def loading_programs(
    record: dict[str, Any], quick: bool
) -> Iterator[dict[str, Callable[[], object]]]:
    """Make both sets of files, describe them in `record`, and give the three programs to time.

    `record` gains size, pictures, kilobytes (of a picture, by set), psnr (lowest and highest of the
    prepared pictures beside the exact resize, dB) and empty lists for the seconds.
    """
    size = (64, 96) if quick else SIZE
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with TemporaryDirectory() as root:
            source, copy = Path(root) / "originals", Path(root) / "prepared"
            originals(source, *((128, WIDTHS_QUICK) if quick else ()))
            prepare("ebb", source, copy, size, jobs=1, progress=False, say=lambda _: None)
            exact, prepared = EBB(source, "train", size), EBB(copy, "train", size)
            files = sorted(source.glob("*/*.jpg"))
            record |= {
                "size": list(size),
                "pictures": len(files),
                "kilobytes": {folder.name: _kilobytes(folder) for folder in (source, copy)},
                "psnr": _loss(exact, prepared),
                "seconds": {"prepared": [], "originals": [], "lanczos": []},
            }
            yield {
                "prepared": lambda: [prepared[index] for index in range(len(prepared))],
                "originals": lambda: [exact[index] for index in range(len(exact))],
                "lanczos": lambda: [_by_lanczos(file, size) for file in files],
            }
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def _by_lanczos(file: Path, size: tuple[int, int]) -> torch.Tensor:
    with Image.open(file) as picture:
        small = picture.convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS)
    return to_tensor(np.asarray(small))


def _kilobytes(folder: Path) -> float:
    sizes = [file.stat().st_size for file in folder.glob("*/*.jpg")]
    return sum(sizes) / 1000 / len(sizes)


def _loss(exact: EBB, prepared: EBB) -> list[float]:
    psnr = [
        -10 * float((a[key] - b[key]).square().mean().log10())
        for a, b in zip(exact, prepared, strict=True)
        for key in ("image", "bokeh")
    ]
    return [min(psnr), max(psnr)]
