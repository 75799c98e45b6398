"""How bright a lamp was that a photograph shows as white: estimated from its size and its halo."""

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import srgb_to_linear

CLIPPED = 250 / 255  # sRGB of the brightest channel; a JPEG's white is rarely 255 throughout
TAIL = 3.0  # of a lens's point spread; Moffat's exponent, 2.5 to 5 in his and later fits
RIM = 2.5  # pixels around a clipped region in which its halo is read
LARGE = 5e-4  # share of the picture: a region as large is as likely a sky, a wall or a shirt


def lamp_weights(photo: np.ndarray, least: float, most: float) -> np.ndarray:
    """What clipped places weigh more than they would by `least`, (H,W) float32 of 1 and more.

    - `photo`: (H,W,3 or 4) sRGB in [0,1]
    - `least`, `most`: how much brighter than white a lamp is at least and at most

    A lamp is taken for a point that the lens spread as L (1 + r^2 / a^2)^-TAIL (Moffat 1969). From
    the rim of the clipped region, where it is 1, to the halo around it, q^-TAIL at k times the
    rim's radius squared, it falls so that (r/a)^2 = (q - 1) / (k - q) at the rim: a lamp falls
    steeply against its size and was bright, the top of a smooth cloud was hardly over white. Each
    region weighs as the profile's mean over it, which keeps the lamp's light. A large region with
    a hard edge looks like a lamp to this; it is believed the less the larger it is.
    """
    peak = photo[..., :3].max(axis=2)
    clipped = peak >= CLIPPED
    if not clipped.any():
        return np.ones_like(peak)
    distance, region = cv2.distanceTransformWithLabels(
        (~clipped).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    area = np.maximum(np.bincount(region[clipped]), 1)
    rim = ~clipped & (distance <= RIM)
    around = region[rim]
    count = np.maximum(np.bincount(around, minlength=len(area)), 1)
    dark = np.log(np.maximum(srgb_to_linear(peak[rim]), 1e-3))
    fall = -np.bincount(around, dark, len(area)) / count
    away = np.bincount(around, distance[rim] - 0.5, len(area)) / count  # to the rim's own edge
    ratio, wide = np.exp(fall / TAIL), (1 + away / np.sqrt(area / np.pi)) ** 2
    steep = np.clip((ratio - 1) / np.maximum(wide - ratio, 1e-3), 1e-6, 1e3)
    mean = ((1 + steep) ** TAIL - (1 + steep)) / ((TAIL - 1) * steep)
    believed = 1 / (1 + area / (LARGE * peak.size))
    gain = least + np.maximum(np.minimum(mean - 1, most) - least, 0) * believed
    return np.where(clipped, ((1 + gain) / (1 + least)).astype(np.float32)[region], 1)
