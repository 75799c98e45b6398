"""The pieces of outdoor scenes: sky, ground, leaves, buildings, trunks, lights, shadows."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from bradcn_nb.lens.reference import Layer
from bradcn_nb.lens.thin_lens import Camera
from bradcn_nb.scenes import sprites
from bradcn_nb.scenes.colours import BROWNS, GREENS, GREYS, WALLS, jitter, linear, pick
from bradcn_nb.scenes.sketch import random_crop
from bradcn_nb.scenes.surfaces import UNIT_SQUARE, Shade, Surface, View, draw, panel
from bradcn_nb.scenes.textures import Pyramid, material, noise, pyramid

CAMERA = Camera()
FOCAL = CAMERA.focal_mm / CAMERA.sensor_height_mm
WHITE = np.ones(3)
# Places in the frame, in image heights from its centre: x, y, and x0, y0, x1, y1.
Point, Box = tuple[float, float], tuple[float, float, float, float]


class Painter:
    """Collects the layers of one scene, `layers`, which begin with the sky.

    Lengths are metres, frame positions image heights. `sun`: the unit vector to it; `haze`: the
    sky's colour; `light`: what falls on everything but the subject, which the scene's kind sets.
    """

    def __init__(self, rng: Generator, view: View) -> None:
        self.rng, self.view = rng, view
        sun = np.array([rng.uniform(-0.8, 0.8), -0.6, rng.uniform(0.4, 0.8)])
        self.sun, self.light = sun / np.linalg.norm(sun), 1.0
        self.layers: list[Layer] = []
        self.haze = self._sky()

    def add(self, surface: Surface, haze: float = 0.0) -> None:
        """Draw a surface over what is there, veiled by `haze` in [0, 1]."""
        layer = draw(surface, self.view)
        if layer is None:
            return
        if haze:
            rgb = layer.rgba[..., :3] * (1 - haze) + layer.rgba[..., 3:] * (haze * self.haze)
            rgba = np.concatenate([rgb, layer.rgba[..., 3:]], 2).astype(np.float32)
            layer = replace(layer, rgba=rgba)
        self.layers.append(layer)

    def upright(
        self,
        texture: str | Pyramid,
        z: float,
        box: Box,
        tint: np.ndarray = WHITE,
        *,
        haze: float = 0.0,
        mirror: bool = False,
        slant: float = 0.0,
        repeat: tuple[float, float] = (1.0, 1.0),
        shade: Shade | None = None,
        decal: bool = False,
    ) -> None:
        """Stand a picture up at depth `z` in the frame's `box`.

        * `haze`: how much the air veils it, in [0, 1].
        * `mirror`: show it the other way round.
        * `slant`: metres that its right edge is further away.
        * `texture`, `tint`, `repeat`, `shade`, `decal`: as in `panel`.
        """
        x0, y0, x1, y1 = np.array(box) * z / FOCAL
        u, v = np.array([x1 - x0, 0, slant]), np.array([0, y1 - y0, 0])
        origin = np.array([x0, y0, z - slant / 2])
        if mirror:
            origin, u = origin + u, -u
        self.add(panel(origin, u, v, texture, tint, repeat, shade, decal), haze)

    def stand(
        self,
        texture: Pyramid,
        z: float,
        foot: Point,
        size: float,
        tint: np.ndarray,
        tall: float = 2.0,
        sunk: float = 0.0,
        mirror: bool = False,
    ) -> None:
        """Stand a picture, 2 `size` wide, on its foot in the frame at depth `z`.

        `tall` and `sunk`: how many sizes it rises above its foot and reaches below it.
        """
        x, y = foot
        box = (x - size, y - tall * size, x + size, y + sunk * size)
        self.upright(texture, z, box, tint, mirror=mirror)

    def _sky(self) -> np.ndarray:
        """Paint the sky at 60 m and return its colour."""
        rng = self.rng
        overcast = rng.random() < 0.6
        colour = linear(0.86, 0.88, 0.91) if overcast else linear(0.55, 0.66, 0.80)
        colour = jitter(rng, colour, 0.1) * rng.uniform(1.0, 2.2 if overcast else 1.4)
        name = "overcast" if overcast else "clouds"
        self.upright(name, 60.0, (-1.6, -1.0, 1.6, 1.0), colour)
        return colour

    def photo_backdrop(self, z: float) -> None:
        """Hang a crop of a real photograph far behind everything else."""
        name = str(self.rng.choice(["china", "china", "china", "rocket"]))
        picture = pyramid(random_crop(self.rng, name, 2.0, 0.35))
        self.upright(picture, z, (-1.1, -0.75, 1.1, 0.75), jitter(self.rng, 0.9 * WHITE, 0.15))

    def foliage_wall(self, z: float, top: float, bottom: float) -> None:
        """Paint trees or a hedge across the frame: overlapping masses of leaves, dark inside."""
        rng = self.rng
        # A mass of leaves is 1.2 to 2.4 m large, kept within the frame's scale.
        size = float(np.clip(rng.uniform(1.2, 2.4) * FOCAL / z, 0.35, 1.0))
        green = jitter(rng, WHITE, 0.2) * rng.choice(
            [[1.0, 1.0, 1.0], [1.2, 0.95, 0.8], [0.85, 0.95, 1.0], [1.35, 0.9, 0.6]]
        )
        if rng.random() < 0.75:
            box, far = (-1.1, top + 0.12, 1.1, bottom), pick(rng, GREENS) * self.light * 0.4
            self.upright("foliage_far", z + 1.5, box, far, haze=0.05, repeat=(2, 1.4))
        for depth, tone in ((z + 1, 0.6), (z, 1.0)):
            x = -1.15
            while x < 1.15:
                y = top + rng.uniform(-0.05, 0.2)
                leaves, low = sprites.any_of(sprites.foliage, rng), y + size * 1.2
                while y < bottom:
                    tint = green * tone * self.light * rng.uniform(0.8, 1.3)
                    box = (x - size * 0.6, y, x + size * 0.6, low)
                    self.upright(leaves, depth, box, tint, mirror=rng.random() < 0.5)
                    y, low = y + 0.6 * size, low + 0.6 * size
                x += size * rng.uniform(0.5, 0.8)

    def building(self, z: float) -> None:
        """Paint the wall of a house, often slanted, that reaches below the frame."""
        rng = self.rng
        wall = pick(rng, WALLS) * self.light
        name = str(rng.choice(["facade0", "facade1", "facade2", "bricks", "plaster"]))
        left = rng.uniform(-1.3, 0.1)
        right = left + rng.uniform(0.8, 2.2)
        top = rng.uniform(-0.9, -0.1)
        tile = rng.uniform(0.35, 0.8) if name.startswith("facade") else rng.uniform(0.3, 0.6)
        slant = rng.uniform(-0.35, 0.35) * z
        box, repeat = (left, top, right, 0.9), ((right - left) / tile, (0.9 - top) / tile)
        self.upright(name, z, box, wall, haze=0.06, slant=slant, repeat=repeat)

    def lights(self, z: float, top: float, bottom: float) -> None:
        """Scatter small bright lights: sun through leaves, lamps, glints; each becomes a disc."""
        rng = self.rng
        canvas = np.zeros((384, 768, 4), np.float32)
        colours = [(1.0, 0.93, 0.8), (1.0, 0.75, 0.4), (0.85, 0.93, 1.0), (1.0, 0.5, 0.35)]
        for _ in range(int(rng.integers(4, 28))):
            x, y, r = rng.uniform(0, 768), rng.uniform(0, 384), rng.uniform(1.2, 3.2)
            colour = rng.choice(colours, p=[0.5, 0.3, 0.15, 0.05])
            rows = slice(max(0, int(y) - 4), min(384, int(y) + 5))
            columns = slice(max(0, int(x) - 4), min(768, int(x) + 5))
            yy, xx = np.mgrid[rows, columns]
            spot = np.clip(r + 0.5 - np.hypot(yy - y, xx - x), 0, 1)[..., None]
            spot = np.concatenate([spot * colour * rng.uniform(4, 20), spot], 2)
            canvas[rows, columns] = np.maximum(canvas[rows, columns], spot)
        self.upright(pyramid(canvas), z, (-1.0, top, 1.0, bottom))

    def ground(self, height_m: float, pitch: float, far: float = 50.0) -> Surface:
        """Paint the ground, `height_m` below the camera, which looks down by `pitch` radians."""
        rng = self.rng
        name, palette, size = [
            ("grass", GREENS, 1.0), ("gravel", GREYS, 0.8), ("paving", GREYS, 1.8),
            ("cobbles", GREYS, 1.6), ("asphalt", GREYS, 1.2), ("litter", BROWNS, 1.0),
            ("planks", BROWNS, 1.4), ("bricks", WALLS, 1.6),
        ][rng.integers(8)]  # fmt: skip
        down = np.array([0, np.cos(pitch), np.sin(pitch)])
        ahead = np.array([0, -np.sin(pitch), np.cos(pitch)])
        u, v = turned(np.array([1.0, 0, 0]), ahead, rng.uniform(-0.8, 0.8))
        outline = (UNIT_SQUARE - 0.5) * 2 * (far / size)
        tint = pick(rng, palette) * self.light
        shade = _dapple(rng, rng.uniform(0.05, 0.45), rng.uniform(0.4, 2.0))
        surface = Surface(down * height_m, u * size, v * size, material(name), tint, outline, shade)
        self.add(surface)
        return surface

    def contact_shadow(self, z: float, foot: Point, half_width: float, sunny: bool = False) -> None:
        """Darken the ground around a foot in the frame; in the sun it throws a shadow, too."""
        x, y = foot
        w, h = 1.7 * half_width, 0.4 * half_width
        self.upright(sprites.shadow(), z, (x - w, y - h, x + w, y + h), decal=True)
        if sunny:
            box = (x - 0.8 * w, y - 0.6 * h, x + 2.2 * w, y + 0.6 * h)
            self.upright(sprites.shadow(), z, box, decal=True)

    def trunk(self, z: float, foot: Point, half_width: float) -> None:
        """Stand a trunk, some with a branch, or a post of metal on its foot in the frame."""
        x, y = foot
        metal = self.rng.random() < 0.3
        tint = (pick(self.rng, GREYS) * 0.5 if metal else pick(self.rng, BROWNS)) * self.light
        shade = _round_shade(x * z / FOCAL, half_width * z / FOCAL, self.sun)
        name, box = "plaster" if metal else "bark", (x - half_width, -1.0, x + half_width, y)
        self.upright(name, z, box, tint, shade=shade, repeat=(1.0, 4.0))
        if not metal and self.rng.random() < 0.5:
            size = self.rng.uniform(0.6, 1.2)
            branch = sprites.any_of(sprites.branches, self.rng)
            box, tint = (x - size, -0.5 - 0.3 * size, x + size, 0.1), WHITE * self.light
            self.upright(branch, z, box, tint, mirror=self.rng.random() < 0.5)

    def pixels(self, height: float) -> int:
        """Return how many pixels a sprite needs that will be `height` image heights high."""
        return int(np.clip(self.view.height * height * 1.1, 24, 1400))


def _dapple(rng: Generator, strength: float, size_m: float) -> Shade:
    """Return a shade that darkens ground in soft patches, as under trees."""
    field = noise(int(rng.integers(200, 206)), 1.4)
    shift = rng.uniform(0, 512, 2)

    def shade(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        x = (points[..., 0] / size_m * 128 + shift[0]).astype(int) % 512
        z = (points[..., 2] / size_m * 128 + shift[1]).astype(int) % 512
        return np.exp(strength * field[z, x])[..., None].astype(np.float32)

    return shade


def _round_shade(centre: float, radius: float, sun: np.ndarray) -> Shade:
    """Return the light on an upright cylinder at x = `centre` metres, `radius` metres."""

    def shade(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        s = np.clip((points[..., :1] - centre) / radius, -1, 1)
        toward = s * sun[0] + np.sqrt(1 - s * s) * sun[2]
        return 0.35 + 0.75 * np.maximum(toward, 0)

    return shade


def turned(u: np.ndarray, v: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two vectors turned by `angle` radians within their plane, from `u` towards `v`."""
    return np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
