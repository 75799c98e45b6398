"""The pieces of outdoor scenes: sky, ground, walls of leaves, buildings, trunks, lights,
shadows."""

from dataclasses import dataclass, replace

import numpy as np

from bradcn_nb.lens.reference import Layer
from bradcn_nb.lens.thin_lens import Camera
from bradcn_nb.scenes import sketch, sprites
from bradcn_nb.scenes.sketch import BROWNS, GREENS, GREYS, WALLS, Generator, jitter, linear, pick
from bradcn_nb.scenes.surfaces import UNIT_SQUARE, Surface, View, draw
from bradcn_nb.scenes.textures import Pyramid, material, noise, photograph, pyramid

CAMERA = Camera()
FOCAL = CAMERA.focal_mm / CAMERA.sensor_height_mm
WHITE = np.ones(3)


@dataclass
class Painter:
    """Collects the layers of one scene; lengths are metres, frame positions image heights."""

    rng: Generator
    view: View
    sun: np.ndarray
    haze: np.ndarray
    layers: list[Layer]

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
        texture: Pyramid,
        z: float,
        box: tuple[float, float, float, float],
        tint: np.ndarray = WHITE,
        *,
        haze: float = 0.0,
        mirror: bool = False,
        slant: float = 0.0,
        shade=None,
        repeat: tuple[float, float] = (1.0, 1.0),
        decal: bool = False,
    ) -> None:
        """Stand a picture up at depth `z` in the frame's box (x0, y0, x1, y1).

        `slant`: metres that its right edge is further away. `repeat`: how often the texture tiles.
        """
        x0, y0, x1, y1 = np.array(box) * z / FOCAL
        u, v = np.array([x1 - x0, 0, slant]), np.array([0, y1 - y0, 0])
        origin = np.array([x0, y0, z - slant / 2])
        if mirror:
            origin, u = origin + u, -u
        outline = UNIT_SQUARE * repeat
        self.add(
            Surface(origin, u / repeat[0], v / repeat[1], texture, tint, outline, shade, decal),
            haze,
        )


