"""Outdoor scenes with a subject in focus, as in EBB!: subject, ground, middle ground, background,
sky.

The camera is EBB!'s: 50 mm at f/1.8 before a 14.9 mm high sensor, focused on a subject that is
0.75 to 1.7 m away, so a distant point turns into a disc of 6 to 13 % of the image height.
"""

import numpy as np

from bradcn_nb.lens.reference import Layer
from bradcn_nb.scenes import sprites
from bradcn_nb.scenes.painter import (
    CAMERA,
    FOCAL,
    WHITE,
    Painter,
    building,
    contact_shadow,
    foliage_wall,
    lights,
    paint_ground,
    paint_sky,
    photo_backdrop,
    sprite_pixels,
    trunk,
)
from bradcn_nb.scenes.scene import Recipe, Scene
from bradcn_nb.scenes.sketch import BROWNS, GREENS, Generator, Sketch, jitter, leaf, pick
from bradcn_nb.scenes.subjects import subject
from bradcn_nb.scenes.surfaces import UNIT_SQUARE, Surface, View
from bradcn_nb.scenes.textures import Pyramid


def _midground(p: Painter, ground_y, near: float, far: float, light: float) -> None:
    """Place one to five things between subject and background, the furthest first."""
    rng = p.rng
    for z in np.sort(np.exp(rng.uniform(np.log(near), np.log(far), rng.integers(1, 6))))[::-1]:
        x, foot = rng.uniform(-0.85, 0.85), ground_y(z)
        kind = rng.choice(["trunk", "bush", "tree", "thing", "thing"])
        if kind == "trunk":
            trunk(p, z, x, foot, rng.uniform(0.05, 0.16) * FOCAL / z, light)
        elif kind == "bush":
            size = rng.uniform(0.4, 1.0) * FOCAL / z
            contact_shadow(p, z, foot, x, 0.8 * size, 0)
            p.upright(
                sprites.foliage(int(rng.integers(4))),
                z,
                (x - size, foot - 1.5 * size, x + size, foot + 0.1 * size),
                jitter(rng, WHITE, 0.2) * light,
            )
        elif kind == "tree":
            size = rng.uniform(0.8, 1.8) * FOCAL / z
            p.upright(
                sprites.branches(int(rng.integers(4))),
                z,
                (x - size, foot - 2 * size, x + size, foot),
                jitter(rng, WHITE, 0.2) * light,
            )
        else:
            size = rng.uniform(0.15, 0.5) * FOCAL / z
            contact_shadow(p, z, foot, x, 0.5 * size, 0)
            p.upright(
                subject(rng, sprite_pixels(p.view, 2 * size), p.sun),
                z,
                (x - size, foot - 2 * size, x + size, foot),
                WHITE * light,
            )


def _eye_level(p: Painter, focus: float, sky: np.ndarray) -> None:
    """Paint a subject before a background without ground: a wall of leaves, houses, a
    photograph."""
    rng = p.rng
    light = rng.uniform(0.6, 1.2)
    z = focus * rng.uniform(3.5, 9)
    kind = rng.choice(["foliage", "building", "photo", "both"], p=[0.4, 0.2, 0.2, 0.2])
    if kind == "photo":
        photo_backdrop(p, z)
    if kind in ("building", "both"):
        building(p, z * rng.uniform(1.2, 2.5), light)
    if kind in ("foliage", "both"):
        foliage_wall(p, z, rng.uniform(-0.9, 0.0), 0.6, light)
    if kind != "building" and rng.random() < 0.5:
        lights(p, z * 0.98, -0.5, 0.4)
    _midground(p, lambda z: 0.75, 1.5 * focus, z, light)


def _standing(p: Painter, focus: float, sky: np.ndarray) -> float:
    """Paint ground up to a horizon with background and middle ground; return the subject's foot in
    the frame.
    """
    rng = p.rng
    light = rng.uniform(0.7, 1.2)
    horizon = rng.uniform(-0.32, -0.02)
    pitch = np.arctan(-horizon / FOCAL)
    foot = rng.uniform(0.28, 0.6)
    height = (foot - horizon) * focus / FOCAL * np.cos(pitch)

    def ground_y(z: float) -> float:
        return horizon + (foot - horizon) * focus / z

    kind = rng.choice(["foliage", "building", "photo", "both"], p=[0.35, 0.2, 0.2, 0.25])
    far = rng.uniform(6, 18)
    if kind == "photo":
        photo_backdrop(p, 30.0)
    if kind in ("building", "both"):
        building(p, far * 1.6, light)
    paint_ground(p, height, pitch, light)
    if kind in ("foliage", "both"):
        foliage_wall(p, far, horizon - rng.uniform(0.1, 0.6), ground_y(far) + 0.03, light)
    if kind != "building" and rng.random() < 0.5:
        lights(p, far * 0.9, -0.5, horizon)
    _midground(p, ground_y, 1.4 * focus, 0.9 * far, light)
    return foot


