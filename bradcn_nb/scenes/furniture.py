"""A room's surfaces and the furniture that is built of boxes in it; metres."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from bradcn_nb.scenes import sprites
from bradcn_nb.scenes.colours import ACCENTS, GREYS, WALLS, WOODS, linear, pick
from bradcn_nb.scenes.surfaces import Surface, panel
from bradcn_nb.scenes.textures import Pyramid


@dataclass
class Room:
    """Collects surfaces given in room coordinates: x right, y up, z ahead, metres.

    * `turn`: (3, 3), takes room directions to camera directions.
    * `eye`: the camera's place in the room.
    * `lamps`: the place and the power of each.
    """

    rng: Generator
    turn: np.ndarray
    eye: np.ndarray
    lamps: list[tuple[tuple[float, float, float], float]]
    surfaces: list[Surface] = field(default_factory=list)

    def face(
        self,
        origin: Sequence[float],
        u: np.ndarray,
        v: np.ndarray,
        texture: str | Pyramid,
        tint: np.ndarray,
        tile_m: float | None = None,
        decal: bool = False,
    ) -> None:
        """Add the parallelogram that `u` and `v` span from `origin`.

        `tile_m`: the size of a tiling texture; None stretches it once. The rest as in `panel`.
        """
        u, v, repeat = self.turn @ u, self.turn @ v, (1.0, 1.0)
        if tile_m is not None:
            repeat = (np.linalg.norm(u) / tile_m, np.linalg.norm(v) / tile_m)
        origin = self.turn @ (origin - self.eye)
        self.surfaces.append(panel(origin, u, v, texture, tint, repeat, self._light, decal))

    def _light(self, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Return the light that lamps and walls throw on points in camera coordinates."""
        light = np.full(points.shape[:2], 0.4, np.float32)
        for place, power in self.lamps:
            way = (self.turn @ (place - self.eye)).astype(np.float32) - points
            square = np.einsum("hwc,hwc->hw", way, way) + 0.3
            light += power * np.maximum(way @ normal.astype(np.float32), 0) / square**1.2
        height = points @ self.turn[:, 1].astype(np.float32) + self.eye[1]
        return (light * (1 - 0.35 * np.exp(-4 * np.maximum(height, 0))))[..., None]


@dataclass
class Piece:
    """A piece of furniture that stands at `at` on the floor of a room, turned by `yaw` radians."""

    room: Room
    at: np.ndarray
    yaw: float

    def box(
        self,
        place: tuple[float, float, float],
        size: tuple[float, float, float],
        texture: str,
        tint: np.ndarray,
        tile_m: float = 0.8,
        yaw: float | None = None,
    ) -> None:
        """Add those faces of a box that the eye can see.

        * `place`: the middle of the box's bottom, from `at` along the piece's own axes.
        * `size`: width, height, depth; `yaw`: its turn in radians, the piece's unless given.
        * `texture`, `tint`, `tile_m`: as in `Room.face`.
        """
        x, _, z = _axes(self.yaw)
        axes = _axes(self.yaw if yaw is None else yaw)
        bottom = self.at + (place[0] * x + [0, place[1], 0] + place[2] * z)
        middle = bottom + axes[1] * size[1] / 2
        for a, b, n in ((0, 1, 2), (0, 2, 1), (2, 1, 0)):
            u, v = axes[a] * size[a], axes[b] * size[b]
            for sign in (-1, 1):
                face = middle + sign * axes[n] * size[n] / 2
                if sign * (axes[n] @ (self.room.eye - face)) > 0.01:
                    self.room.face(face - u / 2 + v / 2, u, -v, texture, tint, tile_m)

    def shadow(self) -> None:
        """Darken the floor under the piece."""
        x, _, z = _axes(self.yaw)
        u, v = 1.7 * x, 1.7 * 0.9 * z
        corner = np.array([self.at[0], 0.005, self.at[2]]) - u / 2 - v / 2
        self.room.face(corner, u, v, sprites.shadow(), np.ones(3), decal=True)


