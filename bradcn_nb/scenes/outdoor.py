"""Outdoor scenes with a subject in focus, as in EBB!, before ground, middle ground and background.

The camera is EBB!'s: 50 mm at f/1.8 before a 14.9 mm high sensor, focused on a subject that is
0.75 to 1.7 m away, so a distant point turns into a disc of 6 to 13 % of the image height.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import Generator

from bradcn_nb.lens.reference import Layer
from bradcn_nb.scenes.colours import BROWNS, GREENS, jitter, pick
from bradcn_nb.scenes.painter import CAMERA, FOCAL, WHITE, Painter, turned
from bradcn_nb.scenes.scene import Scene
from bradcn_nb.scenes.sketch import Sketch
from bradcn_nb.scenes.sprites import any_of, branches, foliage, tufts, twig
from bradcn_nb.scenes.subjects import subject
from bradcn_nb.scenes.surfaces import View, panel

BETWEEN_M = {"bush": (0.4, 1.0), "tree": (0.8, 1.8), "thing": (0.15, 0.5)}  # half their width


def _midground(p: Painter, ground_y: Callable[[float], float], near: float, far: float) -> None:
    """Place one to five things between subject and background, the furthest first."""
    rng = p.rng
    for z in np.sort(np.exp(rng.uniform(np.log(near), np.log(far), rng.integers(1, 6))))[::-1]:
        foot = rng.uniform(-0.85, 0.85), ground_y(z)
        kind = str(rng.choice(["trunk", "bush", "tree", "thing", "thing"]))
        if kind == "trunk":
            p.trunk(z, foot, rng.uniform(0.05, 0.16) * FOCAL / z)
            continue
        size = rng.uniform(*BETWEEN_M[kind]) * FOCAL / z
        if kind == "bush":
            p.contact_shadow(z, foot, 0.8 * size)
            leaves, tint = any_of(foliage, rng), jitter(rng, WHITE, 0.2) * p.light
            p.stand(leaves, z, foot, size, tint, tall=1.5, sunk=0.1)
        elif kind == "tree":
            p.stand(any_of(branches, rng), z, foot, size, jitter(rng, WHITE, 0.2) * p.light)
        else:
            p.contact_shadow(z, foot, 0.5 * size)
            thing = subject(rng, p.pixels(2 * size), p.sun)
            p.stand(thing, z, foot, size, WHITE * p.light)


def _eye_level(p: Painter, focus: float) -> None:
    """Paint a background without ground: a wall of leaves, houses, a photograph."""
    rng = p.rng
    p.light = rng.uniform(0.6, 1.2)
    z = focus * rng.uniform(3.5, 9)
    kind = rng.choice(["foliage", "building", "photo", "both"], p=[0.4, 0.2, 0.2, 0.2])
    if kind == "photo":
        p.photo_backdrop(z)
    if kind in ("building", "both"):
        p.building(z * rng.uniform(1.2, 2.5))
    if kind in ("foliage", "both"):
        p.foliage_wall(z, rng.uniform(-0.9, 0.0), 0.6)
    if kind != "building" and rng.random() < 0.5:
        p.lights(z * 0.98, -0.5, 0.4)
    _midground(p, lambda z: 0.75, 1.5 * focus, z)


def _standing(p: Painter, focus: float) -> float:
    """Paint ground up to a horizon with what stands on it; return where the subject's foot is."""
    rng = p.rng
    p.light = rng.uniform(0.7, 1.2)
    horizon = rng.uniform(-0.32, -0.02)
    pitch = np.arctan(-horizon / FOCAL)
    foot = rng.uniform(0.28, 0.6)
    height = (foot - horizon) * focus / FOCAL * np.cos(pitch)

    def ground_y(z: float) -> float:
        return horizon + (foot - horizon) * focus / z

    kind = rng.choice(["foliage", "building", "photo", "both"], p=[0.35, 0.2, 0.2, 0.25])
    far = rng.uniform(6, 18)
    if kind == "photo":
        p.photo_backdrop(30.0)
    if kind in ("building", "both"):
        p.building(far * 1.6)
    p.ground(height, pitch)
    if kind in ("foliage", "both"):
        p.foliage_wall(far, horizon - rng.uniform(0.1, 0.6), ground_y(far) + 0.03)
    if kind != "building" and rng.random() < 0.5:
        p.lights(far * 0.9, -0.5, horizon)
    _midground(p, ground_y, 1.4 * focus, 0.9 * far)
    return foot


