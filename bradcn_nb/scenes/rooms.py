"""Indoor scenes as in SUN RGB-D: walls, floor, furniture built of boxes, and a depth sensor that errs.

The camera is a Kinect's, about 49 degrees high. Surfaces are painted far to near with a depth test,
so furniture may stand in any order.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bradcn_nb.optics import Camera, linear_to_srgb
from bradcn_nb.scenes import sprites
from bradcn_nb.scenes.sprites import ACCENTS, BROWNS, GREYS, WALLS, jitter, linear, pick
from bradcn_nb.scenes.surfaces import UNIT_SQUARE, Surface, View, draw
from bradcn_nb.scenes.textures import Pyramid, material, photograph, pyramid

Generator = np.random.Generator
KINECT = Camera(focal_mm=6.1, f_number=2.0, sensor_height_mm=5.57)
FOCAL = KINECT.focal_mm / KINECT.sensor_height_mm
STEPS_M = 351.0  # 1 / z moves one step per 1 / 351 m: 2.85 mm at 1 m, 71 mm at 5 m (Khoshelham and Elberink 2012)
WOODS = BROWNS + [linear(0.72, 0.58, 0.42), linear(0.82, 0.80, 0.76), linear(0.22, 0.17, 0.15)]


@dataclass
class Room:
    """Collects surfaces given in room coordinates (x right, y up, z ahead, metres; the eye at the origin's x, z).

    `turn` (3, 3) takes room directions to camera directions; `eye` is the camera's place in the room.
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
            Surface(o, u / repeat[0], v / repeat[1], texture, tint, UNIT_SQUARE * repeat, self._light, decal)
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
        self, centre: np.ndarray, size: np.ndarray, yaw: float, name: str, tint: np.ndarray, tile_m: float = 0.8
    ) -> None:
        """Add the faces of a box that the eye can see; `centre` is the middle of its bottom."""
        c, s = np.cos(yaw), np.sin(yaw)
        x, y, z = (np.array(a) for a in ([c, 0, -s], [0.0, 1, 0], [s, 0, c]))
        middle = np.asarray(centre) + y * size[1] / 2
        axes = [(x, size[0], y, size[1], z, size[2]), (x, size[0], z, size[2], y, size[1]), (z, size[2], y, size[1], x, size[0])]
        for a, la, b, lb, n, ln in axes:
            for sign in (-1, 1):
                face = middle + sign * n * ln / 2
                if sign * (n @ (self.eye - face)) > 0.01:
                    corner = face - a * la / 2 + b * lb / 2
                    self.face(corner, a * la, -b * lb, material(name), tint, tile_m)


def _shadow(room: Room, centre: np.ndarray, width: float, depth: float, yaw: float) -> None:
    c, s = np.cos(yaw), np.sin(yaw)
    u, v = 1.7 * width * np.array([c, 0, -s]), 1.7 * depth * np.array([s, 0, c])
    room.face(np.array([centre[0], 0.005, centre[2]]) - u / 2 - v / 2, u, v, sprites.shadow(), np.ones(3), decal=True)


def _table(room: Room, at: np.ndarray, yaw: float) -> float:
    rng = room.rng
    w, h, d = rng.uniform(0.8, 1.8), rng.uniform(0.42, 0.78), rng.uniform(0.6, 0.9)
    tint = pick(rng, WOODS)
    c, s = np.cos(yaw), np.sin(yaw)
    for i in (-1, 1):
        for j in (-1, 1):
            a, b = i * (w / 2 - 0.05), j * (d / 2 - 0.05)
            room.box(at + [a * c + b * s, 0, -a * s + b * c], (0.06, h, 0.06), yaw, "wood", tint * 0.8)
    room.box(at + [0, h, 0], (w, 0.04, d), yaw, "wood", tint)
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(-0.4, 0.4) * w, rng.uniform(-0.35, 0.35) * d
        place = at + [a * c + b * s, h + 0.04, -a * s + b * c]
        size = rng.uniform(0.06, 0.35, 3)
        room.box(place, size, rng.uniform(0, 3), str(rng.choice(["plaster", "fabric", "books"])), pick(rng, ACCENTS + GREYS), 0.3)
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
        room.box(at + [a * c, 0.42, -a * s], (0.4, 0.35, 0.12), yaw + rng.normal(0, 0.3), "fabric", pick(rng, ACCENTS))


