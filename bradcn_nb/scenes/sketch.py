"""A canvas in linear light, its palettes, and the outlines that sprites are painted from.

Coordinates run over the sprite's height: x in [0, aspect], y in [0, 1] downwards. Sprites are drawn
at twice their resolution and averaged, so their edges are anti-aliased.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import srgb_to_linear
from bradcn_nb.scenes.textures import Pyramid, noise, photograph, pyramid

Colour = Sequence[float]
Generator = np.random.Generator


def linear(*srgb: float) -> np.ndarray:
    """Return an sRGB colour, three numbers in [0, 1], in linear light."""
    return np.asarray(srgb_to_linear(np.asarray(srgb, np.float32)), np.float64)


def jitter(rng: Generator, colour: Colour, amount: float = 0.12) -> np.ndarray:
    """Return `colour` with a random brightness and a smaller random hue."""
    return np.asarray(colour) * np.exp(rng.normal(0, amount)) * np.exp(rng.normal(0, amount / 3, 3))


class Sketch:
    """A canvas in linear light on which outlines are painted back to front."""

    def __init__(self, pixels: int, aspect: float, sun: Colour = (-0.4, -0.7, 0.6)) -> None:
        self.scale = 2 * pixels
        self.canvas = np.zeros((self.scale, int(round(self.scale * aspect)), 4), np.float32)
        self.sun = np.asarray(sun) / np.linalg.norm(sun)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Paint a convex outline (n, 2) flat; cheap, for leaves and petals."""
        corners = np.round(np.asarray(points) * self.scale * 16).astype(np.int32)
        cv2.fillConvexPoly(self.canvas, corners, (*map(float, colour), 1.0), shift=4)

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """Paint an open line through points (n, 2), `width` heights wide."""
        corners = np.round(np.asarray(points) * self.scale * 16).astype(np.int32)
        thick = max(1, int(round(width * self.scale)))
        cv2.polylines(self.canvas, [corners], False, (*map(float, colour), 1.0), thick, shift=4)

    def solid(
        self,
        points: np.ndarray,
        colour: Colour,
        *,
        texture: float = 0.1,
        gloss: float = 0.15,
        alpha: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Paint an outline (n, 2) as a rounded body, lit by the sun and the sky.

        The body's height is taken as the square root of the distance to the outline, as on a ball.
        """
        corners = np.round(np.asarray(points) * self.scale).astype(np.int32)
        x, y, w, h = cv2.boundingRect(corners)
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + w, self.canvas.shape[1]), min(y + h, self.canvas.shape[0])
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        mask = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
        cv2.fillPoly(mask, [corners - (x0 - 1, y0 - 1)], 1)
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        radius = distance.max()
        height = np.sqrt(np.maximum(distance * (2 * radius - distance), 0))
        height = cv2.GaussianBlur(height, (0, 0), 0.02 * self.scale + 1)[1:-1, 1:-1]
        gy, gx = np.gradient(height)
        normal = np.stack([-gx, -gy, np.ones_like(gx)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        toward = normal @ self.sun
        light = 0.38 - 0.17 * normal[..., 1] + 0.75 * np.maximum(toward, 0)
        shine = gloss * np.maximum(2 * toward * normal[..., 2] - self.sun[2], 0) ** 12
        grain = cv2.resize(noise(90 + seed % 4, 0.8), (self.scale, self.scale))
        grain = grain[: y1 - y0, : x1 - x0]
        rows, columns = grain.shape
        body = (light[:rows, :columns] * np.exp(texture * grain))[..., None] * np.asarray(colour)
        body = body + shine[:rows, :columns, None]
        cover = mask[1:-1, 1:-1][:rows, :columns, None] * np.float32(alpha)
        region = self.canvas[y0 : y0 + rows, x0 : x0 + columns]
        region *= 1 - cover
        region += cover * np.concatenate([body, np.ones((rows, columns, 1))], -1)

    def picture(self, name: str, box: tuple[float, float, float, float], rng: Generator) -> None:
        """Paint a random crop of a bundled photograph into box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = (int(round(b * self.scale)) for b in box)
        source = photograph(name)
        crop = random_crop(rng, source, (x1 - x0) / (y1 - y0))
        resized = cv2.resize(crop, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        self.canvas[y0:y1, x0:x1, :3] = 0.8 * resized
        self.canvas[y0:y1, x0:x1, 3] = 1

    def finish(self) -> Pyramid:
        """Return the anti-aliased picture as a pyramid of premultiplied (h, w, 4)."""
        h, w = self.canvas.shape[:2]
        return pyramid(
            cv2.resize(self.canvas, (max(w // 2, 1), h // 2), interpolation=cv2.INTER_AREA)
        )


def random_crop(
    rng: Generator, picture: np.ndarray, aspect: float, least: float = 0.5
) -> np.ndarray:
    """Return a random crop of the given width / height, `least` to all of what fits, often
    mirrored.
    """
    h, w = picture.shape[:2]
    share = rng.uniform(least, 1)
    ch = int(share * min(h, w / aspect))
    cw = max(int(ch * aspect), 1)
    y, x = rng.integers(0, h - ch + 1), rng.integers(0, max(w - cw, 0) + 1)
    crop = picture[y : y + ch, x : x + cw]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> np.ndarray:
    """Return 40 points (40, 2) of an ellipse turned by `angle` radians."""
    a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = rx * np.cos(a), ry * np.sin(a)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], -1)


_ALONG = np.array([0, 0.15, 0.35, 0.55, 0.8, 1.0])
_HALF_LEAF = np.stack([_ALONG, np.sin(np.pi * _ALONG**0.8)], -1)


def leaf(
    sketch: Sketch,
    base: np.ndarray,
    angle: float,
    length: float,
    colour: np.ndarray,
    broad: float = 0.3,
) -> None:
    """Paint one pointed leaf from `base` along `angle` (radians), its two halves lit
    differently."""
    c, s = length * math.cos(angle), length * math.sin(angle)
    turn = np.array([[c, s], [-broad * s, broad * c]])
    for side, tone in ((turn, 0.75), (turn * [[1], [-1]], 1.25)):
        sketch.polygon(_HALF_LEAF @ side + base, colour * tone)


GREENS = [
    linear(*c)
    for c in [
        (0.30, 0.35, 0.20),
        (0.24, 0.31, 0.19),
        (0.40, 0.43, 0.26),
        (0.20, 0.26, 0.18),
        (0.35, 0.39, 0.29),
        (0.45, 0.42, 0.27),
    ]
]
BROWNS = [
    linear(*c)
    for c in [
        (0.42, 0.33, 0.26),
        (0.35, 0.29, 0.24),
        (0.50, 0.40, 0.30),
        (0.30, 0.25, 0.22),
        (0.45, 0.27, 0.16),
    ]
]
GREYS = [
    linear(*c)
    for c in [
        (0.48, 0.47, 0.45),
        (0.40, 0.40, 0.41),
        (0.58, 0.56, 0.53),
        (0.33, 0.33, 0.34),
        (0.62, 0.58, 0.50),
    ]
]
WALLS = [
    linear(*c)
    for c in [
        (0.75, 0.70, 0.60),
        (0.62, 0.54, 0.46),
        (0.68, 0.67, 0.65),
        (0.80, 0.78, 0.74),
        (0.60, 0.42, 0.34),
        (0.55, 0.57, 0.60),
    ]
]
ACCENTS = [
    linear(*c)
    for c in [
        (0.70, 0.20, 0.20),
        (0.82, 0.42, 0.55),
        (0.84, 0.70, 0.28),
        (0.88, 0.86, 0.82),
        (0.48, 0.34, 0.52),
        (0.78, 0.45, 0.24),
        (0.30, 0.38, 0.52),
        (0.72, 0.69, 0.63),
    ]
]


def pick(rng: Generator, palette: Sequence[np.ndarray], amount: float = 0.15) -> np.ndarray:
    """Return a random colour of `palette`, varied a little."""
    return jitter(rng, palette[rng.integers(len(palette))], amount)
