"""The README's two pictures, made from the bundled weights."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import sklearn.datasets
import torch
from PIL import Image

from bradcn_nb.data import EBB, to_tensor
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.lens.by_depth import render_lens
from bradcn_nb.models import BRADCN, load_depth_net
from bradcn_nb.photograph import depth_of, render_bradcn
from bradcn_nb.presets import preset

OVERVIEW = (2, 6, 31)  # test pairs
SIZE = (200, 300)  # (height, width) of one picture
GAP = 6
ERROR_WHITE_M = 2.0  # predicted depth error that is drawn white


def _fit(picture: np.ndarray) -> np.ndarray:
    """Crop a float (h, w, 3) picture to the cell's aspect ratio around its middle and resize it."""
    height, width = picture.shape[:2]
    h, w = min(height, width * 2 // 3), min(width, height * 3 // 2)
    top, left = (height - h) // 2, (width - w) // 2
    crop = np.ascontiguousarray(picture[top : top + h, left : left + w])
    return cv2.resize(crop, SIZE[::-1], interpolation=cv2.INTER_AREA if h > SIZE[0] else 1)


def _table(rows: list[list[np.ndarray]]) -> bytes:
    """Lay float (h, w, 3) pictures out as a table; return a JPEG file."""
    h, w = SIZE
    sheet = np.ones((len(rows) * (h + GAP) - GAP, len(rows[0]) * (w + GAP) - GAP, 3))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet[y * (h + GAP) :][:h, x * (w + GAP) :][:, :w] = _fit(picture.astype(np.float32))
    data = BytesIO()
    pixels = np.rint(np.clip(sheet, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(data, "JPEG", quality=88, optimize=True)
    return data.getvalue()


def overview(model: BRADCN) -> bytes:
    """Return a JPEG: per test pair the input, nearness, predicted depth error, bokeh and truth."""
    pairs = EBB(data_root() / "mini-ebb", "test", preset("mini").data.train_size)
    rows = []
    for index in OVERVIEW:
        item = pairs.read(index)
        with torch.inference_mode():
            output = model(to_tensor(item["image"])[None])
        shift = preset("mini").model.depth_shift  # the inverse of the farthest depth
        near = (1 / output.depth[0] - shift) / (1 / output.depth[0] - shift).max()
        maps = [near, output.depth_error[0] / ERROR_WHITE_M]
        grey = [np.repeat(m.clamp(0, 1).numpy().transpose(1, 2, 0), 3, 2) for m in maps]
        bokeh = output.bokeh[0].clamp(0, 1).numpy().transpose(1, 2, 0)
        rows.append([item["image"] / 255, *grey, bokeh, item["bokeh"] / 255])
    return _table(rows)


def photographs(model: BRADCN) -> bytes:
    """Return a JPEG: per photograph the original, the net's bokeh and the lens renderer's."""
    cfg, depth_net, rows = preset("mini").model, load_depth_net(), []
    flower = sklearn.datasets.load_sample_image("flower.jpg")
    for picture in (
        skimage.data.chelsea(),
        skimage.data.coffee(),
        skimage.data.astronaut(),
        flower,
    ):
        photo = picture.astype(np.float32) / 255
        lens = render_lens(photo, depth_of(photo, depth_net, cfg))
        rows.append([photo, render_bradcn(photo, model, cfg), lens])
    return _table(rows)


def readme_pictures(model: BRADCN) -> Path:
    """Write both pictures to data/results, at once or not at all; return that folder."""
    folder = data_root() / "results"
    for name, picture in (("overview", overview(model)), ("photographs", photographs(model))):
        write_atomically(folder / f"{name}.jpg", picture)
    return folder
