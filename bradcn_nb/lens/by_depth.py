"""The classical renderers that blur by depth, and the lens through which a photograph is drawn.

Light is added up in linear values, so the renderers undo the sRGB curve first and apply it last. A
renderer's depth is disparity (1/z), because the blur radius of a thin lens is linear in it.
"""

from typing import NamedTuple

import cv2
import numpy as np

from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.lens.aperture import ROUND, Aperture, disc_kernel, spread
from bradcn_nb.lens.grain import add_grain
from bradcn_nb.lens.lamps import lamp_weights
from bradcn_nb.lens.layers import bounding_box, layer_planes, layer_radii, to_light, to_photo
from bradcn_nb.lens.thin_lens import (
    Camera,
    blur_scale,
    finite_floats,
    linear_to_srgb,
    srgb_to_linear,
)

FLAT_PX = 0.5  # a disc of half a pixel's radius or less is one pixel: such pixels are in focus
HIGHLIGHTS = 2.0  # of `render_layered`: net and scene know lamps brighter than a photograph's white
LARGEST_DISC = 0.15  # radius in short sides; more is no picture any more, only slow
MOST_HIGHLIGHTS = 1000.0  # a street lamp beside a white wall that it lights
NEAREST_M = 0.35  # metres; a 50 mm lens focuses no nearer
FOCUS_WINDOW = 0.01  # half the side of the square that is focused on, in short sides


class Look(NamedTuple):
    """What a lens does to a picture beside its blur; by default a plain round one.

    `highlights`, `shape` and `grain` are as `render_layered` has them.
    """

    highlights: float = HIGHLIGHTS
    shape: Aperture = ROUND
    grain: bool = False

    def check(self) -> None:
        """Raise BradcnError for a look that no lens has."""
        self.shape.check()
        if not 0 <= self.highlights <= MOST_HIGHLIGHTS:
            raise BradcnError(
                f"highlights {self.highlights:g}: give 0 (off) to {MOST_HIGHLIGHTS:g}"
            )


PLAIN = Look()


def blur_layer(layer: np.ndarray, radius_px: float) -> np.ndarray:
    """A layer at one depth, (H,W) or (H,W,C) float32, through a disc of `radius_px`; mirrored at
    its borders, keeps the shape."""
    disc = disc_kernel(radius_px)
    return cv2.filter2D(layer, -1, disc, borderType=cv2.BORDER_REFLECT_101)


def gather_blur(image_srgb: np.ndarray, radius_px: np.ndarray) -> np.ndarray:
    """The naive renderer: every pixel averages a disc of its own radius, whatever lies there.

    Takes (H,W,3) sRGB in [0,1] and (H,W) radii in pixels, returns (H,W,3) sRGB. It is the one that
    fails: a sharp subject leaks into the blurred background around it, and a blurred foreground
    keeps a hard edge. Cost grows with the square of the largest radius: small pictures only.
    """
    linear = srgb_to_linear(finite_floats(image_srgb).astype(np.float32))
    height, width = finite_floats(radius_px, "a map of radii").shape
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
    shape: Aperture = ROUND,
    grain: bool = False,
) -> np.ndarray:
    """The good classical renderer: disparity layers, each blurred by its own disc, far to near.

    - `image_srgb`: (H,W,3) sRGB in [0,1], or (H,W,4) with alpha, which is blurred with the colours
    - `disparity`: (H,W) in 1/m; `focus_disparity`: the one in focus
    - `radius_px_per_disparity`: radius of the disc in pixels, 1/m away from the focus
    - `layers`: bound of the layers on each side of the focus
    - `highlights`: bright light weighs up to 1 + highlights times more in the averages, because a
      lamp that the photograph clipped is too dark to make a bright disc; flat areas stay as bright.
      Above HIGHLIGHTS only clipped places weigh more, as `lamp_weights` estimates them
    - `shape`: of the aperture
    - `grain`: whether the photograph's grain is given back to what is blurred

    Returns float32 of the picture's shape. Every layer carries premultiplied colour and coverage;
    where nearer things hide it, it is continued by normalised blur: a sharp subject never leaks
    outwards, a blurred foreground spreads over the focus. Pixels in focus come out exactly as they
    went in. Raises TypeError and ValueError as `finite_floats` does.
    """
    photo = np.ascontiguousarray(finite_floats(image_srgb), dtype=np.float32)
    disparity = finite_floats(disparity, "a disparity map")
    signed = _flattened_radius(disparity, focus_disparity, radius_px_per_disparity)
    curve = min(highlights, HIGHLIGHTS)
    light = to_light(photo, curve)
    if highlights > curve:
        light[:3] *= lamp_weights(photo, curve, highlights)
    radii = layer_radii(signed, light, layers)
    total = np.zeros_like(light)
    cover = np.zeros(signed.shape, np.float32)
    sharp = np.zeros(signed.shape, bool)
    noise = np.zeros(signed.shape if grain else (1, 1), np.float32)  # share of variance left
    for before, node, after in zip([-np.inf, *radii], radii, [*radii[1:], np.inf], strict=False):
        # A hidden part is needed as far inwards as the most blurred foreground lets through.
        margin = int(np.ceil(shape.extent(max(abs(node), radii[-1])))) + 2
        box = bounding_box((signed > before) & (signed < after), margin)
        if box is None:
            continue
        planes = layer_planes(light[:, *box], signed[box], before, node, after)
        if shape == ROUND:
            planes = (blur_layer(plane, abs(float(node))) for plane in planes)
        else:
            corner = (box[0].start, box[1].start)
            planes = spread(planes, float(node), shape, corner, signed.shape)
        layer_cover = np.clip(next(planes), 0, 1)  # the filter's rounding
        through = 1 - layer_cover
        for plane, blurred in zip(total[:, *box], planes, strict=True):
            plane *= through
            plane += blurred
        if grain:
            noise[box] *= through**2
            noise[box] += layer_cover / max(1, np.pi * float(node) ** 2)
        cover[box] = layer_cover + through * cover[box]
        if node == 0:
            sharp[box] = layer_cover >= 1
        elif node > 0:
            sharp[box] &= layer_cover < 1 / 1024
    total /= np.maximum(cover, 1e-6)
    result = to_photo(total, curve)
    if grain:
        add_grain(result, photo, noise / np.maximum(cover, 1e-6) ** 2)
    np.copyto(result, photo, where=sharp[..., None])
    return result


