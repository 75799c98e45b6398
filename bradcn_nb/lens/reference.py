"""The reference lens renderer: planar layers, seen through every point of an aperture, averaged.

A slanted plane is linear in inverse depth, and so is the shift that a lens sample gives to it: one
affine warp per layer and sample. The layers are composited back to front in linear light for each
sample and the samples are averaged, so occlusion at the edges is that of a real lens.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import Camera, blur_scale, finite_floats

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class Layer:
    """A planar piece of the scene, drawn as the pinhole camera sees it.

    - `rgba`: (h, w, 4) float32, linear light, premultiplied by its alpha
    - `origin`: the frame pixel (x, y) of its top left pixel; it may lie outside the frame
    - `inverse_depth`: (a, b, c) with 1/z = a*x + b*y + c in 1/m, at (x, y) in image heights from
      the frame's centre
    - `decal`: colours what lies behind without hiding its depth, as a shadow does

    Raises TypeError and ValueError for an `rgba` that `finite_floats` refuses.
    """

    rgba: np.ndarray
    origin: tuple[int, int]
    inverse_depth: np.ndarray
    decal: bool = False

    def __post_init__(self) -> None:
        finite_floats(self.rgba, "a layer")

    def plane_in_pixels(self, height: int, width: int) -> np.ndarray:
        """Return (a, b, c) of `inverse_depth` for frame pixel indices instead of image heights."""
        a, b, c = self.inverse_depth
        return np.array(
            [a / height, b / height, c + (a * (1 - width) + b * (1 - height)) / (2 * height)]
        )


def aperture_samples(count: int) -> np.ndarray:
    """Return (count, 2) points that fill the unit disc evenly (a sunflower spiral, Vogel 1979)."""
    i = np.arange(count)
    radius, angle = np.sqrt((i + 0.5) / count), i * GOLDEN_ANGLE
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def default_samples(
    layers: Sequence[Layer], height: int, width: int, focus_m: float, camera: Camera
) -> int:
    """Return how many points of the aperture show no banding: one per pixel of the largest disc.

    The disc is the largest that `layers` show inside the frame; at least 64 points, at most 512.
    """
    largest = 0.0
    for layer in layers:
        a, b, c = layer.plane_in_pixels(height, width)
        x0, y0 = layer.origin
        h, w = layer.rgba.shape[:2]
        xs = np.clip([x0, x0 + w], 0, width)
        ys = np.clip([y0, y0 + h], 0, height)
        inverse = np.maximum(a * xs[None, :] + b * ys[:, None] + c, 0)
        largest = max(largest, float(np.abs(inverse - 1 / focus_m).max()))
    radius = largest * blur_scale(focus_m, camera) * height
    return int(np.clip(math.pi * radius**2, 64, 512))


def composite(
    layers: Sequence[Layer], height: int, width: int, shift: np.ndarray, focus: float
) -> np.ndarray:
    """Return the (height, width, 3) linear picture seen through one point of the aperture.

    - `layers`: back to front
    - `height`, `width`: of the picture in pixels
    - `shift`: (2,) pixels that a point moves per 1/m of inverse depth off the focus; 0: a pinhole
    - `focus`: inverse focus distance in 1/m
    """
    frame = np.zeros((height, width, 4), np.float32)
    for layer in layers:
        a, b, c = layer.plane_in_pixels(height, width)
        # A point at pixel p moves to p + (a*px + b*py + c - focus) * shift.
        matrix = np.eye(2) + np.outer(shift, [a, b])
        origin = matrix @ layer.origin + (c - focus) * shift
        h, w = layer.rgba.shape[:2]
        corners = np.array([[0, 0], [w, 0], [0, h], [w, h]]) @ matrix.T + origin
        x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
        if x1 <= x0 or y1 <= y0:
            continue
        affine = np.column_stack([matrix, origin - (x0, y0)])
        warped = cv2.warpAffine(layer.rgba, affine, (int(x1 - x0), int(y1 - y0)))
        region = frame[y0:y1, x0:x1]
        # Four equal channels: numpy is several times slower on a broadcast last axis.
        region *= cv2.merge([1 - warped[..., 3]] * 4)
        region += warped
    return frame[..., :3]


def lens_view(
    layers: Sequence[Layer],
    height: int,
    width: int,
    focus_m: float,
    camera: Camera,
    samples: int | None = None,
) -> np.ndarray:
    """Return the (height, width, 3) linear picture that the lens makes.

    - `layers`: back to front
    - `height`, `width`: of the picture in pixels
    - `focus_m`: distance of what is sharp, in metres
    - `samples`: points of the aperture, by default `default_samples`

    Source: thin-lens camera, Potmesil and Chakravarty 1981, on planar layers.
    """
    if samples is None:
        samples = default_samples(layers, height, width, focus_m, camera)
    blur = blur_scale(focus_m, camera)
    total = np.zeros((height, width, 3), np.float32)
    for point in aperture_samples(samples):
        shift = point * blur * height  # in pixels, 1/m off the focus
        total += composite(layers, height, width, shift, 1 / focus_m)
    return total / samples


def pinhole_depth(layers: Sequence[Layer], height: int, width: int) -> np.ndarray:
    """Return the (height, width) depth in metres of the foremost layer that covers half a pixel."""
    inverse = np.full((height, width), 1e-3, np.float32)
    for layer in layers:
        if layer.decal:
            continue
        a, b, c = layer.plane_in_pixels(height, width)
        h, w = layer.rgba.shape[:2]
        x0, y0 = np.maximum(layer.origin, 0)
        x1, y1 = np.minimum(np.add(layer.origin, (w, h)), (width, height))
        if x1 <= x0 or y1 <= y0:
            continue
        left, top = layer.origin
        alpha = layer.rgba[y0 - top : y1 - top, x0 - left : x1 - left, 3]
        plane = a * np.arange(x0, x1)[None, :] + b * np.arange(y0, y1)[:, None] + c
        region = inverse[y0:y1, x0:x1]
        region[alpha >= 0.5] = np.maximum(plane, 1e-3)[alpha >= 0.5]
    return 1 / inverse
