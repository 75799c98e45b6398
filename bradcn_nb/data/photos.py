"""Reading and writing photographs as photographers' files really are."""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from bradcn_nb.data import heic
from bradcn_nb.data.exif import ORIENTATION, kept_exif, upright
from bradcn_nb.errors import PhotoError
from bradcn_nb.files import write_atomically
from bradcn_nb.lens.thin_lens import over_white, resize

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
FORMATS |= {".tif": "TIFF", ".tiff": "TIFF"}
READABLE = (*FORMATS, *heic.SUFFIXES)
MIN_SIDE = 16  # pixels: less is no photograph, and no net can see anything in it
MAX_PIXELS = 150_000_000  # above every camera; guards against decompression bombs
MAX_SIDE = {"WEBP": 16383, "JPEG": 65500}  # pixels, of the formats
# What is written back of a file's first directory. In a TIFF the tags of its pixels stand there,
# too (strips, bits, SampleFormat): they would describe the new file's pixels wrongly.


@dataclass(frozen=True)
class Photo:
    """A photograph, upright: `rgb` (H,W,3) and `alpha` (H,W) or None, float32 sRGB in [0,1].

    `bits` is 8 or 16, the file's depth; `icc` is its RGB colour profile and `exif` its EXIF block
    with the orientation reset, both as bytes or None, to be written back. `orientation` is the EXIF
    number by which the file's pixels were turned.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    orientation: int = 1


def read_photo(path: str | Path) -> Photo:
    """Read a JPEG, PNG, WebP, TIFF, AVIF or HEIC: grey, palette, CMYK, alpha, 8 or 16 bits, turned.

    Colours are taken as sRGB; an RGB profile is passed on, not applied (CMYK and grey are converted
    by their own). Of an animation the first picture is read. Raises PhotoError for a file that is
    missing, no picture, damaged, smaller than 16 pixels a side or larger than 150 megapixels, and
    for AVIF and HEIC where what reads them is not installed.
    """
    path = Path(path)
    content = _read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of bombs and metadata; size is checked here
            with _opened(path, content) as im:
                _check_size(path, im.height, im.width)
                exif = im.getexif()
                # Whoever decodes a TIFF turns it, both Pillow and OpenCV; HEIC (no format), too.
                orientation = 1 if im.format in ("TIFF", None) else exif.get(ORIENTATION, 1)
                pixels = _deep_pixels(content, im)
                if pixels is None:
                    pixels = _pixels(path, im)
                icc = im.info.get("icc_profile")
                pixels = upright(pixels.reshape(*pixels.shape[:2], -1), orientation)
                kept = kept_exif(exif, *pixels.shape[:2])
    except UnidentifiedImageError:
        # Pillow does not know every 16-bit colour TIFF; OpenCV does.
        pixels = decode_all_bits(content) if content[:4] in (b"II*\0", b"MM\0*") else None
        if pixels is None:
            raise PhotoError(
                f"{path}: is not a picture this program reads; save it as JPEG, PNG, WebP or TIFF"
            ) from None
        _check_size(path, *pixels.shape[:2])
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        exif = Image.Exif()
        exif.load(content)
        icc, kept = exif.get(ExifTags.Base.InterColorProfile), kept_exif(exif, *pixels.shape[:2])
    except Image.DecompressionBombError:
        raise PhotoError(_too_large(path)) from None
    except (OSError, SyntaxError, ValueError, struct.error, EOFError, ImageCms.PyCMSError) as error:
        reason = " ".join(str(error).split())
        raise PhotoError(f"{path}: is damaged ({reason}); export or copy it again") from None

    if pixels.dtype not in (np.uint8, np.uint16):
        raise PhotoError(
            f"{path}: holds {pixels.dtype} pixels; save it with 8 or 16 bits per channel"
        )
    bits = pixels.dtype.itemsize * 8
    values = pixels.astype(np.float32) / np.float32(2**bits - 1)
    alpha = np.ascontiguousarray(values[..., -1]) if values.shape[2] in (2, 4) else None
    colours = values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, axis=2)
    if not icc or icc[16:20] != b"RGB ":
        icc = None  # a grey or CMYK profile fits no RGB file
    turned = exif.get(ORIENTATION, 1)
    return Photo(np.ascontiguousarray(colours), alpha, bits, icc, kept, turned)


def shrunk(photo: Photo, long_side: int) -> Photo:
    """The photograph with a long side of at most `long_side` pixels, by area averages."""
    height, width = photo.rgb.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return photo
    size = max(1, round(height * scale)), max(1, round(width * scale))
    exif = Image.Exif()
    exif.load(photo.exif or b"")
    kept = photo.exif and kept_exif(exif, *size)
    if photo.alpha is None:
        return replace(photo, rgb=resize(photo.rgb, size), exif=kept)
    alpha = resize(photo.alpha, size)  # what is clear must not colour what is not
    rgb = resize(photo.rgb * photo.alpha[..., None], size) / np.maximum(alpha, 1e-5)[..., None]
    return replace(photo, rgb=np.minimum(rgb, 1), alpha=alpha, exif=kept)


def check_output(path: str | Path, source: str | Path | None = None) -> Path:
    """Return `path` if a picture can be written there; call it before any work is done.

    Raises PhotoError for an unknown suffix, a folder that is missing, a path that is a folder, and
    for `source` itself, which is never overwritten.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise PhotoError(f"{path}: unknown kind of picture; end the name in {', '.join(FORMATS)}")
    if path.is_dir():
        raise PhotoError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise PhotoError(f"{path}: there is no folder {path.parent}; create it first")
    if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
        raise PhotoError(f"{path}: would overwrite the photograph itself; name another file")
    return path


