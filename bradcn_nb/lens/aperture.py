"""The aperture's shape: what a point of light out of focus becomes, round, with blades, or cut.

Behind the focus light has crossed over before it meets the sensor, before the focus it has not yet:
a near disc is a far one turned by half a turn. Of a round aperture nobody can tell.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from bradcn_nb.errors import BradcnError

FEWEST_BLADES, MOST_BLADES = 3, 24  # with more, a disc of any size on a picture looks round
BLADE_CURVE = 0.25  # of a blade, from straight (0) to an arc of the whole circle (1)
TILES = 14  # on the short side; the discs of all lamps in a tile are cut alike, see `_cut_discs`


class Aperture(NamedTuple):
    """The opening of a lens.

    - `blades`: 0 is round; else a polygon of so many slightly curved sides
    - `cat_eye`: 0 to 1, how far in radii the lens's tube has moved over the opening, seen from the
      picture's corner; in proportion nearer to the middle. At 1 a corner's disc keeps 39 % of its
      area. It is no darker for it: the fall of light towards the corners is in the photograph
    """

    blades: int = 0
    cat_eye: float = 0.0

    def check(self) -> None:
        """Raise BradcnError for a shape that no lens has."""
        if self.blades and not FEWEST_BLADES <= self.blades <= MOST_BLADES:
            raise BradcnError(
                f"blades {self.blades}: give {FEWEST_BLADES} to {MOST_BLADES}, or 0 for round"
            )
        if not 0 <= self.cat_eye <= 1:
            raise BradcnError(f"cat-eye {self.cat_eye:g}: give 0 to 1")

    def extent(self, radius_px: float) -> float:
        """How far in pixels a disc of `radius_px` reaches from its middle: a polygon's corner."""
        return radius_px * (_corner(self.blades) if self.blades else 1)


ROUND = Aperture()


