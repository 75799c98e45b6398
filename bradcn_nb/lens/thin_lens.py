"""The thin lens: the circle of confusion, and light as numbers (the sRGB curve and its inverse)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A thin lens before a sensor; the defaults are a Canon 7D with a 50 mm lens, as in EBB!."""

    focal_mm: float = 50.0
    f_number: float = 1.8
    sensor_height_mm: float = 14.9


def blur_scale(focus_m: float, camera: Camera) -> float:
    """R such that the circle of confusion's radius is R |1/z - 1/focus_m|, in image heights.

    Takes the focus distance in metres; the result's unit is image heights times metres. From similar
    triangles behind the lens, with aperture A = f / N: R = A f zf / (2 (zf - f) sensor height).
    Raises ValueError when the focus is not beyond the focal length (no real image).
    """
    focal_m = camera.focal_mm / 1000
    if not focus_m > focal_m:
        raise ValueError(f"focus at {focus_m} m: must be beyond the focal length of {focal_m} m")
    aperture_m = focal_m / camera.f_number
    sensor_m = camera.sensor_height_mm / 1000
    magnified = focal_m / (1 - focal_m / focus_m)  # f zf / (zf - f), finite for focus at infinity
    return aperture_m * magnified / (2 * sensor_m)


def coc_diameter(
    depth_m: np.ndarray | float, focus_m: float, camera: Camera, signed: bool = False
) -> np.ndarray | float:
    """Diameter of the circle of confusion, in image heights: A f |z - zf| / (z (zf - f)) / sensor.

    Takes depth in metres (any shape) and returns the same shape. With `signed`, points nearer than
    the focus are positive and points beyond it are negative.
    """
    diameter = 2 * blur_scale(focus_m, camera) * (1 / np.asarray(depth_m) - 1 / focus_m)
    return diameter if signed else np.abs(diameter)


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light for sRGB values in [0,1] (IEC 61966-2-1), any shape, same float type."""
    srgb = np.asarray(srgb)
    return np.where(
        srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4
    ).astype(srgb.dtype, copy=False)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB values for linear light in [0,1] (IEC 61966-2-1), any shape, same float type."""
    linear = np.asarray(linear)
    return np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    ).astype(linear.dtype, copy=False)
