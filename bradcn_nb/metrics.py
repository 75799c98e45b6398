"""PSNR, SSIM and the protocol `val294`, as BRViT and DMSHN measure them (Sections IV-C, IV-F)."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bradcn_nb.errors import BradcnError, SizeError


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def to_uint8(picture: torch.Tensor) -> np.ndarray:
    """A (3, H, W) or (1, 3, H, W) picture in [0, 1] as uint8 (H, W, 3), clamped, halves rounded up.

    Raises BradcnError if it holds NaN or infinity, and SizeError for other shapes.
    """
    if picture.ndim == 4 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise SizeError(f"one picture must be (3, H, W), not {tuple(picture.shape)}; pick one")
    if not torch.isfinite(picture).all():
        raise BradcnError("the picture holds NaN or infinity; check the weights that made it")
    values = picture.detach().float().clamp(0, 1).mul(255).add(0.5).floor().to(torch.uint8)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy())


def val294(prediction: torch.Tensor, height: int, width: int) -> np.ndarray:
    """Protocol `val294`: a prediction as it is judged, uint8 (`height`, `width`, 3).

    `prediction` is (3, h, w) or (1, 3, h, w) in [0, 1]; it is resized to the truth's native size by
    bilinear interpolation (align_corners=False), clamped and rounded.
    Source: Section IV-F ("bilinear interpolation to double the output resolution"); since the real
    test pictures are 1466 to 1725 wide, the factor is not exactly 2. Raises as `to_uint8`.
    """
    if prediction.ndim == 3:
        prediction = prediction[None]
    size = (height, width)
    return to_uint8(
        F.interpolate(prediction.float(), size=size, mode="bilinear", align_corners=False)
    )


def _check(truth: np.ndarray, picture: np.ndarray) -> None:
    for array in (truth, picture):
        if array.dtype != np.uint8 or array.ndim != 3:
            raise TypeError(f"pictures are uint8 (H, W, 3), not {array.dtype} {array.shape}")
    if truth.shape != picture.shape:
        raise SizeError(f"the picture is {picture.shape}, its truth {truth.shape}; resize it first")


def psnr(truth: np.ndarray, picture: np.ndarray) -> float:
    """PSNR in dB of two uint8 (H, W, 3) pictures by scikit-image; +inf if they are identical.

    Raises SizeError if their sizes differ, TypeError if they are not uint8.
    """
    _check(truth, picture)
    if np.array_equal(truth, picture):
        return float("inf")  # what scikit-image gives too, after a warning
    return float(peak_signal_noise_ratio(truth, picture))


def ssim(truth: np.ndarray, picture: np.ndarray) -> float:
    """SSIM of two uint8 (H, W, 3) pictures by scikit-image's defaults: 7x7 uniform window.

    Raises SizeError if their sizes differ or a side is below 7 pixels, TypeError if not uint8.
    """
    _check(truth, picture)
    if min(truth.shape[:2]) < 7:
        raise SizeError(f"SSIM needs 7 pixels a side, not {truth.shape[:2]}; use larger pictures")
    return float(structural_similarity(truth, picture, channel_axis=-1))


def paired_interval(
    a: np.ndarray | list[float], b: np.ndarray | list[float], seed: int = 0
) -> Interval:
    """Mean of the paired differences a - b and its 95 % percentile bootstrap interval.

    `a` and `b` hold one finite value per picture, in the same order; pictures are drawn with
    replacement 10,000 times. Paired, because pictures differ far more (3.9 dB) than methods do.
    Source: Efron and Tibshirani 1993, chapter 13. Raises ValueError for unequal lengths, no
    pictures, or values that are not finite.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"need two lists of one length, not {a.shape} and {b.shape}")
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("values must be finite; cap the PSNR of identical pictures first")
    draws = np.random.default_rng(seed).integers(0, a.size, size=(10_000, a.size))
    low, high = np.percentile(difference[draws].mean(1), (2.5, 97.5))
    return Interval(float(difference.mean()), float(low), float(high))
