"""How bright a lamp was that a photograph shows as white: judged by its size and its halo."""

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import srgb_to_linear

CLIPPED = 250 / 255  # sRGB of the brightest channel; a JPEG's white is rarely 255 throughout
TAIL = 3.0  # of a point spread; for stars 2.5 (usual) to 4.8 (turbulent air) are fitted
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
    The profile's mean m over a clipped region is what its halo tells of its light. It is too little
    for a lamp, whose middle outshines what one profile can say, so it does not weigh as such but
    judges: a region gets ((m - 1) / (m + 1))^2 of what `most` allows. A large one with a hard edge
    looks like a lamp to this, be it sky or a shirt; it gets the less the larger it is. What is lit
    behind a lamp counts as its halo: then it gets too little rather than too much.
    """
    peak = photo[..., :3].max(axis=2)
    clipped = peak >= CLIPPED
    if not clipped.any():
        return np.ones_like(peak)
    distance, region = cv2.distanceTransformWithLabels(
        (~clipped).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    area = np.maximum(np.bincount(region[clipped]), 1)
    radius = np.sqrt(area / np.pi).astype(np.float32)
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
    lamp = ((mean - 1) / (mean + 1)) ** 2
    gain = least + (most - least) * lamp * believed
    return np.where(clipped, ((1 + gain) / (1 + least)).astype(np.float32)[region], 1)
