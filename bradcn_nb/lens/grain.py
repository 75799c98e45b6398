"""A photograph's grain: how much it has, and giving it back to what a blur made smooth.

Off unless asked for: the photographs of scikit-image, scikit-learn and EBB! have a grain of 0 to
1.5 grey levels, and one level beside none is not seen. It is for pictures in poor light.
"""

import cv2
import numpy as np

BLOCK = 32  # pixels; the grain of the smoothest quarter of such blocks is the photograph's
SEED = 0  # a picture drawn twice is the same
# Second difference along both axes: blind to slopes, deaf to straight edges (Immerkaer 1996).
HIGH_PASS = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32) / 6


def grain_of(photo: np.ndarray) -> float:
    """The standard deviation of the grain of a photograph (H,W,3 or 4) sRGB in [0,1], of its grey.

    By the median absolute deviation of a high-pass (Donoho and Johnstone 1994) in blocks; of these
    the lower quartile, because texture is no grain. Clipped and transparent places are left out.
    """
    grey = photo[..., :3].mean(axis=2)
    fine = np.abs(cv2.filter2D(grey, -1, HIGH_PASS, borderType=cv2.BORDER_REFLECT_101))
    fine[(grey < 2 / 255) | (photo[..., :3].max(axis=2) > 253 / 255)] = np.nan
    if photo.shape[2] == 4:
        fine[photo[..., 3] < 1] = np.nan
    rows, columns = (max(1, side // BLOCK) for side in grey.shape)
    blocks = [
        block
        for strip in np.array_split(fine, rows)
        for part in np.array_split(strip, columns, axis=1)
        if len(block := part[np.isfinite(part)]) > part.size / 2
    ]
    if not blocks:
        return 0.0
    return float(np.quantile([np.median(block) for block in blocks], 0.25)) / 0.6745


def add_grain(picture: np.ndarray, photo: np.ndarray, left: np.ndarray) -> None:
    """Give `picture` (H,W,3 or 4) sRGB, in place, the grain of `photo` where its blur took it.

    `left` (H,W) is the share of the grain's variance that is left: 1 is untouched. All channels
    get one grain, fading towards black and white, where a photograph's is clipped.
    """
    grain = np.random.default_rng(SEED).standard_normal(left.shape, np.float32)
    grain *= grain_of(photo) * np.sqrt(np.clip(1 - left, 0, 1))
    grey = picture[..., :3].mean(axis=2)
    grain *= np.clip(16 * grey * (1 - grey), 0, 1)
    colours = picture[..., :3]
    np.clip(colours + grain[..., None], 0, 1, out=colours)
