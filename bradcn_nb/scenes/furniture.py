"""A room's surfaces and the furniture that is built of boxes in it; metres."""

from dataclasses import dataclass

import numpy as np

from bradcn_nb.scenes import sprites
from bradcn_nb.scenes.sketch import ACCENTS, BROWNS, GREYS, WALLS, Generator, linear, pick
from bradcn_nb.scenes.surfaces import UNIT_SQUARE, Surface
from bradcn_nb.scenes.textures import Pyramid, material

WOODS = BROWNS + [linear(0.72, 0.58, 0.42), linear(0.82, 0.80, 0.76), linear(0.22, 0.17, 0.15)]


@dataclass
class Room:
    """Collects surfaces given in room coordinates (x right, y up, z ahead, metres; the eye at the
    origin's x, z).

    `turn` (3, 3) takes room directions to camera directions; `eye` is the camera's place in the
    room.
    """

    rng: Generator
    turn: np.ndarray
    eye: np.ndarray
    lamps: list[tuple[np.ndarray, float]]
    surfaces: list[Surface]

    def face(
        self,
        origin: np.ndarray,
        u: np.ndarray,
        v: np.ndarray,
        texture: Pyramid,
        tint: np.ndarray,
        tile_m: float | None = None,
        decal: bool = False,
    ) -> None:
        """Add a parallelogram; `tile_m` is the size of a tiling texture, None stretches it once."""
        o, u, v = self.turn @ (origin - self.eye), self.turn @ u, self.turn @ v
        repeat = (1.0, 1.0)
        if tile_m is not None:
            repeat = (np.linalg.norm(u) / tile_m, np.linalg.norm(v) / tile_m)
        self.surfaces.append(
            Surface(
                o,
                u / repeat[0],
                v / repeat[1],
                texture,
                tint,
                UNIT_SQUARE * repeat,
                self._light,
                decal,
            )
        )

    def _light(self, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Return the light that lamps and walls throw on points in camera coordinates."""
        light = np.full(points.shape[:2], 0.4, np.float32)
        for place, power in self.lamps:
            way = (self.turn @ (place - self.eye)).astype(np.float32) - points
            square = np.einsum("hwc,hwc->hw", way, way) + 0.3
            light += power * np.maximum(way @ normal.astype(np.float32), 0) / square**1.2
        height = points @ self.turn[:, 1].astype(np.float32) + self.eye[1]
        return (light * (1 - 0.35 * np.exp(-4 * np.maximum(height, 0))))[..., None]

    def box(
        self,
        centre: np.ndarray,
        size: np.ndarray,
        yaw: float,
        name: str,
        tint: np.ndarray,
        tile_m: float = 0.8,
    ) -> None:
        """Add the faces of a box that the eye can see; `centre` is the middle of its bottom."""
        c, s = np.cos(yaw), np.sin(yaw)
        x, y, z = (np.array(a) for a in ([c, 0, -s], [0.0, 1, 0], [s, 0, c]))
        middle = np.asarray(centre) + y * size[1] / 2
        axes = [
            (x, size[0], y, size[1], z, size[2]),
            (x, size[0], z, size[2], y, size[1]),
            (z, size[2], y, size[1], x, size[0]),
        ]
        for a, la, b, lb, n, ln in axes:
            for sign in (-1, 1):
                face = middle + sign * n * ln / 2
                if sign * (n @ (self.eye - face)) > 0.01:
                    corner = face - a * la / 2 + b * lb / 2
                    self.face(corner, a * la, -b * lb, material(name), tint, tile_m)


def floor_shadow(room: Room, centre: np.ndarray, width: float, depth: float, yaw: float) -> None:
    c, s = np.cos(yaw), np.sin(yaw)
    u, v = 1.7 * width * np.array([c, 0, -s]), 1.7 * depth * np.array([s, 0, c])
    room.face(
        np.array([centre[0], 0.005, centre[2]]) - u / 2 - v / 2,
        u,
        v,
        sprites.shadow(),
        np.ones(3),
        decal=True,
    )


def _table(room: Room, at: np.ndarray, yaw: float) -> float:
    rng = room.rng
    w, h, d = rng.uniform(0.8, 1.8), rng.uniform(0.42, 0.78), rng.uniform(0.6, 0.9)
    tint = pick(rng, WOODS)
    c, s = np.cos(yaw), np.sin(yaw)
    for i in (-1, 1):
        for j in (-1, 1):
            a, b = i * (w / 2 - 0.05), j * (d / 2 - 0.05)
            room.box(
                at + [a * c + b * s, 0, -a * s + b * c], (0.06, h, 0.06), yaw, "wood", tint * 0.8
            )
    room.box(at + [0, h, 0], (w, 0.04, d), yaw, "wood", tint)
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(-0.4, 0.4) * w, rng.uniform(-0.35, 0.35) * d
        place = at + [a * c + b * s, h + 0.04, -a * s + b * c]
        size = rng.uniform(0.06, 0.35, 3)
        room.box(
            place,
            size,
            rng.uniform(0, 3),
            str(rng.choice(["plaster", "fabric", "books"])),
            pick(rng, ACCENTS + GREYS),
            0.3,
        )
    return h


def _chair(room: Room, at: np.ndarray, yaw: float) -> None:
    rng = room.rng
    tint, seat = pick(rng, WOODS), pick(rng, ACCENTS + GREYS)
    c, s = np.cos(yaw), np.sin(yaw)
    for a in (-0.2, 0.2):
        for b in (-0.2, 0.2):
            room.box(at + [a * c + b * s, 0, -a * s + b * c], (0.04, 0.44, 0.04), yaw, "wood", tint)
    room.box(at + [0, 0.44, 0], (0.46, 0.06, 0.46), yaw, "fabric", seat)
    room.box(at + [0.21 * s, 0.5, 0.21 * c], (0.46, 0.45, 0.04), yaw, "fabric", seat * 0.9)


def _sofa(room: Room, at: np.ndarray, yaw: float) -> None:
    rng = room.rng
    w, tint = rng.uniform(0.9, 2.1), pick(rng, ACCENTS + GREYS) * 0.8
    c, s = np.cos(yaw), np.sin(yaw)
    room.box(at, (w, 0.42, 0.8), yaw, "fabric", tint)
    room.box(at + [0.35 * s, 0.42, 0.35 * c], (w, 0.42, 0.2), yaw, "fabric", tint * 0.9)
    for a in (-w / 2, w / 2):
        room.box(at + [a * c, 0, -a * s], (0.18, 0.6, 0.85), yaw, "fabric", tint * 0.95)
    for _ in range(int(rng.integers(0, 3))):
        a = rng.uniform(-0.3, 0.3) * w
        room.box(
            at + [a * c, 0.42, -a * s],
            (0.4, 0.35, 0.12),
            yaw + rng.normal(0, 0.3),
            "fabric",
            pick(rng, ACCENTS),
        )


def _bed(room: Room, at: np.ndarray, yaw: float) -> None:
    rng = room.rng
    w, wood = rng.uniform(0.9, 1.8), pick(rng, WOODS)
    c, s = np.cos(yaw), np.sin(yaw)
    room.box(at, (w, 0.25, 2.0), yaw, "wood", wood)
    room.box(at + [0, 0.25, 0], (w - 0.05, 0.22, 1.95), yaw, "fabric", pick(rng, ACCENTS + WALLS))
    room.box(at + [1.0 * s, 0, 1.0 * c], (w, 0.95, 0.06), yaw, "wood", wood)
    room.box(
        at + [0.75 * s, 0.47, 0.75 * c], (0.6, 0.13, 0.4), yaw, "fabric", linear(0.88, 0.87, 0.85)
    )


def _cabinet(room: Room, at: np.ndarray, yaw: float) -> None:
    rng = room.rng
    size = np.array([rng.uniform(0.5, 1.2), rng.uniform(0.5, 2.1), rng.uniform(0.35, 0.6)])
    name = str(rng.choice(["wood", "books", "books", "plaster"]))
    room.box(at, size, yaw, name, np.ones(3) if name == "books" else pick(rng, WOODS), 1.2)
    if size[1] < 1.3 and rng.random() < 0.6:
        room.box(
            at + [0, size[1], 0],
            rng.uniform(0.1, 0.45, 3),
            yaw,
            "plaster",
            pick(rng, ACCENTS + GREYS),
        )


FURNITURE = (_table, _table, _chair, _chair, _sofa, _bed, _cabinet, _cabinet)
