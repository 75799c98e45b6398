"""The layers of `render_layered`: where they lie, what each shows, and pictures as light."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import linear_to_srgb, srgb_to_linear

FILL_SHRINK = 4  # hidden areas are filled in at this fraction of a layer's size
LAMP = 0.5  # linear light above which a disc's rim is seen
LAMP_RADIUS = 8.0  # pixels; with smaller discs layers are too close for two rims to be seen
STRIP = 256  # rows at a time, so that temporaries stay small beside a 12-megapixel photograph


def layer_radii(signed: np.ndarray, light: np.ndarray, count: int) -> np.ndarray:
    """The layers' radii in pixels, far (negative) to near, at most `count` on each side of 0.

    Takes the signed radii (H,W) of the pixels and planes of light (C,H,W). On each side layers are
    half a pixel apart near the focus, and wider with the blur. Where discs are large, a layer moves
    to the depth of what is bright there: between two layers a lamp would be two discs.
    """
    far, near = (_one_side(float(max(side, 0)), count) for side in (-signed.min(), signed.max()))
    radii = np.concatenate([-far[::-1], [0.0], near]).astype(np.float32)
    peak = light[:3].max(axis=0)
    lamps = (peak > LAMP) & (np.abs(signed) > LAMP_RADIUS)
    order = np.argsort(signed[lamps])
    where = signed[lamps][order]
    flux = np.cumsum(peak[lamps][order] - LAMP, dtype=np.float64)
    cells = np.searchsorted(where, (radii[1:] + radii[:-1]) / 2)
    for index, (first, last) in enumerate(zip(cells[:-1], cells[1:], strict=True), start=1):
        if first < last:  # the median of the light
            before = flux[first - 1] if first else 0
            radii[index] = where[np.searchsorted(flux, (before + flux[last - 1]) / 2)]
    return radii


def _one_side(largest: float, most: int) -> np.ndarray:
    """Radii of the layers of one side, smallest first."""
    if largest <= 0:
        return np.zeros(0)
    count = int(np.clip(np.ceil(2 + 2 * np.sqrt(largest)), 1, most))
    return largest * (np.arange(1, count + 1) / count) ** 1.5


def to_light(photo: np.ndarray, highlights: float) -> np.ndarray:
    """Planes (3,H,W) of linear light; with alpha (4,H,W), the light multiplied by it."""
    light = np.empty((photo.shape[2], *photo.shape[:2]), np.float32)
    for top in range(0, len(photo), STRIP):
        strip = light[:, top : top + STRIP]
        strip[:] = photo[top : top + STRIP].transpose(2, 0, 1)
        strip[:3] = srgb_to_linear(strip[:3])
        _expand_highlights(strip[:3], highlights)
        if len(light) == 4:
            strip[:3] *= strip[3]
    return light


def to_photo(light: np.ndarray, highlights: float) -> np.ndarray:
    """The inverse of `to_light`, clipped to [0,1]; `light` is used up."""
    photo = np.empty((*light.shape[1:], len(light)), np.float32)
    for top in range(0, len(photo), STRIP):
        strip = light[:, top : top + STRIP]
        if len(light) == 4:
            strip[:3] /= np.maximum(strip[3], 1e-5)
        _expand_highlights(strip[:3], highlights, inverse=True)
        np.clip(strip, 0, 1, out=strip)
        strip[:3] = linear_to_srgb(strip[:3])
        photo[top : top + STRIP] = strip.transpose(1, 2, 0)
    return photo


def _expand_highlights(light: np.ndarray, gain: float, inverse: bool = False) -> None:
    """Brighten highlights (3,h,w), in place: the largest channel m becomes m (1 + gain m^4).

    Hue is kept. The inverse is applied after blurring, so that flat areas keep their brightness.
    """
    if gain <= 0:
        return
    plain = np.linspace(0, 1, 1025, dtype=np.float32)
    bright = plain * (1 + gain * plain**4)
    table = (bright, plain) if inverse else (plain, bright)
    peak = np.maximum(light.max(axis=0), 1e-6)
    light *= (np.interp(peak, *table) / peak).astype(np.float32)


def bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    """The mask's bounding box grown by a margin, or None if the mask is empty."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    rows = slice(max(0, y - margin), y + height + margin)
    columns = slice(max(0, x - margin), x + width + margin)
    return (rows, columns) if width else None


def layer_planes(
    light: np.ndarray, signed: np.ndarray, before: float, node: float, after: float
) -> Iterator[np.ndarray]:
    """What one layer shows before its blur: its coverage (h,w), then each plane multiplied by it.

    - `light`: planes (C,h,w); `signed`: radii of the pixels' discs (h,w)
    - `before`, `node`, `after`: radii of the layer behind, this one and the one before it

    Coverage rises from the layer behind to this one and stays 1 up to the next, which is drawn over
    it with the rest: two neighbours together are always opaque, so no seam shows between them.
    Where nearer things hide it, it is continued. Planes come one by one, since each takes 48 MB of
    a 12-megapixel photograph.
    """
    hidden = signed >= after
    alpha = np.ones_like(signed)
    if np.isfinite(before):
        np.clip((signed - before) / (node - before), 0, 1, out=alpha)
    alpha[hidden] = 0
    filled = _continued([1, *light], alpha, hidden) if hidden.any() else None
    for index, plane in enumerate([1, *light]):
        shown = plane * alpha
        if filled is not None:
            np.copyto(shown, cv2.resize(filled[index], shown.shape[::-1]), where=hidden)
        yield shown


def _continued(planes: list, alpha: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Smooth continuation of a layer into its hidden part, by normalised blur on a pyramid.

    Takes 1 and planes (h,w) of light, which are multiplied by the coverage `alpha`, and where the
    layer is hidden; returns (1+C,h/4,w/4). Each level averages what is known over twice the
    distance; coarse levels fill only where finer ones know nothing. Colours are averaged as square
    roots, or one lamp would light up everything that is hidden near it.
    """
    height, width = alpha.shape
    size = (max(1, width // FILL_SHRINK), max(1, height // FILL_SHRINK))
    shown = _resized((plane * alpha for plane in planes), size, cv2.INTER_AREA)
    shown[1:] = np.sqrt(shown[1:] * shown[0])
    known = _resized([(~hidden).astype(np.float32)], size, cv2.INTER_AREA)
    levels = [np.concatenate([shown, known])]
    while max(size) > 1:
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        levels.append(_resized(levels[-1], size, cv2.INTER_AREA))
    filled = np.zeros((len(planes), 1, 1), np.float32)
    for *values, known in reversed(levels):
        share = np.clip(known * 16, 0, 1)  # a sixteenth known is enough to go by
        coarse = _resized(filled, known.shape[::-1], cv2.INTER_LINEAR)
        filled = share * values / np.maximum(known, 1e-6) + (1 - share) * coarse
    filled[1:] = filled[1:] ** 2 / np.maximum(filled[0], 1e-6)
    return filled


def _resized(planes: Iterable[np.ndarray], size: tuple[int, int], method: int) -> np.ndarray:
    """Planes (C,h,w) at `size` (width, height), one by one: OpenCV averages up to four at once."""
    return np.stack(
        [cv2.resize(plane, size, interpolation=method).reshape(size[::-1]) for plane in planes]
    )
