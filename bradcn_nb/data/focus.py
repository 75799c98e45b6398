"""What is to be sharp in a photograph, as people say it, and where that is in its depth."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bradcn_nb.data.faces import find_faces
from bradcn_nb.errors import PhotoError
from bradcn_nb.lens.by_depth import FOCUS_WINDOW, default_focus
from bradcn_nb.lens.focus import Span, check_span, span_at, subject_span

FACE_PART = 0.25  # of its size: half the square about its middle whose median depth is a face's


class Percent(NamedTuple):
    """A place in a picture of any size: % of its width from the left, % of its height from the top.

    The middle is Percent(50, 50).
    """

    x: float
    y: float

    def pixel(self, height: int, width: int) -> tuple[float, float]:
        """Return the pixel (x, y) of a picture; 100 % is its last one."""
        return self.x / 100 * (width - 1), self.y / 100 * (height - 1)


Place = tuple[float, float] | Percent
Focus = Place | list[Place] | Span | str | None


def pixels_of(path: str | Path, focus: Focus, height: int, width: int) -> list[tuple[float, float]]:
    """The places among what is to be sharp, in pixels; raises PhotoError for one outside."""
    if focus is None or isinstance(focus, (str, Span)):
        return []
    places = []
    for place in focus if isinstance(focus, list) else [focus]:
        x, y = place.pixel(height, width) if isinstance(place, Percent) else place
        if not (0 <= x < width and 0 <= y < height):
            raise PhotoError(
                f"{path}: focus {x:g},{y:g} is outside the picture; "
                f"give X below {width} and Y below {height}"
            )
        places.append((x, y))
    return places


def found_span(
    path: str | Path,
    focus: Focus,
    places: list[tuple[float, float]],
    metres: np.ndarray,
    seen: np.ndarray,
) -> tuple[Span, str]:
    """What is to be sharp in a picture (H,W,3) with a depth (H,W), and what that is, in words."""
    if isinstance(focus, Span):
        return check_span(focus, metres), "sharp"
    if focus == "subject":
        return subject_span(metres), "sharp: the subject"
    if focus == "face":
        faces = find_faces(seen)
        if not faces:
            raise PhotoError(
                f"{path}: no face found; faces are found upright, from the front and a twentieth "
                "of the picture wide; else give --focus X,Y"
            )
        height, width = metres.shape
        where = " ".join(f"{100 * f.x / width:.0f}%,{100 * f.y / height:.0f}%" for f in faces)
        span = span_at(metres, [(f.x, f.y, FACE_PART * f.size) for f in faces])
        return span, f"sharp: {len(faces)} face{'s' * (len(faces) > 1)} at {where}"
    if not places:
        metre = default_focus(metres)
        return Span(metre, metre), "sharp: the nearer part of the middle"
    half = FOCUS_WINDOW * min(metres.shape)
    return span_at(metres, [(x, y, half) for x, y in places]), "sharp"


def in_words(span: Span) -> str:
    """A span as people say it."""
    near, far = (f"{end:.2f} m" for end in span)
    return f"at {near}" if near == far else f"from {near} to {far}".replace("inf m", "infinity")
