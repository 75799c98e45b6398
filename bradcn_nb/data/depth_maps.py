"""Depth maps that come with a photograph: read in metres, complete, or refused by name."""

from pathlib import Path

import cv2
import numpy as np

from bradcn_nb.data.photos import decode_all_bits
from bradcn_nb.errors import DataError


def read_depth_map(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Read a depth map for a photograph of `size` (height, width): float32 metres, all above 0.

    A PNG holds 16-bit millimetres, a .npy file floats in metres; zero means unknown in both and
    takes the nearest known depth. Raises DataError for another kind, size or type of map, and for
    NaN, infinite, negative or nothing but zero depths.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such depth map; check the name given to --depth")
    if path.suffix.lower() == ".npy":
        try:
            depth = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise DataError(
                f"{path}: is not a .npy array; write it again with numpy.save"
            ) from None
        if depth.dtype.kind != "f":
            raise DataError(f"{path}: holds {depth.dtype}; save the depth as floats, in metres")
    elif path.suffix.lower() == ".png":
        depth = decode_all_bits(path.read_bytes())
        if depth is None or depth.dtype != np.uint16:
            raise DataError(f"{path}: is not a 16-bit PNG; save the depth as 16-bit millimetres")
        depth = depth.astype(np.float32) / 1000
    else:
        raise DataError(f"{path}: unknown kind of depth map; use a 16-bit .png or a .npy file")
    if depth.shape != tuple(size):
        raise DataError(
            f"{path}: depth map of shape {depth.shape} for a photograph of height and width "
            f"{tuple(size)}; make them equal"
        )
    depth = np.array(depth, np.float32)
    if not np.isfinite(depth).all() or depth.min() < 0:
        raise DataError(
            f"{path}: has NaN, infinite or negative depths; mark what is unknown with 0"
        )
    unknown = depth == 0
    if unknown.all():
        raise DataError(f"{path}: every depth is zero; give metres (.npy) or millimetres (.png)")
    return fill_unknown(depth, unknown)


def fill_unknown(depth: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Give every unknown pixel the depth of the nearest known one; (H,W) float32 and a bool mask.

    At least one pixel must be known.
    """
    if not unknown.any():
        return depth
    _, labels = cv2.distanceTransformWithLabels(
        unknown.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(labels.max() + 1, np.float32)
    by_label[labels[~unknown]] = depth[~unknown]
    return by_label[labels]
