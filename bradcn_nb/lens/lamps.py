"""How bright a lamp was that a photograph shows as white: estimated from its size and its halo."""

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import srgb_to_linear

CLIPPED = 250 / 255  # sRGB of the brightest channel; a JPEG's white is rarely 255 throughout
TAIL = 3.0  # of a lens's point spread; Moffat's exponent, 2.5 to 5 in his and later fits
RIM = 2.5  # pixels around a clipped region in which its halo is read, or half its radius
UNSURE = 0.05  # of k - 1: pixels do not tell more exactly where a small rim lies
LARGE = 5e-4  # share of the picture: a region as large is as likely a sky, a wall or a shirt


def lamp_weights(photo: np.ndarray, least: float, most: float) -> np.ndarray:
    """What clipped places weigh more than they would by `least`, (H,W) float32 of 1 and more.

    - `photo`: (H,W,3 or 4) sRGB in [0,1]
    - `least`, `most`: how much brighter than white a lamp is at least and at most

    A lamp is taken for a point that the lens spread as L (1 + r^2 / a^2)^-TAIL (Moffat 1969). Then
    light^(-1/TAIL) rises in proportion to r^2. If it is q times its rim's where r^2 is k times the
    rim's, r^2 / a^2 is (q - 1) / (k - q) at the rim; both are averaged over the halo. So a lamp
    falls steeply against its size and was bright; the top of a smooth cloud was hardly over white.
    Each region weighs as the profile's mean over it, which keeps the lamp's light. A large region
    with a hard edge looks like a lamp to this; it is believed the less the larger it is. What is
    lit behind a lamp counts as its halo, so it comes out too dark rather than too bright. Simulated
    lamps come out at 0.3 to 4 times their light, half of them within a third of it; a test does so.
    """
    peak = photo[..., :3].max(axis=2)
    clipped = peak >= CLIPPED
    if not clipped.any():
        return np.ones_like(peak)
    distance, region = cv2.distanceTransformWithLabels(
        (~clipped).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    area = np.maximum(np.bincount(region[clipped]), 1)
    radius = np.sqrt(area / np.pi)
    halo = ~clipped & (distance <= np.maximum(RIM, radius / 2)[region])
    around = region[halo]
    count = np.bincount(around, minlength=len(area))

    def averaged(values: np.ndarray) -> np.ndarray:  # less the rim's own, which is 1
        return np.bincount(around, values - 1, len(area)) / np.maximum(count, 1)

    light = np.maximum(srgb_to_linear(peak[halo]), 1e-3) / srgb_to_linear(np.float32(CLIPPED))
    fall = averaged(light ** (-1 / TAIL))
    away = averaged((1 + (distance[halo] - 0.5) / radius[around]) ** 2)  # from the rim's edge
    away = np.maximum(away, 1e-6)
    steep = np.clip(fall / (np.maximum(away - fall, 0) + UNSURE * away), 1e-6, 1e3)
    mean = ((1 + steep) ** TAIL - (1 + steep)) / ((TAIL - 1) * steep)
    believed = 1 / (1 + area / (LARGE * peak.size))
    gain = least + np.maximum(np.minimum(mean - 1, most) - least, 0) * believed
    return np.where(clipped, ((1 + gain) / (1 + least)).astype(np.float32)[region], 1)
