"""Plants and shadows with an outline, premultiplied, in linear light; painted once and shared."""

from functools import cache

import numpy as np
from numpy.random import Generator

from bradcn_nb.scenes.colours import BROWNS, GREENS, Colour, jitter, pick
from bradcn_nb.scenes.sketch import Sketch
from bradcn_nb.scenes.textures import SIZE, Pyramid, noise, pyramid


@cache
def foliage(kind: int) -> Pyramid:
    """Return a mass of leaves with ragged edges and gaps, 640 pixels square."""
    rng = np.random.default_rng(500 + kind)
    sketch = Sketch(640, 1.0)
    field = noise(510 + kind, 1.3)
    sparse = -0.25 if kind % 2 else -0.9
    for step, tone in enumerate((0.15, 0.4, 0.9, 1.6)):
        colour = GREENS[kind % 3] * tone
        for _ in range(260):
            x, y = rng.uniform(0.03, 0.97, 2)
            rim = max(0, 2 * np.hypot(x - 0.5, y - 0.5) - 0.75)
            if field[int(y * SIZE), int(x * SIZE)] - 2.2 * rim > sparse + 0.25 * step:
                length = rng.uniform(0.04, 0.09)
                lit = jitter(rng, colour, 0.35)
                if rng.random() < 0.012 * step:  # a leaf that mirrors or lets through the sun
                    lit = rng.uniform(0.6, 2.5) * np.array([0.9, 1.0, 0.75])
                sketch.leaf(np.array([x, y]), rng.uniform(0, 6.3), length, lit)
    return sketch.finish()


def _branch(
    sketch: Sketch,
    rng: Generator,
    tip: np.ndarray,
    angle: float,
    length: float,
    width: float,
    colour: Colour,
    leaves: float,
) -> None:
    """Paint a branch that grows from `tip` and forks, with `leaves` leaves at each of six joints.

    `angle` in radians; `length` and `width` in heights of the sprite; `leaves`: a probability.
    """
    points = [tip]
    for _ in range(6):
        angle += rng.normal(0, 0.16)
        tip = tip + length / 6 * np.array([np.cos(angle), np.sin(angle)])
        points.append(tip)
        if rng.random() < 0.55 and length > 0.06:
            turned = angle + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
            shorter = length * rng.uniform(0.45, 0.7)
            _branch(sketch, rng, tip, turned, shorter, width * 0.6, colour, leaves)
        if rng.random() < leaves:
            turned, size = angle + rng.normal(0, 1), rng.uniform(0.02, 0.05)
            sketch.leaf(tip, turned, size, pick(rng, GREENS, 0.3))
    sketch.line(np.array(points), width, colour)


@cache
def branches(kind: int) -> Pyramid:
    """Return a tree top, 640 pixels square, rooted at the bottom: bare (even) or in leaf (odd)."""
    rng = np.random.default_rng(600 + kind)
    sketch = Sketch(640, 1.0)
    for _ in range(5):
        root = np.array([0.5 + rng.normal(0, 0.03), 1.0])
        angle, length = -np.pi / 2 + rng.normal(0, 0.4), rng.uniform(0.6, 0.9)
        bark = pick(rng, BROWNS, 0.2) * 0.5
        _branch(sketch, rng, root, angle, length, 0.02, bark, 0.4 * (kind % 2))
    return sketch.finish()


@cache
def tufts(kind: int) -> Pyramid:
    """Return blades of grass along the lower edge, twice as wide as high."""
    rng = np.random.default_rng(650 + kind)
    sketch = Sketch(320, 2.0)
    for tone in (0.35, 0.7, 1.1):
        for _ in range(170):
            x, height = rng.uniform(0, 2), rng.uniform(0.25, 0.95) * rng.uniform(0.4, 1)
            blade = [[x - 0.012, 1], [x + 0.012, 1], [x + rng.normal(0, 0.18) * height, 1 - height]]
            sketch.polygon(blade, jitter(rng, GREENS[kind % 3] * tone, 0.25))
    return sketch.finish()


@cache
def twig(kind: int) -> Pyramid:
    """Return a leaved twig that grows from the left edge of a sprite of 512 pixels square."""
    rng = np.random.default_rng(700 + kind)
    sketch = Sketch(512, 1.0)
    root = np.array([0.0, rng.uniform(0.4, 0.6)])
    angle, length = rng.normal(0, 0.3), rng.uniform(0.4, 0.5)
    _branch(sketch, rng, root, angle, length, 0.014, pick(rng, BROWNS) * 0.6, 0.8)
    green = pick(rng, GREENS)
    for _ in range(14):
        base = np.array([rng.uniform(0.05, 0.6), rng.uniform(0.35, 0.65)])
        angle, length = rng.uniform(0, 6.3), rng.uniform(0.08, 0.16)
        sketch.leaf(base, angle, length, jitter(rng, green, 0.3))
    return sketch.finish()


@cache
def shadow() -> Pyramid:
    """Return a soft dark blob, for contact with the ground; premultiplied black."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    picture = np.zeros((64, 64, 4), np.float32)
    picture[..., 3] = np.clip(1 - np.hypot(x, y), 0, 1) ** 1.5
    return pyramid(picture)


KINDS = {foliage: 4, branches: 4, tufts: 3, twig: 5}


def any_of(paint, rng: Generator) -> Pyramid:
    """Return a random one of the plants that `paint`, a key of `KINDS`, can paint."""
    return paint(int(rng.integers(KINDS[paint])))