def _looking_down(p: Painter, focus: float, sky: np.ndarray) -> None:
    """Paint ground that fills the frame, strewn with leaves, behind a subject that stands up from
    it.
    """
    rng = p.rng
    light = rng.uniform(0.6, 1.1)
    pitch = rng.uniform(0.7, 1.3)
    distance = focus * rng.uniform(1.6, 3.0)  # along the axis
    height = distance * np.sin(pitch)
    ground = paint_ground(p, height, pitch, light, far=30.0)
    for _ in range(int(rng.integers(0, 25))):
        x, y = rng.uniform(-0.9, 0.9), rng.uniform(-0.6, 0.6)
        ray = np.array([x / FOCAL, y / FOCAL, 1])
        normal = np.cross(ground.u, ground.v)
        point = ray * (normal @ ground.origin) / (normal @ ray)
        size = rng.uniform(0.03, 0.1)
        turn = rng.uniform(0, 6.3)
        a, b = ground.u / np.linalg.norm(ground.u), ground.v / np.linalg.norm(ground.v)
        u, v = np.cos(turn) * a + np.sin(turn) * b, np.cos(turn) * b - np.sin(turn) * a
        tint = pick(rng, BROWNS + GREENS, 0.3) * light * 4
        p.add(
            Surface(
                point - size / 2 * (u + v), u * size, v * size, _leaf_sprite(), tint, UNIT_SQUARE
            )
        )
    if rng.random() < 0.5:
        z, size = focus * rng.uniform(1.15, 1.5), rng.uniform(0.3, 0.6)
        x, y = rng.uniform(-0.8, 0.8), rng.choice([-0.45, 0.45])
        p.upright(
            sprites.foliage(int(rng.integers(4))),
            z,
            (x - size, y - size, x + size, y + size),
            WHITE * light,
        )


def _leaf_sprite() -> Pyramid:
    canvas = Sketch(48, 1.0)
    leaf(canvas, np.array([0.05, 0.5]), 0.0, 0.9, 0.25 * WHITE, 0.33)
    return canvas.finish()


def _subject(p: Painter, focus: float, foot: float, contact: bool) -> None:
    rng = p.rng
    size = rng.uniform(0.24, 0.46)
    x = rng.uniform(-0.4, 0.4)
    light = rng.uniform(0.8, 1.25)
    if contact:
        contact_shadow(p, focus * 1.02, foot, x, 0.45 * size, rng.random())
    texture = subject(rng, sprite_pixels(p.view, 2 * size), p.sun)
    p.upright(
        texture,
        focus,
        (x - size, foot - 2 * size, x + size, foot),
        WHITE * light,
        mirror=rng.random() < 0.5,
    )
    if contact and rng.random() < 0.3:
        p.upright(
            sprites.tufts(int(rng.integers(3))),
            focus * 0.98,
            (x - 0.4, foot - 0.12, x + 0.4, foot + 0.03),
            WHITE * light,
        )


def _recipe(focus: float) -> Recipe:
    def recipe(rng: Generator, view: View) -> list[Layer]:
        sun = np.array([rng.uniform(-0.8, 0.8), -0.6, rng.uniform(0.4, 0.8)])
        sun /= np.linalg.norm(sun)
        p = Painter(rng, view, sun, WHITE, [])
        sky = paint_sky(p)
        p.haze = sky
        kind = rng.choice(["standing", "eye", "down"], p=[0.5, 0.32, 0.18])
        if kind == "standing":
            foot = _standing(p, focus, sky)
        else:
            (_eye_level if kind == "eye" else _looking_down)(p, focus, sky)
            foot = rng.uniform(0.3, 0.62)
        _subject(p, focus, foot, kind == "standing")
        if rng.random() < 0.15:
            _subject(
                p, focus * rng.uniform(0.97, 1.03), foot + rng.uniform(0, 0.08), kind == "standing"
            )
        if rng.random() < 0.22:
            side = rng.choice([-1, 1])
            z, size, y = (
                focus * rng.uniform(0.55, 0.8),
                rng.uniform(0.4, 0.8),
                rng.uniform(-0.5, 0.4),
            )
            box = (-0.8, y - size / 2, -0.8 + size, y + size / 2)
            if side > 0:
                box = (0.8 - size, y - size / 2, 0.8, y + size / 2)
            p.upright(
                sprites.twig(int(rng.integers(5))),
                z,
                box,
                WHITE * rng.uniform(0.5, 1.1),
                mirror=side > 0,
            )
        return p.layers

    return recipe


def outdoor_scene(seed: int) -> Scene:
    """Return the outdoor scene of a seed; the same seed is the same scene at every size."""
    rng = np.random.default_rng([seed, 7])
    near = rng.random() < 0.3
    low, high = (0.75, 1.0) if near else (1.0, 1.7)
    focus = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return Scene(
        seed, _recipe(focus), CAMERA, focus, brightness=float(rng.uniform(0.09, 0.20)), noise=0.004
    )
