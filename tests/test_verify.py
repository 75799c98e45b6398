"""`data verify`: what is there, missing and broken, by name, with the remedy and the right exit
status.
"""

import json
import os
import re
import shutil
import signal
import time
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
from PIL import Image
from test_cli import fails
from test_data import make_ebb, make_sun, picture

from bradcn_nb import data
from bradcn_nb.__main__ import main
from bradcn_nb.data import verify
from bradcn_nb.data.findings import DEFECTS, Report, compact
from bradcn_nb.data.verify import verify_ebb
from bradcn_nb.data.verify_sun import verify_sun
from bradcn_nb.errors import DataError


def ebb_report(root, **options):
    report = Report("EBB!", str(root))
    verify_ebb(root, report, jobs=1, progress=False, **options)
    return report


def sun_report(root, counts=(4, 2), seed=0):
    report = Report("SUN RGB-D", str(root))
    verify_sun(root, report, counts, seed, jobs=1, progress=False)
    return report


def found(report, fatal=True):
    return {(d.kind, d.path) for d in report.defects if d.fatal == fatal}


def test_ranges_are_compact():
    assert compact([12, 13, 14, 77, 79, 80]) == "12-14, 77, 79-80"
    assert compact([9, 10, 11]) == "9-11"
    names = ["a/NYU0009", "a/NYU0010", "a/NYU0012", "b/NYU0013", "plain", "x9", "x10"]
    assert compact(names) == "a/NYU0009-0010, a/NYU0012, b/NYU0013, plain, x9, x10"
    assert compact([]) == ""


def test_a_sound_ebb_with_absent_pairs_can_train(tmp_path):
    report = ebb_report(make_ebb(tmp_path, (0, 1, 2, 5, 4400, 4402)))
    assert report.can_train and report.defects == [] and report.items == report.checked == 6
    assert report.present == [
        "train: 4 of 4400 pairs, 36 wide, 24 high",
        "Val294: 2 of 294 pairs, 36 wide, 24 high",
    ]
    assert report.missing == {
        "train": "4396 pairs: 3-4, 6-4399",
        "Val294": "292 pairs: 4401, 4403-4693",
    }


def broken_ebb(root):
    """One defect of every kind that a pair can have; returns them as (kind, path)."""
    make_ebb(root, [*range(8), 4400, 9000])
    cut = root / "bokeh/1.png"
    cut.write_bytes(cut.read_bytes()[:300])
    Image.fromarray(picture(0, 24, 30)).save(root / "bokeh/2.png")
    (root / "original/3.png").unlink()
    (root / "bokeh/4.png").unlink()
    shutil.copy(root / "original/5.png", root / "original/05.png")
    Image.fromarray(picture(0)).convert("CMYK").save(root / "original/6.jpg")
    (root / "original/6.png").unlink()
    (root / "original/notes.txt").write_text("not a picture, and nobody minds")
    return {
        ("unreadable", "bokeh/1.png"),
        ("size", "bokeh/2.png"),
        ("partner", "bokeh/3.png"),
        ("partner", "original/4.png"),
        ("duplicate", "original/5.png"),
        ("refused", "original/6.jpg"),
    }


def test_every_defect_of_a_pair_is_named_with_its_remedy(tmp_path):
    defects = broken_ebb(tmp_path)
    report = ebb_report(tmp_path)
    assert found(report) == defects and not report.can_train
    assert "of no split, not read: 9000" in report.present
    text = report.as_text()
    for kind, path in defects:
        assert path in text and DEFECTS[kind][1] in text
    assert "bokeh/2.png: 30x24, its original 36x24" in text
    # What verify calls fatal is what the reader refuses.
    with pytest.raises(DataError):
        data.EBB(tmp_path)
    for _, path in defects:
        for half in (tmp_path / "original", tmp_path / "bokeh"):
            for file in half.glob(f"*{path[-5]}.*"):
                file.unlink()
    report = ebb_report(tmp_path)
    assert report.can_train and len([*data.EBB(tmp_path)]) == 2


