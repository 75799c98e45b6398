"""SUN RGB-D: pictures with measured depth, for the labels of Eq. 2 (Section IV-A)."""

import hashlib
import os
from pathlib import Path
from typing import Any

from bradcn_nb.data.base import FileDataset
from bradcn_nb.data.files import (
    PICTURES,
    Size,
    check_same_size,
    read_depth,
    read_picture,
    resize_nearest,
    resize_picture,
)
from bradcn_nb.errors import DataError

SUN_SENSORS = ("kv1", "kv2", "realsense", "xtion")


class SUNRGBD(FileDataset):
    """SUN RGB-D frames: dict(image (3, H, W) in [0, 1], depth (1, H, W) m, mask (1, H, W), id).

    `root` holds `{kv1,kv2,realsense,xtion}/.../{image,depth,depth_bfx}/*`; `kind` names the depth
    folder ("depth_bfx" has its holes filled, "depth" is raw). `counts` = (train, test) frames are
    drawn at random by `seed` from all of them, as Section IV-A does (6545 and 700); a frame's place
    in the draw depends on its path and the seed only. SUN RGB-D contains NYUv2, on which the
    depth net was trained: the random split leaks (ledger: sun-leak). `size` = (h, w) or None.
    Beyond `clip_m` metres the depth is clipped; the depth net itself stops at 7.26 m, so labels of
    far pixels have a floor (ledger: depth-floor). `mask` is False where depth is missing.
    Raises DataError for a missing folder or file, too few frames, and damaged or empty depth.
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
        clip_m: float = 8.0,
        flip: bool = False,
        cache: bool = False,
    ) -> None:
        super().__init__(flip, seed, cache)
        if split not in ("train", "test"):
            raise DataError(f"SUN RGB-D has no split {split!r}; use 'train' or 'test'")
        self.root, self.split, self.size, self.kind = Path(root), split, size, kind
        self.clip_m = clip_m
        self.frames = self._frames()
        if sum(counts) > len(self.frames):
            raise DataError(
                f"{self.root}: {len(self.frames)} frames, but {counts[0]} + {counts[1]} are asked "
                "for; complete the data set or lower the counts"
            )
        drawn = sorted(
            self.frames, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()
        )
        self.ids = drawn[: counts[0]] if split == "train" else drawn[counts[0] : sum(counts)]
        if not self.ids:
            raise DataError(f"{self.root}: the {split} split is empty; raise its count")

    def _frames(self) -> dict[str, tuple[Path, Path]]:
        """Frame id (its folder relative to the root) -> picture, depth map; sorted by id."""
        if not self.root.is_dir():
            raise DataError(f"{self.root}: folder is missing; it must hold SUN RGB-D's sensors")
        frames: dict[str, tuple[Path, Path]] = {}
        for sensor in SUN_SENSORS:
            for folder, below, _ in os.walk(self.root / sensor):
                below.sort()
                if "image" in below:
                    below.clear()  # a frame: nothing further down
                    where = Path(folder)
                    name = where.relative_to(self.root).as_posix()
                    frames[name] = (_only(where / "image"), _only(where / self.kind))
        if not frames:
            raise DataError(
                f"{self.root}: no frame; SUN RGB-D is "
                f"{{{','.join(SUN_SENSORS)}}}/.../{{image,{self.kind}}}/*"
            )
        return dict(sorted(frames.items()))

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
        image, (depth, mask) = read_picture(picture_path), read_depth(depth_path, self.clip_m)
        check_same_size(picture_path, image, depth_path, depth)
        if self.size is not None:
            image = resize_picture(image, self.size)
            depth, mask = resize_nearest(depth, self.size), resize_nearest(mask, self.size)
        return {"image": image, "depth": depth[None], "mask": mask[None], "id": name}


def _only(folder: Path) -> Path:
    """The one picture in a folder of a SUN RGB-D frame (image and depth names may differ)."""
    if not folder.is_dir():
        raise DataError(f"{folder}: folder is missing; restore this frame of SUN RGB-D")
    files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    if len(files) != 1:
        raise DataError(f"{folder}: holds {len(files)} pictures instead of 1; restore this frame")
    return files[0]
