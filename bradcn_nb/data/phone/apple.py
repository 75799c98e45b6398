"""Apple's way: an auxiliary picture, of a HEIC or behind a JPEG, whose XMP gives its range.

The names stand in Apple's Image I/O (kCGImageAuxiliaryDataTypeDisparity, ...Depth) and AVDepthData.
"""

import struct
from functools import partial
from typing import Any

import numpy as np

from bradcn_nb.data.depth_maps import of_relative_disparity
from bradcn_nb.data.phone.stored import DamagedError, Stored, number
from bradcn_nb.data.phone.xmp import APP2, Xmp, jpeg_xmp, segments

PIXELS = "http://ns.apple.com/pixeldatainfo/1.0/"
DEPTH = "http://ns.apple.com/depthData/1.0/"
FORMATS = {"hdis": "disparity", "fdis": "disparity", "hdep": "depth", "fdep": "depth"}
MPF = b"MPF\0"
ENTRIES = 0xB002  # the tag of the list of pictures, 16 bytes each
DISPARITY = 1  # HEVC's depth_representation_type: disparity in equal steps
INVERSE_Z = 0  # inverse depth in equal steps


def mpo_pictures(content: bytes) -> list[bytes]:
    """Return the pictures behind a JPEG's first, by its index (CIPA DC-007); none without one.

    A picture that the file has lost comes out as b"" or shorter than it should be.
    """
    for marker, body, at in segments(content):
        if marker == APP2 and body.startswith(MPF):
            try:
                return _listed(content, body[4:], at + 4)
            except (struct.error, KeyError):
                raise DamagedError("the index of its pictures (MPF) is broken") from None
    return []


def _listed(content: bytes, index: bytes, at: int) -> list[bytes]:
    """The pictures of an index, a TIFF of one directory; offsets count from its beginning, `at`."""
    order = {b"II": "<", b"MM": ">"}[index[:2]]
    start = struct.unpack_from(f"{order}I", index, 4)[0]
    for i in range(struct.unpack_from(f"{order}H", index, start)[0]):
        tag, _, length, where = struct.unpack_from(f"{order}HHII", index, start + 2 + 12 * i)
        if tag == ENTRIES:
            rows = [
                struct.unpack_from(f"{order}III", index, where + 16 * row)
                for row in range(length // 16)
            ]
            return [content[at + off : at + off + size] for _, size, off in rows if off]
    raise KeyError(ENTRIES)


def mpo_depth(content: bytes) -> Stored | None:
    """Return the depth behind a portrait JPEG; None where no picture behind it is a depth map.

    Raises DamagedError for an index or a depth map that is broken, or behind the file's end.
    """
    lost = False
    for picture in mpo_pictures(content):
        if picture[:2] != b"\xff\xd8":
            lost = True
            continue
        xmp, doubts = jpeg_xmp(picture)
        if _kind(xmp.properties(PIXELS)):
            metres, notes = _meaning(xmp)
            return Stored("Apple's depth", picture, metres, doubts + notes)
    if lost:
        raise DamagedError("a picture that its index (MPF) names is not in the file")
    return None


def heic_meaning(pixels: np.ndarray, about: dict[str, Any], packet: bytes) -> Stored:
    """Return a HEIC's depth, by its XMP, or by the representation in its codec's header.

    Raises DamagedError for XMP that is broken and for a representation that gives no disparity.
    """
    if packet:
        metres, notes = _meaning(Xmp([packet]))
        return Stored("HEIC's depth", pixels, metres, notes)
    kind, low, high = about.get("representation_type"), about.get("d_min"), about.get("d_max")
    if kind == INVERSE_Z and about.get("z_near") and about.get("z_far"):
        kind, low, high = DISPARITY, 1 / about["z_far"], 1 / about["z_near"]
    if kind == DISPARITY and low is not None and high is not None and high > max(low, 0):
        note = "gives its disparity without a unit; taken as 1/m, --depth-scale says otherwise"
        notes = () if "z_near" in about and about["z_near"] else (note,)
        return Stored("HEIC's depth", pixels, _inverse(low, high), notes)
    if about and kind not in (None, DISPARITY, INVERSE_Z):
        raise DamagedError(f"its numbers are of HEVC's kind {kind}, which cannot be read")
    return Stored("HEIC's depth", pixels, of_relative_disparity, (NO_RANGE,))


NO_RANGE = "gives no range: white is put at 1 m, black at 10 m"


def _kind(said: dict[str, str]) -> str:
    """Whether a picture is of "disparity" or "depth"; "" for a matte or a gain map."""
    kind = said.get("AuxiliaryImageType", "").lower().rpartition(":")[2]
    if kind in ("disparity", "depth"):
        if said.get("NativeFormat", "").isdigit():
            code = int(said["NativeFormat"]).to_bytes(8, "big")[-4:].decode("latin-1")
            return FORMATS.get(code, kind)
        return kind
    return ""


def _meaning(xmp: Xmp) -> tuple[Any, tuple[str, ...]]:
    """What the numbers mean, and what had to be assumed of them."""
    said = xmp.properties(PIXELS)
    kind, notes = _kind(said), ()
    if xmp.properties(DEPTH).get("Accuracy", "").lower() == "relative":
        notes += ("calls its accuracy relative: right in order, its metres only about right",)
    if kind != "depth" and not {"FloatMinValue", "FloatMaxValue"} & said.keys():
        return of_relative_disparity, (*notes, NO_RANGE)
    low, high = number(said, "FloatMinValue"), number(said, "FloatMaxValue")
    first, last = (
        number(said, name) / 255 if name in said else default
        for name, default in (("IntMinValue", 0.0), ("IntMaxValue", 1.0))
    )
    if not (high >= low and last > first and (high > 0 if kind != "depth" else low >= 0)):
        raise DamagedError(f"its range is {low:g} to {high:g}, of numbers {first:g} to {last:g}")
    steepness = (high - low) / (last - first)
    low, high = low - first * steepness, low + (1 - first) * steepness
    if kind == "depth":
        return partial(_linear, low=low, high=high), notes
    return _inverse(low, high), notes


def _linear(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + values * (high - low)


def _inverse(low: float, high: float) -> partial:
    return partial(_of_disparity, low=low, high=high)


def _of_disparity(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Metres of disparity between `low` and `high` 1/m; at and below 0 it is beyond infinity."""
    with np.errstate(divide="ignore"):
        return 1 / np.maximum(_linear(values, low, high), 0)