def test_an_empty_split_cannot_train(tmp_path):
    report = ebb_report(make_ebb(tmp_path, (0, 1)))
    assert report.obstacles == ["no test pair (4400 to 4693)"] and not report.can_train
    with pytest.raises(DataError, match="bokeh: folder is missing"):
        shutil.rmtree(tmp_path / "bokeh")
        ebb_report(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        ebb_report(tmp_path / "nowhere")


def test_sun_by_sensor_with_depths_holes_and_splits(tmp_path):
    make_sun(tmp_path, 8)
    report = sun_report(tmp_path)
    assert report.can_train and not found(report) and report.items == report.checked == 8
    first, depth, raw = report.present[:3]
    assert first == "kv1: 2 of 2003 frames, 32 wide, 24 high"
    assert depth.startswith("  depth_bfx: 5 % below") and depth.endswith("2.6 % holes")
    assert raw.startswith("  depth: 5 % below")
    assert report.missing["kv2"] == "3782 frames"
    assert report.missing["of them NYUv2's"] == "kv1/NYUdata/NYU0001-1449"
    assert report.nyu["all"] == ["kv1/NYUdata/frame00", "kv1/NYUdata/frame04"]
    drawn = {split: data.SUNRGBD(tmp_path, split, (4, 2)) for split in ("train", "test")}
    for split, frames in drawn.items():
        assert report.nyu[f"random {split}"] == sorted(frames.overlap_with_nyu)
    shared = len(data.leaks(drawn["train"].ids, drawn["test"].ids))
    assert f"random split (4 + 2, seed 0): {shared} test frames share" in report.as_text()
    assert "split by scene (4 + 2, seed 0): " in report.as_text()
    # No frame has a camera, which is worth a word and no more.
    assert {kind for kind, _ in found(report, fatal=False)} == {"camera"}
    assert "training does not mind" in report.as_text()


def test_sun_depth_quantiles_against_numpy(tmp_path):
    make_sun(tmp_path, 4)
    frame = tmp_path / "kv1/NYUdata/frame00"
    metres = np.linspace(1, 10, 24 * 32).reshape(24, 32)
    metres[:6] = 0
    Image.fromarray(data.encode_depth(metres)).save(next(frame.glob("depth/*")))
    line = sun_report(tmp_path, (2, 1)).present[2]
    low, middle, high = np.quantile(np.minimum(metres[metres > 0], 8), (0.05, 0.5, 0.95))
    shown = [float(word) for word in re.findall(r"[0-9.]+", line.replace("95 % below", "below"))]
    assert np.abs(np.subtract(shown[1:4], [low, middle, high])).max() < 0.11
    assert shown[-1] == 25.0  # % holes


def test_every_defect_of_a_frame_is_named_with_its_remedy(tmp_path):
    make_sun(tmp_path, 8)
    frames = {path.name[-1]: path for path in sorted(tmp_path.glob("*/*/frame*"))}
    frames |= {path.name[-1]: path for path in sorted(tmp_path.glob("*/*/*/frame*"))}

    def one(k, folder):
        return next(frames[str(k)].joinpath(folder).iterdir())

    Image.fromarray(np.full((24, 32), 9, np.uint8)).save(one(0, "depth_bfx"))
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(one(1, "depth_bfx"))
    Image.fromarray(np.full((10, 20), 9000, np.uint16)).save(one(2, "depth_bfx"))
    one(3, "image").write_bytes(one(3, "image").read_bytes()[:100])
    shutil.rmtree(frames["4"] / "depth_bfx")
    shutil.rmtree(frames["5"] / "image")
    one(6, "depth").write_bytes(b"")  # not read in training
    (frames["7"] / "intrinsics.txt").write_text("no numbers")
    report = sun_report(tmp_path)

    def path(k, rest):
        return f"{frames[str(k)].relative_to(tmp_path)}/{rest}"

    assert found(report) == {
        ("bits", path(0, "depth_bfx/d0.png")),
        ("empty", path(1, "depth_bfx/d1.png")),
        ("size", path(2, "depth_bfx")),
        ("unreadable", path(3, "image/3.png")),
        ("missing", path(4, "depth_bfx")),
        ("missing", path(5, "image")),
    }
    assert ("unreadable", path(6, "depth/d6.png")) in found(report, fatal=False)
    assert ("camera", path(7, "intrinsics.txt")) in found(report, fatal=False)
    text = report.as_text()
    for kind, name in found(report):
        assert name in text and DEFECTS[kind][1] in text
    assert "20x10, its picture 32x24" in text and "mode L" in text


def test_too_few_frames_cannot_train(tmp_path):
    report = sun_report(make_sun(tmp_path, 3), (3, 1))
    assert not report.can_train
    assert "3 frames, but 3 + 1 are asked for" in report.obstacles[0]
    with pytest.raises(DataError, match="no frame"):
        (tmp_path / "empty").mkdir()
        sun_report(tmp_path / "empty")


def test_many_files_are_cut_in_the_text_but_not_in_json(tmp_path):
    report = Report("EBB!", "x")
    verify_ebb(make_ebb(tmp_path), report, jobs=1, progress=False)
    (tmp_path / "bokeh/0.png").write_bytes(b"")
    (tmp_path / "bokeh/1.png").write_bytes(b"")
    report = ebb_report(tmp_path)
    text = report.as_text(limit=1)
    assert "bokeh/0.png" in text and "bokeh/1.png" not in text and "and 1 more; --json" in text
    assert [d["path"] for d in report.as_json()["defects"]] == ["bokeh/0.png", "bokeh/1.png"]


def test_command_verify_ebb(tmp_path, capsys):
    root = make_ebb(tmp_path / "Daten für EBB")
    assert main(["data", "verify", "ebb", str(root), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "train: 3 of 4400 pairs" in out and out.endswith("training can start\n") and err == ""
    (root / "bokeh/1.png").write_bytes(b"text")
    listing = tmp_path / "found.json"
    assert main(["data", "verify", "ebb", str(root), "--quiet", "--json", str(listing)]) == 2
    out, err = capsys.readouterr()
    assert "bokeh/1.png" in out and len(err.splitlines()) == 1 and err.startswith("error: ")
    written = json.loads(listing.read_text())
    assert not written["can_train"] and written["defects"][0]["path"] == "bokeh/1.png"
    assert "no such folder" in fails(capsys, "data", "verify", "ebb", tmp_path / "none")
    assert "original" in fails(capsys, "data", "verify", "ebb", tmp_path)
    assert "no frame" in fails(capsys, "data", "verify", "sunrgbd", root)


def test_command_verify_sun_with_several_processes(tmp_path, capsys):
    root = make_sun(tmp_path, 8)
    arguments = ["data", "verify", "sunrgbd", str(root), "--jobs", "2"]
    assert main([*arguments, "--nyu"]) == 2
    out, err = capsys.readouterr()
    assert "8 frames, but 6545 + 700 are asked for" in out and "8/8" in err
    assert "NYUv2's, all (2): kv1/NYUdata/frame00, kv1/NYUdata/frame04" in out


def test_an_interruption_prints_what_was_found(tmp_path):
    """Ctrl-C in the midst: status 130, and a report of what was looked at."""
    root, said = make_ebb(tmp_path / "ebb", range(400)), tmp_path / "said"
    (root / "bokeh/0.png").write_bytes(b"text")
    child = os.fork()  # importing everything again would take seconds
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
        slowly, check = 0.05, verify._check_pair
        verify._check_pair = lambda root, pair: (time.sleep(slowly), check(root, pair))[1]
        with open(said, "w") as file, redirect_stdout(file), redirect_stderr(file):
            status = main(["data", "verify", "ebb", str(root), "--jobs", "1"])
        os._exit(status)
    time.sleep(1)
    os.kill(child, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    text = said.read_text()
    assert "stopped after" in text and "bokeh/0.png" in text and "Traceback" not in text
