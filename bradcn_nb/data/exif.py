"""EXIF: which way up a picture is, and what stays true of the picture that is made of it."""

import numpy as np
from PIL import ExifTags, Image

ORIENTATION = 0x0112  # the tag
KEPT_TAGS = (
    *("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "Copyright"),
    *("XResolution", "YResolution", "ResolutionUnit", "Rating", "RatingPercent"),
    *("XPTitle", "XPComment", "XPAuthor", "XPKeywords", "XPSubject"),
)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the EXIF orientation, 1 to 8 (EXIF 2.32, tag 0x0112), of (H,W) or (H,W,C)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def kept_exif(exif: Image.Exif, height: int, width: int) -> bytes | None:
    """What of a file's EXIF is true of the picture made of it, as bytes; None if nothing is."""
    kept = Image.Exif()
    kept.endian = exif.endian
    for tag in (ExifTags.Base[name] for name in KEPT_TAGS):
        if tag in exif:
            kept[tag] = exif[tag]
    for folder in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if tags := dict(exif.get_ifd(folder)):
            tags.pop(ExifTags.IFD.Interop, None)  # an offset in the old file
            for size, pixels in (("ExifImageWidth", width), ("ExifImageHeight", height)):
                if ExifTags.Base[size] in tags:
                    tags[ExifTags.Base[size]] = pixels
            kept[folder] = tags
    if ORIENTATION in exif:
        kept[ORIENTATION] = 1
    return kept.tobytes() if len(kept) else None
