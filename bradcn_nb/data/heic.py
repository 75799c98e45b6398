"""HEIC and AVIF: opened as Pillow opens the rest, and the pictures that HEIC keeps beside them."""

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from bradcn_nb.errors import PhotoError

SUFFIXES = (".heic", ".heif", ".hif", ".avif")
AVIF, HEIC = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"}
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273
WIDE = {9: "BT.2020", 11: "P3", 12: "P3"}  # its primaries
GAIN_MAP = (b"aux:hdrgainmap", b"tmap")  # Apple's, and ISO 21496-1's derived picture


def kind_of(content: bytes) -> str:
    """Return "AVIF", "HEIC" or "", by the brands of a file."""
    if content[4:8] != b"ftyp":
        return ""
    end = int.from_bytes(content[:4], "big")
    brands = {content[i : i + 4] for i in (8, *range(16, min(end, 256), 4))}
    if content[8:12] in AVIF or (brands & AVIF and not brands & (HEIC - {b"mif1"})):
        return "AVIF"
    return "HEIC" if brands & HEIC else ""


def opened(path: Path, content: bytes, check_size: Callable[[int, int], None]) -> Image.Image:
    """Return the first picture of a HEIC or AVIF file; 10 and 12 bits are brought to 8.

    `check_size(height, width)` is called before pixels are decoded. Raises PhotoError, with what to
    install, where this Python cannot read the kind, and for HDR (PQ, HLG); OSError if damaged.
    """
    if transfer := HDR.get(_colours(content)[1]):
        raise PhotoError(
            f"{path}: is an HDR picture ({transfer}), which would come out wrong; export it as SDR"
        )
    if kind_of(content) == "AVIF":
        if "avif" not in features.modules or not features.check_module("avif"):
            raise PhotoError(f"{path}: is AVIF, which needs Pillow 11.3: pip install -U pillow")
        return Image.open(BytesIO(content), formats=("AVIF",))
    file = _heif_file(path, content)
    check_size(file.size[1], file.size[0])
    try:
        return file.to_pillow()  # upright, whatever its EXIF says
    except (RuntimeError, ValueError, EOFError) as error:
        raise OSError(f"its pixels cannot be decoded: {error}") from None


def heic_depth(path: Path, content: bytes) -> tuple[np.ndarray, dict[str, Any], bytes] | None:
    """Return a HEIC's depth (h,w) uint8, upright, its representation, its XMP; None without any.

    The representation is that of libheif (`d_min`, `z_near`, ...). Raises OSError if it is damaged.
    """
    try:
        depths = _heif_file(path, content).info["depth_images"]
        if not depths:
            return None
        pixels = np.asarray(depths[0].to_pillow().convert("L"))
    except (RuntimeError, ValueError, EOFError) as error:
        raise OSError(str(error)) from None
    return pixels, depths[0].info["metadata"] or {}, _depth_xmp(content)


def has_gain_map(content: bytes) -> bool:
    """Whether a file's boxes, those of pixels left out, name an HDR gain map."""
    head = _head(content)
    return any(name in head for name in GAIN_MAP)


def wide_colours(content: bytes) -> str:
    """Return the primaries, if wider than sRGB's, of a file that has no profile to pass on."""
    head = _head(content)
    if b"colrprof" in head or b"colrrICC" in head:
        return ""
    return WIDE.get(_colours(content)[0], "")


def _colours(content: bytes) -> tuple[int, int]:
    """Primaries and transfer by the box `colr`; (2, 2), unknown, without one.

    A file with a gain map has several, and the first need not be the photograph's.
    """
    head = _head(content)
    at = head.find(b"colrnclx") + 8
    if at < 8 or at + 4 > len(head) or has_gain_map(content):
        return 2, 2
    return struct.unpack_from(">HH", head, at)


def _head(content: bytes) -> bytes:
    """All of a file but its pixels."""
    boxes = _boxes(content, 0, len(content))
    return b"".join(content[start:end] for kind, start, end in boxes if kind != b"mdat")


def _heif_file(path: Path, content: bytes) -> Any:
    try:
        import pillow_heif
    except ImportError:
        raise PhotoError(
            f"{path}: is HEIC, which needs a package more: pip install pillow-heif"
        ) from None
    try:
        file = pillow_heif.open_heif(BytesIO(content))
        if not len(file):
            raise ValueError("it holds no picture")
        return file
    except (RuntimeError, ValueError, EOFError, SyntaxError) as error:
        raise OSError(str(error)) from None


def _boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, and where the body begins and ends, of each box in a stretch (ISO/IEC 14496-12)."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", content, start + 8)[0], 16
        stop = start + size if size else end
        if size and size < head or stop > end:
            return
        yield kind, start + head, stop
        start = stop


def _depth_xmp(content: bytes) -> bytes:
    """The XMP that describes (`cdsc`) an auxiliary picture of depth; b"" without any."""
    meta = next((b for b in _boxes(content, 0, len(content)) if b[0] == b"meta"), None)
    if meta is None:
        return b""
    parts = {kind: (start, end) for kind, start, end in _boxes(content, meta[1] + 4, meta[2])}
    if not parts.keys() >= {b"iref", b"iloc"}:
        return b""
    start, end = parts[b"iref"]
    form = ">I" if content[start] else ">H"
    described = []
    for kind, at, _ in _boxes(content, start + 4, end):
        if kind == b"cdsc":
            described.append(struct.unpack_from(form, content, at)[0])
    for item in described:
        packet = _item(content, parts[b"iloc"][0], item)
        if b"pixeldatainfo" in packet and b"hdrgainmap" not in packet and b"Float" in packet:
            return packet
    return b""


def _item(content: bytes, at: int, wanted: int) -> bytes:
    """The bytes of an item by its number (`iloc`, ISO/IEC 14496-12, 8.11.3), b"" if not in file."""
    version, sizes = content[at], struct.unpack_from(">H", content, at + 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> s & 15 for s in (12, 8, 4, 0))
    at += 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(content[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)  # the file it is in: this one
        base, found = number(base_size), b""
        for _ in range(number(2)):
            if version:
                number(index_size)
            start, length = base + number(offset_size), number(length_size)
            found += content[start : start + length]
        if item == wanted:
            return found if method == 0 else b""
    return b""
