"""What every container of depth comes down to: a picture, and what its numbers mean."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


class DamagedError(Exception):
    """Depth that is there and cannot be read; says why, without the file's name."""


@dataclass(frozen=True)
class Stored:
    """Depth as a file holds it.

    - `where`: the container's name, for people
    - `picture`: a JPEG's or PNG's bytes, or pixels (h,w) that are upright already
    - `metres`: turns the picture's numbers in [0,1] into metres; beyond infinity is +inf
    - `notes`: what had to be assumed
    - `made_for`: width and height of the photograph it was made for, if it says so
    """

    where: str
    picture: bytes | np.ndarray
    metres: Callable[[np.ndarray], np.ndarray]
    notes: tuple[str, ...] = ()
    made_for: tuple[int, int] | None = None


def number(properties: dict[str, str], name: str) -> float:
    """Return a property as a finite number; raises DamagedError if it is missing or none."""
    try:
        value = float(properties[name])
    except KeyError:
        raise DamagedError(f"its {name} is missing") from None
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DamagedError(f"its {name} is {properties[name]!r}, no number")
    return value
