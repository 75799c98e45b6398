"""Indoor scenes as in SUN RGB-D: walls, floor, furniture built of boxes, and a depth sensor that
errs.

The camera is a Kinect's, about 49 degrees high. Surfaces are painted far to near with a depth test,
so furniture may stand in any order.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bradcn_nb.lens.thin_lens import Camera, linear_to_srgb
from bradcn_nb.scenes import sketch
from bradcn_nb.scenes.furniture import FURNITURE, WOODS, Room, floor_shadow
from bradcn_nb.scenes.sketch import ACCENTS, BROWNS, GREYS, WALLS, Generator, jitter, linear, pick
from bradcn_nb.scenes.surfaces import Surface, View, draw
from bradcn_nb.scenes.textures import material, photograph, pyramid

SURFACES = ("floor", "ceiling", "wall", "furniture")
SHELL = ("floor", "ceiling", "wall", "wall", "wall")  # what `_build` begins with, in its order
KINECT = Camera(focal_mm=6.1, f_number=2.0, sensor_height_mm=5.57)
FOCAL = KINECT.focal_mm / KINECT.sensor_height_mm
# 1 / z moves one step per 1 / 351 m: 2.85 mm at 1 m, 71 mm at 5 m (Khoshelham and Elberink 2012).
STEPS_M = 351.0


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
            room.face(
                origin - 0.05 * along + 0.05 * up,
                along * (w + 0.1),
                -up * (h + 0.1),
                material("wood"),
                pick(rng, WOODS),
                0.8,
                decal=True,
            )
            if kind == "picture":
                name = str(
                    rng.choice(["chelsea", "coffee", "astronaut", "china", "rocket", "flower"])
                )
                crop = sketch.random_crop(rng, photograph(name), w / h)
                room.face(origin, u, v, pyramid(crop[::2, ::2]), 0.8 * np.ones(3), decal=True)
            elif kind == "window":
                room.face(
                    origin,
                    u,
                    v,
                    material("overcast"),
                    linear(0.9, 0.94, 1.0) * rng.uniform(1.5, 4),
                    decal=True,
                )
            else:
                room.face(origin, u, v, material("wood"), pick(rng, WOODS), 0.8, decal=True)


def _build(rng: Generator) -> list[Surface]:
    half, far, height = rng.uniform(1.4, 3.2), rng.uniform(2.6, 8.5), rng.uniform(2.3, 3.0)
    yaw, pitch = rng.normal(0, 0.35), rng.uniform(-0.02, 0.42)
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    # Room (y up) to camera (y down): turn by yaw about the vertical, then look down by pitch.
    turn = np.array([[1, 0, 0], [0, -cp, -sp], [0, -sp, cp]]) @ np.array(
        [[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]
    )
    eye = np.array([rng.uniform(-0.5, 0.5) * half, rng.uniform(1.0, 1.7), rng.uniform(0.2, 0.6)])
    lamps = [
        (
            np.array([rng.uniform(-0.6, 0.6) * half, height - 0.2, rng.uniform(0.2, 0.9) * far]),
            rng.uniform(0.8, 2.2),
        )
    ]
    lamps.append(
        (
            np.array([rng.choice([-1, 1]) * (half - 0.2), 1.6, rng.uniform(0.3, 0.8) * far]),
            rng.uniform(0.2, 1.2),
        )
    )
    room = Room(rng, turn, eye, lamps, [])
    wall, back = pick(rng, WALLS, 0.1), -1.0
    x, y, z = np.eye(3)
    kind, palette, tile = [
        ("planks", BROWNS, 0.9),
        ("carpet", GREYS, 0.6),
        ("tiles", WALLS, 1.6),
        ("carpet", BROWNS, 0.6),
        ("wood", WOODS, 1.2),
    ][rng.integers(5)]
    room.face(
        np.array([-half, 0, back]),
        2 * half * x,
        (far - back) * z,
        material(kind),
        pick(rng, palette),
        tile,
    )
    room.face(
        np.array([-half, height, back]),
        2 * half * x,
        (far - back) * z,
        material("plaster"),
        linear(0.85, 0.85, 0.84),
        2.0,
    )
    paper = str(rng.choice(["plaster", "plaster", "plaster", "bricks"]))
    room.face(np.array([-half, height, far]), 2 * half * x, -height * y, material(paper), wall, 1.5)
    for side in (-half, half):
        room.face(
            np.array([side, height, back]),
            (far - back) * z,
            -height * y,
            material("plaster"),
            wall * rng.uniform(0.9, 1.05),
            1.5,
        )
    _wall_things(room, half, far, height)
    if rng.random() < 0.4:
        w, d = rng.uniform(1.0, 2.0), rng.uniform(1.0, 2.0)
        room.face(
            np.array([rng.uniform(-half, half - w), 0.004, rng.uniform(1, max(far - d, 1.1))]),
            w * x,
            d * z,
            material("fabric"),
            pick(rng, ACCENTS) * 0.8,
            0.5,
            decal=True,
        )
    for _ in range(int(rng.integers(2, 9))):
        at = np.array(
            [rng.uniform(-0.85, 0.85) * half, 0, eye[2] + rng.uniform(0.22, 0.95) * (far - eye[2])]
        )
        if np.hypot(*(at - eye)[[0, 2]]) < 1.1:
            continue
        turned = rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + rng.normal(0, 0.15)
        floor_shadow(room, at, 1.0, 0.9, turned)
        FURNITURE[rng.integers(len(FURNITURE))](room, at, turned)
    return room.surfaces


def _paint(
    surfaces: list[Surface], height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return linear light (h, w, 3), inverse depth (h, w) and whose depth it is: indices (h, w)."""
    view = View(height, width, FOCAL)
    frame = np.zeros((height, width, 3), np.float32)
    inverse = np.full((height, width), 1e-3, np.float32)
    owner = np.zeros((height, width), int)
    for index, surface in enumerate(surfaces):
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
            owner[region][covered] = index
    return frame, inverse, owner


