"""`data prepare`: the same readers, the same items; whole files, resumed, checked, announced."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import fails
from test_data import SAMPLES, make_ebb, make_sun, picture, real_samples
from test_verify import ebb_report, sun_report

from bradcn_nb import data
from bradcn_nb.__main__ import main
from bradcn_nb.data import prepare as module
from bradcn_nb.data.prepare import prepare
from bradcn_nb.data.prepared import MANIFEST, read_prepared
from bradcn_nb.errors import DataError
from bradcn_nb.presets import preset
from bradcn_nb.training.stages import ebb_set

SIZE = (16, 20)


def run(name, root, out, size=SIZE, **options):
    return prepare(name, root, out, size, jobs=1, progress=False, say=lambda text: None, **options)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def psnr(a, b):
    return -10 * np.log10(float((a - b).square().mean()))


def cameras(root):
    for k, path in enumerate(sorted({p.parent for p in root.rglob("image")})):
        if k % 2:
            (path / "intrinsics.txt").write_text(
                f"{500 + k / 3!r} 0 15.7 0 {510.1 + k!r} 12.3 0 0 1\n"
            )


@pytest.mark.parametrize("kind", ["depth_bfx", "depth"])
def test_prepared_frames_are_what_the_reader_makes_of_the_originals(tmp_path, kind):
    root, out = make_sun(tmp_path / "a ü", 8), tmp_path / "b – b"
    cameras(root)
    assert run("sunrgbd", root, out, kind=kind).made == 8
    for split in ("train", "test"):
        want, got = (data.SUNRGBD(r, split, (5, 3), size=SIZE, kind=kind) for r in (root, out))
        assert want.ids == got.ids
        for i in range(len(want)):
            a, b = want[i], got[i]
            assert torch.equal(a["depth"], b["depth"]) and torch.equal(a["mask"], b["mask"])
            assert psnr(a["image"], b["image"]) > 42  # pure noise: nothing compresses worse
            try:
                np.testing.assert_array_equal(want.intrinsics(i), got.intrinsics(i))
            except DataError:
                with pytest.raises(DataError):
                    got.intrinsics(i)
    assert len([*out.rglob("intrinsics.txt")]) == 4
    other = "depth" if kind == "depth_bfx" else "depth_bfx"
    with pytest.raises(DataError, match=f"prepared with {kind}"):
        data.SUNRGBD(out, "train", (5, 3), size=SIZE, kind=other)


def test_prepared_pairs_are_what_the_reader_makes_of_the_originals(tmp_path):
    root, out = make_ebb(tmp_path / "ebb", (0, 7, 4400), ".jpg"), tmp_path / "out"
    run("ebb", root, out)
    for split in ("train", "test"):
        for a, b in zip(*(data.EBB(r, split, SIZE) for r in (root, out)), strict=True):
            assert a["id"] == b["id"]
            for key in ("image", "bokeh"):
                assert a[key].shape == b[key].shape and psnr(a[key], b[key]) > 42
    # A preset that compares at twice the size prepares at twice the size.
    twice = data.EBB(out, "train", (8, 10), truth_scale=2)[0]
    assert twice["image"].shape == (3, 8, 10) and twice["bokeh"].shape == (3, *SIZE)


@real_samples
def test_the_loss_on_real_pairs_is_as_stated(tmp_path):
    size = (512, 768)
    run("ebb", SAMPLES / "ebb", tmp_path, size)
    pairs = zip(*(data.EBB(r, "train", size) for r in (SAMPLES / "ebb", tmp_path)), strict=True)
    values = [psnr(a[key], b[key]) for a, b in pairs for key in ("image", "bokeh")]
    assert min(values) == pytest.approx(48.2, abs=0.1)
    assert max(values) == pytest.approx(50.8, abs=0.1)
    mean = np.mean([path.stat().st_size for path in tmp_path.glob("*/*.jpg")])
    assert mean / 1000 == pytest.approx(228, rel=0.1)


def test_a_prepared_folder_is_read_at_its_size_only(tmp_path):
    root, out = make_ebb(tmp_path / "ebb"), tmp_path / "out"
    run("ebb", root, out)
    for size in (None, (16, 24)):
        with pytest.raises(DataError, match="was prepared at 20x16.*originals"):
            data.EBB(out, "test", size)
    with pytest.raises(DataError, match="prepared from ebb, not sunrgbd"):
        data.SUNRGBD(out, "train", (1, 0), size=SIZE)
    with pytest.raises(DataError, match="was prepared itself"):
        run("ebb", out, tmp_path / "again")
    (out / MANIFEST).write_text("no json\n")
    with pytest.raises(DataError, match="no manifest"):
        data.EBB(out, "test", SIZE)


def test_a_second_run_keeps_what_is_unchanged_and_mends_the_rest(tmp_path):
    root, out = make_ebb(tmp_path / "ebb"), tmp_path / "out"
    assert run("ebb", root, out).made == 5
    before = contents(out)
    again = run("ebb", root, out)
    assert (again.made, again.kept) == (0, 5)
    before[Path(MANIFEST)] = (out / MANIFEST).read_bytes()  # says that it was looked through
    assert contents(out) == before
    (out / "bokeh/1.jpg").write_bytes(before[(out / "bokeh/1.jpg").relative_to(out)][:-9])
    (out / "original/2.jpg").unlink()
    Image.fromarray(picture(99)).save(root / "bokeh/4400.png")
    assert {d.path for d in ebb_report(out).defects} >= {"bokeh/1.jpg", "original/2.jpg"}
    mended = run("ebb", root, out)
    assert (mended.made, mended.kept) == (3, 2)
    after = contents(out)
    different = {path.as_posix() for path in before if before[path] != after[path]}
    assert different == {"bokeh/4400.jpg", MANIFEST}
    assert ebb_report(out).can_train


def test_bad_items_are_named_left_out_and_taken_back(tmp_path, capsys):
    root, out = make_ebb(tmp_path / "ebb", [*range(6), 4400]), tmp_path / "out"
    run("ebb", root, out)
    (root / "bokeh/1.png").write_bytes(b"text")
    (root / "original/2.png").unlink()
    Image.fromarray(picture(0, 24, 30)).save(root / "bokeh/3.png")
    outcome = run("ebb", root, out)
    assert outcome.bad.keys() == {"1", "2", "3"} and outcome.kept == 4
    assert "bokeh/1.png" in outcome.bad["1"] and "30x24" in outcome.bad["3"]
    assert not (out / "original/1.jpg").exists()
    report = ebb_report(out)
    assert report.can_train and report.items == 4
    arguments = [
        "data",
        "prepare",
        "ebb",
        str(root),
        "--out",
        str(out),
        "--size",
        "20,16",
        "--quiet",
    ]
    assert main(arguments) == 2
    text, error = capsys.readouterr()
    assert "0 made, 4 kept from before, 3 bad" in text and text.count("left out: ") == 3
    assert len(error.splitlines()) == 1 and "3 bad items" in error
    for path, n in (
        (root / "bokeh/1.png", 3),
        (root / "original/2.png", 4),
        (root / "bokeh/3.png", 7),
    ):
        Image.fromarray(picture(n)).save(path)
    assert main(arguments) == 0 and ebb_report(out).items == 7


def test_frames_that_lack_something_are_bad(tmp_path):
    root, out = make_sun(tmp_path / "sun", 6), tmp_path / "out"
    shutil.rmtree(root / "kv1/NYUdata/frame00/depth_bfx")
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(
        next((root / "kv1/NYUdata/frame04/depth_bfx").iterdir())
    )
    shutil.rmtree(root / "kv2/kinect2data/frame01/depth")  # not read
    (root / "kv2/kinect2data/frame01/intrinsics.txt").write_text("torn")  # not needed
    outcome = run("sunrgbd", root, out)
    assert outcome.bad.keys() == {"kv1/NYUdata/frame00", "kv1/NYUdata/frame04"}
    report = sun_report(out, (3, 1))
    assert report.can_train and report.items == outcome.made == 4
    assert "prepared at 20x16, 4 items" in report.as_text()


def test_it_says_how_large_it_will_be_and_refuses_a_small_disk(tmp_path, monkeypatch):
    root, out, said = make_ebb(tmp_path / "ebb", range(60)), tmp_path / "out", []
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(DataError, match="too little room"):
        prepare("ebb", root, out, (64, 96), jobs=1, progress=False, say=said.append)
    assert not out.exists()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    outcome = prepare("ebb", root, out, (64, 96), jobs=1, progress=False, say=said.append)
    assert outcome.made == 60
    estimate = float(said[1].split("about ")[1].split(" MB")[0])
    truly = sum(-(-p.stat().st_size // 4096) * 4096 for p in out.glob("*/*.jpg")) / 1e6
    assert estimate == pytest.approx(truly, rel=0.1)
    assert "60 items to make at 96x64" in said[1] and "are free" in said[1]


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, monkeypatch, capsys):
    root, out = make_ebb(tmp_path / "ebb"), tmp_path / "out"
    write = module.write_atomically

    def full(path, content):
        if path.name == "4400.jpg":
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(module, "write_atomically", full)
    arguments = [
        "data",
        "prepare",
        "ebb",
        root,
        "--out",
        out,
        "--size",
        "20,16",
        "--quiet",
        "--jobs",
        1,
    ]
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "No space left" in error and "it goes on" in error
    assert len(read_prepared(out).records) == 3 and not read_prepared(out).done
    with pytest.raises(DataError, match="was not finished"):
        data.EBB(out, "train", SIZE)
    monkeypatch.setattr(module, "write_atomically", write)
    again = run("ebb", root, out)
    assert (again.made, again.kept) == (2, 3)


def test_places_that_are_taken(tmp_path, capsys):
    root = make_ebb(tmp_path / "ebb")
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("mine")
    for out, words in ((root, "is the data set itself"), (other, "not an empty folder")):
        assert words in fails(capsys, "data", "prepare", "ebb", root, "--out", out, "--quiet")
    assert (other / "file").read_text() == "mine" and len(contents(root)) == 10
    out = tmp_path / "out"
    run("ebb", root, out)
    before = contents(out)
    with pytest.raises(DataError, match=r"size = \[16, 20\], not \[16, 24\]"):
        run("ebb", root, out, (16, 24))
    with pytest.raises(DataError, match="set = ebb"):
        run("sunrgbd", make_sun(tmp_path / "sun", 2), out)
    with pytest.raises(DataError, match="no pair"):
        (tmp_path / "none/original").mkdir(parents=True)
        (tmp_path / "none/bokeh").mkdir()
        run("ebb", tmp_path / "none", tmp_path / "new")
    assert contents(out) == before and not (tmp_path / "new").exists()


def test_kills_end_in_the_bytes_of_a_calm_run(tmp_path):
    root = make_ebb(tmp_path / "ebb", range(60))
    run("ebb", root, tmp_path / "calm", (96, 144))
    out = tmp_path / "out"
    # A fork for each kill: importing again would take longer than all the rest.
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    lived = []
    for _ in range(12):
        child = os.fork()
        if child == 0:
            try:
                run("ebb", root, out, (96, 144))
            finally:
                os._exit(0)
        more = len(contents(out)) + rng.integers(0, 12)
        until = time.monotonic() + 20
        while len([*out.rglob("*.jpg")]) < more and time.monotonic() < until:
            if os.waitpid(child, os.WNOHANG)[0]:  # it has finished before
                child = None
                break
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.02))  # in the midst of whatever comes next
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        lived.append(len(read_prepared(out).records) if (out / MANIFEST).exists() else 0)
        for path in out.glob("*/*.jpg"):
            Image.open(path).load()  # whole, each of them
    assert lived == sorted(lived) and len({*lived}) > 2
    run("ebb", root, out, (96, 144))
    calm, killed = contents(tmp_path / "calm"), contents(out)
    assert {k: v for k, v in calm.items() if k.name != MANIFEST} == {
        k: v for k, v in killed.items() if k.name != MANIFEST
    }
    assert ebb_report(out).defects == [] and read_prepared(out).done
    assert read_prepared(out).records == read_prepared(tmp_path / "calm").records


def test_a_line_that_was_cut_does_no_harm(tmp_path):
    root, out = make_ebb(tmp_path / "ebb"), tmp_path / "out"
    run("ebb", root, out)
    manifest = out / MANIFEST
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:3]) + lines[3][:40])
    assert not read_prepared(out).done and len(read_prepared(out).records) == 1
    report = ebb_report(out)
    stray = {d.path for d in report.defects if d.detail == "is not on the manifest"}
    assert len(stray) == 4 and not report.can_train
    assert run("ebb", root, out).made == 4
    assert [json.loads(line) for line in manifest.read_text().splitlines()[4:]][-1] == {"done": 5}
    assert ebb_report(out).can_train


def test_command_with_several_processes_and_the_presets_size(tmp_path, capsys):
    root, out = make_ebb(tmp_path / "ebb"), tmp_path / "out"
    arguments = ["data", "prepare", "ebb", str(root), "--out", str(out), "--jobs", "2"]
    assert main([*arguments, "--preset", "mini"]) == 0
    out_text, bar = capsys.readouterr()
    assert "5 items to make at 192x128" in out_text and "5 made" in out_text and "5/5" in bar
    pairs = ebb_set(preset("mini"), "train", out)  # as a training reads it
    assert len(pairs) == 3 and pairs[0]["bokeh"].shape == (3, 128, 192)
