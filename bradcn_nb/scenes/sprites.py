"""Things with an outline, painted as premultiplied pictures in linear light: leaves, trees, subjects.

Coordinates run over the sprite's height: x in [0, aspect], y in [0, 1] downwards. Sprites are drawn at
twice their resolution and averaged, so their edges are anti-aliased.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np

from bradcn_nb.optics import srgb_to_linear
from bradcn_nb.scenes.textures import SIZE, Pyramid, noise, photograph, pyramid

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
        return pyramid(cv2.resize(self.canvas, (max(w // 2, 1), h // 2), interpolation=cv2.INTER_AREA))


def random_crop(rng: Generator, picture: np.ndarray, aspect: float, least: float = 0.5) -> np.ndarray:
    """Return a random crop of the given width / height, `least` to all of what fits, often mirrored."""
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
    """Paint one pointed leaf from `base` along `angle` (radians), its two halves lit differently."""
    c, s = length * math.cos(angle), length * math.sin(angle)
    turn = np.array([[c, s], [-broad * s, broad * c]])
    for side, tone in ((turn, 0.75), (turn * [[1], [-1]], 1.25)):
        sketch.polygon(_HALF_LEAF @ side + base, colour * tone)


GREENS = [linear(*c) for c in [(0.30, 0.35, 0.20), (0.24, 0.31, 0.19), (0.40, 0.43, 0.26), (0.20, 0.26, 0.18), (0.35, 0.39, 0.29), (0.45, 0.42, 0.27)]]
BROWNS = [linear(*c) for c in [(0.42, 0.33, 0.26), (0.35, 0.29, 0.24), (0.50, 0.40, 0.30), (0.30, 0.25, 0.22), (0.45, 0.27, 0.16)]]
GREYS = [linear(*c) for c in [(0.48, 0.47, 0.45), (0.40, 0.40, 0.41), (0.58, 0.56, 0.53), (0.33, 0.33, 0.34), (0.62, 0.58, 0.50)]]
WALLS = [linear(*c) for c in [(0.75, 0.70, 0.60), (0.62, 0.54, 0.46), (0.68, 0.67, 0.65), (0.80, 0.78, 0.74), (0.60, 0.42, 0.34), (0.55, 0.57, 0.60)]]
ACCENTS = [linear(*c) for c in [(0.70, 0.20, 0.20), (0.82, 0.42, 0.55), (0.84, 0.70, 0.28), (0.88, 0.86, 0.82), (0.48, 0.34, 0.52), (0.78, 0.45, 0.24), (0.30, 0.38, 0.52), (0.72, 0.69, 0.63)]]


def pick(rng: Generator, palette: Sequence[np.ndarray], amount: float = 0.15) -> np.ndarray:
    """Return a random colour of `palette`, varied a little."""
    return jitter(rng, palette[rng.integers(len(palette))], amount)


@lru_cache(maxsize=8)
def foliage(kind: int) -> Pyramid:
    """Return a mass of leaves with ragged edges and gaps, 640 pixels square; four kinds."""
    rng = np.random.default_rng(500 + kind)
    sketch = Sketch(640, 1.0)
    field = noise(510 + kind, 1.3)
    dense = kind % 2 == 0
    for step, tone in enumerate((0.15, 0.4, 0.9, 1.6)):
        colour = GREENS[kind % 3] * tone
        for _ in range(900):
            x, y = rng.uniform(0.03, 0.97, 2)
            d = field[int(y * SIZE), int(x * SIZE)] - 2.2 * max(0, 2 * np.hypot(x - 0.5, y - 0.5) - 0.75)
            if d > (-0.9 if dense else -0.25) + 0.25 * step:
                length = rng.uniform(0.016, 0.038)
                lit = jitter(rng, colour, 0.35)
                if rng.random() < 0.012 * step:  # a leaf that mirrors or lets through the sun
                    lit = rng.uniform(0.6, 2.5) * np.array([0.9, 1.0, 0.75])
                leaf(sketch, np.array([x, y]), rng.uniform(0, 6.3), length, lit, 0.35)
    return sketch.finish()


def _branch(sketch: Sketch, rng: Generator, start: np.ndarray, angle: float, length: float, width: float, colour: Colour, leaves: float) -> None:
    steps = 6
    points = [start]
    for _ in range(steps):
        angle += rng.normal(0, 0.16)
        points.append(points[-1] + length / steps * np.array([np.cos(angle), np.sin(angle)]))
        if rng.random() < 0.55 and length > 0.06:
            turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
            _branch(sketch, rng, points[-1], angle + turn, length * rng.uniform(0.45, 0.7), width * 0.6, colour, leaves)
        if rng.random() < leaves:
            leaf(sketch, points[-1], angle + rng.normal(0, 1), rng.uniform(0.02, 0.05), pick(rng, GREENS, 0.3), 0.35)
    sketch.line(np.array(points), width, colour)


@lru_cache(maxsize=8)
def branches(kind: int) -> Pyramid:
    """Return a bare (even) or sparsely leaved (odd) tree top, 640 pixels square, rooted at the bottom."""
    rng = np.random.default_rng(600 + kind)
    sketch = Sketch(640, 1.0)
    for _ in range(5):
        start = np.array([0.5 + rng.normal(0, 0.03), 1.0])
        _branch(sketch, rng, start, -np.pi / 2 + rng.normal(0, 0.4), rng.uniform(0.6, 0.9), 0.02, pick(rng, BROWNS, 0.2) * 0.5, 0.4 * (kind % 2))
    return sketch.finish()


@lru_cache(maxsize=4)
def tufts(kind: int) -> Pyramid:
    """Return blades of grass along the lower edge, twice as wide as high."""
    rng = np.random.default_rng(650 + kind)
    sketch = Sketch(320, 2.0)
    for tone in (0.35, 0.7, 1.1):
        for _ in range(170):
            x, height = rng.uniform(0, 2), rng.uniform(0.25, 0.95) * rng.uniform(0.4, 1)
            tip = np.array([x + rng.normal(0, 0.18) * height, 1 - height])
            foot = np.array([[x - 0.012, 1.0], [x + 0.012, 1.0]])
            sketch.polygon(np.concatenate([foot, tip[None]]), jitter(rng, GREENS[kind % 3] * tone, 0.25))
    return sketch.finish()


def shadow() -> Pyramid:
    """Return a soft dark blob, for contact with the ground; premultiplied black."""
    return _shadow()


@lru_cache(maxsize=1)
def _shadow() -> Pyramid:
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    picture = np.zeros((64, 64, 4), np.float32)
    picture[..., 3] = np.clip(1 - np.hypot(x, y), 0, 1) ** 1.5
    return pyramid(picture)


# --- subjects: each paints itself on a sketch of aspect 1 that stands on its lower edge ---


def _globe(sketch: Sketch, rng: Generator) -> None:
    metal = linear(0.16, 0.16, 0.17)
    sketch.solid(np.array([[0.47, 0.5], [0.53, 0.5], [0.53, 1.05], [0.47, 1.05]]), metal, gloss=0.1)
    sketch.solid(ellipse(0.5, 0.3, 0.26, 0.26), jitter(rng, linear(0.66, 0.68, 0.66)), texture=0.06, gloss=0.35, seed=1)
    sketch.solid(ellipse(0.5, 0.55, 0.12, 0.03), metal, gloss=0.1)


def _flower(sketch: Sketch, rng: Generator) -> None:
    green, petal = pick(rng, GREENS), pick(rng, ACCENTS, 0.1)
    lean = rng.normal(0, 0.06)
    for _ in range(int(rng.integers(1, 4))):
        head = np.array([0.5 + rng.normal(0, 0.16), rng.uniform(0.18, 0.38)])
        t = np.linspace(0, 1, 12)[:, None]
        stem = head * (1 - t) + np.array([0.5 + lean, 1.02]) * t + np.sin(np.pi * t) * [[lean, 0]]
        sketch.line(stem, 0.016, green * 0.8)
        for k in rng.integers(3, 11, 5):
            leaf(sketch, stem[k], rng.uniform(-2.9, -0.2), rng.uniform(0.12, 0.26), jitter(rng, green, 0.2), 0.2)
        count, size = int(rng.integers(6, 15)), rng.uniform(0.1, 0.17)
        for ring in (1.0, 0.65):
            for k in range(count):
                a = 2 * np.pi * (k + ring) / count
                centre = head + ring * size * 0.6 * np.array([np.cos(a), 0.8 * np.sin(a)])
                outline = ellipse(*centre, ring * size * 0.55, ring * size * 0.3, a)
                sketch.solid(outline, jitter(rng, petal, 0.1) * (0.75 + 0.5 * (ring < 1)), gloss=0.02, texture=0.06)
        sketch.solid(ellipse(*head, 0.035, 0.03), linear(0.75, 0.55, 0.12), gloss=0.0, texture=0.3)


def _plant(sketch: Sketch, rng: Generator) -> None:
    green = pick(rng, GREENS)
    root = np.array([0.5, 0.97])
    for tone in (0.4, 0.75, 1.2):
        for _ in range(int(rng.integers(9, 18))):
            a = rng.uniform(-2.9, -0.24)
            leaf(sketch, root + [rng.normal(0, 0.09), 0.0], a, rng.uniform(0.3, 0.85), jitter(rng, green * tone, 0.15), rng.uniform(0.08, 0.16))


def _vase(sketch: Sketch, rng: Generator) -> None:
    y = np.linspace(0, 1, 24)
    knots = np.sort(rng.uniform(0.07, 0.27, 5))[rng.permutation(5)]
    half = np.interp(y, np.linspace(0, 1, 5), knots)
    half = np.convolve(np.pad(half, 3, "edge"), np.ones(7) / 7, "valid")
    left = np.stack([0.5 - half, 0.15 + 0.85 * y], -1)
    right = np.stack([0.5 + half, 0.15 + 0.85 * y], -1)
    colour = pick(rng, ACCENTS + WALLS)
    sketch.solid(np.concatenate([left, right[::-1]]), colour, gloss=rng.uniform(0, 0.6), texture=rng.uniform(0.02, 0.2))
    for _ in range(int(rng.integers(0, 4))):
        i = int(rng.integers(3, 19))
        k = int(rng.integers(1, 4))
        band = np.concatenate([left[i : i + k + 1], right[i : i + k + 1][::-1]])
        sketch.solid(band, pick(rng, ACCENTS), gloss=0.1)


def _ball(sketch: Sketch, rng: Generator) -> None:
    colour = pick(rng, ACCENTS + WALLS)
    ribs = int(rng.integers(0, 6))
    sketch.solid(ellipse(0.5, 0.62, 0.38, 0.37), colour, gloss=rng.uniform(0, 0.5), texture=0.12, seed=2)
    for k in range(ribs):
        width = 0.36 * abs(np.cos(np.pi * (k + 0.5) / ribs))
        arc = ellipse(0.5, 0.62, width, 0.36)
        sketch.line(arc, 0.008, colour * 0.35)


def _sign(sketch: Sketch, rng: Generator) -> None:
    metal = pick(rng, GREYS) * 0.6
    sketch.solid(np.array([[0.46, 0.5], [0.54, 0.5], [0.54, 1.05], [0.46, 1.05]]), metal)
    w, h = rng.uniform(0.3, 0.46), rng.uniform(0.24, 0.32)
    box = (0.5 - w, 0.38 - h, 0.5 + w, 0.38 + h)
    frame = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    sketch.solid((frame - [0.5, 0.38]) * 1.07 + [0.5, 0.38], metal)
    sketch.picture(str(rng.choice(["chelsea", "coffee", "astronaut", "rocket"])), box, rng)


def _statuette(sketch: Sketch, rng: Generator) -> None:
    cloth, skin, hair = pick(rng, ACCENTS + GREYS), pick(rng, [linear(0.72, 0.55, 0.45), linear(0.5, 0.36, 0.28)]), pick(rng, BROWNS) * 0.4
    lean = rng.normal(0, 0.03)
    body = np.array([[0.36, 0.42], [0.46, 0.33], [0.54, 0.33], [0.64, 0.42], [0.70, 1.03], [0.30, 1.03]])
    for side in (-1, 1):
        arm = np.array([[0.12, 0.38], [0.17, 0.44], [0.2, 0.78], [0.14, 0.8]]) * [side, 1] + [0.5, 0]
        sketch.solid(arm, cloth * 0.9)
    sketch.solid(body, cloth, texture=0.25, gloss=0.02)
    sketch.solid(ellipse(0.5 + lean, 0.19, 0.11, 0.14), hair, texture=0.3)
    sketch.solid(ellipse(0.5 + lean, 0.225, 0.085, 0.115), skin, texture=0.05, gloss=0.03)
    for side in (-1, 1):
        sketch.solid(ellipse(0.5 + lean + 0.035 * side, 0.215, 0.012, 0.008), linear(0.1, 0.08, 0.08))
    sketch.line(np.array([[0.475, 0.285], [0.5, 0.292], [0.525, 0.285]]) + [lean, 0], 0.008, skin * 0.4)


def _stump(sketch: Sketch, rng: Generator) -> None:
    bark = pick(rng, BROWNS)
    w = rng.uniform(0.14, 0.3)
    sketch.solid(np.array([[0.5 - w, 0.3], [0.5 + w, 0.3], [0.5 + 1.1 * w, 1.03], [0.5 - 1.1 * w, 1.03]]), bark, texture=0.35, gloss=0.0)
    sketch.solid(ellipse(0.5, 0.3, w, 0.06), bark * 1.6, texture=0.2, gloss=0.0)
    top = int(rng.integers(0, 3))
    if top:
        r = rng.uniform(0.08, 0.14)
        sketch.solid(ellipse(0.5, 0.3 - 0.8 * r, r, r), pick(rng, ACCENTS), gloss=0.3)


SUBJECTS: tuple[Callable[[Sketch, Generator], None], ...] = (
    (_globe,) * 3 + (_flower,) * 4 + (_plant,) * 3 + (_vase,) * 2 + (_ball,) * 2 + (_sign,) * 3
    + (_statuette,) + (_stump,) * 2
)


def subject(rng: Generator, pixels: int, sun: Colour) -> Pyramid:
    """Return a random subject as a square sprite of about `pixels`, standing on its lower edge."""
    sketch = Sketch(pixels, 1.0, sun)
    SUBJECTS[rng.integers(len(SUBJECTS))](sketch, rng)
    return sketch.finish()


@lru_cache(maxsize=8)
def twig(kind: int) -> Pyramid:
    """Return a leaved twig that grows from the left edge of a sprite of 512 pixels square."""
    rng = np.random.default_rng(700 + kind)
    sketch = Sketch(512, 1.0)
    _branch(sketch, rng, np.array([0.0, rng.uniform(0.3, 0.7)]), rng.normal(0, 0.3), rng.uniform(0.6, 0.9), 0.014, pick(rng, BROWNS) * 0.6, 0.8)
    green = pick(rng, GREENS)
    for _ in range(14):
        base = np.array([rng.uniform(0.1, 0.9), rng.uniform(0.25, 0.75)])
        leaf(sketch, base, rng.uniform(0, 6.3), rng.uniform(0.08, 0.16), jitter(rng, green, 0.3), 0.35)
    return sketch.finish()
