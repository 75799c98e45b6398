"""The thin lens: the circle of confusion, and light as numbers (the sRGB curve and its inverse).

In the whole of `lens` pictures are floats: `finite_floats` refuses anything else by name.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """A thin lens before a sensor; the defaults are a Canon 7D with a 50 mm lens, as in EBB!."""

    focal_mm: float = 50.0
    f_number: float = 1.8
    sensor_height_mm: float = 14.9


def blur_scale(focus_m: float, camera: Camera) -> float:
    """R such that the circle of confusion's radius is R |1/z - 1/focus_m|.

    Takes the focus distance in metres; R is in image heights times metres.
    From similar triangles behind the lens, with aperture A = f / N:
    R = A f zf / (2 (zf - f) sensor height). Raises ValueError when the
    focus is not beyond the focal length (no real image).
    """
    focal_m = camera.focal_mm / 1000
    if not focus_m > focal_m:
        raise ValueError(f"focus at {focus_m} m: within the focal length")
    aperture_m = focal_m / camera.f_number
    sensor_m = camera.sensor_height_mm / 1000
    # f zf / (zf - f), written so that it is finite for focus at infinity.
    magnified = focal_m / (1 - focal_m / focus_m)
    return aperture_m * magnified / (2 * sensor_m)


def coc_diameter(
    depth_m: np.ndarray | float,
    focus_m: float,
    camera: Camera,
    signed: bool = False,
) -> np.ndarray | float:
    """Diameter of the circle of confusion, in image heights.

    It is A f |z - zf| / (z (zf - f)) / sensor height. Takes depth in metres
    (any shape) and returns the same shape. With `signed`, points nearer than
    the focus are positive and points beyond it are negative.
    """
    scale = 2 * blur_scale(focus_m, camera)
    diameter = scale * (1 / np.asarray(depth_m) - 1 / focus_m)
    return diameter if signed else np.abs(diameter)


def finite_floats(values: np.ndarray, name: str = "a picture") -> np.ndarray:
    """Return `values` as an array; `name` says in an error what they are.

    Raises TypeError unless they are floats, ValueError for NaN and infinity.
    """
    values = np.asarray(values)
    if values.dtype.kind != "f":
        raise TypeError(
            f"{name} must be floats, not {values.dtype}; divide whole numbers by their largest, "
            "as in pixels / np.float32(255)"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has NaN or infinite values; replace them first")
    return values


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light for sRGB values in [0,1] (IEC 61966-2-1), any shape; the type of float stays."""
    srgb = finite_floats(srgb)
    return np.where(
        srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4
    ).astype(srgb.dtype, copy=False)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB values for linear light in [0,1] (IEC 61966-2-1), any shape; the type of float stays."""
    linear = finite_floats(linear)
    return np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    ).astype(linear.dtype, copy=False)


def over_white(picture: np.ndarray) -> np.ndarray:
    """A picture (H,W,4) with alpha laid on white, as viewers show it; (H,W,3) as it is."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:]
    return picture[..., :3] * alpha + (1 - alpha)


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture or map at `size` (height, width): by area averages, or bilinear if it grows."""
    smaller = size[0] < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(picture, size[::-1], interpolation=method)
