"""From the net's small bokeh to the photograph's own size, without costing the subject its pixels.

A net that works on 96x64 or 768x512 pixels knows where and how strongly to blur; it does not know
the photograph's detail. `upsample_stack` therefore reads the blur off the net's result and applies
it to the photograph. `upsample_bilinear` is the paper's way (Section IV-F), kept as the reference.
"""

import cv2
import numpy as np

from bradcn_nb.lens.by_depth import HIGHLIGHTS, disc_kernel, render_layered
from bradcn_nb.lens.thin_lens import finite_floats, linear_to_srgb, over_white, srgb_to_linear

LARGEST_RADIUS = 0.09  # of a disc that is looked for, in image heights
WORK_HEIGHT = 256  # rows of the picture on which discs are compared and radii are refined
WORK_PIXELS = 2**19  # of the same, at most: a panorama has fewer rows
WINDOW = 1.5  # deviation in net pixels of the window in which pictures are compared
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
    radius = _matching_radius(seen, net)
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


def _matching_radius(photo: np.ndarray, net: np.ndarray) -> np.ndarray:
    """For each net pixel the radius, in net pixels, of the disc that makes the photo like net's."""
    rows, columns = net.shape[:2]
    factor = int(np.clip(round(WORK_HEIGHT / rows), 1, 4))
    sharp = resize(photo, (rows * factor, columns * factor))
    light = srgb_to_linear(sharp)
    radii = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    while radii[-1] < LARGEST_RADIUS * rows:
        radii = np.append(radii, radii[-1] * 4 / 3)
    costs = np.empty((len(radii), rows, columns), np.float32)
    for index, radius in enumerate(radii):
        disc = disc_kernel(radius * factor)
        blurred = linear_to_srgb(cv2.filter2D(light, -1, disc, borderType=cv2.BORDER_REFLECT_101))
        difference = ((resize(blurred, (rows, columns)) - net) ** 2).mean(axis=2)
        costs[index] = cv2.GaussianBlur(difference, (0, 0), WINDOW)
    costs += 1e-6 * np.arange(len(radii), dtype=np.float32)[:, None, None]  # a tie means no blur
    best = costs.argmin(axis=0)
    # The minimum of the parabola through the best radius and its two neighbours.
    inner = np.clip(best, 1, len(radii) - 2)
    below, at, above = (
        np.take_along_axis(costs, (inner + step)[None], axis=0)[0] for step in (-1, 0, 1)
    )
    shift = np.clip((below - above) / (2 * (below - 2 * at + above) + 1e-12), -0.5, 0.5)
    place = np.where(best == inner, inner + shift, best)
    radius = np.interp(place, np.arange(len(radii)), radii).astype(np.float32)
    return cv2.medianBlur(radius, 5)


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture or map at `size` (height, width): by area averages, or bilinear if it grows."""
    smaller = size[0] < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(picture, size[::-1], interpolation=method)
