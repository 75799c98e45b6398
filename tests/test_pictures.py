"""Every kind of picture file that may turn up in a data set: read right, or refused by its name."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from bradcn_nb.data import EBB, SUNRGBD, encode_depth, read_picture
from bradcn_nb.errors import DataError


@pytest.fixture
def pixels():
    """A smooth 24 x 40 picture whose corners differ."""
    y, x = np.mgrid[:24, :40]
    return np.stack([x * 6, y * 10, 255 - x * 3 - y * 4], axis=2).astype(np.uint8)


def grey_profile(gamma: float) -> bytes:
    """A monochrome ICC profile, version 2, of one tone curve (ICC.1:2001-04, 6.3.2)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = (
        b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    )
    name = b"a grey profile\0"
    text = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    text += bytes(-len(text) % 4)
    body, table = b"", struct.pack(">I", 3)
    for tag, data in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        table += tag + struct.pack(">II", 128 + 4 + 3 * 12 + len(body), len(data))
        body += data
    head = bytearray(128)
    head[:4] = struct.pack(">I", 128 + len(table) + len(body))
    head[8:12], head[12:24], head[36:40] = b"\2\x10\0\0", b"mntrGRAYXYZ ", b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + table + body


def refused(path, *words):
    with pytest.raises(DataError) as error:
        read_picture(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and ";" in text
    for word in words:
        assert word in text
    return error.value


def test_grey_is_three_equal_channels(tmp_path, pixels):
    Image.fromarray(pixels).convert("L").save(tmp_path / "grey.jpg", quality=95)
    got = read_picture(tmp_path / "grey.jpg")
    want = np.array(Image.open(tmp_path / "grey.jpg"))
    np.testing.assert_array_equal(got, want[..., None].repeat(3, 2))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_grey_profile_is_applied(tmp_path, suffix):
    """Linear grey (gamma 1) becomes sRGB: by the curve of its standard, IEC 61966-2-1."""
    grey = np.arange(256, dtype=np.uint8)[None].repeat(16, 0)
    options = {"quality": 100} if suffix == "jpg" else {}
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(grey).save(path, icc_profile=grey_profile(1.0), **options)
    stored = np.array(Image.open(path)) / 255
    want = np.where(stored <= 0.0031308, 12.92 * stored, 1.055 * stored ** (1 / 2.4) - 0.055)
    got = read_picture(path)
    assert got.shape == (16, 256, 3) and np.ptp(got, axis=2).max() <= 1
    off = np.abs(got[..., 1] - 255 * want)
    assert off[:, 32:].max() < 2 and off.max() < 10  # LittleCMS' tables are coarse near black
    assert got[0, 64, 1] > 130  # where the bare number would be 64


def test_a_profile_of_other_channels_or_colours_is_not_applied(tmp_path, pixels):
    """An RGB picture is taken as it is, whatever its profile says; so is grey with an RGB
    profile."""
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, picture, profile in (
        ("a.png", Image.fromarray(pixels), grey_profile(1.0)),
        ("b.png", Image.fromarray(pixels), wide),
        ("c.png", Image.fromarray(pixels).convert("L"), wide),
    ):
        picture.save(tmp_path / name, icc_profile=profile)
        np.testing.assert_array_equal(
            read_picture(tmp_path / name), np.array(picture.convert("RGB"))
        )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    stored = np.array(Image.open(tmp_path / "a.jpg"))
    undo = [
        lambda a: a,
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a[::-1],
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.rot90(a, -1),
        lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        lambda a: np.rot90(a, 1),
    ][orientation - 1]
    np.testing.assert_array_equal(read_picture(tmp_path / "a.jpg"), undo(stored))


def test_a_turned_pair_is_read_and_a_turned_frame_is_not(tmp_path, pixels):
    exif = Image.Exif()
    for orientation, number in ((6, 0), (1, 1)):
        exif[0x0112] = orientation
        for folder in ("original", "bokeh"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.jpg", exif=exif)
    ebb = EBB(tmp_path)
    assert ebb[0]["image"].shape == ebb[0]["bokeh"].shape == (3, 40, 24)
    assert ebb[1]["image"].shape == (3, 24, 40)
    # Turned by 180 degrees the sizes would agree, and the depth would stand on its head.
    exif[0x0112] = 3
    frame = tmp_path / "kv1/x/f"
    for folder in ("image", "depth_bfx"):
        (frame / folder).mkdir(parents=True)
    Image.fromarray(pixels).save(frame / "image/a.jpg", exif=exif)
    Image.fromarray(encode_depth(np.ones((24, 40)))).save(frame / "depth_bfx/a.png")
    with pytest.raises(DataError, match=r"image/a.jpg: its EXIF orientation"):
        SUNRGBD(tmp_path, "train", (1, 0))[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_rounded_to_eight(tmp_path, channels):
    deep = np.random.default_rng(0).integers(0, 65536, (24, 40, channels), np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    want = np.rint(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(
        read_picture(tmp_path / "deep.png"), want.repeat(3 // channels, 2)
    )


def test_alpha_is_dropped_where_it_says_nothing_and_refused_elsewhere(tmp_path, pixels):
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "opaque.png"), pixels)
    opaque[3, 4, 3] = 254
    Image.fromarray(opaque).save(tmp_path / "clear.png")
    assert refused(tmp_path / "clear.png", "transparent", "flatten").kind == "refused"
    Image.fromarray(pixels).save(tmp_path / "key.png", transparency=tuple(pixels[2, 2].tolist()))
    refused(tmp_path / "key.png", "transparent")
    palette = Image.fromarray(pixels).quantize(16)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "palette.png"), palette.convert("RGB"))


def test_cmyk_needs_a_profile(tmp_path, pixels):
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert refused(tmp_path / "cmyk.jpg", "CMYK", "RGB").kind == "refused"
    Image.fromarray(pixels).convert("CMYK").save(
        tmp_path / "odd.jpg", icc_profile=b"no profile" * 20
    )
    refused(tmp_path / "odd.jpg", "CMYK")
    odd = b"\0" * 16 + b"CMYK" + b"\0" * 200  # says so, but is none
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "torn.jpg", icc_profile=odd)
    refused(tmp_path / "torn.jpg")


def test_what_is_no_picture_is_refused_by_name(tmp_path, pixels):
    good = io.BytesIO()
    Image.fromarray(pixels).save(good, "PNG")
    for name, content, kind in (
        ("empty.jpg", b"", "unreadable"),
        ("text.png", b"not a picture", "unreadable"),
        ("cut.png", good.getvalue()[:60], "unreadable"),
        ("header.png", good.getvalue()[:33], "unreadable"),
    ):
        (tmp_path / name).write_bytes(content)
        assert refused(tmp_path / name, "decoded", "replace").kind == kind
    assert refused(tmp_path / "absent.jpg", "missing", "restore").kind == "missing"
    (tmp_path / "folder.jpg").mkdir()
    assert refused(tmp_path / "folder.jpg", "cannot be read").kind == "unreadable"
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert refused(tmp_path / "dot.png", "1x1 pixels are too few").kind == "refused"
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    (tmp_path / "float.tif").rename(tmp_path / "float.png")
    refused(tmp_path / "float.png")
