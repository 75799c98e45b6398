"""The paper's protocol for one picture and for a test set: shrink, run, enlarge, 8 bits (IV-F)."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from bradcn_nb.data import EBB, resize_picture, to_tensor
from bradcn_nb.errors import DataError
from bradcn_nb.evaluation.metrics import val294
from bradcn_nb.files import write_atomically

SHRINKS = ("area", "lanczos")  # lanczos: as BRViT and DMSHN prepare their pictures
MANIFEST = "made-by.json"


def shrunk(picture: np.ndarray, size: tuple[int, int], shrink: str = "area") -> Tensor:
    """Return a uint8 (H, W, 3) picture at `size` (h, w) as a net takes it: (1, 3, h, w) in [0,
    1]."""
    if shrink == "area":
        return to_tensor(resize_picture(picture, size))[None]
    small = Image.fromarray(picture).resize(size[::-1], Image.Resampling.LANCZOS)
    return to_tensor(np.asarray(small))[None]


@torch.no_grad()
def predict(
    net: nn.Module,
    picture: np.ndarray,
    size: tuple[int, int],
    shrink: str = "area",
    device: torch.device | str = "cpu",
    **maps: Tensor,
) -> np.ndarray:
    """Return what a net draws of a picture, as it is judged: uint8 (H, W, 3).

    * `net`: gives a tensor (1, 3, h, w), or an output with that as its `bokeh`.
    * `picture`: uint8 (H, W, 3); it is brought to `size` (h, w), and the result back to its own.
    * `shrink`: one of SHRINKS.
    * `device`: where the net is.
    * `maps`: `depth` and `depth_error`, (1, 1, h, w) in metres, for a BRADCN that is given them.

    Raises SizeError if `size` does not suit the net, BradcnError if it gives NaN. Source: Section
    IV-F; `val294`.
    """
    output = net(shrunk(picture, size, shrink).to(device), **maps)
    bokeh = output if isinstance(output, Tensor) else output.bokeh
    return val294(bokeh, *picture.shape[:2])


def predict_folder(
    net: nn.Module,
    pairs: EBB,
    size: tuple[int, int],
    out: Path,
    made_by: dict[str, Any],
    *,
    shrink: str = "area",
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Path:
    """Write `predict`'s picture of every pair N as `out`/N.png; return `out`.

    `made_by` (method, weights, ...) ties the folder to one net: pictures that are there and were
    made by the same are kept, so a stopped call goes on. Raises DataError for a folder of another
    net, or one with other files in it.
    """
    made_by = {**made_by, "size": list(size), "shrink": shrink, "split": pairs.split}
    manifest = out / MANIFEST
    if manifest.is_file():
        before = json.loads(manifest.read_text("utf-8"))
        unlike = [key for key in {**before, **made_by} if before.get(key) != made_by.get(key)]
        if unlike:
            raise DataError(f"{out}: holds pictures of another {', '.join(unlike)}; name another")
    elif out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty and was not made by `predict`; name another folder")
    else:
        write_atomically(manifest, f"{json.dumps(made_by, indent=1)}\n".encode())
    for index in tqdm(range(len(pairs)), desc="predict", unit="picture", disable=not progress):
        file = out / f"{pairs.pairs[index][0]}.png"
        if file.is_file():
            continue
        drawn, png = predict(net, pairs.read(index)["image"], size, shrink, device), BytesIO()
        Image.fromarray(drawn).save(png, "PNG")
        write_atomically(file, png.getvalue())
    return out
