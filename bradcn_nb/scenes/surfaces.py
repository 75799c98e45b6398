"""Textured planar surfaces in metres, drawn through a pinhole camera into `Layer`s.

On a plane both inverse depth and the texture coordinates times inverse depth are linear in the
pixel position, so one 3x3 matrix draws it (a homography). Mipmaps keep receding texture free of
aliasing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from bradcn_nb.lens.reference import Layer
from bradcn_nb.scenes.textures import Pyramid

NEAR_M = 0.12
Shade = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """The frame that is drawn: size in pixels, focal length in image heights, margin in heights.

    The margin holds what lies outside the frame and is blurred into it.
    """

    height: int
    width: int
    focal: float
    margin: float = 0.0


@dataclass(frozen=True)
class Surface:
    """A parallelogram (or its convex `outline`) in camera coordinates: x right, y down, z ahead,
    metres.

    `origin` is where the texture's (0, 0) lies, `u` and `v` the vectors of one texture width and
    height. `texture` has 3 channels (opaque, tiling) or 4 (premultiplied sprite). `tint` multiplies
    it. `outline`: (n, 2) corners in texture units. `shade`: maps points (h, w, 3) in metres and the
    unit normal to light (h, w, 1 or 3). `decal`: painted on what lies behind, without depth of its
    own.
    """

    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    texture: Pyramid
    tint: np.ndarray
    outline: np.ndarray
    shade: Shade | None = None
    decal: bool = False


UNIT_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)


def _clip_near(corners: np.ndarray) -> np.ndarray:
    """Return the convex polygon (n, 3) cut off at the plane z = NEAR_M."""
    kept = []
    if corners[:, 2].min() >= NEAR_M:
        return corners
    for here, after in zip(corners, [*corners[1:], corners[0]], strict=True):
        if here[2] >= NEAR_M:
            kept.append(here)
        if (here[2] >= NEAR_M) != (after[2] >= NEAR_M):
            kept.append(here + (after - here) * (NEAR_M - here[2]) / (after[2] - here[2]))
    return np.array(kept)


def _coverage(polygon: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the share of each pixel that a convex polygon (n, 2), in pixels, covers (to first
    order).
    """
    corners = polygon.tolist()
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    area = sum(px * qy - py * qx for (px, py), (qx, qy) in edges)
    inside = np.ones((y.size, x.size), np.float32)
    for (px, py), (qx, qy) in edges:
        length = math.hypot(qx - px, qy - py)
        if length > 1e-6:
            k = math.copysign(1 / length, area)
            across, along = k * (qx - px) * (y - py) + 0.5, k * (qy - py) * (x - px)
            np.minimum(inside, across[:, None] - along[None, :], out=inside)
    return np.maximum(inside, 0, out=inside)


def _sample(texture: Pyramid, s: np.ndarray, t: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Look the pyramid up at (s, t) in texture units, blending the two levels around `level`."""
    opaque = texture[0].shape[2] == 3
    border = cv2.BORDER_WRAP if opaque else cv2.BORDER_CONSTANT
    level = np.clip(level, 0, len(texture) - 1)
    if level.max() - level.min() < 0.6:
        level = np.round(level.mean())[None, None]
    result = np.zeros((*s.shape, texture[0].shape[2]), np.float32)
    for i in range(int(level.min()), int(np.ceil(level.max())) + 1):
        weight = np.clip(1 - np.abs(level - i), 0, 1)
        if not weight.any():
            continue
        h, w = texture[i].shape[:2]
        u, v = s * w - 0.5, t * h - 0.5
        if opaque:
            u, v = u % w, v % h
        looked_up = cv2.remap(texture[i], u, v, cv2.INTER_LINEAR, borderMode=border)
        result += weight[..., None] * looked_up
    return result


def draw(surface: Surface, view: View) -> Layer | None:
    """Return the layer that `surface` makes in `view`, or None where it is out of sight."""
    corners = surface.origin + surface.outline @ np.stack([surface.u, surface.v])
    corners = _clip_near(corners)
    if len(corners) < 3:
        return None
    # Image heights -> pixel positions; pixel i has its centre at i.
    scale = view.height
    middle = np.array([(view.width - 1) / 2, (view.height - 1) / 2])
    polygon = corners[:, :2] / corners[:, 2:] * view.focal * scale + middle
    pad = int(np.ceil(view.margin * view.height))
    x0, y0 = np.maximum(np.floor(polygon.min(0)).astype(int) - 1, -pad)
    x1, y1 = np.minimum(
        np.ceil(polygon.max(0)).astype(int) + 2, (view.width + pad, view.height + pad)
    )
    if x1 <= x0 or y1 <= y0:
        return None
    u, v = surface.u, surface.v
    normal = u[[1, 2, 0]] * v[[2, 0, 1]] - u[[2, 0, 1]] * v[[1, 2, 0]]  # u x v; np.cross is slow
    offset = normal @ surface.origin
    square = normal @ normal
    if offset**2 < 1e-12 * square:
        return None  # seen edge on
    to_ray = np.array([1 / view.focal, 1 / view.focal, 1])
    inverse = normal * to_ray / offset  # 1/z = inverse @ (x, y, 1)
    # (2, 3), metres -> texture units: the pseudo-inverse of [u v], written out for two vectors.
    dual = np.array([(v @ v) * u - (u @ v) * v, (u @ u) * v - (u @ v) * u]) / square
    texture_map = dual @ (
        np.diag(to_ray) - np.outer(surface.origin, inverse)
    )  # times z gives (s, t)

    xs, ys = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)
    hx, hy = (xs - np.float32(middle[0])) / scale, (ys - np.float32(middle[1])) / scale
    # Inside the clipped polygon 1/z <= 1/NEAR_M holds; outside of it only finite numbers matter.
    plane = inverse.astype(np.float32)
    z = 1 / np.clip(plane[0] * hx[None] + (plane[1] * hy + plane[2])[:, None], 1e-3, 1 / NEAR_M)
    s, t = (
        (m[0] * hx[None] + m[1] * hy[:, None] + m[2]) * z for m in texture_map.astype(np.float32)
    )
    texels = surface.texture[0].shape[0] * surface.texture[0].shape[1]
    determinant = abs(
        np.linalg.det(np.vstack([texture_map, inverse]))
    )  # the Jacobian's is this times z^3
    area = np.float32(determinant * texels / scale**2) * z**3  # texels under one pixel
    colour = _sample(surface.texture, s, t, 0.5 * np.log2(np.maximum(area, 1e-6)) + 0.1)
    alpha = _coverage(polygon, xs, ys)[..., None]
    light = surface.tint
    if surface.shade is not None:
        rays = np.empty((*z.shape, 3), np.float32)
        rays[..., 0], rays[..., 1], rays[..., 2] = hx / view.focal, hy[:, None] / view.focal, 1
        facing = -normal * math.copysign(1, offset) / math.sqrt(square)  # towards the camera
        light = light * surface.shade(rays * z[..., None], facing)
    rgba = np.empty((*z.shape, 4), np.float32)
    rgba[..., :3] = colour[..., :3] * light
    rgba[..., 3] = 1 if colour.shape[2] == 3 else colour[..., 3]
    rgba *= alpha
    return Layer(rgba, (int(x0), int(y0)), inverse, surface.decal)
