"""Faces that look into the camera, by the cascade that comes with scikit-image."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from bradcn_nb.lens.thin_lens import resize

WORK_SIDE = 640  # pixels of the long side on which faces are looked for
LEAST = 32  # pixels there: a face of a twentieth of the long side is found, a smaller one is not
VOTES = 8  # windows that must agree: with 4, cloth and walls had faces
SAME = 0.35  # of a face's size: how far a face may be from its mirror image's


class Face(NamedTuple):
    """Where a face is, in pixels: its middle, and the side of a square about it."""

    x: float
    y: float
    size: float


def find_faces(photo: np.ndarray) -> list[Face]:
    """The faces in a photograph (H,W,3) sRGB in [0,1], from the left.

    Only what is found in the picture and in its mirror image counts. The detector (local binary
    patterns, Liao et al. 2007) knows upright faces from the front; profiles escape it.
    """
    height, width = photo.shape[:2]
    scale = min(1, WORK_SIDE / max(height, width))
    small = resize(photo, (max(1, round(height * scale)), max(1, round(width * scale))))
    pixels = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
    across = pixels.shape[1]
    mirrored = [face._replace(x=across - face.x) for face in _faces(pixels[:, ::-1])]
    faces = [
        face
        for face in _faces(pixels)
        if any(max(abs(face.x - m.x), abs(face.y - m.y)) < SAME * face.size for m in mirrored)
    ]
    return sorted(Face(*(value / scale for value in face)) for face in faces)


def _faces(pixels: np.ndarray) -> list[Face]:
    if min(pixels.shape[:2]) < LEAST:
        return []
    found = _cascade().detect_multi_scale(
        img=np.ascontiguousarray(pixels),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(LEAST, LEAST),
        max_size=pixels.shape[:2],
        min_neighbor_number=VOTES,
    )
    return [
        Face(box["c"] + box["width"] / 2, box["r"] + box["height"] / 2, box["width"])
        for box in found
    ]


@lru_cache(maxsize=1)
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