def _looking_down(p: Painter, focus: float) -> None:
    """Paint ground that fills the frame, strewn with leaves, and some with a bush at an edge."""
    rng = p.rng
    p.light = rng.uniform(0.6, 1.1)
    pitch = rng.uniform(0.7, 1.3)
    distance = focus * rng.uniform(1.6, 3.0)  # along the axis
    ground = p.ground(distance * np.sin(pitch), pitch, far=30.0)
    normal = np.cross(ground.u, ground.v)
    across, ahead = (vector / np.linalg.norm(vector) for vector in (ground.u, ground.v))
    leaf = Sketch(48, 1.0)
    leaf.leaf(np.array([0.05, 0.5]), 0.0, 0.9, 0.25 * WHITE, 0.33)
    leaf = leaf.finish()
    for _ in range(int(rng.integers(0, 25))):
        ray = np.array([rng.uniform(-0.9, 0.9) / FOCAL, rng.uniform(-0.6, 0.6) / FOCAL, 1])
        point = ray * (normal @ ground.origin) / (normal @ ray)
        size = rng.uniform(0.03, 0.1)
        u, v = turned(across, ahead, rng.uniform(0, 6.3))
        tint = pick(rng, BROWNS + GREENS, 0.3) * p.light * 4
        p.add(panel(point - size / 2 * (u + v), u * size, v * size, leaf, tint))
    if rng.random() < 0.5:
        z, size = focus * rng.uniform(1.15, 1.5), rng.uniform(0.3, 0.6)
        middle = rng.uniform(-0.8, 0.8), rng.choice([-0.45, 0.45])
        p.stand(any_of(foliage, rng), z, middle, size, WHITE * p.light, tall=1, sunk=1)


def _subject(p: Painter, focus: float, y: float, contact: bool) -> None:
    """Paint a subject in focus with its foot at height `y`, and its shadow if it has `contact`."""
    rng = p.rng
    size = rng.uniform(0.24, 0.46)
    x = rng.uniform(-0.4, 0.4)
    light = rng.uniform(0.8, 1.25) * WHITE
    if contact:
        p.contact_shadow(focus * 1.02, (x, y), 0.45 * size, rng.random() > 0.5)
    texture = subject(rng, p.pixels(2 * size), p.sun)
    p.stand(texture, focus, (x, y), size, light, mirror=rng.random() < 0.5)
    if contact and rng.random() < 0.3:
        p.upright(any_of(tufts, rng), focus * 0.98, (x - 0.4, y - 0.12, x + 0.4, y + 0.03), light)


def _recipe(focus: float, rng: Generator, view: View) -> list[Layer]:
    """Return the layers of a scene with a subject at `focus` metres."""
    p = Painter(rng, view)
    kind = rng.choice(["standing", "eye", "down"], p=[0.5, 0.32, 0.18])
    if kind == "standing":
        foot = _standing(p, focus)
    else:
        (_eye_level if kind == "eye" else _looking_down)(p, focus)
        foot = rng.uniform(0.3, 0.62)
    _subject(p, focus, foot, kind == "standing")
    if rng.random() < 0.15:
        beside = focus * rng.uniform(0.97, 1.03)
        _subject(p, beside, foot + rng.uniform(0, 0.08), kind == "standing")
    if rng.random() < 0.22:
        right = rng.choice([-1, 1]) > 0
        z, size = focus * rng.uniform(0.55, 0.8), rng.uniform(0.4, 0.8)
        y = rng.uniform(-0.5, 0.4)
        x0, x1 = (0.8 - size, 0.8) if right else (-0.8, -0.8 + size)
        leaves, tint = any_of(twig, rng), WHITE * rng.uniform(0.5, 1.1)
        p.upright(leaves, z, (x0, y - size / 2, x1, y + size / 2), tint, mirror=right)
    return p.layers


def outdoor_scene(seed: int) -> Scene:
    """Return the outdoor scene of a seed; the same seed is the same scene at every size."""
    rng = np.random.default_rng([seed, 7])
    low, high = (0.75, 1.0) if rng.random() < 0.3 else (1.0, 1.7)
    focus = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    brightness = float(rng.uniform(0.09, 0.20))
    return Scene(seed, partial(_recipe, focus), CAMERA, focus, brightness, noise=0.004)
