"""XMP: found in a JPEG, its extended part put together, its properties read."""

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

from bradcn_nb.data.phone.stored import DamagedError

STANDARD = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
NOTE = "http://ns.adobe.com/xmp/note/"
APP1, APP2, SOS, EOI = 0xE1, 0xE2, 0xDA, 0xD9
ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length: TEM and the restarts


class Segment(NamedTuple):
    """One segment of a JPEG: its marker's second byte, its body, and where that begins."""

    marker: int
    body: bytes
    at: int


def segments(content: bytes, at: int = 0) -> Iterator[Segment]:
    """Yield the segments of the JPEG at `at`, then SOS or EOI at last (ITU-T T.81, B.1).

    After SOS comes the picture's data, then perhaps more: see `jpeg_end`.
    """
    at += 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == EOI:
            yield Segment(marker, b"", at + 2)
            return
        if marker in ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        yield Segment(marker, content[at + 4 : at + 2 + length], at + 4)
        if marker == SOS:
            return
        at += 2 + length


def jpeg_end(content: bytes) -> int:
    """Return where the first JPEG of a file ends, its EOI included.

    Raises DamagedError if it never does.
    """
    at = 0
    for segment in segments(content):
        at = segment.at + len(segment.body)
        if segment.marker == EOI:
            return segment.at
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        marker = content[at + 1]
        if marker == EOI:
            return at + 2
        if marker in (0, 0xFF) or marker in ALONE:  # data, a fill byte, a restart
            at += 1 if marker == 0xFF else 2
        else:  # a table or another scan of a progressive picture
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise DamagedError("the photograph before it has no end")


class Xmp:
    """The properties of XMP packets, by namespace and name."""

    def __init__(self, packets: list[bytes]) -> None:
        """Parse the packets; raises DamagedError for one that is not XML, or defines entities."""
        self.trees = []
        for packet in packets:
            if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
                raise DamagedError("its XMP defines entities, which XMP never does")
            try:
                self.trees.append(ElementTree.fromstring(packet.strip(b"\0 \t\r\n")))
            except (ElementTree.ParseError, ValueError, LookupError) as error:
                raise DamagedError(f"its XMP is no XML: {error}") from None

    def elements(self, namespace: str, name: str) -> list[ElementTree.Element]:
        """Return every element of that name."""
        return [e for tree in self.trees for e in tree.iter(f"{{{namespace}}}{name}")]

    def properties(self, namespace: str) -> dict[str, str]:
        """Return all simple properties of a namespace: name to value."""
        found: dict[str, str] = {}
        for tree in self.trees:
            found |= properties_of(tree, namespace)
        return found


def properties_of(element: ElementTree.Element, namespace: str) -> dict[str, str]:
    """Return the simple properties of a namespace in an element: written as attributes, or inside.

    XMP allows both forms of the same (ISO 16684-1, 7.9.2).
    """
    start, found = f"{{{namespace}}}", {}
    for one in element.iter():
        if one.tag.startswith(start) and len(one) == 0 and (one.text or "").strip():
            found[one.tag[len(start) :]] = (one.text or "").strip()
        for name, value in one.attrib.items():
            if name.startswith(start):
                found[name[len(start) :]] = value.strip()
    return found


def jpeg_xmp(content: bytes) -> tuple[Xmp, tuple[str, ...]]:
    """Return the XMP of a JPEG, standard and extended, and what is doubtful about it, in words.

    Raises DamagedError for XMP that cannot be read, or of whose extended part a piece is missing.
    Source: XMP Specification Part 3 (Adobe, 2020), 1.1.3.1.
    """
    standard, pieces = [], []
    for marker, body, _ in segments(content):
        if marker == APP1 and body.startswith(STANDARD):
            standard.append(body[len(STANDARD) :])
        elif marker == APP1 and body.startswith(EXTENDED):
            pieces.append(body[len(EXTENDED) :])
    xmp = Xmp(standard)
    guid = xmp.properties(NOTE).get("HasExtendedXMP")
    if guid is None:
        return xmp, ()
    whole = _joined(guid.encode(), pieces)
    same = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper() == guid.upper()
    doubt = () if same else ("the checksum of its extended XMP does not fit: it may be damaged",)
    return Xmp([*standard, whole]), doubt


def _joined(guid: bytes, pieces: list[bytes]) -> bytes:
    """The extended XMP of that number; each piece tells the whole's length and its own place."""
    ours = [piece for piece in pieces if piece[:32].upper() == guid.upper() and len(piece) > 40]
    if not ours:
        raise DamagedError("its extended XMP is missing")
    total = struct.unpack_from(">I", ours[0], 32)[0]
    at, whole = 0, b""
    for piece in sorted(ours, key=lambda piece: piece[36:40]):
        if struct.unpack_from(">I", piece, 36)[0] != at:
            break
        whole += piece[40:]
        at = len(whole)
    if at != total:
        raise DamagedError(f"its extended XMP has {at} of {total} bytes in order")
    return whole
