"""Ways to spoil a picture, each by one number, and all of them to the same PSNR: what metrics tell
apart.
"""

from collections.abc import Callable

import cv2
import numpy as np

from bradcn_nb.evaluation.metrics import psnr

Picture = np.ndarray


def _uint8(values: np.ndarray) -> Picture:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def noise(picture: Picture, sigma: float) -> Picture:
    """A uint8 (H, W, 3) picture with Gaussian noise of `sigma` grey levels; the same noise each
    time.
    """
    grain = np.random.default_rng(0).standard_normal(picture.shape)
    return _uint8(picture + sigma * grain)


def blur(picture: Picture, sigma: float) -> Picture:
    """A uint8 (H, W, 3) picture under a Gaussian blur of `sigma` pixels; 0 leaves it alone."""
    if sigma <= 0:
        return picture.copy()
    return _uint8(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma))


def shift(picture: Picture, pixels: float) -> Picture:
    """A uint8 (H, W, 3) picture moved right by `pixels`, between pixels bilinear, its edge
    repeated.
    """
    move = np.array([[1, 0, pixels], [0, 1, 0]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    values = picture.astype(np.float32)
    return _uint8(cv2.warpAffine(values, move, size, borderMode=cv2.BORDER_REPLICATE))


def contrast(picture: Picture, lost: float) -> Picture:
    """A uint8 (H, W, 3) picture drawn towards its mean colour; `lost` is 0 for none, 1 for all of
    it.
    """
    mean = picture.mean((0, 1), dtype=np.float64)
    return _uint8(mean + (1 - lost) * (picture - mean))


def jpeg(picture: Picture, lost: float) -> Picture:
    """A uint8 (H, W, 3) picture after JPEG of quality 100 - `lost`; between two qualities their
    mixture.
    """
    below = int(min(max(lost, 0), 98))
    part = min(max(lost, 0), 99) - below
    return _uint8((1 - part) * _coded(picture, 100 - below) + part * _coded(picture, 99 - below))


def _coded(picture: Picture, quality: int) -> np.ndarray:
    code = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float64)


def blur_where(mask: np.ndarray) -> Callable[[Picture, float], Picture]:
    """`blur` of what lies inside a boolean mask (H, W), and of nothing else."""
    return lambda picture, sigma: np.where(mask[..., None], blur(picture, sigma), picture)


def to_psnr(
    distort: Callable[[Picture, float], Picture],
    truth: Picture,
    target: float,
    most: float,
) -> tuple[Picture, float]:
    """The distortion of `truth` whose PSNR is `target` dB, and its strength,
    between 0 and `most`.

    Found by halving: `distort` must get worse as its number grows. Raises
    ValueError if even `most` is better than that.
    """
    if psnr(truth, distort(truth, most)) > target:
        raise ValueError(f"{target:.1f} dB is not reached at strength {most}")
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        if psnr(truth, distort(truth, middle)) > target:
            low = middle
        else:
            high = middle
    return distort(truth, high), high
