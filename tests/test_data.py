"""The readers: real layouts made in a temporary folder, good and broken."""

import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bradcn_nb import data
from bradcn_nb.errors import DataError

SAMPLES = (
    Path(os.environ.get("BRADCN_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data"
)
real_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not on this disk")


def picture(seed, height=24, width=36):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_ebb(root, numbers=(0, 1, 2, 4400, 4401), suffix=".png"):
    for place, folder in enumerate(("original", "bokeh")):
        (root / folder).mkdir(parents=True)
        for n in numbers:
            Image.fromarray(picture(2 * n + place)).save(root / folder / f"{n}{suffix}")
    return root


def make_sun(root, frames=6, height=24, width=32):
    sensors = ("kv1/NYUdata", "kv2/kinect2data", "realsense/lg", "xtion/sun3ddata/brown")
    for k in range(frames):
        frame = root / sensors[k % 4] / f"frame{k:02d}"
        for folder in ("image", "depth", "depth_bfx"):
            (frame / folder).mkdir(parents=True)
        Image.fromarray(picture(k, height, width)).save(frame / "image" / f"{k}.png")
        depth = np.random.default_rng(100 + k).uniform(0.5, 9.5, (height, width))
        depth[:4, :5] = 0
        for folder in ("depth", "depth_bfx"):
            path = frame / folder / f"d{k}.png"
            Image.fromarray(data.encode_depth(depth)).save(path)
    return root


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    assert ";" in text  # what is wrong; what to do


def test_ebb_reads_pairs_of_each_split_in_order(tmp_path):
    train = data.EBB(make_ebb(tmp_path), "train")
    assert [train[i]["id"] for i in range(3)] == ["0", "1", "2"] and len(train) == 3
    test = data.EBB(tmp_path, "test")
    assert [item["id"] for item in test] == ["4400", "4401"]
    assert len(train.absent) == 4397 and test.absent[0] == 4402 and test.absent[-1] == 4693
    item = train[1]
    assert item["image"].dtype == torch.float32 and item["image"].shape == (3, 24, 36)
    np.testing.assert_array_equal(
        (item["bokeh"] * 255).round().byte().numpy(), picture(3).transpose(2, 0, 1)
    )


def test_ebb_sorts_by_number_and_reads_jpg(tmp_path):
    ebb = data.EBB(make_ebb(tmp_path, (10, 9, 100), ".jpg"))
    assert [item["id"] for item in ebb] == ["9", "10", "100"]


def test_ebb_halves_by_exact_area_average(tmp_path):
    small = data.EBB(make_ebb(tmp_path), size=(12, 18))[0]["image"]
    blocks = picture(0).reshape(12, 2, 18, 2, 3).astype(float).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(small.numpy() * 255 - blocks).max() <= 0.51


def test_cache_decodes_once_and_cannot_be_written_into(tmp_path):
    cached = data.EBB(make_ebb(tmp_path), size=(12, 18), cache=True)
    plain = [data.EBB(tmp_path, size=(12, 18))[i] for i in range(3)]
    for _ in range(2):
        for i in range(3):
            item = cached[i]
            assert torch.equal(item["image"], plain[i]["image"])
            item["image"].zero_()
    shutil.rmtree(tmp_path / "original")
    assert torch.equal(cached[2]["bokeh"], plain[2]["bokeh"])


def test_flips_are_a_pure_function_of_seed_epoch_and_index(tmp_path):
    make_ebb(tmp_path, range(40))
    flipped, plain = data.EBB(tmp_path, flip=True, seed=7), data.EBB(tmp_path)
    seen = []
    for epoch in (3, 0, 3):
        flipped.set_epoch(epoch)
        seen.append([])
        for i in reversed(range(40)):
            mirrored = data.flips(7, epoch, i)
            seen[-1].append(mirrored)
            for key in ("image", "bokeh"):
                want = plain[i][key].flip(-1) if mirrored else plain[i][key]
                assert torch.equal(flipped[i][key], want)
    assert seen[0] == seen[2] != seen[1] and 8 < sum(seen[0]) < 32
    assert 4800 < sum(data.flips(0, 0, i) for i in range(10_000)) < 5200


def test_ebb_bad_folders(tmp_path):
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path / "nowhere")
    one_line(error, "nowhere")
    (tmp_path / "original").mkdir()
    (tmp_path / "bokeh").mkdir()
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path, "test")
    one_line(error, str(tmp_path), "4400..4693")
    with pytest.raises(DataError, match="validation"):
        data.EBB(tmp_path, "validation")


