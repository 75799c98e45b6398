"""Plants and shadows with an outline, premultiplied, in linear light; painted once and shared."""

from functools import lru_cache

import numpy as np

from bradcn_nb.scenes.sketch import (
    BROWNS,
    GREENS,
    Colour,
    Generator,
    Sketch,
    jitter,
    leaf,
    pick,
)
from bradcn_nb.scenes.textures import SIZE, Pyramid, noise, pyramid


@lru_cache(maxsize=8)
def foliage(kind: int) -> Pyramid:
    """Return a mass of leaves with ragged edges and gaps, 640 pixels square; four kinds."""
    rng = np.random.default_rng(500 + kind)
    sketch = Sketch(640, 1.0)
    field = noise(510 + kind, 1.3)
    dense = kind % 2 == 0
    for step, tone in enumerate((0.15, 0.4, 0.9, 1.6)):
        colour = GREENS[kind % 3] * tone
        for _ in range(260):
            x, y = rng.uniform(0.03, 0.97, 2)
            d = field[int(y * SIZE), int(x * SIZE)] - 2.2 * max(
                0, 2 * np.hypot(x - 0.5, y - 0.5) - 0.75
            )
            if d > (-0.9 if dense else -0.25) + 0.25 * step:
                length = rng.uniform(0.04, 0.09)
                lit = jitter(rng, colour, 0.35)
                if rng.random() < 0.012 * step:  # a leaf that mirrors or lets through the sun
                    lit = rng.uniform(0.6, 2.5) * np.array([0.9, 1.0, 0.75])
                leaf(sketch, np.array([x, y]), rng.uniform(0, 6.3), length, lit, 0.35)
    return sketch.finish()


def _branch(
    sketch: Sketch,
    rng: Generator,
    start: np.ndarray,
    angle: float,
    length: float,
    width: float,
    colour: Colour,
    leaves: float,
) -> None:
    steps = 6
    points = [start]
    for _ in range(steps):
        angle += rng.normal(0, 0.16)
        points.append(points[-1] + length / steps * np.array([np.cos(angle), np.sin(angle)]))
        if rng.random() < 0.55 and length > 0.06:
            turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
            _branch(
                sketch,
                rng,
                points[-1],
                angle + turn,
                length * rng.uniform(0.45, 0.7),
                width * 0.6,
                colour,
                leaves,
            )
        if rng.random() < leaves:
            leaf(
                sketch,
                points[-1],
                angle + rng.normal(0, 1),
                rng.uniform(0.02, 0.05),
                pick(rng, GREENS, 0.3),
                0.35,
            )
    sketch.line(np.array(points), width, colour)


@lru_cache(maxsize=8)
def branches(kind: int) -> Pyramid:
    """Return a bare (even) or sparsely leaved (odd) tree top, 640 pixels square, rooted at the
    bottom.
    """
    rng = np.random.default_rng(600 + kind)
    sketch = Sketch(640, 1.0)
    for _ in range(5):
        start = np.array([0.5 + rng.normal(0, 0.03), 1.0])
        _branch(
            sketch,
            rng,
            start,
            -np.pi / 2 + rng.normal(0, 0.4),
            rng.uniform(0.6, 0.9),
            0.02,
            pick(rng, BROWNS, 0.2) * 0.5,
            0.4 * (kind % 2),
        )
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
            sketch.polygon(
                np.concatenate([foot, tip[None]]), jitter(rng, GREENS[kind % 3] * tone, 0.25)
            )
    return sketch.finish()


@lru_cache(maxsize=1)
def shadow() -> Pyramid:
    """Return a soft dark blob, for contact with the ground; premultiplied black."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    picture = np.zeros((64, 64, 4), np.float32)
    picture[..., 3] = np.clip(1 - np.hypot(x, y), 0, 1) ** 1.5
    return pyramid(picture)


@lru_cache(maxsize=8)
def twig(kind: int) -> Pyramid:
    """Return a leaved twig that grows from the left edge of a sprite of 512 pixels square."""
    rng = np.random.default_rng(700 + kind)
    sketch = Sketch(512, 1.0)
    _branch(
        sketch,
        rng,
        np.array([0.0, rng.uniform(0.4, 0.6)]),
        rng.normal(0, 0.3),
        rng.uniform(0.4, 0.5),
        0.014,
        pick(rng, BROWNS) * 0.6,
        0.8,
    )
    green = pick(rng, GREENS)
    for _ in range(14):
        base = np.array([rng.uniform(0.05, 0.6), rng.uniform(0.35, 0.65)])
        leaf(
            sketch,
            base,
            rng.uniform(0, 6.3),
            rng.uniform(0.08, 0.16),
            jitter(rng, green, 0.3),
            0.35,
        )
    return sketch.finish()
