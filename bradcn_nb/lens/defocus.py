"""How strongly each place of a picture is blurred: read off a pair, and drawn.

A pair of one view, sharp and with bokeh, tells the radius of the disc that every place was blurred
with: of all discs, the one that makes the sharp picture look like the other. Nobody has to know
depth, focus or lens for that. `upsample` reads a net's own result so; `defocus_map` makes labels.
"""

import cv2
import numpy as np

from bradcn_nb.errors import SizeError
from bradcn_nb.lens.by_depth import HIGHLIGHTS, disc_kernel, render_layered
from bradcn_nb.lens.thin_lens import finite_floats, linear_to_srgb, resize, srgb_to_linear

LARGEST_RADIUS = 0.09  # of a disc that is looked for, in image heights
WORK_HEIGHT = 256  # rows of the picture on which discs are compared and radii are refined
WINDOW = 1.5  # deviation in net pixels of the window in which pictures are compared
MAP_HEIGHT = 64  # rows at which a pair's discs are read off
NEARLY, NOISE = 2.0, 1e-5  # a disc whose cost is below NEARLY * the best one's + NOISE fits, too
AMBIGUOUS = 1 / 3  # share of all discs that may fit where a radius is called known


def matching_radius(photo: np.ndarray, net: np.ndarray) -> np.ndarray:
    """Return for each pixel of `net` the radius of the disc that makes `photo` look like it there.

    `photo` (H, W, 3) is sharp, `net` (h, w, 3) its bokeh, both sRGB in [0, 1]; radii (h, w) in
    pixels of `net`.
    """
    radii, costs = _costs(photo, net)
    return _best(radii, costs)


def defocus_map(
    sharp: np.ndarray, blurred: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return how strongly each place of a pair is blurred, where it says so.

    * `sharp`, `blurred`: (H, W, 3) sRGB in [0, 1], of one view. How much
      brighter one of them is as a whole, in linear light, is taken out first.
    * Returns the radius of the discs in % of the picture's height, (h, w)
      with h at most `MAP_HEIGHT`, and a mask (h, w): False where many discs
      explain the pair alike, as on a plain wall.

    Raises SizeError unless both have one shape. Source: ours (ledger id
    "pairs-defocus").
    """
    if sharp.shape != blurred.shape:
        sizes = f"{sharp.shape} and {blurred.shape}"
        raise SizeError(f"a pair of {sizes}: bring both to one size")
    rows = min(MAP_HEIGHT, sharp.shape[0])
    size = (rows, max(1, round(rows * sharp.shape[1] / sharp.shape[0])))
    light, seen = (srgb_to_linear(finite_floats(x)) for x in (sharp, blurred))
    gain = seen.mean() / max(float(light.mean()), 1e-6)
    exposed = linear_to_srgb(np.clip(light * gain, 0, 1))
    radii, costs = _costs(exposed, resize(blurred, size))
    fits = costs < NEARLY * costs.min(axis=0) + NOISE
    return _best(radii, costs) * (100 / rows), fits.mean(axis=0) <= AMBIGUOUS


def draw_defocus(photo: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return `photo` (H, W, 3) sRGB in [0, 1] blurred by discs of `radius` (H, W), in % of H.

    What is blurred more counts as farther, so that the sharp subject covers what is behind it.
    """
    return render_layered(photo, -radius, 0.0, photo.shape[0] / 100, highlights=HIGHLIGHTS)


def _costs(photo: np.ndarray, net: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The radii tried, in net pixels, and how unlike `net` each leaves the photo, (n, h, w)."""
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
    return radii, costs


def _best(radii: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The radius of the least cost, between two that were tried: (h, w)."""
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
