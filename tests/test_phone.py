"""The depth inside of a phone's photograph: read right, turned right, or refused by name."""

import re
import struct

import cv2
import numpy as np
import phone_files as files
import pytest
from PIL import Image

from bradcn_nb.__main__ import main
from bradcn_nb.data import heic
from bradcn_nb.data.phone import read_own_depth, what_is_inside
from bradcn_nb.data.photos import read_photo
from bradcn_nb.errors import BradcnError, DataError, PhotoError
from bradcn_nb.photograph import read_with_depth, render_photo

HEIGHT, WIDTH = 192, 256
Y, X = np.mgrid[:HEIGHT, :WIDTH]
RGB = np.stack([X, Y, 255 - X // 2 - Y // 2], axis=2).astype(np.uint8)
NEAR = (X - 70) ** 2 + (Y - 60) ** 2 < 1600  # the subject: left of the middle, above it
METRES = np.where(NEAR, 1.0, 2 + X / 128)[::2, ::2]
JPEG = files.encoded(RGB, "JPEG")
DISPARITY = np.rint((1 / METRES - 0.1) / (2 - 0.1) * 255).astype(np.uint8)
RANGE = {"FloatMinValue": 0.1, "FloatMaxValue": 2}


def png(form: str = "RangeInverse", bits: int = 8) -> bytes:
    return files.encoded(files.ranged(METRES, 0.5, 8, form, bits))


def portrait(**said: object) -> bytes:
    """An Apple portrait JPEG."""
    depth = files.encoded(DISPARITY, "JPEG")
    return files.mpo(JPEG, files.with_xmp(depth, files.apple_xmp(**(RANGE | said))))


def own(path, content: bytes, **options):
    path.write_bytes(content)
    photo = read_photo(path)
    return read_own_depth(path, photo.rgb.shape[:2], photo.orientation, **options)


def close(metres: np.ndarray, slack: float = 0.02) -> None:
    np.testing.assert_allclose(1 / metres, 1 / METRES, atol=slack)


@pytest.mark.parametrize("extended", [True, False])
@pytest.mark.parametrize("form", ["RangeInverse", "RangeLinear"])
@pytest.mark.parametrize("bits", [8, 16])
def test_gdepth(tmp_path, extended, form, bits):
    content = files.gdepth(JPEG, png(form, bits), extended, Near=0.5, Far=8, Format=form)
    depth = own(tmp_path / "a.jpg", content)
    close(depth.metres, 0.025 if bits == 8 else 1e-4)
    assert depth.metres.dtype == np.float32 and not depth.notes
    assert what_is_inside(tmp_path / "a.jpg").depth == "GDepth"


def test_gdepth_in_many_pieces_of_any_order_and_in_a_png(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT * 2, WIDTH * 2), np.uint8)
    content = files.gdepth(JPEG, files.encoded(noise), Near=1, Far=4, Format="RangeLinear")
    starts = [m.start() - 4 for m in re.finditer(re.escape(files.EXTENDED), content)]
    assert len(starts) > 3
    end = starts[-1] + 2 + struct.unpack_from(">H", content, starts[-1] + 2)[0]
    pieces = [content[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]
    mixed = content[: starts[0]] + b"".join(pieces[::-1]) + content[end:]
    for one in (content, mixed):
        depth = own(tmp_path / "a.jpg", one)
        np.testing.assert_allclose(depth.metres, 1 + noise / 255 * 3, rtol=1e-6)
    packet = files.gdepth(JPEG, png(), extended=False, Near=0.5, Far=8)
    packet = packet[packet.index(b"<x:xmpmeta") : packet.index(b"</x:xmpmeta>") + 12]
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet.decode())
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info)
    close(own(tmp_path / "a.png", (tmp_path / "a.png").read_bytes()).metres)


