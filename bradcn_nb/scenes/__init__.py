"""Procedural RGB-D scenes and the reference lens renderer that makes their ground-truth bokeh."""

import numpy as np

from bradcn_nb.scenes import sprites, textures
from bradcn_nb.scenes.outdoor import outdoor_scene
from bradcn_nb.scenes.rooms import room_scene
from bradcn_nb.scenes.scene import Scene

__all__ = ["Scene", "outdoor_scene", "prepare", "room_scene", "view"]


def view(seed: int, size: tuple[int, int] = (64, 96)) -> tuple[np.ndarray, np.ndarray]:
    """Return one picture (h, w, 3) sRGB in [0, 1] and its depth (h, w) in metres, both float32.

    Every second seed is a room, the others are outdoor scenes: what the depth net of `mini` learns
    from (ledger: stage0). `size`: (height, width) in pixels.
    """
    scene = room_scene(seed) if seed % 2 else outdoor_scene(seed)
    image, depth = scene.pinhole(*size)
    return image, depth.astype(np.float32)


def prepare() -> None:
    """Paint every texture that scenes share, some seconds' work, so that processes forked later
    have them.
    """
    for name in textures.MATERIALS:
        textures.material(name)
    for paint, kinds in (
        (sprites.foliage, 4),
        (sprites.branches, 4),
        (sprites.twig, 5),
        (sprites.tufts, 3),
    ):
        for kind in range(kinds):
            paint(kind)