def _axes(yaw: float) -> np.ndarray:
    """Return what is right, up and ahead for somebody turned by `yaw` radians, (3, 3)."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def _table(piece: Piece, rng: Generator) -> None:
    w, h, d = rng.uniform(0.8, 1.8), rng.uniform(0.42, 0.78), rng.uniform(0.6, 0.9)
    tint = pick(rng, WOODS)
    for i in (-1, 1):
        for j in (-1, 1):
            leg = i * (w / 2 - 0.05), 0, j * (d / 2 - 0.05)
            piece.box(leg, (0.06, h, 0.06), "wood", tint * 0.8)
    piece.box((0, h, 0), (w, 0.04, d), "wood", tint)
    for _ in range(int(rng.integers(0, 5))):
        place = rng.uniform(-0.4, 0.4) * w, h + 0.04, rng.uniform(-0.35, 0.35) * d
        size, yaw = rng.uniform(0.06, 0.35, 3), rng.uniform(0, 3)
        name = str(rng.choice(["plaster", "fabric", "books"]))
        piece.box(place, size, name, pick(rng, ACCENTS + GREYS), 0.3, yaw)


def _chair(piece: Piece, rng: Generator) -> None:
    tint, seat = pick(rng, WOODS), pick(rng, ACCENTS + GREYS)
    for x in (-0.2, 0.2):
        for z in (-0.2, 0.2):
            piece.box((x, 0, z), (0.04, 0.44, 0.04), "wood", tint)
    piece.box((0, 0.44, 0), (0.46, 0.06, 0.46), "fabric", seat)
    piece.box((0, 0.5, 0.21), (0.46, 0.45, 0.04), "fabric", seat * 0.9)


def _sofa(piece: Piece, rng: Generator) -> None:
    w, tint = rng.uniform(0.9, 2.1), pick(rng, ACCENTS + GREYS) * 0.8
    piece.box((0, 0, 0), (w, 0.42, 0.8), "fabric", tint)
    piece.box((0, 0.42, 0.35), (w, 0.42, 0.2), "fabric", tint * 0.9)
    for x in (-w / 2, w / 2):
        piece.box((x, 0, 0), (0.18, 0.6, 0.85), "fabric", tint * 0.95)
    for _ in range(int(rng.integers(0, 3))):
        place, askew = (rng.uniform(-0.3, 0.3) * w, 0.42, 0), rng.normal(0, 0.3)
        piece.box(place, (0.4, 0.35, 0.12), "fabric", pick(rng, ACCENTS), yaw=piece.yaw + askew)


def _bed(piece: Piece, rng: Generator) -> None:
    w, wood = rng.uniform(0.9, 1.8), pick(rng, WOODS)
    piece.box((0, 0, 0), (w, 0.25, 2.0), "wood", wood)
    piece.box((0, 0.25, 0), (w - 0.05, 0.22, 1.95), "fabric", pick(rng, ACCENTS + WALLS))
    piece.box((0, 0, 1), (w, 0.95, 0.06), "wood", wood)
    piece.box((0, 0.47, 0.75), (0.6, 0.13, 0.4), "fabric", linear(0.88, 0.87, 0.85))


def _cabinet(piece: Piece, rng: Generator) -> None:
    w, h, d = rng.uniform(0.5, 1.2), rng.uniform(0.5, 2.1), rng.uniform(0.35, 0.6)
    name = str(rng.choice(["wood", "books", "books", "plaster"]))
    piece.box((0, 0, 0), (w, h, d), name, np.ones(3) if name == "books" else pick(rng, WOODS), 1.2)
    if h < 1.3 and rng.random() < 0.6:
        piece.box((0, h, 0), rng.uniform(0.1, 0.45, 3), "plaster", pick(rng, ACCENTS + GREYS))


FURNITURE = (_table, _table, _chair, _chair, _sofa, _bed, _cabinet, _cabinet)
