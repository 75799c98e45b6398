"""One photograph in, one with bokeh out: by the net (`bradcn`) or by depth and optics (`lens`)."""

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from bradcn_nb.data.photos import check_output, read_depth, read_photo, write_photo
from bradcn_nb.errors import BradcnError, PhotoError
from bradcn_nb.lens.by_depth import NEAREST_M, render_lens
from bradcn_nb.lens.upsample import guided_upsample, upsample_stack
from bradcn_nb.models.bundled import load_bradcn, load_depth_net
from bradcn_nb.models.inference import for_inference
from bradcn_nb.presets import ModelConfig, preset


def render_photo(
    path: str | Path,
    out: str | Path,
    renderer: str = "bradcn",
    focus: tuple[float, float] | None = None,
    aperture: float = 1.8,
    depth: str | Path | None = None,
    model: nn.Module | None = None,
    cfg: ModelConfig | None = None,
) -> None:
    """Read a photograph, give it bokeh and write it: same size, alpha, profile and EXIF.

    `renderer` "bradcn": the net decides what is sharp. "lens": `focus` (x, y) in pixels is sharp, or
    without it what `default_focus` finds, through a lens of f-number `aperture`, by the depth map
    `depth` (see `read_depth`) or else by the depth net of `model`. `model` is a BRADCN; without it "bradcn"
    takes the bundled mini one and "lens" mini's depth net before stage 2. `cfg` is its configuration,
    by default mini's. Raises PhotoError for pictures
    that cannot be read or written and a focus outside the picture, DataError for a bad depth map,
    BradcnError for an unknown renderer or an impossible aperture. All names are checked before work.
    """
    if renderer not in ("bradcn", "lens"):
        raise BradcnError(f"unknown renderer {renderer!r}: choose bradcn or lens")
    if not (math.isfinite(aperture) and aperture > 0):
        raise BradcnError(f"aperture {aperture}: give an f-number above 0, such as 1.8")
    check_output(out, path)
    photo = read_photo(path)
    height, width = photo.rgb.shape[:2]
    if focus is not None and not (0 <= focus[0] < width and 0 <= focus[1] < height):
        raise PhotoError(
            f"{path}: focus {focus[0]:g},{focus[1]:g} is outside the picture; "
            f"give X below {width} and Y below {height}"
        )
    given = None if depth is None else read_depth(depth, (height, width))
    cfg = cfg or preset("mini").model
    if renderer == "bradcn":
        rgb = render_bradcn(photo.rgb, for_inference(model or load_bradcn()), cfg)
    else:
        metres = given
        if metres is None:
            ready = for_inference(model or load_depth_net())
            metres = depth_of(photo.rgb, ready.depth_net if model else ready, cfg)
        rgb = render_lens(photo.rgb, metres, focus, aperture)
    write_photo(out, dataclasses.replace(photo, rgb=rgb))


def render_bradcn(photo: np.ndarray, model: nn.Module, cfg: ModelConfig) -> np.ndarray:
    """Bokeh by the net for a photograph (H,W,3) sRGB in [0,1] of any size; same shape and range."""
    return upsample_stack(photo, net_bokeh(photo, model, cfg))


def net_bokeh(photo: np.ndarray, model: nn.Module, cfg: ModelConfig) -> np.ndarray:
    """The net's own small picture (h,w,3) in [0,1] of a photograph (H,W,3) sRGB in [0,1]."""
    tensor, rows, columns = _net_input(photo, cfg)
    with torch.inference_mode():
        bokeh = model(tensor).bokeh
    net = bokeh[0, :, :rows, :columns].permute(1, 2, 0).float().cpu().numpy()
    return np.ascontiguousarray(np.clip(net, 0, 1))


def depth_of(photo: np.ndarray, depth_net: nn.Module, cfg: ModelConfig) -> np.ndarray:
    """Depth (H,W) in metres of a photograph (H,W,3) by a depth net, brought to its edges.

    Disparity is what is enlarged, because a slanted plane is linear in it and blur is, too. Nothing is
    nearer than `NEAREST_M`: fine-tuning for pictures (stage 2) lets the depth net drift beyond it.
    """
    tensor, rows, columns = _net_input(photo, cfg)
    with torch.inference_mode():
        metres = depth_net(tensor)
    disparity = 1 / np.maximum(metres[0, 0, :rows, :columns].float().cpu().numpy(), 1e-3)
    fine = guided_upsample(disparity.astype(np.float32), photo)
    return np.maximum(1 / np.clip(fine, disparity.min(), disparity.max()), NEAREST_M)


def _net_input(photo: np.ndarray, cfg: ModelConfig) -> tuple[Tensor, int, int]:
    """The photograph at the net's number of pixels: tensor (1,3,h,w), and its rows and columns.

    The aspect ratio stays; the tensor is continued by reflection to multiples of the stride.
    """
    height, width = photo.shape[:2]
    scale = math.sqrt(cfg.image_size[0] * cfg.image_size[1] / (height * width))
    rows, columns = (max(cfg.stride, round(side * scale)) for side in (height, width))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(photo, (columns, rows), interpolation=method)
    padding = [(0, -rows % cfg.stride), (0, -columns % cfg.stride), (0, 0)]
    padded = np.pad(small, padding, mode="reflect")
    return torch.from_numpy(padded.transpose(2, 0, 1).copy())[None], rows, columns