def aperture_kernel(
    radius_px: float, blades: int = 0, cut: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """What a point behind the focus becomes, (2k+1,2k+1) float32 of sum 1, with a soft rim.

    - `radius_px`: of the disc in pixels; a polygon has the disc's area, so light stays as bright
    - `blades`: 0 is round; else the polygon's sides, a corner up
    - `cut`: (x, y) in radii, how far the tube's circle stands off the opening; what lies in both is
      lit. Both stand off by half of it, so the light's middle stays where it was

    Every side is an arc: the kernel is where a pixel lies within all of them.
    """
    reach = int(np.ceil(max(Aperture(blades).extent(radius_px) - 0.5, 0)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    right, down = (radius_px * side / 2 for side in cut)
    kernel = np.ones(y.shape)
    for angle, back, bend in _arcs(blades):
        side = np.hypot(
            y + down - radius_px * back * math.sin(angle),
            x + right - radius_px * back * math.cos(angle),
        )
        kernel = np.minimum(kernel, np.clip(radius_px * bend + 0.5 - side, 0, 1))
    if right or down:
        tube = np.hypot(y - down, x - right)
        kernel = np.minimum(kernel, np.clip(radius_px + 0.5 - tube, 0, 1))
    return (kernel / kernel.sum()).astype(np.float32)


def disc_kernel(radius_px: float) -> np.ndarray:
    """A uniform disc with an anti-aliased rim, (2k+1,2k+1) float32 of sum 1; radius in pixels."""
    return aperture_kernel(radius_px)


def spread(
    planes: Iterable[np.ndarray],
    signed_px: float,
    shape: Aperture,
    corner: tuple[int, int],
    frame: tuple[int, int],
) -> Iterator[np.ndarray]:
    """Planes (h,w) float32 at one depth through an aperture; mirrored at their borders.

    - `signed_px`: the disc's radius in pixels, positive before the focus
    - `corner`: row and column of the planes' first pixel in the picture
    - `frame`: the picture's height and width, for what is cut by its place
    """
    if shape.cat_eye and signed_px:
        yield from _cut_discs(np.stack([*planes]), signed_px, shape, corner, frame)
        return
    disc = aperture_kernel(abs(signed_px), shape.blades)
    disc = disc if signed_px > 0 else disc[::-1, ::-1]  # OpenCV correlates: it turns what it draws
    for plane in planes:
        yield cv2.filter2D(plane, -1, disc, borderType=cv2.BORDER_REFLECT_101)


def _cut_discs(
    planes: np.ndarray,
    signed_px: float,
    shape: Aperture,
    corner: tuple[int, int],
    frame: tuple[int, int],
) -> np.ndarray:
    """`spread` where the tube cuts the discs by their place in the picture: planes (C,h,w).

    The picture is split into square tiles by where light comes from, and the light of each spreads
    over its neighbours through the tile's own kernel, so every lamp is one disc with one rim; tiles
    blended by where light arrives would draw two. The sum is divided by what a plane of ones
    becomes, since the kernels of two tiles do not add up to 1 where they meet: what is flat stays
    flat, and on a slope the tiles stay below one grey level (a test compares with smaller ones).
    Cost: a tile is convolved, by FFT, at its size and a disc's around it, and only where it is lit.
    """
    import scipy.fft  # half a second that a round aperture need not wait

    radius = abs(signed_px)
    reach = int(np.ceil(shape.extent(radius))) + 1
    _, height, width = planes.shape
    ones = np.ones((1, height, width), np.float32)
    border = ((0, 0), (reach, reach), (reach, reach))
    padded = np.pad(np.concatenate([ones, planes]), border, mode="reflect")
    total = np.zeros((len(padded), height + 4 * reach, width + 4 * reach), np.float32)
    step = max(8, math.ceil(min(frame) / TILES))
    half_diagonal = math.hypot(*frame) / 2
    for rows, y in _cells(corner[0] - reach, padded.shape[1], step, frame[0]):
        for columns, x in _cells(corner[1] - reach, padded.shape[2], step, frame[1]):
            light = padded[:, rows, columns]
            if not light[1:].any():
                light = light[:1]
            off = (shape.cat_eye * (place / half_diagonal) for place in (x, y))
            disc = aperture_kernel(radius, shape.blades, tuple(off))
            disc = disc if signed_px < 0 else disc[::-1, ::-1]
            size = [a + b - 1 for a, b in zip(light.shape[1:], disc.shape, strict=True)]
            fast = [scipy.fft.next_fast_len(side, real=True) for side in size]
            lit = scipy.fft.rfft2(light, fast) * scipy.fft.rfft2(disc, fast)
            lit = scipy.fft.irfft2(lit, fast)[:, : size[0], : size[1]]
            top, left = (
                place.start + reach - side // 2
                for place, side in zip((rows, columns), disc.shape, strict=True)
            )
            total[: len(light), top : top + size[0], left : left + size[1]] += lit
    inner = slice(2 * reach, 2 * reach + height), slice(2 * reach, 2 * reach + width)
    ones, *result = total[:, *inner]
    return np.stack(result) / ones


def _cells(first: int, count: int, step: int, length: int) -> Iterator[tuple[slice, float]]:
    """Slices of `count` pixels cut at the picture's multiples of `step`, each with its middle.

    `first` is the first pixel's place along a side of `length` pixels. The middle is as seen from
    the picture's, and none lies outside it: what is mirrored there has its border's discs.
    """
    for start in range(first // step * step, first + count, step):
        middle = min(max(start + step / 2, 0), length) - length / 2
        yield slice(max(start - first, 0), min(start + step - first, count)), middle


def _corner(blades: int) -> float:
    """The distance of a polygon's corners from its middle, where its area is that of radius 1."""
    half = math.pi / blades
    bend = _bend(half)
    angle = 2 * math.asin(math.sin(half) / bend)
    segment = bend**2 * (angle - math.sin(angle)) / 2  # between a side's arc and its chord
    return math.sqrt(math.pi / (blades * (math.sin(2 * half) / 2 + segment)))


def _bend(half: float) -> float:
    """Radius of a side's arc; its corners lie on the circle of radius 1, `half` off its middle."""
    rise = BLADE_CURVE * (1 - math.cos(half))
    return (math.sin(half) ** 2 + rise**2) / (2 * rise)


def _arcs(blades: int) -> list[tuple[float, float, float]]:
    """The sides as arcs: the angle, place along it and radius of each; in radii of the disc."""
    if not blades:
        return [(0.0, 0.0, 1.0)]
    half = math.pi / blades
    corner, bend = _corner(blades), _bend(half)
    peak = math.cos(half) + BLADE_CURVE * (1 - math.cos(half))
    up = -math.pi / 2  # rows count downwards
    return [(up + (2 * k + 1) * half, corner * (peak - bend), corner * bend) for k in range(blades)]
