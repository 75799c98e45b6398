"""Pictures and depth maps: decoding with clear errors, resizing, tensors."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from bradcn_nb.data.exif import ORIENTATION
from bradcn_nb.data.photos import MIN_SIDE, read_photo
from bradcn_nb.errors import DataError, PhotoError

PICTURES = (".jpg", ".jpeg", ".png")

Size = tuple[int, int]


def decode_depth(raw: np.ndarray) -> np.ndarray:
    """Metres (float32, 0 = missing) of SUN RGB-D's uint16 `raw`, whose bits are rotated left by 3.

    Source: `read3dPoints` of the SUN RGB-D toolbox: `(d >> 3) | (d << 13)`, then / 1000.
    Raises TypeError if `raw` is not uint16.
    """
    if raw.dtype != np.uint16:
        raise TypeError(f"rotated depth must be uint16, not {raw.dtype}")
    return ((raw >> 3) | (raw << 13)).astype(np.float32) / 1000


def encode_depth(metres: np.ndarray) -> np.ndarray:
    """SUN RGB-D's rotated uint16 of a depth map in metres; the inverse of `decode_depth` to 0.5 mm.

    Not finite or not positive means missing (0); above 65.535 m is clipped.
    """
    known = np.isfinite(metres) & (metres > 0)
    mm = np.rint(np.where(known, metres, 0).astype(np.float64) * 1000).clip(0, 65535)
    mm = mm.astype(np.uint16)
    return (mm << 3) | (mm >> 13)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture, not decoded yet; what fails inside becomes a DataError that names the file."""
    kind = "unreadable"
    try:
        with Image.open(path) as picture:
            yield picture
            return
    except FileNotFoundError:
        problem, kind = "file is missing; restore it from the data set", "missing"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).replace(str(path), "file").split())
        problem = f"cannot be decoded ({reason}); replace it with the data set's own file"
        if getattr(error, "errno", None):  # of the system, not of the file's contents
            problem = f"cannot be read ({error.strerror}); check its rights and the disk"
    raise DataError(f"{path}: {problem}", kind)


def picture_size(path: Path) -> Size:
    """(height, width) of a picture as it is stored, by its header; DataError as in reading."""
    with _opened(path) as picture:
        return picture.height, picture.width


def read_picture(path: Path, *, upright: bool = True) -> np.ndarray:
    """The picture as uint8 (H, W, 3) sRGB, turned upright as its EXIF orientation says.

    Grey becomes three equal channels, by its own profile if one is embedded; 16 bits are rounded to
    8; CMYK is read by its profile; an alpha channel is dropped if all of it is opaque. The profile
    of an RGB picture is not applied: no other training on EBB! does. With `upright=False` a picture
    that asks to be turned is refused: a depth map beside it would not be. Raises DataError, with
    the file's name and the remedy, for a file that is missing or damaged, for transparency, CMYK
    without a profile, other kinds of pixels, and less than 16 pixels a side.
    """
    with _opened(path) as picture:
        height, width = picture.height, picture.width
        # Pillow would cut 16 bits to 8; only its recipe for decoding tells that there are 16.
        deep = picture.format == "PNG" and any("16" in str(tile[3]) for tile in picture.tile)
        profile = picture.info.get("icc_profile", b"")
        turned = picture.getexif().get(ORIENTATION, 1) not in (0, 1)  # decodes a PNG
        grey = picture.mode == "L" and profile[16:20] != b"GRAY"
        plain = (picture.mode == "RGB" or grey) and "transparency" not in picture.info
        plain = plain and not deep and not turned
        picture.load()
        if plain:
            pixels = np.array(picture.convert("RGB"))
        elif picture.mode == "CMYK" and profile[16:20] != b"CMYK":
            raise _refused(path, "is CMYK without a profile of its own", "save it as RGB")
    if min(height, width) < MIN_SIDE:
        raise _refused(path, f"{width}x{height} pixels are too few", "restore the data set's own")
    if turned and not upright:
        raise _refused(path, "its EXIF orientation would turn it, but not the depth", "undo it")
    return pixels if plain else _unusual(path)


