"""What stands in focus: lamps, flowers, vases, signs; each paints itself, standing on its lower
edge.
"""

from collections.abc import Callable

import numpy as np

from bradcn_nb.scenes.sketch import (
    ACCENTS,
    BROWNS,
    GREENS,
    GREYS,
    WALLS,
    Colour,
    Generator,
    Sketch,
    ellipse,
    jitter,
    leaf,
    linear,
    pick,
)
from bradcn_nb.scenes.textures import Pyramid


def _globe(sketch: Sketch, rng: Generator) -> None:
    metal = linear(0.16, 0.16, 0.17)
    sketch.solid(np.array([[0.47, 0.5], [0.53, 0.5], [0.53, 1.05], [0.47, 1.05]]), metal, gloss=0.1)
    sketch.solid(
        ellipse(0.5, 0.3, 0.26, 0.26),
        jitter(rng, linear(0.66, 0.68, 0.66)),
        texture=0.06,
        gloss=0.35,
        seed=1,
    )
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
            leaf(
                sketch,
                stem[k],
                rng.uniform(-2.9, -0.2),
                rng.uniform(0.12, 0.26),
                jitter(rng, green, 0.2),
                0.2,
            )
        count, size = int(rng.integers(6, 15)), rng.uniform(0.1, 0.17)
        for ring in (1.0, 0.65):
            for k in range(count):
                a = 2 * np.pi * (k + ring) / count
                centre = head + ring * size * 0.6 * np.array([np.cos(a), 0.8 * np.sin(a)])
                outline = ellipse(*centre, ring * size * 0.55, ring * size * 0.3, a)
                sketch.solid(
                    outline,
                    jitter(rng, petal, 0.1) * (0.75 + 0.5 * (ring < 1)),
                    gloss=0.02,
                    texture=0.06,
                )
        sketch.solid(ellipse(*head, 0.035, 0.03), linear(0.75, 0.55, 0.12), gloss=0.0, texture=0.3)


def _plant(sketch: Sketch, rng: Generator) -> None:
    green = pick(rng, GREENS)
    root = np.array([0.5, 0.97])
    for tone in (0.4, 0.75, 1.2):
        for _ in range(int(rng.integers(9, 18))):
            a = rng.uniform(-2.9, -0.24)
            leaf(
                sketch,
                root + [rng.normal(0, 0.09), 0.0],
                a,
                rng.uniform(0.3, 0.85),
                jitter(rng, green * tone, 0.15),
                rng.uniform(0.08, 0.16),
            )


def _vase(sketch: Sketch, rng: Generator) -> None:
    y = np.linspace(0, 1, 24)
    knots = np.sort(rng.uniform(0.07, 0.27, 5))[rng.permutation(5)]
    half = np.interp(y, np.linspace(0, 1, 5), knots)
    half = np.convolve(np.pad(half, 3, "edge"), np.ones(7) / 7, "valid")
    left = np.stack([0.5 - half, 0.15 + 0.85 * y], -1)
    right = np.stack([0.5 + half, 0.15 + 0.85 * y], -1)
    colour = pick(rng, ACCENTS + WALLS)
    sketch.solid(
        np.concatenate([left, right[::-1]]),
        colour,
        gloss=rng.uniform(0, 0.6),
        texture=rng.uniform(0.02, 0.2),
    )
    for _ in range(int(rng.integers(0, 4))):
        i = int(rng.integers(3, 19))
        k = int(rng.integers(1, 4))
        band = np.concatenate([left[i : i + k + 1], right[i : i + k + 1][::-1]])
        sketch.solid(band, pick(rng, ACCENTS), gloss=0.1)


def _ball(sketch: Sketch, rng: Generator) -> None:
    colour = pick(rng, ACCENTS + WALLS)
    ribs = int(rng.integers(0, 6))
    sketch.solid(
        ellipse(0.5, 0.62, 0.38, 0.37), colour, gloss=rng.uniform(0, 0.5), texture=0.12, seed=2
    )
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
    cloth, skin, hair = (
        pick(rng, ACCENTS + GREYS),
        pick(rng, [linear(0.72, 0.55, 0.45), linear(0.5, 0.36, 0.28)]),
        pick(rng, BROWNS) * 0.4,
    )
    lean = rng.normal(0, 0.03)
    body = np.array(
        [[0.36, 0.42], [0.46, 0.33], [0.54, 0.33], [0.64, 0.42], [0.70, 1.03], [0.30, 1.03]]
    )
    for side in (-1, 1):
        arm = np.array([[0.12, 0.38], [0.17, 0.44], [0.2, 0.78], [0.14, 0.8]]) * [side, 1] + [
            0.5,
            0,
        ]
        sketch.solid(arm, cloth * 0.9)
    sketch.solid(body, cloth, texture=0.25, gloss=0.02)
    sketch.solid(ellipse(0.5 + lean, 0.19, 0.11, 0.14), hair, texture=0.3)
    sketch.solid(ellipse(0.5 + lean, 0.225, 0.085, 0.115), skin, texture=0.05, gloss=0.03)
    for side in (-1, 1):
        sketch.solid(
            ellipse(0.5 + lean + 0.035 * side, 0.215, 0.012, 0.008), linear(0.1, 0.08, 0.08)
        )
    sketch.line(
        np.array([[0.475, 0.285], [0.5, 0.292], [0.525, 0.285]]) + [lean, 0], 0.008, skin * 0.4
    )


def _stump(sketch: Sketch, rng: Generator) -> None:
    bark = pick(rng, BROWNS)
    w = rng.uniform(0.14, 0.3)
    sketch.solid(
        np.array([[0.5 - w, 0.3], [0.5 + w, 0.3], [0.5 + 1.1 * w, 1.03], [0.5 - 1.1 * w, 1.03]]),
        bark,
        texture=0.35,
        gloss=0.0,
    )
    sketch.solid(ellipse(0.5, 0.3, w, 0.06), bark * 1.6, texture=0.2, gloss=0.0)
    top = int(rng.integers(0, 3))
    if top:
        r = rng.uniform(0.08, 0.14)
        sketch.solid(ellipse(0.5, 0.3 - 0.8 * r, r, r), pick(rng, ACCENTS), gloss=0.3)


SUBJECTS: tuple[Callable[[Sketch, Generator], None], ...] = (
    (_globe,) * 3
    + (_flower,) * 4
    + (_plant,) * 3
    + (_vase,) * 2
    + (_ball,) * 2
    + (_sign,) * 3
    + (_statuette,)
    + (_stump,) * 2
)


def subject(rng: Generator, pixels: int, sun: Colour) -> Pyramid:
    """Return a random subject as a square sprite of about `pixels`, standing on its lower edge."""
    sketch = Sketch(pixels, 1.0, sun)
    SUBJECTS[rng.integers(len(SUBJECTS))](sketch, rng)
    return sketch.finish()