def _flattened_radius(disparity: np.ndarray, focus: float, scale: float) -> np.ndarray:
    """Radius of each pixel's disc in pixels, positive before the focus; small ones become 0."""
    signed = (disparity.astype(np.float32) - np.float32(focus)) * np.float32(scale)
    size = np.abs(signed)
    flattened = np.clip((size - FLAT_PX) / (1 - FLAT_PX), 0, 1)
    signed *= np.where(size < 1, flattened, 1)
    return signed


def render_lens(
    photo: np.ndarray,
    depth_m: np.ndarray,
    focus: tuple[float, float] | None = None,
    aperture: float = 1.8,
    look: Look = PLAIN,
) -> np.ndarray:
    """Bokeh by depth through EBB!'s 50 mm lens, before a sensor as high as the short side.

    - `photo`: (H,W,3) sRGB in [0,1], or (H,W,4) with alpha
    - `depth_m`: (H,W) in metres
    - `focus`: (x, y) in pixels; what lies there is sharp, by default what `default_focus` finds
    - `aperture`: f-number
    - `look`: of what is blurred

    Returns the photograph's shape and range. Raises DataError when the focus is too near.
    """
    half = round(FOCUS_WINDOW * min(depth_m.shape))
    focus_m = default_focus(depth_m) if focus is None else depth_at(depth_m, focus, half)
    return render_focused(photo, depth_m, focus_m, aperture, look)


def render_focused(
    photo: np.ndarray,
    depth_m: np.ndarray,
    focus_m: float,
    aperture: float = 1.8,
    look: Look = PLAIN,
) -> np.ndarray:
    """As `render_lens`, where what is sharp is given by its distance `focus_m` in metres."""
    radius = signed_radius(depth_m, focus_m, focus_m, Camera(f_number=aperture))
    return render_layered(photo, radius, 0.0, 1.0, **look._asdict())


def signed_radius(depth_m: np.ndarray, near_m: float, far_m: float, camera: Camera) -> np.ndarray:
    """Radius of each pixel's disc in pixels, positive before `near_m`, negative beyond `far_m`.

    Between the two, in metres, all is sharp; on either side the blur grows as that of a lens
    focused on that end. The camera's sensor is as high as the short side of the depth (H,W) in
    metres. No disc is wider than `LARGEST_DISC`. `render_layered` draws the result with focus 0 and
    scale 1. Raises DataError when `near_m` is too near.
    """
    if near_m <= 2 * camera.focal_mm / 1000:
        raise DataError(
            f"depth at the focus is {near_m:.3f} m, too near for a {camera.focal_mm:g} mm lens; "
            "give metres (.npy) or millimetres (.png)"
        )
    side = min(depth_m.shape)
    before, beyond = (blur_scale(end, camera) * side for end in (near_m, far_m))
    disparity = (1 / depth_m).astype(np.float32, copy=False)
    radius = np.maximum(disparity - np.float32(1 / near_m), 0) * np.float32(before)
    radius += np.minimum(disparity - np.float32(1 / far_m), 0) * np.float32(beyond)
    return np.clip(radius, -LARGEST_DISC * side, LARGEST_DISC * side, out=radius)


def default_focus(depth_m: np.ndarray) -> float:
    """Where to focus when nobody says, in metres: the nearer part of the middle.

    That is the 30th percentile of the depth (H,W) in the central half of the picture's height and
    width: a subject that fills a third of it is met, a twig before it is not.
    """
    height, width = depth_m.shape
    middle = depth_m[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(np.percentile(middle, 30))


def depth_at(depth_m: np.ndarray, place: tuple[float, float], half: int) -> float:
    """The median depth in a square around a pixel (x, y), so that one odd pixel does not decide.

    `half` is half its side in pixels.
    """
    x, y = int(place[0]), int(place[1])
    square = depth_m[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
    return float(np.median(square))
