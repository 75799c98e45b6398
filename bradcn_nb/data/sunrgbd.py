"""SUN RGB-D: pictures with measured depth, for the labels of Eq. 2 (Section IV-A)."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from bradcn_nb.data.base import FileDataset
from bradcn_nb.data.files import (
    PICTURES,
    Size,
    check_same_size,
    picture_size,
    read_depth,
    read_picture,
    resize_nearest,
    resize_picture,
)
from bradcn_nb.data.prepared import check_prepared
from bradcn_nb.data.splits import draw, is_nyu
from bradcn_nb.errors import DataError

SUN_SENSORS = ("kv1", "kv2", "realsense", "xtion")
SUN_KINDS = ("depth_bfx", "depth")
INTRINSICS = "intrinsics.txt"


class SUNRGBD(FileDataset):
    """SUN RGB-D frames: dict(image (3, H, W) in [0, 1], depth (1, H, W) m, mask (1, H, W), id).

    `root` holds `{kv1,kv2,realsense,xtion}/.../{image,depth,depth_bfx}/*`; `kind` names the depth
    folder ("depth_bfx" has its holes filled, "depth" is raw). `counts` = (train, test) frames are
    drawn by `seed`, with `scheme` "random" from all of them, as Section IV-A does (6545 and 700),
    or with "scene" so that no scene is on both sides and none of NYUv2's frames on any; the random
    draw leaks (see `splits.draw`; ledger: sun-leak). `size` = (h, w) or None. Beyond `clip_m`
    metres the depth is clipped; the depth net itself stops at 7.26 m, so labels of far pixels have
    a floor (ledger: depth-floor). `mask` is False where depth is missing. Raises DataError for a
    missing folder or file, too few frames, and damaged or empty depth.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        counts: tuple[int, int],
        seed: int = 0,
        size: Size | None = None,
        kind: str = "depth_bfx",
        *,
        scheme: str = "random",
        clip_m: float = 8.0,
        flip: bool = False,
        cache: bool = False,
    ) -> None:
        super().__init__(flip, seed, cache)
        if split not in ("train", "test"):
            raise DataError(f"SUN RGB-D has no split {split!r}; use 'train' or 'test'")
        self.root, self.split, self.size, self.kind = Path(root), split, size, kind
        self.scheme, self.clip_m = scheme, clip_m
        check_prepared(self.root, "sunrgbd", size, kind)
        self.frames = {
            name: (only_file(folder / "image"), only_file(folder / kind))
            for name, folder in frame_folders(self.root).items()
        }
        try:
            self.ids = draw(list(self.frames), counts, seed, scheme)[split]
        except DataError as error:
            raise DataError(f"{self.root}: {error}") from None
        if not self.ids:
            raise DataError(f"{self.root}: the {split} split is empty; raise its count")

    @property
    def overlap_with_nyu(self) -> list[str]:
        """The ids of this split that are frames of NYUv2, on which the depth net was trained."""
        return [name for name in self.ids if is_nyu(name)]

    def intrinsics(self, index: int) -> np.ndarray:
        """The camera of item `index`, as it is read and not mirrored: float64 (3, 3), in pixels.

        x = K X / z is a pixel's centre, counted from 0 at the first one. It stands in the frame's
        intrinsics.txt for the stored picture and is scaled to `size`. Raises DataError if the file
        is missing or holds no camera.
        """
        picture = self.frames[self.ids[index]][0]
        camera = read_intrinsics(picture.parent.parent / INTRINSICS)
        return camera if self.size is None else scaled(camera, picture_size(picture), self.size)

    def fingerprint(self) -> str:
        """sha256 over name and byte count of every file that is read, whatever the split."""
        digest = hashlib.sha256()
        for name, paths in self.frames.items():
            sizes = " ".join(f"{path.name} {path.stat().st_size}" for path in paths)
            digest.update(f"{name} {sizes}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int) -> dict[str, Any]:
        name = self.ids[index]
        picture_path, depth_path = self.frames[name]
        image = read_picture(picture_path, upright=False)
        depth, mask = read_depth(depth_path, self.clip_m)
        check_same_size(picture_path, image, depth_path, depth)
        if self.size is not None:
            image = resize_picture(image, self.size)
            depth, mask = resize_nearest(depth, self.size), resize_nearest(mask, self.size)
        return {"image": image, "depth": depth[None], "mask": mask[None], "id": name}


def frame_folders(root: Path) -> dict[str, Path]:
    """Frame id (its folder relative to `root`) -> folder, sorted by id, whether complete or not.

    Raises DataError if there is no such folder, or not one frame in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: folder is missing; it must hold SUN RGB-D's sensors")
    found: dict[str, Path] = {}
    for sensor in SUN_SENSORS:
        for folder, below, _ in os.walk(root / sensor):
            below.sort()
            if {"image", *SUN_KINDS} & {*below}:
                below.clear()  # a frame: nothing further down
                found[Path(folder).relative_to(root).as_posix()] = Path(folder)
    if not found:
        raise DataError(
            f"{root}: no frame; SUN RGB-D is "
            f"{{{','.join(SUN_SENSORS)}}}/.../{{image,{','.join(SUN_KINDS)}}}/*"
        )
    return dict(sorted(found.items()))


def only_file(folder: Path) -> Path:
    """The one picture in a folder of a frame (image and depth names may differ); else DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: folder is missing; restore this frame", kind="missing")
    files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    files = [path for path in files if not path.name.startswith(".")]  # as some systems add
    if len(files) != 1:
        raise DataError(
            f"{folder}: holds {len(files)} pictures instead of 1; restore this frame",
            kind="missing" if not files else "duplicate",
        )
    return files[0]


def read_intrinsics(path: Path) -> np.ndarray:
    """The camera matrix (3, 3), float64, of an intrinsics.txt: nine numbers, row by row.

    Raises DataError if the file is missing or its numbers are no camera.
    """
    try:
        camera = np.array(path.read_text().split(), np.float64).reshape(3, 3)
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing; restore this frame", kind="camera") from None
    except (OSError, ValueError):
        camera = np.zeros((3, 3))
    sound = np.isfinite(camera).all() and camera[0, 0] > 0 and camera[1, 1] > 0
    if not sound or (camera[2] != (0, 0, 1)).any():
        raise DataError(
            f"{path}: holds no camera matrix of 3x3 numbers; restore this frame", kind="camera"
        )
    return camera


def scaled(camera: np.ndarray, old: Size, new: Size) -> np.ndarray:
    """The matrix `camera` of a picture of `old` (height, width) for the same one resized to
    `new`."""
    y, x = new[0] / old[0], new[1] / old[1]
    # Resizing scales around the picture's corner, half a pixel before the first centre.
    resize = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return resize @ camera