@dataclass(frozen=True)
class RoomScene:
    """An indoor scene of one seed, seen by an RGB-D camera."""

    seed: int

    def pinhole(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the picture, (h, w, 3) sRGB in [0, 1], and its true depth (h, w) in metres."""
        rng = np.random.default_rng([self.seed, 11])
        frame, inverse, _ = _paint(_build(rng), height, width)
        exposure = rng.uniform(0.13, 0.26) / np.exp(np.log(frame.mean(2) + 1e-2).mean())
        light = frame * exposure * jitter(rng, np.ones(3), 0.06)
        light = light + 0.012 * np.sqrt(np.maximum(light, 0) + 0.03) * rng.standard_normal(
            light.shape
        )
        return linear_to_srgb(np.clip(light, 0, 1).astype(np.float32)), 1 / inverse

    def surfaces(self, height: int, width: int) -> np.ndarray:
        """Return what each pixel shows, uint8 (h, w), an index into `SURFACES`.

        What hangs flat on a wall or lies flat on the floor belongs to it, as its depth does.
        """
        _, _, owner = _paint(_build(np.random.default_rng([self.seed, 11])), height, width)
        kinds = np.full(max(owner.max() + 1, len(SHELL)), SURFACES.index("furniture"), np.uint8)
        kinds[: len(SHELL)] = [SURFACES.index(kind) for kind in SHELL]
        return kinds[owner]

    def sensed(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return picture, raw depth with holes (0) and noise, and the filled depth; metres,
        float32.

        Noise grows with the square of depth, as a structured-light sensor's does (Khoshelham and
        Elberink 2012); holes open beside nearer edges, on dark patches and at random.
        """
        image, depth = self.pinhole(height, width)
        rng = np.random.default_rng([self.seed, 12])
        disparity = STEPS_M / depth + 0.2 * rng.standard_normal(depth.shape)  # then rounded
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
