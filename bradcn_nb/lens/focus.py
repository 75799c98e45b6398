"""What is to be sharp, as a span of distances: at places, or of the subject that depth shows."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from bradcn_nb.errors import DataError
from bradcn_nb.lens.by_depth import depth_at
from bradcn_nb.lens.thin_lens import resize

WORK_SIDE = 128  # pixels of the short side on which the subject is looked for
SLICE = 0.3  # of the logarithm of depth: from 1 m to 1.35 m
LEAST_SHARE = 0.02  # of the picture; what is smaller is no subject
MIDDLE = (0.25, 0.3)  # deviation of the weight of the middle, in widths and in heights


class Span(NamedTuple):
    """Distances in metres between which all is sharp; `far_m` may be infinite."""

    near_m: float
    far_m: float


def span_at(depth_m: np.ndarray, places: Sequence[tuple[float, float, float]]) -> Span:
    """The span from the nearest to the farthest of places, in a depth (H,W) in metres.

    A place is (x, y) in pixels and half the side of the square that is looked at there.
    """
    found = [depth_at(depth_m, (x, y), round(half)) for x, y, half in places]
    return Span(min(found), max(found))


def check_span(span: Span, depth_m: np.ndarray) -> Span:
    """Return `span`; raises DataError if nothing of the depth (H,W) in metres lies in it."""
    if not ((depth_m >= span.near_m * 0.999) & (depth_m <= span.far_m * 1.001)).any():
        raise DataError(
            f"nothing lies between {span.near_m:g} m and {span.far_m:g} m; the depths of this "
            f"picture go from {depth_m.min():.2f} m to {depth_m.max():.2f} m"
        )
    return span


def subject_span(depth_m: np.ndarray) -> Span:
    """Where the subject is, by the depth (H,W) alone: a near, large region about the middle.

    Depth is cut into slices 35 % thick, and again half a slice on. Of the connected regions in
    them that cover 2 % of the picture or more, the one is taken whose closeness to the middle,
    times the root of its share of the picture, over the square of its distance, is largest. It is
    sharp at its median. A unit of depth changes nothing in that. Texture is not asked: on scenes
    of known focus it did not help.
    """
    height, width = depth_m.shape
    scale = min(1, WORK_SIDE / min(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    depth = 1 / resize((1 / depth_m).astype(np.float32), size)
    y, x = np.linspace(-0.5, 0.5, size[0])[:, None], np.linspace(-0.5, 0.5, size[1])
    central = np.exp(-((x / MIDDLE[0]) ** 2 + (y / MIDDLE[1]) ** 2) / 2)
    best, found = -1.0, float(np.median(depth))
    for offset in (0, 0.5):
        slices = np.floor(np.log(depth) / SLICE + offset)
        for number in np.unique(slices):
            _, labels = cv2.connectedComponents((slices == number).astype(np.uint8), None, 4)
            for label, count in enumerate(np.bincount(labels.ravel())[1:], start=1):
                share = count / labels.size
                if share < LEAST_SHARE:
                    continue
                inside = labels == label
                metres = float(np.median(depth[inside]))
                score = central[inside].mean() * share**0.5 / metres**2
                if score > best:
                    best, found = score, metres
    return Span(found, found)