@pytest.mark.parametrize("folder", ["original", "bokeh"])
def test_ebb_missing_partner_is_named(tmp_path, folder):
    (make_ebb(tmp_path) / folder / "1.png").unlink()
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path)
    one_line(error, str(tmp_path / folder), "(1)")
    assert len(data.EBB(tmp_path, "test")) == 2  # the other split is sound


def test_ebb_damaged_files_are_named(tmp_path):
    make_ebb(tmp_path)
    cut = tmp_path / "bokeh" / "1.png"
    cut.write_bytes(cut.read_bytes()[:300])
    text = tmp_path / "original" / "2.png"
    text.write_text("not a picture")
    Image.fromarray(picture(0, 24, 30)).save(tmp_path / "bokeh" / "0.png")
    ebb = data.EBB(tmp_path)
    for index, path in ((1, cut), (2, text), (0, tmp_path / "bokeh" / "0.png")):
        with pytest.raises(DataError) as error:
            ebb[index]
        one_line(error, str(path))
    problems = data.verify(ebb, progress=False)
    assert len(problems) == 3 and "30x24" in problems[0] and str(cut) in problems[1]


def test_ebb_truncated_jpeg_and_duplicate_number(tmp_path):
    make_ebb(tmp_path, (0, 1), ".jpg")
    path = tmp_path / "original" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError) as error:
        data.EBB(tmp_path)[0]
    one_line(error, str(path))
    shutil.copy(tmp_path / "bokeh" / "1.jpg", tmp_path / "bokeh" / "01.png")
    with pytest.raises(DataError, match="same number"):
        data.EBB(tmp_path)


def test_depth_bits_rotate_as_sun_rgbd_does():
    mm = np.arange(65536, dtype=np.uint16)
    raw = data.encode_depth(mm / 1000)
    np.testing.assert_array_equal(raw, ((mm.astype(int) << 3) & 0xFFFF) | (mm.astype(int) >> 13))
    np.testing.assert_allclose(data.decode_depth(raw), mm / 1000, atol=1e-5)
    assert data.encode_depth(np.array([np.nan, np.inf, -1.0, 0.0])).tolist() == [0, 0, 0, 0]
    with pytest.raises(TypeError):
        data.decode_depth(mm.astype(np.int32))


def test_sun_reads_metres_mask_and_clips(tmp_path):
    sun = data.SUNRGBD(make_sun(tmp_path), "train", (6, 0))
    for item in sun:
        k = int(item["id"][-2:])
        depth = np.random.default_rng(100 + k).uniform(0.5, 9.5, (24, 32))
        assert item["depth"].shape == item["mask"].shape == (1, 24, 32)
        assert item["mask"].dtype == torch.bool and not item["mask"][0, :4, :5].any()
        assert int(item["mask"].sum()) == 24 * 32 - 20
        want = np.minimum(depth, 8)[item["mask"][0].numpy()]
        np.testing.assert_allclose(item["depth"][item["mask"]], want, atol=6e-4)


def test_sun_resizes_depth_without_mixing(tmp_path):
    make_sun(tmp_path)
    native = data.SUNRGBD(tmp_path, "train", (6, 0))
    small = data.SUNRGBD(tmp_path, "train", (6, 0), size=(9, 13))
    for a, b in zip(native, small, strict=True):
        assert b["image"].shape == (3, 9, 13)
        assert np.isin(b["depth"].numpy(), a["depth"].numpy()).all()
        assert torch.equal(b["mask"], b["depth"] > 0)
    index = np.arange(24)[:, None] * 100 + np.arange(32)
    np.testing.assert_array_equal(data.resize_nearest(index, (12, 16)), index[1::2, 1::2])
    np.testing.assert_array_equal(
        data.resize_nearest(index, (48, 64)), index.repeat(2, 0).repeat(2, 1)
    )