def test_units_and_what_is_assumed(tmp_path):
    def notes(content: bytes, scale: float | None = None) -> tuple[np.ndarray, str]:
        depth = own(tmp_path / "a.jpg", content, scale=scale)
        return depth.metres, "; ".join(depth.notes)

    metres, said = notes(files.gdepth(JPEG, png(), Near=500, Far=8000, Units="mm"))
    close(metres)
    assert not said
    metres, said = notes(files.gdepth(JPEG, png(), Near=5, Far=80, Units=None), 0.1)
    close(metres)
    assert "names no unit" in said and "a.jpg" in said
    _, said = notes(files.gdepth(JPEG, png(), Near=0.5, Far=8, MeasureType="OpticRay"))
    assert "rays" in said
    _, said = notes(files.gdepth(JPEG, png(), Near=0.5, Far=8, ImageWidth=999, ImageHeight=750))
    assert "999 x 750" in said and "cropped" in said
    for kept in ((WIDTH, HEIGHT), (HEIGHT, WIDTH)):
        named = {"ImageWidth": kept[0], "ImageHeight": kept[1]}
        assert not notes(files.gdepth(JPEG, png(), Near=0.5, Far=8, **named))[1]
    metres, said = notes(files.dynamic_depth(JPEG, png(), Near=0.5, Far=8, Units="None"))
    assert "no unit" in said and metres[30, 35] < metres[90, 20] and metres.max() <= 10
    dioptres = files.encoded(files.ranged(1 / METRES, 0.1, 2, "RangeLinear"))
    said = {"Near": 0.1, "Far": 2, "Units": "Diopters", "Format": "RangeLinear"}
    close(notes(files.dynamic_depth(JPEG, dioptres, **said))[0])
    flipped = files.encoded(255 - files.ranged(1 / METRES, 0.1, 2, "RangeLinear"))
    close(notes(files.dynamic_depth(JPEG, flipped, **(said | {"Near": 2, "Far": 0.1})))[0])


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("progressive", [False, True])
def test_dynamic_depth(tmp_path, gap, kind, progressive):
    photo = files.encoded(RGB, "JPEG", progressive=progressive)
    numbers = files.ranged(METRES, 0.5, 8, "RangeInverse")
    said = {"Near": 0.5, "Far": 8, "Mime": f"image/{kind.lower()}"}
    content = files.dynamic_depth(photo, files.encoded(numbers, kind), gap, **said)
    metres = own(tmp_path / "a.jpg", content + b"a trailer").metres
    inside = ~cv2.dilate((METRES == 1).astype(np.uint8), np.ones((19, 19))).astype(bool)
    inside |= cv2.erode((METRES == 1).astype(np.uint8), np.ones((19, 19))).astype(bool)
    slack = 0.02 if kind == "PNG" else 0.06
    np.testing.assert_allclose(1 / metres[inside], 1 / METRES[inside], atol=slack)
    assert what_is_inside(tmp_path / "a.jpg").depth == "Dynamic Depth"


@pytest.mark.parametrize("order", ["<", ">"])
def test_apples_portrait_jpeg(tmp_path, order):
    depth = files.with_xmp(files.encoded(DISPARITY, "JPEG"), files.apple_xmp(**RANGE))
    found = own(tmp_path / "a.jpg", files.mpo(JPEG, depth, order=order))
    close(found.metres, 0.1)
    assert not found.notes
    said = own(tmp_path / "a.jpg", portrait(accuracy="relative")).notes
    assert len(said) == 1 and "relative" in said[0]
    said = own(tmp_path / "a.jpg", portrait(FloatMinValue=None, FloatMaxValue=None)).notes
    assert len(said) == 1 and "1 m" in said[0]


def test_apples_metres_disparity_and_formats(tmp_path):
    grey = files.encoded(np.full((48, 64), 51, np.uint8), "JPEG")

    def value(**said: object) -> float:
        xmp = files.apple_xmp(**said)
        metres = own(tmp_path / "a.jpg", files.mpo(JPEG, files.with_xmp(grey, xmp))).metres
        return float(np.median(metres))

    assert value(**RANGE) == pytest.approx(1 / 0.48, rel=1e-5)
    assert value(kind="depth", FloatMinValue=1, FloatMaxValue=6) == pytest.approx(2)
    fdep, hdis = (int.from_bytes(code, "big") for code in (b"fdep", b"hdis"))
    assert value(NativeFormat=hdis, **RANGE) == pytest.approx(1 / 0.48, rel=1e-5)
    assert value(NativeFormat=fdep, FloatMinValue=1, FloatMaxValue=6) == pytest.approx(2)
    assert value(IntMaxValue=102, **RANGE) == pytest.approx(1 / 1.05, rel=1e-5)
    with pytest.raises(DataError, match="inf to inf m"):  # all of it is beyond infinity
        value(FloatMinValue=-1, FloatMaxValue=0.5)
    far = own(tmp_path / "a.jpg", portrait(FloatMinValue=-1)).metres
    assert far.max() == 1000 and far.min() == pytest.approx(2.2, abs=0.3)


