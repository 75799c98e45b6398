"""Photographs with depth inside, written by the public specifications: no phone's file is at hand.

GDepth (developers.google.com/depthmap-metadata), Dynamic Depth 1.0, Apple's auxiliary pictures
(CIPA DC-007's index in a JPEG, ISO/IEC 23008-12 in a HEIC).
"""

import base64
import hashlib
import io
import struct

import numpy as np
from PIL import Image

STANDARD, EXTENDED = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
GDEPTH = 'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"'
DD = "http://ns.google.com/photos/dd/1.0/"
APPLE = (
    'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" '
    'xmlns:depthData="http://ns.apple.com/depthData/1.0/"'
)
CHUNK = 60_000


def ranged(metres: np.ndarray, near: float, far: float, form: str, bits: int = 8) -> np.ndarray:
    """Depth as GDepth and Dynamic Depth number it: 0 is near, the highest is far."""
    if form == "RangeLinear":
        part = (metres - near) / (far - near)
    else:
        part = far * (metres - near) / (metres * (far - near))
    return np.rint(part * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def encoded(pixels: np.ndarray, kind: str = "PNG", orientation: int = 0, **options) -> bytes:
    """A picture's bytes, with an EXIF orientation if one is given."""
    content = io.BytesIO()
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    Image.fromarray(pixels).save(content, kind, quality=95, **options)
    return content.getvalue()


def packet(attributes: str, body: str = "") -> bytes:
    """An XMP packet of one description."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def inserted(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments behind its SOI."""
    parts = [struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in segments]
    return jpeg[:2] + b"".join(parts) + jpeg[2:]


def gdepth(jpeg: bytes, picture: bytes, extended: bool = True, **said: object) -> bytes:
    """A JPEG with GDepth, its data in the extended part or not; a property of None is left out."""
    said = {"Format": "RangeInverse", "Mime": "image/png", "Units": "m"} | said
    names = " ".join(f'GDepth:{k}="{v}"' for k, v in said.items() if v is not None)
    data = f'GDepth:Data="{base64.b64encode(picture).decode()}"'
    if not extended:
        return inserted(jpeg, (0xE1, STANDARD + packet(f"{GDEPTH} {names} {data}")))
    whole = packet(f"{GDEPTH} {data}")
    guid = hashlib.md5(whole).hexdigest().upper()
    note = f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{guid}"'
    pieces = [
        EXTENDED + guid.encode() + struct.pack(">II", len(whole), i) + whole[i : i + CHUNK]
        for i in range(0, len(whole), CHUNK)
    ]
    main = STANDARD + packet(f"{GDEPTH} {note} {names}")
    return inserted(jpeg, (0xE1, main), *((0xE1, piece) for piece in pieces))


def dynamic_depth(jpeg: bytes, picture: bytes, gap: int = 0, **said: object) -> bytes:
    """A JPEG with a confidence map, then depth behind it, as Android's cameras write it.

    `gap` bytes lie between the photograph and what follows.
    """
    said = {"Format": "RangeInverse", "ItemSemantic": "Depth", "Units": "Meters"} | said
    names = " ".join(f'DepthMap:{k}="{v}"' for k, v in said.items() if v is not None)
    confidence = encoded(np.zeros((8, 8), np.uint8), "JPEG")
    rows = (("", "image/jpeg", 0, gap), ("android/confidencemap", "image/jpeg", len(confidence), 0))
    rows += (("android/depthmap", said.pop("Mime", "image/png"), len(picture), 0),)
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="{mime}" '
        f'Item:Length="{length}" Item:Padding="{padding}" Item:DataURI="{name or "primary"}"/>'
        "</rdf:li>"
        for name, mime, length, padding in rows
    )
    spaces = " ".join(
        f'xmlns:{name.capitalize() if name != "depthmap" else "DepthMap"}="{DD}{name}/"'
        for name in ("device", "container", "item", "camera", "depthmap")
    )
    body = (
        f"<Device:Container><Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory>"
        '</Device:Container><Device:Cameras><rdf:Seq><rdf:li rdf:parseType="Resource">'
        f'<Device:Camera><Camera:DepthMap {names} DepthMap:DepthURI="android/depthmap"/>'
        "</Device:Camera></rdf:li></rdf:Seq></Device:Cameras>"
    )
    whole = inserted(jpeg, (0xE1, STANDARD + packet(spaces, body)))
    return whole + b"\0" * gap + confidence + picture


def apple_xmp(kind: str = "disparity", accuracy: str = "absolute", **said: object) -> bytes:
    """The XMP of one of Apple's auxiliary pictures, in elements."""
    said = {"AuxiliaryImageType": kind, "IntMinValue": 0, "IntMaxValue": 255} | said
    body = "".join(f"<apdi:{k}>{v}</apdi:{k}>" for k, v in said.items() if v is not None)
    return packet(APPLE, f"{body}<depthData:Accuracy>{accuracy}</depthData:Accuracy>")


