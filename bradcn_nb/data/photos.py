"""Reading and writing photographs and depth maps, with what a photographer's files really contain."""

import io
import os
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from bradcn_nb.errors import DataError, PhotoError

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
FORMATS |= {".tif": "TIFF", ".tiff": "TIFF"}
MIN_SIDE = 16  # pixels: less is no photograph, and no net can see anything in it
MAX_PIXELS = 150_000_000  # above every camera; guards against decompression bombs
WEBP_MAX_SIDE = 16383  # of the format
ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True)
class Photo:
    """A photograph, upright: `rgb` (H,W,3) and `alpha` (H,W) or None, float32 sRGB in [0,1].

    `bits` is 8 or 16, the file's depth; `icc` is its RGB colour profile and `exif` its EXIF block
    with the orientation reset, both as bytes or None, to be written back.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    bits: int = 8
    icc: bytes | None = None
    exif: bytes | None = None


def read_photo(path: str | Path) -> Photo:
    """Read a JPEG, PNG, WebP or TIFF: grey, palette, CMYK, alpha, 8 or 16 bits, any EXIF orientation.

    Colours are taken as sRGB; an RGB profile is passed on, not applied (CMYK and grey are converted
    by their own profiles). Of an animation the first picture is read. Raises PhotoError for a file that is
    missing, no picture, damaged, smaller than 16 pixels on a side or larger than 150 megapixels.
    """
    path = Path(path)
    content = _read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's bomb and metadata warnings; size is checked below
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP", "TIFF")) as im:
                _check_size(path, im.height, im.width)
                exif = im.getexif()
                orientation = exif.get(ORIENTATION, 1)
                pixels = _deep_pixels(content, im)
                if pixels is None:
                    pixels = _pixels(path, im)
                icc = im.info.get("icc_profile")
    except UnidentifiedImageError:
        # Pillow knows no 16-bit colour TIFF; OpenCV does.
        pixels = _decode(content) if content[:4] in (b"II*\0", b"MM\0*") else None
        if pixels is None:
            raise PhotoError(
                f"{path}: is not a picture this program reads; save it as JPEG, PNG, WebP or TIFF"
            ) from None
        _check_size(path, *pixels.shape[:2])
        exif, orientation, icc = Image.Exif(), 1, None
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
    pixels = _upright(pixels.reshape(*pixels.shape[:2], -1), orientation)
    values = pixels.astype(np.float32) / np.float32(2**bits - 1)
    alpha = np.ascontiguousarray(values[..., -1]) if values.shape[2] in (2, 4) else None
    colours = values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, axis=2)
    if ORIENTATION in exif:
        exif[ORIENTATION] = 1
    return Photo(
        rgb=np.ascontiguousarray(colours),
        alpha=alpha,
        bits=bits,
        icc=icc
        if icc and icc[16:20] == b"RGB "
        else None,  # a grey or CMYK profile fits no RGB file
        exif=exif.tobytes() if len(exif) else None,
    )


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
    """Write a photograph in the format of the suffix, by a temporary name, so that it is all or nothing.

    PNG keeps 16 bits; everything else is written with 8. Alpha is kept by PNG, WebP and TIFF; JPEG
    has none, so it gets the picture laid on white. Raises PhotoError as `check_output` does, and
    when the file cannot be written.
    """
    path = check_output(path)
    kind = FORMATS[path.suffix.lower()]
    if kind == "WEBP" and max(photo.rgb.shape[:2]) > WEBP_MAX_SIDE:
        raise PhotoError(f"{path}: WebP ends at {WEBP_MAX_SIDE} pixels a side; write a JPEG or PNG")
    values = photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha])
    if kind == "JPEG" and photo.alpha is not None:
        alpha = photo.alpha[..., None]
        values = photo.rgb * alpha + (1 - alpha)
    if kind == "PNG" and photo.bits == 16:
        content = _deep_png(values, photo)
    else:
        options = {
            "JPEG": {"quality": 95, "subsampling": 0},
            "WEBP": {"quality": 95, "method": 4},
            "PNG": {"compress_level": 4},
            "TIFF": {"compression": "tiff_deflate"},
        }[kind]
        if photo.icc:
            options["icc_profile"] = photo.icc
        if photo.exif:
            options["exif"] = photo.exif
        buffer = io.BytesIO()
        Image.fromarray(_quantised(values, 8)).save(buffer, kind, **options)
        content = buffer.getvalue()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PhotoError(
            f"{path}: cannot be written ({error.strerror}); choose another place"
        ) from None


def read_depth(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Read a depth map for a photograph of `size` (height, width): float32 metres, all above 0.

    A PNG holds 16-bit millimetres, a .npy file floats in metres; zero means unknown in both and takes
    the nearest known depth. Raises DataError for another kind, size or type of map, and for NaN,
    infinite, negative or nothing but zero depths.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such depth map; check the name given to --depth")
    if path.suffix.lower() == ".npy":
        try:
            depth = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise DataError(
                f"{path}: is not a .npy array; write it again with numpy.save"
            ) from None
        if depth.dtype.kind != "f":
            raise DataError(f"{path}: holds {depth.dtype}; save the depth as floats, in metres")
    elif path.suffix.lower() == ".png":
        depth = _decode(path.read_bytes())
        if depth is None or depth.dtype != np.uint16:
            raise DataError(f"{path}: is not a 16-bit PNG; save the depth as 16-bit millimetres")
        depth = depth.astype(np.float32) / 1000
    else:
        raise DataError(f"{path}: unknown kind of depth map; use a 16-bit .png or a .npy file")
    if depth.shape != tuple(size):
        raise DataError(
            f"{path}: depth map of shape {depth.shape} for a photograph of height and width "
            f"{tuple(size)}; make them equal"
        )
    depth = np.array(depth, np.float32)
    if not np.isfinite(depth).all() or depth.min() < 0:
        raise DataError(
            f"{path}: has NaN, infinite or negative depths; mark what is unknown with 0"
        )
    unknown = depth == 0
    if unknown.all():
        raise DataError(f"{path}: every depth is zero; give metres (.npy) or millimetres (.png)")
    return fill_unknown(depth, unknown)


def fill_unknown(depth: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Give every unknown pixel the depth of the nearest known one; (H,W) float32 and a bool mask.

    At least one pixel must be known.
    """
    if not unknown.any():
        return depth
    _, labels = cv2.distanceTransformWithLabels(
        unknown.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(labels.max() + 1, np.float32)
    by_label[labels[~unknown]] = depth[~unknown]
    return by_label[labels]


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


def _decode(content: bytes) -> np.ndarray | None:
    """All bits of a PNG or TIFF, channels in RGB(A) order, or None; (H,W) if it is grey."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is not None and pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def _deep_pixels(content: bytes, im: Image.Image) -> np.ndarray | None:
    """Pixels of a 16-bit PNG or TIFF, which Pillow would cut to 8 bits; None for all others."""
    if im.format == "PNG":
        deep = content[24] == 16  # the bit depth in the header
    else:
        deep = im.format == "TIFF" and im.tag_v2.get(258, (8,))[0] == 16
    if not deep:
        return None
    pixels = _decode(content)
    if pixels is None:
        raise OSError("its pixels cannot be decoded")
    return pixels


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


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the EXIF orientation, 1 to 8 (EXIF 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _quantised(values: np.ndarray, bits: int) -> np.ndarray:
    top = 2**bits - 1
    return (np.clip(values, 0, 1) * top + 0.5).astype(np.uint8 if bits == 8 else np.uint16)


def _deep_png(values: np.ndarray, photo: Photo) -> bytes:
    """A 16-bit PNG by OpenCV, with the profile and EXIF put behind the header, as PNG wants them."""
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