def _bed(room: Room, at: np.ndarray, yaw: float) -> None:
    rng = room.rng
    w, wood = rng.uniform(0.9, 1.8), pick(rng, WOODS)
    c, s = np.cos(yaw), np.sin(yaw)
    room.box(at, (w, 0.25, 2.0), yaw, "wood", wood)
    room.box(at + [0, 0.25, 0], (w - 0.05, 0.22, 1.95), yaw, "fabric", pick(rng, ACCENTS + WALLS))
    room.box(at + [1.0 * s, 0, 1.0 * c], (w, 0.95, 0.06), yaw, "wood", wood)
    room.box(at + [0.75 * s, 0.47, 0.75 * c], (0.6, 0.13, 0.4), yaw, "fabric", linear(0.88, 0.87, 0.85))


def _cabinet(room: Room, at: np.ndarray, yaw: float) -> None:
    rng = room.rng
    size = np.array([rng.uniform(0.5, 1.2), rng.uniform(0.5, 2.1), rng.uniform(0.35, 0.6)])
    name = str(rng.choice(["wood", "books", "books", "plaster"]))
    room.box(at, size, yaw, name, np.ones(3) if name == "books" else pick(rng, WOODS), 1.2)
    if size[1] < 1.3 and rng.random() < 0.6:
        room.box(at + [0, size[1], 0], rng.uniform(0.1, 0.45, 3), yaw, "plaster", pick(rng, ACCENTS + GREYS))


FURNITURE = (_table, _table, _chair, _chair, _sofa, _bed, _cabinet, _cabinet)


def _wall_things(room: Room, half: float, far: float, height: float) -> None:
    """Hang pictures, a window and a door on the far wall and the side walls."""
    rng = room.rng
    walls = [
        (np.array([-half, 0, far - 0.01]), np.array([1.0, 0, 0]), 2 * half),
        (np.array([-half + 0.01, 0, 0.0]), np.array([0, 0, 1.0]), far),
        (np.array([half - 0.01, 0, 0.0]), np.array([0, 0, 1.0]), far),
    ]
    up = np.array([0, 1.0, 0])
    for corner, along, length in walls:
        for _ in range(int(rng.integers(0, 4))):
            kind = rng.choice(["picture", "picture", "window", "door"])
            w, h, y = {
                "picture": (rng.uniform(0.3, 1.0), rng.uniform(0.3, 0.8), rng.uniform(1.1, 1.5)),
                "window": (rng.uniform(0.7, 1.4), rng.uniform(0.8, 1.2), 0.9),
                "door": (0.9, 2.05, 0.0),
            }[str(kind)]
            if length < w + 0.4 or y + h > height:
                continue
            origin = corner + along * rng.uniform(0.2, length - w - 0.2) + up * (y + h)
            u, v = along * w, -up * h
            room.face(origin - 0.05 * along + 0.05 * up, along * (w + 0.1), -up * (h + 0.1), material("wood"), pick(rng, WOODS), 0.8, decal=True)
            if kind == "picture":
                name = str(rng.choice(["chelsea", "coffee", "astronaut", "china", "rocket", "flower"]))
                crop = sprites.random_crop(rng, photograph(name), w / h)
                room.face(origin, u, v, pyramid(crop[::2, ::2]), 0.8 * np.ones(3), decal=True)
            elif kind == "window":
                room.face(origin, u, v, material("overcast"), linear(0.9, 0.94, 1.0) * rng.uniform(1.5, 4), decal=True)
            else:
                room.face(origin, u, v, material("wood"), pick(rng, WOODS), 0.8, decal=True)