def with_xmp(jpeg: bytes, xmp: bytes) -> bytes:
    """A JPEG with standard XMP."""
    return inserted(jpeg, (0xE1, STANDARD + xmp))


def mpo(jpeg: bytes, *pictures: bytes, order: str = ">") -> bytes:
    """A JPEG with an index (MPF) of the pictures that follow it."""
    count = 1 + len(pictures)
    head = 8 + 2 + 3 * 12 + 4  # the header, the number of tags, the tags, the next directory

    def index(offsets: list[int], sizes: list[int]) -> bytes:
        tags = struct.pack(order + "HHI4s", 0xB000, 7, 4, b"0100")
        tags += struct.pack(order + "HHII", 0xB001, 4, 1, count)
        tags += struct.pack(order + "HHII", 0xB002, 7, 16 * count, head)
        rows = [
            struct.pack(order + "IIIHH", 0x030000 if i == 0 else 0, size, offset, 0, 0)
            for i, (offset, size) in enumerate(zip(offsets, sizes, strict=True))
        ]
        start = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "IH", 8, 3)
        return b"MPF\0" + start + tags + b"\0\0\0\0" + b"".join(rows)

    body = index([0] * count, [0] * count)
    first = len(jpeg) + 4 + len(body)
    offsets, at = [0], first - 10  # counted from the index's own header, 10 bytes into the file
    for picture in pictures:
        offsets.append(at)
        at += len(picture)
    body = index(offsets, [first, *map(len, pictures)])
    return inserted(jpeg, (0xE2, body)) + b"".join(pictures)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def coded(pixels: np.ndarray) -> tuple[bytes, bytes]:
    """The decoder's configuration (box `hvcC`) and the data of one HEVC picture."""
    import pillow_heif

    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    content = io.BytesIO()
    file.save(content, quality=95, chroma=444 if pixels.ndim == 3 else 420)
    data = content.getvalue()
    at = data.index(b"hvcC") - 4
    config = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    return config, data[data.index(b"mdat") + 4 :]


def heic(
    photo: np.ndarray,
    depth: np.ndarray | None = None,
    xmp: bytes | None = None,
    turns: int = 0,
    name: bytes = b"urn:mpeg:hevc:2015:auxid:2",
) -> bytes:
    """A HEIC of a photograph with an auxiliary depth picture, and XMP that describes that.

    `turns` are quarters by which a reader turns both pictures, anticlockwise.
    """
    pictures = [photo] if depth is None else [photo, depth]
    codes = [coded(pixels) for pixels in pictures]
    properties, uses = [], []
    for item, (pixels, (config, _)) in enumerate(zip(pictures, codes, strict=True), 1):
        own = [config, full(b"ispe", 0, 0, struct.pack(">II", *pixels.shape[1::-1]))]
        if item == 2:
            own.append(full(b"auxC", 0, 0, name + b"\0"))
        if turns:
            own.append(box(b"irot", bytes([turns])))
        numbers = range(len(properties) + 1, len(properties) + 1 + len(own))
        properties += own
        uses.append(struct.pack(">HB", item, len(own)) + bytes(0x80 | n for n in numbers))
    items = [(i, b"hvc1", code[1]) for i, code in enumerate(codes, 1)]
    if xmp is not None:
        items.append((3, b"mime", xmp))
    infos = [
        full(
            *(b"infe", 2, 0, struct.pack(">HH4s", item, 0, kind), b"\0"),
            b"application/rdf+xml\0" if kind == b"mime" else b"",
        )
        for item, kind, _ in items
    ]
    refs = b"" if depth is None else box(b"auxl", struct.pack(">HHH", 2, 1, 1))
    refs += b"" if xmp is None else box(b"cdsc", struct.pack(">HHH", 3, 1, 2))
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(start: int) -> bytes:
        places, at = b"", start
        for item, _, data in items:
            places += struct.pack(">HHHII", item, 0, 1, at, len(data))
            at += len(data)
        return full(
            *(b"meta", 0, 0),
            full(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full(b"pitm", 0, 0, struct.pack(">H", 1)),
            full(b"iloc", 0, 0, struct.pack(">BBH", 0x44, 0, len(items)), places),
            full(b"iinf", 0, 0, struct.pack(">H", len(items)), *infos),
            full(b"iref", 0, 0, refs) if refs else b"",
            box(
                b"iprp",
                box(b"ipco", *properties),
                full(b"ipma", 0, 0, struct.pack(">I", len(uses)), *uses),
            ),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(data for _, _, data in items))
