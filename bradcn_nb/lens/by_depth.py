"""The thin lens, the circle of confusion and the classical renderers that blur by depth.

Light is added up in linear values, so the renderers undo the sRGB curve first and apply it last. A
renderer's depth is disparity (1/z), because the blur radius of a thin lens is linear in it.
"""

import cv2
import numpy as np

from bradcn_nb.errors import DataError
from bradcn_nb.lens.thin_lens import Camera, blur_scale, linear_to_srgb, srgb_to_linear

FLAT_PX = 0.5  # a disc of half a pixel's radius or less is one pixel: such pixels are in focus
WORK_RADIUS = 8.0  # discs larger than this are blurred in a smaller picture, at this radius
FILL_SHRINK = 4  # hidden areas are filled in at this fraction of a layer's size


def disc_kernel(radius_px: float) -> np.ndarray:
    """A uniform disc with an anti-aliased rim, (2k+1, 2k+1) float32 with sum 1; radius in pixels."""
    reach = int(np.ceil(max(radius_px - 0.5, 0)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius_px + 0.5 - np.hypot(y, x), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


def gather_blur(image_srgb: np.ndarray, radius_px: np.ndarray) -> np.ndarray:
    """The naive renderer: every pixel averages a disc of its own radius, whatever lies there.

    Takes (H,W,3) sRGB in [0,1] and (H,W) radii in pixels, returns (H,W,3) sRGB. It is the one that
    fails: a sharp subject leaks into the blurred background around it, and a blurred foreground
    keeps a hard edge. Cost grows with the square of the largest radius: small pictures only.
    """
    linear = srgb_to_linear(np.asarray(image_srgb, np.float32))
    height, width = radius_px.shape
    reach = int(np.ceil(max(float(radius_px.max()) - 0.5, 0)))
    padded = np.pad(linear, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(linear)
    weight = np.zeros((height, width, 1), np.float32)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            inside = np.clip(radius_px + 0.5 - np.hypot(dy, dx), 0, 1).astype(np.float32)[..., None]
            shifted = padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
            total += inside * shifted
            weight += inside
    return np.clip(linear_to_srgb(total / weight), 0, 1)


def render_layered(
    image_srgb: np.ndarray,
    disparity: np.ndarray,
    focus_disparity: float,
    radius_px_per_disparity: float,
    layers: int = 16,
    highlights: float = 0.0,
) -> np.ndarray:
    """The good classical renderer: disparity layers, each blurred by its own disc, far to near.

    Takes (H,W,3) sRGB in [0,1], (H,W) disparity in 1/m, the disparity in focus, and the disc's
    radius in pixels for a disparity one 1/m away from it; returns (H,W,3) float32 sRGB. `layers`
    bounds the layers on each side of the focus. `highlights` > 0 lets bright light weigh up to
    1 + highlights times more in the averages, because a lamp that the photograph clipped is too dark
    to make a bright disc; flat areas keep their brightness. Every layer carries premultiplied colour and coverage; where nearer things hide
    it, it is continued by normalised blur. So a sharp subject never leaks outwards and a blurred
    foreground spreads over the focus. Pixels in focus come out exactly as they went in.
    """
    photo = np.ascontiguousarray(image_srgb, dtype=np.float32)
    signed = (np.asarray(disparity, np.float32) - np.float32(focus_disparity)) * np.float32(
        radius_px_per_disparity
    )
    size = np.abs(signed)
    flattened = np.clip((size - FLAT_PX) / (1 - FLAT_PX), 0, 1)
    signed *= np.where(size < 1, flattened, 1)
    far, near = (_radii(float(max(side, 0)), layers) for side in (-signed.min(), signed.max()))
    # np.unique sorts: the farthest layer first. The focus is always a layer of its own.
    nodes = np.unique(np.concatenate([-far, [0.0], near])).astype(np.float32)

    light = _linear(photo)
    if highlights > 0:
        _expand_highlights(light, highlights)
    colour = np.zeros_like(light)
    cover = np.zeros(signed.shape, np.float32)
    sharp = np.zeros(signed.shape, bool)
    for index, node in enumerate(nodes):
        before = nodes[index - 1] if index else None
        after = nodes[index + 1] if index + 1 < len(nodes) else None
        placed = _blurred_layer(light, signed, before, node, after, float(nodes[-1]))
        if placed is None:
            continue
        box, rgba = placed
        through = 1 - rgba[..., 3]
        colour[box] = rgba[..., :3] + through[..., None] * colour[box]
        cover[box] = rgba[..., 3] + through * cover[box]
        if node == 0:
            sharp[box] = rgba[..., 3] >= 1
        elif node > 0:
            sharp[box] &= rgba[..., 3] < 1 / 1024
    colour /= np.maximum(cover, 1e-6)[..., None]
    if highlights > 0:
        _expand_highlights(colour, highlights, inverse=True)
    result = _srgb(colour)
    result[sharp] = photo[sharp]
    return result


def _radii(largest: float, layers: int) -> np.ndarray:
    """Radii of the layers on one side: half a pixel apart near the focus, wider with the blur."""
    if largest <= 0:
        return np.zeros(0)
    count = int(np.clip(np.ceil(2 + 2 * np.sqrt(largest)), 1, layers))
    return largest * (np.arange(1, count + 1) / count) ** 1.5


def _linear(srgb: np.ndarray) -> np.ndarray:
    """`srgb_to_linear` in strips, so that its temporaries stay small beside a 12-megapixel photo."""
    out = np.empty_like(srgb)
    for top in range(0, len(srgb), 256):
        out[top : top + 256] = srgb_to_linear(srgb[top : top + 256])
    return out


def _srgb(linear: np.ndarray) -> np.ndarray:
    """`linear_to_srgb` in strips, clipped to [0,1], in place."""
    for top in range(0, len(linear), 256):
        strip = linear[top : top + 256]
        strip[:] = linear_to_srgb(np.clip(strip, 0, 1))
    return linear


def _expand_highlights(light: np.ndarray, gain: float, inverse: bool = False) -> None:
    """Brighten highlights, in place: the largest channel m becomes m (1 + gain m^4), hue kept.

    The inverse is applied after blurring, so that flat areas keep their brightness and colour.
    """
    plain = np.linspace(0, 1, 1025, dtype=np.float32)
    bright = plain * (1 + gain * plain**4)
    table = (bright, plain) if inverse else (plain, bright)
    for top in range(0, len(light), 256):
        strip = light[top : top + 256]
        peak = np.maximum(strip.max(axis=2), 1e-6)
        strip *= (np.interp(peak, *table) / peak).astype(np.float32)[..., None]


def _blurred_layer(
    light: np.ndarray,
    signed: np.ndarray,
    before: np.float32 | None,
    node: np.float32,
    after: np.float32 | None,
    nearest: float,
) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """One layer's box and its blurred premultiplied colour and coverage, or None if it is empty.

    Coverage rises from the layer behind to this one and stays 1 up to the next one, which is drawn
    over it with the rest: two neighbours together are always opaque, so no seam shows between them.
    """
    lower = -np.inf if before is None else before
    upper = np.inf if after is None else after
    member = (signed > lower) & (signed < upper)
    radius = abs(float(node))
    # A hidden part is needed as far inwards as the most blurred foreground lets through.
    box = _bounding_box(member, int(np.ceil(max(radius, nearest))) + 2)
    if box is None:
        return None
    depth = signed[box]
    alpha = (
        np.ones_like(depth) if before is None else np.clip((depth - lower) / (node - lower), 0, 1)
    )
    known = depth < upper
    alpha *= known
    rgba = np.concatenate([light[box] * alpha[..., None], alpha[..., None]], axis=2)
    height, width = alpha.shape
    scale = min(1.0, WORK_RADIUS / radius) if radius > 0 else 1.0
    known = known.astype(np.float32)
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        rgba = cv2.resize(rgba, small, interpolation=cv2.INTER_AREA)
        known = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    if known.min() < 1:
        rgba += (1 - known)[..., None] * _continued(rgba, known)
    if radius > 0:
        kernel = disc_kernel(radius * scale)
        rgba = cv2.filter2D(rgba, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    if scale < 1:
        rgba = cv2.resize(rgba, (width, height), interpolation=cv2.INTER_LINEAR)
    np.clip(rgba[..., 3], 0, 1, out=rgba[..., 3])  # the filter's rounding
    return box, rgba


def _bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    """The mask's bounding box grown by a margin within the picture, or None if the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return (
        slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
        slice(max(0, columns[0] - margin), columns[-1] + 1 + margin),
    )


def _continued(rgba: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Smooth continuation of a layer into its hidden part, by normalised blur on a pyramid.

    Takes the layer (h,w,4) already multiplied by `known` (h,w) in [0,1]. Each level averages what
    is known over twice the distance; coarse levels fill only where finer ones know nothing. Colours
    are averaged as square roots, or one lamp would light up everything that is hidden near it.
    """
    height, width = known.shape
    shape = (max(1, width // FILL_SHRINK), max(1, height // FILL_SHRINK))
    values = cv2.resize(rgba, shape, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(known, shape, interpolation=cv2.INTER_AREA)
    values[..., :3] = np.sqrt(values[..., :3] * values[..., 3:])
    levels = []
    while True:
        levels.append((values, weight))
        if max(weight.shape) == 1:
            break
        half = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
        values = cv2.resize(values, half, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA).reshape(half[::-1])
    filled = np.zeros((1, 1, 4), np.float32)
    for values, weight in reversed(levels):
        coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.clip(weight * 16, 0, 1)[..., None]  # a sixteenth known is enough to go by
        filled = share * values / np.maximum(weight, 1e-6)[..., None] + (1 - share) * coarse
    filled[..., :3] = filled[..., :3] ** 2 / np.maximum(filled[..., 3:], 1e-6)
    return cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)


LARGEST_DISC = 0.15  # radius in short sides; more is no picture any more, only slow


NEAREST_M = 0.35  # metres; a 50 mm lens focuses no nearer


FOCUS_WINDOW = 0.01  # half the side of the square that is focused on, in short sides


def render_lens(
    photo: np.ndarray,
    depth_m: np.ndarray,
    focus: tuple[float, float] | None = None,
    aperture: float = 1.8,
) -> np.ndarray:
    """Bokeh by depth (H,W) in metres for a photograph (H,W,3) sRGB in [0,1]; same shape and range.

    The lens is EBB!'s 50 mm before a sensor whose short side is the photograph's; `focus` (x, y) in
    pixels, default `default_focus`. Raises DataError when the focus is too near for a lens.
    """
    side = min(depth_m.shape)
    focus_m = default_focus(depth_m) if focus is None else _depth_at(depth_m, focus, side)
    camera = Camera(f_number=aperture)
    if focus_m <= 2 * camera.focal_mm / 1000:
        raise DataError(
            f"depth at the focus is {focus_m:.3f} m, too near for a lens; "
            "give metres (.npy) or millimetres (.png)"
        )
    scale = blur_scale(focus_m, camera) * side
    reach = LARGEST_DISC * side / scale
    disparity = np.clip(1 / depth_m, 1 / focus_m - reach, 1 / focus_m + reach)
    return render_layered(photo, disparity, 1 / focus_m, scale, highlights=HIGHLIGHTS)


def default_focus(depth_m: np.ndarray) -> float:
    """Where to focus when nobody says, in metres: the nearer part of the middle.

    That is the 30th percentile of the depth (H,W) in the central half of the picture's height and
    width: a subject that fills a third of it is met, a twig before it is not.
    """
    height, width = depth_m.shape
    middle = depth_m[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(np.percentile(middle, 30))


def _depth_at(depth_m: np.ndarray, focus: tuple[float, float], side: int) -> float:
    """The median depth in a small square around a pixel, so that one odd pixel does not decide."""
    x, y = int(focus[0]), int(focus[1])
    half = round(FOCUS_WINDOW * side)
    square = depth_m[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
    return float(np.median(square))


HIGHLIGHTS = (
    2.0  # see render_layered: net and scene know lamps brighter than the photograph's white
)
