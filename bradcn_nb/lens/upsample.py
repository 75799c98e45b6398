"""From the net's small bokeh to the photograph's own size, without costing the subject its pixels.

A net that works on 96x64 or 768x512 pixels knows where and how strongly to blur; it does not know
the photograph's detail. `upsample_stack` therefore reads the blur off the net's result and applies
it to the photograph. `upsample_bilinear` is the paper's way (Section IV-F), kept as the reference.
"""

import cv2
import numpy as np

from bradcn_nb.lens.by_depth import HIGHLIGHTS, render_layered
from bradcn_nb.lens.defocus import LARGEST_RADIUS, WORK_HEIGHT, matching_radius
from bradcn_nb.lens.thin_lens import finite_floats, over_white, resize

WORK_PIXELS = 2**19  # of the same, at most: a panorama has fewer rows
SHARP = (0.3, 0.6)  # net pixels: radii below the first are none, from the second on they are kept
RESIDUAL = 2.0  # deviation in net pixels of what the discs cannot explain


def upsample_bilinear(net: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring the net's bokeh (h,w,3) to `size` (height, width) by bilinear interpolation."""
    return cv2.resize(finite_floats(net), size[::-1], interpolation=cv2.INTER_LINEAR)


def upsample_stack(photo: np.ndarray, net: np.ndarray) -> np.ndarray:
    """Bring the net's bokeh (h,w,3) to the size of the photograph, both sRGB in [0,1].

    For each net pixel: which disc, applied to the photograph, looks most like the net's result
    around it? The map of radii follows the photograph's edges to full size, where the classical
    renderer applies it. What remains between the two at the net's size (brightness, colour) is
    added as a smooth correction wherever the picture is blurred. Pixels without blur are the
    photograph's, (H,W,3), or (H,W,4) with alpha: then the net has seen it laid on white.
    """
    height, width = photo.shape[:2]
    rows, columns = net.shape[:2]
    seen = over_white(finite_floats(photo))
    radius = matching_radius(seen, net)
    # Half a vote for the sharpest neighbour: an edge that is too sharp is seen less than a soft one
    radius = 0.5 * (radius + cv2.erode(radius, np.ones((3, 3), np.uint8)))
    radius = np.clip(guided_upsample(radius, seen), 0, LARGEST_RADIUS * rows)
    low, high = SHARP
    radius *= np.clip((radius - low) / (high - low), 0, 1)
    # Farther means more blurred, so that the sharp subject covers what is behind it.
    result = render_layered(photo, -radius, 0.0, height / rows, highlights=HIGHLIGHTS)
    missing = net - resize(over_white(result), (rows, columns))
    missing = cv2.GaussianBlur(missing, (0, 0), RESIDUAL)
    share = np.minimum(radius, 1)
    for channel in range(3):  # one at a time: a 12-megapixel picture takes 48 MB a channel
        result[..., channel] += share * upsample_bilinear(missing[..., channel], (height, width))
    return np.clip(result, 0, 1, out=result)


def guided_upsample(
    values: np.ndarray, photo: np.ndarray, radius: int = 6, eps: float = 1e-4
) -> np.ndarray:
    """Bring a map to the size of the photograph so that its edges follow the photograph's.

    - `values`: the map (h,w); `photo`: (H,W,3)
    - `radius`: windows have 2 radius + 1 pixels, at 256 rows or the map's own if that is more
    - `eps`: colour variance below which nothing counts as an edge

    The fast guided filter (He and Sun, 2015) with a colour guide: in each window the map is an
    affine function of the colour; the functions are averaged, enlarged and applied to the photo.
    """
    rows, columns = finite_floats(values, "a map").shape
    most = int(np.sqrt(WORK_PIXELS / (rows * columns)))
    factor = max(1, min(round(WORK_HEIGHT / rows), most))
    size = (rows * factor, columns * factor)
    guide, target = resize(finite_floats(photo), size), resize(values, size)

    def mean(picture: np.ndarray) -> np.ndarray:
        return cv2.blur(picture, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    centre, level = mean(guide), mean(target)
    with_target = mean(guide * target[..., None]) - centre * level[..., None]
    pairs = guide[..., :, None] * guide[..., None, :]
    spread = mean(pairs.reshape(*size, 9)).reshape(*size, 3, 3)
    spread = (
        spread - centre[..., :, None] * centre[..., None, :] + eps * np.eye(3, dtype=np.float32)
    )
    slope = np.linalg.solve(spread, with_target[..., None])[..., 0].astype(np.float32)
    offset = level - (slope * centre).sum(axis=2)
    full = photo.shape[:2]
    result = upsample_bilinear(mean(offset), full)
    slope = mean(slope)
    for channel in range(3):
        result += upsample_bilinear(slope[..., channel], full) * photo[..., channel]
    return result
