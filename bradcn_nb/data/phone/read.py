"""Which depth a photograph has inside, and that depth in metres."""

import io
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from bradcn_nb.data.depth_maps import INFINITE_M, TOO_FAR_M, TOO_NEAR_M, DepthMap
from bradcn_nb.data.exif import ORIENTATION, upright
from bradcn_nb.data.heic import has_gain_map, heic_depth, kind_of, wide_colours
from bradcn_nb.data.phone import apple, google
from bradcn_nb.data.phone.stored import DamagedError, Stored
from bradcn_nb.data.phone.xmp import APP1, APP2, Xmp, jpeg_xmp, segments
from bradcn_nb.data.photos import MAX_PIXELS
from bradcn_nb.errors import DataError

OWN = "own"  # in place of a depth map's name
CLOSEST_M = 0.01  # what is nearer, or at 0, is put here
COLOURED = 24  # levels between the channels of what is no longer a grey JPEG
GAIN_MAPS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"aux:hdrgainmap")
ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1"


class Inside(NamedTuple):
    """What a photograph's file holds beside the photograph: the name of its depth, "" without one;
    why that cannot be read, "" if it can; whether there is an HDR gain map; and colours wider than
    sRGB's that no profile describes.
    """

    depth: str
    damage: str
    gain_map: bool
    colours: str


def what_is_inside(path: str | Path) -> Inside:
    """Return what else a photograph's file holds; raises nothing that `read_photo` does not."""
    content = Path(path).read_bytes()
    gain_map = _has_gain_map(content)
    wide = wide_colours(content) if kind_of(content) else ""
    try:
        stored = _find(Path(path), content)
    except DamagedError as error:
        return Inside("depth", str(error), gain_map, wide)
    return Inside(stored.where if stored else "", "", gain_map, wide)


def read_own_depth(
    path: str | Path, size: tuple[int, int], orientation: int = 1, scale: float | None = None
) -> DepthMap:
    """Return the depth inside of a photograph, upright as that is, at its own size.

    - `size`: height and width of the photograph, upright
    - `orientation`: the photograph's EXIF number
    - `scale`: what the metres are multiplied with

    Known are GDepth, Dynamic Depth, Apple's depth behind a JPEG and HEIC's auxiliary picture.
    Raises DataError where there is none, where it is damaged, and for depths that cannot be metres.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        stored = _find(path, content)
        if stored is None:
            raise DataError(
                f"{path}: holds no depth of its own that is known here (GDepth, Dynamic Depth, "
                "Apple's); phones write it in portrait mode, and most programs drop it"
            )
        values, turned = _values(stored.picture)
    except DamagedError as error:
        raise DataError(
            f"{path}: its own depth is damaged ({error}); copy the file from the phone again, or "
            "leave out --depth own"
        ) from None
    if not isinstance(stored.picture, np.ndarray):
        values = _turned(values, size, turned or orientation)
    metres = stored.metres(values) * (scale or 1.0)
    if metres.min() > TOO_FAR_M or metres.max() < TOO_NEAR_M:
        raise DataError(
            f"{path}: its own depth goes from {metres.min():g} to {metres.max():g} m; if that is "
            "another unit, give --depth-scale"
        )
    notes = list(stored.notes)
    if stored.made_for not in (None, (size[1], size[0]), size):
        wide, high = stored.made_for
        notes.append(
            f"was made for {wide} x {high} pixels, not {size[1]} x {size[0]}; if the photograph "
            "was cropped, it does not fit"
        )
    metres = np.clip(metres, CLOSEST_M, INFINITE_M).astype(np.float32)
    return DepthMap(metres, tuple(f"{path}: its own depth ({stored.where}) {n}" for n in notes))


def _find(path: Path, content: bytes) -> Stored | None:
    """The depth in a file; raises DamagedError for one that is there and broken."""
    kind = kind_of(content)
    if kind == "HEIC":
        try:
            depth = heic_depth(path, content)
        except (OSError, struct.error) as error:
            raise DamagedError(" ".join(str(error).split())) from None
        if depth is not None:
            return apple.heic_meaning(*depth)
    if content[:2] == b"\xff\xd8":
        xmp, doubts = jpeg_xmp(content)
        stored = google.gdepth(xmp) or google.dynamic_depth(content, xmp)
        stored = stored or apple.mpo_depth(content)
    else:
        stored, doubts = google.gdepth(_other_xmp(content)), ()
    if stored is not None and doubts:
        return Stored(**{**vars(stored), "notes": doubts + stored.notes})
    return stored


def _other_xmp(content: bytes) -> Xmp:
    """The XMP of a PNG, WebP, TIFF or AVIF."""
    try:
        with Image.open(io.BytesIO(content)) as im:
            packet = im.info.get("xmp") or b""
    except (OSError, SyntaxError, ValueError, struct.error):
        packet = b""
    return Xmp([packet.encode() if isinstance(packet, str) else packet] if packet else [])


def _values(picture: bytes | np.ndarray) -> tuple[np.ndarray, int]:
    """The numbers (h,w) of a depth picture in [0,1], and the EXIF orientation that it has itself.

    A number of 0 for the latter means that it says nothing.
    """
    orientation = 0
    if isinstance(picture, np.ndarray):
        pixels = picture
    else:
        try:
            with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as im:
                im.verify()  # a PNG's checksums, which decoding leaves out
            with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as im:
                if im.width * im.height > MAX_PIXELS:
                    raise DamagedError(f"its picture has {im.width} x {im.height} pixels")
                orientation = im.getexif().get(ORIENTATION, 0)
                pixels = np.asarray(im if im.mode in ("L", "I;16") else im.convert("RGB"))
        except UnidentifiedImageError:
            raise DamagedError("its picture is neither JPEG nor PNG") from None
        except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
            raise DamagedError(f"its picture: {' '.join(str(error).split())}") from None
    if pixels.ndim == 3:
        colours = pixels.astype(np.int32)
        if np.ptp(colours, axis=2).max() > COLOURED:
            raise DamagedError("its picture has colours, where depth is grey")
        pixels = pixels[..., 1]
    return pixels / np.float64(np.iinfo(pixels.dtype).max), orientation


def _turned(values: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """The depth, turned as the photograph was, unless it stands already, by its sides."""
    stands = upright(values, orientation)
    lies = orientation > 4 and (values.shape[0] > values.shape[1]) == (size[0] > size[1])
    return values if lies and size[0] != size[1] else stands


def _has_gain_map(content: bytes) -> bool:
    if kind_of(content):
        return has_gain_map(content)
    if content[:2] != b"\xff\xd8":
        return False
    pictures = [content]
    try:
        pictures += apple.mpo_pictures(content)
    except DamagedError:
        pass  # an index without a picture: no gain map that could be lost
    for picture in pictures:
        for marker, body, _ in segments(picture):
            if marker == APP1 and any(name in body for name in GAIN_MAPS):
                return True
            if marker == APP2 and body.startswith(ISO_GAIN_MAP):
                return True
    return False
