"""Colours in linear light: palettes, and random variations of them."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from bradcn_nb.lens.thin_lens import srgb_to_linear

Colour = Sequence[float]


def linear(*srgb: float) -> np.ndarray:
    """Return an sRGB colour, three numbers in [0, 1], in linear light."""
    return np.asarray(srgb_to_linear(np.asarray(srgb, np.float32)), np.float64)


def jitter(rng: Generator, colour: Colour, amount: float = 0.12) -> np.ndarray:
    """Return `colour` with a random brightness and a smaller random hue."""
    return np.asarray(colour) * np.exp(rng.normal(0, amount)) * np.exp(rng.normal(0, amount / 3, 3))


def pick(rng: Generator, palette: Sequence[np.ndarray], amount: float = 0.15) -> np.ndarray:
    """Return a random colour of `palette`, varied a little."""
    return jitter(rng, palette[rng.integers(len(palette))], amount)


def _palette(*colours: str) -> list[np.ndarray]:
    """Return colours in linear light that are given as sRGB "red green blue" in percent."""
    return [linear(*(int(part) / 100 for part in colour.split())) for colour in colours]


GREENS = _palette("30 35 20", "24 31 19", "40 43 26", "20 26 18", "35 39 29", "45 42 27")
BROWNS = _palette("42 33 26", "35 29 24", "50 40 30", "30 25 22", "45 27 16")
GREYS = _palette("48 47 45", "40 40 41", "58 56 53", "33 33 34", "62 58 50")
WALLS = _palette("75 70 60", "62 54 46", "68 67 65", "80 78 74", "60 42 34", "55 57 60")
ACCENTS = _palette("70 20 20", "82 42 55", "84 70 28", "88 86 82", "48 34 52") + _palette(
    "78 45 24", "30 38 52", "72 69 63"
)
WOODS = BROWNS + _palette("72 58 42", "82 80 76", "22 17 15")
