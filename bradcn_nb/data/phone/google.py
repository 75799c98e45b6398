"""Google's two ways: GDepth (the depth inside of XMP) and Dynamic Depth (behind the photograph).

Sources: https://developers.google.com/depthmap-metadata and Dynamic Depth 1.0 (Google, 2019).
"""

import base64
import binascii
from functools import partial

import numpy as np

from bradcn_nb.data.depth_maps import of_relative_disparity
from bradcn_nb.data.phone.stored import DamagedError, Stored, number
from bradcn_nb.data.phone.xmp import Xmp, jpeg_end, properties_of

GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"
DYNAMIC = "http://ns.google.com/photos/dd/1.0/"
METRES = {"m": 1.0, "meters": 1.0, "metres": 1.0, "mm": 0.001, "millimeters": 0.001}
STARTS = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}


def gdepth(xmp: Xmp) -> Stored | None:
    """Return the depth that GDepth's properties hold; None without any.

    Raises DamagedError for properties that are missing or wrong, and for broken base64.
    """
    said = xmp.properties(GDEPTH)
    if not said:
        return None
    if "Data" not in said:
        raise DamagedError("its Data is missing")
    data = "".join(said["Data"].split())
    try:
        picture = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except binascii.Error as error:
        raise DamagedError(f"its Data is no base64: {error}") from None
    unit_note = (
        () if "Units" in said else ("names no unit, so metres; --depth-scale says otherwise",)
    )
    metres, notes = _meaning(said, unit=said.get("Units", "m"))
    made_for = None
    if "ImageWidth" in said and "ImageHeight" in said:
        made_for = (round(number(said, "ImageWidth")), round(number(said, "ImageHeight")))
    return Stored("GDepth", picture, metres, unit_note + notes, made_for)


def dynamic_depth(content: bytes, xmp: Xmp) -> Stored | None:
    """Return the depth that Dynamic Depth's directory names; None without any.

    Raises DamagedError for a directory that does not fit the file, such as of a truncated one.
    """
    maps = [properties_of(e, DYNAMIC + "depthmap/") for e in _dynamic(xmp, "camera", "DepthMap")]
    maps = [said for said in maps if said.get("ItemSemantic", "Depth").lower() == "depth"]
    if not maps:
        return None
    said = maps[0]
    if "DepthURI" not in said:
        raise DamagedError("its DepthURI is missing")
    items = [properties_of(e, DYNAMIC + "item/") for e in _dynamic(xmp, "container", "Item")]
    names = [item.get("DataURI") for item in items]
    if said["DepthURI"] not in names[1:]:
        raise DamagedError(f"its directory names no {said['DepthURI']!r}")
    lengths = [_whole(item, "Length") for item in items]
    gaps = [_whole(item, "Padding") for item in items]
    index = names.index(said["DepthURI"], 1)
    before = sum(lengths[1:index]) + sum(gaps[1:index])
    start = jpeg_end(content) + gaps[0] + before
    end = start + lengths[index]
    if end > len(content):
        raise DamagedError(f"the file ends {end - len(content)} bytes before it does")
    begin = STARTS.get(items[index].get("Mime", ""))
    if begin is None:
        raise DamagedError(f"its picture is {items[index].get('Mime')!r}, neither JPEG nor PNG")
    if not lengths[index] or not content[start:end].startswith(begin):
        raise DamagedError("its picture is not where the directory says")
    metres, notes = _meaning(said, unit=said.get("Units", "None"))
    return Stored("Dynamic Depth", content[start:end], metres, notes)


def _dynamic(xmp: Xmp, part: str, name: str) -> list:
    return xmp.elements(f"{DYNAMIC}{part}/", name)


def _whole(item: dict[str, str], name: str) -> int:
    """A length of the directory; none is zero."""
    value = number(item, name) if name in item else 0.0
    if value < 0 or value != int(value):
        raise DamagedError(f"its directory says {name} {item[name]!r}")
    return int(value)


def _meaning(said: dict[str, str], unit: str) -> tuple[partial, tuple[str, ...]]:
    """What the numbers mean, and what had to be assumed of them."""
    near, far = number(said, "Near"), number(said, "Far")
    form = said.get("Format", "RangeInverse").lower()
    if form not in ("rangeinverse", "rangelinear"):
        raise DamagedError(f"its Format is {said['Format']!r}, not RangeInverse or RangeLinear")
    inverse, unit, notes = form == "rangeinverse", unit.lower(), ()
    if said.get("MeasureType", "").lower() == "opticray":
        notes += ("measures along the rays of light; taken as depth",)
    if unit not in METRES and unit not in ("diopters", "none", ""):
        raise DamagedError(f"its Units are {said['Units']!r}; metres, mm or diopters can be read")
    least, most = sorted((near, far))
    if least < 0 or most == 0 or (inverse and least == 0) or (near > far and unit != "diopters"):
        raise DamagedError(f"its Near is {near:g} and its Far {far:g}")
    if unit in ("none", ""):
        notes += ("has no unit: its order only; the nearest is put at 1 m, the farthest at 10 m",)
    return partial(_metres, near=near, far=far, inverse=inverse, unit=unit), notes


def _metres(values: np.ndarray, near: float, far: float, inverse: bool, unit: str) -> np.ndarray:
    """Metres of numbers in [0,1], where 0 is `near` and 1 is `far`."""
    if inverse:
        depth = far * near / (far - values * (far - near))
    else:
        depth = near + values * (far - near)
    if unit in METRES:
        return depth * METRES[unit]
    if unit == "diopters":
        with np.errstate(divide="ignore"):
            return 1 / depth
    near = max(near, far / 1000)  # no unit, and perhaps from 0 on
    if near == far:
        return of_relative_disparity(np.ones_like(depth))
    disparity = (1 / np.maximum(depth, near) - 1 / far) / (1 / near - 1 / far)
    return of_relative_disparity(disparity)
