"""A real photograph whose depth was measured: scikit-image's `stereo_motorcycle`.

It ships in scikit-image's wheel. No stage trains on it and none of its pixels hangs in a generated scene.
With the measured depth the lens renderer draws a reference for every method; without a camera that
took both pictures, that is as near to a truth as one gets. It is one photograph: it can show that
something fails, and cannot rank methods.
Source: Scharstein et al. (2014), Middlebury stereo benchmark, "Motorcycle".
"""

from typing import NamedTuple

import numpy as np
import skimage.data

from bradcn_nb.errors import DataError, SizeError
from bradcn_nb.photos import fill_unknown
from bradcn_nb.rendering import render_lens

# From scikit-image's docstring; valid for its pictures, which are a quarter of the benchmark's.
FOCAL_PX = 994.978
BASELINE_M = 0.193001
OFFSET_PX = 31.086  # between the two cameras' principal points
FARTHEST_M = 100.0  # an aligned inverse depth below 1/100 m counts as this far


class MeasuredPhoto(NamedTuple):
    """A photograph, its depth, and where that is known."""

    image: np.ndarray  # (H, W, 3) float32 sRGB in [0, 1]
    depth: np.ndarray  # (H, W) float32 metres, 0 where unknown
    known: np.ndarray  # (H, W) bool


class DepthErrors(NamedTuple):
    """How far predicted depth is off, in metres, as means over the pixels whose depth is known."""

    mae: float  # of the prediction as it is
    mae_aligned: float  # after the best scale and shift of its inverse
    mae_constant: float  # of the best constant, the median: what knowing nothing costs
    scale: float  # truth's inverse ~ scale * predicted inverse + shift
    shift: float  # 1/m


def motorcycle() -> MeasuredPhoto:
    """Return the left picture of `stereo_motorcycle`, (500, 741), with its measured depth.

    depth = focal length * baseline / (disparity + offset): 2.11 to 5.02 m; unknown disparity is
    +inf there, 7.35 % of the pixels.
    """
    left, _, disparity = skimage.data.stereo_motorcycle()
    known = np.isfinite(disparity)
    depth = FOCAL_PX * BASELINE_M / (np.where(known, disparity, 0) + OFFSET_PX)
    depth = np.where(known, depth, 0).astype(np.float32)
    return MeasuredPhoto(left.astype(np.float32) / 255, depth, known)


def reference_render(
    photo: MeasuredPhoto, focus: tuple[float, float] | None = None, aperture: float = 1.8
) -> np.ndarray:
    """Return the lens renderer's bokeh (H, W, 3) from the measured depth.

    `focus` (x, y) in pixels and `aperture` as in `render_lens`. Unknown pixels are as far as the nearest
    known one.
    """
    return render_lens(photo.image, fill_unknown(photo.depth, ~photo.known), focus, aperture)


def depth_errors(predicted: np.ndarray, truth: np.ndarray, known: np.ndarray) -> DepthErrors:
    """Compare predicted with true depth, (H, W) in metres, where `known` (bool) says so.

    The alignment is the least-squares fit of inverse depths: of a single picture, scale and shift are what
    a net can least know. Source: Ranftl et al. (2022), MiDaS. Raises SizeError when shapes differ,
    DataError when fewer than two pixels are known or a depth there is not positive and finite.
    """
    if not predicted.shape == truth.shape == known.shape:
        raise SizeError(
            f"depths of {predicted.shape} and {truth.shape} with a mask of {known.shape}; "
            "resize them to one size"
        )
    guess, depth = (d[known].astype(np.float64) for d in (predicted, truth))
    if guess.size < 2:
        raise DataError(f"only {guess.size} depths are known; two are the least to compare")
    if not all(np.isfinite(d).all() and (d > 0).all() for d in (guess, depth)):
        raise DataError("depths must be positive and finite in metres; mask out what is unknown")
    inverse = np.stack((1 / guess, np.ones_like(guess)), 1)
    (scale, shift), *_ = np.linalg.lstsq(inverse, 1 / depth, rcond=None)
    aligned = 1 / np.maximum(inverse @ (scale, shift), 1 / FARTHEST_M)
    return DepthErrors(
        mae=float(np.abs(guess - depth).mean()),
        mae_aligned=float(np.abs(aligned - depth).mean()),
        mae_constant=float(np.abs(np.median(depth) - depth).mean()),
        scale=float(scale),
        shift=float(shift),
    )