def write_photo(path: str | Path, photo: Photo) -> None:
    """Write a photograph in the format of the suffix, whole or not at all.

    PNG keeps 16 bits; everything else is written with 8. Alpha is kept by PNG, WebP and TIFF; JPEG
    has none, so it gets the picture laid on white. Raises PhotoError as `check_output` does, and
    when the file cannot be written.
    """
    path = check_output(path)
    kind = FORMATS[path.suffix.lower()]
    if max(photo.rgb.shape[:2]) > MAX_SIDE.get(kind, MAX_PIXELS):
        raise PhotoError(f"{path}: {kind} ends at {MAX_SIDE[kind]} pixels a side; write a PNG")
    values = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    if kind == "JPEG":
        values = over_white(values)
    if kind == "PNG" and photo.bits == 16:
        content = _deep_png(values, photo)
    else:
        options = {
            "JPEG": {"quality": 95, "subsampling": 0},
            "WEBP": {"quality": 95, "method": 4},
            "PNG": {"compress_level": 4},
            # Pillow cannot put EXIF's own folders into a compressed TIFF.
            "TIFF": {} if photo.exif else {"compression": "tiff_deflate"},
        }[kind]
        if photo.icc:
            options["icc_profile"] = photo.icc
        if photo.exif:
            options["exif"] = photo.exif
        buffer = io.BytesIO()
        try:
            Image.fromarray(_quantised(values, 8)).save(buffer, kind, **options)
        except (OSError, ValueError) as error:  # EXIF of more than 64 KB in a JPEG, for example
            raise PhotoError(f"{path}: cannot be {kind} ({error}); write a PNG") from None
        content = buffer.getvalue()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise PhotoError(
            f"{path}: cannot be written ({error.strerror}); choose another place"
        ) from None


def decode_all_bits(content: bytes) -> np.ndarray | None:
    """Pixels of a PNG or TIFF, 8 or 16 bits, in RGB(A) order, (H,W) if grey; None if it is none."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is not None and pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def _opened(path: Path, content: bytes) -> Image.Image:
    if heic.kind_of(content):
        return heic.opened(path, content, partial(_check_size, path))
    return Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP", "TIFF"))


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise PhotoError(f"{path}: is a folder; name a picture in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"{path}: there is no such file; check the name") from None
    except OSError as error:
        raise PhotoError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    if not content:
        raise PhotoError(f"{path}: is empty; export or copy it again")
    return content


def _check_size(path: Path, height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise PhotoError(
            f"{path}: {width} x {height} pixels are too few; give at least {MIN_SIDE} a side"
        )
    if height * width > MAX_PIXELS:
        raise PhotoError(_too_large(path))


def _too_large(path: Path) -> str:
    return f"{path}: has more than {MAX_PIXELS // 10**6} megapixels; scale it down first"


def _deep_pixels(content: bytes, im: Image.Image) -> np.ndarray | None:
    """Pixels of a 16-bit PNG or TIFF, which Pillow would cut to 8 bits; None for all others."""
    if im.format == "PNG":
        deep = content[24] == 16  # the bit depth in the header
    else:
        deep = im.format == "TIFF" and im.mode != "CMYK" and im.tag_v2.get(258, (8,))[0] == 16
    if not deep:
        return None
    pixels = decode_all_bits(content)
    if pixels is None:
        raise OSError("its pixels cannot be decoded")
    white_is_zero = im.format == "TIFF" and im.tag_v2.get(262) == 0
    return 65535 - pixels if white_is_zero else pixels


def _pixels(path: Path, im: Image.Image) -> np.ndarray:
    """Pixels of everything else as uint8: (H,W,3), or (H,W,4) where the file has transparency."""
    if im.mode in ("I", "F") or im.mode.startswith("I;"):
        raise PhotoError(f"{path}: holds {im.mode} pixels; save it with 8 or 16 bits per channel")
    icc = im.info.get("icc_profile")
    if icc and icc[16:20] == {"CMYK": b"CMYK", "L": b"GRAY"}.get(im.mode):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return np.asarray(
            ImageCms.profileToProfile(im, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        )
    clear = im.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in im.info
    return np.asarray(im.convert("RGBA" if clear else "RGB"))


def _quantised(values: np.ndarray, bits: int) -> np.ndarray:
    top = 2**bits - 1
    return (np.clip(values, 0, 1) * top + 0.5).astype(np.uint8 if bits == 8 else np.uint16)


def _deep_png(values: np.ndarray, photo: Photo) -> bytes:
    """A 16-bit PNG by OpenCV, with the profile and EXIF behind the header, as PNG wants them."""
    order = [2, 1, 0, 3][: values.shape[2]]
    content = cv2.imencode(".png", _quantised(values, 16)[..., order])[1].tobytes()
    extra = b""
    if photo.icc:
        extra += _png_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(photo.icc))
    if photo.exif:
        extra += _png_chunk(b"eXIf", photo.exif.removeprefix(b"Exif\0\0"))
    return content[:33] + extra + content[33:]


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
