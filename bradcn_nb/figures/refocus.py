"""The click-to-refocus viewer: a picture for each focus and aperture, and the click that chooses.

It needs nothing but a browser: the pictures are JPEGs inside the page, so it works in the built
book, on Colab and in a notebook that nobody has run.
"""

from collections.abc import Sequence

import numpy as np
from IPython.display import HTML
from tqdm import tqdm

from bradcn_nb.figures.page import data_uri, document, page
from bradcn_nb.lens.by_depth import default_focus, render_focused, render_layered
from bradcn_nb.lens.thin_lens import Camera, blur_scale, resize

CELLS = 64  # the click map is this many cells wide
FOCI, F_NUMBERS = 8, (1.8, 2.8, 5.6, 16.0)  # of a page of its own
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"  # one a focus, in the click map


def refocus_stack(
    image: np.ndarray,
    disparity: np.ndarray,
    focus_m: Sequence[float],
    f_numbers: Sequence[float],
    camera: Camera | None = None,
) -> list[list[np.ndarray]]:
    """Render one picture for each focus and aperture with the classical renderer.

    - `image`: sharp, (H,W,3) sRGB in [0,1];
    - `disparity`: (H,W) in 1/m;
    - `focus_m`, `f_numbers`: distances in metres, apertures;
    - `camera`: gives focal length and sensor; default EBB!'s.

    Returns a list over `focus_m` of lists over `f_numbers` of (H,W,3) sRGB. Raises ValueError for a
    focus that is not beyond the focal length.
    """
    camera = camera or Camera()
    stack = []
    for focus in focus_m:
        row = []
        for f_number in f_numbers:
            lens = Camera(camera.focal_mm, f_number, camera.sensor_height_mm)
            radius = blur_scale(focus, lens) * image.shape[0]
            row.append(render_layered(image, disparity, 1 / focus, radius))
        stack.append(row)
    return stack


def refocus_viewer(
    stack: Sequence[Sequence[np.ndarray]],
    disparity: np.ndarray,
    focus_m: Sequence[float],
    f_numbers: Sequence[float],
    *,
    description: str,
    start: int = 0,
    quality: int = 85,
) -> HTML:
    """Show a picture that refocuses where the reader clicks; a slider sets the aperture.

    - `stack[i][j]`: (H,W,3) sRGB in [0,1], focused at `focus_m[i]` metres at f-number
      `f_numbers[j]`, from `refocus_stack` or a lens renderer;
    - `disparity`: (H,W) in 1/m, finds the focus nearest to what is clicked;
    - `description`: what the picture shows, for readers who do not see it;
    - `start`: index of the focus that it opens at, with the first aperture;
    - `quality`: of the JPEGs.

    All can be done by keyboard: arrow keys on the picture, and two sliders. Raises ValueError when
    the sizes do not fit together or `focus_m` exceeds 36 entries.
    """
    if not 1 <= len(focus_m) <= len(DIGITS) or len(stack) != len(focus_m):
        raise ValueError(f"{len(stack)} rows of pictures for {len(focus_m)} focus distances")
    if not f_numbers or any(len(row) != len(f_numbers) for row in stack):
        raise ValueError(f"every focus needs one picture for each of {len(f_numbers)} apertures")
    height, width = disparity.shape
    if any(picture.shape != (height, width, 3) for row in stack for picture in row):
        raise ValueError(f"every picture must be {(height, width, 3)}, as the disparity is")
    data = {
        "focus": [_distance(metres) for metres in focus_m],
        "aperture": [f"f/{number:g}" for number in f_numbers],
        "pictures": [[data_uri(picture, quality=quality) for picture in row] for row in stack],
        "map": _click_map(disparity, focus_m),
    }
    return page(
        "refocus",
        data,
        first=data["pictures"][start][0],
        description=description,
        width=width,
        height=height,
        last_focus=len(focus_m) - 1,
        last_aperture=len(f_numbers) - 1,
        start=start,
        focus=data["focus"][start],
        aperture=data["aperture"][0],
    )


def _distance(metres: float) -> str:
    return (
        "infinity" if np.isinf(metres) else f"{metres:.2g} m" if metres < 10 else f"{metres:.0f} m"
    )


def _click_map(disparity: np.ndarray, focus_m: Sequence[float]) -> list[str]:
    """Rows of digits: the focus whose disparity is nearest to that of each cell of the picture."""
    height, width = disparity.shape
    rows, columns = max(1, round(height * min(1, CELLS / width))), min(CELLS, width)
    y = (np.arange(rows) + 0.5) * height / rows
    x = (np.arange(columns) + 0.5) * width / columns
    cells = disparity[np.ix_(y.astype(int), x.astype(int))]
    nearest = np.abs(cells[..., None] - 1 / np.asarray(focus_m, float)).argmin(axis=-1)
    return ["".join(DIGITS[index] for index in row) for row in nearest]


def refocus_page(
    photo: np.ndarray, depth_m: np.ndarray, title: str, *, width: int = 1200, progress: bool = True
) -> str:
    """Return a web page of its own, in which a photograph refocuses where it is clicked.

    - `photo`: (H,W,3) sRGB in [0,1]; `depth_m`: (H,W) in metres
    - `title`: of the page, any text
    - `width`: of the pictures in the page, in pixels; a smaller photograph keeps its own

    All is inside the page: `FOCI` distances by `F_NUMBERS`, a few MB. It opens at `default_focus`.
    """
    scale = min(1, width / photo.shape[1])
    size = [max(1, round(side * scale)) for side in photo.shape[:2]]
    small, disparity = resize(photo, size), resize(1 / depth_m, size)
    low, high = np.percentile(disparity, (2, 98))
    opened = default_focus(1 / disparity)
    foci = sorted({*(1 / np.linspace(max(high, 1e-3), max(low, 1e-3), FOCI)), opened})
    shown = tqdm(foci, desc="refocus", unit="focus", disable=not progress)
    stack = [[render_focused(small, 1 / disparity, m, n) for n in F_NUMBERS] for m in shown]
    viewer = refocus_viewer(
        stack, disparity, foci, F_NUMBERS, description=title, start=foci.index(opened)
    )
    return document(title, viewer)
