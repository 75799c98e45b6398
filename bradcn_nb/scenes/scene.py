"""A scene: a seed and a recipe, drawn at any size, through a pinhole or through the lens."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bradcn_nb.lens.reference import Layer, composite, lens_view, pinhole_depth
from bradcn_nb.lens.thin_lens import Camera, linear_to_srgb
from bradcn_nb.scenes.surfaces import View

Recipe = Callable[[np.random.Generator, View], list[Layer]]


@dataclass(frozen=True)
class Scene:
    """What the camera sees: `recipe` paints the layers back to front for a given view.

    `focus_m` metres. `brightness`: the grey that the picture's geometric mean is exposed to,
    linear. `noise`: deviation of the sensor noise in linear units at white.
    """

    seed: int
    recipe: Recipe
    camera: Camera
    focus_m: float
    brightness: float
    noise: float = 0.0

    def layers(self, height: int, width: int, margin: float = 0.0) -> list[Layer]:
        """Return the layers, back to front, with `margin` image heights drawn around the frame."""
        focal = self.camera.focal_mm / self.camera.sensor_height_mm
        return self.recipe(np.random.default_rng(self.seed), View(height, width, focal, margin))

    def _develop(self, linear: np.ndarray, exposure: float, shot: int) -> np.ndarray:
        """Expose, add noise, clip and encode: (h, w, 3) linear to sRGB float32 in [0, 1]."""
        value = np.clip(linear * exposure, 0, None)
        if self.noise:
            rng = np.random.default_rng([self.seed, shot])
            value = value + self.noise * np.sqrt(value + 0.02) * rng.standard_normal(value.shape)
        return linear_to_srgb(np.clip(value, 0, 1).astype(np.float32))

    def _exposure(self, pinhole: np.ndarray) -> float:
        return self.brightness / np.exp(np.log(pinhole.mean(2) + 1e-3).mean())

    def pinhole(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the all-in-focus picture, (h, w, 3) sRGB in [0, 1], and its depth (h, w) in
        metres.
        """
        layers = self.layers(height, width)
        linear = composite(layers, height, width, np.zeros(2), 0.0)
        return self._develop(linear, self._exposure(linear), 0), pinhole_depth(
            layers, height, width
        )

    def pair(
        self, height: int, width: int, samples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return picture and bokeh, (h, w, 3) sRGB in [0, 1], and the picture's depth (h, w) in
        metres.

        `samples`: points of the aperture, see `lens.lens_view`.
        """
        layers = self.layers(height, width, margin=0.14)
        sharp = composite(layers, height, width, np.zeros(2), 0.0)
        blurred = lens_view(layers, height, width, self.focus_m, self.camera, samples)
        exposure = self._exposure(sharp)
        depth = pinhole_depth(layers, height, width)
        return self._develop(sharp, exposure, 0), self._develop(blurred, exposure, 1), depth
