"""Exposure and place, taken out of a comparison: variants of the protocol for real pairs.

The two photographs of a real pair are taken one after the other: one of three EBB! samples has a
gain of 1.5 and a scale of 0.994 between them, which no method can know and every metric counts.
What is matched is the prediction, to the truth, so that all methods gain by it alike.
"""

import cv2
import numpy as np

from bradcn_nb.errors import BradcnError
from bradcn_nb.lens.thin_lens import linear_to_srgb, srgb_to_linear

MATCHES = ("exposure", "affine")
ITERATIONS, CLOSE, SMOOTHING = 100, 1e-5, 5  # of ECC; the last in pixels


def matched(truth: np.ndarray, picture: np.ndarray, how: str) -> np.ndarray:
    """Return `picture` as near to `truth` as `how` allows; both uint8 (H, W, 3).

    * "exposure": times one number, in linear light, by least squares.
    * "affine": first moved by the affine map (6 numbers) that correlates best, then the same.

    Raises BradcnError where no map is found. Source of the map: Evangelidis and Psarakis 2008 (ECC,
    OpenCV's).
    """
    if how not in MATCHES:
        raise BradcnError(f"unknown match {how!r}: choose {' or '.join(MATCHES)}")
    if how == "affine":
        picture = _moved(truth, picture)
    target, values = (srgb_to_linear(x.astype(np.float32) / 255) for x in (truth, picture))
    gain = float((target * values).sum() / max((values * values).sum(), 1e-9))
    return np.rint(linear_to_srgb(np.clip(gain * values, 0, 1)) * 255).astype(np.uint8)


def _moved(truth: np.ndarray, picture: np.ndarray) -> np.ndarray:
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (truth, picture)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, CLOSE)
    try:
        _, warp = cv2.findTransformECC(
            *grey, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, None, SMOOTHING
        )
    except cv2.error:
        raise BradcnError("the picture does not look like its truth: no affine map found") from None
    height, width = truth.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        picture, warp, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
