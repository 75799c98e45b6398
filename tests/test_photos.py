"""Photographs and depth maps, good and bad, in and out."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from bradcn_nb.data.photos import Photo, check_output, read_photo, write_photo
from bradcn_nb.errors import PhotoError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def pixels() -> np.ndarray:
    """A smooth 24 x 40 picture whose corners differ."""
    y, x = np.mgrid[:24, :40]
    return np.stack([x * 6, y * 10, 255 - x * 3 - y * 4], axis=2).astype(np.uint8)


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) > 20
    return text


@pytest.mark.parametrize("suffix, slack", [("png", 0), ("tif", 0), ("webp", 12), ("jpg", 8)])
def test_formats_round_trip(tmp_path, pixels, suffix, slack):
    write_photo(tmp_path / f"a.{suffix}", Photo(pixels / np.float32(255), icc=SRGB))
    photo = read_photo(tmp_path / f"a.{suffix}")
    assert photo.rgb.dtype == np.float32 and photo.rgb.shape == (24, 40, 3)
    assert np.abs(photo.rgb * 255 - pixels).max() <= slack + 1e-3
    assert photo.icc == SRGB and photo.alpha is None and photo.bits == 8
    assert [file.name for file in tmp_path.iterdir()] == [f"a.{suffix}"]  # no temporary is left


UNDO = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),  # the camera stood on its side: turn clockwise
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def stored(path, pixels, orientation):
    """Write `pixels` as every kind of file of this suffix; yields what each holds and its bits."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    exif[0x8769] = {0xA002: 40, 0xA003: 24, 0x9003: "2024:01:02 03:04:05"}
    whole = Image.fromarray(pixels)
    modes = {"jpg": ("L", "RGB", "CMYK"), "webp": ("RGB", "RGBA")}.get(path.suffix[1:])
    for mode in modes or ("L", "LA", "P", "RGB", "RGBA"):
        image = whole.quantize(64) if mode == "P" else whole.convert(mode)
        image.save(path, exif=exif.tobytes(), quality=100, lossless=True)
        yield np.asarray(image.convert("RGB")), 8
    deep = pixels.astype(np.uint16) * 257
    for values in (deep[..., 0], deep, np.dstack([deep, deep[..., :1]])):
        if path.suffix == ".png":
            alpha = values[..., 3] / 65535 if values.shape[2:] == (4,) else None
            rgb = values[..., :3] if values.ndim == 3 else values[..., None].repeat(3, 2)
            write_photo(path, Photo(rgb / 65535, alpha, 16, exif=exif.tobytes()))
        elif path.suffix == ".tif":
            kind = {"photometric": "rgb"} if values.ndim == 3 else {}
            tags = [(274, "H", 1, orientation), (271, "s", 0, "maker")]
            tifffile.imwrite(path, values, extratags=tags, metadata=None, **kind)
        else:
            return
        yield values[..., :3] if values.ndim == 3 else values[..., None].repeat(3, 2), 16


@pytest.mark.parametrize("orientation", UNDO)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_every_kind_is_upright_once_and_written_well(tmp_path, pixels, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    for values, bits in stored(path, pixels, orientation):
        photo = read_photo(path)
        upright = UNDO[orientation](values)
        assert photo.bits == bits and photo.rgb.shape == upright.shape
        slack = 12 if suffix == "jpg" else 0.01
        assert np.abs(photo.rgb * (2**bits - 1) - upright).max() < slack
        for kind in (suffix, "png" if suffix == "tif" else "tif"):
            target = tmp_path / f"b.{kind}"
            write_photo(target, photo)
            again, decoded = read_photo(target), cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
            assert np.abs(again.rgb - photo.rgb).max() < (0.06 if suffix == "webp" else 0.04)
            assert decoded.shape[:2] == photo.rgb.shape[:2]
            assert decoded.dtype.itemsize * 8 == again.bits
            assert again.bits == (bits if target.suffix == ".png" else 8)
            with Image.open(target) as image:
                assert image.size == photo.rgb.shape[1::-1]
                exif = image.getexif()
                assert exif.get(0x0112, 1) == 1 and exif[0x010F] == "maker"
                if details := exif.get_ifd(0x8769):
                    assert (details[0xA002], details[0xA003]) == image.size
                    assert details[0x9003].startswith("2024")
                else:
                    assert suffix == "tif" and bits == 16  # it had none
                image.load()


def test_tags_of_the_pixels_are_not_copied(tmp_path, pixels):
    """SampleFormat and its like describe the old file; as EXIF of a new TIFF they break it."""
    cv2.imwrite(str(tmp_path / "opencv.tif"), pixels)
    Image.fromarray(pixels).save(tmp_path / "pillow.tif", tiffinfo={339: (1, 1, 1), 271: "maker"})
    for name in ("opencv", "pillow"):
        photo = read_photo(tmp_path / f"{name}.tif")
        for suffix in ("tif", "jpg", "png", "webp"):
            write_photo(tmp_path / f"b.{suffix}", photo)
            with Image.open(tmp_path / f"b.{suffix}") as image:
                assert suffix == "tif" or not {256, 258, 273, 339} & set(image.getexif())
            assert read_photo(tmp_path / f"b.{suffix}").rgb.shape == photo.rgb.shape
    inverse = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)
    tifffile.imwrite(tmp_path / "c.tif", inverse, photometric="miniswhite")
    np.testing.assert_array_equal(
        np.round(read_photo(tmp_path / "c.tif").rgb[..., 0] * 65535), 65535 - inverse
    )