def _dapple(rng: Generator, strength: float, size_m: float):
    """Return a shade that darkens ground in soft patches, as under trees."""
    field = noise(int(rng.integers(200, 206)), 1.4)
    shift = rng.uniform(0, 512, 2)

    def shade(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        x = (points[..., 0] / size_m * 128 + shift[0]).astype(int) % 512
        z = (points[..., 2] / size_m * 128 + shift[1]).astype(int) % 512
        return np.exp(strength * field[z, x])[..., None].astype(np.float32)

    return shade


def _round_shade(centre: float, radius: float, sun: np.ndarray):
    """Return the light on an upright cylinder at x = `centre` metres, `radius` metres."""

    def shade(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        s = np.clip((points[..., :1] - centre) / radius, -1, 1)
        toward = s * sun[0] + np.sqrt(1 - s * s) * sun[2]
        return 0.35 + 0.75 * np.maximum(toward, 0)

    return shade


def paint_sky(p: Painter) -> np.ndarray:
    """Paint the sky at 60 m and return its colour."""
    rng = p.rng
    overcast = rng.random() < 0.6
    colour = linear(0.86, 0.88, 0.91) if overcast else linear(0.55, 0.66, 0.80)
    colour = jitter(rng, colour, 0.1) * rng.uniform(1.0, 2.2 if overcast else 1.4)
    p.upright(material("overcast" if overcast else "clouds"), 60.0, (-1.6, -1.0, 1.6, 1.0), colour)
    return colour


def photo_backdrop(p: Painter, z: float) -> None:
    """Hang a crop of a real photograph far behind everything else."""
    name = str(p.rng.choice(["china", "china", "china", "rocket"]))
    crop = sketch.random_crop(p.rng, photograph(name), 2.0, 0.35)
    p.upright(pyramid(crop), z, (-1.1, -0.75, 1.1, 0.75), jitter(p.rng, 0.9 * WHITE, 0.15))


def foliage_wall(p: Painter, z: float, top: float, bottom: float, light: float) -> None:
    """Paint trees or a hedge across the frame: overlapping masses of leaves over their dark
    inside."""
    rng, size = p.rng, _leaf_mass(p.rng, z)
    green = jitter(rng, WHITE, 0.2) * rng.choice(
        [[1.0, 1.0, 1.0], [1.2, 0.95, 0.8], [0.85, 0.95, 1.0], [1.35, 0.9, 0.6]]
    )
    if rng.random() < 0.75:
        far = pick(rng, GREENS) * light * 0.4
        p.upright(
            material("foliage_far"),
            z + 1.5,
            (-1.1, top + 0.12, 1.1, bottom),
            far,
            haze=0.05,
            repeat=(2, 1.4),
        )
    for depth, tone in ((z + 1, 0.6), (z, 1.0)):
        x = -1.15
        while x < 1.15:
            y = top + rng.uniform(-0.05, 0.2)
            kind = int(rng.integers(4))
            box = (x - size * 0.6, y, x + size * 0.6, y + size * 1.2)
            while box[1] < bottom:
                p.upright(
                    sprites.foliage(kind),
                    depth,
                    box,
                    green * tone * light * rng.uniform(0.8, 1.3),
                    mirror=rng.random() < 0.5,
                )
                box = (box[0], box[1] + 0.6 * size, box[2], box[3] + 0.6 * size)
            x += size * rng.uniform(0.5, 0.8)


def _leaf_mass(rng: Generator, z: float) -> float:
    """Return the frame height of a leaf mass that is 1.2 to 2.4 m large, kept within the frame's
    scale.
    """
    return float(np.clip(rng.uniform(1.2, 2.4) * FOCAL / z, 0.35, 1.0))


def building(p: Painter, z: float, light: float) -> None:
    rng = p.rng
    wall = pick(rng, WALLS) * light
    name = str(rng.choice(["facade0", "facade1", "facade2", "bricks", "plaster"]))
    left = rng.uniform(-1.3, 0.1)
    right = left + rng.uniform(0.8, 2.2)
    top = rng.uniform(-0.9, -0.1)
    tile = rng.uniform(0.35, 0.8) if name.startswith("facade") else rng.uniform(0.3, 0.6)
    slant = rng.uniform(-0.35, 0.35) * z
    repeat = ((right - left) / tile, (0.9 - top) / tile)
    p.upright(
        material(name), z, (left, top, right, 0.9), wall, haze=0.06, slant=slant, repeat=repeat
    )


def lights(p: Painter, z: float, top: float, bottom: float) -> None:
    """Scatter small bright lights: sun through leaves, lamps, glints; each becomes a disc."""
    rng = p.rng
    canvas = np.zeros((384, 768, 4), np.float32)
    for _ in range(int(rng.integers(4, 28))):
        x, y, r = rng.uniform(0, 768), rng.uniform(0, 384), rng.uniform(1.2, 3.2)
        colour = rng.choice(
            [(1.0, 0.93, 0.8), (1.0, 0.75, 0.4), (0.85, 0.93, 1.0), (1.0, 0.5, 0.35)],
            p=[0.5, 0.3, 0.15, 0.05],
        )
        yy, xx = np.mgrid[max(0, int(y) - 4) : int(y) + 5, max(0, int(x) - 4) : int(x) + 5]
        spot = np.clip(r + 0.5 - np.hypot(yy - y, xx - x), 0, 1)[..., None]
        region = canvas[yy[0, 0] : int(y) + 5, xx[0, 0] : int(x) + 5]
        spot = spot[: region.shape[0], : region.shape[1]]
        region[..., :3] = np.maximum(region[..., :3], spot * colour * rng.uniform(4, 20))
        region[..., 3:] = np.maximum(region[..., 3:], spot)
    p.upright(pyramid(canvas), z, (-1.0, top, 1.0, bottom))


def paint_ground(
    p: Painter, height_m: float, pitch: float, light: float, far: float = 50.0
) -> Surface:
    """Paint the ground, `height_m` below the camera, which looks down by `pitch` radians."""
    rng = p.rng
    name, palette, size = [
        ("grass", GREENS, 1.0), ("gravel", GREYS, 0.8), ("paving", GREYS, 1.8),
        ("cobbles", GREYS, 1.6), ("asphalt", GREYS, 1.2), ("litter", BROWNS, 1.0),
        ("planks", BROWNS, 1.4), ("bricks", WALLS, 1.6),
    ][rng.integers(8)]  # fmt: skip
    down = np.array([0, np.cos(pitch), np.sin(pitch)])
    ahead = np.array([0, -np.sin(pitch), np.cos(pitch)])
    turn = rng.uniform(-0.8, 0.8)
    right = np.array([1.0, 0, 0])
    u = np.cos(turn) * right + np.sin(turn) * ahead
    v = np.cos(turn) * ahead - np.sin(turn) * right
    reach = far / size
    outline = (UNIT_SQUARE - 0.5) * 2 * reach
    tint = pick(rng, palette) * light
    shade = _dapple(rng, rng.uniform(0.05, 0.45), rng.uniform(0.4, 2.0))
    surface = Surface(down * height_m, u * size, v * size, material(name), tint, outline, shade)
    p.add(surface)
    return surface


def contact_shadow(
    p: Painter, z: float, foot: float, x: float, half_width: float, strength: float
) -> None:
    """Darken the ground around a foot at frame position (x, foot), `half_width` heights wide."""
    w, h = 1.7 * half_width, 0.4 * half_width
    p.upright(sprites.shadow(), z, (x - w, foot - h, x + w, foot + h), decal=True)
    if strength > 0.5:
        p.upright(
            sprites.shadow(),
            z,
            (x - 0.8 * w, foot - 0.6 * h, x + 2.2 * w, foot + 0.6 * h),
            decal=True,
        )


def trunk(p: Painter, z: float, x: float, foot: float, half_width: float, light: float) -> None:
    metal = p.rng.random() < 0.3
    tint = (pick(p.rng, GREYS) * 0.5 if metal else pick(p.rng, BROWNS)) * light
    shade = _round_shade(x * z / FOCAL, half_width * z / FOCAL, p.sun)
    repeat = (1.0, 4.0)
    p.upright(
        material("plaster" if metal else "bark"),
        z,
        (x - half_width, -1.0, x + half_width, foot),
        tint,
        shade=shade,
        repeat=repeat,
    )
    if not metal and p.rng.random() < 0.5:
        size = p.rng.uniform(0.6, 1.2)
        p.upright(
            sprites.branches(int(p.rng.integers(4))),
            z,
            (x - size, -0.5 - 0.3 * size, x + size, 0.1),
            WHITE * light,
            mirror=p.rng.random() < 0.5,
        )


def sprite_pixels(view: View, height: float) -> int:
    """Return how many pixels a sprite needs that will be `height` image heights high."""
    return int(np.clip(view.height * height * 1.1, 24, 1400))
