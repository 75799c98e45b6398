"""`render` of many photographs, places in %, f-numbers, and `refocus`: a page of one photograph."""

import os

import numpy as np
import pytest
from PIL import Image
from test_cli import fails

from bradcn_nb.__main__ import main
from bradcn_nb.cli.common import f_number, point
from bradcn_nb.cli.many_photographs import MANIFEST
from bradcn_nb.data.focus import Percent


@pytest.fixture
def photos(tmp_path):
    """A folder of three photographs, one of which is no picture, and a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / name)
    (folder / "c.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not one of them")
    return folder


def test_a_folder_is_rendered_past_a_bad_file_and_nothing_twice(photos, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["render", str(photos), "-o", str(out), "--renderer", "lens", "--quiet"]
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    notes = [line for line in lines if line.startswith("note: ")]
    assert len(notes) == 2 and "a.jpg" in notes[0] and "b.png" in notes[1]  # what was sharp
    lines = [line for line in lines if line not in notes]
    assert len(lines) == 2 and "c.jpg" in lines[0] and "1 of 3" in lines[1]
    assert sorted(p.name for p in out.iterdir()) == ["a.jpg", "b.png", MANIFEST]
    (photos / "c.jpg").unlink()
    kept = (out / "a.jpg").stat().st_mtime_ns
    os.utime(photos / "b.png", (2e9, 2e9))  # changed after it was rendered
    before = (out / "b.png").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (out / "a.jpg").stat().st_mtime_ns == kept
    assert (out / "b.png").stat().st_mtime_ns > before
    capsys.readouterr()
    line = fails(capsys, *arguments, "--focus", "50%,50%")
    assert "other settings" in line and "name another" in line
    assert (out / "a.jpg").stat().st_mtime_ns == kept


def test_what_a_folder_cannot_be_is_said_before_any_work(photos, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    assert "no photograph" in fails(capsys, "render", other, "-o", tmp_path / "out")
    assert "photographs themselves" in fails(capsys, "render", photos, "-o", photos)
    Image.new("RGB", (64, 48)).save(other / "a.jpg")
    both = [photos / "a.jpg", other / "a.jpg"]
    assert "one name" in fails(capsys, "render", *both, "-o", tmp_path / "out")
    assert "is a file" in fails(capsys, "render", photos, "-o", both[0])
    line = fails(capsys, "render", photos, "-o", tmp_path / "out", "--depth", both[0])
    assert "render it alone" in line
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in photos.iterdir()) == ["a.jpg", "b.png", "c.jpg", "notes.txt"]


def test_places_and_f_numbers_are_read_as_people_write_them():
    assert point("320,240") == (320, 240, False) and point("50%,40%") == (50, 40, True)
    assert point("0,0") == (0, 0, False) and point("0%,100%") == (0, 100, True)
    assert f_number("f/2.8") == f_number("2.8") == f_number("F/2.8") == 2.8
    assert Percent(50, 50).pixel(101, 201) == (100, 50)
    assert Percent(100, 100).pixel(48, 64) == (63, 47)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--focus", "0.5,0.5", "say 50%,50%"),
        ("--focus", "50%,40", "320,240 or 50%,40%"),
        ("--focus", "101%,40%", "from 0 to 100"),
        ("--aperture", "wide", "2.8 or f/2.8"),
    ],
)
def test_places_that_mean_something_else_are_refused(photos, tmp_path, capsys, option, value, told):
    with pytest.raises(SystemExit) as stop:
        main(["render", str(photos / "a.jpg"), "-o", str(tmp_path / "o.jpg"), option, value])
    assert stop.value.code == 2 and told in capsys.readouterr().err


def test_percent_and_pixel_focus_are_the_same_place(photos, tmp_path):
    depth = np.linspace(1, 6, 64, dtype=np.float32) * np.ones((48, 1), np.float32)
    np.save(tmp_path / "d.npy", depth)
    drawn = []
    for focus in ("63,47", "100%,100%", "0,0"):
        out = tmp_path / f"{len(drawn)}.png"
        lens = ["--depth", str(tmp_path / "d.npy"), "--focus", focus]
        assert main(["render", str(photos / "b.png"), "-o", str(out), *lens]) == 0
        drawn.append(np.asarray(Image.open(out)))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_refocus_makes_one_page_that_needs_nothing_else(photos, tmp_path, capsys):
    depth = np.where(np.arange(64) < 32, 1, 4) * np.ones((48, 1), np.float32)
    np.save(tmp_path / "d.npy", depth.astype(np.float32))
    page = tmp_path / "p.html"
    (photos / "a.jpg").rename(photos / "a <b>.jpg")
    arguments = ["refocus", str(photos / "a <b>.jpg"), "-o", str(page), "--quiet"]
    assert main([*arguments, "--depth", str(tmp_path / "d.npy"), "--width", "40"]) == 0
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>") and "<h1>a &lt;b&gt;</h1>" in text
    assert "http" not in text and text.count("data:image/jpeg;base64,") >= 32
    assert 'width="40" height="30"' in text and 'download="refocused.jpg"' in text
    capsys.readouterr()
    photo = photos / "b.png"
    assert ".html" in fails(capsys, "refocus", photo, "-o", tmp_path / "p.jpg")
    assert "no such folder" in fails(capsys, "refocus", photo, "-o", tmp_path / "x" / "p.html")
    assert "not a picture" in fails(capsys, "refocus", photos / "c.jpg", "-o", tmp_path / "q.html")
    assert not (tmp_path / "q.html").exists()


def test_a_pattern_that_no_shell_expanded(photos, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["-o", str(out), "--renderer", "lens", "--quiet"]
    assert main(["render", str(photos / "[ab].*"), *arguments]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a.jpg", "b.png", MANIFEST]
    capsys.readouterr()
    assert "no photograph has such a name" in fails(capsys, "render", photos / "*.tif", *arguments)
    Image.new("RGB", (64, 48)).save(photos / "odd[1].png")  # a name, though it looks like a pattern
    assert main(["render", str(photos / "odd[1].png"), "-o", str(tmp_path / "odd.png")]) == 0


def test_strength_is_an_aperture_by_another_name(photos, tmp_path, capsys):
    depth = tmp_path / "depth.npy"
    np.save(depth, np.linspace(6, 1, 48, dtype=np.float32)[:, None].repeat(64, axis=1))
    drawn = {}
    for name, option in {"wide": "--strength=2", "same": "--aperture=0.9", "none": ""}.items():
        out = tmp_path / f"{name}.png"
        given = ["render", str(photos / "b.png"), "-o", str(out), "--depth", str(depth)]
        assert main([*given, *filter(None, [option])]) == 0
        drawn[name] = np.asarray(Image.open(out)).astype(int)
    assert np.array_equal(drawn["wide"], drawn["same"])
    assert np.abs(drawn["wide"] - drawn["none"]).max() > 10
    capsys.readouterr()
    for wrong in (["--strength", "0"], ["--strength", "2", "--aperture", "2"]):
        with pytest.raises(SystemExit) as stop:
            main(["render", str(photos / "b.png"), "-o", str(tmp_path / "x.png"), *wrong])
        assert stop.value.code == 2 and "\n" not in capsys.readouterr().err.strip()
