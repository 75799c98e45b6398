"""Figures of the book in one style: rows of pictures and maps, and the package's own source."""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from IPython.display import Markdown, display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.5  # inches; with the resolution below, the width of a page of the book
INK = "#1b1b1b"
# Colours that stay apart for colour-blind readers (Okabe and Ito 2008), darkest first.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
STYLE = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d9d9d9",
    "axes.axisbelow": True,
    "lines.linewidth": 2,
    "image.cmap": "viridis",
    "axes.prop_cycle": plt.cycler(color=COLOURS),
}


def use_style() -> None:
    """Give the figures that a chapter draws by itself the style of `grid`."""
    plt.rcParams.update(STYLE)


def grid(
    images: Iterable,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    *,
    unit: str | Sequence[str] = "",
    limits: tuple[float, float] | Sequence[tuple[float, float] | None] | None = None,
    colourbar: bool = True,
    cmap: str | None = None,
    width: float = WIDTH,
) -> Figure:
    """Show pictures and maps side by side; small ones are enlarged pixel by pixel.

    - `images`: pictures (3,H,W) or (H,W,3) in [0,1] or uint8, and maps (H,W) or (1,H,W) such as
      depth, as tensors or arrays; a batch (N,C,H,W) is a list of its members;
    - `columns`: default one row of up to four;
    - `unit`: of the maps, beside their scale; maps of one unit share a scale, so that equal colours
      mean equal values. One for all images, or a list;
    - `limits`: lowest and highest value of the maps instead; one pair for all images, or a list;
    - `colourbar`: whether maps have a scale; `cmap`: their colours. What is not finite is grey;
    - `width`: in inches.

    Returns a closed Figure: as the last line of a cell it is shown once. Raises ValueError for
    shapes that are neither, for lists of the wrong length and for no images at all.
    """
    arrays = [_as_array(image) for image in images]
    if not arrays:
        raise ValueError("grid needs at least one image")
    units = [unit] * len(arrays) if isinstance(unit, str) else list(unit)
    ranges = _each(limits, len(arrays))
    for name, given in (("titles", titles), ("unit", units), ("limits", ranges)):
        if given is not None and len(given) != len(arrays):
            raise ValueError(f"{len(given)} {name} for {len(arrays)} images")
    columns = min(columns or 4, len(arrays))
    rows = math.ceil(len(arrays) / columns)
    shape = max(array.shape[0] / array.shape[1] for array in arrays)
    panel = width / columns
    bars = colourbar and any(array.ndim == 2 for array in arrays)
    height = rows * (shape * panel * (0.82 if bars else 0.97) + (0.3 if titles else 0.05))
    shared = _shared_limits(arrays, units)
    # Outside of the style's context: the first figure switches a notebook's pictures on, for good.
    figure = plt.figure(
        figsize=(width, height),
        dpi=STYLE["figure.dpi"],
        facecolor=STYLE["figure.facecolor"],
        layout="constrained",
    )
    with plt.rc_context(STYLE):
        axes = figure.subplots(rows, columns, squeeze=False)
        for number, axis in enumerate(axes.flat):
            axis.axis("off")
            if number >= len(arrays):
                continue
            array = arrays[number]
            low, high = ranges[number] or shared.get(units[number], (0, 1))
            mapped = _imshow(axis, array, low, high, cmap, panel * STYLE["figure.dpi"])
            if titles:
                axis.set_title(titles[number])
            if bars and array.ndim == 2:
                bar = figure.colorbar(mapped, ax=axis, fraction=0.05, pad=0.03, aspect=15)
                bar.set_label(units[number])
                bar.outline.set_visible(False)
    plt.close(figure)  # or a notebook would show it twice: open, and as the cell's value
    return figure


def show(obj: Callable | type) -> None:
    """Display the source of a function or class of the package, highlighted, under its full name.

    Raises TypeError or OSError (from `inspect`) for what has no Python source.
    """
    source = inspect.getsource(inspect.unwrap(obj)).rstrip()
    display(Markdown(f"`{obj.__module__}.{obj.__qualname__}`\n\n````python\n{source}\n````"))


def _as_array(image: object) -> np.ndarray:
    """(H,W,3) for a picture, (H,W) for a map, whichever way its channels came."""
    if hasattr(image, "detach"):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    elif array.ndim == 3 and array.shape[2] not in (1, 3):
        raise ValueError(f"neither a picture nor a map: shape {array.shape}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"neither a picture nor a map: shape {array.shape}")
    if array.ndim == 3:
        return array if array.dtype == np.uint8 else np.clip(array.astype(np.float32), 0, 1)
    return array.astype(np.float64)


def _each(limits: object, count: int) -> list:
    """One entry an image for limits that may be given once for all of them."""
    if limits is None:
        return [None] * count
    if len(limits) == 2 and all(isinstance(value, (int, float)) for value in limits):
        return [limits] * count
    return list(limits)


def _shared_limits(arrays: list[np.ndarray], units: list[str]) -> dict[str, tuple[float, float]]:
    """The lowest and highest finite value of all maps of each unit."""
    limits: dict[str, tuple[float, float]] = {}
    for array, unit in zip(arrays, units, strict=True):
        if array.ndim == 2 and np.isfinite(array).any():
            finite = array[np.isfinite(array)]
            low, high = limits.get(unit, (np.inf, -np.inf))
            limits[unit] = (min(low, float(finite.min())), max(high, float(finite.max())))
    return limits


def _imshow(
    axis: Axes, array: np.ndarray, low: float, high: float, cmap: str | None, panel_px: float
) -> object:
    """Show one picture or map; pixels stay squares where there are fewer than on the page."""
    interpolation = "nearest" if array.shape[1] <= panel_px else "antialiased"
    if array.ndim == 3:
        return axis.imshow(array, interpolation=interpolation)
    colours = plt.get_cmap(cmap or STYLE["image.cmap"]).with_extremes(bad="#9e9e9e")
    masked = np.ma.masked_invalid(array)
    return axis.imshow(masked, vmin=low, vmax=high, cmap=colours, interpolation=interpolation)