def _build(rng: Generator) -> list[Surface]:
    half, far, height = rng.uniform(1.4, 3.2), rng.uniform(2.6, 8.5), rng.uniform(2.3, 3.0)
    yaw, pitch = rng.normal(0, 0.35), rng.uniform(-0.02, 0.42)
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    # Room (y up) to camera (y down): turn by yaw about the vertical, then look down by pitch.
    turn = np.array([[1, 0, 0], [0, -cp, -sp], [0, -sp, cp]]) @ np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    eye = np.array([rng.uniform(-0.5, 0.5) * half, rng.uniform(1.0, 1.7), rng.uniform(0.2, 0.6)])
    lamps = [(np.array([rng.uniform(-0.6, 0.6) * half, height - 0.2, rng.uniform(0.2, 0.9) * far]), rng.uniform(0.8, 2.2))]
    lamps.append((np.array([rng.choice([-1, 1]) * (half - 0.2), 1.6, rng.uniform(0.3, 0.8) * far]), rng.uniform(0.2, 1.2)))
    room = Room(rng, turn, eye, lamps, [])
    wall, back = pick(rng, WALLS, 0.1), -1.0
    x, y, z = np.eye(3)
    kind, palette, tile = [("planks", BROWNS, 0.9), ("carpet", GREYS, 0.6), ("tiles", WALLS, 1.6), ("carpet", BROWNS, 0.6), ("wood", WOODS, 1.2)][rng.integers(5)]
    room.face(np.array([-half, 0, back]), 2 * half * x, (far - back) * z, material(kind), pick(rng, palette), tile)
    room.face(np.array([-half, height, back]), 2 * half * x, (far - back) * z, material("plaster"), linear(0.85, 0.85, 0.84), 2.0)
    paper = str(rng.choice(["plaster", "plaster", "plaster", "bricks"]))
    room.face(np.array([-half, height, far]), 2 * half * x, -height * y, material(paper), wall, 1.5)
    for side in (-half, half):
        room.face(np.array([side, height, back]), (far - back) * z, -height * y, material("plaster"), wall * rng.uniform(0.9, 1.05), 1.5)
    _wall_things(room, half, far, height)
    if rng.random() < 0.4:
        w, d = rng.uniform(1.0, 2.0), rng.uniform(1.0, 2.0)
        room.face(np.array([rng.uniform(-half, half - w), 0.004, rng.uniform(1, max(far - d, 1.1))]), w * x, d * z, material("fabric"), pick(rng, ACCENTS) * 0.8, 0.5, decal=True)
    for _ in range(int(rng.integers(2, 9))):
        at = np.array([rng.uniform(-0.85, 0.85) * half, 0, eye[2] + rng.uniform(0.22, 0.95) * (far - eye[2])])
        if np.hypot(*(at - eye)[[0, 2]]) < 1.1:
            continue
        turned = rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + rng.normal(0, 0.15)
        _shadow(room, at, 1.0, 0.9, turned)
        FURNITURE[rng.integers(len(FURNITURE))](room, at, turned)
    return room.surfaces


@dataclass(frozen=True)
class RoomScene:
    """An indoor scene of one seed, seen by an RGB-D camera."""

    seed: int

    def pinhole(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the picture, (h, w, 3) sRGB in [0, 1], and its true depth (h, w) in metres."""
        rng = np.random.default_rng([self.seed, 11])
        view = View(height, width, FOCAL)
        frame = np.zeros((height, width, 3), np.float32)
        inverse = np.full((height, width), 1e-3, np.float32)
        for surface in _build(rng):
            layer = draw(surface, view)
            if layer is None:
                continue
            a, b, c = layer.plane_in_pixels(height, width)
            x0, y0 = layer.origin
            h, w = layer.rgba.shape[:2]
            plane = a * np.arange(x0, x0 + w)[None] + b * np.arange(y0, y0 + h)[:, None] + c
            region = np.s_[y0 : y0 + h, x0 : x0 + w]
            # A decal lies on its wall and must win against it; other surfaces must be nearer.
            seen = plane > inverse[region] * (0.99 if surface.decal else 1.0)
            alpha = layer.rgba[..., 3:] * seen[..., None]
            frame[region] = frame[region] * (1 - alpha) + layer.rgba[..., :3] * seen[..., None]
            if not surface.decal:
                covered = alpha[..., 0] >= 0.5
                inverse[region][covered] = plane[covered]
        exposure = rng.uniform(0.13, 0.26) / np.exp(np.log(frame.mean(2) + 1e-2).mean())
        light = frame * exposure * jitter(rng, np.ones(3), 0.06)
        light = light + 0.012 * np.sqrt(np.maximum(light, 0) + 0.03) * rng.standard_normal(light.shape)
        return linear_to_srgb(np.clip(light, 0, 1).astype(np.float32)), 1 / inverse

    def sensed(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return picture, raw depth with holes (0) and noise, and the filled depth; metres, float32.

        Noise grows with the square of depth, as a structured-light sensor's does (Khoshelham and
        Elberink 2012); holes open beside nearer edges, on dark patches and at random.
        """
        image, depth = self.pinhole(height, width)
        rng = np.random.default_rng([self.seed, 12])
        disparity = STEPS_M / depth + 0.5 * rng.standard_normal(depth.shape)
        raw = (STEPS_M / np.maximum(np.round(disparity), 1)).astype(np.float32)
        inverse = (1 / depth).astype(np.float32)
        shift = max(1, width // 64)
        shadowed = np.roll(inverse, -shift, axis=1) - inverse > 0.06
        shadowed[:, -shift:] = False
        blotches = cv2.GaussianBlur(rng.standard_normal(depth.shape), (0, 0), height / 25)
        blotches = blotches > np.quantile(blotches, 0.985)
        dark = image.max(2) < 0.06
        raw[shadowed | blotches | dark | (raw > 10)] = 0
        filled = (STEPS_M / np.maximum(np.round(STEPS_M / depth), 1)).astype(np.float32)
        return image, raw, filled


def room_scene(seed: int) -> RoomScene:
    """Return the indoor scene of a seed; the same seed is the same room at every size."""
    return RoomScene(seed)