def _unusual(path: Path) -> np.ndarray:
    """What the reader of photographs makes of a file, as `read_picture` returns it."""
    try:
        photo = read_photo(path)
    except PhotoError as error:
        raise DataError(str(error), kind="refused") from None
    if photo.alpha is not None and photo.alpha.min() < 1:
        raise _refused(path, "is transparent in places", "flatten it")
    return np.rint(photo.rgb * 255).astype(np.uint8)


def _refused(path: Path, reason: str, remedy: str) -> DataError:
    return DataError(f"{path}: {reason}; {remedy}", kind="refused")


def read_raw_depth(path: Path) -> np.ndarray:
    """SUN RGB-D's uint16 (H, W) as it is stored, with rotated bits (see `decode_depth`).

    Raises DataError if the file is missing, damaged, not 16-bit grey, or without any measurement.
    """
    with _opened(path) as picture:
        picture.load()
        if picture.mode not in ("I;16", "I;16B", "I"):
            problem = f"depth must be a 16-bit grey PNG, not mode {picture.mode}"
            raise DataError(f"{path}: {problem}; use SUN RGB-D's own depth files", "bits")
        raw = np.array(picture).astype(np.uint16)
    if not raw.any():
        problem = "every depth is 0 (missing); remove this frame from the data set"
        raise DataError(f"{path}: {problem}", "empty")
    return raw


def read_depth(path: Path, clip_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) in metres, float32, clipped at `clip_m`, and its mask (bool, False = missing).

    Source: `decode_depth`; the SUN RGB-D toolbox clips at 8 m as well.
    Raises DataError as `read_raw_depth` does.
    """
    depth = decode_depth(read_raw_depth(path))
    return np.minimum(depth, np.float32(clip_m)), depth > 0


def encoded(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    """The bytes of a picture's file; `format` and `options` as in Pillow's `save`."""
    data = BytesIO()
    Image.fromarray(pixels).save(data, format, **options)
    return data.getvalue()


def resize_picture(picture: np.ndarray, size: Size) -> np.ndarray:
    """A uint8 (H, W, 3) picture at `size` (h, w): area average when it shrinks, else bilinear.

    The same function prepares training pairs and the pictures of the test protocol. Averaging over
    the area keeps more of a picture than a triangle filter: three real EBB! pictures at half size
    and back by bilinear x2 score 41.2 to 44.6 dB PSNR, against 39.5 to 43.6.
    """
    if picture.shape[:2] == tuple(size):
        return picture
    # Neither Pillow's nor PyTorch's area filter weighs the pixels that a cell covers in part.
    shrinks = picture.shape[0] >= size[0] and picture.shape[1] >= size[1]
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(picture.astype(np.float32), (size[1], size[0]), interpolation=kernel)
    return np.rint(resized).clip(0, 255).astype(np.uint8)


def resize_nearest(array: np.ndarray, size: Size) -> np.ndarray:
    """An (H, W) map at `size` (h, w) by the nearest pixel centre: depths and masks never mix."""
    rows = ((np.arange(size[0]) + 0.5) * array.shape[0] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * array.shape[1] / size[1]).astype(int)
    return array[rows[:, None], columns]


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """A uint8 (H, W, 3) picture as a float32 (3, H, W) tensor in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255


def check_same_size(first: Path, a: np.ndarray, second: Path, b: np.ndarray) -> None:
    """Raise DataError unless the arrays `a` of file `first` and `b` of `second` agree in (H, W)."""
    if a.shape[:2] != b.shape[:2]:
        raise DataError(
            f"{second}: {b.shape[1]}x{b.shape[0]} pixels, but {first} has "
            f"{a.shape[1]}x{a.shape[0]}; a pair must have one size, restore both files",
            kind="size",
        )