def test_other_pictures_behind_a_jpeg_are_no_depth(tmp_path):
    grey = files.encoded(DISPARITY, "JPEG")
    for second in (
        JPEG,  # a stereo pair
        files.with_xmp(grey, files.apple_xmp("urn:com:apple:photo:2020:aux:hdrgainmap")),
        files.with_xmp(grey, files.apple_xmp("urn:com:apple:photo:2018:aux:portraiteffectsmatte")),
    ):
        (tmp_path / "a.jpg").write_bytes(files.mpo(JPEG, second))
        assert not what_is_inside(tmp_path / "a.jpg").depth
        with pytest.raises(DataError, match="holds no depth of its own"):
            read_own_depth(tmp_path / "a.jpg", (HEIGHT, WIDTH))


def test_gain_maps_are_named(tmp_path, capsys):
    grey = files.encoded(DISPARITY, "JPEG")
    apple = files.with_xmp(grey, files.apple_xmp("urn:com:apple:photo:2020:aux:hdrgainmap"))
    ultra = files.with_xmp(
        JPEG,
        files.packet('xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'),
    )
    iso = files.inserted(JPEG, (0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"))
    for content in (files.mpo(JPEG, apple), files.mpo(ultra, grey), files.mpo(iso, grey)):
        (tmp_path / "a.jpg").write_bytes(content)
        assert main(["render", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "o.png")]) == 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and "a.jpg: its HDR gain map is not kept" in lines[0]
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert not what_is_inside(tmp_path / "a.jpg").gain_map


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("square", [False, True])
def test_it_is_turned_as_the_photograph(tmp_path, orientation, square):
    rows, columns = slice(None), slice(HEIGHT if square else None)
    rgb = np.where(NEAR[..., None], 255, 0).astype(np.uint8).repeat(3, 2)[rows, columns]
    metres = METRES[:, : (HEIGHT // 2 if square else None)]
    jpeg = files.encoded(rgb, "JPEG", orientation)
    for depth in (
        files.encoded(files.ranged(metres, 0.5, 8, "RangeInverse")),
        files.encoded(files.ranged(metres, 0.5, 8, "RangeInverse"), "PNG", orientation),
    ):
        (tmp_path / "a.jpg").write_bytes(files.gdepth(jpeg, depth, Near=0.5, Far=8))
        seen, found, notes = read_with_depth(tmp_path / "a.jpg", "own")
        assert seen.shape[:2] == found.shape and not notes
        agree = (seen[..., 0] > 0.5) == (found < 1.5)
        assert agree.mean() > 0.99


def test_a_depth_that_stands_already_is_not_turned(tmp_path):
    rgb = np.where(NEAR[..., None], 255, 0).astype(np.uint8).repeat(3, 2)
    jpeg = files.encoded(rgb, "JPEG", 6)
    upright = files.encoded(np.rot90(files.ranged(METRES, 0.5, 8, "RangeInverse"), -1))
    (tmp_path / "a.jpg").write_bytes(files.gdepth(jpeg, upright, Near=0.5, Far=8))
    seen, found, _ = read_with_depth(tmp_path / "a.jpg", "own")
    assert ((seen[..., 0] > 0.5) == (found < 1.5)).mean() > 0.99


def broken() -> dict[str, bytes]:
    """Files whose depth is there, and damaged."""
    picture, said = png(), {"Near": 0.5, "Far": 8}
    g, d = files.gdepth(JPEG, picture, **said), files.dynamic_depth(JPEG, picture, **said)
    flat = files.gdepth(JPEG, picture, False, **said)
    body = flat.index(b'GDepth:Data="') + 13
    whole = int.from_bytes(
        g[(at := g.index(files.EXTENDED) + len(files.EXTENDED) + 32) : at + 4], "big"
    )
    flipped = bytearray(picture)
    flipped[len(picture) // 2] ^= 0x55
    half = files.encoded(DISPARITY, "JPEG")
    half = half[: len(half) // 2] + b"\xff\xd9"
    apple = portrait()
    return {
        "no near": files.gdepth(JPEG, picture, Near=None, Far=8),
        "words": files.gdepth(JPEG, picture, Near="close", Far=8),
        "nan": files.gdepth(JPEG, picture, Near="nan", Far=8),
        "order": files.gdepth(JPEG, picture, Near=8, Far=0.5),
        "zero": files.gdepth(JPEG, picture, Near=0, Far=8),
        "format": files.gdepth(JPEG, picture, Format="RangeCubic", **said),
        "units": files.gdepth(JPEG, picture, Units="furlongs", **said),
        "base64": flat[:body] + b"!" + flat[body + 1 :],
        "no data": flat.replace(b"GDepth:Data", b"GDepth:Dat0"),
        "not a picture": files.gdepth(JPEG, b"hello", **said),
        "empty": files.gdepth(JPEG, b"", **said),
        "half a png": files.gdepth(JPEG, picture[: len(picture) // 2], **said),
        "a flipped bit": files.gdepth(JPEG, bytes(flipped), **said),
        "half a jpeg": files.gdepth(JPEG, half[: len(half) * 2 // 3], **said),
        "colours": files.gdepth(JPEG, JPEG, **said),
        "no extended part": g.replace(files.EXTENDED, b"x" * len(files.EXTENDED)),
        "another extended part": g.replace(b'HasExtendedXMP="', b'HasExtendedXMP="00'),
        "a short extended part": g.replace(
            struct.pack(">II", whole, 0), struct.pack(">II", whole + 9, 0)
        ),
        "entities": flat.replace(b"<x:xmpmeta", b"<!DOCTYPE x [<!ENTITY a 'b'>]><", 1),
        "no xml": flat.replace(b"</rdf:RDF>", b"</rdf:RDX>"),
        "dynamic, cut": d[:-10],
        "dynamic, cut much": d[: len(d) - len(picture) - 50],
        "dynamic, moved": d[: -len(picture)] + b"12345" + picture,
        "dynamic, name": d.replace(b'DepthURI="android', b'DepthURI="Android'),
        "dynamic, kind": files.dynamic_depth(JPEG, picture, Mime="image/heic", **said),
        "dynamic, length": d.replace(f'Length="{len(picture)}"'.encode(), b'Length="-1"'),
        "apple, cut": apple[:-40],
        "apple, lost": apple[: len(apple) - len(half)],
        "apple, half a range": portrait(FloatMinValue=None),
        "apple, range": portrait(FloatMinValue=3),
        "apple, numbers": portrait(IntMinValue=255),
    }


@pytest.mark.parametrize("name", broken())
def test_damage_is_one_clear_error_when_asked_and_a_word_when_not(tmp_path, capsys, name):
    path = tmp_path / "a.jpg"
    path.write_bytes(broken()[name])
    command = ["render", str(path), "-o", str(tmp_path / "o.png")]
    assert main([*command, "--depth", "own"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "a.jpg" in lines[0] and "--depth own" in lines[0], lines
    assert not (tmp_path / "o.png").exists()
    assert main(command) == 0
    assert "a.jpg: holds" in capsys.readouterr().err


def test_any_cut_and_any_flipped_byte_is_read_or_refused(tmp_path):
    rng = np.random.default_rng(3)
    said = {"Near": 0.5, "Far": 8}
    path, sound = tmp_path / "a.jpg", files.gdepth(JPEG, png(), False, **said)
    for content in (files.gdepth(JPEG, png(), **said), sound, portrait()):
        for i in range(60):
            bad = bytearray(content[: rng.integers(1, len(content))] if i % 2 else content)
            bad[rng.integers(0, len(bad))] = rng.integers(0, 256)
            path.write_bytes(bytes(bad))
            what_is_inside(path)
            try:
                metres = read_own_depth(path, (HEIGHT, WIDTH)).metres
            except DataError as error:
                assert "\n" not in str(error) and "a.jpg" in str(error)
            else:
                assert np.isfinite(metres).all() and metres.min() > 0


def test_a_wrong_checksum_is_said(tmp_path):
    content = files.gdepth(JPEG, png(), Near=0.5, Far=8)
    guid = re.search(rb'HasExtendedXMP="(\w+)"', content)[1]
    depth = own(tmp_path / "a.jpg", content.replace(guid, b"0" * 32))
    close(depth.metres)
    assert len(depth.notes) == 1 and "checksum" in depth.notes[0]


def test_depths_that_cannot_be_metres(tmp_path):
    content = files.gdepth(JPEG, png(), Near=500, Far=8000)
    with pytest.raises(
        DataError, match=r"1000 to .* m; if that is another unit, give --depth-scale"
    ):
        own(tmp_path / "a.jpg", content)
    close(own(tmp_path / "a.jpg", content, scale=0.001).metres)


def test_another_aspect_is_refused(tmp_path):
    narrow = files.encoded(files.ranged(METRES[:, 30:], 0.5, 8, "RangeInverse"))
    (tmp_path / "a.jpg").write_bytes(files.gdepth(JPEG, narrow, Near=0.5, Far=8))
    with pytest.raises(DataError, match=r"a\.jpg: its own depth: .* same aspect"):
        read_with_depth(tmp_path / "a.jpg", "own")


def test_render_by_it_and_the_hint(tmp_path, capsys):
    path, out = tmp_path / "a.jpg", tmp_path / "o.png"
    path.write_bytes(files.dynamic_depth(JPEG, png(), Near=0.5, Far=8))
    assert main(["render", str(path), "-o", str(out)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "Dynamic Depth" in lines[0] and "--depth own" in lines[0]
    command = ["render", str(path), "-o", str(out), "--depth", "own", "--focus", "70,60"]
    assert main([*command, "--save-depth", str(tmp_path / "d.npy")]) == 0
    assert "Dynamic Depth" not in capsys.readouterr().err
    saved = np.load(tmp_path / "d.npy")
    assert saved.shape == (HEIGHT, WIDTH) and abs(saved[60, 70] - 1) < 0.05
    with_map = tmp_path / "map.npy"
    np.save(with_map, read_own_depth(path, (HEIGHT, WIDTH)).metres)
    render_photo(path, tmp_path / "p.png", "lens", (70, 60), depth=with_map)
    assert out.read_bytes() == (tmp_path / "p.png").read_bytes()
    assert main([*command, "--depth-kind", "metres"]) == 2
    assert "--depth-kind" in capsys.readouterr().err
    with pytest.raises(BradcnError, match="depth kind metres"):
        render_photo(path, out, "lens", depth="own", depth_kind="metres")
    plain = tmp_path / "plain.jpg"
    plain.write_bytes(JPEG)
    assert main(["render", str(plain), "-o", str(out), "--depth", "own"]) == 2
    assert "plain.jpg: holds no depth of its own" in capsys.readouterr().err


def test_a_folder_each_by_its_own(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(files.gdepth(JPEG, png(), Near=0.5, Far=8))
    (tmp_path / "in/b.jpg").write_bytes(portrait())
    (tmp_path / "in/c.jpg").write_bytes(JPEG)
    command = ["render", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--quiet"]
    assert main([*command, "--depth", "own"]) == 2
    assert "c.jpg: holds no depth" in capsys.readouterr().err
    made = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert made == ["a.jpg", "b.jpg", "rendered-with.json"]
    assert main(command) == 2  # the folder is of another way of rendering
    assert "other settings" in capsys.readouterr().err


def test_refocus_by_it(tmp_path):
    (tmp_path / "a.jpg").write_bytes(files.gdepth(JPEG, png(), Near=0.5, Far=8))
    command = ["refocus", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "a.html"), "--quiet"]
    assert main([*command, "--depth", "own", "--width", "128"]) == 0
    assert (tmp_path / "a.html").stat().st_size > 1000


AVIF = pytest.mark.skipif("AVIF" not in Image.registered_extensions().values(), reason="no AVIF")


@AVIF
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_read_upright(tmp_path, orientation):
    path = tmp_path / "a.avif"
    path.write_bytes(files.encoded(RGB, "AVIF", orientation))
    photo = read_photo(path)
    expected = np.rot90(RGB, {1: 0, 3: 2, 6: -1, 8: 1}[orientation]) / 255
    assert photo.rgb.shape == expected.shape and np.abs(photo.rgb - expected).mean() < 0.02
    assert main(["render", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert read_photo(tmp_path / "out/a.jpg").rgb.shape == expected.shape


@AVIF
def test_hdr_is_refused_and_wide_colours_are_named(tmp_path):
    content = files.encoded(RGB, "AVIF")
    at = content.index(b"colrnclx") + 8
    for code, name in ((16, "PQ"), (18, "HLG")):
        (tmp_path / "a.avif").write_bytes(
            content[: at + 2] + struct.pack(">H", code) + content[at + 4 :]
        )
        with pytest.raises(PhotoError, match=rf"a\.avif: is an HDR picture \({name}\)"):
            read_photo(tmp_path / "a.avif")
    (tmp_path / "a.avif").write_bytes(content[:at] + struct.pack(">H", 12) + content[at + 2 :])
    assert what_is_inside(tmp_path / "a.avif").colours == "P3"


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(files.box(b"ftyp", b"heic", bytes(4), b"mif1heic"))
    assert main(["render", str(tmp_path / "a.heic"), "-o", str(tmp_path / "o.jpg")]) == 2
    assert "a.heic: is HEIC" in (said := capsys.readouterr().err)
    assert "pip install pillow-heif" in said and len(said.splitlines()) == 1
    monkeypatch.setattr("PIL.features.modules", {})
    (tmp_path / "a.avif").write_bytes(files.box(b"ftyp", b"avif", bytes(4), b"avifmif1miaf"))
    with pytest.raises(PhotoError, match=r"a\.avif: is AVIF, which needs Pillow 11\.3"):
        read_photo(tmp_path / "a.avif")


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_heic(tmp_path, turns):
    pytest.importorskip("pillow_heif", reason="pillow-heif (extra `heic`) is not installed")
    rgb = np.where(NEAR[..., None], 255, 0).astype(np.uint8).repeat(3, 2)
    content = files.heic(rgb, DISPARITY, files.apple_xmp(**RANGE), turns)
    (tmp_path / "a.heic").write_bytes(content)
    seen, metres, notes = read_with_depth(tmp_path / "a.heic", "own")
    assert seen.shape[:2] == metres.shape and not notes
    assert ((seen[..., 0] > 0.5) == (metres < 1.5)).mean() > 0.99
    assert np.rot90(metres, -turns)[60, 70] == pytest.approx(1, abs=0.03)
    _, _, hint = read_with_depth(tmp_path / "a.heic")
    assert len(hint) == 1 and "HEIC's depth" in hint[0]
    assert main(["render", str(tmp_path), "-o", str(tmp_path / "out"), "--depth", "own"]) == 0
    assert read_photo(tmp_path / "out/a.jpg").rgb.shape == seen.shape


def test_heic_without_a_range_without_depth_and_broken(tmp_path):
    pytest.importorskip("pillow_heif", reason="pillow-heif (extra `heic`) is not installed")
    for xmp, words in ((None, "no range"), (files.apple_xmp(accuracy="relative", **RANGE), "rel")):
        depth = own(tmp_path / "a.heic", files.heic(RGB, DISPARITY, xmp))
        assert len(depth.notes) == 1 and words in depth.notes[0]
    with pytest.raises(DataError, match="holds no depth"):
        own(tmp_path / "a.heic", files.heic(RGB))
    name = b"urn:com:apple:photo:2020:aux:hdrgainmap"
    (tmp_path / "a.heic").write_bytes(files.heic(RGB, DISPARITY, name=name))
    assert what_is_inside(tmp_path / "a.heic") == ("", "", True, "")
    whole = files.heic(RGB, DISPARITY, files.apple_xmp(**RANGE))
    with pytest.raises((DataError, PhotoError), match=r"a\.heic: "):
        own(tmp_path / "a.heic", whole[: len(whole) - 900])
    assert heic.kind_of(whole) == "HEIC" and heic.kind_of(JPEG) == ""
