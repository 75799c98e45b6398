"""A canvas in linear light, and the outlines that sprites are painted from.

Coordinates run over the sprite's height: x in [0, aspect], y in [0, 1] downwards. Sprites are drawn
at twice their resolution and averaged, so their edges are anti-aliased.
"""

import math

import cv2
import numpy as np
from numpy.random import Generator

from bradcn_nb.scenes.colours import Colour
from bradcn_nb.scenes.textures import Pyramid, noise, photograph, pyramid

_ALONG = np.array([0, 0.15, 0.35, 0.55, 0.8, 1.0])
_HALF_LEAF = np.stack([_ALONG, np.sin(np.pi * _ALONG**0.8)], -1)


class Sketch:
    """A canvas in linear light on which outlines are painted back to front."""

    def __init__(self, pixels: int, aspect: float, sun: Colour = (-0.4, -0.7, 0.6)) -> None:
        self.scale = 2 * pixels
        self.canvas = np.zeros((self.scale, int(round(self.scale * aspect)), 4), np.float32)
        self.sun = np.asarray(sun) / np.linalg.norm(sun)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Paint a convex outline (n, 2) flat; cheap, for leaves and petals."""
        corners = np.round(np.asarray(points) * self.scale * 16).astype(np.int32)
        cv2.fillConvexPoly(self.canvas, corners, (*map(float, colour), 1.0), shift=4)

    def leaf(
        self, base: np.ndarray, angle: float, length: float, colour: np.ndarray, broad: float = 0.35
    ) -> None:
        """Paint a pointed leaf from `base` along `angle` (radians), its halves lit differently."""
        c, s = length * math.cos(angle), length * math.sin(angle)
        turn = np.array([[c, s], [-broad * s, broad * c]])
        for side, tone in ((turn, 0.75), (turn * [[1], [-1]], 1.25)):
            self.polygon(_HALF_LEAF @ side + base, colour * tone)

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """Paint an open line through points (n, 2), `width` heights wide."""
        corners = np.round(np.asarray(points) * self.scale * 16).astype(np.int32)
        thick = max(1, int(round(width * self.scale)))
        cv2.polylines(self.canvas, [corners], False, (*map(float, colour), 1.0), thick, shift=4)

    def solid(
        self,
        points: np.ndarray,
        colour: Colour,
        *,
        texture: float = 0.1,
        gloss: float = 0.15,
        seed: int = 0,
    ) -> None:
        """Paint an outline (n, 2) as a rounded body, lit by the sun and the sky.

        The body's height is taken as the square root of the distance to the outline, as on a ball.
        `texture`: deviation of its grain, drawn by `seed`, in e-folds; `gloss`: of its highlight.
        """
        corners = np.round(np.asarray(points) * self.scale).astype(np.int32)
        x, y, w, h = cv2.boundingRect(corners)
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + w, self.canvas.shape[1]), min(y + h, self.canvas.shape[0])
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        mask = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
        cv2.fillPoly(mask, [corners - (x0 - 1, y0 - 1)], 1)
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        height = np.sqrt(np.maximum(distance * (2 * distance.max() - distance), 0))
        height = cv2.GaussianBlur(height, (0, 0), 0.02 * self.scale + 1)[1:-1, 1:-1]
        gy, gx = np.gradient(height)
        normal = np.stack([-gx, -gy, np.ones_like(gx)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        toward = normal @ self.sun
        light = 0.38 - 0.17 * normal[..., 1] + 0.75 * np.maximum(toward, 0)
        shine = gloss * np.maximum(2 * toward * normal[..., 2] - self.sun[2], 0) ** 12
        grain = cv2.resize(noise(90 + seed, 0.8), self.canvas.shape[1::-1])[: y1 - y0, : x1 - x0]
        body = (light * np.exp(texture * grain))[..., None] * np.asarray(colour) + shine[..., None]
        inside, region = mask[1:-1, 1:-1] > 0, self.canvas[y0:y1, x0:x1]
        region[inside, :3], region[inside, 3] = body[inside], 1

    def picture(self, name: str, box: tuple[float, float, float, float], rng: Generator) -> None:
        """Paint a random crop of a bundled photograph into box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = (int(round(b * self.scale)) for b in box)
        crop = random_crop(rng, name, (x1 - x0) / (y1 - y0))
        resized = cv2.resize(crop, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        self.canvas[y0:y1, x0:x1, :3] = 0.8 * resized
        self.canvas[y0:y1, x0:x1, 3] = 1

    def finish(self) -> Pyramid:
        """Return the anti-aliased picture as a pyramid of premultiplied (h, w, 4)."""
        h, w = self.canvas.shape[:2]
        return pyramid(cv2.resize(self.canvas, (w // 2, h // 2), interpolation=cv2.INTER_AREA))


def random_crop(rng: Generator, name: str, aspect: float, least: float = 0.5) -> np.ndarray:
    """Return a random crop of a bundled photograph, often mirrored, (h, w, 3) in linear light.

    `aspect`: its width / height; `least`: the smallest share of what fits.
    """
    picture = photograph(name)
    h, w = picture.shape[:2]
    share = rng.uniform(least, 1)
    ch = int(share * min(h, w / aspect))
    cw = max(int(ch * aspect), 1)
    y, x = rng.integers(0, h - ch + 1), rng.integers(0, max(w - cw, 0) + 1)
    crop = picture[y : y + ch, x : x + cw]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Return the four corners (4, 2) of a rectangle, as an outline."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> np.ndarray:
    """Return 40 points (40, 2) of an ellipse turned by `angle` radians."""
    a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = rx * np.cos(a), ry * np.sin(a)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([cx + c * x - s * y, cy + s * x + c * y], -1)