def test_modes(tmp_path, pixels):
    whole = Image.fromarray(pixels)
    whole.convert("L").save(tmp_path / "grey.png")
    whole.convert("1").save(tmp_path / "bilevel.png")
    whole.quantize(16).save(tmp_path / "palette.png")
    whole.quantize(16).save(tmp_path / "clear.png", transparency=3)
    whole.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    whole.convert("LA").save(tmp_path / "la.png")
    for name, has_alpha in {
        "grey.png": False,
        "bilevel.png": False,
        "palette.png": False,
        "clear.png": True,
        "cmyk.jpg": False,
        "la.png": True,
    }.items():
        photo = read_photo(tmp_path / name)
        assert photo.rgb.shape == (24, 40, 3), name
        assert (photo.alpha is not None) == has_alpha, name
    assert np.abs(read_photo(tmp_path / "cmyk.jpg").rgb * 255 - pixels).mean() < 6
    assert np.ptp(read_photo(tmp_path / "grey.png").rgb, axis=2).max() == 0


def test_alpha_is_kept_or_laid_on_white(tmp_path, pixels):
    alpha = np.linspace(0, 1, 40, dtype=np.float32)[None].repeat(24, axis=0)
    photo = Photo(pixels / np.float32(255), alpha)
    for suffix in ("png", "webp", "tif"):
        write_photo(tmp_path / f"a.{suffix}", photo)
        assert np.abs(read_photo(tmp_path / f"a.{suffix}").alpha - alpha).max() < 0.003
    write_photo(tmp_path / "a.jpg", photo)
    flat = read_photo(tmp_path / "a.jpg")
    assert flat.alpha is None and flat.rgb[:, 0].min() > 0.95
    assert np.abs(flat.rgb[:, -2:] * 255 - pixels[:, -2:]).mean() < 8


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits(tmp_path, channels, suffix):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, channels), np.uint16)
    cv2.imwrite(
        str(tmp_path / f"a.{suffix}"), deep[..., [2, 1, 0, 3][:channels]] if channels > 1 else deep
    )
    photo = read_photo(tmp_path / f"a.{suffix}")
    assert photo.bits == 16
    np.testing.assert_array_equal(
        np.round(photo.rgb * 65535), deep[..., :3].repeat(3 // min(channels, 3), 2)
    )
    exif = Image.Exif()
    exif[0x010F] = "maker"
    kept = Photo(photo.rgb, photo.alpha, 16, SRGB, exif.tobytes())
    write_photo(tmp_path / "b.png", kept)
    again = read_photo(tmp_path / "b.png")
    assert again.bits == 16 and again.icc == SRGB and again.exif == kept.exif
    np.testing.assert_array_equal(again.rgb, photo.rgb)
    if channels == 4:
        np.testing.assert_array_equal(np.round(again.alpha * 65535), deep[..., 3])


def test_bad_pictures(tmp_path, pixels):
    (tmp_path / "text.jpg").write_text("this is no picture\n" * 40)
    (tmp_path / "empty.jpg").write_bytes(b"")
    buffer = io.BytesIO()
    Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(buffer, "JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    Image.fromarray(pixels[:1, :1]).save(tmp_path / "dot.png")
    Image.new("1", (13_000, 13_000)).save(tmp_path / "bomb.png")
    Image.fromarray(pixels.astype(np.float32)[..., 0]).save(tmp_path / "float.tif")
    for name, word in {
        "missing.jpg": "no such file",
        "text.jpg": "not a picture",
        "empty.jpg": "empty",
        "half.jpg": "damaged",
        "dot.png": "too few",
        "bomb.png": "megapixels",
        "float.tif": "8 or 16 bits",
    }.items():
        with pytest.raises(PhotoError) as error:
            read_photo(tmp_path / name)
        assert name in one_line(error) and word in one_line(error)
    with pytest.raises(PhotoError, match="folder"):
        read_photo(tmp_path)


def test_bad_outputs(tmp_path, pixels):
    source = tmp_path / "a.png"
    Image.fromarray(pixels).save(source)
    for target, word in [
        (tmp_path / "a.gif", "end the name"),
        (tmp_path / "a", "end the name"),
        (tmp_path / "no" / "a.jpg", "create it"),
        (tmp_path / "." / "a.png", "overwrite"),
    ]:
        with pytest.raises(PhotoError, match=word) as error:
            check_output(target, source)
        one_line(error)
    with pytest.raises(PhotoError, match="JPEG"):
        write_photo(tmp_path / "b.jpg", Photo(pixels / np.float32(255), exif=bytes(70_000)))
    (tmp_path / "b.jpg").mkdir()
    with pytest.raises(PhotoError, match="folder"):
        check_output(tmp_path / "b.jpg")