def test_sun_splits_are_random_disjoint_and_repeatable(tmp_path):
    make_sun(tmp_path, 12)

    def ids(split, seed=0, counts=(7, 4)):
        return data.SUNRGBD(tmp_path, split, counts, seed=seed).ids

    assert len(ids("train")) == 7 and len(ids("test")) == 4
    assert not set(ids("train")) & set(ids("test"))
    assert ids("train") == ids("train") != sorted(ids("train"))
    assert set(ids("train", seed=1)) != set(ids("train"))


def test_sun_kind_and_fingerprint(tmp_path):
    raw = data.SUNRGBD(make_sun(tmp_path), "train", (5, 1), kind="depth")
    assert data.SUNRGBD(tmp_path, "test", (5, 1), kind="depth").fingerprint() == raw.fingerprint()
    before = raw.fingerprint()
    depth = raw.frames[raw.ids[0]][1]
    depth.write_bytes(depth.read_bytes() + b"x")
    assert raw.fingerprint() != before


def test_sun_bad_folders(tmp_path):
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path / "nowhere", "train", (1, 0))
    one_line(error, "nowhere")
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path, "train", (1, 0))
    one_line(error, str(tmp_path), "kv1")
    make_sun(tmp_path)
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path, "train", (5, 2))
    one_line(error, "6 frames", "5 + 2")
    shutil.rmtree(tmp_path / "kv1/NYUdata/frame00/depth_bfx")
    with pytest.raises(DataError) as error:
        data.SUNRGBD(tmp_path, "train", (5, 1))
    one_line(error, "frame00")


def test_sun_bad_depth_files_are_named(tmp_path):
    make_sun(tmp_path)
    bad = {
        "mode L": Image.fromarray(np.full((24, 32), 9, np.uint8)),
        "every depth is 0": Image.fromarray(np.zeros((24, 32), np.uint16)),
        "20x10": Image.fromarray(np.full((10, 20), 9000, np.uint16)),
    }
    sun = data.SUNRGBD(tmp_path, "train", (6, 0))
    for index, (reason, broken) in enumerate(bad.items()):
        path = sun.frames[sun.ids[index]][1]
        broken.save(path)
        with pytest.raises(DataError) as error:
            sun[index]
        one_line(error, str(path), reason)
    path = sun.frames[sun.ids[4]][1]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=path.name):
        sun[4]


def test_scenes_are_views_of_consecutive_seeds(monkeypatch):
    def view(seed, size):
        depth = np.full(size, float(seed), np.float32)
        depth[0] = np.inf
        return np.full((*size, 3), seed / 100, np.float32), depth

    module = types.ModuleType("bradcn_nb.scenes")
    module.view = view
    monkeypatch.setitem(sys.modules, "bradcn_nb.scenes", module)
    monkeypatch.setattr("bradcn_nb.scenes", module, raising=False)
    scenes = data.Scenes(3, 20, (4, 6))
    items = list(scenes)
    assert [item["id"] for item in items] == ["20", "21", "22"]
    assert items[1]["image"].shape == (3, 4, 6) and items[1]["image"].dtype == torch.float32
    assert items[2]["depth"].shape == (1, 4, 6) and float(items[2]["depth"].max()) == 22
    assert not items[0]["mask"][0, 0].any() and items[0]["mask"][0, 1:].all()
    assert float(items[0]["depth"][0, 0].abs().max()) == 0


def test_items_make_batches(tmp_path):
    loader = torch.utils.data.DataLoader(
        data.SUNRGBD(make_sun(tmp_path), "train", (6, 0), size=(8, 12), flip=True), batch_size=4
    )
    batch = next(iter(loader))
    assert batch["image"].shape == (4, 3, 8, 12) and len(batch["id"]) == 4


@real_samples
def test_real_ebb_pairs():
    ebb = data.EBB(SAMPLES / "ebb", size=(64, 96))
    assert [item["id"] for item in ebb] == ["2977", "2978", "2979"]
    assert 0.01 < float((ebb[0]["image"] - ebb[0]["bokeh"]).abs().mean()) < 0.3


@real_samples
def test_real_sun_frame_decodes_to_its_range():
    depth, mask = data.read_depth(SAMPLES / "rgbd" / "sun_depth_rot3.png", clip_m=100)
    assert depth[mask].min() == pytest.approx(1.057) and depth.max() == pytest.approx(9.870)
    assert (depth[mask] > 8).mean() == pytest.approx(0.032, abs=0.001)
